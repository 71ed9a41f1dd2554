"""One sorter ahead: while the job works on the units of one, a thread waits for the next.

Signals arrive in the main thread, which ends the thread's work with the process that it waits for.
"""

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import partial
from typing import TypeVar

from spikeinterface_cloud.errors import Interrupted
from spikeinterface_cloud.storage.thread_pool import LEAVING_S, Stopped, Threads

Item = TypeVar("Item")
Prepared = TypeVar("Prepared")


@contextmanager
def one_ahead(
    prepare: Callable[[Item], Prepared],
    items: Sequence[Item],
    may_overlap: Callable[[Item], bool],
) -> Iterator[Iterator[tuple[Item, Prepared]]]:
    """Iterate over the items, each with what `prepare` made of it in a thread, one at a time.

    The first item is prepared from the start, and the next one while the block works on this one;
    or when its turn comes, if `may_overlap` is false for it. What `prepare` raises is raised when
    the turn of its item comes. When the block is left, what is under way ends: at once where it
    waits for a process, else by itself.
    """
    stop = _Stop()
    threads = Threads(1, "sorter")
    begun: list[Future[Prepared]] = []

    def begin(item: Item) -> Future[Prepared]:
        begun.append(threads.submit(partial(_prepare, stop, prepare, item)))
        return begun[-1]

    def begin_early(place: int) -> Future[Prepared] | None:
        if place < len(items) and may_overlap(items[place]):
            return begin(items[place])
        return None

    def in_turn(following: Future[Prepared] | None) -> Iterator[tuple[Item, Prepared]]:
        for place, item in enumerate(items):
            prepared = (following or begin(item)).result()
            following = begin_early(place + 1)
            yield item, prepared

    try:
        yield in_turn(begin_early(0))
    finally:
        stop.stop()
        threads.end()
        # a job that is interrupted publishes its log and its record first
        wait(begun, timeout=LEAVING_S if isinstance(sys.exception(), Interrupted) else None)


def _prepare(stop: "_Stop", prepare: Callable[[Item], Prepared], item: Item) -> Prepared:
    _current.set(stop)
    return prepare(item)


@contextmanager
def ended_early(end: Callable[[], None]) -> Iterator[None]:
    """Call `end`, from the main thread, if the block still waits for something as the job ends.

    Raises Stopped where the job is ending.
    """
    stop = _current.get()
    if stop is None:
        yield
        return
    with stop.waiting(end):
        yield


class _Stop:
    """Ends what a thread waits for, and keeps it from beginning anything after that."""

    def __init__(self) -> None:
        self._over = False
        self._end: Callable[[], None] | None = None
        self._lock = threading.Lock()

    def stop(self) -> None:
        """End what the thread waits for; to be called from another thread."""
        with self._lock:
            self._over = True
            if self._end is not None:
                with suppress(ProcessLookupError):
                    self._end()

    @contextmanager
    def waiting(self, end: Callable[[], None]) -> Iterator[None]:
        """Let `stop` call `end` while the block runs; raise Stopped once it was called."""
        self._set(end)
        try:
            yield
        finally:
            self._set(None)

    def _set(self, end: Callable[[], None] | None) -> None:
        with self._lock:
            self._end = end
            if self._over:
                raise Stopped


_current: ContextVar[_Stop | None] = ContextVar("stop", default=None)
