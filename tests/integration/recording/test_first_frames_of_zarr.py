"""Of a remote Zarr whose first frames are wanted, only the chunks that hold them are fetched."""

import math
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import zarr
from probeinterface import write_probeinterface
from spikeinterface.core import BaseRecording

from spikeinterface_cloud.config.locations import S3Location
from spikeinterface_cloud.config.settings import AwsSettings, DandiAccess
from spikeinterface_cloud.errors import CloudJobError
from spikeinterface_cloud.recording.open import open_source
from spikeinterface_cloud.recording.source import (
    FetchedSource,
    SourceRequest,
    fetch_source,
    find_source,
)
from tests.support.fault_proxy import FaultProxy
from tests.support.nwb_files import NwbLayout, write_nwb
from tests.support.recordings import simulate
from tests.support.servers import S3Server, access_to
from tests.support.sorted_results import upload_folder

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:The extractor is not serializable"),
]

N_FRAMES = 31000
CHUNK = 5000
#: uneven, so that times that were not fetched would be wrong ones
TIMES = 3.0 + np.arange(75000) * 1.0001 / 30000

#: names of files with samples or times
SAMPLES = re.compile(r"(traces_seg0|times_seg0|array|data|timestamps)/\d+(\.0)?")


@pytest.fixture(scope="module")
def simulated() -> BaseRecording:
    recording, _ = simulate(duration_s=2.5, n_channels=8, n_units=2)
    recording.set_times(TIMES)
    return recording


@pytest.fixture(scope="module")
def proxy(moto_s3: S3Server) -> Iterator[FaultProxy]:
    with FaultProxy(moto_s3.url) as running:
        yield running


def write(folder: Path, kind: str, simulated: BaseRecording) -> Path:
    """Write 15 chunks of 5,000 frames (NWB: 3 of 30,000)."""
    path = folder / {"zarr": "saved.zarr", "zarr_array": "array", "nwb": "a.nwb.zarr"}[kind]
    if kind == "zarr":
        simulated.save(
            folder=path, format="zarr", channel_chunk_size=8, chunk_size=CHUNK, progress_bar=False
        )
    elif kind == "nwb":
        write_nwb(path, simulated, NwbLayout(timestamps=TIMES, with_lfp=True))
    else:
        zarr.save_array(str(path), simulated.get_traces(), chunks=(CHUNK, 8))
        write_probeinterface(folder / "probe.json", simulated.get_probegroup())
    return path


def find_and_fetch(
    bucket: str, kind: str, aws: AwsSettings, folder: Path, n_frames: int | None
) -> tuple[FetchedSource, SourceRequest]:
    kwargs = {"sampling_frequency": 30000.0, "gain_to_uV": 1.0, "offset_to_uV": 0.0}
    request = SourceRequest(
        location=S3Location(bucket=bucket, key="raw"),
        data_type=kind,
        read_recording_kwargs=kwargs if kind == "zarr_array" else {},
        probe_file="probe.json" if kind == "zarr_array" else None,
        n_frames=n_frames,
    )
    return fetch_source(find_source(request, aws, DandiAccess()), folder), request


def samples_in(folder: Path) -> set[str]:
    names = (file.relative_to(folder).as_posix() for file in folder.rglob("*"))
    return {found[0] for name in names if (found := SAMPLES.search(name))}


def wanted_chunks(path: Path, arrays: list[str]) -> Iterator[str]:
    for name in arrays:
        array = zarr.open(str(path / name), mode="r")
        n_wanted = math.ceil(N_FRAMES / array.chunks[0])
        assert n_wanted < array.cdata_shape[0]
        folder = (path / name).name
        yield from (f"{folder}/{n}{'.0' * (array.ndim - 1)}" for n in range(n_wanted))


