"""`estimate` of Zarr assets on DANDI: the samples that the container sorts, by a few requests."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import zarr
from spikeinterface.core import BaseRecording, NumpyRecording

from spikeinterface_cloud.aws.inputs.dandiset import dandiset_recordings
from spikeinterface_cloud.aws.inputs.sizes import FoundSize, SizeFinder
from spikeinterface_cloud.aws.session import AwsSession
from spikeinterface_cloud.recording.load import open_recording
from tests.support.dandi_stand_in import BUCKET, OWNER_KEY, Asset, DandiStandIn, Fault
from tests.support.nwb_files import NwbLayout, write_nwb
from tests.support.recordings import neuropixels_probe

pytestmark = pytest.mark.integration

DANDISET = "000123"
PATH = "sub-1/sub-1_ecephys.nwb.zarr"
ALWAYS = 10**6

#: requests to read the metadata of one asset: the consolidated ones, and those of its series
READ = 2


def noise(n_frames: int) -> BaseRecording:
    samples = np.random.default_rng(0).integers(-99, 99, (n_frames, 4)).astype("int16")
    recording = NumpyRecording([samples], sampling_frequency=30_000.0)
    recording.set_probe(neuropixels_probe(4))
    return recording


SHORT, LONG = noise(10_000), noise(35_000)

KINDS: dict[str, tuple[Mapping[str, BaseRecording], NwbLayout, Mapping[str, str]]] = {
    "one series": ({"ElectricalSeries": SHORT}, NwbLayout(), {}),
    "floats": ({"ElectricalSeries": SHORT}, NwbLayout(dtype="float32"), {}),
    "beside an LFP in its container": ({"AP": SHORT}, NwbLayout(with_lfp=True), {}),
    "beside a larger LFP by its name": ({"AP": SHORT, "LF": LONG}, NwbLayout(), {}),
    "with timestamps": (
        {"ElectricalSeries": SHORT},
        NwbLayout(timestamps=np.arange(SHORT.get_num_samples()) / 30_000.0, with_lfp=True),
        {},
    ),
    "the smaller one, chosen": (
        {"probe0": SHORT, "probe1": LONG},
        NwbLayout(),
        {"electrical_series_path": "acquisition/probe0"},
    ),
}


@pytest.fixture
def archive() -> Iterator[DandiStandIn]:
    with DandiStandIn() as running:
        yield running


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One series, as hdmf-zarr writes it."""
    return write_nwb(tmp_path_factory.mktemp("original") / "a.nwb.zarr", SHORT)


def finder(
    archive: DandiStandIn, kwargs: Mapping[str, str] | None = None, key: str | None = None
) -> SizeFinder:
    environ = {} if kwargs is None else {"READ_RECORDING_KWARGS": json.dumps(kwargs)}
    return SizeFinder(AwsSession(region="us-east-1"), archive.access(key), environ)


def named(archive: DandiStandIn, asset: Asset) -> dict[str, str]:
    return {"DANDISET_S3_FILE_URL": archive.asset_url(asset)}


def api_paths(archive: DandiStandIn) -> list[str]:
    return [each.path for each in archive.requests if each.server == "api"]


@pytest.mark.parametrize("kind", KINDS)
def test_samples_are_those_that_a_job_sorts(
    archive: DandiStandIn, kind: str, tmp_path: Path
) -> None:
    recordings, layout, kwargs = KINDS[kind]
    folder = write_nwb(tmp_path / "a.nwb.zarr", recordings, layout)
    truth = open_recording(folder, "nwb", kwargs)
    asset = archive.add_zarr(DANDISET, PATH, folder)

    looking = finder(archive, kwargs)
    found = looking.find(named(archive, asset), "it")

    assert found.samples is not None
    assert found.samples.size_bytes == truth.get_total_memory_size()
    assert found.samples.n_frames == truth.get_num_samples()
    assert found.samples.n_channels == truth.get_num_channels() == 4
    assert found.size_bytes == asset.size_bytes
    assert looking.notes == []


