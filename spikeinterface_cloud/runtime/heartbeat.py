"""Log lines that show what a silent step is doing, so that it is not taken for a hang."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Self

logger = logging.getLogger(__name__)

#: after so many seconds without any line in the log comes one of these; a little below half a
#: minute, so that there is a line every 30 s on a machine that is busy, too
HEARTBEAT_S = 25.0

#: in characters
LONGEST_DETAIL = 100

Detail = Callable[[], str | None]


class Heartbeat(logging.Handler):
    """Writes a line when the log has been silent for too long.

    It runs a thread while it is entered; `activity` adds to the line.
    """

    def __init__(self, name: str, interval_s: float = HEARTBEAT_S) -> None:
        super().__init__()
        # lines of libraries may be left out of the log
        self.addFilter(logging.Filter("spikeinterface_cloud"))
        self._name = name
        self._interval_s = interval_s
        self._started = self._last_line = time.monotonic()
        #: named in every line
        self.activities: list[_Activity] = []
        self._outer: Heartbeat | None = None
        #: whether a step within this one speaks for both
        self._silenced = False
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._started = self._last_line = time.monotonic()
        self._outer = _current.get()
        if self._outer is not None:
            self._outer._silenced = True
        _current.set(self)
        logging.getLogger().addHandler(self)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()
        logging.getLogger().removeHandler(self)
        _current.set(self._outer)
        if self._outer is not None:
            self._outer._silenced = False

    def emit(self, record: logging.LogRecord) -> None:
        """Note the time of a line, unless it only tells what a step in another thread is doing."""
        if record.name != __name__:
            self._last_line = time.monotonic()

    def line(self) -> str:
        """Return what is running, and for how long."""
        parts = [f"{self._name}: running for {_seconds_since(self._started)}"]
        return ", ".join([*parts, *(activity.text() for activity in tuple(self.activities))])

    def _beat(self) -> None:
        while not self._stopped.wait(self._last_line + self._interval_s - time.monotonic()):
            if time.monotonic() >= self._last_line + self._interval_s:
                self._last_line = time.monotonic()
                if not self._silenced:
                    logger.info("%s", self.line())


@dataclass(frozen=True, kw_only=True, eq=False)
class _Activity:
    """A part of a step."""

    name: str
    detail: Detail | None
    started: float = field(default_factory=time.monotonic)

    def text(self) -> str:
        """Return its name, its duration and its detail."""
        text = f"{self.name} for {_seconds_since(self.started)}"
        detail = self.detail() if self.detail else None
        return f"{text} ({detail[:LONGEST_DETAIL]})" if detail else text


_current: ContextVar[Heartbeat | None] = ContextVar("heartbeat", default=None)


@contextmanager
def activity(name: str, detail: Detail | None = None) -> Iterator[None]:
    """Name a part of the running step in its heartbeat; outside a step nothing happens.

    Parameters
    ----------
    detail
        called from another thread for each line; returns the progress, or None
    """
    heartbeat = _current.get()
    if heartbeat is None:
        yield
        return
    current = _Activity(name=name, detail=detail)
    heartbeat.activities.append(current)
    try:
        yield
    finally:
        heartbeat.activities.remove(current)


def _seconds_since(moment: float) -> str:
    return f"{time.monotonic() - moment:.0f} s"
