"""Compiled functions are cached, and taken from the image where the machine can run them."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

#: a package that one process after the other imports in place of SpikeInterface
FUNCTION = """
import numba

@numba.jit(nopython=True)
def doubled(value):
    return 2 * value
"""

CALL = """
import json
from spikeinterface_cloud.runtime.numba_cache import enable_numba_cache
enable_numba_cache()
from spikeinterface import doubled
values = [doubled(4), doubled(0.5)] if {both} else [doubled(4)]
print(json.dumps([*values, sum(doubled.stats.cache_hits.values())]))
"""

CHOOSE = """
import os, pathlib, sys
from spikeinterface_cloud.runtime.numba_cache import use_cache_of_image
use_cache_of_image(*map(pathlib.Path, sys.argv[1:]))
from numba import config
print(config.CPU_NAME, repr(config.CPU_FEATURES))
"""

V3 = "flags\t\t: fpu sse2 abm avx avx2 bmi1 bmi2 f16c fma movbe xsave\n"


def run(program: str, *arguments: object, environment: Mapping[str, str]) -> str:
    """Return what a program prints that has no other variables, and no folder of the user."""
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        env={
            "PATH": os.environ["PATH"],
            "HOME": "/dev/null",
            "PYTHONDONTWRITEBYTECODE": "1",
            **environment,
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


class Package:
    """A package with one function that is compiled, and the folder of its cache."""

    def __init__(self, folder: Path) -> None:
        self.cache = folder / "cache"
        self.module = folder / "modules/spikeinterface/__init__.py"
        self.module.parent.mkdir(parents=True)
        self.module.write_text(FUNCTION)
        self.give_version("1.0")

    def give_version(self, version: str) -> None:
        """Let the package be of this version, as pip would."""
        info = self.module.parents[1] / "spikeinterface-0.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: spikeinterface\nVersion: {version}\n"
        )

    def call(self, *, both: bool = False) -> list[float]:
        """Return the function of 4 in a new process, and how often the cache had it.

        With `both`, the function of 0.5 comes second.
        """
        path = f"{self.module.parents[1]}{os.pathsep}{ROOT}"
        environment = {"PYTHONPATH": path, "NUMBA_CACHE_DIR": str(self.cache)}
        found: list[float] = json.loads(
            run(CALL.replace("{both}", str(both)), environment=environment)
        )
        return found

    def files(self, suffix: str) -> list[Path]:
        """Return the files of the cache."""
        return sorted(self.cache.rglob(f"*.{suffix}"))


@pytest.fixture
def package(tmp_path: Path) -> Package:
    return Package(tmp_path)


def test_second_process_finds_the_function(package: Package) -> None:
    assert [package.call(), package.call()] == [[8, 0], [8, 1]]


def test_changed_function_is_compiled_again(package: Package) -> None:
    package.call()
    package.module.write_text(FUNCTION.replace("2 *", "3 *"))
    assert [package.call(), package.call()] == [[12, 0], [12, 1]]


def test_another_version_is_compiled_again(package: Package) -> None:
    """Functions that it calls may have changed in another file."""
    package.call()
    package.give_version("1.1")
    assert [package.call(), package.call()] == [[8, 0], [8, 1]]


@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
@pytest.mark.parametrize("content", [b"", b"\x80\x04garbage"])
def test_damaged_file_is_not_used(package: Package, suffix: str, content: bytes) -> None:
    package.call()
    [file] = package.files(suffix)
    file.write_bytes(content)
    assert [package.call(), package.call()] == [[8, 0], [8, 1]]


def test_function_for_other_types_is_not_used(package: Package) -> None:
    """As two processes leave it that take the same file for what they save."""
    assert package.call(both=True) == [8, 1.0, 0]
    first, second = package.files("nbc")
    second.write_bytes(first.read_bytes())
    assert package.call(both=True)[:2] == [8, 1.0]
    assert package.call(both=True)[:2] == [8, 1.0]  # the index was written anew
    assert package.call(both=True) == [8, 1.0, 2]


def test_package_from_git_is_not_cached(package: Package) -> None:
    info = package.module.parents[1] / "spikeinterface-0.dist-info"
    (info / "direct_url.json").write_text('{"url": "https://example.org/repository"}')
    assert [package.call(), package.call()] == [[8, 0], [8, 0]]


def test_folder_that_cannot_be_written_costs_nothing_else(package: Package) -> None:
    package.cache.write_text("a file in place of the folder")
    # then Numba tries the folder of the module and that of the user
    (package.module.parent / "__pycache__").write_text("")
    assert package.call() == [8, 0]


def test_functions_of_the_image_are_copied(tmp_path: Path) -> None:
    filled, cache, cpuinfo = tmp_path / "image", tmp_path / "home/numba", tmp_path / "cpuinfo"
    (filled / "core").mkdir(parents=True)
    (filled / "core/function.nbi").write_text("index")
    cpuinfo.write_text(V3)
    environment = {"PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(cache)}
    for _ in range(2):
        printed = run(CHOOSE, filled, cpuinfo, environment=environment)
        assert printed == "x86-64-v3 ''"
        assert (cache / "core/function.nbi").read_text() == "index"
        assert [entry.name for entry in cache.parent.iterdir()] == ["numba"]


@pytest.mark.parametrize("missing", ["avx2", "fma"])
def test_older_machine_compiles_for_itself(tmp_path: Path, missing: str) -> None:
    filled, cache, cpuinfo = tmp_path / "image", tmp_path / "numba", tmp_path / "cpuinfo"
    (filled / "core").mkdir(parents=True)
    cpuinfo.write_text(V3.replace(f" {missing} ", " "))
    environment = {"PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(cache)}
    assert run(CHOOSE, filled, cpuinfo, environment=environment).startswith("None")
    assert not cache.exists()


def test_empty_cache_of_an_image_is_not_used(tmp_path: Path) -> None:
    """It was built on a machine that lacks the instructions."""
    filled, cpuinfo = tmp_path / "image", tmp_path / "cpuinfo"
    filled.mkdir()
    cpuinfo.write_text(V3)
    environment = {"PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(tmp_path / "numba")}
    assert run(CHOOSE, filled, cpuinfo, environment=environment).startswith("None")


def test_without_an_image_nothing_is_chosen(tmp_path: Path) -> None:
    environment = {"PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(tmp_path / "numba")}
    assert run(CHOOSE, tmp_path / "none", environment=environment).startswith("None")
