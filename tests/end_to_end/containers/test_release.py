"""The steps of a release: the address of a pushed image, and what is in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.end_to_end.containers.containers import CLIENT, REPOSITORY, engine_command
from tests.support.image_registry import image_registry

pytestmark = [pytest.mark.integration, pytest.mark.docker]

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    with image_registry(tmp_path) as host:
        yield host


def build(folder: Path, name: str, **labels: str) -> None:
    """Build an image of one small file, with the labels that our images have."""
    (folder / "file").write_text(name)
    lines = [f'LABEL org.opencontainers.image.{key}="{value}"' for key, value in labels.items()]
    (folder / "Dockerfile").write_text("\n".join(["FROM scratch", "COPY file /", *lines]))
    engine_command("build", "--quiet", "--tag", name, str(folder))


def run(module: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=REPOSITORY,
        env={"PATH": os.environ["PATH"], "DOCKER": CLIENT, **env},
        capture_output=True,
        text=True,
        check=False,
    )


def test_released_image_can_be_pulled_by_its_digest(
    engine: str, registry: str, tmp_path: Path
) -> None:
    build(tmp_path, "release-tests:gpu", version="1.2.3", revision=COMMIT)
    chosen = ("--image", "release-tests", "--variant", "gpu", "--version", "1.2.3")
    outputs = tmp_path / "outputs"
    done = run(
        "container.release",
        *chosen,
        *("--repository", f"{registry}/A-Lab/Sorting"),
        GITHUB_OUTPUT=str(outputs),
    )
    assert done.returncode == 0, done.stderr
    [address] = done.stdout.splitlines()
    name, digest = address.split("@")
    assert name == f"{registry}/a-lab/sorting"
    assert outputs.read_text() == f"name={name}\ndigest={digest}\n"
    image = engine_command("image", "inspect", "--format", "{{.Id}}", "release-tests:gpu")
    engine_command("image", "rm", "release-tests:gpu", f"{name}:1.2.3-gpu")
    engine_command("pull", "--quiet", address)
    assert engine_command("image", "inspect", "--format", "{{.Id}}", address) == image
    engine_command("image", "rm", address)


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ({"version": "1.2.2", "revision": COMMIT}, "is version 1.2.2, not 1.2.3; build it again"),
        ({}, "is version unknown, not 1.2.3; build it again"),
        (
            {"version": "1.2.3", "revision": f"{COMMIT}-modified"},
            f"was built from commit {COMMIT}-modified; commit or discard local changes",
        ),
        ({"version": "1.2.3"}, "was built from commit unknown; commit or discard"),
    ],
)
def test_image_that_is_not_the_release_is_not_pushed(
    engine: str, tmp_path: Path, labels: dict[str, str], reason: str
) -> None:
    build(tmp_path, "release-tests:latest", **labels)
    done = run(
        "container.release",
        *("--image", "release-tests", "--version", "1.2.3", "--repository", "127.0.0.1:1/sorting"),
    )
    engine_command("image", "rm", "release-tests:latest")
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("release-tests:latest ")
    assert reason in line


def test_bill_of_materials_has_every_package_of_the_image(image: str, tmp_path: Path) -> None:
    file = tmp_path / "dist" / "image.cdx.json"
    done = run("container.sbom", image, str(file))
    assert (done.returncode, done.stderr) == (0, "")
    text = file.read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bom = json.loads(text)
    packages = {component["purl"] for component in bom["components"]}
    assert f"pkg:pypi/spikeinterface@{version('spikeinterface')}" in packages
    assert any(package.startswith("pkg:deb/debian/tini@") for package in packages)
    assert len(packages) == len(bom["components"]) > 150
    assert bom["metadata"]["component"]["name"] == image


def test_bill_of_materials_of_an_image_that_is_not_here_is_refused(
    engine: str, tmp_path: Path
) -> None:
    done = run("container.sbom", "no-such-image", str(tmp_path / "image.cdx.json"))
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert line.startswith(f"{CLIENT} run failed: ")
    assert not list(tmp_path.iterdir())
