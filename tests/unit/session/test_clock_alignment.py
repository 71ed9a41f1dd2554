"""The clock of a stream on the reference clock, held against simulated clocks and their truth."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from spikeinterface_cloud.recording.sync.pulses import Seconds
from spikeinterface_cloud.recording.sync.sync_line import SyncLine
from spikeinterface_cloud.session.clock import StreamClock, align
from tests.support.simulated_clocks import (
    TrueClock,
    disturb,
    periodic_pulses,
    random_pulses,
)

LENGTH_S = 1800.0

#: what a mapping may be off from the truth
ALLOWED_MS = 0.1

NIDQ = TrueClock(name="nidq", rate_hz=25_000.0, drift_ppm=-30.0, offset_s=100.0)
PROBE = TrueClock(name="imec0.ap", drift_ppm=30.0, offset_s=7.5)


def aligned(reference: SyncLine, line: SyncLine, start: str | None = "run_g0_t0") -> StreamClock:
    lines = [replace(each, starts_with=start) for each in (reference, line)]
    return align(lines[0], lines[1:]).streams[line.stream]


def error_ms(
    clock: StreamClock, reference: TrueClock, stream: TrueClock, true_s: Seconds
) -> np.ndarray:
    """How far each time is from the truth."""
    mapped_s = clock.to_reference(stream.own_s(true_s))
    return np.asarray(np.abs(mapped_s - reference.own_s(true_s)) * 1e3)


def whole(begin_s: float = 0.0, end_s: float = LENGTH_S) -> Seconds:
    return np.linspace(begin_s, end_s, 50_001)[1:-1]


@pytest.mark.parametrize("kind", ["random", "periodic"])
def test_clocks_agree_within_a_tenth_of_a_millisecond(kind: str) -> None:
    errors = []
    for seed in range(25):
        rng = np.random.default_rng(seed)
        nidq = TrueClock(
            name="nidq",
            rate_hz=(10_000.0, 25_000.0, 30_000.0)[seed % 3],
            drift_ppm=rng.uniform(-50, 50),
            offset_s=rng.uniform(0, 600),
        )
        probe = TrueClock(
            name="imec0.ap",
            drift_ppm=rng.uniform(-50, 50),
            offset_s=rng.uniform(0, 600),
            swing_ppm=rng.uniform(-2, 2),
        )
        is_random = kind == "random"
        pulses = random_pulses(rng, LENGTH_S) if is_random else periodic_pulses(LENGTH_S)
        begin_s = rng.uniform(0, 0.1)
        clock = aligned(
            disturb(nidq.record(pulses, 0, LENGTH_S), rng),
            disturb(probe.record(pulses, begin_s, LENGTH_S), rng),
        )
        assert clock.status == "aligned", (seed, clock.why)
        assert clock.jumps == ()
        assert clock.drift_ppm == pytest.approx(nidq.drift_ppm - probe.drift_ppm, abs=3)
        errors.append(error_ms(clock, nidq, probe, whole(begin_s)).max())
    print(f"\n{kind} pulses: at most {max(errors):.3f} ms from the truth in {len(errors)} sessions")
    assert max(errors) < ALLOWED_MS


@pytest.mark.parametrize("kind", ["random", "periodic"])
@pytest.mark.parametrize("missed_s", [0.0004, 0.003, 0.3, -0.3, 41.3])
def test_a_jump_of_the_clock_is_not_smeared(kind: str, missed_s: float) -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        at_s = float(rng.uniform(10, LENGTH_S - 10))
        probe = replace(PROBE, jumps=[(at_s, missed_s)])
        is_random = kind == "random"
        pulses = random_pulses(rng, LENGTH_S) if is_random else periodic_pulses(LENGTH_S)
        recorded = probe.record(pulses, 0, LENGTH_S)
        clock = aligned(disturb(NIDQ.record(pulses, 0, LENGTH_S), rng), disturb(recorded, rng))
        if kind == "periodic" and missed_s == 41.3:
            assert clock.status == "own"
            assert "how many periods" in str(clock.why)
            continue
        assert clock.status == "aligned", clock.why
        [jump] = clock.jumps
        assert jump.size_s == pytest.approx(missed_s, rel=1e-4, abs=1e-4)
        begin_s, end_s = probe.own_s(np.array([at_s - 1e-9, at_s]))
        assert jump.own_begin_s <= max(begin_s, end_s)
        assert jump.own_end_s >= min(begin_s, end_s)
        times_s = whole()
        own_s = probe.own_s(times_s)
        known = (own_s < jump.own_begin_s) | (own_s > jump.own_end_s)
        assert np.count_nonzero(~known) < 0.03 * len(known)
        assert error_ms(clock, NIDQ, probe, times_s[known]).max() < ALLOWED_MS


@pytest.mark.parametrize("kind", ["random", "periodic"])
def test_a_pause_of_the_pulses_is_bridged(kind: str) -> None:
    rng = np.random.default_rng(3)
    pulses = random_pulses(rng, LENGTH_S) if kind == "random" else periodic_pulses(LENGTH_S)
    pulses = pulses[(pulses < 600) | (pulses > 1020.5)]
    clock = aligned(
        disturb(NIDQ.record(pulses, 0, LENGTH_S), rng),
        disturb(PROBE.record(pulses, 0.02, LENGTH_S), rng),
    )
    assert clock.status == "aligned"
    assert clock.jumps == ()
    assert error_ms(clock, NIDQ, PROBE, whole(0.02)).max() < ALLOWED_MS


def test_a_stream_that_stopped_early_is_aligned_where_intervals_tell_pulses_apart() -> None:
    pulses = random_pulses(np.random.default_rng(4), LENGTH_S)
    clock = aligned(NIDQ.record(pulses, 0, LENGTH_S), PROBE.record(pulses, 0.01, 400))
    assert clock.status == "aligned"
    assert error_ms(clock, NIDQ, PROBE, whole(0.01, 400)).max() < ALLOWED_MS


@pytest.mark.parametrize("lost_s", [1.0, 0.99999])
def test_a_loss_of_whole_periods_is_refused(lost_s: float) -> None:
    pulses = periodic_pulses(LENGTH_S)
    probe = replace(PROBE, jumps=[(700.0, lost_s)])
    clock = aligned(NIDQ.record(pulses, 0, LENGTH_S), probe.record(pulses, 0.01, LENGTH_S))
    assert clock.status == "own"
    assert "as all pulses are alike" in str(clock.why)


def test_another_generator_of_nearly_the_same_period_is_refused() -> None:
    reference = NIDQ.record(periodic_pulses(LENGTH_S), 0, LENGTH_S)
    other = periodic_pulses(LENGTH_S * 2, period_s=1 + 180e-6, phase_s=0.47)
    clock = aligned(reference, PROBE.record(other, 0.0, LENGTH_S))
    assert clock.status == "own"


def test_a_stream_that_stopped_early_is_refused_where_all_pulses_are_alike() -> None:
    pulses = periodic_pulses(LENGTH_S)
    clock = aligned(NIDQ.record(pulses, 0, LENGTH_S), PROBE.record(pulses, 0.01, 400))
    assert clock.status == "own"


def test_the_reference_may_begin_minutes_later_where_intervals_tell_pulses_apart() -> None:
    rng = np.random.default_rng(5)
    pulses = random_pulses(rng, LENGTH_S)
    clock = aligned(
        disturb(NIDQ.record(pulses, 200, LENGTH_S), rng),
        disturb(PROBE.record(pulses, 0, 1500), rng),
        start=None,
    )
    assert clock.status == "aligned"
    assert error_ms(clock, NIDQ, PROBE, whole(200, 1500)).max() < ALLOWED_MS


def test_barcodes_are_told_apart() -> None:
    rng = np.random.default_rng(6)
    bits = [start_s + 0.03 * np.flatnonzero(rng.random(32) < 0.5) for start_s in range(5, 1790, 30)]
    pulses = np.concatenate(bits)
    clock = aligned(
        disturb(NIDQ.record(pulses, 60, LENGTH_S), rng, late=0.0),
        disturb(PROBE.record(pulses, 0, LENGTH_S), rng, late=0.0),
        start=None,
    )
    assert clock.status == "aligned", clock.why
    assert error_ms(clock, NIDQ, PROBE, whole(60)).max() < ALLOWED_MS


def other_line(rng: np.random.Generator, kind: str) -> Seconds:
    match kind:
        case "random":
            return random_pulses(rng, LENGTH_S)
        case "1 Hz":
            return periodic_pulses(LENGTH_S)
        case "30 Hz":
            return periodic_pulses(LENGTH_S, 1 / 30)
        case "1 Hz, half a period later":
            return periodic_pulses(LENGTH_S, phase_s=0.87)
        case "another generator of 1 Hz":
            return periodic_pulses(LENGTH_S, period_s=1.0004)
        case _:  # frames of a camera that starts and stops
            pulses = periodic_pulses(LENGTH_S, 1 / 30)
            return pulses[(pulses % 60) < 40]


KINDS = [
    "random",
    "1 Hz",
    "30 Hz",
    "1 Hz, half a period later",
    "another generator of 1 Hz",
    "camera",
]


@pytest.mark.parametrize(
    ("kind", "true_kind"),
    [pair for pair in product(KINDS, ["random", "1 Hz"]) if pair != ("1 Hz", "1 Hz")],
)
def test_a_wrong_line_is_refused(kind: str, true_kind: str) -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        line = NIDQ.record(other_line(rng, true_kind), 0, LENGTH_S)
        wrong = PROBE.record(other_line(rng, kind), 0.01, LENGTH_S)
        for reference, other in ((line, wrong), (wrong, line)):
            clock = aligned(reference, other)
            assert clock.status == "own", (seed, clock)
            assert clock.why is not None
            assert "\n" not in clock.why
            times_s = np.array([1.0, 2.0])
            np.testing.assert_array_equal(clock.to_reference(times_s), times_s)


def refused_because(reference: SyncLine, line: SyncLine, start: str | None = "run_g0_t0") -> str:
    clock = aligned(reference, line, start)
    assert clock.status == "own"
    return str(clock.why)


def test_periodic_pulses_without_a_common_start_are_ambiguous() -> None:
    pulses = periodic_pulses(LENGTH_S)
    reference, line = NIDQ.record(pulses, 0, LENGTH_S), PROBE.record(pulses, 0, LENGTH_S)
    assert "all alike" in refused_because(reference, line, start=None)


def test_periodic_pulses_faster_than_the_start_is_known_are_ambiguous() -> None:
    pulses = periodic_pulses(LENGTH_S, 0.1)
    reference, line = NIDQ.record(pulses, 0, LENGTH_S), PROBE.record(pulses, 0, LENGTH_S)
    assert "known to 0.2 s only" in refused_because(reference, line)


def test_intervals_that_repeat_are_ambiguous() -> None:
    rng = np.random.default_rng(7)
    pulses = np.concatenate([k * 60 + random_pulses(rng, 59) for k in range(1)])
    pulses = np.concatenate([pulses + 60 * k for k in range(29)])
    reference, line = NIDQ.record(pulses, 0, LENGTH_S), PROBE.record(pulses, 0, LENGTH_S)
    assert "in several ways" in refused_because(reference, line, start=None)


@pytest.mark.parametrize("kind", ["random", "periodic"])
def test_a_jump_just_before_the_end_is_followed_or_refused(kind: str) -> None:
    for seed in range(10):
        rng = np.random.default_rng(seed)
        is_random = kind == "random"
        pulses = random_pulses(rng, LENGTH_S) if is_random else periodic_pulses(LENGTH_S)
        at_s = float(pulses[-6] + 0.1)
        probe = replace(PROBE, jumps=[(at_s, 0.15)])
        clock = aligned(NIDQ.record(pulses, 0, LENGTH_S), probe.record(pulses, 0, LENGTH_S))
        if clock.status == "own":
            assert "a clock has jumped there" in str(clock.why)
            continue
        [jump] = clock.jumps
        after = whole(float(pulses[-5]), LENGTH_S)
        assert error_ms(clock, NIDQ, probe, after[probe.own_s(after) > jump.own_end_s]).max() < 0.1


def test_too_few_pulses_are_refused() -> None:
    pulses = random_pulses(np.random.default_rng(8), 18.0)
    line = PROBE.record(pulses[:8], 0, LENGTH_S)
    reference = NIDQ.record(random_pulses(np.random.default_rng(8), 60.0), 0, LENGTH_S)
    assert "has 8 pulses, and 10 are needed" in refused_because(reference, line)


def test_pulses_that_scatter_by_milliseconds_are_refused() -> None:
    for kind in ("random", "1 Hz"):
        rng = np.random.default_rng(9)
        reference = NIDQ.record(other_line(rng, kind), 0, LENGTH_S)
        line = PROBE.record(other_line(np.random.default_rng(9), kind), 0, LENGTH_S)
        scattered = line.rising_s + rng.uniform(-0.004, 0.004, len(line.rising_s))
        assert refused_because(reference, replace(line, rising_s=np.sort(scattered)))


def test_streams_without_common_time_are_refused() -> None:
    pulses = random_pulses(np.random.default_rng(10), LENGTH_S)
    reference, line = NIDQ.record(pulses, 0, 800), PROBE.record(pulses, 900, LENGTH_S)
    assert "not recorded at the same time" in refused_because(reference, line)


def test_a_drift_is_not_relied_on_for_long() -> None:
    pulses = random_pulses(np.random.default_rng(11), LENGTH_S)
    reference, line = NIDQ.record(pulses, 0, 900), PROBE.record(pulses, 0, LENGTH_S)
    assert "no common pulses with nidq during 90" in refused_because(reference, line)


def test_a_stream_without_a_sync_line_says_so() -> None:
    line = replace(PROBE.record(np.empty(0), 0, LENGTH_S), line=None, why="SY was not saved")
    pulses = NIDQ.record(periodic_pulses(LENGTH_S), 0, LENGTH_S)
    assert "imec0.ap has no sync line: SY was not saved" in refused_because(pulses, line)


def test_streams_of_one_clock_need_no_pulses() -> None:
    reference, line = (
        replace(each.record(np.empty(0), 0, LENGTH_S), shared_clock="a.nwb")
        for each in (NIDQ, PROBE)
    )
    clock = aligned(reference, line)
    assert (clock.status, clock.drift_ppm, clock.offset_s) == ("aligned", 0.0, 0.0)
    assert clock.why == "a.nwb has both on one clock"


@pytest.mark.parametrize(("begin_s", "status"), [(0.02, "aligned"), (200, "aligned"), (600, "own")])
@pytest.mark.parametrize("step_s", [1.0, 0.5])
def test_pulses_before_the_reference_began_are_not_matched_by_chance(
    step_s: float, begin_s: float, status: str
) -> None:
    """Intervals of whole or half seconds repeat now and then."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        steps = rng.integers(1, 6, int(LENGTH_S / step_s))
        pulses = np.cumsum(steps * step_s)
        pulses = pulses[pulses < LENGTH_S]
        lines = (NIDQ.record(pulses, begin_s, LENGTH_S), PROBE.record(pulses, 0, LENGTH_S))
        lost = [disturb(each, rng, lost=0.03, doubled=0, late=0) for each in lines]
        clock = aligned(lost[0], lost[1])
        assert clock.status == status, (seed, clock.why)
        if status == "aligned":
            assert error_ms(clock, NIDQ, PROBE, whole()).max() < ALLOWED_MS, seed


