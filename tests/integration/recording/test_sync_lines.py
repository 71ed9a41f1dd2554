"""The sync line of each stream has the times that the stream's spikes have."""

from pathlib import Path

import numpy as np
import pytest
from probeinterface import write_probeinterface

from spikeinterface_cloud.config.event_lines import Line, Threshold
from spikeinterface_cloud.recording.clock.clock import clock_of
from spikeinterface_cloud.recording.open import open_source
from spikeinterface_cloud.recording.source import FetchedSource
from spikeinterface_cloud.recording.sync.find_sync import find_sync
from spikeinterface_cloud.recording.sync.sync_line import SyncLine
from tests.support.acquisition_formats import write_cbin
from tests.support.nidq import NIDQ_STEP_V, write_nidq
from tests.support.recordings import simulate, write_open_ephys
from tests.support.spikeglx_headers import read_header, samples, write_with_header

pytestmark = pytest.mark.integration

#: a Neuropixels 2.0 probe of which 120 channels were saved
HEADER = read_header("NP2_2013_subset_channels.imec0.ap.meta")
AP = {"stream_id": "imec0.ap"}
N_FRAMES = 36_000
RISES = np.array([3, 9_000, 18_001, 27_013])
FALLS = RISES + 4_500


def with_sync(traces: np.ndarray, column: int = -1, rises: np.ndarray = RISES) -> np.ndarray:
    """Return samples whose sync word has pulses in bit 6 and others in all other bits."""
    words = np.full(len(traces), 0xFFFF ^ 64, dtype="uint16")
    words[::7] = 0
    for rise in rises:
        words[rise : rise + 4_500] |= 64
    traces = traces.copy()
    traces[:, column] = words.view("int16")
    return traces


def times_of_spikes(path: Path, data_type: str, frames: np.ndarray, segment: int = 0) -> np.ndarray:
    """Return the times that spikes in these frames have in the results."""
    kwargs = AP if data_type == "spikeglx" else {}
    opened = open_source(FetchedSource(path=path), data_type, kwargs, None)
    rate_hz = opened.recording.sampling_frequency
    return clock_of(opened.recording).times_s(segment, frames, rate_hz)


