"""HDF5 files that keep their traces in other files: read inside the source, refused outside."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from spikeinterface.core import BaseRecording

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.recording.clock.format_timestamps import file_times
from spikeinterface_cloud.recording.clock.segment_times import source_segment
from spikeinterface_cloud.recording.formats.hdf5_links import linked_files
from spikeinterface_cloud.recording.open import open_source
from spikeinterface_cloud.recording.source import FetchedSource
from tests.support.job import assert_refused, run_job
from tests.support.nwb_files import write_nwb
from tests.support.recordings import AP_GAIN_UV, simulate

pytestmark = [
    pytest.mark.integration,
    # SpikeInterface says so when it saves a recording that exists only in memory, as ours do
    pytest.mark.filterwarnings("ignore:The extractor is not serializable to file"),
]

SERIES = "acquisition/ElectricalSeries"

N_FRAMES, N_CHANNELS = 60_000, 8

#: keeps the traces of an open file in another one, by the name that is given
Link = Callable[[h5py.Group, str], None]


@pytest.fixture(scope="module")
def simulated() -> BaseRecording:
    return simulate(duration_s=2.0, n_channels=N_CHANNELS, n_units=2)[0]


@pytest.fixture
def nwb(tmp_path: Path, simulated: BaseRecording, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a file without traces, in a source folder; the working folder is another one."""
    file = write_nwb(tmp_path / "source" / "recording.nwb", simulated)
    with h5py.File(file, "a") as opened:
        del opened[f"{SERIES}/data"]
    (tmp_path / "working").mkdir()
    monkeypatch.chdir(tmp_path / "working")
    return file


def link(group: h5py.Group, name: str) -> None:
    group["data"] = h5py.ExternalLink(name, "/data")


def store(group: h5py.Group, name: str) -> None:
    external = [(name, 0, N_FRAMES * N_CHANNELS * 2)]
    shape = (N_FRAMES, N_CHANNELS)
    describe(group.create_dataset("data", shape, dtype="int16", external=external))


def map_virtually(group: h5py.Group, name: str) -> None:
    layout = h5py.VirtualLayout((N_FRAMES, N_CHANNELS), dtype="int16")
    layout[:] = h5py.VirtualSource(name, "/data", (N_FRAMES, N_CHANNELS))
    describe(group.create_virtual_dataset("data", layout))


def describe(data: h5py.Dataset) -> None:
    """Give the traces the attributes that NWB requires."""
    data.attrs.update({"conversion": AP_GAIN_UV * 1e-6, "offset": 0.0, "unit": "volts"})


def add(file: Path, how: Link, name: str, group: str = "/") -> Path:
    """Link from a file, which is made if it is not there, to another one."""
    with h5py.File(file, "a") as opened:
        how(opened.require_group(group), name)
    return file


def write_traces(file: Path, recording: BaseRecording, how: Link = link) -> Path:
    """Write traces as a link of this kind expects them."""
    if how is store:
        file.write_bytes(recording.get_traces().tobytes())
    else:
        with h5py.File(file, "w") as opened:
            describe(opened.create_dataset("data", data=recording.get_traces()))
    return file


def assert_link_refused(nwb: Path) -> None:
    with pytest.raises(RecordingError, match=r"is kept in another file, .*part of the source") as (
        caught
    ):
        open_source(FetchedSource(path=nwb), "nwb", {}, None)
    assert caught.value.exit_code == 65


@pytest.mark.parametrize("outside", ["absolute", "relative"])
@pytest.mark.parametrize("how", [link, store, map_virtually])
def test_links_to_files_outside_the_source_are_refused(
    nwb: Path, simulated: BaseRecording, how: Link, outside: str
) -> None:
    secret = write_traces(nwb.parents[1] / "secret.h5", simulated, how)
    add(nwb, how, str(secret) if outside == "absolute" else "../secret.h5", SERIES)
    assert_link_refused(nwb)


