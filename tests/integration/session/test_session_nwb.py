"""The units of all streams of a session in one NWB file, on one clock."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import spikeinterface as si
import spikeinterface.extractors as se
from nwbinspector import Importance, inspect_nwbfile, load_config
from pynwb import NWBHDF5IO, NWBFile, validate

from spikeinterface_cloud.errors import RecordingError, SortingError
from spikeinterface_cloud.session.clock import StreamClock
from spikeinterface_cloud.session.nwb import StreamUnits, write_session_nwb
from tests.support.exports import Exported, export_truth
from tests.support.nwb_files import NwbLayout, write_nwb
from tests.support.recordings import simulate

pytestmark = [
    pytest.mark.integration,
    # a few seconds are too short for some metrics, which SpikeInterface then leaves empty
    pytest.mark.filterwarnings(
        "ignore:.*(NaN|could not be computed|not serializable|older version).*"
    ),
]

DURATION_S = 4.0
#: of the second probe, measured on another clock than the first
RATE_HZ = 30000.6

DRIFT = 60e-6
OFFSET_S = 12.5

REFERENCE = StreamClock(
    status="aligned",
    own_s=np.array([0.0, 100.0]),
    reference_s=np.array([OFFSET_S, OFFSET_S + 100.0 * (1 + DRIFT)]),
)
OWN = StreamClock(status="own", why="it has 2 pulses", own_s=np.array([]), reference_s=np.array([]))

EVENTS = pd.DataFrame(
    {
        "time_s": [14.0, 13.0, 15.0],
        "duration_s": [0.1, np.nan, 0.2],
        "stream": ["nidq", "nidq", "imec1.ap"],
        "line": ["line3", "<b>NA</b>", "SY bit 6"],
        "own_time_s": [14.0, 13.0, 15.0],
        "clock": ["nidq", "nidq", "imec1.ap"],
    }
)

MISSING = {"imec2.ap": "it failed (70): simple: ran out of memory."}


def child(folder: Path, n_channels: int, rate_hz: float | None, seed: int) -> Exported:
    """The export of a probe whose units are known; without session metadata, as of SpikeGLX."""
    source, truth = simulate(duration_s=DURATION_S, n_channels=n_channels, n_units=3, seed=seed)
    if rate_hz is not None:
        faster = si.NumpyRecording([source.get_traces()], rate_hz)
        faster.set_channel_gains(source.get_channel_gains())
        faster.set_channel_offsets(0.0)
        faster.set_probe(source.get_probe())
        source = faster
    labels: dict[str, list[str | None]] | None = None
    if rate_hz is None:
        labels = {"label": ["good", "mua", "noise"], "decided_by": [None, "snr", "snr"]}
    return export_truth(["nwb"], source, truth, folder / "results", labels)


@pytest.fixture(scope="module")
def probes(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Exported]:
    folder = tmp_path_factory.mktemp("probes")
    return {
        "imec0.ap": child(folder / "imec0", 8, None, 0),
        "imec1.ap": child(folder / "imec1", 16, RATE_HZ, 1),
    }


def nwb_of(exported: Exported) -> Path:
    return exported.folder / "units.nwb"


@pytest.fixture(scope="module")
def session(probes: Mapping[str, Exported], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first probe aligned, with two sorters; the second on its own clock."""
    first, second = nwb_of(probes["imec0.ap"]), nwb_of(probes["imec1.ap"])
    streams = {
        "imec0.ap": StreamUnits(files={"simple": first, "lupin": first}, clock=REFERENCE),
        "imec1.ap": StreamUnits(files={"simple": second}, clock=OWN),
    }
    file = tmp_path_factory.mktemp("session") / "units.nwb"
    written = write_session_nwb(file, streams, reference="nidq", missing=MISSING, events=EVENTS)
    assert written == file
    return file


def read(file: Path) -> tuple[NWBHDF5IO, NWBFile]:
    io = NWBHDF5IO(str(file), "r")
    return io, io.read()


def findings(file: Path) -> list[Any]:
    return [
        each
        for each in inspect_nwbfile(nwbfile_path=file, config=load_config("dandi"))
        if each.importance is not Importance.BEST_PRACTICE_SUGGESTION
    ]


def test_file_is_valid_and_the_inspector_finds_only_the_unknown_subject(session: Path) -> None:
    assert validate(path=str(session)) == []
    assert [each.check_function_name for each in findings(session)] == ["check_subject_exists"]


