"""The surroundings of a job: an empty working folder, and an environment without its secrets.

A recording's file may name files of the host by paths that count from the working folder, and child
processes, such as sorters, can read the environment that the job was started with.
"""

import ctypes
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import chdir, contextmanager
from pathlib import Path

#: the job works there, in its folder on scratch
WORKING_FOLDER = "empty"

#: the names of variables that hold paths, or lists of paths
NAMES_PATHS = re.compile("(BUNDLE|DIR|FILE|FOLDER|HOME|PATH)$")


def forget_secrets(names: Iterable[str]) -> None:
    """Remove variables from the environment, and their values from `/proc/PID/environ`."""
    getenv = ctypes.CDLL(None).getenv
    getenv.restype = ctypes.c_void_p
    for name in names:
        if value := os.environ.get(name):
            if address := getenv(os.fsencode(name)):
                ctypes.memset(address, 0, len(os.fsencode(value)))
            del os.environ[name]


@contextmanager
def empty_working_folder(scratch: Path) -> Iterator[None]:
    """Work in an empty folder; relative paths in the environment become absolute before."""
    _make_paths_absolute()
    folder = scratch / WORKING_FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    with chdir(folder):
        yield


@contextmanager
def temporary_working_folder() -> Iterator[None]:
    """Work in an empty folder, without a `.env` that child processes would read."""
    with tempfile.TemporaryDirectory() as folder, empty_working_folder(Path(folder)):
        yield


def _make_paths_absolute() -> None:
    for name, value in os.environ.items():
        if NAMES_PATHS.search(name):
            paths = [_absolute(path) for path in value.split(os.pathsep)]
            os.environ[name] = os.pathsep.join(paths)


def _absolute(path: str) -> str:
    return str(Path(path).absolute()) if path and Path(path).exists() else path
