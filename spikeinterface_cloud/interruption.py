"""A request to stop (SIGTERM from Batch or Docker, Ctrl-C, the notice that the machine is taken
back) becomes an exception in the story."""

import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType

import psutil

from spikeinterface_cloud.errors import Interrupted

logger = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT)

#: what a thread of this process has asked to be stopped for
_reasons: list[Interrupted] = []


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise `Interrupted` on the first request to stop; more of them do not disturb the way out,
    and no process that the job has started stays behind."""
    interrupt = partial(_interrupt, os.getpid())
    previous = {number: signal.signal(number, interrupt) for number in SIGNALS}
    try:
        yield
    except Interrupted:
        _end_processes()
        raise
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def stop(reason: Interrupted) -> None:
    """Stop the job from another thread: its story is left with this exception."""
    _reasons.append(reason)
    os.kill(os.getpid(), signal.SIGTERM)


def heed_no_more() -> None:
    """Let no request to stop disturb what is left of the program."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _interrupt(owner: int, number: int, _frame: FrameType | None) -> None:
    if os.getpid() != owner:  # a worker that was forked with this handler just ends
        os._exit(128 + number)
    heed_no_more()
    if _reasons:
        raise _reasons[0]
    raise Interrupted(
        f"stopped by {signal.Signals(number).name}; what was finished is published, "
        "run the job again for the rest"
    )


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