def test_units_are_those_of_all_streams_and_sorters(session: Path) -> None:
    io, nwbfile = read(session)
    with io:
        units = nwbfile.units.to_dataframe()
        assert list(units["stream"]) == ["imec0.ap"] * 6 + ["imec1.ap"] * 3
        assert list(units["sorter"]) == ["simple"] * 3 + ["lupin"] * 3 + ["simple"] * 3
        assert list(units["original_unit_id"]) == ["0", "1", "2"] * 3
        assert units["unit_name"].iloc[4] == "imec0.ap/lupin/1"
        assert units["unit_name"].is_unique
        assert list(units["clock"]) == ["nidq"] * 6 + ["imec1.ap"] * 3
        assert list(units["label"]) == ["good", "mua", "noise"] * 2 + ["", "", ""]
        assert list(units["sampling_frequency"]) == [30000.0] * 6 + [RATE_HZ] * 3


def test_metrics_are_those_of_the_streams(session: Path, probes: Mapping[str, Exported]) -> None:
    io, nwbfile = read(session)
    with io:
        both = [h5py.File(nwb_of(each))["units/snr"][:] for each in probes.values()]
        np.testing.assert_array_equal(
            nwbfile.units["snr"][:], np.concatenate([both[0], both[0], both[1]])
        )


def test_spike_times_are_on_the_reference_clock_or_marked(
    session: Path, probes: Mapping[str, Exported]
) -> None:
    io, nwbfile = read(session)
    with io:
        for row in range(9):
            probe = probes["imec0.ap" if row < 6 else "imec1.ap"].sorting
            own_s = probe.get_unit_spike_train(probe.unit_ids[row % 3]) / probe.sampling_frequency
            expected = own_s if row >= 6 else OFFSET_S + own_s * (1 + DRIFT)
            np.testing.assert_allclose(nwbfile.units["spike_times"][row], expected, atol=1e-9)
        np.testing.assert_allclose(
            nwbfile.units["obs_intervals"][0],
            [[OFFSET_S, OFFSET_S + DURATION_S * (1 + DRIFT)]],
        )
        np.testing.assert_allclose(nwbfile.units["obs_intervals"][8], [[0.0, 120_000 / RATE_HZ]])


def test_description_names_clocks_and_what_is_missing(session: Path) -> None:
    io, nwbfile = read(session)
    with io:
        text = nwbfile.units.description
    assert "Times are in seconds on the clock of nidq." in text
    assert "imec1.ap is on its own clock: it has 2 pulses." in text
    assert text.endswith("Without imec2.ap: it failed (70): simple: ran out of memory.")
    assert "imec0.ap/lupin: Units found by simple 1.0" in text


def test_electrodes_of_each_unit_belong_to_its_probe(
    session: Path, probes: Mapping[str, Exported]
) -> None:
    io, nwbfile = read(session)
    with io:
        electrodes = nwbfile.electrodes
        assert len(electrodes) == 8 + 16
        assert list(electrodes.id[:]) == list(range(24))
        assert set(nwbfile.devices) == {"imec0.ap probe0", "imec1.ap probe0"}
        units = nwbfile.units
        for row, probe in ((0, "imec0.ap"), (4, "imec0.ap"), (7, "imec1.ap")):
            analyzer = probes[probe].analyzer
            unit = analyzer.unit_ids[row % 3]
            found = units["electrodes"][row]
            assert set(found["group_name"]) == {f"{probe} group0"}
            assert units["electrode_group"][row].device.name == f"{probe} probe0"
            main = analyzer.get_main_channels(outputs="index", with_dict=True)[unit]
            position = analyzer.get_channel_locations()[main]
            np.testing.assert_allclose(found[["rel_x", "rel_y"]].to_numpy()[0], position)


def test_waveforms_are_those_of_the_streams(session: Path, probes: Mapping[str, Exported]) -> None:
    io, nwbfile = read(session)
    with io:
        units = nwbfile.units
        for row, probe in ((0, "imec0.ap"), (8, "imec1.ap")):
            with h5py.File(nwb_of(probes[probe])) as own:
                expected = own["units/waveform_mean"][row % 3]
            waveforms = units["waveform_mean"][row]
            n_electrodes = len(units["electrodes"][row])
            assert expected.shape[1] == n_electrodes
            np.testing.assert_array_equal(waveforms[:, :n_electrodes], expected)
            assert np.isnan(waveforms[:, n_electrodes:]).all()
        assert units.waveform_unit == "microvolts"
        assert units.waveform_rate == RATE_HZ


