"""Secrets are kept out of a job's environment, which everyone who may describe jobs can read."""

import re
from collections.abc import Mapping

from spikeinterface_cloud.config.locations import mask_signatures
from spikeinterface_cloud.errors import SettingsError

SECRET_NAME = re.compile(
    r"ACCESS_KEY|API_?KEY|PRIVATE_KEY|SECRET|TOKEN|PASSWORD|PASSWD|CREDENTIAL", re.IGNORECASE
)

#: keys of AWS users, signed URLs, private keys; `mask_signatures` knows more of URLs
SECRET_VALUE = re.compile(
    r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|[?&]X-Amz-(?:Signature|Security-Token)="
    r"|[?&]Signature=|-----BEGIN [A-Z ]*PRIVATE KEY"
)

AWS_REMEDY = "give the job a role that may read the source and write the target (jobRoleArn)"
OTHER_REMEDY = (
    "store it in AWS Secrets Manager and name its ARN under `secrets` of the job definition"
)

#: for URLs with a user, a password, a token or a signature
URL_REMEDIES = {
    **dict.fromkeys(
        ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"),
        "write the URL without user and password, and store the server's keys in AWS Secrets "
        "Manager, named under `secrets` of the job definition as AWS_ACCESS_KEY_ID and "
        "AWS_SECRET_ACCESS_KEY",
    ),
    "DANDISET_S3_FILE_URL": (
        "leave out its query; for an embargoed asset, store DANDI_API_KEY in AWS Secrets Manager "
        "and name its ARN under `secrets` of the job definition"
    ),
}
OTHER_URL_REMEDY = (
    "leave out user, password and query of the URL; S3 is read with the job's role, and other keys "
    "go to AWS Secrets Manager, named under `secrets` of the job definition"
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
        remedy = AWS_REMEDY if name.startswith("AWS_") else OTHER_REMEDY
        if is_secret(name):
            problem = "a secret"
        elif mask_signatures(text) != text:
            problem = "holds a URL with a password, a token or a signature"
            remedy = URL_REMEDIES.get(name, OTHER_URL_REMEDY)
        elif SECRET_VALUE.search(text):
            problem = "holds a key or a signed URL"
        else:
            continue
        problems.append(
            f"{name}: {problem}, which everyone who may describe jobs could read; {remedy}"
        )
    if problems:
        raise SettingsError("\n".join(problems))
