"""The units as NWB: whose they are, when their spikes were, and where on the probe."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import spikeinterface as si
import spikeinterface.extractors as se
from nwbinspector import Importance, inspect_nwbfile, load_config
from pynwb import NWBHDF5IO, NWBFile, validate
from pynwb.device import DeviceModel

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.exports.export import (
    Sorted,
    export,
    plan_exports,
    why_not_for_archives,
)
from spikeinterface_cloud.exports.nwb_source import find_session
from spikeinterface_cloud.recording.checks import check_recording
from spikeinterface_cloud.recording.load import open_recording
from tests.support.dandi_stand_in import DandiStandIn
from tests.support.exports import Exported, export_truth
from tests.support.nwb_files import NwbLayout, write_nwb
from tests.support.recordings import SpikeGlxRun, simulate, write_spikeglx

pytestmark = [
    pytest.mark.integration,
    # ten seconds are too short for some metrics, which SpikeInterface then leaves empty
    pytest.mark.filterwarnings("ignore:.*(NaN|could not be computed|not serializable).*"),
    # pynwb reads what older files say of a device's maker, and wishes that it were elsewhere
    pytest.mark.filterwarnings("ignore:The 'manufacturer' field is deprecated"),
]

MOUSE = {
    "subject_id": "M_1",
    "species": "Mus musculus",
    "sex": "F",
    "age": "P90D",
    "age__reference": "birth",
    "genotype": "wild type",
    "strain": "C57BL/6J",
    "weight": "0.02 kg",
    "description": "a mouse",
}
SESSION = {
    "session_id": "day1",
    "experimenter": ["Doe, Jane", "Roe, John"],
    "institution": "Institute",
    "lab": "Lab",
    "keywords": ["CA1", "sleep"],
    "experiment_description": "an experiment",
    "related_publications": ["doi:10.1/1"],
}
START_S = 100.0


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Of a session that has everything, which began to record after 100 s."""
    folder = tmp_path_factory.mktemp("exported")
    recording, truth = simulate(duration_s=10.0, n_channels=16, n_units=4)
    layout = NwbLayout(starting_time=START_S, subject=MOUSE, session=SESSION)
    source = se.read_nwb_recording(write_nwb(folder / "source.nwb", recording, layout))
    labels: dict[str, list[str | None]] = {
        "label": ["good", "mua", "noise", "good"],
        "decided_by": [None, "snr", "num_spikes", None],
    }
    return export_truth(["nwb"], source, truth, folder / "results", labels)


def units_of(exported: Exported) -> Path:
    return exported.folder / "units.nwb"


def read(file: Path) -> tuple[NWBHDF5IO, NWBFile]:
    io = NWBHDF5IO(str(file), "r")
    return io, io.read()


def findings(file: Path) -> list[Any]:
    return list(inspect_nwbfile(nwbfile_path=file, config=load_config("dandi")))


def test_no_export_fails(exported: Exported) -> None:
    assert exported.errors == {"nwb": None}


def test_file_is_valid_nwb(exported: Exported) -> None:
    assert validate(path=str(units_of(exported))) == []


def test_inspector_finds_no_errors(exported: Exported) -> None:
    serious = [
        each
        for each in findings(units_of(exported))
        if each.importance != Importance.BEST_PRACTICE_SUGGESTION
    ]
    assert serious == []


def test_spike_times_are_on_the_session_clock(exported: Exported) -> None:
    io, nwbfile = read(units_of(exported))
    with io:
        for row, unit in enumerate(exported.sorting.unit_ids):
            frames = exported.sorting.get_unit_spike_train(unit)
            np.testing.assert_allclose(
                nwbfile.units["spike_times"][row], START_S + frames / 30000.0, atol=1e-9
            )
        np.testing.assert_allclose(nwbfile.units["obs_intervals"][0], [[100.0, 110.0]])


def test_spikeinterface_reads_it_back(exported: Exported) -> None:
    sorting = se.read_nwb_sorting(units_of(exported), t_start=START_S)
    assert sorting.sampling_frequency == pytest.approx(30000.0)
    for name in exported.sorting.unit_ids:
        np.testing.assert_array_equal(
            sorting.get_unit_spike_train(str(name)), exported.sorting.get_unit_spike_train(name)
        )
    assert list(sorting.get_property("label")) == ["good", "mua", "noise", "good"]


