"""Threads that move bytes, and that a signal handler does not have to wait for.

obstore's calls that wait take half the CPU of those that an event loop awaits. A call that waits
for a server cannot be interrupted, and a job that is stopped has seconds: so these threads are
daemons, asked to stop, and left behind when they do not stop in time.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from typing import TypeVar

Result = TypeVar("Result")

#: seconds to wait for threads to stop
LEAVING_S = 2.0


class Stopped(Exception):
    """The transfer that this was a part of is over."""


class Threads:
    """At most so many threads, started as there is work; `end` them when there will be no more."""

    def __init__(self, most: int, name: str) -> None:
        self._most = most
        self._name = name
        self._started = 0
        self._ended = False
        self._lock = threading.Lock()
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()

    def submit(self, action: Callable[[], Result]) -> Future[Result]:
        """Run `action` in a thread; may be called from any thread. Raises Stopped after `end`."""
        future: Future[Result] = Future()
        with self._lock:
            if self._ended:
                raise Stopped
            self._work.put(lambda: _fulfil(future, action))
            if self._started < self._most:
                self._started += 1
                threading.Thread(target=self._run, name=self._name, daemon=True).start()
        return future

    def end(self) -> None:
        """Let the threads end after what was submitted."""
        with self._lock:
            self._ended = True
            for _ in range(self._started):
                self._work.put(None)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()


def _fulfil(future: Future[Result], action: Callable[[], Result]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = action()
    except BaseException as error:  # whoever waits for the future gets it
        future.set_exception(error)
    else:
        future.set_result(result)


def wait_for_all(futures: Sequence[Future[Result]], stop: threading.Event) -> None:
    """Wait until all are done, one has failed, or a signal handler raises.

    Then `stop` is set, and nothing that still waits is started.

    Threads get a moment to stop. Raises the first failure, other than
    the `Stopped` of those that failed because of it.
    """
    try:
        done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        errors = [error for future in done if (error := future.exception()) is not None]
    finally:
        stop.set()
        for future in futures:
            future.cancel()
        wait(futures, timeout=LEAVING_S)
    if errors:
        raise next((error for error in errors if not isinstance(error, Stopped)), errors[0])


def in_a_thread(action: Callable[[], Result]) -> Result:
    """Run `action` so that a signal handler that raises here does not wait for it."""
    threads = Threads(1, "transfer")
    future = threads.submit(action)
    threads.end()
    return future.result()