def assert_equal(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


def test_edges_of_a_probe_have_the_times_of_spikes_in_the_same_frames(tmp_path: Path) -> None:
    traces = with_sync(samples(HEADER, N_FRAMES))
    changes = {"firstSample": "123456", "syncSourcePeriod": "1.00002"}
    write_with_header(tmp_path, HEADER, traces, changes=changes)
    line = find_sync(tmp_path, "spikeglx", AP)
    assert line.why is None
    assert_equal(line.rising_s, times_of_spikes(tmp_path, "spikeglx", RISES))
    assert_equal(line.falling_s, times_of_spikes(tmp_path, "spikeglx", FALLS))
    rate_hz = float(HEADER["imSampRate"])
    assert_equal(line.rising_s, (RISES + 123_456) / rate_hz)
    assert_equal(np.array([line.start_s]), np.array([123_456 / rate_hz]))
    assert_equal(np.array([line.end_s]), np.array([(123_456 + N_FRAMES) / rate_hz]))
    assert (line.stream, line.line, line.period_s) == ("imec0.ap", "SY bit 6", 1.00002)
    assert line.starts_with == "run_g0_t0"
    assert line.started == HEADER["fileCreateTime"]
    assert line.sampling_frequency_hz == rate_hz


def test_edges_of_triggers_that_overlap_are_counted_once(tmp_path: Path) -> None:
    whole = with_sync(samples(HEADER, 2 * N_FRAMES), rises=np.array([100, 30_000, 50_000]))
    later = N_FRAMES - 7_000
    for trigger, first, part in ((0, 0, whole[:N_FRAMES]), (1, later, whole[later:])):
        changes = {"firstSample": str(1_000 + first)}
        write_with_header(tmp_path, HEADER, part, stem=f"run_g0_t{trigger}", changes=changes)
    line = find_sync(tmp_path, "spikeglx", AP)
    rate_hz = float(HEADER["imSampRate"])
    assert_equal(line.rising_s, (np.array([100, 30_000, 50_000]) + 1_000) / rate_hz)
    in_second = times_of_spikes(tmp_path, "spikeglx", np.array([30_000, 50_000]) - later, 1)
    assert_equal(line.rising_s[1:], in_second)


@pytest.mark.filterwarnings("ignore:'firstSample' missing")
def test_edges_of_a_probe_without_a_first_sample_follow_its_spikes(tmp_path: Path) -> None:
    changes = {"firstSample": None}
    write_with_header(tmp_path, HEADER, with_sync(samples(HEADER, N_FRAMES)), changes=changes)
    found = find_sync(tmp_path, "spikeglx", AP).rising_s
    assert_equal(found, times_of_spikes(tmp_path, "spikeglx", RISES))


def test_the_first_of_several_sync_words_is_read(tmp_path: Path) -> None:
    header = read_header("NP2020_sample_g0_t0.imec0.ap.meta")
    traces = with_sync(samples(header, 31_000), column=-4, rises=RISES[:3])
    write_with_header(tmp_path, header, traces)
    found = find_sync(tmp_path, "spikeglx", AP)
    assert_equal(found.rising_s, times_of_spikes(tmp_path, "spikeglx", RISES[:3]))


def test_compressed_files_have_their_edges_too(tmp_path: Path) -> None:
    run, folder = tmp_path / "run", tmp_path / "compressed"
    changes = {"fileSHA1": None}
    write_with_header(run, HEADER, with_sync(samples(HEADER, N_FRAMES)), changes=changes)
    write_cbin(run, folder)
    found = find_sync(folder, "cbin_ibl", {})
    assert_equal(found.rising_s, times_of_spikes(folder, "cbin_ibl", RISES))


def test_a_probe_without_sync_words_says_so(tmp_path: Path) -> None:
    n_ap = HEADER.n_saved - 1
    changes = {
        "snsApLfSy": f"{n_ap},0,0",
        "nSavedChans": str(n_ap),
        "snsSaveChanSubset": HEADER["snsSaveChanSubset"].rpartition(",")[0],
        "~snsChanMap": HEADER["~snsChanMap"].rpartition("(")[0],
    }
    traces = np.ascontiguousarray(samples(HEADER, N_FRAMES)[:, :-1])
    write_with_header(tmp_path, HEADER, traces, changes=changes)
    found = find_sync(tmp_path, "spikeglx", AP)
    assert found.why == "its sync words (SY) were not saved with its channels"
    assert not len(found.rising_s)


def test_a_sync_word_that_stays_low_says_so(tmp_path: Path) -> None:
    write_with_header(tmp_path, HEADER, with_sync(samples(HEADER, N_FRAMES), rises=RISES[:0]))
    assert find_sync(tmp_path, "spikeglx", AP).why == "SY bit 6 never rises"


# ----- NI-DAQ -----------------------------------------------------------------------------------

NI_RATE_HZ = 25_000.4
SYNC: dict[str, object] = {
    "syncSourceIdx": 2,
    "syncSourcePeriod": 1,
    "syncNiChan": 19,
    "syncNiChanType": 0,
}


def nidq(folder: Path, line: str | None = None, threshold: Threshold | None = None) -> SyncLine:
    lines = [] if line is None else [f"nidq:{line}"]
    thresholds = {} if threshold is None else {Line("nidq", str(line)): threshold}
    return find_sync(folder, "spikeglx", {"stream_id": "nidq"}, lines, thresholds)


def words(line: int) -> np.ndarray:
    found = np.zeros((60_000, 2), dtype="uint16")
    for rise in (500, 20_000, 40_000):
        found[rise : rise + 9_000, line // 16] |= 1 << line % 16
    return found


def test_the_digital_sync_line_of_the_meta_file_is_read(tmp_path: Path) -> None:
    stem = tmp_path / "run_g0_t0"
    write_nidq(stem, words(19), rate_hz=NI_RATE_HZ, first_sample=777, changes=SYNC)
    line = nidq(tmp_path)
    assert (line.line, line.why, line.starts_with) == ("line19", None, "run_g0_t0")
    assert_equal(line.rising_s, (np.array([500, 20_000, 40_000]) + 777) / NI_RATE_HZ)
    assert_equal(line.falling_s, (np.array([9_500, 29_000, 49_000]) + 777) / NI_RATE_HZ)


@pytest.mark.parametrize("saved", ["0:4", "1,3,4,5,6"])
def test_the_analog_sync_input_is_counted_among_acquired_channels(
    tmp_path: Path, saved: str
) -> None:
    channel = 1 if saved == "0:4" else 3
    analog = np.zeros((60_000, 3), dtype="int16")
    analog[500:9_000, 1] = round(1.3 / NIDQ_STEP_V)
    analog[9_000:20_000, 1] = round(1.15 / NIDQ_STEP_V)
    changes = SYNC | {"syncNiChanType": 1, "syncNiChan": channel, "syncNiThresh": 1.2}
    changes["snsSaveChanSubset"] = saved
    write_nidq(tmp_path / "run_g0_t0", words(0), analog, rate_hz=NI_RATE_HZ, changes=changes)
    line = nidq(tmp_path)
    assert (line.line, line.why) == ("XA1", None)
    assert_equal(line.rising_s, np.array([500]) / NI_RATE_HZ)


def test_a_line_that_is_named_takes_precedence(tmp_path: Path) -> None:
    analog = np.zeros((60_000, 1), dtype="int16")
    analog[700:800] = round(3.0 / NIDQ_STEP_V)
    stem = tmp_path / "run_g0_t0"
    write_nidq(stem, words(3), analog, rate_hz=NI_RATE_HZ, changes=SYNC)
    assert nidq(tmp_path).why == "line19 never changes"
    assert_equal(nidq(tmp_path, "line3").rising_s[:1], np.array([500]) / NI_RATE_HZ)
    found = nidq(tmp_path, "XA0", Threshold(2.0, 0.2))
    assert_equal(found.rising_s, np.array([700]) / NI_RATE_HZ)
    assert "XA0 is not among its digital lines" in str(nidq(tmp_path, "XA0").why)


def test_an_ni_daq_without_a_sync_line_says_how_to_name_one(tmp_path: Path) -> None:
    write_nidq(tmp_path / "run_g0_t0", words(3), changes=SYNC | {"syncSourceIdx": 0})
    assert "CLOCK_LINE=nidq:line3" in str(nidq(tmp_path).why)


# ----- others -----------------------------------------------------------------------------------


def test_the_ttl_line_of_open_ephys_has_the_times_of_its_spikes(tmp_path: Path) -> None:
    recording, _ = simulate(duration_s=2.0, n_channels=4, n_units=1)
    session = write_open_ephys(tmp_path, recording)
    folder = session / "Record Node 101" / "experiment1" / "recording1"
    stream = "Acquisition_Board-100.acquisition_board"
    numbers = np.arange(recording.get_num_samples()) + 12_345
    np.save(folder / "continuous" / stream / "sample_numbers.npy", numbers)
    ttl = folder / "events" / stream / "TTL"
    ttl.mkdir(parents=True)
    np.save(ttl / "states.npy", np.array([2, -2, 2, -2], dtype="int16"))
    np.save(ttl / "sample_numbers.npy", numbers[[500, 700, 15_000, 15_100]])
    kwargs = {"stream_name": f"Record Node 101#{stream}"}
    line = find_sync(session, "openephys", kwargs)
    probe_file = tmp_path / "probe.json"
    write_probeinterface(probe_file, recording.get_probe())
    source = FetchedSource(path=session, probe_file=probe_file)
    opened = open_source(source, "openephys", kwargs, None)
    clock, rate_hz = clock_of(opened.recording), opened.recording.sampling_frequency
    assert_equal(line.rising_s, clock.times_s(0, np.array([500, 15_000]), rate_hz))
    assert_equal(line.rising_s, numbers[[500, 15_000]] / rate_hz)
    assert (line.line, line.starts_with) == ("line2", "experiment1/recording1")
    assert "its TTL lines are: line2" in str(
        find_sync(session, "openephys", kwargs, [f"{stream}:line5"]).why
    )
    np.save(ttl / "states.npy", np.array([2, -2, 3, -3], dtype="int16"))
    assert "several TTL lines, line2, line3" in str(find_sync(session, "openephys", kwargs).why)
    assert len(find_sync(session, "openephys", kwargs, ["acquisition_board:line3"]).rising_s) == 1


@pytest.mark.filterwarnings("ignore:The extractor is not serializable")
def test_other_formats_have_no_sync_line(tmp_path: Path) -> None:
    recording, _ = simulate(duration_s=1.0, n_channels=4, n_units=1)
    recording.save(folder=tmp_path / "saved")
    found = find_sync(tmp_path / "saved", "binary", {})
    assert "not binary" in str(found.why)