@pytest.mark.parametrize("width_s", [0.02, 0.1])
@pytest.mark.parametrize("inverted", ["nidq", "imec0.ap", None])
def test_an_inverted_line_is_aligned_by_its_falling_edges(
    width_s: float, inverted: str | None
) -> None:
    """Else all times would be off by the width of a pulse."""
    rng = np.random.default_rng(0)
    pulses = random_pulses(rng, LENGTH_S)
    lines = []
    for each in (NIDQ, PROBE):
        line = each.record(pulses, 0, LENGTH_S)
        line = replace(line, falling_s=each.record(pulses + width_s, 0, LENGTH_S).rising_s)
        if each.name == inverted:
            line = replace(line, rising_s=line.falling_s, falling_s=line.rising_s)
        lines.append(line)
    clock = aligned(lines[0], lines[1])
    assert clock.status == "aligned"
    assert ("inverted" in (clock.why or "")) == (inverted is not None)
    assert error_ms(clock, NIDQ, PROBE, whole(10, LENGTH_S - 10)).max() < ALLOWED_MS


def test_several_jumps_of_periodic_pulses_are_refused() -> None:
    """Samples lost in one stream and in the other would be taken for jumps of other sizes."""
    pulses = periodic_pulses(LENGTH_S)
    nidq = replace(NIDQ, jumps=[(900.0, 0.6)])
    probe = replace(PROBE, jumps=[(500.0, 0.6)])
    clock = aligned(nidq.record(pulses, 0, LENGTH_S), probe.record(pulses, 0, LENGTH_S))
    assert clock.status == "own"
    assert "may be whole periods" in (clock.why or "")


@pytest.mark.parametrize("missed_s", [0.005, 0.01])
def test_a_jump_during_a_pause_of_the_pulses_is_no_drift(missed_s: float) -> None:
    pulses = random_pulses(np.random.default_rng(0), LENGTH_S)
    pulses = pulses[(pulses < 600) | (pulses > 1200)]
    probe = replace(PROBE, jumps=[(610.0, missed_s)])
    clock = aligned(NIDQ.record(pulses, 0, LENGTH_S), probe.record(pulses, 0, LENGTH_S))
    [jump] = clock.jumps
    assert jump.size_s == pytest.approx(missed_s, abs=0.002)
    for begin_s, end_s in ((0.0, 599.0), (1201.0, LENGTH_S)):
        assert error_ms(clock, NIDQ, probe, whole(begin_s, end_s)).max() < ALLOWED_MS
