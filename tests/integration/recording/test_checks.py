"""Defects of a recording are refused, corrected or noted."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from probeinterface import Probe, ProbeGroup, generate_multi_shank
from spikeinterface.core import BaseRecording, NumpyRecording

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.recording.checks import check_recording
from spikeinterface_cloud.recording.load import open_recording
from spikeinterface_cloud.recording.samples.chunks import Chunk, map_all_chunks, sample_chunks
from spikeinterface_cloud.recording.summary import summarize
from tests.support.nwb_files import NwbLayout, write_nwb
from tests.support.recordings import (
    AP_GAIN_UV,
    neuropixels_probe,
    simulate,
    write_open_ephys,
    write_zarr_folder,
)

pytestmark = pytest.mark.integration

N_CHANNELS = 8


@pytest.fixture(scope="module")
def simulated() -> BaseRecording:
    return simulate(duration_s=2.0, n_channels=N_CHANNELS, n_units=2)[0]


def variant(
    recording: BaseRecording,
    traces: np.ndarray | None = None,
    *,
    rate: float = 30000.0,
    gain: float | None = AP_GAIN_UV,
    probe: Probe | ProbeGroup | None = None,
) -> BaseRecording:
    """Return the recording with other samples, rate, gain or probe."""
    if traces is None:
        traces = recording.get_traces(segment_index=0)
    changed = NumpyRecording([traces], rate)
    if gain is not None:
        changed.set_channel_gains(gain)
        changed.set_channel_offsets(0.0)
    if isinstance(probe, ProbeGroup):
        changed.set_probegroup(probe, check_overlap=False)
    else:
        changed.set_probe(probe or neuropixels_probe(traces.shape[1]))
    return changed


def refusal(recording: BaseRecording) -> str:
    with pytest.raises(RecordingError) as raised:
        check_recording(recording)
    message = str(raised.value)
    assert "\n" not in message
    return message


def only_note(notes: list[str]) -> str:
    assert len(notes) == 1, notes
    return notes[0]


# ----- refused -----------------------------------------------------------------------------------


def test_a_valid_recording_is_unchanged(simulated: BaseRecording) -> None:
    """No note, and the same object."""
    checked, notes = check_recording(simulated)
    assert checked is simulated
    assert notes == []


@pytest.mark.parametrize(
    ("n_samples", "message"),
    [(0, "the recording is empty: 8 channels, 0 samples"), (15000, "lasts 0.500 s, too short")],
)
def test_an_empty_recording_is_refused(
    simulated: BaseRecording, n_samples: int, message: str
) -> None:
    """Sorters fail on these with messages of linear algebra."""
    traces = simulated.get_traces(segment_index=0)[:n_samples]
    assert message in refusal(variant(simulated, traces))


def test_a_slow_recording_is_refused(simulated: BaseRecording) -> None:
    """Its rate is named."""
    message = refusal(variant(simulated, rate=1250.0))
    assert "sampled at 1250 Hz" in message
    assert "LFP" in message


def test_duplicate_channel_names_are_refused(simulated: BaseRecording) -> None:
    names = ["a", "b"] * (N_CHANNELS // 2)
    twice = NumpyRecording([simulated.get_traces(segment_index=0)], 30000.0, channel_ids=names)
    assert "channel names are not unique (a, b)" in refusal(twice)


def test_a_constant_recording_is_refused(simulated: BaseRecording) -> None:
    """Of a headstage that was not plugged in."""
    traces = np.full((60000, N_CHANNELS), 7, dtype="int16")
    assert "every channel is constant" in refusal(variant(simulated, traces))


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("frames", [slice(30000, None), slice(45000, 45001)])
def test_nan_and_infinity_are_refused(
    simulated: BaseRecording, value: float, frames: slice
) -> None:
    """They are named, with the place, even where it is a single sample."""
    traces = simulated.get_traces(segment_index=0).astype("float32")
    traces[frames, [2, 5]] = value
    message = refusal(variant(simulated, traces))
    assert "2 of 8 channels hold NaN or infinity: 2, 5;" in message
    assert f"the first is {frames.start / 30000:g} s after the start of segment 0;" in message


def test_a_recording_without_a_probe_is_refused(simulated: BaseRecording) -> None:
    """The remedy is a variable."""
    bare = NumpyRecording([simulated.get_traces(segment_index=0)], 30000.0)
    message = refusal(bare)
    assert "has no channel positions" in message
    assert "PROBE_FILE" in message


def test_nan_positions_are_refused(tmp_path: Path, simulated: BaseRecording) -> None:
    """As NWB files hold that had no histology."""
    positions = simulated.get_channel_locations().copy()
    positions[3:5] = np.nan
    file = write_nwb(tmp_path / "a.nwb", simulated, NwbLayout(positions=positions))
    message = refusal(open_recording(file, "nwb", {}))
    assert "2 of 8 channels have no position (NaN): 3, 4;" in message
    assert "PROBE_FILE" in message


def test_identical_positions_are_refused(tmp_path: Path, simulated: BaseRecording) -> None:
    """SpikeInterface refuses to open these; the line is ours."""
    positions = np.zeros((N_CHANNELS, 2))
    file = write_nwb(tmp_path / "a.nwb", simulated, NwbLayout(positions=positions))
    with pytest.raises(RecordingError, match="unique") as raised:
        open_recording(file, "nwb", {})
    assert "\n" not in str(raised.value)


def test_nwb_without_positions_is_refused(tmp_path: Path, simulated: BaseRecording) -> None:
    """The message asks for a probe."""
    file = write_nwb(tmp_path / "a.nwb", simulated, NwbLayout(positions=None))
    assert "PROBE_FILE" in refusal(open_recording(file, "nwb", {}))


# ----- put right ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "bit_depth"), [("uint16", 16), ("uint16", 12), ("uint32", 32)])
def test_unsigned_samples_become_signed(
    simulated: BaseRecording, dtype: str, bit_depth: int
) -> None:
    """Around the middle of the ADC's own range, and with the same microvolts."""
    signed = simulated.get_traces(segment_index=0).astype("int64")
    unsigned = (signed + 2 ** (bit_depth - 1)).astype(dtype)
    recording = variant(simulated, unsigned)
    recording.set_channel_offsets(-AP_GAIN_UV * 2 ** (bit_depth - 1))
    checked, notes = check_recording(recording)
    zero = 2 ** (bit_depth - 1)
    assert f"around {zero}, which becomes 0 in int{unsigned.itemsize * 8}" in only_note(notes)
    assert checked.dtype.kind == "i"
    np.testing.assert_array_equal(checked.get_traces(), signed)
    np.testing.assert_allclose(
        checked.get_traces(return_in_uV=True), signed * AP_GAIN_UV, rtol=1e-5
    )


