"""The streams of a session are told apart by the names and sizes of its files."""

from collections.abc import Iterable
from pathlib import PurePosixPath

import pytest

from spikeinterface_cloud.errors import RecordingError, SettingsError
from spikeinterface_cloud.recording.formats.session_streams import (
    list_streams,
    named_series,
    reference_stream,
    select_streams,
)

#: a run of two probes and an NI-DAQ, as SpikeGLX writes it with a folder a probe
RUN = [
    f"run_g0/{folder}run_g0_t0.{stream}.{ending}"
    for folder, streams in (
        ("run_g0_imec0/", ("imec0.ap", "imec0.lf")),
        ("run_g0_imec1/", ("imec1.ap", "imec1.lf")),
        ("", ("nidq",)),
    )
    for stream in streams
    for ending in ("bin", "meta")
]

NODE = "Record Node 101"


def files_of(names: Iterable[str], size_bytes: int = 1000) -> dict[PurePosixPath, int]:
    return {PurePosixPath(name): size_bytes for name in names}


def open_ephys_files(
    streams: dict[str, int], *, node: str = NODE, recording: str = "experiment1/recording1"
) -> dict[PurePosixPath, int]:
    """The files of streams with so many samples each; of 385 channels."""
    folder = PurePosixPath(node, recording)
    files = {folder / "structure.oebin": 100_000}
    for stream, n_samples in streams.items():
        files[folder / "continuous" / stream / "continuous.dat"] = n_samples * 385 * 2
        files[folder / "continuous" / stream / "sample_numbers.npy"] = 128 + 8 * n_samples
        files[folder / "events" / stream / "TTL" / "states.npy"] = 200
    return files


def test_each_ap_band_of_spikeglx_is_sorted_and_its_lfp_and_nidq_are_not() -> None:
    listed = list_streams("spikeglx", files_of(RUN))
    assert [(each.identifier, each.folder, each.kwargs) for each in listed.sortable] == [
        ("imec0.ap", "imec0.ap", {"stream_id": "imec0.ap"}),
        ("imec1.ap", "imec1.ap", {"stream_id": "imec1.ap"}),
    ]
    assert [each.identifier for each in listed.auxiliary] == ["nidq"]
    assert listed.ignored == ["imec0.lf", "imec1.lf"]


def test_the_size_of_a_stream_is_that_of_its_samples_in_all_its_triggers() -> None:
    files = files_of(RUN) | {
        PurePosixPath("run_g0/run_g0_imec0/run_g0_t1.imec0.ap.bin"): 234,
        PurePosixPath("run_g0/run_g0_imec0/run_g0_t1.imec0.ap.meta"): 9,
    }
    assert [each.size_bytes for each in list_streams("spikeglx", files).sortable] == [1234, 1000]


def test_a_onebox_is_auxiliary() -> None:
    names = [*RUN, "run_g0/run_g0_t0.obx0.obx.bin", "run_g0/run_g0_t0.obx0.obx.meta"]
    found = list_streams("spikeglx", files_of(names)).auxiliary
    assert [each.identifier for each in found] == ["nidq", "obx0"]


