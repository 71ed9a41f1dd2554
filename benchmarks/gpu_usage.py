"""How busy the GPU is and how much of its memory is taken, from `nvidia-smi`, while a part runs."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import mean

#: comes with the driver; the NVIDIA runtime mounts it into containers
NVIDIA_SMI = "nvidia-smi"

INTERVAL_MS = 200

MIB = 1024**2


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One reading of one card."""

    #: seconds since 1970
    time_s: float
    #: the part of the time since the reading before in which the card computed; None: unknown
    busy_share: float | None
    #: by all processes, those of others included; None: unknown
    used_bytes: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """The readings of some time together; None where there were none."""

    busy_share: float | None
    peak_used_bytes: int | None


@dataclass(slots=True)
class Sampler:
    """The readings so far."""

    samples: list[Sample] = field(default_factory=list)

    def between(self, start_s: float, end_s: float) -> Usage:
        """Return the mean share of the time in which the card computed, and its fullest memory."""
        samples = [each for each in self.samples if start_s <= each.time_s <= end_s]
        shares = [each.busy_share for each in samples if each.busy_share is not None]
        return Usage(
            busy_share=mean(shares) if shares else None,
            peak_used_bytes=max(
                (each.used_bytes for each in samples if each.used_bytes is not None), default=None
            ),
        )


@contextmanager
def sampled(card: str | None) -> Iterator[Sampler]:
    """Read the card (its UUID) until this block is left, if there is one, and `nvidia-smi`."""
    sampler = Sampler()
    if card is None or shutil.which(NVIDIA_SMI) is None:
        yield sampler
        return
    query = "--query-gpu=utilization.gpu,memory.used"
    process = subprocess.Popen(
        [NVIDIA_SMI, f"--id={card}", query, "--format=csv,noheader,nounits", f"-lms={INTERVAL_MS}"],
        stdout=subprocess.PIPE,
        text=True,
    )
    reader = threading.Thread(target=_read, args=(process, sampler), daemon=True)
    reader.start()
    try:
        yield sampler
    finally:
        process.kill()
        process.wait()
        reader.join()


def _read(process: subprocess.Popen[str], sampler: Sampler) -> None:
    assert process.stdout is not None
    with process.stdout as lines:
        for line in lines:
            if line.count(",") == 1:  # no message of an error
                sampler.samples.append(parse(line, time.time()))


def parse(line: str, time_s: float) -> Sample:
    """Return the reading of one line, in which a card may not know a figure.

    >>> parse("87, 2048", 0.0).busy_share
    0.87
    >>> parse("[N/A], 2048", 0.0)
    Sample(time_s=0.0, busy_share=None, used_bytes=2147483648)
    """
    busy, used = (int(text) if text.strip().isdigit() else None for text in line.split(","))
    return Sample(
        time_s=time_s,
        busy_share=None if busy is None else busy / 100,
        used_bytes=None if used is None else used * MIB,
    )
