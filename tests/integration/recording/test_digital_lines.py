"""Digital lines, thresholded inputs and TTL events, read from files, against the truth."""

import json
from pathlib import Path

import numpy as np
import pytest
from spikeinterface.core import BaseRecording

from spikeinterface_cloud.config.event_lines import Threshold
from spikeinterface_cloud.errors import RecordingError, SettingsError
from spikeinterface_cloud.recording.load import open_recording
from spikeinterface_cloud.recording.sync import digital_lines
from spikeinterface_cloud.recording.sync.digital_lines import read_lines
from tests.support.nidq import NIDQ_STEP_V, OBX_STEP_V, write_nidq, write_onebox
from tests.support.recordings import simulate, write_open_ephys

pytestmark = pytest.mark.integration

RATE_HZ = 25_000.4
N_FRAMES = 600_000


def words_of(pulses: dict[int, list[tuple[int, int]]], n_words: int = 1) -> np.ndarray:
    """Return digital words in which lines are high from one frame up to another."""
    words = np.zeros((N_FRAMES, n_words), dtype="uint16")
    for line, intervals in pulses.items():
        for start, stop in intervals:
            words[start:stop, line // 16] |= np.uint16(1 << line % 16)
    return words


def nidq(folder: Path) -> BaseRecording:
    return open_recording(folder, "spikeglx", {"stream_id": "nidq"})


def test_pulses_of_every_digital_line_have_the_times_of_the_streams_own_clock(
    tmp_path: Path,
) -> None:
    edge = digital_lines.CHUNK_FRAMES
    truth = {
        0: [(100, 150), (edge - 1, edge), (edge + 1, edge + 9)],
        15: [(edge - 20, edge + 20)],
        19: [(5, 6), (N_FRAMES - 30, N_FRAMES - 1)],
    }
    write_nidq(tmp_path / "run_g0_t0", words_of(truth, 2), rate_hz=RATE_HZ, first_sample=5000)
    found = read_lines(nidq(tmp_path), {})
    assert sorted(found.lines) == ["line0", "line15", "line19"]
    assert not found.notes
    for line, intervals in truth.items():
        pulses = found.lines[f"line{line}"].pulses
        starts, stops = np.array(intervals).T
        np.testing.assert_allclose(pulses.rising_s, (starts + 5000) / RATE_HZ, rtol=0, atol=1e-9)
        np.testing.assert_allclose(pulses.duration_s, (stops - starts) / RATE_HZ, atol=1e-9)
        assert not found.lines[f"line{line}"].notes()


def test_a_pulse_without_a_start_is_no_event_and_one_without_an_end_has_no_duration(
    tmp_path: Path,
) -> None:
    words = words_of({3: [(0, 40), (90, 100), (N_FRAMES - 5, N_FRAMES)], 4: [(0, N_FRAMES)]})
    write_nidq(tmp_path / "run_g0_t0", words, rate_hz=RATE_HZ)
    lines = read_lines(nidq(tmp_path), {}).lines
    pulses = lines["line3"].pulses
    np.testing.assert_allclose(pulses.rising_s * RATE_HZ, [90, N_FRAMES - 5])
    np.testing.assert_allclose(pulses.duration_s * RATE_HZ, [10, np.nan])
    assert not len(lines["line4"].pulses.rising_s)
    first, last = lines["line3"].notes()
    assert "high already" in first
    assert "still high" in last
    [always] = lines["line4"].notes()
    assert "high already" in always


def test_triggers_of_a_run_are_segments_of_one_clock(tmp_path: Path) -> None:
    for trigger, first in ((0, 0), (1, 900_000)):
        words = words_of({2: [(1000, 1100)]})
        stem = tmp_path / f"run_g0_t{trigger}"
        write_nidq(stem, words, rate_hz=RATE_HZ, first_sample=first)
    pulses = read_lines(nidq(tmp_path), {}).lines["line2"].pulses
    np.testing.assert_allclose(pulses.rising_s * RATE_HZ, [1000, 901_000])


def test_files_without_a_gap_between_them_are_read_as_one(tmp_path: Path) -> None:
    second = words_of({2: [(0, 100)], 5: [(0, 7)]})
    first = words_of({2: [(N_FRAMES - 50, N_FRAMES)], 7: [(N_FRAMES - 9, N_FRAMES)]})
    write_nidq(tmp_path / "run_g0_t0", first, rate_hz=RATE_HZ)
    write_nidq(tmp_path / "run_g0_t1", second, rate_hz=RATE_HZ, first_sample=N_FRAMES)
    lines = read_lines(nidq(tmp_path), {}).lines
    for line, start, stop in (("line2", -50, 100), ("line5", 0, 7), ("line7", -9, 0)):
        pulses = lines[line].pulses
        np.testing.assert_allclose(pulses.rising_s * RATE_HZ, [N_FRAMES + start])
        np.testing.assert_allclose(pulses.duration_s * RATE_HZ, [stop - start], atol=1e-3)
        assert not lines[line].notes()


def test_samples_that_are_in_two_files_are_read_once(tmp_path: Path) -> None:
    whole = np.vstack([words_of({2: [(N_FRAMES - 50, N_FRAMES - 20)]}), words_of({2: [(90, 95)]})])
    overlap = 1000
    later = whole[N_FRAMES - overlap :]
    write_nidq(tmp_path / "run_g0_t0", whole[:N_FRAMES], rate_hz=RATE_HZ)
    stem = tmp_path / "run_g0_t1"
    write_nidq(stem, later, rate_hz=RATE_HZ, first_sample=N_FRAMES - overlap)
    rising = read_lines(nidq(tmp_path), {}).lines["line2"].rising_s
    np.testing.assert_allclose(rising * RATE_HZ, [N_FRAMES - 50, N_FRAMES + 90])


def test_analog_inputs_rise_at_their_threshold_in_volts(tmp_path: Path) -> None:
    volts = np.zeros((N_FRAMES, 3))
    volts[1000:2000, 2] = 1.51
    volts[2000:2100, 2] = 1.40  # within the hysteresis
    volts[3000:3100, 2] = 1.49
    volts[500:700, 0] = 1.0  # at the input; MA has a gain of 2
    steps = volts / NIDQ_STEP_V
    steps[:, 0] *= 2
    analog = np.round(steps).astype("int16")
    write_nidq(tmp_path / "run_g0_t0", words_of({}), analog, rate_hz=RATE_HZ, n_ma=1)
    recording = nidq(tmp_path)
    thresholds = {"XA1": Threshold(1.5, 0.15), "MA0": Threshold(0.99, 0.0)}
    lines = read_lines(recording, thresholds).lines
    np.testing.assert_allclose(lines["XA1"].rising_s * RATE_HZ, [1000])
    np.testing.assert_allclose(lines["XA1"].falling_s * RATE_HZ, [2100])
    np.testing.assert_allclose(lines["MA0"].rising_s * RATE_HZ, [500])
    np.testing.assert_allclose(lines["MA0"].falling_s * RATE_HZ, [700])
    assert not read_lines(recording, {"MA0": Threshold(1.01, 0.0)}).lines


def test_a_threshold_for_a_channel_that_is_not_there_is_refused(tmp_path: Path) -> None:
    analog = np.zeros((N_FRAMES, 3), dtype="int16")
    write_nidq(tmp_path / "run_g0_t0", words_of({}), analog)
    with pytest.raises(SettingsError, match=r"no analog channel XA7; did you mean XA\d\? .*XA2"):
        read_lines(nidq(tmp_path), {"XA7": Threshold(1.5, 0.1)})
    with pytest.raises(SettingsError, match="no analog channel XD0"):
        read_lines(nidq(tmp_path), {"XD0": Threshold(1.5, 0.1)})


@pytest.mark.parametrize("threshold", [Threshold(5.5, 0.1), Threshold(1.0, 7.0)])
def test_a_threshold_that_the_input_cannot_reach_is_refused(
    tmp_path: Path, threshold: Threshold
) -> None:
    write_nidq(tmp_path / "run_g0_t0", words_of({}), np.zeros((N_FRAMES, 1), dtype="int16"))
    with pytest.raises(SettingsError, match=r"XA0 cannot rise at .* from -5 to 5 V"):
        read_lines(nidq(tmp_path), {"XA0": threshold})


def test_digital_lines_and_inputs_of_a_onebox_are_read(tmp_path: Path) -> None:
    analog = np.zeros((N_FRAMES, 12), dtype="int16")
    analog[700:800, 11] = round(2.0 / OBX_STEP_V)
    write_onebox(tmp_path / "run_g0_t0", words_of({11: [(10, 30)]}), analog)
    recording = open_recording(tmp_path, "spikeglx", {"stream_id": "obx0"})
    lines = read_lines(recording, {"XA11": Threshold(1.0, 0.1)}).lines
    np.testing.assert_allclose(lines["line11"].rising_s * 30_000, [10])
    np.testing.assert_allclose(lines["XA11"].rising_s * 30_000, [700])
    assert sorted(lines) == ["XA11", "line11"]


# ----- Open Ephys --------------------------------------------------------------------------------

OPEN_EPHYS_RATE_HZ = 30_000.0


def open_ephys_session(folder: Path, *, is_before_0_6: bool = False) -> Path:
    """Write a recording whose samples count from 1,000 on; 200 are missing after 600 of them."""
    recording, _ = simulate(duration_s=0.05, n_channels=4, n_units=1)
    n = recording.get_num_samples()
    session = write_open_ephys(folder, recording)
    first = session / "Record Node 101" / "experiment1" / "recording1"
    counts = np.arange(n) + 1000
    counts[600:] += 200
    for continuous in first.glob("continuous/*"):
        if is_before_0_6:
            (continuous / "sample_numbers.npy").unlink()
            np.save(continuous / "timestamps.npy", counts)
        else:
            np.save(continuous / "sample_numbers.npy", counts)
            np.save(continuous / "timestamps.npy", counts / OPEN_EPHYS_RATE_HZ)
    return first


def write_ttl(folder: Path, states: list[int], numbers: list[int], *, old: bool = False) -> None:
    folder.mkdir(parents=True)
    np.save(folder / ("channel_states.npy" if old else "states.npy"), np.array(states, "int16"))
    name = "timestamps.npy" if old else "sample_numbers.npy"
    np.save(folder / name, np.array(numbers, "int64"))


def ni_daq(recording_folder: Path) -> BaseRecording:
    node = recording_folder.parents[1].name
    kwargs = {"stream_name": f"{node}#NI-DAQmx-103.PXIe-6341"}
    return open_recording(recording_folder.parents[2], "openephys", kwargs)


@pytest.mark.parametrize("old", [False, True])
def test_ttl_lines_of_open_ephys_follow_the_clock_of_their_stream(
    tmp_path: Path, old: bool
) -> None:
    folder = open_ephys_session(tmp_path, is_before_0_6=old)
    ttl = folder / "events" / "NI-DAQmx-103.PXIe-6341" / ("TTL_1" if old else "TTL")
    write_ttl(ttl, [1, -3, -1, 1, 8, -1], [1100, 1200, 1300, 1900, 1950, 2000], old=old)
    other = folder / "events" / "Acquisition_Board-100.acquisition_board" / "TTL"
    write_ttl(other, [2, -2], [1500, 1510], old=old)
    recording = ni_daq(folder)
    found = read_lines(recording, {})
    assert sorted(found.lines) == ["line1", "line3", "line8"]
    pulses = found.lines["line1"].pulses
    np.testing.assert_allclose(pulses.rising_s * OPEN_EPHYS_RATE_HZ, [1100, 1900])
    np.testing.assert_allclose(pulses.duration_s * OPEN_EPHYS_RATE_HZ, [200, 100])
    assert not len(found.lines["line3"].pulses.rising_s)
    assert "high already" in found.lines["line3"].notes()[0]
    np.testing.assert_allclose(found.lines["line8"].pulses.duration_s, [np.nan])


def test_ttl_events_between_recorded_samples_are_kept_in_place(tmp_path: Path) -> None:
    folder = open_ephys_session(tmp_path)
    ttl = folder / "events" / "NI-DAQmx-103.PXIe-6341" / "TTL"
    write_ttl(ttl, [1, -1, 1, -1], [990, 1000, 1700, 1800])
    lines = read_lines(ni_daq(folder), {}).lines
    rising = lines["line1"].rising_s * OPEN_EPHYS_RATE_HZ
    np.testing.assert_allclose(rising, [990, 1700], rtol=0, atol=0.1)


def test_events_that_another_processor_adds_to_a_stream_have_its_name(tmp_path: Path) -> None:
    folder = open_ephys_session(tmp_path)
    events = folder / "events"
    write_ttl(events / "NI-DAQmx-103.PXIe-6341" / "TTL", [1, -1], [1100, 1150])
    write_ttl(events / "Network_Events-105.PXIe-6341" / "TTL", [1, 1, -1], [1200, 1220, 1250])
    found = read_lines(ni_daq(folder), {})
    rising = found.lines["Network_Events-105 line1"].rising_s * OPEN_EPHYS_RATE_HZ
    np.testing.assert_allclose(rising, [1200])
    np.testing.assert_allclose(found.lines["line1"].rising_s * OPEN_EPHYS_RATE_HZ, [1100])
    [note] = found.notes
    assert "1 of its events repeat" in note


def test_analog_inputs_of_open_ephys_take_a_threshold(tmp_path: Path) -> None:
    folder = open_ephys_session(tmp_path)
    data = folder / "continuous" / "NI-DAQmx-103.PXIe-6341" / "continuous.dat"
    samples = np.fromfile(data, "int16").reshape(-1, 2)
    samples[200:300, 1] = 10_000
    samples.tofile(data)
    structure = json.loads((folder / "structure.oebin").read_text())
    step_v = structure["continuous"][1]["channels"][1]["bit_volts"]
    with pytest.raises(SettingsError, match="does not say that AI1 is in volts"):
        read_lines(ni_daq(folder), {"AI1": Threshold(9_000 * step_v, 0.0)})
    for each in structure["continuous"][1]["channels"]:
        each["units"] = "V"
    (folder / "structure.oebin").write_text(json.dumps(structure))
    lines = read_lines(ni_daq(folder), {"AI1": Threshold(9_000 * step_v, 0.0)}).lines
    np.testing.assert_allclose(lines["AI1"].rising_s * OPEN_EPHYS_RATE_HZ, [1200])


def test_damaged_ttl_events_are_refused(tmp_path: Path) -> None:
    folder = open_ephys_session(tmp_path)
    ttl = folder / "events" / "NI-DAQmx-103.PXIe-6341" / "TTL"
    write_ttl(ttl, [1, -1], [1100, 1150])
    np.save(ttl / "sample_numbers.npy", np.array([1100]))
    with pytest.raises(RecordingError, match="have no sample numbers that fit"):
        read_lines(ni_daq(folder), {})
    (ttl / "states.npy").write_bytes(b"no array")
    with pytest.raises(RecordingError, match=r"TTL cannot be read: .*copy the recording again"):
        read_lines(ni_daq(folder), {})
