"""Every package that is installed is pinned: those that are listed, and those that they bring."""

import tomllib
from collections.abc import Iterator
from importlib.metadata import requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
CONSTRAINTS = ROOT / "requirements" / "constraints.txt"

#: lists for environments of their own, and one that is not a list of packages
APART = {"constraints.txt", "audit.txt", "audit-findings.txt"}
LISTS = [
    ROOT / "requirements.txt",
    *sorted(path for path in (ROOT / "requirements").glob("*.txt") if path.name not in APART),
]

#: a GPU build and a CPU build have different names; its own pin is in requirements/gpu.txt
LEFT_OUT = "torch"


def read(file: Path) -> Iterator[Requirement]:
    """The packages that a file names."""
    for line in file.read_text().splitlines():
        named = line.split("#")[0].strip()
        if named and not named.startswith("-"):
            yield Requirement(named)


def declared(extra: str | None = None) -> dict[str, Requirement]:
    """What pyproject.toml says that the program needs, or one of its extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    texts = project["dependencies"] if extra is None else project["optional-dependencies"][extra]
    return {needed.name: needed for needed in map(Requirement, texts)}


def pinned(requirement: Requirement) -> str:
    """The one version that a requirement allows."""
    [specifier] = requirement.specifier
    assert specifier.operator == "==", f"{requirement} is not pinned"
    return specifier.version


def pins_here() -> dict[str, str]:
    """What the constraints pin on this machine."""
    return {
        canonicalize_name(requirement.name): pinned(requirement)
        for requirement in read(CONSTRAINTS)
        if requirement.marker is None or requirement.marker.evaluate()
    }


def brought_along(listed: Requirement) -> Iterator[Requirement]:
    """What an installed package needs, and what that needs, and so on."""
    waiting = [listed]
    seen = set()
    while waiting:
        package = waiting.pop()
        for text in requires(package.name) or ():
            needed = Requirement(text)
            extras = package.extras or {""}
            wanted = needed.marker is None or any(
                needed.marker.evaluate({"extra": extra}) for extra in extras
            )
            if (
                wanted
                and (key := (canonicalize_name(needed.name), *sorted(needed.extras))) not in seen
            ):
                seen.add(key)
                waiting.append(needed)
                yield needed


@pytest.mark.parametrize("file", LISTS, ids=lambda file: file.name)
def test_a_list_and_the_constraints_agree(file: Path) -> None:
    pins = pins_here()
    for requirement in read(file):
        if requirement.name != LEFT_OUT:
            assert pins[canonicalize_name(requirement.name)] == pinned(requirement)


def test_what_the_listed_packages_bring_is_pinned_and_installed_as_pinned() -> None:
    pins = pins_here()
    listed = [*read(ROOT / "requirements.txt"), *read(ROOT / "requirements" / "test.txt")]
    names = {
        canonicalize_name(needed.name) for package in listed for needed in brought_along(package)
    }
    assert len(names) > 100
    for name in names - {LEFT_OUT}:
        assert Version(version(name)) == Version(pins[name]), name


@pytest.mark.parametrize(
    ("extra", "file"), [(None, "submit.txt"), ("dandi", "submit-dandi.txt")], ids=["-", "dandi"]
)
def test_pinned_packages_of_the_laptop_lie_within_the_ranges_that_pip_accepts(
    extra: str | None, file: str
) -> None:
    ranges = declared(extra)
    listed = {needed.name: needed for needed in read(ROOT / "requirements" / file)}
    brought = {needed.name for package in ranges.values() for needed in brought_along(package)}
    assert listed.keys() - brought <= ranges.keys() <= listed.keys()
    for name, needed in ranges.items():
        assert {part.operator for part in needed.specifier} == {">=", "<"}, needed
        assert pinned(listed[name]) in needed.specifier


@pytest.mark.parametrize(
    ("extra", "file"), [("container", "requirements.txt"), ("gpu", "requirements/gpu.txt")]
)
def test_extra_installs_the_versions_of_the_image(extra: str, file: str) -> None:
    listed = {str(needed) for needed in read(ROOT / file)}
    assert listed == {str(needed) for needed in declared(extra).values() if needed.specifier}


def test_gpu_extra_includes_the_container() -> None:
    assert declared("gpu")["spikeinterface-cloud"].extras == {"container"}


def test_laptop_has_what_profiles_of_aws_login_need() -> None:
    assert "awscrt" in {needed.name for needed in brought_along(declared()["boto3"])}