@pytest.mark.parametrize("how", [link, store, map_virtually])
def test_links_to_files_in_the_working_folder_are_refused(
    nwb: Path, simulated: BaseRecording, how: Link
) -> None:
    """HDF5 looks for names there too, and for those of external storage nowhere else."""
    write_traces(Path("secret.h5"), simulated, how)
    add(nwb, how, "secret.h5", SERIES)
    assert_link_refused(nwb)


@pytest.mark.parametrize("how", [link, map_virtually])
def test_the_last_part_of_an_absolute_name_is_looked_for_too(
    nwb: Path, simulated: BaseRecording, how: Link
) -> None:
    write_traces(Path("secret.h5"), simulated)
    add(nwb, how, str(nwb.parent / "missing" / "secret.h5"), SERIES)
    assert_link_refused(nwb)


def test_names_with_block_numbers_are_refused(nwb: Path, simulated: BaseRecording) -> None:
    """HDF5 replaces `%b` by a number, and `%%` by a percent sign."""
    write_traces(Path("secret%.h5"), simulated)
    add(nwb, map_virtually, "secret%%.h5", SERIES)
    assert_link_refused(nwb)


@pytest.mark.parametrize("second", [link, store, map_virtually])
@pytest.mark.parametrize("first", [link, map_virtually])
def test_links_of_linked_files_are_refused_too(
    nwb: Path, simulated: BaseRecording, first: Link, second: Link
) -> None:
    secret = write_traces(nwb.parents[1] / "secret.h5", simulated, second)
    add(add(nwb, first, "beside.h5", SERIES).with_name("beside.h5"), second, str(secret))
    assert_link_refused(nwb)


def test_storage_in_the_variables_of_a_process_is_refused(nwb: Path) -> None:
    add(nwb, store, "/proc/self/environ", SERIES)
    assert_link_refused(nwb)