@pytest.mark.parametrize(
    ("kind", "arrays"),
    [
        ("zarr", ["traces_seg0", "times_seg0"]),
        ("zarr_array", [""]),
        ("nwb", [f"acquisition/ElectricalSeries/{name}" for name in ("data", "timestamps")]),
    ],
)
def test_only_their_chunks_are_fetched_and_give_the_first_frames_of_the_whole(
    tmp_path: Path,
    bucket: str,
    moto_s3: S3Server,
    proxy: FaultProxy,
    simulated: BaseRecording,
    kind: str,
    arrays: list[str],
) -> None:
    path = write(tmp_path, kind, simulated)
    upload_folder(moto_s3.client, path, bucket, f"raw/{path.name}")
    if kind == "zarr_array":
        moto_s3.client.upload_file(str(tmp_path / "probe.json"), bucket, "raw/probe.json")
    aws = access_to(proxy.url)
    proxy.clear()
    fetched, request = find_and_fetch(bucket, kind, aws, tmp_path / "first", N_FRAMES)
    asked = {found[0] for each in proxy.reads() if (found := SAMPLES.search(each.path))}
    assert asked == samples_in(tmp_path / "first") == set(wanted_chunks(path, arrays))
    assert fetched.size_bytes < sum(f.stat().st_size for f in path.rglob("*") if f.is_file()) * 0.75
    kwargs = request.read_recording_kwargs
    first = open_source(fetched, kind, kwargs, N_FRAMES).recording
    fetched, _ = find_and_fetch(bucket, kind, aws, tmp_path / "whole", None)
    whole = open_source(fetched, kind, kwargs, N_FRAMES).recording
    assert first.get_num_samples() == N_FRAMES
    np.testing.assert_array_equal(first.get_traces(), whole.get_traces())
    np.testing.assert_array_equal(first.get_traces(), simulated.get_traces(end_frame=N_FRAMES))
    np.testing.assert_array_equal(first.get_times(), whole.get_times())
    if kind != "zarr_array":
        np.testing.assert_allclose(first.get_times(), TIMES[:N_FRAMES], atol=1e-9)


@pytest.mark.parametrize("kind", ["zarr", "zarr_array"])
def test_many_chunks_are_not_listed(
    tmp_path: Path,
    bucket: str,
    moto_s3: S3Server,
    proxy: FaultProxy,
    simulated: BaseRecording,
    kind: str,
) -> None:
    path = write(tmp_path, kind, simulated)
    array = path if kind == "zarr_array" else path / "traces_seg0"
    zarr.save_array(str(array), simulated.get_traces(), chunks=(250, 8))  # 300 chunks
    for name in ("a", "z"):  # one before the recording, one after it, in the order of names
        (path / f"{name}.txt").write_text("a note")
    upload_folder(moto_s3.client, path, bucket, f"raw/{path.name}")
    if kind == "zarr_array":
        moto_s3.client.upload_file(str(tmp_path / "probe.json"), bucket, "raw/probe.json")
    proxy.clear()
    fetched, request = find_and_fetch(
        bucket, kind, access_to(proxy.url), tmp_path / "first", N_FRAMES
    )
    listings = [each.path for each in proxy.counts.requests if "list-type" in each.path]
    assert len(listings) <= 3
    assert all("max-keys=200" in each for each in listings)
    first = open_source(fetched, kind, request.read_recording_kwargs, N_FRAMES).recording
    np.testing.assert_array_equal(first.get_traces(), simulated.get_traces(end_frame=N_FRAMES))
    samples = samples_in(tmp_path / "first")
    assert {each for each in samples if not each.startswith("times")} == {
        f"{'array' if kind == 'zarr_array' else 'traces_seg0'}/{n}.0" for n in range(124)
    }


def test_a_missing_chunk_is_refused_only_if_it_holds_wanted_frames(
    tmp_path: Path, bucket: str, moto_s3: S3Server, simulated: BaseRecording
) -> None:
    path = write(tmp_path, "zarr", simulated)
    (path / "traces_seg0/9.0").unlink()
    upload_folder(moto_s3.client, path, bucket, f"raw/{path.name}")
    aws = moto_s3.access
    find_and_fetch(bucket, "zarr", aws, tmp_path / "first", N_FRAMES)
    with pytest.raises(CloudJobError, match=r"1 of 10 chunks of traces_seg0 are missing"):
        find_and_fetch(bucket, "zarr", aws, tmp_path / "more", 9 * CHUNK + 1)


def test_wanting_more_frames_than_there_are_fetches_all(
    tmp_path: Path, bucket: str, moto_s3: S3Server, simulated: BaseRecording
) -> None:
    path = write(tmp_path, "zarr", simulated)
    upload_folder(moto_s3.client, path, bucket, f"raw/{path.name}")
    fetched, _ = find_and_fetch(bucket, "zarr", moto_s3.access, tmp_path / "all", 10**9)
    recording = open_source(fetched, "zarr", {}, 10**9).recording
    np.testing.assert_array_equal(recording.get_traces(), simulated.get_traces())