@pytest.mark.parametrize(
    ("names", "error", "message"),
    [
        ([name for name in RUN if ".ap." not in name], RecordingError, "no AP band to sort"),
        ([name for name in RUN if "imec1.ap.meta" not in name], RecordingError, "without"),
        (["day1/notes.txt"], RecordingError, "no SpikeGLX recording"),
        ([name.replace(".bin", ".cbin") for name in RUN], SettingsError, "DATA_TYPE=cbin_ibl"),
        (
            [*RUN, *(name.replace("run_g0", "other_g0") for name in RUN if "imec0" in name)],
            SettingsError,
            "2 runs: other, run",
        ),
        (
            [name.replace("run_g0", "late_g0") if "nidq" in name else name for name in RUN],
            SettingsError,
            "2 runs here: late, run",
        ),
        (
            [name.replace("g0_t0", "g1_t0") if "imec1" in name else name for name in RUN],
            SettingsError,
            "imec0.ap is here with g0, and imec1.ap with g1",
        ),
    ],
)
def test_what_is_not_one_whole_session_of_spikeglx_is_refused(
    names: list[str], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        list_streams("spikeglx", files_of(names))


def test_gates_of_one_run_are_parts_of_the_same_streams() -> None:
    names = [*RUN, *(name.replace("run_g0_t0", "run_g1_t0") for name in RUN)]
    sizes = [each.size_bytes for each in list_streams("spikeglx", files_of(names)).sortable]
    assert sizes == [2000, 2000]


def test_open_ephys_streams_are_chosen_by_name_with_their_node() -> None:
    files = open_ephys_files(
        {
            "Neuropix-PXI-100.ProbeA-AP": 30_000,
            "Neuropix-PXI-100.ProbeA-LFP": 2_500,
            "Neuropix-PXI-100.ProbeB": 30_000,
            "NI-DAQmx-103.PXIe-6341": 30_000,
            "OneBox-104.OneBox-ADC": 30_000,
        }
    )
    listed = list_streams("openephys", files)
    assert [(each.folder, each.kwargs) for each in listed.sortable] == [
        ("ProbeA-AP", {"stream_name": f"{NODE}#Neuropix-PXI-100.ProbeA-AP"}),
        ("ProbeB", {"stream_name": f"{NODE}#Neuropix-PXI-100.ProbeB"}),
    ]
    assert listed.sortable[0].size_bytes == 30_000 * 385 * 2
    assert {each.folder for each in listed.auxiliary} == {"PXIe-6341", "OneBox-ADC"}
    assert listed.ignored == ["ProbeA-LFP"]


def test_an_lfp_with_a_number_for_a_name_is_known_by_its_few_samples() -> None:
    """As Open Ephys 0.5 named the two bands of a probe."""
    streams = {"Neuropix-PXI-100.0": 30_000, "Neuropix-PXI-100.1": 2_500, "NI-DAQmx-9.0": 900_000}
    listed = list_streams("openephys", open_ephys_files(streams))
    assert [each.folder for each in listed.sortable] == ["Neuropix-PXI-100.0"]
    assert listed.ignored == ["Neuropix-PXI-100.1"]


def test_a_session_without_node_folders_is_named_by_its_own_folder_where_it_is_local() -> None:
    files = open_ephys_files({"Rhythm_FPGA-100.Rhythm Data": 30_000}, node="")
    assert [each.kwargs for each in list_streams("openephys", files).sortable] == [
        {"stream_name": "Rhythm_FPGA-100.Rhythm Data"}
    ]
    [local] = list_streams("openephys", files, folder_name=NODE).sortable
    assert local.identifier == f"{NODE}#Rhythm_FPGA-100.Rhythm Data"
    assert local.folder == "Rhythm-Data"


def test_experiments_of_open_ephys_are_sessions_of_their_own() -> None:
    files = open_ephys_files({"A-100.ProbeA-AP": 10}) | open_ephys_files(
        {"A-100.ProbeA-AP": 20}, recording="experiment2/recording1"
    )
    with pytest.raises(SettingsError, match='"experiment_name": "experiment1"'):
        list_streams("openephys", files)
    [chosen] = list_streams("openephys", files, {"experiment_name": "experiment2"}).sortable
    assert chosen.size_bytes == 20 * 385 * 2
    assert chosen.kwargs["experiment_name"] == "experiment2"


def test_a_signal_that_two_nodes_recorded_has_to_be_chosen() -> None:
    files = open_ephys_files({"A-100.ProbeA-AP": 10})
    files |= open_ephys_files({"A-100.ProbeA-AP": 10}, node="Record Node 105")
    streams = list_streams("openephys", files).sortable
    assert [each.folder for each in streams] == [
        "Record-Node-101-A-100.ProbeA-AP",
        "Record-Node-105-A-100.ProbeA-AP",
    ]
    with pytest.raises(SettingsError, match="two nodes recorded"):
        select_streams(streams, "all")
    assert select_streams(streams, ["Record-Node-105-A-100.ProbeA-AP"]) == [streams[1]]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (files_of(["a.txt"]), "no Open Ephys recording"),
        (files_of(["100_CH1.continuous"]), "older format"),
        (files_of(["recording1/structure.oebin"]), "name the folder above"),
        (open_ephys_files({"A-100.ProbeA-LFP": 9, "NI-DAQmx-1.x": 9}), "no stream to sort"),
        (files_of([f"{NODE}/experiment1/recording1/structure.oebin"]), "without samples"),
    ],
)
def test_what_is_no_session_of_open_ephys_is_refused(
    files: dict[PurePosixPath, int], message: str
) -> None:
    with pytest.raises((RecordingError, SettingsError), match=message):
        list_streams("openephys", files)


def test_the_series_of_nwb_have_to_be_named() -> None:
    with pytest.raises(SettingsError, match="STREAMS=acquisition/"):
        list_streams("nwb", files_of(["a.nwb"]))
    first, second = named_series(["acquisition/ProbeA", "/acquisition/session"])
    assert (first.folder, first.kwargs) == (
        "ProbeA",
        {"electrical_series_path": "acquisition/ProbeA"},
    )
    assert second.folder == "acquisition-session"  # where the gathered results go


