"""What workers that are forked from this process must not inherit of its other threads.

A lock that another thread holds at that moment stays locked in the worker for ever, such as Numba's
while it compiles; the end of a pipe stays open until the worker has ended too.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

#: held by a thread while nothing may be forked; other threads wait with their workers
_no_forks = threading.RLock()

#: file descriptors that are closed in a worker
_own: set[int] = set()


@contextmanager
def without_forks() -> Iterator[None]:
    """Let no other thread fork while the block runs."""
    with _no_forks:
        yield


@contextmanager
def not_inherited(descriptor: int) -> Iterator[None]:
    """Keep an open file from workers that are forked while the block runs."""
    _own.add(descriptor)
    try:
        yield
    finally:
        _own.discard(descriptor)


def _give_up_own_files() -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in _own:
        os.dup2(nothing, descriptor)
    os.close(nothing)


def _allow() -> None:
    with suppress(RuntimeError):  # a signal handler that raised has ended the wait for the lock
        _no_forks.release()


def _in_worker() -> None:
    _give_up_own_files()
    _allow()


os.register_at_fork(before=_no_forks.acquire, after_in_parent=_allow, after_in_child=_in_worker)
