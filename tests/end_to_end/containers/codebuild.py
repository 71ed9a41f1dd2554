"""CodeBuild on this machine: the commands of the buildspec as they stand, with the local engine."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import zipfile
from collections.abc import Mapping
from pathlib import Path

import yaml

from tests.end_to_end.containers.containers import CLIENT
from tests.support.image_registry import PASSWORD

#: a build from cached layers takes seconds, a first one of everything minutes
TIMEOUT_S = 800


def run_build(
    archive: Path,
    folder: Path,
    variables: Mapping[str, str],
    *,
    password: str = PASSWORD,
    pushes: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Unpack the build context in `folder` and run the commands of each phase in one shell.

    `aws` gives the password of a registry; without `pushes` there is none, and the engine's client
    leaves out what needs it.
    """
    source = folder / "source"
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(source)  # modes are lost, as CodeBuild does not promise them
    specification = yaml.safe_load((source / "container/buildspec.yml").read_text())
    assert specification["version"] == 0.2
    assert specification["env"]["shell"] == "bash"
    programs = _programs(folder / "programs", password, pushes=pushes)
    done = subprocess.CompletedProcess[str]([], 0, "", "")
    for phase in specification["phases"].values():
        done = subprocess.run(
            ["bash", "-c", _in_order(phase["commands"])],  # noqa: S607
            cwd=source,
            env={
                "PATH": f"{programs}:{os.environ['PATH']}",
                "HOME": str(folder),
                **specification["env"]["variables"],
                **variables,
            },
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        if done.returncode:
            break
    return done


def _in_order(commands: list[str]) -> str:
    """Return a script that ends with the first command that fails, as a phase does."""
    return "\n".join(f"{command}\n[ $? = 0 ] || exit 1" for command in commands)


def _programs(folder: Path, password: str, *, pushes: bool) -> Path:
    """Write what CodeBuild's image has: AWS's program, and a client that can build."""
    folder.mkdir(parents=True)
    client = shlex.quote(_building_client())
    without = "" if pushes else 'case "$1" in login|push) exit 0 ;; esac\n'
    for name, script in {
        "aws": f'[ "$*" = "ecr get-login-password" ] && echo {shlex.quote(password)}',
        "docker": f'{without}exec {client} "$@"',
    }.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    return folder


def _building_client() -> str:
    """Return the first client with BuildKit, as the Makefile does."""
    for client in (shutil.which(CLIENT), "/usr/bin/docker"):
        asked = subprocess.run(
            [str(client), "build", "--help"],
            env=os.environ | {"DOCKER_BUILDKIT": "1"},
            capture_output=True,
            check=False,
        )
        if asked.returncode == 0:
            return str(client)
    raise AssertionError("no client of an engine can build")
