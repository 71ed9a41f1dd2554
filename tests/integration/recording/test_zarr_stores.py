"""Zarr folders of older versions of SpikeInterface, plain arrays, and several stores in one source.

The folders of older versions were saved by these versions; see tests/saved/README.md.
"""

import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import zarr

from spikeinterface_cloud.config.locations import S3Location
from spikeinterface_cloud.errors import CloudJobError, RecordingError, SettingsError
from spikeinterface_cloud.recording.load import open_recording
from spikeinterface_cloud.recording.source import fetch_source
from tests.support.recordings import simulate, write_zarr_folder
from tests.support.servers import S3Server
from tests.support.sorted_results import upload_folder
from tests.support.sources import find, refusal

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:The extractor is not serializable to file"),
]

SAVED = Path(__file__).parents[2] / "saved"

#: contacts by channel: the wiring is 2, 0, 3, 1
POSITIONS = {
    "shanks": [[0.0, 20.0], [30.0, 20.0], [0.0, 0.0], [30.0, 0.0]],
    "probes": [[0.0, 20.0], [100.0, 20.0], [0.0, 0.0], [100.0, 0.0]],
}


@pytest.mark.parametrize("name", sorted(file.stem for file in SAVED.glob("*.zip")))
def test_a_folder_of_an_older_version_opens_with_what_was_saved(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(SAVED / f"{name}.zip") as archive:
        archive.extractall(tmp_path / "saved.zarr")
    recording = open_recording(tmp_path / "saved.zarr", "zarr", {})
    rng = np.random.default_rng(0)
    for segment, (n_samples, start_s) in enumerate([(60, 1.5), (40, 10.0)]):
        traces = rng.integers(-200, 200, (n_samples, 4), dtype="int16")
        np.testing.assert_array_equal(recording.get_traces(segment_index=segment), traces)
        assert recording.get_start_time(segment) == start_s
    assert recording.get_num_segments() == 2
    assert recording.sampling_frequency == 30000.0
    assert list(recording.channel_ids) == ["b", "a", "d10", "c"]
    np.testing.assert_array_equal(recording.get_channel_gains(), [1, 2, 3, 4])
    np.testing.assert_array_equal(recording.get_channel_offsets(), [0, 1, 0, 2])
    np.testing.assert_array_equal(
        recording.get_channel_locations(), POSITIONS[name.partition("_")[2]]
    )
    np.testing.assert_array_equal(recording.get_property("group"), [0, 1, 0, 1])
    assert list(recording.get_property("brain_area")) == ["CA1", "CA1", "thalamus", "x"]
    np.testing.assert_array_equal(recording.get_property("quality"), [0.5, 1.5, 2.5, 3.5])


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A session of two Zarr folders, as the Allen Institute publishes them."""
    folder = tmp_path_factory.mktemp("session") / "ecephys_compressed"
    recording = simulate(duration_s=1.0, n_channels=4, n_units=2)[0]
    for band in ("AP", "LFP"):
        write_zarr_folder(folder / f"experiment1_Record Node 104#ProbeA-{band}.zarr", recording)
    return folder.parent


def test_several_zarr_folders_are_refused_without_a_choice(
    session: Path, moto_s3: S3Server, bucket: str
) -> None:
    """Before any is fetched."""
    upload_folder(moto_s3.client, session, bucket, "session")
    location = S3Location(bucket=bucket, key="session")
    for message in (
        refusal(SettingsError, lambda: open_recording(session, "zarr", {})),
        refusal(SettingsError, lambda: find(location, "zarr", moto_s3.access)),
    ):
        assert "there are 2 Zarr folders here: " in message
        assert "#ProbeA-AP.zarr" in message


def test_the_one_zarr_folder_among_other_files_is_read(
    tmp_path: Path, moto_s3: S3Server, bucket: str
) -> None:
    recording = simulate(duration_s=1.0, n_channels=4, n_units=2)[0]
    write_zarr_folder(tmp_path / "source" / "ecephys" / "a.zarr", recording)
    (tmp_path / "source" / "notes.txt").write_text("notes")
    upload_folder(moto_s3.client, tmp_path / "source", bucket, "one")
    found = find(S3Location(bucket=bucket, key="one"), "zarr", moto_s3.access)
    assert {file.name.parts[:2] for file in found.files} == {("ecephys", "a.zarr")}
    fetched = fetch_source(found, tmp_path / "scratch").path
    assert fetched is not None
    for place in (tmp_path / "source", fetched):
        opened = open_recording(place, "zarr", {})
        np.testing.assert_array_equal(opened.get_traces(), recording.get_traces())


@pytest.mark.parametrize(
    ("data_type", "samples", "kwargs", "error", "reason"),
    [
        ("zarr", (900, 4), {}, SettingsError, "this is a plain Zarr array"),
        ("zarr_array", (900,), {}, RecordingError, "the array has 1 axes (900)"),
        ("zarr_array", (900, 2, 2), {}, RecordingError, "the array has 3 axes (900 x 2 x 2)"),
        ("zarr_array", (4, 900), {}, RecordingError, "the shape 4 x 900"),
        ("zarr_array", (900, 4), {"gain_to_uV": [1.0] * 3}, SettingsError, "gain_to_uV has 3"),
        ("zarr_array", (900, 4), {"offset_to_uV": [0.0] * 5}, SettingsError, "offset_to_uV has 5"),
    ],
)
def test_an_array_that_does_not_fit_is_refused_before_it_is_fetched(
    tmp_path: Path,
    moto_s3: S3Server,
    bucket: str,
    data_type: str,
    samples: tuple[int, ...],
    kwargs: dict[str, object],
    error: type[CloudJobError],
    reason: str,
) -> None:
    folder = tmp_path / "a.zarr"
    zarr.save_array(str(folder), np.ones(samples, dtype="int16"))
    if data_type == "zarr_array":
        kwargs = {"sampling_frequency": 30000.0, **kwargs}
    upload_folder(moto_s3.client, folder, bucket, "a.zarr")
    location = S3Location(bucket=bucket, key="a.zarr")
    for run in (
        partial(open_recording, folder, data_type, kwargs),
        partial(find, location, data_type, moto_s3.access, **kwargs),
    ):
        message = refusal(error, run)
        assert reason in message
    if data_type == "zarr":
        assert 'set DATA_TYPE=zarr_array, READ_RECORDING_KWARGS={"sampling_frequency"' in message


def test_the_other_reader_of_zarr_is_named(session: Path, tmp_path: Path) -> None:
    kwargs = {"sampling_frequency": 30000.0}
    [saved] = session.rglob("*-AP.zarr")
    message = refusal(SettingsError, lambda: open_recording(saved, "zarr_array", kwargs))
    assert message.endswith("set DATA_TYPE=zarr")
    zarr.open(str(tmp_path / "b.zarr"), mode="w").create_dataset("raw", data=np.ones((900, 4)))
    for data_type, given in (("zarr", {}), ("zarr_array", kwargs)):
        run = partial(open_recording, tmp_path / "b.zarr", data_type, given)
        assert "it holds the arrays raw; if one of them" in refusal(RecordingError, run)
    array = open_recording(tmp_path / "b.zarr" / "raw", "zarr_array", kwargs)
    assert array.get_num_channels() == 4


def test_chunks_without_the_description_of_their_array_are_refused(tmp_path: Path) -> None:
    """Without it, the offsets would be taken for absent."""
    recording, _ = simulate(duration_s=1.5, n_channels=4, n_units=1)
    store = write_zarr_folder(tmp_path / "recording.zarr", recording)
    (store / ".zmetadata").unlink(missing_ok=True)
    (store / "properties/offset_to_uV/.zarray").unlink()
    message = refusal(RecordingError, lambda: open_recording(store, "zarr", {}))
    assert "properties/offset_to_uV has chunks, but no .zarray" in message
