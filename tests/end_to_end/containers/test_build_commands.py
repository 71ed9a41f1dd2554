"""The commands that CodeBuild runs for `infra build`, as they stand, in order, on a real engine.

The image that they build here is of one file, so that it costs seconds;
test_empty_account.py builds the real one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from spikeinterface_cloud.aws.infra.build_context import pack
from tests.end_to_end.containers.codebuild import run_build
from tests.end_to_end.containers.containers import REPOSITORY, engine_command
from tests.support.registry import PASSWORD, Registry, open_registry

pytestmark = [pytest.mark.integration, pytest.mark.docker]

#: of the platform that the build asks for, like the real ones; BROKEN does not build
SMALL = """FROM scratch
COPY run_script.py container/entrypoint /
ARG VERSION
ARG COMMIT
LABEL version="$VERSION" commit="$COMMIT"
"""
BROKEN = "FROM scratch\nCOPY no-such-file /\n"


@pytest.fixture
def registry(engine: str) -> Iterator[Registry]:
    with open_registry() as registry:
        yield registry


def build(
    folder: Path, registry: Registry, dockerfile: str, password: str = PASSWORD
) -> tuple[int, str]:
    """Run the build; return its exit code and what it said."""
    archive = folder / "context.zip"
    archive.write_bytes(pack(Path(REPOSITORY)).content)
    (folder / "Small").write_text(dockerfile)
    variables = {
        "IMAGE": f"{registry.host}/spikeinterface-cloud:1.2.3",
        "VERSION": "1.2.3",
        "DOCKERFILE": str(folder / "Small"),
    }
    done = run_build(archive, folder, variables, password=password)
    return done.returncode, done.stdout + done.stderr


def test_they_build_for_the_instances_and_push_with_the_tag(
    tmp_path: Path, registry: Registry
) -> None:
    code, said = build(tmp_path, registry, SMALL)
    assert code == 0, said
    assert list(registry.manifests) == ["spikeinterface-cloud:1.2.3"]
    config = registry.config_of("spikeinterface-cloud:1.2.3")
    assert (config["os"], config["architecture"]) == ("linux", "amd64")
    commit = (tmp_path / "source" / "commit").read_text().strip()
    assert config["config"]["Labels"] == {"version": "1.2.3", "commit": commit}
    assert (tmp_path / "source" / "container/entrypoint").stat().st_mode & 0o111
    engine_command("rmi", f"{registry.host}/spikeinterface-cloud:1.2.3")


def test_nothing_is_pushed_if_the_build_fails(tmp_path: Path, registry: Registry) -> None:
    code, said = build(tmp_path, registry, BROKEN)
    assert code != 0
    assert "no-such-file" in said
    assert not registry.manifests


def test_nothing_is_built_if_the_registry_refuses(tmp_path: Path, registry: Registry) -> None:
    code, said = build(tmp_path, registry, SMALL, password="expired")
    assert code != 0
    assert "unauthorized" in said.lower()
    assert "COPY" not in said
