"""Push the local images to one ECR repository, with the tags `VERSION` and `VERSION-gpu`.

Account and region are those of `spikeinterface-cloud infra`, `.env` included. The repository is
created if it does not exist.
"""

from __future__ import annotations

import argparse
import base64
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from container.docker import DockerError, check_docker, client, image_exists, run_docker
from spikeinterface_cloud.aws.cli.account import open_session, read_env_file
from spikeinterface_cloud.aws_errors import translate_errors
from spikeinterface_cloud.errors import CloudJobError

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient

#: local tag of each image, and suffix of its tag in the registry
VARIANTS = {"latest": "", "gpu": "-gpu"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Registry:
    """A private ECR registry and its credentials."""

    #: `ACCOUNT.dkr.ecr.REGION.amazonaws.com`
    host: str
    user: str
    password: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Push the local images; return 1 and print one line if that fails."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--image", default="spikeinterface-cloud", help="name of the images")
    parser.add_argument("--version", required=True, help="tag in the registry")
    parser.add_argument("--dry-run", action="store_true", help="only print the commands")
    options = parser.parse_args(arguments)
    try:
        push(options.image, options.version, dry_run=options.dry_run)
    except CloudJobError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def push(image: str, version: str, *, dry_run: bool) -> None:
    """Log in, then tag and push each image; with `dry_run`, only print the commands."""
    check_docker()
    built = [variant for variant in VARIANTS if image_exists(f"{image}:{variant}")]
    if not built:
        raise DockerError(f"there is no image {image}; build it first (make image, make image-gpu)")
    ecr: ECRClient = open_session(read_env_file()).client("ecr")
    registry = find_registry(ecr)
    if not dry_run:
        create_repository(ecr, image)
    run = _print_command if dry_run else _run
    run(["login", "--username", registry.user, "--password-stdin", registry.host], registry)
    for variant in built:
        target = f"{registry.host}/{image}:{version}{VARIANTS[variant]}"
        run(["tag", f"{image}:{variant}", target], registry)
        run(["push", target], registry)


def find_registry(ecr: ECRClient) -> Registry:
    """Return the registry of this account and region, with a password valid for twelve hours."""
    with translate_errors("log in to the image registry"):
        [grant] = ecr.get_authorization_token()["authorizationData"]
    user, _, password = base64.b64decode(grant["authorizationToken"]).decode().partition(":")
    host = grant["proxyEndpoint"].removeprefix("https://")
    return Registry(host=host, user=user, password=password)


def create_repository(ecr: ECRClient, name: str) -> None:
    """Create a repository that scans pushed images, unless it exists."""
    with translate_errors(f"create the image repository {name}"):
        try:
            ecr.create_repository(
                repositoryName=name, imageScanningConfiguration={"scanOnPush": True}
            )
        except ecr.exceptions.RepositoryAlreadyExistsException:
            return


def _run(arguments: Sequence[str], registry: Registry) -> None:
    password = registry.password if "--password-stdin" in arguments else None
    run_docker(arguments, standard_input=password)


def _print_command(arguments: Sequence[str], _registry: Registry) -> None:
    sys.stdout.write(" ".join([client(), *arguments]) + "\n")


if __name__ == "__main__":
    sys.exit(main())
