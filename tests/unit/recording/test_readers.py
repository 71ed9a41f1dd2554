"""Which reader a DATA_TYPE names, which parameters it takes, and which files a stream needs."""

from pathlib import PurePosixPath
from typing import Any

import pytest

from spikeinterface_cloud.errors import RecordingError, SettingsError
from spikeinterface_cloud.recording.formats.readers import (
    check_reader,
    find_reader,
    likely_data_type,
    reader_names,
)
from spikeinterface_cloud.recording.formats.stream_choice import Stream, choose_stream
from spikeinterface_cloud.recording.formats.streams import needed_files


def paths(*names: str) -> list[PurePosixPath]:
    return [PurePosixPath(name) for name in names]


def stream(identifier: str, rate: float = 30000.0, name: str | None = None) -> Stream:
    return Stream(
        identifier=identifier,
        name=name or identifier,
        n_channels=384,
        sampling_frequency_hz=rate,
    )


# ----- readers -----------------------------------------------------------------------------------


def test_every_reader_of_the_design_is_there() -> None:
    """Formats that the design names, SpikeInterface's own folders, and most of neo."""
    names = reader_names()
    wanted = ["nwb", "spikeglx", "openephys", "intan", "binary", "zarr", "blackrock", "neuralynx"]
    assert set(wanted) <= set(names)
    assert len(names) > 25


def test_sortings_and_events_are_not_readers() -> None:
    """What holds no traces is not offered, nor what needs an account instead of files."""
    assert not {"phy", "kilosort", "nwb_sorting", "spikeglx_event", "ibl"} & set(reader_names())


@pytest.mark.parametrize(
    ("data_type", "name"),
    [
        ("spikeglx", "spikeglx"),
        ("SpikeGLX", "spikeglx"),
        ("read_nwb_recording", "nwb"),
        ("nwb_recording", "nwb"),
        ("openephysbinary", "openephys"),
        ("open-ephys", "openephys"),
        ("Open Ephys", "openephys"),
        ("cbin_ibl", "cbin_ibl"),
    ],
)
def test_spellings_of_a_reader_are_accepted(data_type: str, name: str) -> None:
    """Case, separators and SpikeInterface's own prefixes make no difference."""
    assert find_reader(data_type).name == name


def test_an_unknown_reader_is_refused_with_a_suggestion() -> None:
    """A misspelling is an error of the settings."""
    with pytest.raises(SettingsError, match=r"DATA_TYPE=spikeglxx .* did you mean spikeglx"):
        find_reader("spikeglxx")


@pytest.mark.parametrize("data_type", ["shybrid", "sinaps_research_platform"])
def test_a_reader_that_executes_its_source_is_refused(data_type: str) -> None:
    """The data of a stranger must not run as a program."""
    with pytest.raises(SettingsError, match="runs text of the source as a program"):
        find_reader(data_type)


def test_an_outdated_parameter_is_refused_with_its_new_name() -> None:
    """Examples from before SpikeInterface 0.98 name electrical_series_name."""
    with pytest.raises(SettingsError) as raised:
        check_reader("nwb", {"electrical_series_name": "ElectricalSeries"})
    message = str(raised.value)
    assert message.startswith("READ_RECORDING_KWARGS names 'electrical_series_name'")
    assert "did you mean electrical_series_path?" in message
    assert "load_time_vector" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("data_type", "kwargs"),
    [
        ("nwb", {"file_path": "a.nwb"}),
        ("nwb", {"stream_mode": "remfile"}),
        ("spikeglx", {"folder_path": "run_g0"}),
    ],
)
def test_parameters_that_the_job_sets_are_refused(data_type: str, kwargs: dict[str, Any]) -> None:
    """The path and the streaming mode come from the source."""
    with pytest.raises(SettingsError, match="which the job sets itself"):
        check_reader(data_type, kwargs)


@pytest.mark.parametrize(
    ("data_type", "kwargs"),
    [
        ("nwb", {"electrical_series_path": "acquisition/a", "load_time_vector": True}),
        ("spikeglx", {"stream_id": "imec0.ap"}),
        ("openephys", {"experiment_name": "experiment1"}),  # of its binary format
        ("openephys", {"use_names_as_ids": True}),  # of its old format
        ("binary", {}),  # a folder that SpikeInterface saved
        ("binary", {"sampling_frequency": 30000, "dtype": "int16", "num_channels": 4}),
    ],
)
def test_parameters_of_the_reader_are_accepted(data_type: str, kwargs: dict[str, Any]) -> None:
    """Also where SpikeInterface's function takes **kwargs and its classes name them."""
    assert check_reader(data_type, kwargs).name == data_type


