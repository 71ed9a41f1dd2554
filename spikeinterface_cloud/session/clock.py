"""The clocks of a session's streams, mapped to the clock of one of them."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from spikeinterface_cloud.recording.sync.pulses import Seconds

#: `reference`: its clock is the session's; `aligned`: its times were mapped to the reference;
#: `own`: they could not be, and stay on its own clock
Status = Literal["reference", "aligned", "own"]

SCHEMA_VERSION = 1


def _no_knots() -> Seconds:
    return np.empty(0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Jump:
    """A place where the clock of a stream jumped, or the reference did."""

    #: the last pulse before it and the first one after it, on the stream's own clock
    own_begin_s: float
    own_end_s: float
    #: the time that the reference advanced more than the stream's clock
    size_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamClock:
    """How the clock of one stream relates to the reference."""

    status: Status
    #: why it stays on its own clock, or is aligned without pulses
    why: str | None = None
    #: how much more than the stream's clock the reference advances, in parts per million
    drift_ppm: float | None = None
    #: reference time minus own time, at the stream's start
    offset_s: float | None = None
    n_pulses: int = 0
    #: those that both streams recorded, without late ones and glitches
    n_used: int = 0
    residual_ms_median: float | None = None
    residual_ms_max: float | None = None
    jumps: tuple[Jump, ...] = ()
    #: knots of the mapping, the stream's start and end included; two adjacent ones at a jump
    own_s: Seconds = field(default_factory=_no_knots)
    reference_s: Seconds = field(default_factory=_no_knots)

    def to_reference(self, times_s: Seconds) -> Seconds:
        """Return times on the reference clock; unchanged where the stream is not aligned.

        Times stay in order unless the clock jumped back (see `jumps`).
        """
        if len(self.own_s) < 2:
            return times_s
        own_s, reference_s = self.own_s, self.reference_s
        piece = np.clip(np.searchsorted(own_s, times_s, side="right") - 1, 0, len(own_s) - 2)
        slopes = np.diff(reference_s) / np.diff(own_s)
        return np.asarray(reference_s[piece] + (times_s - own_s[piece]) * slopes[piece])


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionClock:
    """The clocks of all streams."""

    #: None where each stream keeps its own clock
    reference: str | None
    #: by stream
    streams: Mapping[str, StreamClock]

    def write(self, file: Path) -> None:
        """Write `clock.json`."""
        streams = {
            name: {
                **asdict(stream),
                "own_s": stream.own_s.tolist(),
                "reference_s": stream.reference_s.tolist(),
            }
            for name, stream in self.streams.items()
        }
        content = {
            "schema_version": SCHEMA_VERSION,
            "reference": self.reference,
            "streams": streams,
        }
        file.write_text(f"{json.dumps(content, indent=1)}\n")