def test_units_have_their_electrodes_and_waveforms(exported: Exported) -> None:
    analyzer = exported.analyzer
    means = analyzer.get_extension("templates").get_data(operator="average")
    io, nwbfile = read(units_of(exported))
    with io:
        units = nwbfile.units
        for row in range(len(units)):
            electrodes = units["electrodes"].target.data[
                slice(*_bounds(units["electrodes"].data[:], row))
            ]
            waveform = units["waveform_mean"][row]
            np.testing.assert_allclose(waveform, means[row][:, electrodes], rtol=1e-6)
            assert np.ptp(waveform[:, 0]) == np.ptp(means[row], axis=0).max()
        counts = np.diff(units["electrodes"].data[:], prepend=0)
        assert len(set(counts)) == 1
        assert counts[0] < 16
        assert units.waveform_unit == "microvolts"
        assert units.waveform_rate == 30000.0
        assert units.waveform_time_before_peak_in_ms == 1.0
        assert units["electrode_group"][0].name == "probe0"


def _bounds(ends: np.ndarray, row: int) -> tuple[int, int]:
    return (int(ends[row - 1]) if row else 0), int(ends[row])


def test_session_is_copied_from_the_source(exported: Exported) -> None:
    io, nwbfile = read(units_of(exported))
    with io:
        assert nwbfile.session_start_time.isoformat() == "2024-05-01T10:00:00+00:00"
        assert nwbfile.session_description == "simulated spikes"
        assert nwbfile.identifier != "simulated"
        for name, value in SESSION.items():
            copied = getattr(nwbfile, name)
            assert copied == value if isinstance(value, str) else list(copied) == value
        for name, value in MOUSE.items():
            assert getattr(nwbfile.subject, name) == value
        assert nwbfile.devices["probe"].description == "simulated"
        assert nwbfile.electrode_groups["probe0"].device is nwbfile.devices["probe"]


DATES = ("session_start_time", "timestamps_reference_time", "general/subject/date_of_birth")


@pytest.mark.parametrize("zone", ["", "+09:00"])
def test_dates_keep_their_zone_or_have_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    recording, truth = simulate(duration_s=3.0, n_channels=8, n_units=2)
    born = {key: value for key, value in MOUSE.items() if not key.startswith("age")}
    layout = NwbLayout(
        subject=born | {"date_of_birth": datetime(2024, 1, 1, tzinfo=UTC)}, session=SESSION
    )
    file = write_nwb(tmp_path / "source.nwb", recording, layout)
    with h5py.File(file, "r+") as source:
        for place in DATES:
            source[place][()] = f"2024-02-01T10:00:00.250000{zone}"
    exported = export_truth(["nwb"], se.read_nwb_recording(file), truth, tmp_path / "results")
    assert exported.errors == {"nwb": None}
    with h5py.File(units_of(exported)) as written:
        for place in DATES:
            assert written[place][()] == f"2024-02-01T10:00:00.250000{zone}".encode()
    faults = [each.reason for each in validate(path=str(units_of(exported)))]
    assert (
        faults == []
        if zone
        else set(faults) == {"Datetime is missing required timezone information."}
    )
    reason = why_not_for_archives(find_session(se.read_nwb_recording(file)))
    assert reason is None if zone else reason and "session_start_time" in reason


def test_electrodes_are_copied_in_their_order(exported: Exported) -> None:
    io, nwbfile = read(units_of(exported))
    with io:
        positions = np.stack([nwbfile.electrodes[name][:] for name in ("rel_x", "rel_y")], axis=1)
        np.testing.assert_allclose(positions, exported.source.get_channel_locations())
        assert set(nwbfile.electrodes["location"][:]) == {"CA1"}


def test_metrics_and_labels_are_described(exported: Exported) -> None:
    io, nwbfile = read(units_of(exported))
    with io:
        assert nwbfile.units["snr"].description.startswith("quality metrics: ")
        assert nwbfile.units["peak_to_trough_duration"].description.startswith("template metrics: ")
        assert list(nwbfile.units["label"][:]) == ["good", "mua", "noise", "good"]
        assert list(nwbfile.units["decided_by"][:]) == ["", "snr", "num_spikes", ""]
        assert "simple 1.0" in nwbfile.units.description
        assert "s3://lab/a.nwb" in nwbfile.units.description


def test_session_of_a_streamed_file_is_read_without_its_traces(tmp_path: Path) -> None:
    recording, _ = simulate(duration_s=20.0, n_channels=16)
    layout = NwbLayout(subject=MOUSE, session=SESSION, compression=None)
    file = write_nwb(tmp_path / "source.nwb", recording, layout)
    with DandiStandIn() as archive:
        url = archive.blob_url(archive.add_asset("000123", "sub-1/sub-1_ecephys.nwb", file))
        streamed = se.read_nwb_recording(f"{url}?.nwb", stream_mode="remfile")
        before = archive.count("store")
        session = find_session(streamed)
        n_requests = archive.count("store") - before
    assert session.subject == MOUSE
    assert session.fields["session_id"] == "day1"
    assert len(session.electrodes.rows) == 16
    assert n_requests < 12