def test_a_missing_required_parameter_is_refused() -> None:
    """A raw binary file does not say how many bytes a sample has."""
    with pytest.raises(SettingsError, match="lacks sampling_frequency, which DATA_TYPE=binary"):
        check_reader("binary", {"dtype": "int16"})


@pytest.mark.parametrize(
    ("names", "data_type"),
    [
        (["sub-1/sub-1_ecephys.nwb"], "nwb"),
        (["run_g0/run_g0_imec0/run_g0_t0.imec0.ap.meta"], "spikeglx"),
        (["Record Node 101/experiment1/recording1/structure.oebin"], "openephys"),
        (["saved/binary.json", "saved/traces_cached_seg0.raw"], "binary"),
        (["notes.txt"], None),
    ],
)
def test_the_format_is_guessed_from_file_names(names: list[str], data_type: str | None) -> None:
    """So that a wrong DATA_TYPE can be answered with the likely one."""
    assert likely_data_type(paths(*names)) == data_type


# ----- the stream --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("streams", "chosen"),
    [
        ([stream("imec0.ap"), stream("imec0.lf", 2500), stream("nidq", 25000)], "imec0.ap"),
        ([stream("imec0.ap"), stream("imec0.ap-SYNC")], "imec0.ap"),
        ([stream("0", name="Node#ProbeA-AP"), stream("1", 2500, "Node#ProbeA-LFP")], "0"),
        ([stream("0", name="Node#ProbeA"), stream("ProbeASYNC")], "0"),
        ([stream("0", name="Acq.board"), stream("1", name="Acq.board_ADC")], "0"),
        (
            [
                stream("0", name="RHD2000 amplifier channel"),
                stream("1", 7500, "RHD2000 auxiliary input channel"),
                stream("3", name="USB board ADC input channel"),
                stream("4", name="USB board digital input channel"),
            ],
            "0",
        ),
        (
            [
                stream("acquisition/ElectricalSeries"),
                stream("processing/ecephys/LFP/ElectricalSeriesLFP", 30000),
            ],
            "acquisition/ElectricalSeries",
        ),
        ([stream("5"), stream("2", 1000)], "5"),
    ],
)
def test_the_only_neural_stream_is_chosen(streams: list[Stream], chosen: str) -> None:
    """SYNC, LFP and analog streams are never the recording, whatever their rate."""
    assert choose_stream(streams, {}).identifier == chosen


def test_two_candidate_streams_are_refused_with_a_list() -> None:
    """All candidates are listed, with what tells them apart, and how to name one."""
    with pytest.raises(SettingsError) as raised:
        choose_stream([stream("imec0.ap"), stream("imec1.ap"), stream("imec0.lf", 2500)], {})
    message = str(raised.value)
    assert "imec0.ap: 384 channels at 30000 Hz" in message
    assert "imec1.ap: 384 channels at 30000 Hz" in message
    assert "imec0.lf" not in message
    assert 'READ_RECORDING_KWARGS={"stream_id": "imec0.ap"}' in message


def test_two_electrical_series_are_refused_with_their_parameter() -> None:
    """NWB calls it electrical_series_path."""
    with pytest.raises(SettingsError, match=r'\{"electrical_series_path": "acquisition/a"\}'):
        choose_stream([stream("acquisition/a"), stream("acquisition/b")], {})


def test_a_requested_stream_is_chosen() -> None:
    """By its identifier or its name."""
    streams = [stream("0", name="ProbeA-AP"), stream("1", name="ProbeB-AP")]
    assert choose_stream(streams, {"stream_id": "1"}) is streams[1]
    assert choose_stream(streams, {"stream_name": "ProbeB-AP"}) is streams[1]


def test_a_missing_stream_is_refused_with_a_list() -> None:
    """The message lists them."""
    with pytest.raises(SettingsError, match=r"'imec1.ap', which is not there; .*imec0.ap: 384"):
        choose_stream([stream("imec0.ap")], {"stream_id": "imec1.ap"})


def test_lfp_streams_alone_are_refused() -> None:
    """There is nothing to choose: the data are of the wrong kind."""
    with pytest.raises(RecordingError, match=r"nothing here can be sorted: .*imec0.lf.* LFP"):
        choose_stream([stream("imec0.lf", 2500)], {})


# ----- the files it needs ------------------------------------------------------------------------

RUN = paths(
    "run_g0/run_g0_t0.nidq.bin",
    "run_g0/run_g0_t0.nidq.meta",
    "run_g0/run_g0_imec0/run_g0_t0.imec0.ap.bin",
    "run_g0/run_g0_imec0/run_g0_t0.imec0.ap.meta",
    "run_g0/run_g0_imec0/run_g0_t0.imec0.lf.bin",
    "run_g0/run_g0_imec0/run_g0_t0.imec0.lf.meta",
    "run_g0/notes.txt",
)
SECOND_PROBE = paths(
    "run_g0/run_g0_imec1/run_g0_t0.imec1.ap.bin",
    "run_g0/run_g0_imec1/run_g0_t0.imec1.ap.meta",
)


