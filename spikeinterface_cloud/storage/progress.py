"""Progress of a transfer: in the lines of the running step's heartbeat, and a bar on a terminal."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

import humanize

from spikeinterface_cloud.runtime.heartbeat import activity
from spikeinterface_cloud.runtime.logging import format_bytes

if TYPE_CHECKING:
    from tqdm import tqdm


class Progress:
    """The bytes of a transfer, reported while it is entered; any thread may count."""

    def __init__(self, label: str, total_bytes: int) -> None:
        self._label = label
        self._total_bytes = total_bytes
        self._done_bytes = 0
        #: moved this time; those that were moved twice count twice
        self.moved_bytes = 0
        self._started = time.monotonic()
        self._lock = threading.Lock()
        self._bar: tqdm | None = None
        self._reporting = ExitStack()

    def __enter__(self) -> Self:
        self._started = time.monotonic()
        self._reporting.enter_context(activity(self._label, self.line))
        if sys.stderr.isatty():
            from tqdm import tqdm  # slow to import, and jobs have no terminal

            self._bar = self._reporting.enter_context(
                tqdm(
                    total=self._total_bytes,
                    desc=self._label,
                    unit="B",
                    unit_scale=True,
                    unit_divisor=1024,
                )
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._reporting.close()

    def count(self, done_bytes: int, moved_bytes: int) -> None:
        """Add bytes that are done (fewer than 0 have to be moved again), and that were moved."""
        with self._lock:
            self._done_bytes += done_bytes
            self.moved_bytes += moved_bytes
            if self._bar is not None:
                self._bar.update(done_bytes)

    def line(self) -> str:
        """Return the state in one line: bytes done, rate, time left."""
        rate = self.moved_bytes / max(time.monotonic() - self._started, 1e-9)
        share = self._done_bytes / self._total_bytes if self._total_bytes else 1.0
        left = "stalled"
        if rate:
            left_s = (self._total_bytes - self._done_bytes) / rate
            left = f"{humanize.naturaldelta(left_s)} left"
        return (
            f"{format_bytes(self._done_bytes)} of {format_bytes(self._total_bytes)}, {share:.0%}, "
            f"{format_bytes(rate)}/s, {left}"
        )


class FileProgress:
    """What one file adds to a progress, until it has to be moved again; any thread may count."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._done_bytes = 0
        self._lock = threading.Lock()

    def advance(self, size_bytes: int) -> None:
        """Count bytes that have arrived."""
        self._count(size_bytes, moved_bytes=size_bytes)

    def skip(self, size_bytes: int) -> None:
        """Count bytes that were there already: done, but no part of the rate."""
        self._count(size_bytes, moved_bytes=0)

    def reset(self) -> None:
        """Count all of the file as not done; what was moved stays moved."""
        with self._lock:
            done_bytes, self._done_bytes = self._done_bytes, 0
        self._progress.count(-done_bytes, 0)

    def _count(self, done_bytes: int, moved_bytes: int) -> None:
        with self._lock:
            self._done_bytes += done_bytes
        self._progress.count(done_bytes, moved_bytes)
