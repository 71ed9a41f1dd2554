"""NWB in Zarr, as hdmf-zarr writes it, from a folder and from S3: true values, and refusals."""

import json
import re
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest
import zarr
from spikeinterface.core import BaseRecording

from spikeinterface_cloud.config.locations import LocalFolder, S3Location
from spikeinterface_cloud.config.settings import AwsSettings, DandiAccess
from spikeinterface_cloud.errors import CloudJobError
from spikeinterface_cloud.exports.nwb_source import find_session
from spikeinterface_cloud.recording.load import open_recording
from spikeinterface_cloud.recording.source import (
    FoundSource,
    SourceRequest,
    fetch_source,
    find_source,
)
from tests.support.nwb_files import NwbLayout, write_nwb
from tests.support.recordings import AP_GAIN_UV, simulate
from tests.support.servers import S3Server
from tests.support.sorted_results import upload_folder

pytestmark = pytest.mark.integration

NAME = "sub-1_ecephys.nwb.zarr"
SUBJECT = {"subject_id": "M1", "species": "Mus musculus", "sex": "M", "age": "P90D"}
SESSION = {"session_id": "s1", "lab": "L", "experimenter": ["A, B", "C, D"], "keywords": ["x"]}


@pytest.fixture(scope="module")
def simulated() -> BaseRecording:
    recording, _ = simulate(duration_s=2.5, n_channels=8, n_units=2)
    return recording


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, simulated: BaseRecording) -> Path:
    """Two series on two shanks, an LFP, and a subject."""
    layout = NwbLayout(with_lfp=True, groups=("shank0", "shank1"), subject=SUBJECT, session=SESSION)
    return write_nwb(tmp_path_factory.mktemp("written") / NAME, simulated, layout)


@pytest.fixture
def folder(tmp_path: Path, written: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(written, tmp_path / "source" / NAME))


def find(location: LocalFolder | S3Location, aws: AwsSettings, **kwargs: Any) -> FoundSource:
    request = SourceRequest(
        location=location,
        data_type="nwb",
        read_recording_kwargs=kwargs,
        probe_file=None,
    )
    return find_source(request, aws, DandiAccess())


def put(server: S3Server, bucket: str, folder: Path) -> tuple[S3Location, AwsSettings]:
    upload_folder(server.client, folder, bucket, f"raw/{folder.name}")
    return S3Location(bucket=bucket, key="raw"), server.access


def refusal(action: Callable[[], object]) -> CloudJobError:
    with pytest.raises(CloudJobError) as raised:
        action()
    assert "\n" not in str(raised.value)
    return raised.value


def assert_true(recording: BaseRecording, simulated: BaseRecording, gain: float = 1.0) -> None:
    np.testing.assert_array_equal(recording.get_traces(), simulated.get_traces())
    np.testing.assert_allclose(recording.get_channel_gains(), AP_GAIN_UV * gain, rtol=1e-12)
    np.testing.assert_array_equal(
        recording.get_channel_locations(), simulated.get_channel_locations()
    )


# ----- true values -------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [".", NAME])
def test_samples_gains_and_contacts_are_true(
    folder: Path, simulated: BaseRecording, place: str
) -> None:
    recording = open_recording(folder.parent / place, "nwb", {})
    assert_true(recording, simulated)
    assert recording.get_property("group").tolist() == ["shank0"] * 4 + ["shank1"] * 4


def test_only_the_chosen_series_is_fetched_from_s3(
    tmp_path: Path, moto_s3: S3Server, bucket: str, folder: Path, simulated: BaseRecording
) -> None:
    location, aws = put(moto_s3, bucket, folder)
    found = find(location, aws)
    fetched = fetch_source(found, tmp_path / "fetched")
    assert fetched.path is not None
    names = {file.relative_to(fetched.path / NAME).as_posix() for file in files_of(fetched.path)}
    assert {f"acquisition/ElectricalSeries/data/{chunk}.0" for chunk in range(3)} <= names
    assert not any("ElectricalSeriesLFP/data/0" in name for name in names)
    assert "general/extracellular_ephys/electrodes/group/0" not in names
    recording = open_recording(fetched.path, "nwb", {})
    assert_true(recording, simulated)
    session = find_session(recording)
    assert session.subject["subject_id"] == "M1"
    assert session.electrodes.groups == ["shank0"] * 4 + ["shank1"] * 4


def files_of(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file()]


