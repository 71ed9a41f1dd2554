"""The folder of a job on scratch, which the next attempt at the same job finds again.

It is named by the job's fingerprint, and private to the job's user. It stays where the job is
interrupted, or killed, and goes where the job ends for good. A lock keeps two processes out of one
folder; what nobody has locked was left by a job that was killed, and is removed when it is old or
its space is needed.
"""

import logging
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from spikeinterface_cloud.errors import Interrupted, TransferError
from spikeinterface_cloud.runtime.folders import LOCK, lock_file
from spikeinterface_cloud.runtime.host import free_disk_bytes
from spikeinterface_cloud.runtime.logging import format_bytes

logger = logging.getLogger(__name__)

#: temporary folders of earlier versions, which had no lock, are called otherwise
PREFIX = "spikeinterface-cloud-job-"

#: digits of the fingerprint in the name
NAME_LENGTH = 16

#: what nobody has used for so long is not waited for any more
KEPT_S = 24 * 3600.0

#: a folder that is younger may be about to be locked
YOUNG_S = 60.0


@contextmanager
def job_scratch(parent: Path | None, fingerprint: str) -> Iterator[Path]:
    """Provide the job's folder in `parent`, or a temporary one if that is None or in use."""
    if parent is not None:
        remove_leftovers(parent, kept=fingerprint)
    with _locked_folder(parent, fingerprint) as folder:
        try:
            yield folder
        except (Interrupted, TransferError):
            if parent is None:
                shutil.rmtree(folder, ignore_errors=True)
            else:
                os.utime(folder)  # its age counts from now
            raise
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked_folder(parent: Path | None, fingerprint: str) -> Iterator[Path]:
    """Provide the folder that this process alone works in."""
    folder, lock = None, None
    if parent is not None:
        folder = parent / _name(fingerprint)
        with suppress(FileExistsError):  # raised even so where it is no folder
            folder.mkdir(mode=0o700, exist_ok=True)
        if not _is_private(folder):
            logger.warning(
                "%s is not used, as it is no folder, or other users may write there", folder
            )
        elif (lock := _lock(folder)) is None:
            logger.info("another process has this job's folder on scratch: this one has its own")
    if folder is None or lock is None:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        lock = _lock(folder)
    if any(path.name != LOCK for path in folder.iterdir()):
        logger.info("an earlier attempt has left files in %s, which are used again", folder)
    try:
        yield folder
    finally:
        if lock is not None:
            os.close(lock)


def remove_leftovers(parent: Path, kept: str = "") -> None:
    """Remove what other jobs have left a day ago or earlier, and log what newer jobs have left."""
    for folder in _leftovers(parent):
        if folder.name == _name(kept):
            continue
        if _age_s(folder) > KEPT_S:
            _remove(folder)
        else:
            logger.info("%s is left of a job that was interrupted or killed", folder)


def make_room(parent: Path, needed_bytes: int, kept: str = "") -> int:
    """Delete folders of killed jobs, oldest first, until there is enough space.

    The folder of the job with the fingerprint `kept` stays. Returns the free bytes.
    """
    for folder in _leftovers(parent):
        if free_disk_bytes(parent) >= needed_bytes:
            break
        if folder.name != _name(kept):
            _remove(folder)
    return free_disk_bytes(parent)


def left_bytes(parent: Path, fingerprint: str) -> int:
    """Return the bytes that an earlier attempt at the job left, which need no download."""
    folder = parent / _name(fingerprint)
    return _size_bytes(folder) if _is_private(folder) else 0


def _name(fingerprint: str) -> str:
    return f"{PREFIX}{fingerprint[:NAME_LENGTH]}"


def _is_own(folder: Path) -> bool:
    """Return whether this is a folder of this user's, and no link to one."""
    return folder.is_dir() and not folder.is_symlink() and folder.stat().st_uid == os.geteuid()


def _is_private(folder: Path) -> bool:
    """Return whether only this user can have written there: what is found there is trusted."""
    return _is_own(folder) and not folder.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)


def _size_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _leftovers(parent: Path) -> list[Path]:
    """Return the folders of jobs that no process has locked, the oldest first."""
    ages_s = {
        path: _age_s(path)
        for path in parent.glob(f"{PREFIX}*")
        if _is_own(path) and not _in_use(path)
    }
    return sorted(ages_s, key=lambda folder: -ages_s[folder])


def _remove(folder: Path) -> None:
    lock = _lock(folder, needed=True)
    if lock is None:  # its job has begun again, or another one is removing it
        return
    try:
        size = _size_bytes(folder)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)
    if not folder.exists():
        logger.info("%s, left by a killed job, is removed (%s)", folder, format_bytes(size))


def _in_use(folder: Path) -> bool:
    if not (folder / LOCK).exists():
        return _age_s(folder) < YOUNG_S
    lock = _lock(folder, needed=True)
    if lock is None:
        return True
    os.close(lock)
    return False


def _lock(folder: Path, *, needed: bool = False) -> int | None:
    """Lock the folder; None where another process, or another user, has it, or has removed it."""
    try:
        return lock_file(folder / LOCK, needed=needed)
    except (PermissionError, FileNotFoundError):
        return None


def _age_s(folder: Path) -> float:
    try:
        return time.time() - folder.stat().st_mtime
    except FileNotFoundError:  # removed by another job meanwhile
        return 0.0
