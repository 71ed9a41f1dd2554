"""What CONTRIBUTING, .env.example and the other files at the top say is there, and works."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import dotenv
import pytest
import yaml

from spikeinterface_cloud import __version__
from spikeinterface_cloud.config.settings import JobSettings, variable_names
from submit_job import program

ROOT = Path(__file__).parents[2]
PAGES = {name: (ROOT / name).read_text() for name in ("CONTRIBUTING.md", "SECURITY.md")}
TARGETS = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
EXAMPLE = (ROOT / ".env.example").read_text()

#: groups of .env.example that are examples of the one source
SOURCES = (
    ("AWS_S3_BUCKET", "AWS_S3_BUCKET_FOLDER"),
    ("DANDISET_S3_FILE_URL",),
    ("SOURCE_FOLDER",),
    ("TEST_WITH_TOY_RECORDING",),
)


def code(page: str) -> Iterator[str]:
    """Yield what stands between backticks, and each line of the blocks."""
    yield from re.findall(r"(?<!`)`([^`\n]+)`(?!`)", page)
    for block in re.findall(r"```bash\n(.*?)```", page, re.DOTALL):
        yield from block.splitlines()


# ----- CONTRIBUTING and SECURITY -----------------------------------------------------------------


@pytest.mark.parametrize("name", PAGES)
def test_targets_that_pages_name_exist(name: str) -> None:
    named = {
        target for text in code(PAGES[name]) for target in re.findall(r"^make ([a-z0-9-]+)", text)
    }
    assert named
    assert named <= TARGETS


def test_every_kind_of_test_is_explained() -> None:
    kinds = {target for target in TARGETS if target == "test" or target.startswith("test-")}
    assert kinds <= set(re.findall(r"`make ([a-z0-9-]+)", PAGES["CONTRIBUTING.md"]))


@pytest.mark.parametrize("name", PAGES)
def test_paths_that_pages_name_exist(name: str) -> None:
    others = (".venv/", "tools.", "v0.1.0", "run.json", "python3.")
    named = [
        path
        for text in code(PAGES[name])
        for path in re.findall(r"(?:^|\s)(\.?[\w-]+(?:[./][\w.-]*)+)", text)
        if not path.startswith(others)
    ]
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_programs_that_pages_start_are_installed() -> None:
    started = [text for page in PAGES.values() for text in code(page) if ".venv/bin/" in text]
    assert len(started) >= 3
    for text in started:
        program_name = re.search(r"\.venv/bin/([\w-]+)", text)
        assert program_name is not None
        assert shutil.which(program_name[1], path=Path(sys.executable).parent), text
        for module in re.findall(r"-m (tools\.\w+)", text):
            assert (ROOT / module.replace(".", "/")).with_suffix(".py").is_file(), text


def test_make_knows_what_each_target_needs() -> None:
    command = ["make", "--dry-run", *sorted(TARGETS)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# ----- CITATION ----------------------------------------------------------------------------------


def test_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert str(citation["version"]) == __version__
    assert citation["license"] == project["license"]


# ----- .env.example ------------------------------------------------------------------------------


def examples() -> dict[str, str]:
    """Return the variables of .env.example, as they are once the # before them are removed."""
    text = re.sub(r"^#(?=[A-Z_0-9]+=)", "", EXAMPLE, flags=re.MULTILINE)
    read = dotenv.dotenv_values(stream=io.StringIO(text))
    assert None not in read.values()
    return {name: value or "" for name, value in read.items()}


def test_copied_example_sets_nothing() -> None:
    assert dotenv.dotenv_values(stream=io.StringIO(EXAMPLE)) == {}


def test_example_has_every_setting_but_what_submission_writes() -> None:
    settings = set(variable_names())
    of_submission = {
        str(parameter.envvar)
        for command in program.commands.values()
        for parameter in command.params
        if parameter.envvar
    }
    named = set(examples())
    assert named >= settings - {"MANIFEST_URL"}
    assert named <= settings | of_submission | {"AWS_PROFILE"}


@pytest.mark.parametrize("source", SOURCES, ids=lambda names: names[0])
def test_values_of_the_example_are_accepted(source: tuple[str, ...]) -> None:
    others = {name for names in SOURCES if names != source for name in names}
    left_out = others | {"TARGET_DANDISET", "ARCHIVE", "STREAMS", "AWS_PROFILE"}
    env = {
        name: value
        for name, value in examples().items()
        if name not in left_out and not name.startswith("SPIKEINTERFACE_CLOUD_")
    }
    if source not in (("AWS_S3_BUCKET", "AWS_S3_BUCKET_FOLDER"), ("SOURCE_FOLDER",)):
        del env["DATA_TYPE"], env["READ_RECORDING_KWARGS"]  # of SpikeGLX
    if source == ("TEST_WITH_TOY_RECORDING",):
        for name in ("PROBE_FILE", "CLOCK", "CLOCK_LINE", "EVENTS"):  # it is one stream
            del env[name]
    assert JobSettings.from_env(env).sorters == ("kilosort4", "spykingcircus2")


# ----- hooks -------------------------------------------------------------------------------------


def test_commit_hooks_refuse_what_ruff_refuses(tmp_path: Path) -> None:
    for name in (".pre-commit-config.yaml", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    (tmp_path / "module.py").write_text("import os\nx = {'a':1}\n")
    git = ["git", "-c", "core.hooksPath=", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "add", "module.py", ".pre-commit-config.yaml"], check=True)
    done = subprocess.run(
        [sys.executable, "-m", "pre_commit", "run"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert re.findall(r"^(ruff \w+)\.*Failed", done.stdout, re.MULTILINE) == [
        "ruff check",
        "ruff format",
    ]
    assert "`os` imported but unused" in done.stdout