@pytest.mark.parametrize("compression", [None, "zstd", "gzip", "blosc"])
def test_each_codec_gives_the_same_samples(
    tmp_path: Path, simulated: BaseRecording, compression: str | None
) -> None:
    folder = write_nwb(tmp_path / NAME, simulated, NwbLayout(compression=compression))
    assert_true(open_recording(folder, "nwb", {}), simulated)


def test_start_and_timestamps_are_those_of_the_series(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    started = write_nwb(tmp_path / "a" / NAME, simulated, NwbLayout(starting_time=7.5))
    assert open_recording(started, "nwb", {}).get_start_time() == 7.5
    stamps = 5.0 + np.arange(simulated.get_num_samples()) / 30000.0
    stamped = write_nwb(tmp_path / "b" / NAME, simulated, NwbLayout(timestamps=stamps))
    recording = open_recording(stamped, "nwb", {})
    assert recording.get_start_time() == 5.0
    assert recording.sampling_frequency == pytest.approx(30000.0)


def test_session_is_that_of_the_same_file_in_hdf5(
    tmp_path: Path, written: Path, simulated: BaseRecording
) -> None:
    layout = NwbLayout(with_lfp=True, groups=("shank0", "shank1"), subject=SUBJECT, session=SESSION)
    file = write_nwb(tmp_path / "a.nwb", simulated, layout)
    sessions = [find_session(open_recording(path, "nwb", {})) for path in (file, written)]
    facts = [
        (each.start, each.subject, each.fields, each.devices, each.groups) for each in sessions
    ]
    assert facts[0] == facts[1]
    assert sessions[1].subject["subject_id"] == "M1"
    electrodes = [
        (
            each.electrodes.ids,
            each.electrodes.groups,
            each.electrodes.rows,
            {column.name: column.values.tolist() for column in each.electrodes.columns},
        )
        for each in sessions
    ]
    assert electrodes[0] == electrodes[1]


def test_one_of_several_series_is_read_by_its_path(
    tmp_path: Path, moto_s3: S3Server, bucket: str, simulated: BaseRecording
) -> None:
    folder = write_nwb(tmp_path / NAME, {"Probe0": simulated, "Probe1": simulated})
    location, aws = put(moto_s3, bucket, folder)
    for action in (
        lambda: find(location, aws),
        lambda: find(LocalFolder(path=folder), aws),
    ):
        assert "2 streams could be the recording: acquisition/Probe0" in str(refusal(action))
    path = {"electrical_series_path": "acquisition/Probe1"}
    names = {str(file.name) for file in find(location, aws, **path).files}
    assert f"{NAME}/acquisition/Probe1/data/0.0" in names
    assert f"{NAME}/acquisition/Probe0/data/0.0" not in names


# ----- refusals ----------------------------------------------------------------------------------


def remove_chunk(folder: Path) -> None:
    (folder / "acquisition/ElectricalSeries/data/1.0").unlink()


def remove_all_chunks(folder: Path) -> None:
    for file in (folder / "acquisition/ElectricalSeries/data").glob("[0-9]*"):
        file.unlink()


def contradict_consolidated(folder: Path) -> None:
    _edit(folder / "acquisition/ElectricalSeries/data/.zarray", shape=[75000, 4])


def pickle_a_column(folder: Path) -> None:
    _edit(
        folder / "general/extracellular_ephys/electrodes/location/.zarray",
        filters=[{"id": "pickle", "protocol": 5}],
    )
    (folder / ".zmetadata").unlink()


def link_elsewhere(folder: Path) -> None:
    link = {"name": "data", "path": "/data", "source": "../other.nwb.zarr"}
    _edit(folder / "acquisition/ElectricalSeries/.zattrs", zarr_link=[link])
    (folder / ".zmetadata").unlink()


def link_within(folder: Path) -> None:
    shutil.rmtree(folder / "acquisition/ElectricalSeries/data")
    link = {"name": "data", "path": "/processing/data", "source": "."}
    _edit(folder / "acquisition/ElectricalSeries/.zattrs", zarr_link=[link])
    (folder / ".zmetadata").unlink()


def make_it_no_nwb(folder: Path) -> None:
    _edit(folder / ".zattrs", neurodata_type="Image")
    (folder / ".zmetadata").unlink()


def leave_only_the_lfp(folder: Path) -> None:
    shutil.rmtree(folder / "acquisition/ElectricalSeries")
    (folder / ".zmetadata").unlink()


def cut_metadata(folder: Path) -> None:
    file = folder / "acquisition/ElectricalSeries/data/.zarray"
    file.write_text(file.read_text()[:50])


def write_format_3(folder: Path) -> None:
    (folder / "zarr.json").write_text('{"zarr_format": 3}')


def _edit(file: Path, **values: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (remove_chunk, r"1 of 3 chunks of data are missing"),
        (remove_all_chunks, r"3 of 3 chunks of data are missing"),
        (contradict_consolidated, r"\.zmetadata contradicts .*data/\.zarray"),
        (pickle_a_column, r"column location of the electrodes holds pickled"),
        (link_elsewhere, r"kept in another file, \.\./other\.nwb\.zarr"),
        (link_within, r"the data of acquisition/ElectricalSeries are not in it"),
        (make_it_no_nwb, r"not NWB; check DATA_TYPE"),
        (leave_only_the_lfp, r"nothing here can be sorted: there are processing/.*LFP"),
        (cut_metadata, r"\.zarray is not JSON"),
        (write_format_3, r"Zarr of format 3"),
    ],
)
def test_bad_store_is_refused_in_a_folder_and_on_s3_before_samples_are_fetched(
    moto_s3: S3Server,
    bucket: str,
    folder: Path,
    damage: Callable[[Path], None],
    message: str,
) -> None:
    damage(folder)
    location, aws = put(moto_s3, bucket, folder)
    for place in (LocalFolder(path=folder), location):
        error = refusal(partial(find, place, aws))
        assert error.exit_code in (65, 66)
        assert_matches(message, error)


