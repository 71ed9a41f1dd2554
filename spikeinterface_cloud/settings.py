"""The contract: every environment variable of a job, read into one frozen `JobSettings`, and written back."""

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class AwsSettings(BaseModel):
    """How to reach S3; what is not given is left to boto3's own chain of credentials."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    region_name: str | None = Field(default=None, description="region of the buckets")
    access_key_id: str | None = Field(default=None, description="key of an AWS user; a job role is better")
    secret_access_key: SecretStr | None = Field(default=None, description="secret of that key")
    session_token: SecretStr | None = Field(default=None, description="token of temporary credentials")
    endpoint_url: str | None = Field(default=None, description="an S3 server other than AWS")