def test_devices_and_electrodes_of_old_and_new_files_are_kept(tmp_path: Path) -> None:
    recording, truth = simulate(duration_s=4.0, n_channels=8, n_units=2)
    file = write_nwb(tmp_path / "source.nwb", recording, NwbLayout(subject=MOUSE))
    with NWBHDF5IO(str(file), "a") as io:
        nwbfile = io.read()
        model = DeviceModel(name="NP1", manufacturer="imec", model_number="PRB_1_4")
        nwbfile.add_device_model(model)
        nwbfile.create_device("second", description="another", model=model)
        nwbfile.add_electrode_column("is_good", "kept by the lab", data=[True] * 7 + [False])
        nwbfile.add_electrode_column("notes", "lists", data=["a"] * 16, index=list(range(2, 18, 2)))
        io.write(nwbfile)
    with h5py.File(file, "r+") as source:  # where files had it before there were models
        source["general/devices/probe"].attrs["manufacturer"] = "a maker"
    exported = export_truth(["nwb"], se.read_nwb_recording(file), truth, tmp_path / "results")
    assert exported.errors == {"nwb": None}
    io, nwbfile = read(units_of(exported))
    with io:
        assert nwbfile.devices["probe"].manufacturer == "a maker"
        assert nwbfile.devices["second"].model.manufacturer == "imec"
        assert nwbfile.electrodes["is_good"][:].tolist() == [True] * 7 + [False]
        assert nwbfile.electrodes["is_good"].description == "kept by the lab"
        assert "notes" not in nwbfile.electrodes.colnames


def test_reordered_channels_keep_their_rows(tmp_path: Path) -> None:
    """The series names electrodes 7..0 of 12, and the sorter saw six of them."""
    recording, truth = simulate(duration_s=4.0, n_channels=8, n_units=2)
    file = write_nwb(tmp_path / "source.nwb", recording, NwbLayout(subject=MOUSE))
    with h5py.File(file, "r+") as source:
        region = source["acquisition/ElectricalSeries/electrodes"]
        region[:] = region[:][::-1]
    read_source = se.read_nwb_recording(file)
    assert list(read_source.channel_ids) == list(range(7, -1, -1))
    some = read_source.select_channels([6, 5, 4, 3, 2, 1])
    exported = export_truth(["nwb"], some, truth, tmp_path / "results")
    assert exported.errors == {"nwb": None}
    io, nwbfile = read(units_of(exported))
    with io:
        assert len(nwbfile.electrodes) == 8
        analyzer = exported.analyzer
        main = analyzer.get_main_channels(outputs="id", with_dict=False)
        ends = nwbfile.units["electrodes"].data[:]
        firsts = [nwbfile.units["electrodes"].target.data[_bounds(ends, row)[0]] for row in (0, 1)]
        assert firsts == list(main)


def test_source_other_than_nwb_gives_a_valid_file_without_invented_metadata(
    tmp_path: Path,
) -> None:
    recording, truth = simulate(duration_s=4.0, n_channels=8, n_units=2)
    source = recording.save(folder=tmp_path / "recording", format="binary")
    exported = export_truth(["nwb"], source, truth, tmp_path / "results")
    assert exported.errors == {"nwb": None}
    assert validate(path=str(units_of(exported))) == []
    io, nwbfile = read(units_of(exported))
    with io:
        assert nwbfile.subject is None
        assert nwbfile.session_start_time.year == 1970
        assert "unknown" in nwbfile.session_description
        assert set(nwbfile.electrodes["location"][:]) == {"unknown"}
    critical = [
        each for each in findings(units_of(exported)) if each.importance is Importance.CRITICAL
    ]
    assert [each.check_function_name for each in critical] == ["check_subject_exists"]
    reason = why_not_for_archives(find_session(source))
    assert reason is not None
    assert "only an NWB source has" in reason


def test_segments_are_consecutive(tmp_path: Path) -> None:
    recording, truth = simulate(duration_s=(3.0, 2.0), n_channels=8, n_units=2)
    exported = export_truth(["nwb"], recording, truth, tmp_path / "results")
    assert exported.errors == {"nwb": None}
    io, nwbfile = read(units_of(exported))
    with io:
        np.testing.assert_allclose(nwbfile.units["obs_intervals"][0], [[0.0, 3.0], [3.0, 5.0]])
        name = truth.unit_ids[1]
        second = truth.get_unit_spike_train(name, segment_index=1) / 30000.0 + 3.0
        first = truth.get_unit_spike_train(name, segment_index=0) / 30000.0
        times = np.concatenate([first, second])
        np.testing.assert_allclose(nwbfile.units["spike_times"][1], times, atol=1e-9)


