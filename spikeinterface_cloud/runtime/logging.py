"""Logging for the job: UTC, one fact a line, to standard error and to `run.log`.

`step` logs the start of a step of the job, then its seconds and bytes, or its failure, and keeps
the same figures for `run.json`. `part` does so for the log alone.
"""

import logging
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import humanize

from spikeinterface_cloud.config.locations import mask_signatures
from spikeinterface_cloud.errors import printable
from spikeinterface_cloud.runtime.heartbeat import HEARTBEAT_S, Heartbeat, activity

logger = logging.getLogger(__name__)

FORMAT = "%(asctime)s %(levelname)-7s %(message)s"

PACKAGE = "spikeinterface_cloud"


@dataclass(kw_only=True, slots=True)
class Step:
    """One step of the job, and what it took."""

    name: str
    #: wall-clock seconds, None while it runs
    seconds: float | None = None
    #: bytes moved or written, where that means something
    size_bytes: int | None = None


def configure_logging(log_file: Path | None = None) -> None:
    """Send the job's own lines to standard error and, with those of libraries, to `log_file`."""
    console = logging.StreamHandler(sys.stderr)
    console.addFilter(_is_for_the_user)
    handlers: list[logging.Handler] = [console]
    if log_file is not None:
        log_file.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(_LogFile(log_file, encoding="utf-8"))
    for handler in handlers:
        handler.setFormatter(_Formatter(FORMAT, datefmt="%Y-%m-%dT%H:%M:%SZ"))
    logging.basicConfig(level=logging.WARNING, handlers=handlers, force=True)
    logging.getLogger(PACKAGE).setLevel(logging.INFO)
    warnings.showwarning = _log_warning  # type: ignore[assignment]  # called by position


def _is_own(record: logging.LogRecord) -> bool:
    return record.name.partition(".")[0] == PACKAGE


def _is_for_the_user(record: logging.LogRecord) -> bool:
    return _is_own(record) or record.levelno >= logging.ERROR


def _log_warning(message: Warning | str, category: type[Warning], *_: object) -> None:
    """Log a warning on one line, without the path of the library's file."""
    text = " ".join(str(message).split())
    logging.getLogger("py.warnings").warning("%s: %s", category.__name__, text)


class _LogFile(logging.FileHandler):
    """A log with each library warning once, which ends when its disk is full."""

    def __init__(self, file: Path, encoding: str) -> None:
        super().__init__(file, encoding=encoding)
        self._logged: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Leave out what a library has logged before."""
        text = record.getMessage()
        if not _is_own(record):
            if text in self._logged:
                return False
            self._logged.add(text)
        return super().filter(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """Stop writing where the disk is full, and say so on standard error."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        logging.getLogger().removeHandler(self)
        logger.warning("%s ends here: %s", self.baseFilename, error.strerror)


class _Formatter(logging.Formatter):
    """Lines in UTC without signed URLs or control characters, even in tracebacks."""

    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line without signatures of URLs."""
        return mask_signatures(super().format(record))

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the line with the control characters of outside text escaped."""
        record.message = printable(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:
        """Return the traceback, indented so that no line of it looks like one of the log."""
        lines = super().formatException(ei).splitlines()
        return "\n".join(f"  {printable(line)}" for line in lines)


@contextmanager
def step(name: str, steps: list[Step], heartbeat_s: float = HEARTBEAT_S) -> Iterator[Step]:
    """Log the start and the end of a step, and append it to `steps`.

    While it runs, the log has a line at least every `heartbeat_s` seconds.
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
    """Log how long a part of a step took; the heartbeat names it while it runs."""
    started = time.monotonic()
    with activity(name):
        yield
    logger.info("%s took %.1f s", name, time.monotonic() - started)


def counted(number: int, noun: str) -> str:
    """Return a number with its noun.

    >>> counted(1, "change"), counted(3400, "change")
    ('1 change', '3,400 changes')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def format_bytes(size_bytes: float) -> str:
    """Return a number of bytes for people.

    >>> format_bytes(1536), format_bytes(2 * 1024**3)
    ('1.5 KiB', '2.0 GiB')
    """
    return humanize.naturalsize(size_bytes, binary=True)


def format_seconds(seconds: float | None) -> str:
    """Return a time for people; an unknown one is empty.

    >>> format_seconds(0.42), format_seconds(75.2), format_seconds(3725), format_seconds(None)
    ('0.4s', '1m15s', '1h02m', '')
    """
    if seconds is None:
        return ""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02}m"
    if minutes:
        return f"{minutes}m{rest:02}s"
    return f"{rest}s" if rest >= 10 else f"{seconds:.1f}s"