def test_spikeinterface_reads_it_back(session: Path, probes: Mapping[str, Exported]) -> None:
    sorting = se.read_nwb_sorting(session, t_start=0.0)
    assert sorting.sampling_frequency == pytest.approx(RATE_HZ)
    assert list(sorting.get_property("stream")) == ["imec0.ap"] * 6 + ["imec1.ap"] * 3
    truth = probes["imec1.ap"].sorting
    for unit in truth.unit_ids:
        np.testing.assert_array_equal(
            sorting.get_unit_spike_train(f"imec1.ap/simple/{unit}"),
            truth.get_unit_spike_train(unit),
        )


def test_events_are_in_order_with_their_lines(session: Path) -> None:
    io, nwbfile = read(session)
    with io:
        events = nwbfile.events["events"].to_dataframe()
        assert list(events["timestamp"]) == [13.0, 14.0, 15.0]
        assert list(events["line"]) == ["<b>NA</b>", "line3", "SY bit 6"]
        assert list(events["clock"]) == ["nidq", "nidq", "imec1.ap"]
        np.testing.assert_array_equal(events["duration"], [np.nan, 0.1, 0.2])


def test_nothing_is_left_beside_the_file(session: Path) -> None:
    assert [file.name for file in session.parent.iterdir()] == ["units.nwb"]
    assert session.stat().st_size < 2_000_000


def test_no_units_make_no_file(tmp_path: Path) -> None:
    streams = {"imec0.ap": StreamUnits(files={}, clock=OWN)}
    file = tmp_path / "units.nwb"
    assert write_session_nwb(file, streams, reference="nidq", missing=MISSING) is None
    assert not file.exists()


def test_unreadable_file_is_named(tmp_path: Path, probes: Mapping[str, Exported]) -> None:
    cut = tmp_path / "imec0.nwb"
    cut.write_bytes(nwb_of(probes["imec0.ap"]).read_bytes()[:50_000])
    streams = {"imec0.ap": StreamUnits(files={"simple": cut}, clock=OWN)}
    with pytest.raises(RecordingError, match=r"imec0\.nwb cannot be read .* OVERWRITE=true"):
        write_session_nwb(tmp_path / "units.nwb", streams, reference="nidq", missing={})
    assert [file.name for file in tmp_path.iterdir()] == ["imec0.nwb"]


MOUSE = {"subject_id": "M1", "species": "Mus musculus", "sex": "F", "age": "P90D"}


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The exports of two series of one NWB file."""
    folder = tmp_path_factory.mktemp("series")
    recording, truth = simulate(duration_s=2.0, n_channels=8, n_units=2)
    layout = NwbLayout(
        subject=MOUSE, session={"session_id": "day1", "lab": "Lab"}, groups=("probeA", "probeB")
    )
    source = write_nwb(folder / "source.nwb", {"A": recording, "B": recording}, layout)
    exported = {
        name: export_truth(
            ["nwb"],
            se.read_nwb_recording(source, electrical_series_path=f"acquisition/{name}"),
            truth,
            folder / name / "results",
        )
        for name in ("A", "B")
    }
    return {name: nwb_of(each) for name, each in exported.items()}


def of_series(files: Mapping[str, Path]) -> dict[str, StreamUnits]:
    return {name: StreamUnits(files={"simple": file}, clock=OWN) for name, file in files.items()}


def test_series_of_one_nwb_file_share_its_electrodes_and_metadata(
    tmp_path: Path, series: Mapping[str, Path]
) -> None:
    file = tmp_path / "units.nwb"
    write_session_nwb(file, of_series(series), reference="A", missing={})
    assert findings(file) == []
    io, nwbfile = read(file)
    with io:
        assert len(nwbfile.electrodes) == 8
        assert set(nwbfile.electrode_groups) == {"probeA", "probeB"}
        assert nwbfile.subject.subject_id == "M1"
        assert nwbfile.session_start_time.isoformat() == "2024-05-01T10:00:00+00:00"
        assert nwbfile.lab == "Lab"
        assert len(nwbfile.units) == 4


@pytest.mark.parametrize(
    ("place", "value", "named"),
    [
        ("general/subject/subject_id", "M2", "subject"),
        ("session_start_time", "2024-05-02T10:00:00+00:00", "start"),
        ("general/lab", "Other", "fields"),
    ],
)
def test_streams_of_different_sessions_are_refused(
    tmp_path: Path, series: Mapping[str, Path], place: str, value: str, named: str
) -> None:
    other = tmp_path / "other.nwb"
    shutil.copy(series["B"], other)
    with h5py.File(other, "r+") as changed:
        changed[place][()] = value
    with pytest.raises(SortingError, match=f"A and other are not of one session: their {named}"):
        write_session_nwb(
            tmp_path / "units.nwb",
            of_series({"A": series["A"], "other": other}),
            reference="A",
            missing={},
        )
    assert list(tmp_path.iterdir()) == [other]
