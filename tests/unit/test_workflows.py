"""The workflows on GitHub: what they may do, what they run, and where it comes from."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.release_notes import release_notes

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def jobs(file: Path) -> dict[str, dict[str, Any]]:
    """Return the jobs of a workflow by name."""
    parsed: dict[str, dict[str, Any]] = yaml.safe_load(file.read_text())["jobs"]
    return parsed


def steps(file: Path) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield each step of a workflow with its job."""
    for job in jobs(file).values():
        for step in job["steps"]:
            yield job, step


def named_targets(job: dict[str, Any], step: dict[str, Any]) -> set[str]:
    """Return the targets that a step makes; `$TARGET` is each that the job's matrix names."""
    names = set(re.findall(r"\bmake \"?([$\w-]+)", step.get("run", "")))
    if "$TARGET" in names:
        matrix = job["strategy"]["matrix"]
        names.remove("$TARGET")
        names |= {*matrix.get("target", ()), *(row["target"] for row in matrix.get("include", ()))}
    return names


def test_there_are_three_workflows() -> None:
    assert [file.stem for file in WORKFLOWS] == ["ci", "docs", "release"]


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_actions_are_pinned_by_commit_with_their_version(file: Path) -> None:
    uses = re.findall(r"uses: (.*)", file.read_text())
    assert uses
    for action in uses:
        assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


def test_each_action_has_one_version() -> None:
    texts = "\n".join(file.read_text() for file in WORKFLOWS)
    pins = set(re.findall(r"uses: (.*)", texts))
    names = [pin.partition("@")[0] for pin in pins]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_permissions_are_given_to_single_jobs(file: Path) -> None:
    assert yaml.safe_load(file.read_text())["permissions"] == {}
    for name, job in jobs(file).items():
        assert job["permissions"], name
        assert job["timeout-minutes"] <= 90, name
        if file.stem == "ci":
            assert job["permissions"] == {"contents": "read"}, name


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_checked_out_token_is_not_left_for_later_steps(file: Path) -> None:
    for _, step in steps(file):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_workflows_make_targets_that_exist(file: Path) -> None:
    made: set[str] = set()
    for job, step in steps(file):
        made |= named_targets(job, step)
    assert made
    assert made <= TARGETS


def test_ci_runs_every_kind_of_test() -> None:
    [ci] = [file for file in WORKFLOWS if file.stem == "ci"]
    made = {target for job, step in steps(ci) for target in named_targets(job, step)}
    assert made == {
        *("lint", "test-laptop", "test-unit", "test-integration", "test-e2e"),
        *("image", "image-gpu"),
    }


def test_ci_tests_the_laptop_on_every_python_that_the_package_names() -> None:
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    names = "\n".join(classifiers)
    named = re.findall(r"^Programming Language :: Python :: (\d\.\d+)$", names, re.MULTILINE)
    [ci] = [file for file in WORKFLOWS if file.stem == "ci"]
    laptop = jobs(ci)["laptop"]
    assert laptop["strategy"]["matrix"]["python"] == named
    assert any(named_targets(laptop, step) == {"test-laptop"} for step in laptop["steps"])


def test_release_needs_everything_that_it_publishes() -> None:
    [release] = [file for file in WORKFLOWS if file.stem == "release"]
    assert jobs(release)["publish"]["needs"] == ["wheel", "image"]
    assert jobs(release)["image"]["needs"] == "wheel"


# ----- notes of a release ------------------------------------------------------------------------

CHANGELOG = """# Changelog

## Unreleased

- Next.

## 0.1.0 (2026-11-28)

### The job

- It sorts.

## 0.0.9 (2026-01-01)

- Before.
"""


def test_notes_of_a_release_are_its_section_of_the_changelog() -> None:
    assert release_notes("v0.1.0", "0.1.0", CHANGELOG) == "### The job\n\n- It sorts.\n"


@pytest.mark.parametrize(
    ("tag", "changelog", "reason"),
    [
        ("v0.2.0", CHANGELOG, "the tag is v0.2.0, but the package is version 0.1.0"),
        ("0.1.0", CHANGELOG, "the tag is 0.1.0, but"),
        ("v0.1.0", "## 0.1.0\n\n- Undated.\n", "no section about 0.1.0 with its date"),
        ("v0.1.0", "## Unreleased\n\n- All of it.\n", "no section about 0.1.0 with its date"),
    ],
)
def test_tag_without_its_version_and_dated_notes_is_refused(
    tag: str, changelog: str, reason: str
) -> None:
    with pytest.raises(SystemExit, match=re.escape(reason)):
        release_notes(tag, "0.1.0", changelog)
