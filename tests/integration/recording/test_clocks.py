"""Timestamps of each format are read from files, followed and noted."""

from collections.abc import Callable
from pathlib import Path

import mtscomp
import numpy as np
import pytest
import spikeinterface as si
from spikeinterface.core import BaseRecording

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.recording.checks import check_recording
from spikeinterface_cloud.recording.clock.clock import clock_of
from spikeinterface_cloud.recording.load import first_frames, open_recording
from spikeinterface_cloud.recording.summary import summarize
from tests.support import timed_files
from tests.support.acquisition_formats import (
    write_blackrock,
    write_blackrock_ptp,
    write_intan,
    write_maxwell,
    write_neuralynx,
    write_open_ephys_legacy,
)
from tests.support.nwb_files import NwbLayout, write_nwb
from tests.support.older_formats import write_neuroexplorer
from tests.support.recordings import SpikeGlxRun, simulate, write_open_ephys, write_spikeglx

pytestmark = pytest.mark.integration

RATE_HZ = 30000.0
N_FRAMES = 60_000


@pytest.fixture(scope="module")
def simulated() -> BaseRecording:
    return simulate(duration_s=2.0, n_channels=8, n_units=2)[0]


def jump(n_frames: int = N_FRAMES, *, first: int = 600_000, missing: int = 21_000) -> np.ndarray:
    """Count samples, some of which are missing half-way."""
    counts = np.arange(n_frames) + first
    counts[n_frames // 2 :] += missing
    return counts


def times_of(recording: BaseRecording, segment: int = 0) -> np.ndarray:
    frames = np.arange(recording.get_num_samples(segment))
    return clock_of(recording).times_s(segment, frames, recording.sampling_frequency)


def assert_follows(recording: BaseRecording, times_s: np.ndarray) -> None:
    """To a tenth of a sample."""
    np.testing.assert_allclose(times_of(recording), times_s, rtol=0, atol=0.1 / RATE_HZ)


def notes_of(recording: BaseRecording) -> list[str]:
    if not recording.has_probe():
        n_channels = recording.get_num_channels()
        recording.set_dummy_probe_from_locations(np.arange(n_channels * 2).reshape(-1, 2) * 20.0)
    return check_recording(recording)[1]


# ----- one segment -------------------------------------------------------------------------------


def open_ephys(
    folder: Path, recording: BaseRecording, files: dict[str, np.ndarray | None], **kwargs: object
) -> BaseRecording:
    """Open a stream whose timestamp files have these contents."""
    session = write_open_ephys(folder, recording, n_adc=0)
    for stream in session.rglob("Acquisition_Board*"):
        for name, values in files.items():
            (stream / name).unlink(missing_ok=True)
            if values is not None:
                np.save(stream / name, values)
    return open_recording(session, "openephys", {"stream_id": "0", **kwargs})


@pytest.mark.parametrize(
    ("files", "load_sync_timestamps"),
    [
        ({"sample_numbers.npy": jump(), "timestamps.npy": jump() / RATE_HZ}, False),
        ({"sample_numbers.npy": jump(), "timestamps.npy": jump() / RATE_HZ}, True),
        ({"sample_numbers.npy": jump(), "timestamps.npy": np.full(N_FRAMES, -1.0)}, False),
        ({"sample_numbers.npy": jump(), "timestamps.npy": np.full(N_FRAMES, -1.0)}, True),
        ({"sample_numbers.npy": None, "timestamps.npy": jump()}, False),
        ({"sample_numbers.npy": None, "timestamps.npy": jump() / RATE_HZ}, False),
    ],
    ids=["0.6", "synchronized", "not synchronized", "requested but missing", "0.5", "only seconds"],
)
def test_open_ephys_sample_numbers_are_followed(
    tmp_path: Path,
    simulated: BaseRecording,
    files: dict[str, np.ndarray | None],
    load_sync_timestamps: bool,
) -> None:
    recording = open_ephys(tmp_path, simulated, files, load_sync_timestamps=load_sync_timestamps)
    assert_follows(recording, jump() / RATE_HZ)
    np.testing.assert_allclose(clock_of(recording).intervals_s(), [(20, 21), (21.7, 22.7)])
    assert summarize(recording).start_time_s == 20.0
    notes = notes_of(recording)
    assert any("1 gap, 0.7 s in all: 0.7 s at 21 s" in note for note in notes)


def test_synchronized_times_of_open_ephys_are_noted(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    synchronized = jump() / 29_999.0 + 3
    files: dict[str, np.ndarray | None] = {
        "sample_numbers.npy": jump(),
        "timestamps.npy": synchronized,
    }
    recording = open_ephys(tmp_path / "a", simulated, files)
    assert any("load_sync_timestamps" in note for note in notes_of(recording))
    followed = open_ephys(tmp_path / "b", simulated, files, load_sync_timestamps=True)
    assert_follows(followed, synchronized)
    assert not any("load_sync_timestamps" in note for note in notes_of(followed))


def test_times_before_open_ephys_was_synchronized_are_refused(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    """And not recommended."""
    synchronized = jump() / 29_999.0 + 3
    synchronized[:5_000] = -1.0
    files: dict[str, np.ndarray | None] = {
        "sample_numbers.npy": jump(),
        "timestamps.npy": synchronized,
    }
    recording = open_ephys(tmp_path / "a", simulated, files)
    assert not any("load_sync_timestamps" in note for note in notes_of(recording))
    followed = open_ephys(tmp_path / "b", simulated, files, load_sync_timestamps=True)
    with pytest.raises(RecordingError, match="same timestamp; leave load_sync_timestamps out"):
        clock_of(followed)


def test_open_ephys_with_too_few_sample_numbers_continues_evenly(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    """After a crash of the GUI, the header of the numbers may have fewer than there are."""
    recording = open_ephys(tmp_path, simulated, {"sample_numbers.npy": jump()[:50_000]})
    assert_follows(recording, jump() / RATE_HZ)
    assert any("end 10000 samples before the traces" in note for note in notes_of(recording))


def test_unreadable_timestamps_are_refused(tmp_path: Path, simulated: BaseRecording) -> None:
    recording = open_ephys(tmp_path, simulated, {})
    (file,) = tmp_path.rglob("*Acquisition_Board*/timestamps.npy")
    file.write_bytes(b"\x93NUMPY\x01")
    with pytest.raises(RecordingError, match="the timestamps of the recording cannot be read: "):
        notes_of(recording)


def test_a_clock_that_runs_backwards_is_noted(tmp_path: Path, simulated: BaseRecording) -> None:
    counts = jump(missing=-15_000)
    recording = open_ephys(tmp_path, simulated, {"sample_numbers.npy": counts})
    assert_follows(recording, counts / RATE_HZ)
    np.testing.assert_allclose(clock_of(recording).intervals_s(), [(20.0, 21.5)])
    assert any("runs backwards 1 time: by 0.5 s at 21 s" in note for note in notes_of(recording))


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
@pytest.mark.parametrize("digits", [9, 6, 5, 3])
def test_rate_and_times_follow_nwb_timestamps(
    tmp_path: Path, simulated: BaseRecording, digits: int
) -> None:
    """The first steps of rounded ones alone give 30,303, 33,333 or infinitely many Hz."""
    timestamps = np.round(jump() / RATE_HZ, digits)
    file = write_nwb(tmp_path / "a.nwb", simulated, NwbLayout(timestamps=timestamps))
    checked, notes = check_recording(open_recording(file, "nwb", {}))
    assert checked.sampling_frequency == pytest.approx(RATE_HZ, rel=3e-4)
    np.testing.assert_allclose(times_of(checked), timestamps, rtol=0, atol=0.5 / RATE_HZ)
    (begin, end), (again, last) = clock_of(checked).intervals_s()
    assert [begin, end, again, last] == pytest.approx([20, 21, 21.7, 22.7], abs=0.002)
    assert any("1 gap" in note for note in notes)
    reloaded = si.load(checked.to_dict())
    assert reloaded.sampling_frequency == checked.sampling_frequency
    np.testing.assert_array_equal(
        reloaded.get_traces(end_frame=100), simulated.get_traces(end_frame=100)
    )


@pytest.mark.parametrize("load_time_vector", [False, True])
def test_timestamps_after_the_first_frames_are_not_read(
    tmp_path: Path, simulated: BaseRecording, load_time_vector: bool
) -> None:
    timestamps = jump() / RATE_HZ
    timestamps[50_000:] = np.nan
    file = write_nwb(tmp_path / "a.nwb", simulated, NwbLayout(timestamps=timestamps))
    recording = open_recording(file, "nwb", {"load_time_vector": load_time_vector})
    first = first_frames(recording, 40_000)
    assert si.load(first.to_dict()).get_num_samples() == 40_000
    assert_follows(first, timestamps[:40_000])
    np.testing.assert_allclose(
        clock_of(first).intervals_s(), [(20, 21), (21.7, 21.7 + 1 / 3)], atol=1e-6
    )
    with pytest.raises(RecordingError, match="10000 timestamps are NaN or infinite; correct them"):
        clock_of(recording)


@pytest.mark.filterwarnings("ignore:The extractor is not serializable")
@pytest.mark.parametrize("how", ["binary", "zarr"])
def test_time_vectors_saved_by_spikeinterface_are_followed(
    tmp_path: Path, simulated: BaseRecording, how: str
) -> None:
    recording = simulated.clone()
    recording.set_times(jump() / RATE_HZ)
    folder = tmp_path / ("saved.zarr" if how == "zarr" else "saved")
    recording.save(folder=folder, format=how)
    opened = open_recording(folder, how, {})
    assert_follows(opened, jump() / RATE_HZ)
    cut = first_frames(opened, 40_000)
    assert_follows(cut, jump()[:40_000] / RATE_HZ)
    assert any("1 gap, 0.7 s in all" in note for note in notes_of(cut))


def test_preprocessing_keeps_the_times(tmp_path: Path, simulated: BaseRecording) -> None:
    recording = open_ephys(tmp_path, simulated, {"sample_numbers.npy": jump()})
    some = recording.remove_channels(recording.channel_ids[:2]).frame_slice(20_000, 50_000)
    assert_follows(some.astype("float32"), jump()[20_000:50_000] / RATE_HZ)


def test_resampled_frames_are_on_the_same_clock(tmp_path: Path, simulated: BaseRecording) -> None:
    recording = open_ephys(tmp_path, simulated, {"sample_numbers.npy": jump()})
    every_other = clock_of(recording).times_s(0, np.arange(N_FRAMES // 2), RATE_HZ / 2)
    np.testing.assert_allclose(every_other, jump()[::2] / RATE_HZ, atol=1e-9)


def write_intan_noise(file: Path, counts: np.ndarray) -> Path:
    return write_intan(file, timed_files.noise(len(counts)), counts)


def write_maxwell_noise(file: Path, counts: np.ndarray) -> Path:
    return write_maxwell(file, timed_files.noise(len(counts)), counts)


COUNTERS: dict[str, tuple[Callable[[Path, np.ndarray], Path], str, dict[str, object], float]] = {
    "a.rhd": (write_intan_noise, "intan", {"ignore_integrity_checks": True}, RATE_HZ),
    "neuronexus": (timed_files.write_neuronexus, "neuronexus", {"stream_id": "ai-pri"}, RATE_HZ),
    "a.rec": (timed_files.write_spikegadgets, "spikegadgets", {}, RATE_HZ),
    "a.raw.h5": (write_maxwell_noise, "maxwell", {"install_maxwell_plugin": False}, 20000),
}


@pytest.mark.parametrize("name", COUNTERS)
def test_sample_counters_are_followed(tmp_path: Path, name: str) -> None:
    write, data_type, kwargs, rate_hz = COUNTERS[name]
    counts = jump(59_904)
    recording = open_recording(write(tmp_path / name, counts), data_type, kwargs)
    np.testing.assert_allclose(times_of(recording), counts / rate_hz, atol=1e-6)
    (gap,) = clock_of(recording).segments[0].gaps
    assert gap.frame == 29_952
    assert gap.length_s == pytest.approx(21_000 / rate_hz, abs=1e-6)
    assert any("1 gap" in note for note in notes_of(recording))


def test_intan_times_before_a_trigger_are_negative(tmp_path: Path) -> None:
    """What it kept of the time before the trigger has negative times."""
    file = write_intan_noise(tmp_path / "a.rhd", np.arange(59_904) - 15_000)
    recording = open_recording(file, "intan", {})
    assert summarize(recording).start_time_s == -0.5
    assert any("starts at -0.5 s" in note for note in notes_of(recording))


def test_split_intan_files_are_on_one_clock(tmp_path: Path) -> None:
    starts = (0, 29_952, 75_000)
    for number, first in enumerate(starts):
        write_intan_noise(tmp_path / f"a_{number}.rhd", np.arange(29_952) + first)
    recording = open_recording(tmp_path, "split_intan_files", {"mode": "append"})
    segments = clock_of(recording).segments
    assert [each.begin_s for each in segments] == pytest.approx(np.array(starts) / RATE_HZ)
    assert clock_of(recording).shifts_s == [0.0] * 3


@pytest.mark.filterwarnings("ignore:.*`strict_gap_mode`")
@pytest.mark.parametrize("rate_hz", [RATE_HZ, 29_999.7, 32_000.0])
def test_small_gaps_between_neuralynx_records_are_followed(tmp_path: Path, rate_hz: float) -> None:
    """Losses of less than a quarter of a record are no new segment to SpikeInterface."""
    records = np.round(5e6 + np.arange(120) * 512 / rate_hz * 1e6)
    records[60:] += 2000
    traces = timed_files.noise(120 * 512)
    folder = write_neuralynx(
        tmp_path / "a", traces, header_rate=round(rate_hz), timestamps_us=records
    )
    recording = open_recording(folder, "neuralynx", {})
    frames = np.arange(120 * 512)
    times = 5 + frames / rate_hz + 0.002 * (frames >= 60 * 512)
    assert_follows(recording, times)
    (gap,) = clock_of(recording).segments[0].gaps
    assert (gap.frame, gap.length_s) == (60 * 512, pytest.approx(0.002, abs=2e-6))


@pytest.mark.filterwarnings("ignore:.*`strict_gap_mode`")
def test_a_partial_neuralynx_record_within_a_segment_is_refused(tmp_path: Path) -> None:
    """At the end it is as it should be; in the middle neo reads what is no sample."""
    n_valid = np.full(120, 512)
    n_valid[-1] = 300
    records = np.round(5e6 + np.arange(120) * 512 / RATE_HZ * 1e6)
    traces = timed_files.noise(120 * 512)
    folder = write_neuralynx(tmp_path / "a", traces, timestamps_us=records, n_valid=n_valid)
    assert_follows(open_recording(folder, "neuralynx", {}), 5 + np.arange(61_228) / RATE_HZ)
    n_valid[60] = 300
    records[61:] -= round(212 / RATE_HZ * 1e6)
    folder = write_neuralynx(tmp_path / "b", traces, timestamps_us=records, n_valid=n_valid)
    with pytest.raises(RecordingError, match=r"1 records .* are not full \(the first is record 60"):
        notes_of(open_recording(folder, "neuralynx", {}))


@pytest.mark.filterwarnings("ignore:.*`(strict_gap_mode|exclude_filename)`")
@pytest.mark.parametrize("damage", [bytes(3 * 1044), None])
def test_one_damaged_neuralynx_file_is_refused(tmp_path: Path, damage: bytes | None) -> None:
    """Neo looks at the records of one file: here it has zeros, or records that are there twice."""
    folder = write_neuralynx(tmp_path / "a", timed_files.noise(120 * 512))
    file = folder / "CSC3.ncs"
    content = bytearray(file.read_bytes())
    first, length = 16384 + 60 * 1044, 3 * 1044
    content[first : first + length] = damage or content[first - length : first]
    file.write_bytes(content)
    with pytest.raises(RecordingError, match=r"CSC3\.ncs is damaged: .* go back at record 60"):
        open_recording(folder, "neuralynx", {})
    opened = open_recording(folder, "neuralynx", {"exclude_filename": "CSC3.ncs"})
    assert opened.get_num_channels() == 3


def test_blackrock_ptp_times_are_followed(tmp_path: Path) -> None:
    """A gap that `gap_tolerance_ms` allows is in the times."""
    truth = 1.7e9 + np.arange(N_FRAMES) / RATE_HZ
    truth[N_FRAMES // 2 :] += 0.005
    nanoseconds = np.round(truth * 1e9).astype("uint64")
    file = write_blackrock_ptp(tmp_path / "a.ns6", timed_files.noise(N_FRAMES), nanoseconds)
    recording = open_recording(file, "blackrock", {"gap_tolerance_ms": 10})
    assert_follows(recording, truth)
    (gap,) = clock_of(recording).segments[0].gaps
    assert (gap.frame, gap.length_s) == (N_FRAMES // 2, pytest.approx(0.005, abs=1e-6))


def test_times_of_neuroexplorer_fragments_are_followed(tmp_path: Path) -> None:
    samples = timed_files.noise(120_000, 1)
    file = write_neuroexplorer(tmp_path / "a.nex", samples, [1, 6], [0, 60_000])
    recording = open_recording(file, "neuroexplorer", {})
    np.testing.assert_array_equal(recording.get_traces(), samples)
    np.testing.assert_allclose(recording.get_channel_gains(), 0.2)
    np.testing.assert_allclose(clock_of(recording).intervals_s(), [(1, 2.5), (6, 7.5)])
    whole = write_neuroexplorer(tmp_path / "b.nex", samples, [2], [0])
    clock = clock_of(open_recording(whole, "neuroexplorer", {}))
    np.testing.assert_allclose(clock.intervals_s(), [(2, 5)])


def test_open_ephys_legacy_with_gaps_is_refused(tmp_path: Path) -> None:
    """Neo loses samples around them; the part before the first, and the remedy, are right."""
    records = np.arange(120) * 1024 + 30_000
    records[30:] += 19_000
    records[90:] += 100
    truth = timed_files.noise(120 * 1024)
    folder = write_open_ephys_legacy(tmp_path / "a", truth, records)
    missing = r"lacks the frames 30720 to 49720, 111160 to 111260 \(0\.636667 s in all\)"
    with pytest.raises(RecordingError, match=missing + ".* TEST_SUB_RECORDING_N_FRAMES=30720"):
        open_recording(folder, "openephys", {})
    with pytest.raises(RecordingError, match=missing):
        open_recording(folder, "openephys", {}, n_frames=30_721)
    recording = first_frames(open_recording(folder, "openephys", {}, n_frames=30_720), 30_720)
    assert_follows(recording, 1 + np.arange(30_720) / RATE_HZ)
    np.testing.assert_array_equal(recording.get_traces(), truth[:30_720])
    whole = open_recording(folder, "openephys", {}, n_frames=1)
    saved = whole.frame_slice(49_720, 111_160).save(
        folder=tmp_path / "b", chunk_size=7_000, progress_bar=False
    )
    np.testing.assert_array_equal(saved.get_traces(), truth[30_720:92_160])
    assert open_recording(tmp_path / "b", "binary", {}).get_num_samples() == 61_440


def test_times_of_multi_channel_systems_pieces_are_followed(tmp_path: Path) -> None:
    file = timed_files.write_mcs(tmp_path / "a.h5", [(0, 20_000), (1_500_000, 20_000)])
    recording = open_recording(file, "mcsh5", {})
    np.testing.assert_allclose(clock_of(recording).intervals_s(), [(0, 1), (1.5, 2.5)])


def test_spikegadgets_without_a_scale_has_no_gain(tmp_path: Path) -> None:
    file = timed_files.write_spikegadgets(tmp_path / "a.rec", np.arange(40_000))
    assert not open_recording(file, "spikegadgets", {}).has_scaleable_traces()


def test_a_truncated_tdt_file_is_refused(tmp_path: Path) -> None:
    """Neo reads zeros in place of what it lacks."""
    times_s = 1000 + np.arange(200) * 256 / RATE_HZ
    folder = timed_files.write_tdt(tmp_path / "tank", times_s, RATE_HZ, 1000.0)
    open_recording(folder, "tdt", {})
    (file,) = folder.rglob("*.tev")
    file.write_bytes(file.read_bytes()[: -512 * 50])
    with pytest.raises(RecordingError, match=r"Block-1\.tev is truncated"):
        open_recording(folder, "tdt", {})


def test_times_of_tdt_blocks_are_followed(tmp_path: Path) -> None:
    """Their times are seconds since 1970, and count from the start of the recording."""
    rate_hz, begin_s = 24414.0625, 1.7e9
    blocks = 0.25 + np.arange(200) * 256 / rate_hz + 0.1 * (np.arange(200) >= 120)
    folder = timed_files.write_tdt(tmp_path / "tank", begin_s + blocks, rate_hz, begin_s)
    recording = open_recording(folder, "tdt", {})
    frames = np.arange(200 * 256)
    assert_follows(recording, 0.25 + frames / rate_hz + 0.1 * (frames >= 120 * 256))
    (gap,) = clock_of(recording).segments[0].gaps
    assert (gap.frame, gap.length_s) == (120 * 256, pytest.approx(0.1, abs=1e-6))


def test_times_of_plexon_fragments_are_followed(tmp_path: Path) -> None:
    fragments = [(3000 + 1000 * n + 7000 * (n >= 40), 1000) for n in range(60)]
    recording = open_recording(
        timed_files.write_plexon(tmp_path / "a.plx", fragments), "plexon", {}
    )
    # 5,000 mV over half of 16 bits, amplified 1,000 times
    np.testing.assert_allclose(recording.get_channel_gains(), 5e6 / 2**15 / 1000)
    frames = np.arange(60_000)
    assert_follows(recording, (3000 + frames + 7000 * (frames >= 40_000)) / RATE_HZ)
    (gap,) = clock_of(recording).segments[0].gaps
    assert (gap.frame, gap.length_s) == (40_000, pytest.approx(7000 / RATE_HZ))


@pytest.mark.parametrize(("n_last", "n_left_out"), [(1000, 1), (300, 1001)])
def test_the_end_of_plexon_that_neo_misreads_is_left_out(
    tmp_path: Path, n_last: int, n_left_out: int
) -> None:
    """It gives zeros for a whole last fragment, and shifts the samples around a part of one."""
    fragments = [(1000 * n, 1000) for n in range(40)] + [(40_000, n_last)]
    recording = open_recording(
        timed_files.write_plexon(tmp_path / "a.plx", fragments), "plexon", {}
    )
    recording.set_dummy_probe_from_locations(np.arange(8).reshape(-1, 2) * 20.0)
    checked, notes = check_recording(recording)
    n_frames = 40_000 + n_last - n_left_out
    assert f"the last {n_left_out} samples are left out" in notes[0]
    truth = timed_files.noise(40_000 + n_last)[:n_frames]
    np.testing.assert_array_equal(checked.get_traces(), truth)
    for start in range(37_000, n_frames, 250):
        piece = checked.get_traces(start_frame=start, end_frame=min(start + 250, n_frames))
        np.testing.assert_array_equal(piece, truth[start : start + 250])


def test_plexon_fragments_that_neo_misplaces_are_refused(tmp_path: Path) -> None:
    fragments = [(0, 30_000), (30_000, 400), (50_000, 30_000), (80_000, 30_000)]
    file = timed_files.write_plexon(tmp_path / "a.plx", fragments)
    with pytest.raises(RecordingError, match="the fragments of the signals have different lengths"):
        notes_of(open_recording(file, "plexon", {}))


# ----- several segments --------------------------------------------------------------------------


def spikeglx(
    folder: Path, counts: np.ndarray, starts: list[int], length: int, first: int = 0
) -> BaseRecording:
    """Write a run whose files start at these samples, and open it."""
    whole = simulate(duration_s=2.0, n_channels=8, n_units=2)[0]
    parts = si.NumpyRecording([counts[a : a + length] for a in starts], RATE_HZ)
    parts.set_channel_gains(whole.get_channel_gains())
    parts.set_channel_offsets(0.0)
    run = SpikeGlxRun(
        triggers=tuple(range(len(starts))),
        with_lf=False,
        first_sample=[first + start for start in starts],
    )
    return open_recording(write_spikeglx(folder, parts, run), "spikeglx", {})


@pytest.fixture(scope="module")
def counts() -> np.ndarray:
    recording, _ = simulate(duration_s=4.0, n_channels=8, n_units=2)
    return np.asarray(recording.get_traces(segment_index=0))


def test_gaps_between_triggers_are_noted_and_kept(tmp_path: Path, counts: np.ndarray) -> None:
    recording = spikeglx(tmp_path, counts, [0, 45_000, 80_000], 30_000, first=3000)
    checked, notes = check_recording(recording)
    assert checked is recording
    np.testing.assert_allclose(
        clock_of(checked).intervals_s(),
        [(0.1, 1.1), (1.6, 2.6), (0.1 + 8 / 3, 1.1 + 8 / 3)],
    )
    (note,) = [note for note in notes if "missing" in note]
    assert "0.666667 s is missing between segments: 0.5 s before segment 1, " in note


@pytest.mark.parametrize("overlap", [1, 1500, 15_000])
def test_repeated_samples_of_overlapping_triggers_are_removed(
    tmp_path: Path, counts: np.ndarray, overlap: int
) -> None:
    step = 30_000 - overlap
    recording = spikeglx(tmp_path, counts, [0, step, 2 * step], 30_000, first=3000)
    checked, notes = check_recording(recording)
    lengths = [checked.get_num_samples(segment) for segment in range(3)]
    assert lengths == [step, step, 30_000]
    samples = np.concatenate([checked.get_traces(segment_index=n) for n in range(3)])
    np.testing.assert_array_equal(samples, counts[: 2 * step + 30_000])
    times = np.concatenate([times_of(checked, n) for n in range(3)])
    np.testing.assert_allclose(times, (3000 + np.arange(len(times))) / RATE_HZ, atol=1e-9)
    assert checked.get_annotation("stream_name") == "imec0.ap"
    np.testing.assert_array_equal(
        checked.get_channel_locations(), recording.get_channel_locations()
    )
    (note,) = [note for note in notes if "in two segments" in note]
    assert f"2 times, {2 * overlap / RATE_HZ:.6g} s in all" in note
    assert not any("moved" in note for note in notes)


def test_a_trigger_within_another_is_left_out(tmp_path: Path, counts: np.ndarray) -> None:
    whole = spikeglx(tmp_path, counts, [0, 30_000, 40_000], 30_000)
    short = si.append_recordings(
        [
            whole.select_segments([0]),
            whole.select_segments([1]),
            whole.select_segments([2]).frame_slice(0, 10_000),
        ]
    )
    checked, notes = check_recording(short)
    assert [checked.get_num_samples(n) for n in range(checked.get_num_segments())] == [
        30_000,
        30_000,
    ]
    assert any("in two segments 1 time," in note for note in notes)


def test_overlapping_triggers_with_different_samples_are_refused(
    tmp_path: Path, counts: np.ndarray
) -> None:
    other = counts.copy()
    other[20_000:, 3] += 1
    recording = si.append_recordings(
        [
            spikeglx(tmp_path / "a", counts, [0], 30_000),
            spikeglx(tmp_path / "b", other, [20_000], 30_000),
        ]
    )
    with pytest.raises(RecordingError) as raised:
        check_recording(recording)
    message = str(raised.value)
    assert "segment 1 begins at 0.666667 s, 0.333333 s before segment 0 ends" in message
    assert "correct firstSample in the meta files" in message
    assert "\n" not in message


def test_segments_with_restarted_clocks_follow_each_other(
    tmp_path: Path, counts: np.ndarray
) -> None:
    """A note says so before sorting."""
    recording = si.append_recordings(
        [
            spikeglx(tmp_path / "a", counts, [0], 30_000, first=3000),
            spikeglx(tmp_path / "b", counts[30_000:], [0], 30_000, first=1500),
        ]
    )
    checked, notes = check_recording(recording)
    assert checked is recording
    np.testing.assert_allclose(clock_of(checked).intervals_s(), [(0.1, 1.1), (1.1, 2.1)])
    (note,) = [note for note in notes if "overlap" in note]
    assert "segment 1 begins at 0.05 s and is moved by 1.05 s" in note


def test_segments_without_times_are_noted() -> None:
    recording = simulate(duration_s=[1.0, 2.0], n_channels=8, n_units=2)[0]
    (note,) = check_recording(recording)[1]
    assert "they have no times of their own" in note


def test_segments_that_meet_are_not_moved(tmp_path: Path, counts: np.ndarray) -> None:
    """Though their times, in floating-point numbers, do not quite."""
    recording = spikeglx(tmp_path, counts, [0, 30_001, 60_002], 30_001, first=1_234_567)
    assert clock_of(recording).shifts_s == [0.0, 0.0, 0.0]
    assert not any("missing" in note or "overlap" in note for note in notes_of(recording))


def test_processing_by_catgt_is_noted(tmp_path: Path, counts: np.ndarray) -> None:
    recording = spikeglx(tmp_path, counts, [0], 60_000)
    assert not any("CatGT" in note for note in notes_of(recording))
    (meta,) = tmp_path.rglob("*.ap.meta")
    with meta.open("a") as file:
        file.write("catNFiles=3\ncatGTCmdline0=<CatGT -g=0 -t=0,2 -zerofillmax=500>\n")
    notes = notes_of(open_recording(tmp_path, "spikeglx", {}))
    (note,) = [note for note in notes if "CatGT joined" in note]
    assert "joined 3 files" in note
    assert "for 500 ms at most" in note


def test_compressed_spikeglx_starts_at_its_first_sample(tmp_path: Path, counts: np.ndarray) -> None:
    spikeglx(tmp_path, counts, [0], 60_000, first=15_000)
    (file,) = tmp_path.rglob("*.ap.bin")
    compressed = {"out": file.with_suffix(".cbin"), "outmeta": file.with_suffix(".ch")}
    mtscomp.compress(file, **compressed, sample_rate=RATE_HZ, n_channels=9, dtype=np.int16)
    file.unlink()
    recording = open_recording(tmp_path, "cbin_ibl", {})
    assert_follows(recording, 0.5 + np.arange(60_000) / RATE_HZ)


def test_blocks_of_blackrock_are_segments_on_one_clock(tmp_path: Path) -> None:
    blocks = [(0, 30_000), (45_000, 30_000)]
    file = write_blackrock(tmp_path / "a.ns6", timed_files.noise(60_000), blocks=blocks)
    recording = open_recording(file, "blackrock", {})
    np.testing.assert_allclose(clock_of(recording).intervals_s(), [(0, 1), (1.5, 2.5)])
    assert any("0.5 s before segment 1" in note for note in notes_of(recording))
