"""Shared memory of any size: in files on scratch where `/dev/shm` is too small for it.

SpikeInterface and its sorters share templates, waveforms, and even the whole filtered recording
with their workers through `multiprocessing.shared_memory`, however large `/dev/shm` is. A
container that asks for no more has 64 MiB there, and who writes beyond is killed by SIGBUS.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import shared_memory
from pathlib import Path

from spikeinterface_cloud.runtime.host import shared_memory_bytes, usable_memory_bytes

#: of the memory: Linux gives `/dev/shm` a half, and SpikeInterface shares no more than that
ENOUGH_PART = 0.45


@contextmanager
def shared_memory_of_any_size(folder: Path) -> Iterator[None]:
    """Put the shared memory of this process, and of the workers that it forks, where there is room.

    Pages of a file on scratch can leave the memory, those of `/dev/shm` cannot. What is shared is
    to be given back within the block.

    Parameters
    ----------
    folder
        on scratch; made if it is needed, and left to who removes scratch
    """
    if is_large_enough():
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    # Python has no setting for the place, and takes these two calls by this name
    of_the_system = shared_memory._posixshmem  # type: ignore[attr-defined]
    shared_memory._posixshmem = _Files(folder)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        shared_memory._posixshmem = of_the_system  # type: ignore[attr-defined]


def is_large_enough() -> bool:
    """Whether `/dev/shm` holds whatever may be shared on this machine."""
    return shared_memory_bytes() >= ENOUGH_PART * usable_memory_bytes()


class _Files:
    """The system's calls for shared memory, on files in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def shm_open(self, path: str, flags: int, mode: int = 0o600) -> int:
        """Open what `path` names; a descriptor that no program started from here inherits."""
        return os.open(self._file(path), flags | os.O_CLOEXEC, mode)

    def shm_unlink(self, path: str) -> None:
        """Remove it; who has it mapped keeps it."""
        self._file(path).unlink()

    def _file(self, path: str) -> Path:
        return self._folder / path.removeprefix("/")
