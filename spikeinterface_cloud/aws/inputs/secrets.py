"""Secrets are kept out of a job's environment, which everyone who may describe jobs can read."""

import re
from collections.abc import Mapping

from spikeinterface_cloud.errors import SettingsError

SECRET_NAME = re.compile(
    r"ACCESS_KEY|API_?KEY|PRIVATE_KEY|SECRET|TOKEN|PASSWORD|PASSWD|CREDENTIAL", re.IGNORECASE
)

#: keys of AWS users, signed URLs, private keys
SECRET_VALUE = re.compile(
    r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|[?&]X-Amz-(?:Signature|Security-Token)="
    r"|[?&]Signature=|-----BEGIN [A-Z ]*PRIVATE KEY"
)

AWS_REMEDY = "give the job a role that may read the source and write the target (jobRoleArn)"
OTHER_REMEDY = (
    "store it in AWS Secrets Manager and name its ARN under `secrets` of the job definition"
)


def is_secret(name: str) -> bool:
    """Return whether a variable of this name holds a secret.

    >>> is_secret("DANDI_API_KEY"), is_secret("SORTERS_KWARGS")
    (True, False)
    """
    return SECRET_NAME.search(name) is not None


def check_no_secret(variables: Mapping[str, str]) -> None:
    """Raise a SettingsError for variables that hold secrets, a line each, without their values."""
    problems = []
    for name, text in variables.items():
        if is_secret(name) or SECRET_VALUE.search(text):
            problem = "a secret" if is_secret(name) else "holds a key or a signed URL"
            remedy = AWS_REMEDY if name.startswith("AWS_") else OTHER_REMEDY
            problems.append(
                f"{name}: {problem}, which everyone who may describe jobs could read; {remedy}"
            )
    if problems:
        raise SettingsError("\n".join(problems))