def test_hidden_files_inside_the_source_are_refused(
    nwb: Path, simulated: BaseRecording, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The source may be the working folder, with the job's own `.env`."""
    monkeypatch.chdir(nwb.parent)
    write_traces(Path(".env"), simulated, store)
    add(nwb, store, ".env", SERIES)
    assert_link_refused(nwb)


def test_a_link_is_checked_by_the_folder_of_its_own_file(
    nwb: Path, simulated: BaseRecording
) -> None:
    (nwb.parent / "below").mkdir()
    write_traces(nwb.parents[1] / "secret.h5", simulated)
    add(nwb, link, "below/beside.h5", SERIES)
    add(nwb.parent / "below" / "beside.h5", link, "../../secret.h5")
    assert_link_refused(nwb)


@pytest.mark.parametrize("how", [link, store, map_virtually])
def test_links_to_files_inside_the_source_are_read(
    nwb: Path, simulated: BaseRecording, how: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    if how is store:  # the only folder where HDF5 looks for it
        monkeypatch.chdir(nwb.parent)
    traces = write_traces(nwb.with_name("traces.h5"), simulated, how)
    beside = add(nwb.with_name("beside.h5"), how, "traces.h5")
    add(nwb, link, "beside.h5", SERIES)
    recording = open_source(FetchedSource(path=nwb), "nwb", {}, None).recording
    np.testing.assert_array_equal(recording.get_traces(), simulated.get_traces())
    assert linked_files(nwb) == {traces, beside}


def name_by_a_soft_link(group: h5py.Group, name: str) -> None:
    group.file["linked"] = h5py.ExternalLink(name, "/")
    group["data"] = h5py.SoftLink("/linked/data")


@pytest.mark.parametrize("how", [link, name_by_a_soft_link])
def test_timestamps_beside_linked_traces_are_read(
    nwb: Path, simulated: BaseRecording, how: Link
) -> None:
    write_traces(nwb.with_name("traces.h5"), simulated)
    add(nwb, how, "traces.h5", SERIES)
    with h5py.File(nwb, "a") as opened:
        opened[f"{SERIES}/timestamps"] = np.arange(N_FRAMES) / 29_990.0
        opened[SERIES].pop("starting_time", None)
    recording = open_source(FetchedSource(path=nwb), "nwb", {}, None).recording
    [times] = file_times(source_segment(recording.segments[0]), 30_000.0)
    assert times.origin == "timestamps"


def test_files_that_link_to_each_other_are_read(nwb: Path, simulated: BaseRecording) -> None:
    traces = write_traces(nwb.with_name("traces.h5"), simulated)
    with h5py.File(traces, "a") as opened:
        opened["back"] = h5py.ExternalLink("recording.nwb", "/")
    add(nwb, link, "traces.h5", SERIES)
    recording = open_source(FetchedSource(path=nwb), "nwb", {}, None).recording
    np.testing.assert_array_equal(recording.get_traces(), simulated.get_traces())


def test_deeply_nested_groups_are_refused_at_once(nwb: Path) -> None:
    """HDF5 and SpikeInterface look each of them up from the root, so their time is quadratic."""
    with h5py.File(nwb, "a") as opened:
        group: h5py.Group = opened
        for _ in range(2000):
            group = group.create_group("g")
    with pytest.raises(RecordingError, match=r"groups are nested more than 100 deep.*export"):
        open_source(FetchedSource(path=nwb), "nwb", {}, None)


def test_groups_that_contain_themselves_are_read_once(nwb: Path, simulated: BaseRecording) -> None:
    with h5py.File(nwb, "a") as opened:
        describe(opened.create_dataset(f"{SERIES}/data", data=simulated.get_traces()))
        opened["scratch/loop"] = opened["/"]
    recording = open_source(FetchedSource(path=nwb), "nwb", {}, None).recording
    np.testing.assert_array_equal(recording.get_traces(), simulated.get_traces())


def test_electrodes_that_only_a_reference_leads_to_are_refused(
    nwb: Path, simulated: BaseRecording
) -> None:
    """A group that contains itself stays in the file when its link is deleted."""
    electrodes = "general/extracellular_ephys/electrodes"
    with h5py.File(nwb, "a") as opened:
        describe(opened.create_dataset(f"{SERIES}/data", data=simulated.get_traces()))
        opened.move(electrodes, "hidden/table")
        opened["hidden/itself"] = opened["hidden"]
        opened[f"{SERIES}/electrodes"].attrs["table"] = opened["hidden/table"].ref
        del opened["hidden/table/location"]
        external = [("/proc/self/environ", 0, 8 * N_CHANNELS)]
        opened["hidden/table"].create_dataset(
            "location", (N_CHANNELS,), dtype="S8", external=external
        )
        del opened["hidden"]
    with pytest.raises(RecordingError, match="table of electrodes has no place in the file"):
        open_source(FetchedSource(path=nwb), "nwb", {}, None)


def test_a_whole_job_publishes_no_file_of_its_working_folder(
    tmp_path: Path, nwb: Path, simulated: BaseRecording
) -> None:
    """A virtual dataset mixes the secret into samples that can be sorted."""
    secret = "DANDI_API_KEY=planted-secret\n" * 300
    with h5py.File(nwb, "a") as opened:
        opened["own"] = simulated.get_traces()
        n_frames = len(secret) // (N_CHANNELS * 2)
        size = n_frames * N_CHANNELS * 2
        opened.create_dataset(
            "leak", (n_frames, N_CHANNELS), dtype="int16", external=[(".env", 0, size)]
        )
        layout = h5py.VirtualLayout((N_FRAMES, N_CHANNELS), dtype="int16")
        layout[:] = h5py.VirtualSource(opened["own"])
        layout[:n_frames] = h5py.VirtualSource(opened["leak"])
        opened[SERIES].create_virtual_dataset("data", layout)
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / ".env").write_text(secret)
    job = run_job(
        tmp_path / "job",
        {"SOURCE_FOLDER": str(nwb.parent), "DATA_TYPE": "nwb", "SORTERS": "simple"},
    )
    assert_refused(job, 65, "leak is kept in another file, .env, which is not part of the source")
