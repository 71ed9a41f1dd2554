"""Artifacts at the pulses of another stream's line are removed, and nothing else is touched."""

from pathlib import Path

import numpy as np
import pytest
import spikeinterface as si

from spikeinterface_cloud.config.event_lines import Line
from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.preprocessing.pipeline import preprocess
from spikeinterface_cloud.recording.sync.pulses import LineEdges, SegmentEdges, StreamLines
from spikeinterface_cloud.recording.sync.sync_line import SyncLine
from spikeinterface_cloud.session.triggers import on_clock_of, place_triggers, rising_s

pytestmark = pytest.mark.integration

RATE_HZ = 30_000.0
DURATION_S = 30.0

#: the probe's clock is 60 ppm fast, and began 37 s after NI-DAQ's
DRIFT, START_S = 60e-6, 37.0

#: when NI-DAQ stopped, on its own clock
NIDQ_END_S = 85.0

LINE = Line("nidq", "line3")


def on_probe(nidq_s: np.ndarray) -> np.ndarray:
    """The probe's time at a time of NI-DAQ: the truth."""
    return (nidq_s - START_S) * (1 + DRIFT)


def sync_line(stream: str, rising_s: np.ndarray, end_s: float) -> SyncLine:
    return SyncLine(
        stream=stream,
        sampling_frequency_hz=RATE_HZ,
        start_s=0.0,
        end_s=end_s,
        line="sync",
        rising_s=rising_s,
        falling_s=rising_s + 0.3,
    )


def sync_lines() -> tuple[SyncLine, SyncLine]:
    """Pulses at irregular intervals, as the probe and NI-DAQ recorded them."""
    pulses_s = np.cumsum(np.random.default_rng(1).uniform(0.6, 1.4, 78))
    probe_s = on_probe(pulses_s)
    probe_s = probe_s[(probe_s > 0) & (probe_s < DURATION_S - 0.5)]
    return sync_line("imec0.ap", probe_s, DURATION_S), sync_line("nidq", pulses_s, NIDQ_END_S)


def noise() -> np.ndarray:
    block = np.random.default_rng(2).normal(0, 20, (30_000, 4)).astype("int16")
    block[block == 0] = 1  # no sample is 0 by itself
    return np.tile(block, (int(DURATION_S), 1))


def recording_of(traces: list[np.ndarray]) -> si.BaseRecording:
    return with_probe(si.NumpyRecording(traces, RATE_HZ))


def with_probe(recording: si.BaseRecording) -> si.BaseRecording:
    recording.set_channel_gains(2.0)
    recording.set_channel_offsets(0.0)
    recording.set_dummy_probe_from_locations(np.arange(8).reshape(4, 2) * 40.0)
    return recording


def steps(**params: object) -> dict[str, dict[str, object]]:
    return {"remove_artifacts": {"triggers": str(LINE), **params}}


def test_artifacts_planted_at_pulses_of_a_drifting_clock_are_removed_alone(tmp_path: Path) -> None:
    probe, nidq = sync_lines()
    rng = np.random.default_rng(4)
    pulses_s = START_S + np.sort(rng.uniform(1.0, DURATION_S - 1.0, 30))
    frames = np.round(on_probe(pulses_s) * RATE_HZ).astype(int)
    apart = (frames % 30_000 > 100) & (frames % 30_000 < 29_800)  # within a chunk of a second
    pulses_s, frames = pulses_s[apart], frames[apart]
    traces = noise()
    inside = np.zeros(len(traces), dtype=bool)
    for frame in frames:
        traces[frame : frame + 60] = 20_000
        inside[frame - 15 : frame + 76] = True
    clock = on_clock_of(probe, nidq)
    before_s = np.array([1.0, START_S - 1.0])
    triggers_s = clock.to_reference(np.concatenate([before_s, pulses_s, [NIDQ_END_S - 1]]))
    traces.tofile(tmp_path / "samples.raw")
    recording = with_probe(
        si.BinaryRecordingExtractor(
            tmp_path / "samples.raw", RATE_HZ, dtype="int16", num_channels=4
        )
    )
    choice, notes = place_triggers(
        steps(ms_before=0.5, ms_after=2.5), recording, {LINE: triggers_s}
    )
    done = preprocess(recording, choice, {"simple": {}}, tmp_path / "preprocessed")
    after = done.for_sorting.get_traces()
    within = np.abs(np.array(choice[0]["params"]["list_triggers"][0]) - frames) <= 1
    assert within.all()
    surely = inside & np.roll(inside, 2) & np.roll(inside, -2)
    assert not after[surely].any()
    outside = ~inside & ~np.roll(inside, 2) & ~np.roll(inside, -2)
    np.testing.assert_array_equal(after[outside], traces[outside])
    assert np.abs(after).max() < 200
    assert notes == [
        f"remove_artifacts: 3 of {len(frames) + 3} pulses of nidq:line3 are not within the "
        "recording, and are left out"
    ]


def test_triggers_follow_the_segments_and_the_rate_at_their_step() -> None:
    recording = recording_of([noise()[:30_000], noise()[:60_000]])
    triggers_s = np.array([0.5, 1.25])
    choice, _ = place_triggers(
        {"resample": {"resample_rate": 15_000}, **steps()}, recording, {LINE: triggers_s}
    )
    assert [step["name"] for step in choice] == ["resample", "remove_artifacts"]
    assert choice[1]["params"] == {"list_triggers": [[7_500], [3_750]]}


def test_a_line_without_a_pulse_during_the_recording_is_refused() -> None:
    with pytest.raises(RecordingError, match=r"none of the 2 pulses of nidq:line3 is within"):
        place_triggers(steps(), recording_of([noise()[:3000]]), {LINE: np.array([7.0, 8.0])})


def test_a_clock_that_cannot_be_trusted_is_refused() -> None:
    probe, _ = sync_lines()
    other = np.sort(np.random.default_rng(9).uniform(0, NIDQ_END_S, 80))
    with pytest.raises(RecordingError, match=r"nidq cannot be placed in imec0\.ap, .*leave remove"):
        on_clock_of(probe, sync_line("nidq", other, NIDQ_END_S))
    silent = sync_line("nidq", np.empty(0), NIDQ_END_S)
    with pytest.raises(RecordingError, match="cannot be aligned"):
        on_clock_of(probe, silent)


def test_a_line_without_pulses_is_refused_with_those_that_have_some() -> None:
    edges = SegmentEdges(rising_s=np.array([1.0]), falling_s=np.array([2.0]))
    always = SegmentEdges(rising_s=np.empty(0), falling_s=np.empty(0), high_at_start=True)
    lines = StreamLines(
        lines={
            "line0": LineEdges(line="line0", segments=[edges]),
            "line4": LineEdges(line="line4", segments=[always]),
        },
        notes=["line3 changes too often for events"],
    )
    assert rising_s(Line("nidq", "line0"), lines).tolist() == [1.0]
    with pytest.raises(RecordingError, match="no pulse on nidq:line3; line3 changes too often"):
        rising_s(LINE, lines)
    with pytest.raises(RecordingError, match=r"no pulse on nidq:line4; lines of nidq .*: line0;"):
        rising_s(Line("nidq", "line4"), lines)
