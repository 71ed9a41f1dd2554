"""Secrets, which a job's environment must not hold: everyone who may describe jobs can read it."""

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
    """Refuse variables that hold secrets.

    Raises SettingsError (with every one of them, a line each; their values are not shown).
    """
    problems = [
        f"{name}: {_what(name)}, which a job's environment would show to everyone who may "
        f"describe jobs; {AWS_REMEDY if name.startswith('AWS_') else OTHER_REMEDY}"
        for name, text in variables.items()
        if is_secret(name) or SECRET_VALUE.search(text)
    ]
    if problems:
        raise SettingsError("\n".join(problems))


def _what(name: str) -> str:
    return "a secret" if is_secret(name) else "holds a key or a signed URL"
