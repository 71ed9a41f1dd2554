"""Signals and Spot notices that stop the job, raised as an exception in its main thread."""

import logging
import os
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType

import psutil

from spikeinterface_cloud.errors import Interrupted

logger = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT)

#: until it is acknowledged, the exception is raised again: Python swallows one that is raised in a
#: finalizer, or in a callback of a compiler
REPEAT_INTERVAL_S = 5.0

#: the exception waits so long for the end of an import: libraries of C++ that are being
#: initialized abort the whole process at an exception (torch does)
LONGEST_IMPORT_S = 10.0
IMPORT_INTERVAL_S = 0.05

#: why a thread of this process requested the stop
_reasons: list[Interrupted] = []


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise `Interrupted` on the first signal, ignore further ones, and kill child processes."""
    interrupt = partial(_interrupt, os.getpid())
    previous = {number: signal.signal(number, interrupt) for number in SIGNALS}
    previous_hook, sys.unraisablehook = sys.unraisablehook, _without_requests
    try:
        yield
    except Interrupted:
        _end_processes()
        raise
    finally:
        acknowledge()
        sys.unraisablehook = previous_hook
        for number, handler in previous.items():
            signal.signal(number, handler)


def request_stop(reason: Interrupted) -> None:
    """Stop the job from another thread, with this exception."""
    _reasons.append(reason)
    os.kill(os.getpid(), signal.SIGTERM)


def acknowledge() -> None:
    """Stop repeating the exception: it has reached the code that handles it."""
    signal.setitimer(signal.ITIMER_REAL, 0)


def ignore_signals() -> None:
    """Ignore further signals for the rest of the program."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _interrupt(owner: int, number: int, frame: FrameType | None) -> None:
    if os.getpid() != owner:  # a worker that was forked with this handler just ends
        os._exit(128 + number)
    ignore_signals()
    reason = (
        _reasons[0]
        if _reasons
        else Interrupted(
            f"stopped by {signal.Signals(number).name}; finished results are published, "
            "run the job again for the rest"
        )
    )
    insist = partial(_insist, reason, time.monotonic() + LONGEST_IMPORT_S)
    signal.signal(signal.SIGALRM, insist)
    insist(number, frame)


def _insist(reason: Interrupted, latest_s: float, _number: int, frame: FrameType | None) -> None:
    """Raise the exception, now and again; after the import that it would break, or at the latest.

    `latest_s` is a time of the monotonic clock, in seconds.
    """
    waits = _imports(frame) and time.monotonic() < latest_s
    interval_s = IMPORT_INTERVAL_S if waits else REPEAT_INTERVAL_S
    signal.setitimer(signal.ITIMER_REAL, interval_s, interval_s)
    if not waits:
        raise reason


def _imports(frame: FrameType | None) -> bool:
    """Tell whether this frame, or one that called it, belongs to Python's import of a module."""
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def _without_requests(unraisable: "sys.UnraisableHookArgs") -> None:
    """Print an exception that Python ignored, except `Interrupted`, which is raised again."""
    if not isinstance(unraisable.exc_value, Interrupted):
        sys.__unraisablehook__(unraisable)


def _end_processes() -> None:
    """Kill the remaining child processes, as a pool interrupted while it forks may forget one."""
    left = _descendants()
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    _, alive = psutil.wait_procs(left, timeout=5)
    for process in alive:
        logger.warning("process %d did not end", process.pid)


def _descendants() -> list[psutil.Process]:
    """Return all children of this process and theirs.

    `psutil.Process.children` leaves out those that seem older than this process, which they do
    when the system's clock is set back meanwhile.
    """
    by_parent = defaultdict(list)
    for process in psutil.process_iter(["ppid"]):
        by_parent[process.info["ppid"]].append(process)
    found, parents = [], [os.getpid()]
    while parents:
        children = by_parent[parents.pop()]
        found += children
        parents += [child.pid for child in children]
    return found
