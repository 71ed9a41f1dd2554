"""A request to stop (SIGTERM from Batch or Docker, Ctrl-C) becomes an exception in the story."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType

from spikeinterface_cloud.errors import Interrupted

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise `Interrupted` on the first request to stop; more of them do not disturb the way out."""
    interrupt = partial(_interrupt, os.getpid())
    previous = {number: signal.signal(number, interrupt) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _interrupt(owner: int, number: int, _frame: FrameType | None) -> None:
    if os.getpid() != owner:  # a worker that was forked with this handler just ends
        os._exit(128 + number)
    for one in SIGNALS:
        signal.signal(one, signal.SIG_IGN)
    raise Interrupted(
        f"stopped by {signal.Signals(number).name}; what was finished is published, "
        "run the job again for the rest"
    )