def test_an_impossible_gain_is_not_used(tmp_path: Path, simulated: BaseRecording) -> None:
    """NWB's default for a conversion that is left out is a million microvolts a step."""
    file = write_nwb(tmp_path / "a.nwb", simulated, NwbLayout(conversion=None))
    recording = open_recording(file, "nwb", {})
    assert recording.get_channel_gains()[0] == 1e6
    checked, notes = check_recording(recording)
    assert "gain of 1e+06 uV per step" in only_note(notes)
    assert not checked.has_scaleable_traces()
    assert summarize(checked).gain_to_uv is None


def test_volts_in_floats_need_no_conversion(tmp_path: Path, simulated: BaseRecording) -> None:
    """A gain of a million is right for these, and makes them microvolts."""
    volts = simulated.get_traces(segment_index=0).astype("float64") * AP_GAIN_UV * 1e-6
    file = write_nwb(
        tmp_path / "a.nwb",
        variant(simulated, volts),
        NwbLayout(conversion=None, dtype="float32"),
    )
    checked, notes = check_recording(open_recording(file, "nwb", {}))
    assert notes == []
    assert checked.get_channel_gains()[0] == 1.0
    np.testing.assert_allclose(checked.get_traces(), volts * 1e6, rtol=1e-5)


def test_analog_inputs_among_the_channels_are_left_out(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    """The AUX channels of a headstage share the stream of its electrodes."""
    folder = write_open_ephys(tmp_path, simulated)
    for file in folder.rglob("structure.oebin"):
        file.write_text(file.read_text().replace('"CH8"', '"AUX1"'))
    recording = open_recording(folder, "openephys", {})
    assert recording.get_num_channels() == N_CHANNELS
    recording.set_probe(neuropixels_probe(N_CHANNELS))
    checked, notes = check_recording(recording)
    assert "left out 1 channels that are analog inputs: AUX1" in only_note(notes)
    assert list(checked.channel_ids) == [f"CH{n}" for n in range(1, 8)]


def test_probes_that_share_positions_are_set_apart(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    """rel_x and rel_y of an NWB file are relative to each electrode group."""
    half = neuropixels_probe(N_CHANNELS // 2).contact_positions
    layout = NwbLayout(positions=np.vstack([half, half]), groups=("left", "right"))
    recording = open_recording(write_nwb(tmp_path / "a.nwb", simulated, layout), "nwb", {})
    checked, notes = check_recording(recording)
    assert any("2 probes share positions" in note for note in notes)
    assert any("left: 4, right: 4" in note for note in notes)
    positions = checked.get_channel_locations()
    np.testing.assert_allclose(np.diff(positions[:4], axis=0), np.diff(half, axis=0))
    np.testing.assert_allclose(np.diff(positions[4:], axis=0), np.diff(half, axis=0))
    assert positions[4:, 0].min() - positions[:4, 0].max() >= 1000
    assert list(checked.get_property("group")) == ["left"] * 4 + ["right"] * 4
    np.testing.assert_array_equal(checked.get_traces(), simulated.get_traces())


@pytest.mark.parametrize(("offset_um", "is_said"), [((5.0, 5.0), True), ((0.0, 80.0), False)])
def test_overlapping_electrode_groups_are_noted(
    tmp_path: Path, simulated: BaseRecording, offset_um: tuple[float, float], is_said: bool
) -> None:
    """Regions along one probe touch each other at most; probes of their own origin interleave."""
    half = neuropixels_probe(N_CHANNELS // 2).contact_positions
    positions = np.vstack([half, half + offset_um])
    layout = NwbLayout(positions=positions, groups=("a", "b"))
    recording = open_recording(write_nwb(tmp_path / "a.nwb", simulated, layout), "nwb", {})
    checked, notes = check_recording(recording)
    assert any("probes overlap in space" in note for note in notes) is is_said
    np.testing.assert_allclose(checked.get_channel_locations(), positions)


# ----- noted -------------------------------------------------------------------------------------


def test_missing_gains_are_noted(simulated: BaseRecording) -> None:
    """Sorting goes on, in the units of the file."""
    checked, notes = check_recording(variant(simulated, gain=None))
    assert "no gains" in only_note(notes)
    assert summarize(checked).gain_to_uv is None


def test_constant_channels_are_noted(simulated: BaseRecording) -> None:
    """They are named."""
    traces = simulated.get_traces(segment_index=0).copy()
    traces[:, [0, 7]] = 0
    _, notes = check_recording(variant(simulated, traces))
    assert only_note(notes) == "2 of 8 channels are constant: 0, 7"


def test_segments_are_noted() -> None:
    """With what becomes of them."""
    recording = simulate(duration_s=[1.0, 2.0], n_channels=N_CHANNELS, n_units=2)[0]
    _, notes = check_recording(recording)
    assert only_note(notes).startswith("2 segments: ")


@pytest.mark.parametrize(
    ("n_segments", "n_looked_at", "n_chunks"),
    [(1, 1, 10), (10, 10, 100), (30, 30, 90), (300, 50, 100)],
)
def test_the_number_of_sampled_chunks_is_limited(
    simulated: BaseRecording, n_segments: int, n_looked_at: int, n_chunks: int
) -> None:
    """In all segments or, of very many, in some, from the first to the last."""
    traces = simulated.get_traces(segment_index=0)[:30000]
    chunks = sample_chunks(NumpyRecording([traces] * n_segments, 30000.0))
    assert len(chunks) == n_chunks
    segments = {chunk.segment for chunk in chunks}
    assert (len(segments), max(segments)) == (n_looked_at, n_segments - 1)
    last = chunks[-1]
    assert last.start_frame + len(last.traces) == 30000


def test_unreadable_samples_are_refused(tmp_path: Path, simulated: BaseRecording) -> None:
    """Looking at all of them ends in one line as well."""
    folder = write_zarr_folder(tmp_path / "a.zarr", simulated)
    recording = open_recording(folder, "zarr", {})  # which looks at the chunks
    (folder / "traces_seg0" / "1.0").write_bytes(b"damaged")
    with pytest.raises(RecordingError, match="the samples cannot all be read") as raised:
        map_all_chunks(recording, len_of, "how many are there")
    assert "\n" not in str(raised.value)


def len_of(chunk: Chunk) -> int:
    return len(chunk.traces)


def test_shanks_are_noted(simulated: BaseRecording) -> None:
    """With the channels of each."""
    probe = generate_multi_shank(num_shank=2, num_columns=1, num_contact_per_column=4)
    probe.set_device_channel_indices(np.arange(8))
    recording = variant(simulated)
    recording.set_probe(probe, group_mode="by_shank")
    _, notes = check_recording(recording)
    assert only_note(notes) == "2 shanks or groups of channels (0: 4, 1: 4)"
    facts = summarize(recording)
    assert facts.n_shanks == 2
    assert facts.groups == {"0": 4, "1": 4}


@pytest.mark.parametrize("load_time_vector", [False, True])
def test_gaps_in_timestamps_are_noted(
    tmp_path: Path, simulated: BaseRecording, load_time_vector: bool
) -> None:
    """Where and how long they are, and what spike times do about them."""
    timestamps = np.arange(60000) / 30000.0
    timestamps[20000:] += 0.5
    timestamps[40000:] += 0.25
    file = write_nwb(tmp_path / "a.nwb", simulated, NwbLayout(timestamps=timestamps))
    kwargs: Mapping[str, object] = {"load_time_vector": True} if load_time_vector else {}
    recording = open_recording(file, "nwb", kwargs)
    note = next(note for note in check_recording(recording)[1] if "gaps" in note)
    assert "2 gaps, 0.75 s in all: 0.5 s at 0.666633 s, 0.25 s at 1.8333 s" in note
    assert "spike times follow the file's own times" in note


def test_even_timestamps_have_no_gaps(tmp_path: Path, simulated: BaseRecording) -> None:
    """Rounding is not a gap."""
    timestamps = np.round(np.arange(60000) / 30000.0, 6)
    file = write_nwb(tmp_path / "a.nwb", simulated, NwbLayout(timestamps=timestamps))
    assert check_recording(open_recording(file, "nwb", {}))[1] == []


def test_the_starting_time_is_noted(tmp_path: Path, simulated: BaseRecording) -> None:
    """Spike times count from it."""
    file = write_nwb(tmp_path / "a.nwb", simulated, NwbLayout(starting_time=100.0))
    _, notes = check_recording(open_recording(file, "nwb", {}))
    assert "starts at 100 s" in only_note(notes)


def test_the_summary_can_be_written_as_json(simulated: BaseRecording) -> None:
    """As `run.json` holds them."""
    facts = summarize(simulated)
    held = json.loads(json.dumps(dataclasses.asdict(facts)))
    assert held["n_channels"] == N_CHANNELS
    assert held["duration_s"] == 2.0
    assert held["size_bytes"] == 60000 * N_CHANNELS * 2
    assert held["gain_to_uv"] == [AP_GAIN_UV, AP_GAIN_UV]
    assert held["probes"] == ["imec NP1000"]
    assert held["n_shanks"] == 1
