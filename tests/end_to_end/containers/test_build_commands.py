"""The commands that CodeBuild runs for `infra build`, as they stand, in order, on a real engine.

The image that they build here is of one file, so that it costs seconds;
test_empty_account.py builds the real one.
"""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spikeinterface_cloud.aws.infra.build_context import pack
from tests.end_to_end.containers.codebuild import run_build
from tests.end_to_end.containers.containers import REPOSITORY, engine_command
from tests.support.image_registry import PASSWORD, USER, image_registry

pytestmark = [pytest.mark.integration, pytest.mark.docker]

#: of the platform that the build asks for, like the real ones; BROKEN does not build
SMALL = """FROM scratch
COPY run_script.py container/entrypoint /
ARG VERSION
ARG COMMIT
LABEL version="$VERSION" commit="$COMMIT"
"""
BROKEN = "FROM scratch\nCOPY no-such-file /\n"


IMAGE = "spikeinterface-cloud"
TAG = "1.2.3"


@pytest.fixture
def registry(engine: str, tmp_path: Path) -> Iterator[str]:
    with image_registry(tmp_path, authenticated=True) as host:
        yield host


def ask(host: str, path: str) -> Any:
    """Return JSON that the registry has below `/v2/`; None where it has nothing."""
    login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    accepted = "application/vnd.docker.distribution.manifest.v2+json"
    headers = {"Authorization": f"Basic {login}", "Accept": accepted}
    request = urllib.request.Request(f"http://{host}/v2/{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:  # noqa: S310
            return json.loads(reply.read())
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise
        return None


def build(
    folder: Path, registry: str, dockerfile: str, password: str = PASSWORD
) -> tuple[int, str]:
    """Run the build; return its exit code and what it said."""
    archive = folder / "context.zip"
    archive.write_bytes(pack(Path(REPOSITORY)).content)
    (folder / "Small").write_text(dockerfile)
    variables = {
        "IMAGE": f"{registry}/{IMAGE}:{TAG}",
        "VERSION": TAG,
        "DOCKERFILE": str(folder / "Small"),
    }
    done = run_build(archive, folder, variables, password=password)
    return done.returncode, done.stdout + done.stderr


def test_they_build_for_the_instances_and_push_with_the_tag(tmp_path: Path, registry: str) -> None:
    code, said = build(tmp_path, registry, SMALL)
    assert code == 0, said
    manifest = ask(registry, f"{IMAGE}/manifests/{TAG}")
    config = ask(registry, f"{IMAGE}/blobs/{manifest['config']['digest']}")
    assert (config["os"], config["architecture"]) == ("linux", "amd64")
    commit = (tmp_path / "source" / "commit").read_text().strip()
    assert config["config"]["Labels"] == {"version": TAG, "commit": commit}
    assert (tmp_path / "source" / "container/entrypoint").stat().st_mode & 0o111
    engine_command("rmi", f"{registry}/{IMAGE}:{TAG}")


def test_nothing_is_pushed_if_the_build_fails(tmp_path: Path, registry: str) -> None:
    code, said = build(tmp_path, registry, BROKEN)
    assert code != 0
    assert "no-such-file" in said
    assert ask(registry, f"{IMAGE}/manifests/{TAG}") is None


def test_nothing_is_built_if_the_registry_refuses(tmp_path: Path, registry: str) -> None:
    code, said = build(tmp_path, registry, SMALL, password="expired")
    assert code != 0
    assert "unauthorized" in said.lower()
    assert "COPY" not in said
