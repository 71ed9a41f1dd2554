"""A file of finished results as the record beside them describes it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, field_validator

from spikeinterface_cloud.storage.digests import Digest, digest_of_file
from spikeinterface_cloud.storage.stored_object import StoredObject


class RecordedFile(BaseModel):
    """One file of a folder of results."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str = Field(description="below the folder")
    size_bytes: int = Field(ge=0)
    sha256: str
    etag: str | None = Field(default=None, description="of the object at the target")

    @field_validator("path")
    @classmethod
    def _is_below(cls, path: str) -> str:
        if not {"", ".", ".."}.isdisjoint(path.split("/")):
            raise ValueError("not a file below the folder")
        return path

    def with_etag(self, stored: Mapping[str, StoredObject]) -> Self:
        """Return the file with the ETag of the object that it is at the target, by path."""
        found = stored.get(self.path)
        return self.model_copy(update={"etag": found.etag}) if found else self

    def is_stored_as(self, found: StoredObject) -> bool:
        """Return whether an object at the target is still the one that was recorded."""
        return (found.size_bytes, found.etag) == (self.size_bytes, self.etag)


def sha256_of(file: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    return digest_of_file(file, Digest(algorithm="sha256", value=""))
