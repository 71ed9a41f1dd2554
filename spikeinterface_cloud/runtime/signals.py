"""Signals and Spot notices that stop the job, raised as an exception in its main thread."""

import logging
import os
import signal
import sys
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


def _interrupt(owner: int, number: int, _frame: FrameType | None) -> None:
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
    signal.signal(signal.SIGALRM, partial(_insist, reason))
    signal.setitimer(signal.ITIMER_REAL, REPEAT_INTERVAL_S, REPEAT_INTERVAL_S)
    raise reason


def _without_requests(unraisable: "sys.UnraisableHookArgs") -> None:
    """Print an exception that Python ignored, except `Interrupted`, which is raised again."""
    if not isinstance(unraisable.exc_value, Interrupted):
        sys.__unraisablehook__(unraisable)


def _insist(reason: Interrupted, _number: int, _frame: FrameType | None) -> None:
    raise reason


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
