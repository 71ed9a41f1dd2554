"""Push the images of this machine to ECR: one repository, tags `VERSION` and `VERSION-gpu`.

Credentials are found as boto3 finds them. The repository is made where it is missing.
"""

from __future__ import annotations

import argparse
import base64
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

#: the local tag of each image, and what its tag at the registry ends with
VARIANTS = {"latest": "", "gpu": "-gpu"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Registry:
    """A private ECR registry, and how to log in there."""

    #: `ACCOUNT.dkr.ecr.REGION.amazonaws.com`
    host: str
    user: str
    password: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Push every image that was built here; 1 with one line where that cannot be done."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--image", default="spikeinterface-cloud", help="the name of the images")
    parser.add_argument("--version", required=True, help="the tag at the registry")
    parser.add_argument("--dry-run", action="store_true", help="only tell what would be done")
    options = parser.parse_args(arguments)
    try:
        push(options.image, options.version, dry_run=options.dry_run)
    except (BotoCoreError, ClientError, subprocess.CalledProcessError, LookupError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def push(image: str, version: str, *, dry_run: bool) -> None:
    """Log in, then tag and push each image; with `dry_run` nothing is changed anywhere.

    Raises
    ------
    LookupError
        neither image has been built
    """
    built = [variant for variant in VARIANTS if _is_here(f"{image}:{variant}")]
    if not built:
        raise LookupError(f"there is no image {image}; build it first (make image, make image-gpu)")
    ecr = boto3.client("ecr")
    registry = find_registry(ecr)
    if not dry_run:
        make_repository(ecr, image)
    run = _tell if dry_run else _run
    run(["login", "--username", registry.user, "--password-stdin", registry.host], registry)
    for variant in built:
        target = f"{registry.host}/{image}:{version}{VARIANTS[variant]}"
        run(["tag", f"{image}:{variant}", target], registry)
        run(["push", target], registry)


def find_registry(ecr: Any) -> Registry:
    """The registry of this account and region, with a password for twelve hours."""
    [grant] = ecr.get_authorization_token()["authorizationData"]
    user, _, password = base64.b64decode(grant["authorizationToken"]).decode().partition(":")
    host = grant["proxyEndpoint"].removeprefix("https://")
    return Registry(host=host, user=user, password=password)


def make_repository(ecr: Any, name: str) -> None:
    """Make the repository, which scans what is pushed to it; one that is there stays as it is."""
    try:
        ecr.create_repository(repositoryName=name, imageScanningConfiguration={"scanOnPush": True})
    except ecr.exceptions.RepositoryAlreadyExistsException:
        return


def _is_here(image: str) -> bool:
    command = [_client(), "image", "inspect", image]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _run(arguments: Sequence[str], registry: Registry) -> None:
    password = registry.password if "--password-stdin" in arguments else None
    subprocess.run([_client(), *arguments], input=password, text=True, check=True)


def _tell(arguments: Sequence[str], _registry: Registry) -> None:
    sys.stdout.write(" ".join([_client(), *arguments]) + "\n")


def _client() -> str:
    return os.environ.get("DOCKER", "docker")


if __name__ == "__main__":
    sys.exit(main())