@pytest.mark.parametrize("load_time_vector", [False, True])
def test_times_follow_the_clock_of_the_file(tmp_path: Path, load_time_vector: bool) -> None:
    """A second is missing in the middle."""
    recording, truth = simulate(duration_s=4.0, n_channels=8, n_units=2)
    times = 5.0 + np.arange(120_000) / 30000.0
    times[60_000:] += 1.0
    layout = NwbLayout(timestamps=times, subject=MOUSE)
    file = write_nwb(tmp_path / "source.nwb", recording, layout)
    source = se.read_nwb_recording(file, load_time_vector=load_time_vector)
    source.set_channel_gains(recording.get_channel_gains())
    exported = export_truth(["nwb"], source, truth, tmp_path / "results")
    assert exported.errors == {"nwb": None}
    io, nwbfile = read(units_of(exported))
    with io:
        frames = exported.sorting.get_unit_spike_train(exported.sorting.unit_ids[0])
        np.testing.assert_allclose(nwbfile.units["spike_times"][0], times[frames], atol=1e-9)
        np.testing.assert_allclose(nwbfile.units["obs_intervals"][0], [[5.0, 7.0], [8.0, 10.0]])


def test_spikes_in_overlapping_triggers_are_exported_once(
    tmp_path: Path,
) -> None:
    """Three files of 2 s, each of which begins half a second before the last one's end."""
    whole, truth = simulate(duration_s=5.0, n_channels=8, n_units=2)
    begins, first = [0, 45_000, 90_000], 1_350_000
    parts = si.append_recordings([whole.frame_slice(a, a + 60_000) for a in begins])
    run = SpikeGlxRun(
        triggers=(0, 1, 2), with_lf=False, first_sample=[first + begin for begin in begins]
    )
    read_source = open_recording(write_spikeglx(tmp_path / "run", parts, run), "spikeglx", {})
    source, _ = check_recording(read_source)
    ends = [*begins[1:], 150_000]
    cut = si.append_sortings([truth.frame_slice(*each) for each in zip(begins, ends, strict=True)])
    exported = export_truth(["nwb", "phy"], source, cut, tmp_path / "results")
    assert exported.errors == {"nwb": None, "phy": None}
    io, nwbfile = read(units_of(exported))
    with io:
        for row, unit in enumerate(truth.unit_ids):
            frames = truth.get_unit_spike_train(unit)
            times = nwbfile.units["spike_times"][row]
            np.testing.assert_allclose(times, (first + frames) / 30000.0, atol=1e-9)
        stretches = np.array([[45, 46.5], [46.5, 48], [48, 50]])
        np.testing.assert_allclose(nwbfile.units["obs_intervals"][0], stretches)
    frames = np.load(exported.folder / "phy" / "spike_times.npy")
    np.testing.assert_array_equal(np.sort(frames.ravel()), truth.to_spike_vector()["sample_index"])


def test_source_without_session_is_refused_before_sorting(tmp_path: Path) -> None:
    recording, _ = simulate(duration_s=1.0, n_channels=8)
    file = write_nwb(tmp_path / "source.nwb", recording)
    with h5py.File(file, "r+") as source:
        del source["session_start_time"]
    with pytest.raises(RecordingError, match=r"the source's session .* repair the file"):
        find_session(se.read_nwb_recording(file))


def test_incomplete_subject_is_reported(tmp_path: Path) -> None:
    recording, _ = simulate(duration_s=1.0, n_channels=8)
    layout = NwbLayout(subject={"subject_id": "M1", "sex": "F"})
    session = find_session(se.read_nwb_recording(write_nwb(tmp_path / "a.nwb", recording, layout)))
    reason = why_not_for_archives(session)
    assert reason == "the source lacks the subject's species, age or date_of_birth"


def test_failed_export_is_returned(tmp_path: Path) -> None:
    recording, _ = simulate(duration_s=1.0, n_channels=8)
    plan = plan_exports(["nwb", "phy"], recording, {}, tmp_path)
    runs = export(plan, Sorted(sorter="simple", version=None, recording=recording))
    assert [run.export for run in runs] == ["nwb", "phy"]
    assert all(run.error and "analyzer.zarr" in run.error for run in runs)


@pytest.mark.parametrize(("names", "series"), [(["A"], None), (["A", "B"], "B")])
def test_series_is_named_if_there_are_several(
    tmp_path: Path, names: list[str], series: str | None
) -> None:
    recording, _ = simulate(duration_s=1.0, n_channels=8)
    file = write_nwb(tmp_path / "source.nwb", dict.fromkeys(names, recording))
    chosen = se.read_nwb_recording(file, electrical_series_path=f"acquisition/{names[-1]}")
    assert find_session(chosen).series == series