def test_one_probe_needs_its_ap_band_alone() -> None:
    """Neither the LFP, nor the NI-DAQ, nor notes."""
    assert needed_files("spikeglx", RUN, {}) == RUN[2:4]


@pytest.mark.parametrize("parameter", ["stream_id", "stream_name"])
def test_the_named_probe_is_needed_alone(parameter: str) -> None:
    """Of two probes, one is half of the download."""
    assert needed_files("spikeglx", RUN + SECOND_PROBE, {parameter: "imec1.ap"}) == SECOND_PROBE


def test_two_probes_are_refused_without_a_choice() -> None:
    """Before anything is downloaded."""
    with pytest.raises(SettingsError, match=r"2 AP bands: imec0.ap, imec1.ap; choose one"):
        needed_files("spikeglx", RUN + SECOND_PROBE, {})


def test_triggers_and_gates_of_a_run_are_kept_together() -> None:
    """They are its segments."""
    names = paths(
        *(
            f"run_g{gate}_t{trigger}.imec0.ap.{ending}"
            for gate in (0, 1)
            for trigger in (0, 1)
            for ending in ("bin", "meta")
        )
    )
    assert needed_files("spikeglx", [*names, *RUN[:2]], {}) == names


@pytest.mark.parametrize(
    ("names", "error", "message"),
    [
        (RUN[:2], RecordingError, "no AP band to sort, only nidq"),
        (RUN[4:6], RecordingError, r"no AP band to sort, only imec0\.lf"),
        (paths("readme.txt"), RecordingError, "no SpikeGLX recording here"),
        (paths("a.nwb", "b.nwb"), RecordingError, "look like nwb; if they are, set DATA_TYPE=nwb"),
        (RUN[2:3], RecordingError, r"cannot be read without run_g0_t0\.imec0\.ap\.meta"),
        (
            RUN[2:4] + paths("other_g0_t0.imec0.ap.bin", "other_g0_t0.imec0.ap.meta"),
            SettingsError,
            "from 2 runs: other, run",
        ),
        (
            RUN[2:4] + paths("run_g0_tcat.imec0.ap.bin", "run_g0_tcat.imec0.ap.meta"),
            SettingsError,
            "as joined by CatGT",
        ),
        (
            RUN[2:4] + paths("copy/run_g0_t0.imec0.ap.bin", "copy/run_g0_t0.imec0.ap.meta"),
            SettingsError,
            "the same file is here 2 times",
        ),
        (
            paths("run_g0_t0.imec0.ap.cbin", "run_g0_t0.imec0.ap.ch", "run_g0_t0.imec0.ap.meta"),
            SettingsError,
            "set DATA_TYPE=cbin_ibl",
        ),
    ],
)
def test_a_run_that_cannot_be_read_is_refused_before_the_download(
    names: list[PurePosixPath], error: type[Exception], message: str
) -> None:
    """Its names are enough to tell."""
    with pytest.raises(error, match=message):
        needed_files("spikeglx", names, {})


def test_a_stream_without_files_is_refused() -> None:
    """The message lists those that are."""
    with pytest.raises(SettingsError, match=r"'imec3\.ap'.* imec0\.ap, imec0\.lf, nidq"):
        needed_files("spikeglx", RUN, {"stream_id": "imec3.ap"})


def test_files_without_gate_and_trigger_are_recognized() -> None:
    """People rename files; the stream is still in them."""
    names = paths("mouse1.imec0.ap.bin", "mouse1.imec0.ap.meta", "mouse1.imec0.lf.bin")
    assert needed_files("spikeglx", names, {}) == names[:2]


def test_files_renamed_beyond_recognition_are_all_needed() -> None:
    """Their meta files say what they are."""
    names = paths("mouse1.bin", "mouse1.meta")
    assert needed_files("spikeglx", names, {}) == names


def test_ibl_needs_the_files_of_the_ap_band() -> None:
    """The compressed binary, its index and its meta file."""
    ap = paths(*(f"_spikeglx_ephysData.ap.{ending}" for ending in ("cbin", "ch", "meta")))
    lf = paths("_spikeglx_ephysData.lf.cbin", "_spikeglx_ephysData.lf.ch")
    assert needed_files("cbin_ibl", [*lf, *ap], {}) == ap


@pytest.mark.parametrize("data_type", ["openephys", "intan", "binary", "zarr", "nwb"])
def test_other_formats_need_every_file(data_type: str) -> None:
    """They spread one recording over files that do not name their stream."""
    names = paths("a/b.dat", "a/c.json")
    assert needed_files(data_type, names, {}) == names