def test_other_formats_are_refused() -> None:
    with pytest.raises(SettingsError, match="DATA_TYPE=intan is not split into streams"):
        list_streams("intan", files_of(["a.rhd"]))


def test_a_stream_in_the_reader_s_parameters_is_refused() -> None:
    with pytest.raises(SettingsError, match="STREAMS instead"):
        list_streams("spikeglx", files_of(RUN), {"stream_id": "imec0.ap"})


def test_streams_are_selected_in_the_order_given_and_unknown_ones_refused() -> None:
    streams = list_streams("spikeglx", files_of(RUN)).sortable
    assert select_streams(streams, "all") == streams
    assert select_streams(streams, ["imec1.ap", "imec0.ap", "imec1.ap"]) == streams[::-1]
    with pytest.raises(SettingsError, match=r"'imec2.ap' is not .*there are imec0.ap, imec1.ap"):
        select_streams(streams, ["imec2.ap"])
    with pytest.raises(SettingsError, match="is not a stream of the session"):
        select_streams(streams, ["imec0.lf"])


def test_the_clock_is_nidq_s_or_the_first_stream_s_unless_it_is_named() -> None:
    listed = list_streams("spikeglx", files_of(RUN))
    assert reference_stream(None, listed.sortable, listed.auxiliary) == listed.auxiliary[0]
    assert reference_stream(None, listed.sortable, []) == listed.sortable[0]
    assert reference_stream("imec1.ap", listed.sortable, listed.auxiliary) == listed.sortable[1]
    assert reference_stream("none", listed.sortable, listed.auxiliary) is None
    with pytest.raises(SettingsError, match="CLOCK: 'obx0'"):
        reference_stream("obx0", listed.sortable, listed.auxiliary)


def test_the_files_of_a_real_session_of_open_ephys_are_one_stream() -> None:
    """Names and sizes of the example session of spikewrap 0.4.0 (BSD-3), of one probe's AP band."""
    files = {PurePosixPath("Record Node 104/settings.xml"): 44_855}
    for recording in ("recording1", "recording2"):
        folder = PurePosixPath("Record Node 104", "experiment1", recording)
        continuous = folder / "continuous" / "Neuropix-PXI-100.ProbeA-AP"
        files |= {
            folder / "structure.oebin": 107_752,
            folder / "sync_messages.txt": 272,
            continuous / "continuous.dat": 770_000,
            continuous / "sample_numbers.npy": 8_128,
            continuous / "timestamps.npy": 8_128,
            folder / "events" / "MessageCenter" / "text.npy": 576_740,
            folder / "events" / "Neuropix-PXI-100.ProbeA-AP" / "TTL" / "states.npy": 6_414,
        }
    listed = list_streams("openephys", files)
    [stream] = listed.sortable
    assert stream.kwargs == {"stream_name": "Record Node 104#Neuropix-PXI-100.ProbeA-AP"}
    assert (stream.folder, stream.size_bytes) == ("ProbeA-AP", 1_540_000)
    assert not listed.auxiliary
    assert not listed.ignored


@pytest.mark.parametrize("lost", ["run_g0_t0.imec1.ap", "run_g0_t0.nidq"])
def test_a_header_without_its_samples_is_refused(lost: str) -> None:
    stems = ["run_g0_t0.imec0.ap", "run_g0_t0.imec1.ap", "run_g0_t0.nidq"]
    files = {PurePosixPath(f"{stem}.{end}"): 1000 for stem in stems for end in ("bin", "meta")}
    del files[PurePosixPath(f"{lost}.bin")]
    with pytest.raises(RecordingError, match=rf"{lost}\.meta is here without its \.bin"):
        list_streams("spikeglx", files, {})


def test_a_stream_of_open_ephys_without_its_samples_is_refused() -> None:
    recording = PurePosixPath(f"{NODE}/experiment1/recording1")
    files = {recording / "structure.oebin": 1000}
    for stream in ("Neuropix-PXI-100.ProbeA", "Neuropix-PXI-100.ProbeB"):
        folder = recording / "continuous" / stream
        files |= {folder / "continuous.dat": 770_000, folder / "sample_numbers.npy": 8128}
    assert len(list_streams("openephys", files, {}).sortable) == 2
    del files[folder / "continuous.dat"]
    with pytest.raises(RecordingError, match=r"ProbeB is here without its continuous\.dat"):
        list_streams("openephys", files, {})
