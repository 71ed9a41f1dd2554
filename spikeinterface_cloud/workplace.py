"""The two folders that a job works in: results, which stay, and scratch, which goes."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spikeinterface_cloud.errors import TargetError, UnavailableError

#: where a container has its volumes
CONTAINER_RESULTS = Path("/results")
CONTAINER_SCRATCH = Path("/scratch")


def open_results_folder(chosen: Path | None) -> Path:
    """Make the results folder: the chosen one, `/results` in the container, else `./results`.

    Raises
    ------
    TargetError
        it cannot be made or written
    """
    folder = chosen or (CONTAINER_RESULTS if CONTAINER_RESULTS.is_dir() else Path("results"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise TargetError(
            f"RESULTS_FOLDER: {folder} cannot be written ({error.strerror}); "
            "name another folder, or give this user the right to write there"
        ) from error
    return folder


@contextmanager
def scratch_folder(chosen: Path | None) -> Iterator[Path]:
    """A folder of this job's own on scratch, removed in the end.

    Raises
    ------
    UnavailableError
        scratch cannot be written
    """
    parent = chosen or (CONTAINER_SCRATCH if CONTAINER_SCRATCH.is_dir() else None)
    try:
        if parent is not None:
            parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="spikeinterface-cloud-", dir=parent))
    except OSError as error:
        raise UnavailableError(
            f"SCRATCH_FOLDER: {parent or tempfile.gettempdir()} cannot be written "
            f"({error.strerror}); name another folder, or give this user the right to write there"
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