def assert_matches(message: str, error: CloudJobError) -> None:
    assert re.search(message, str(error)), str(error)


def test_chunk_of_wrong_bytes_is_refused(folder: Path) -> None:
    chunk = folder / "acquisition/ElectricalSeries/data/1.0"
    chunk.write_bytes(chunk.read_bytes()[:-50])
    error = refusal(lambda: open_recording(folder, "nwb", {}))
    assert error.exit_code == 65
    assert "the chunk 1.0 of data is damaged" in str(error)


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    """Whichever library asks for them."""
    array = zarr.open(
        str(tmp_path), mode="w", shape=2, dtype=object, object_codec=numcodecs.Pickle()
    )
    array[:] = ["a", "b"]
    error = refusal(lambda: zarr.open(str(tmp_path), mode="r")[:])
    assert "pickled Python objects" in str(error)


def test_nwb_as_zarr_and_zarr_as_nwb_name_the_other_data_type(
    tmp_path: Path, folder: Path, simulated: BaseRecording
) -> None:
    assert "DATA_TYPE=nwb" in str(refusal(lambda: open_recording(folder, "zarr", {})))
    simulated.save(folder=tmp_path / "si.zarr", format="zarr", progress_bar=False)
    message = str(refusal(lambda: open_recording(tmp_path / "si.zarr", "nwb", {})))
    assert "DATA_TYPE=zarr" in message


def test_two_files_are_refused_without_a_choice(
    moto_s3: S3Server, bucket: str, folder: Path, simulated: BaseRecording
) -> None:
    write_nwb(folder.parent / "other.nwb", simulated)
    location, aws = put(moto_s3, bucket, folder)
    moto_s3.client.upload_file(str(folder.parent / "other.nwb"), bucket, "raw/other.nwb")
    for place in (LocalFolder(path=folder.parent), location):
        message = str(refusal(partial(find, place, aws)))
        assert f"other.nwb, {NAME}" in message


@pytest.mark.parametrize("consolidated", [False, True])
@pytest.mark.parametrize("place", ["folder", "s3"])
def test_an_array_without_its_description_is_refused(
    tmp_path: Path, moto_s3: S3Server, bucket: str, place: str, consolidated: bool
) -> None:
    """Without it, the places of the contacts would be taken for absent."""
    store = write_nwb(tmp_path / NAME, simulate(duration_s=1.5, n_channels=4, n_units=1)[0])
    if not consolidated:
        (store / ".zmetadata").unlink()
    (store / "general/extracellular_ephys/electrodes/rel_x/.zarray").unlink()
    location, access = put(moto_s3, bucket, store)
    on_s3 = partial(find, location, access)
    run = on_s3 if place == "s3" else partial(open_recording, store, "nwb", {})
    message = str(refusal(run))
    assert "electrodes/rel_x" in message
    assert ".zarray" in message
