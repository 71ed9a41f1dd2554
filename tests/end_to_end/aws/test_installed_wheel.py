"""The wheel in an empty environment and another folder, on each Python that is here."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from zipfile import ZipFile

import pytest

from spikeinterface_cloud import __version__
from spikeinterface_cloud.aws.infra.build_context import BUNDLED, COMMIT_FILE, pack
from tests.support.account_server import WITHOUT_CONTAINERS, account_server
from tests.support.laptop import JOB, PLACE, Laptop
from tests.support.servers import S3Server
from tests.support.template import TEMPLATE
from tests.support.wheel import COMMIT, PACKAGE, PINNED, ROOT, build_wheel, install
from tests.support.windows import without_posix

pytestmark = pytest.mark.integration

PYTHONS = ("3.11", "3.12", "3.13", "3.14")

#: how many of them CI must have
FEWEST = 2

#: the oldest packages that pyproject.toml allows
OLDEST = ("--resolution", "lowest-direct")


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """An interpreter, the versions of packages, and whether what Windows lacks is missing."""

    python: str
    versions: tuple[str, ...] = PINNED
    windows: bool = False

    def __str__(self) -> str:
        oldest = " with the oldest packages" if self.versions == OLDEST else ""
        return f"{self.python}{oldest}{' as on Windows' if self.windows else ''}"


CASES = [
    *(Case(python=version) for version in PYTHONS),
    Case(python="3.11", versions=OLDEST),
    Case(python="3.11", windows=True),
]


@cache
def interpreter(version: str) -> str | None:
    """Return a Python of this version, of the PATH or of pyenv."""
    found = [shutil.which(f"python{version}")]  # pyenv's fails unless its version is chosen
    if pyenv := shutil.which("pyenv"):
        root = subprocess.run([pyenv, "root"], capture_output=True, text=True, check=True).stdout
        found += map(str, Path(root.strip()).glob(f"versions/{version}.*/bin/python"))
    if sys.version_info[:2] == tuple(map(int, version.split("."))):
        found.insert(0, sys.executable)
    starts = [name for name in found if name and not subprocess.call([name, "-c", ""])]
    return starts[0] if starts else None


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built by way of the source distribution."""
    return build_wheel(tmp_path_factory.mktemp("sources"))


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    """An empty account."""
    with account_server("127.0.0.1", WITHOUT_CONTAINERS) as server:
        yield server


@pytest.fixture(scope="module", params=CASES, ids=str)
def laptop(
    request: pytest.FixtureRequest,
    wheel: Path,
    server: S3Server,
    tmp_path_factory: pytest.TempPathFactory,
) -> Laptop:
    """A laptop that has the wheel and what it brings along, and nothing else."""
    case: Case = request.param
    if (python := interpreter(case.python)) is None:
        pytest.skip(f"there is no Python {case.python} on this machine")
    folder = tmp_path_factory.mktemp("laptop")
    command = install(wheel, folder, python, case.versions)
    if not case.windows:
        return Laptop(folder=folder, server=server, program=(command,))
    simulated = (str(folder / "venv" / "bin" / "python"), "-c", without_posix(command))
    return Laptop(folder=folder, server=server, program=simulated)


def output(laptop: Laptop, *arguments: str, env: Mapping[str, str] | None = None) -> str:
    """Run the command, which must succeed; return its standard output."""
    done = laptop.run(*arguments, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_ci_has_several_versions_of_python() -> None:
    if not os.environ.get("CI"):
        pytest.skip("only CI must have them")
    assert len([version for version in PYTHONS if interpreter(version)]) >= FEWEST


def test_every_file_of_the_package_is_in_the_wheel(wheel: Path) -> None:
    files = [path for path in (ROOT / PACKAGE).rglob("*") if path.is_file()]
    names = {str(path.relative_to(ROOT)) for path in files if path.parent.name != "__pycache__"}
    assert names <= {*ZipFile(wheel).namelist()}


def test_wheel_builds_the_images_of_its_sources(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        context = archive.read(str(BUNDLED.relative_to(ROOT)))
    assert context == pack(wheel.parents[1]).content
    with ZipFile(io.BytesIO(context)) as archive:
        assert archive.read(COMMIT_FILE).decode() == f"{COMMIT}\n"


def test_command_says_its_version_and_name(laptop: Laptop) -> None:
    assert output(laptop, "--version") == f"spikeinterface-cloud {__version__}\n"
    assert output(laptop, "infra", "up", "--help").startswith(
        "Usage: spikeinterface-cloud infra up [OPTIONS]\n"
    )


def test_submission_is_prepared(laptop: Laptop) -> None:
    request = json.loads(output(laptop, *JOB, *PLACE, "--dry-run"))
    assert request["jobQueue"] == PLACE[1]
    [sorters] = [
        variable["value"]
        for variable in request["containerOverrides"]["environment"]
        if variable["name"] == "SORTERS"
    ]
    assert sorters == "simple"


def test_template_is_planned(laptop: Laptop) -> None:
    plan = json.loads(output(laptop, "infra", "up", "--stack", "lab", "--dry-run", "--json"))
    assert {change["resource"] for change in plan["changes"]} == TEMPLATE["Resources"].keys()
    assert plan["parameters"]["ImageTag"] == __version__


def test_estimate_knows_prices(laptop: Laptop) -> None:
    shown = json.loads(
        output(laptop, "estimate", "--duration", "1h", "--sorters", "simple", "--json")
    )
    assert shown["instances"]


def test_missing_stack_is_refused_with_a_command_that_works(laptop: Laptop) -> None:
    done = laptop.run("infra", "status", "--stack", "nowhere")
    assert done.returncode == 1
    assert "create it with `spikeinterface-cloud infra up --stack nowhere`" in done.stderr


@pytest.mark.parametrize("laptop", CASES[:1], ids=str, indirect=True)
def test_bash_completes_the_command(laptop: Laptop) -> None:
    script = (
        'eval "$(_SPIKEINTERFACE_CLOUD_COMPLETE=bash_source spikeinterface-cloud)"; '
        "COMP_WORDS=(spikeinterface-cloud infra s) COMP_CWORD=2; "
        '_spikeinterface_cloud_completion spikeinterface-cloud; echo "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "-c", script],  # noqa: S607
        env={"PATH": f"{Path(laptop.program[0]).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "status\n"
