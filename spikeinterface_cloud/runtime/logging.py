"""Logging for the job: UTC, one fact a line, to standard error and to `run.log`.

`step` is how the story reports itself: it logs the start of a step, then its seconds and bytes, or
its failure, and leaves the same figures behind for `run.json`. `part` does so for the log alone.
"""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from spikeinterface_cloud.config.locations import without_signatures
from spikeinterface_cloud.runtime.heartbeat import HEARTBEAT_S, Heartbeat, activity

logger = logging.getLogger(__name__)

FORMAT = "%(asctime)s %(levelname)-7s %(module)s: %(message)s"


@dataclass(kw_only=True, slots=True)
class Step:
    """What one step of the job took."""

    name: str
    #: wall-clock seconds, None while it runs
    seconds: float | None = None
    #: bytes moved or written, where that means something
    size_bytes: int | None = None


def configure_logging(log_file: Path | None = None) -> None:
    """Send the job's own log lines to standard error and, when given, to `log_file`."""
    formatter = _Formatter(FORMAT, datefmt="%Y-%m-%dT%H:%M:%SZ")
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if log_file is not None:
        log_file.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(_LogFile(log_file, encoding="utf-8"))
    for handler in handlers:
        handler.setFormatter(formatter)
    logging.basicConfig(level=logging.WARNING, handlers=handlers, force=True)
    logging.getLogger("spikeinterface_cloud").setLevel(logging.INFO)
    logging.captureWarnings(True)


class _LogFile(logging.FileHandler):
    """A log that ends, with a line in the other one, where its disk is full."""

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        logging.getLogger().removeHandler(self)
        logger.warning("%s ends here: %s", self.baseFilename, error.strerror)


class _Formatter(logging.Formatter):
    """UTC, other libraries' warnings on one line, and no signed URL, in tracebacks neither."""

    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        return without_signatures(super().format(record))

    def formatMessage(self, record: logging.LogRecord) -> str:
        if record.name == "py.warnings":
            record.message = " ".join(record.message.split())
        return super().formatMessage(record)


@contextmanager
def step(name: str, steps: list[Step], heartbeat_s: float = HEARTBEAT_S) -> Iterator[Step]:
    """Log the start and the end of the step `name`, and append what it took to `steps`.

    Meanwhile there is a line in the log at least every `heartbeat_s` seconds.
    """
    current = Step(name=name)
    steps.append(current)
    logger.info("%s ...", name)
    started = time.monotonic()
    try:
        with Heartbeat(name, heartbeat_s):
            yield current
    except BaseException:
        current.seconds = time.monotonic() - started
        logger.info("%s stopped after %.1f s", name, current.seconds)
        raise
    current.seconds = time.monotonic() - started
    size = "" if current.size_bytes is None else f", {format_bytes(current.size_bytes)}"
    logger.info("%s done in %.1f s%s", name, current.seconds, size)


@contextmanager
def part(name: str) -> Iterator[None]:
    """Log how long one part of a step took; the step's heartbeat names it while it runs."""
    started = time.monotonic()
    with activity(name):
        yield
    logger.info("%s took %.1f s", name, time.monotonic() - started)


def format_bytes(size_bytes: float) -> str:
    """Write a number of bytes for people.

    >>> format_bytes(512), format_bytes(1536), format_bytes(2 * 1024**3)
    ('512 B', '1.5 KiB', '2.0 GiB')
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size_bytes < 1024:
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1024
    return f"{size_bytes:.1f} TiB"
