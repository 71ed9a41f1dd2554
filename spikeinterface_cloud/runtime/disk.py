"""A disk that is full, too small or may not be written: one line and the right exit code."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spikeinterface_cloud.errors import UnavailableError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

#: scratch space by the size of the samples: the preprocessed copy, and the files of sorters and
#: analyzer
WRITTEN_FACTOR = 1.3

#: the same and the files that are fetched, where these are as large as the samples
DISK_FACTOR = 1 + WRITTEN_FACTOR

#: space for the archive of the recording, by the size of the samples: compression rarely does worse
ARCHIVE_FACTOR = 0.7

#: a disk with less than that is full
FULL_BELOW_BYTES = 1024 * 1024


def same_disk(first: Path, second: Path) -> bool:
    """Return whether two paths, which need not exist, are on the same disk."""
    existing = (
        next(each for each in (path, *path.parents) if each.exists())
        for path in (first.absolute(), second.absolute())
    )
    return len({path.stat().st_dev for path in existing}) == 1


class NoRoom(UnavailableError):
    """A disk is full or too small (69); scratch, unless `what` says otherwise."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}; give the job more scratch space (SCRATCH_FOLDER)")
        self.what = what


@contextmanager
def disk_errors(file: Path) -> Iterator[None]:
    """Turn a full or unwritable disk into UnavailableError."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise NoRoom(f"the disk is full: {file} could not be written") from error
        if isinstance(error, PermissionError) or error.errno == errno.EROFS:
            raise UnavailableError(
                f"{file} may not be written; give a SCRATCH_FOLDER that the job's user can write to"
            ) from error
        if isinstance(error, FileExistsError | NotADirectoryError):
            raise UnavailableError(
                f"{file} needs a folder where there is a file; remove it, or give another folder"
            ) from error
        raise


@contextmanager
def room_for_results(path: Path) -> Iterator[None]:
    """Turn a full disk into UnavailableError while `path` in the results is written."""
    remedy = "give RESULTS_FOLDER a disk with more space"
    with full_disk(path, f"the disk of the results is full: {path} could not be written; {remedy}"):
        yield


@contextmanager
def full_disk(path: Path, message: str) -> Iterator[None]:
    """Turn a full disk into UnavailableError with this message while `path` is written."""
    try:
        yield
    except OSError as error:
        if not _is_full(error, path):
            raise
        raise UnavailableError(message) from error


def _is_full(error: OSError, path: Path) -> bool:
    """Return whether the disk was full; numpy's error gives no reason."""
    if error.errno is not None:
        return error.errno in FULL
    there = next(parent for parent in (path, *path.parents) if parent.exists())
    return shutil.disk_usage(there).free < FULL_BELOW_BYTES