NAMES: dict[str, Callable[[DandiStandIn, Asset], str]] = {
    "identifier": lambda archive, asset: archive.asset_url(asset),
    "path": lambda archive, asset: f"{archive.assets_url(DANDISET)}?path={asset.path}",
    "web page": lambda archive, asset: archive.web_url(DANDISET, asset.path),
    "S3": lambda _, asset: f"s3://{BUCKET}/zarr/{asset.content}/",
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("embargoed", [False, True])
def test_each_name_is_looked_up_without_listing_the_entries(
    archive: DandiStandIn, original: Path, name: str, embargoed: bool
) -> None:
    asset = archive.add_zarr(DANDISET, PATH, original, embargoed=embargoed)
    looking = finder(archive, key=OWNER_KEY if embargoed else None)
    found = looking.find({"DANDISET_S3_FILE_URL": NAMES[name](archive, asset)}, "it")

    assert found.samples is not None
    assert found.samples.size_bytes == SHORT.get_total_memory_size()
    stored = [each for each in archive.requests if each.server == "store"]
    assert [each.authorised for each in stored] == [embargoed] * READ
    of_entries = [path for path in api_paths(archive) if path.endswith("/files/")]
    assert len(of_entries) == (READ if embargoed else 0)  # to sign
    assert len(api_paths(archive)) <= 16
    assert OWNER_KEY not in repr(found)


@pytest.mark.parametrize("embargoed", [False, True])
def test_a_dandiset_costs_a_few_requests_for_each_asset(
    archive: DandiStandIn, original: Path, embargoed: bool
) -> None:
    n_assets = 25
    for number in range(n_assets):
        archive.add_zarr(DANDISET, f"sub-{number}/a.nwb.zarr", original, embargoed=embargoed)
    key = OWNER_KEY if embargoed else None
    looking = finder(archive, key=key)
    listing = dandiset_recordings(archive.assets_url(DANDISET), None, archive.access(key))
    found = looking.find_all(listing)

    sizes = {each.samples.size_bytes for each in found if each.samples is not None}
    assert sizes == {SHORT.get_total_memory_size()}
    assert len(found) == n_assets
    assert archive.count("store") == READ * n_assets
    assert archive.count("api") <= 16 + (READ * n_assets if embargoed else 0)
    assert looking.notes == []


def test_a_table_chooses_the_series_of_each_row(archive: DandiStandIn, tmp_path: Path) -> None:
    folder = write_nwb(tmp_path / "a.nwb.zarr", {"probe0": SHORT, "probe1": LONG})
    variables = named(archive, archive.add_zarr(DANDISET, PATH, folder))
    looking = finder(archive, {"electrical_series_path": "acquisition/probe0"})
    own = {"READ_RECORDING_KWARGS": '{"electrical_series_path": "acquisition/probe1"}'}
    rows = [looking.find(each, "row").samples for each in (variables, variables | own)]
    assert [each and each.size_bytes for each in rows] == [
        each.get_total_memory_size() for each in (SHORT, LONG)
    ]


def _without_consolidated(folder: Path) -> None:
    (folder / ".zmetadata").unlink()


def _not_json(folder: Path) -> None:
    (folder / ".zmetadata").write_text("<html>")


def _not_nwb(folder: Path) -> None:
    shutil.rmtree(folder)
    root = zarr.open_group(str(folder), mode="w")
    root.create_dataset("traces_seg0", data=SHORT.get_traces())
    zarr.consolidate_metadata(str(folder))


def _contradicting(folder: Path) -> None:
    file = folder / "acquisition/ElectricalSeries/data/.zarray"
    array = json.loads(file.read_text())
    array["shape"][0] *= 2
    file.write_text(json.dumps(array))


def _without_series(folder: Path) -> None:
    shutil.rmtree(folder / "acquisition/ElectricalSeries/data")


def _of_two(folder: Path) -> None:
    shutil.rmtree(folder)
    write_nwb(folder, {"probe0": SHORT, "probe1": LONG})


def _only_lfp(folder: Path) -> None:
    shutil.rmtree(folder)
    write_nwb(folder, {"LFP": SHORT})


def _of_objects(folder: Path) -> None:
    for file in (
        folder / ".zmetadata",
        folder / "acquisition/ElectricalSeries/data/.zarray",
    ):
        file.write_text(file.read_text().replace('"<i2"', '"|O"'))


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "no consolidated metadata": (_without_consolidated, "it has no .zmetadata"),
    "no JSON": (_not_json, ".zmetadata does not describe an NWB file"),
    "no NWB": (_not_nwb, ".zmetadata does not describe an NWB file"),
    "a contradiction": (_contradicting, "contradicts acquisition/ElectricalSeries/data/.zarray"),
    "no data": (_without_series, "it has no acquisition/ElectricalSeries/data/.zarray"),
    "Python objects": (_of_objects, "does not describe samples"),
    "two series": (_of_two, "2 streams could be the recording: acquisition/probe0: 4 channels"),
    "only an LFP": (_only_lfp, "nothing here can be sorted: there are acquisition/LFP"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_an_asset_that_is_not_what_it_says_is_guessed_with_the_reason(
    archive: DandiStandIn, original: Path, damage: str, tmp_path: Path
) -> None:
    change, reason = DAMAGES[damage]
    folder = tmp_path / "a.nwb.zarr"
    shutil.copytree(original, folder)
    change(folder)
    asset = archive.add_zarr(DANDISET, PATH, folder)
    looking = finder(archive)
    found = looking.find(named(archive, asset), "it")

    assert found == FoundSize(label="it", name=PATH, size_bytes=asset.size_bytes)
    [note] = looking.notes
    assert note.startswith("the uncompressed size of it is a guess: ")
    assert reason in note


def test_a_series_that_is_not_there_is_noted(archive: DandiStandIn, original: Path) -> None:
    asset = archive.add_zarr(DANDISET, PATH, original)
    looking = finder(archive, {"electrical_series_path": "acquisition/other"})
    assert looking.find(named(archive, asset), "it").samples is None
    assert "names electrical_series_path 'acquisition/other', which is not" in looking.notes[0]


def test_a_failed_request_is_repeated(archive: DandiStandIn, original: Path) -> None:
    asset = archive.add_zarr(DANDISET, PATH, original)
    archive.inject("store", Fault.LOST_ANSWER)
    archive.inject("store", Fault.BROKEN)
    found = finder(archive).find(named(archive, asset), "it")
    assert found.samples is not None
    assert archive.count("store", status=502) == 1


def test_a_bucket_that_does_not_answer_is_not_asked_again(
    archive: DandiStandIn, original: Path
) -> None:
    assets = [archive.add_zarr(DANDISET, f"sub-{each}/a.nwb.zarr", original) for each in range(3)]
    archive.inject("store", Fault.LOST_ANSWER, times=ALWAYS)
    looking = finder(archive)
    found = [looking.find(named(archive, asset), "it") for asset in assets]
    assert [each.samples for each in found] == [None] * 3
    assert len(looking.notes) == 3
    assert "is a guess: 127.0.0.1" in looking.notes[0]
    assert "answered 502" in looking.notes[2]
    assert archive.count("store") == 4
