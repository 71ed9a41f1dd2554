"""Push one image of a release to a public registry, and print its address by digest.

The image has to be the one of this version: its labels say so, and that its commit has no local
changes. In GitHub Actions the address also goes to the outputs of the step.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from container.docker import DockerError, check_docker, docker_output, image_exists, run_docker
from container.push import VARIANTS
from spikeinterface_cloud.errors import CloudJobError

VERSION_LABEL = "org.opencontainers.image.version"
COMMIT_LABEL = "org.opencontainers.image.revision"


def main(arguments: Sequence[str] | None = None) -> int:
    """Push the image; return 1 and print one line if that fails."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--image", default="spikeinterface-cloud", help="name of the image here")
    parser.add_argument("--variant", choices=VARIANTS, default="latest", help="its tag here")
    parser.add_argument("--version", required=True, help="version of the release")
    parser.add_argument("--repository", required=True, help="like ghcr.io/OWNER/NAME")
    options = parser.parse_args(arguments)
    # GitHub's names of owners have capitals, those of registries have none
    repository = options.repository.lower()
    try:
        digest = release(options.image, options.variant, options.version, repository)
    except CloudJobError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{repository}@{digest}\n")
    if outputs := os.environ.get("GITHUB_OUTPUT"):
        with Path(outputs).open("a") as file:
            file.write(f"name={repository}\ndigest={digest}\n")
    return 0


def release(image: str, variant: str, version: str, repository: str) -> str:
    """Push the image as `repository:version`, or `-gpu` behind it, and return its digest."""
    check_docker()
    local = f"{image}:{variant}"
    if not image_exists(local):
        raise DockerError(f"there is no image {local}; build it first (make image, make image-gpu)")
    _check_labels(local, version)
    target = f"{repository}:{version}{VARIANTS[variant]}"
    docker_output(["tag", local, target])
    # only the address goes to standard output
    run_docker(["push", target], to=sys.stderr)
    digests: list[str] = json.loads(
        docker_output(["image", "inspect", "--format", "{{json .RepoDigests}}", target])
    )
    [digest] = [
        address.removeprefix(f"{repository}@")
        for address in digests
        if address.startswith(f"{repository}@")
    ]
    return digest


def _check_labels(image: str, version: str) -> None:
    """Refuse an image of another version, or one whose commit does not say what is in it."""
    labels = (
        json.loads(
            docker_output(["image", "inspect", "--format", "{{json .Config.Labels}}", image])
        )
        or {}
    )
    if labels.get(VERSION_LABEL) != version:
        raise DockerError(
            f"{image} is version {labels.get(VERSION_LABEL, 'unknown')}, not {version}; build it "
            "again (make image, make image-gpu)"
        )
    commit = labels.get(COMMIT_LABEL, "unknown")
    if len(commit) != 40:
        raise DockerError(
            f"{image} was built from commit {commit}; commit or discard local changes, then build "
            "it again (make image, make image-gpu)"
        )


if __name__ == "__main__":
    sys.exit(main())
