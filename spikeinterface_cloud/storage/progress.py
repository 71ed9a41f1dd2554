"""Progress of a transfer: a bar on a terminal, a log line every 20 s everywhere else."""

from __future__ import annotations

import logging
import sys
import threading
import time
from typing import TYPE_CHECKING, Self

from spikeinterface_cloud.runtime.logging import format_bytes

if TYPE_CHECKING:
    from tqdm import tqdm

logger = logging.getLogger(__name__)

#: seconds from line to line; fewer than a step waits before it gives a sign of life itself
INTERVAL_S = 20.0


class Progress:
    """Counts the bytes of a transfer and reports them while it is entered; any thread may count."""

    def __init__(self, label: str, total_bytes: int, *, interval_s: float = INTERVAL_S) -> None:
        self._label = label
        self._total_bytes = total_bytes
        self._interval_s = interval_s
        self._done_bytes = 0
        self._moved_bytes = 0
        self._started = time.monotonic()
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._bar: tqdm | None = None
        self._reporter: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._started = time.monotonic()
        if sys.stderr.isatty():
            from tqdm import tqdm  # slow to import, and jobs have no terminal

            self._bar = tqdm(
                total=self._total_bytes,
                desc=self._label,
                unit="B",
                unit_scale=True,
                unit_divisor=1024,
            )
        else:
            self._reporter = threading.Thread(target=self._report, name="progress", daemon=True)
            self._reporter.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        if self._bar is not None:
            self._bar.close()
        if self._reporter is not None:
            self._reporter.join()

    def advance(self, size_bytes: int) -> None:
        """Count bytes that have arrived."""
        self._count(done=size_bytes, moved=size_bytes)

    def skip(self, size_bytes: int) -> None:
        """Count bytes that were there already: they are done, but they say nothing about the
        rate."""
        self._count(done=size_bytes, moved=0)

    def reset(self, size_bytes: int) -> None:
        """Count bytes as not done, since they have to be moved once more."""
        self._count(done=-size_bytes, moved=0)

    @property
    def moved_bytes(self) -> int:
        """The bytes that were moved this time, those that were moved twice counted twice."""
        return self._moved_bytes

    def line(self) -> str:
        """The state in one line: bytes of total, share, rate, time left."""
        seconds = max(time.monotonic() - self._started, 1e-9)
        rate = self._moved_bytes / seconds
        share = self._done_bytes / self._total_bytes if self._total_bytes else 1.0
        left = (
            f"{format_seconds((self._total_bytes - self._done_bytes) / rate)} left"
            if rate
            else "stalled"
        )
        return (
            f"{self._label}: {format_bytes(self._done_bytes)} of {format_bytes(self._total_bytes)} "
            f"({share:.0%}), {format_bytes(rate)}/s, {left}"
        )

    def _count(self, *, done: int, moved: int) -> None:
        with self._lock:
            self._done_bytes += done
            self._moved_bytes += moved
            if self._bar is not None:
                self._bar.update(done)

    def _report(self) -> None:
        while not self._stopped.wait(self._interval_s):
            logger.info("%s", self.line())


class FileProgress:
    """What one file has added to a progress, so that it can be taken back when the file has to be
    fetched again; any thread may count."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._done_bytes = 0
        self._lock = threading.Lock()

    def advance(self, size_bytes: int) -> None:
        """Count bytes that have arrived."""
        with self._lock:
            self._done_bytes += size_bytes
        self._progress.advance(size_bytes)

    def skip(self, size_bytes: int) -> None:
        """Count bytes that were there already."""
        with self._lock:
            self._done_bytes += size_bytes
        self._progress.skip(size_bytes)

    def reset(self) -> None:
        """Count all of it as not done; what was moved stays moved."""
        with self._lock:
            done_bytes, self._done_bytes = self._done_bytes, 0
        self._progress.reset(done_bytes)


def format_seconds(seconds: float) -> str:
    """Write a time for people.

    >>> format_seconds(42.4), format_seconds(200), format_seconds(7500)
    ('42 s', '3 min 20 s', '2 h 5 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
