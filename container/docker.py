"""The client of a container engine, as a program that is run."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from typing import TextIO

from spikeinterface_cloud.errors import CloudJobError


class DockerError(CloudJobError):
    """Docker cannot do what it is asked to (1)."""

    exit_code = 1


def client() -> str:
    """Return the client that `DOCKER` names, else `docker`."""
    return os.environ.get("DOCKER", "docker")


def check_docker() -> None:
    """Refuse if the client is not installed, or its daemon does not answer."""
    try:
        done = subprocess.run([client(), "info"], capture_output=True, text=True, check=False)
    except OSError as error:
        raise DockerError(
            f"{client()} cannot be run: {error.strerror}; install Docker, or name another client, "
            "like DOCKER=podman"
        ) from error
    if done.returncode:
        reason = " ".join(done.stderr.split()).rstrip(".") or f"exit code {done.returncode}"
        raise DockerError(f"{client()} does not answer: {reason}; start Docker, then try again")


def image_exists(image: str) -> bool:
    """Return whether the engine has the image."""
    command = [client(), "image", "inspect", image]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def run_docker(
    arguments: Sequence[str], *, standard_input: str | None = None, to: TextIO | None = None
) -> None:
    """Run the client, whose messages the user sees (in `to`); refuse if it fails."""
    done = subprocess.run(
        [client(), *arguments], input=standard_input, stdout=to, text=True, check=False
    )
    if done.returncode:
        raise DockerError(
            f"{client()} {arguments[0]} failed with exit code {done.returncode}; see its message "
            "above"
        )


def docker_output(arguments: Sequence[str]) -> str:
    """Return what the client prints; refuse with its own message if it fails."""
    done = subprocess.run([client(), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        reason = " ".join(done.stderr.split()).rstrip(".") or f"exit code {done.returncode}"
        raise DockerError(f"{client()} {arguments[0]} failed: {reason}")
    return done.stdout.strip()
