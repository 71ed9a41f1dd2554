"""A request to stop (SIGTERM from Batch or Docker, Ctrl-C, the notice that the machine is taken
back) becomes an exception in the story."""

import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType

import psutil

from spikeinterface_cloud.errors import Interrupted

logger = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT)

#: until it is noticed, the exception is raised anew: where it first came, as in a callback of a
#: compiler or in a finalizer, Python may have had to swallow it
REPEATED_S = 5.0

#: what a thread of this process has asked to be stopped for
_reasons: list[Interrupted] = []


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise `Interrupted` on the first request to stop; more of them do not disturb the way out,
    and no process that the job has started stays behind."""
    interrupt = partial(_interrupt, os.getpid())
    previous = {number: signal.signal(number, interrupt) for number in SIGNALS}
    previous_hook, sys.unraisablehook = sys.unraisablehook, _without_requests
    try:
        yield
    except Interrupted:
        _end_processes()
        raise
    finally:
        noticed()
        sys.unraisablehook = previous_hook
        for number, handler in previous.items():
            signal.signal(number, handler)


def stop(reason: Interrupted) -> None:
    """Stop the job from another thread: its story is left with this exception."""
    _reasons.append(reason)
    os.kill(os.getpid(), signal.SIGTERM)


def noticed() -> None:
    """The request to stop has reached who acts on it, so that it need not be repeated."""
    signal.setitimer(signal.ITIMER_REAL, 0)


def ignore_signals() -> None:
    """Let no request to stop disturb what is left of the program."""
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
            f"stopped by {signal.Signals(number).name}; what was finished is published, "
            "run the job again for the rest"
        )
    )
    signal.signal(signal.SIGALRM, partial(_insist, reason))
    signal.setitimer(signal.ITIMER_REAL, REPEATED_S, REPEATED_S)
    raise reason


def _without_requests(unraisable: "sys.UnraisableHookArgs") -> None:
    """Print what Python had to swallow, but for a request to stop, which is made again."""
    if not isinstance(unraisable.exc_value, Interrupted):
        sys.__unraisablehook__(unraisable)


def _insist(reason: Interrupted, _number: int, _frame: FrameType | None) -> None:
    raise reason


def _end_processes() -> None:
    """Kill what was started and has not ended.

    A pool that is interrupted while it forks its workers forgets one, or waits for it for ever.
    """
    left = psutil.Process().children(recursive=True)
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    _, alive = psutil.wait_procs(left, timeout=5)
    for process in alive:
        logger.warning("process %d did not end", process.pid)
