"""The two places that a job works in: results, which stay, and scratch, which goes."""

import errno
import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from spikeinterface_cloud.config.locations import ARCHIVE, LocalFolder, Source, locations_of
from spikeinterface_cloud.errors import SettingsError, TargetError, UnavailableError
from spikeinterface_cloud.runtime.disk import room_for_results

#: where a container has its volumes
CONTAINER_RESULTS = Path("/results")
CONTAINER_SCRATCH = Path("/scratch")

#: in a folder that one process has for itself
LOCK = ".lock"

#: what a lock is refused with that another process has
LOCKED = frozenset({errno.EACCES, errno.EAGAIN})


def chosen_results(chosen: Path | None) -> Path:
    """Return the results folder: the chosen one, `/results` in the container, else `./results`."""
    folder = chosen or (CONTAINER_RESULTS if CONTAINER_RESULTS.is_dir() else Path("results"))
    return folder.absolute()


def open_results_folder(chosen: Path | None) -> Path:
    """Make the results folder: the chosen one, `/results` in the container, else `./results`."""
    folder = chosen_results(chosen)
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


def check_apart(results_folder: Path, source: Source) -> None:
    """Refuse a results folder among the files of the source (78)."""
    for location in locations_of(source):
        if isinstance(location, LocalFolder):
            _check_apart(results_folder, location)


def _check_apart(results_folder: Path, source: LocalFolder) -> None:
    # unlike those of pathlib, these functions never raise: the check of the source says more
    path, results = (Path(os.path.realpath(each)) for each in (source.path, results_folder))
    is_beside = os.path.isfile(path) and results == path.parent  # noqa: PTH113
    if path.is_relative_to(results / ARCHIVE):
        raise SettingsError(
            f"RESULTS_FOLDER: {results_folder} holds the source as its {ARCHIVE}, which a job may "
            "replace; name another folder"
        )
    if is_beside or results.is_relative_to(path):
        raise SettingsError(
            f"RESULTS_FOLDER: {results_folder} is in the source itself, which results must not be "
            "mixed with; name another folder"
        )


def chosen_scratch(chosen: Path | None) -> Path | None:
    """Return the scratch folder of jobs: the chosen one, or `/scratch` in the container.

    None means that each job needs a temporary folder.
    """
    return chosen or (CONTAINER_SCRATCH if CONTAINER_SCRATCH.is_dir() else None)


def open_scratch(chosen: Path | None) -> Path | None:
    """Make the folder that jobs have their scratch in; None where there is none."""
    parent = chosen_scratch(chosen)
    try:
        if parent is not None:
            parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=parent):
            pass
    except OSError as error:
        raise UnavailableError(
            f"SCRATCH_FOLDER: {parent or tempfile.gettempdir()} cannot be written "
            f"({error.strerror}); name another folder, or give this user the right to write there"
        ) from error
    return parent


@contextmanager
def for_one_job(results_folder: Path) -> Iterator[None]:
    """Keep every other job out of the results folder while the block runs (else 73)."""
    file = results_folder / LOCK
    try:
        with room_for_results(file):
            lock = _lock_current(file)
    except PermissionError:  # of a job of another user
        lock = _lock_of_another_user(file)
    except OSError as error:  # a folder or a link has its name
        raise TargetError(
            f"RESULTS_FOLDER: {file} cannot be opened ({error.strerror}); remove it, or give this "
            "job a folder of its own"
        ) from error
    if lock is None:
        raise TargetError(
            f"RESULTS_FOLDER: another job is writing to {results_folder}; wait until that has "
            "ended, or give this job a folder of its own"
        )
    try:
        yield
    finally:
        file.unlink(missing_ok=True)
        os.close(lock)


def _lock_current(file: Path) -> int | None:
    """Lock the file of this name; one that another job has removed since it was opened is none."""
    while True:
        lock = lock_file(file)
        if lock is None:
            return None
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(lock), file.stat()):
                return lock
        os.close(lock)


def _lock_of_another_user(file: Path) -> int | None:
    """Lock a file in the place of one that a killed job has left; None where that job runs."""
    try:
        with suppress(FileNotFoundError), file.open("rb") as stream:
            try:  # takes no right to write; nobody else locks the file until it is removed
                fcntl.lockf(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno in LOCKED:
                    return None
            file.unlink()
    except OSError as error:
        raise TargetError(
            f"RESULTS_FOLDER: {file} is another user's; remove it, or give this job a folder of "
            "its own"
        ) from error
    return _lock_current(file)


def lock_file(file: Path, *, needed: bool = False) -> int | None:
    """Create and lock a file; return the descriptor to close, or None if another process has it.

    The lock ends with this process; workers that outlive it do not inherit it. On file systems
    without locks, the file counts as locked if a lock is `needed`, else as free.
    """
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if needed or error.errno in LOCKED:
            os.close(descriptor)
            return None
    return descriptor
