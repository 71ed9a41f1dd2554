"""The clocks of a session's streams, mapped to the clock of one of them."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from spikeinterface_cloud.recording.sync.pulses import Seconds
from spikeinterface_cloud.recording.sync.sync_line import SyncLine
from spikeinterface_cloud.session.clock_fit import ClockFit, fit_clock
from spikeinterface_cloud.session.pulse_matching import (
    MAX_DRIFT,
    MIN_PULSES,
    START_TOLERANCE_S,
    Matches,
    NotAligned,
    edge_times,
    match_pulses,
    upright,
)

logger = logging.getLogger(__name__)

MAX_RESIDUAL_MS = 1.0

#: fraction of the pulses that both streams could have recorded
MIN_USED = 0.5

#: so many pulses of both streams that do not fit mean a jump: in a row, and at either end
MAX_UNUSED, MAX_UNUSED_AT_END = 10, 5

#: pulses that are off by the same time agree within
SAME_SHIFT_S = 0.0005

#: fraction of a period that the largest of several jumps may have
LARGEST_OF_SEVERAL = 0.25

#: how long before the first pulse and after the last one the drift is relied on
MAX_EXTRAPOLATION_S = 600.0

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


def align(reference: SyncLine, others: Sequence[SyncLine]) -> SessionClock:
    """Map the clock of each stream to the reference.

    A stream whose clock cannot be trusted keeps its own, and `why` says so.
    """
    streams = {reference.stream: StreamClock(status="reference", n_pulses=len(reference.rising_s))}
    for line in others:
        try:
            streams[line.stream] = _align(reference, line)
        except NotAligned as error:
            why = str(error)
            logger.warning("%s keeps its own clock: %s", line.stream, why)
            streams[line.stream] = StreamClock(status="own", why=why, n_pulses=len(line.rising_s))
    return SessionClock(reference=reference.stream, streams=streams)


def _align(reference: SyncLine, line: SyncLine) -> StreamClock:
    if line.shared_clock is not None and line.shared_clock == reference.shared_clock:
        ends_s = np.array([line.start_s, line.end_s])
        return StreamClock(
            status="aligned",
            why=f"{line.shared_clock} has both on one clock",
            drift_ppm=0.0,
            offset_s=0.0,
            own_s=ends_s,
            reference_s=ends_s,
        )
    for each in (reference, line):
        if each.why is not None:
            raise NotAligned(f"{each.stream} has no sync line: {each.why}")
    given, line = line, upright(line, reference)
    matches = match_pulses(reference, line)
    fit = fit_clock(matches, line.start_s, line.end_s)
    clock = StreamClock(
        status="aligned",
        why=None if line is given else "its line is inverted: falling edges were used",
        drift_ppm=1e6 * fit.drift,
        offset_s=float(fit.reference_s[0] - fit.own_s[0]),
        n_pulses=len(line.rising_s),
        n_used=len(fit.pulses_s),
        residual_ms_median=1e3 * float(np.median(np.abs(fit.residuals_s))),
        residual_ms_max=1e3 * float(np.max(np.abs(fit.residuals_s))),
        jumps=tuple(
            Jump(own_begin_s=begin, own_end_s=end, size_s=size) for begin, end, size in fit.jumps
        ),
        own_s=fit.own_s,
        reference_s=fit.reference_s,
    )
    _check(clock, fit, matches, reference, line)
    return clock


def _check(
    clock: StreamClock, fit: ClockFit, matches: Matches, reference: SyncLine, line: SyncLine
) -> None:
    """Refuse a mapping that cannot be trusted."""
    if clock.n_used < MIN_PULSES:
        raise NotAligned(f"only {clock.n_used} of its pulses fit those of {reference.stream}")
    if abs(fit.drift) > MAX_DRIFT:
        raise NotAligned(
            f"its clock would drift by {1e6 * fit.drift:.0f} ppm: {line.line} and {reference.line} "
            f"of {reference.stream} are not the same signal"
        )
    assert clock.residual_ms_max is not None
    if clock.residual_ms_max > MAX_RESIDUAL_MS:
        raise NotAligned(
            f"its pulses are up to {clock.residual_ms_max:.2g} ms from where those of "
            f"{reference.stream} say, and {MAX_RESIDUAL_MS:g} ms are allowed"
        )
    _check_unused(clock, fit, reference, line)
    beyond_s = max(fit.pulses_s[0] - line.start_s, line.end_s - fit.pulses_s[-1])
    if beyond_s > MAX_EXTRAPOLATION_S:
        raise NotAligned(
            f"there are no common pulses with {reference.stream} during {beyond_s:.0f} s at its "
            f"start or end, and the drift is known for {MAX_EXTRAPOLATION_S:.0f} s beyond them"
        )
    if matches.period_s and len(fit.jumps) > 1:
        largest_s = max(abs(size_s) for _, _, size_s in fit.jumps)
        if largest_s > matches.period_s * LARGEST_OF_SEVERAL:
            raise NotAligned(
                f"its clock jumps {len(fit.jumps)} times, by up to {largest_s:.3g} s, and as all "
                f"pulses are alike, each jump may be whole periods of {matches.period_s:.6g} s "
                "more or less"
            )
    end_s = float(clock.to_reference(np.array([line.end_s]))[0])
    if matches.period_s and abs(end_s - reference.end_s) > START_TOLERANCE_S:
        n_jumps = len(fit.jumps)
        found = f"its clock jumps, {n_jumps} times" if n_jumps else "it ends at another time"
        raise NotAligned(
            f"{found}, and as all pulses are alike, it is not known by how many periods of "
            f"{matches.period_s:.6g} s its clock differs"
        )


def _check_unused(clock: StreamClock, fit: ClockFit, reference: SyncLine, line: SyncLine) -> None:
    """Refuse a mapping that leaves out pulses which both streams could have recorded."""
    mapped_s, reference_s = clock.to_reference(edge_times(line)), edge_times(reference)
    used_s = clock.to_reference(fit.pulses_s)
    for name, pulses_s, other_s in (
        (line.stream, mapped_s, reference_s),
        (reference.stream, reference_s, mapped_s),
    ):
        n_common = np.count_nonzero((pulses_s > other_s[0] - 1) & (pulses_s < other_s[-1] + 1))
        if len(used_s) < MIN_USED * n_common:
            raise NotAligned(
                f"only {len(used_s)} of {n_common} pulses of {name} are in both streams: "
                f"{line.line} and {reference.line} of {reference.stream} are not the same signal"
            )
    _check_stretches(used_s, mapped_s, reference_s, reference.stream)


def _check_stretches(
    used_s: Seconds, mapped_s: Seconds, reference_s: Seconds, reference: str
) -> None:
    """Refuse a mapping if pulses that it leaves out, between two that it uses, show a jump."""
    edges_s = np.concatenate([[-np.inf], np.sort(used_s) + 1e-3, [np.inf]])
    between = [np.histogram(pulses_s, edges_s)[0] for pulses_s in (mapped_s, reference_s)]
    unused = np.minimum(*between)
    unused[:-1] -= 1  # the used one itself
    worst = int(np.argmax(unused))
    if max(unused[0], unused[-1]) >= MAX_UNUSED_AT_END or unused[worst] >= MAX_UNUSED:
        raise NotAligned(
            f"{unused[worst]} pulses in a row at {max(edges_s[worst], mapped_s[0]):.6g} s do not "
            f"fit those of {reference}: a clock has jumped there"
        )
    for number in np.flatnonzero(unused >= 2):
        begin, end = edges_s[number], edges_s[number + 1] - 2e-3
        left_out = [each[(each > begin) & (each < end)] for each in (mapped_s, reference_s)]
        shifts = np.sort(np.subtract.outer(left_out[1], left_out[0]).ravel())
        n_same = 2 if number in (0, len(unused) - 1) else 4
        spans = shifts[n_same - 1 :] - shifts[: len(shifts) - n_same + 1]
        if np.any(spans < SAME_SHIFT_S):
            raise NotAligned(
                f"pulses at {left_out[0][0]:.6g} s do not fit those of {reference}, but all by the "
                "same time: a clock has jumped there, too close to its start, its end or to "
                "another jump"
            )
