"""The archive of a recording: the same as the source in every respect, or refused."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import spikeinterface as si
from spikeinterface.core import BaseRecording, NumpyRecording

from spikeinterface_cloud.errors import ArchiveError, RecordingError, TargetError, UnavailableError
from spikeinterface_cloud.exports.archive import archive, compare, write_archive
from spikeinterface_cloud.recording.open import OpenedRecording, open_source
from spikeinterface_cloud.recording.source import FetchedSource
from spikeinterface_cloud.results.archive_folder import ArchiveFolder
from spikeinterface_cloud.results.other_jobs import check_other_jobs, remove_other_jobs
from spikeinterface_cloud.results.resume import Fingerprints
from tests.support.hosts import Host
from tests.support.nwb_files import NwbLayout, write_nwb
from tests.support.recordings import (
    neuropixels_probe,
    simulate,
    write_binary_folder,
    write_spikeglx,
)
from tests.support.servers import S3Server

pytestmark = [
    pytest.mark.integration,
    # SpikeInterface cannot save where arrays in memory come from, and need not
    pytest.mark.filterwarnings("ignore:The extractor is not serializable"),
]

N_CHANNELS = 4


@pytest.fixture(autouse=True, scope="module")
def _job_kwargs() -> Iterator[None]:
    """As a job sets them; other modules, which know of no job, find the defaults again."""
    si.set_global_job_kwargs(n_jobs=1, chunk_duration="1s", progress_bar=False)
    yield
    si.reset_global_job_kwargs()


def open_as(data_type: str, path: Path) -> OpenedRecording:
    return open_source(FetchedSource(path=path), data_type, {}, None, keep_as_read=True)


def as_read(opened: OpenedRecording) -> BaseRecording:
    assert opened.as_read is not None
    return opened.as_read


def noise(dtype: str, segments_s: tuple[float, ...] = (1.5,)) -> BaseRecording:
    rng = np.random.default_rng(0)
    middle = 2048 if dtype.startswith("u") else 0
    traces = [
        (rng.normal(0, 30, (int(seconds * 30_000), N_CHANNELS)) + middle).astype(dtype)
        for seconds in segments_s
    ]
    recording = NumpyRecording(traces, sampling_frequency=30_000.0)
    recording.set_probe(neuropixels_probe(N_CHANNELS))
    return recording


def archived(opened: OpenedRecording, tmp_path: Path) -> BaseRecording:
    folder = tmp_path / "recording.zarr"
    write_archive(as_read(opened), folder)
    assert open_as("zarr", folder).recording.get_num_channels()
    return si.load(folder)


@pytest.mark.parametrize(
    ("dtype", "codec"),
    [
        ("int16", "wavpack"),
        *((dtype, "blosc-zstd") for dtype in (">i2", "uint16", "int32", "float32")),
    ],
)
def test_samples_keep_their_type_and_bits(tmp_path: Path, dtype: str, codec: str) -> None:
    truth = noise(dtype, (1.2, 1.5))
    truth.set_channel_gains(0.195)
    truth.set_channel_offsets(-400.0 if dtype == "uint16" else 0.0)
    opened = open_as("binary", write_binary_folder(tmp_path / "source", truth))
    entry = write_archive(as_read(opened), tmp_path / "recording.zarr")
    again = si.load(tmp_path / "recording.zarr")
    assert again.get_dtype() == truth.get_dtype()
    for segment in range(2):
        traces = again.get_traces(segment_index=segment)
        assert traces.tobytes() == truth.get_traces(segment_index=segment).tobytes()
    np.testing.assert_array_equal(again.get_channel_gains(), truth.get_channel_gains())
    np.testing.assert_array_equal(again.get_channel_offsets(), truth.get_channel_offsets())
    assert entry.codec == codec
    assert entry.uncompressed_bytes == 81_000 * N_CHANNELS * truth.get_dtype().itemsize
    assert 1.05 < entry.ratio < 20


def test_spikeglx_keeps_clock_contacts_and_properties(tmp_path: Path) -> None:
    recording, _ = simulate(duration_s=1.5, n_channels=8)
    opened = open_as("spikeglx", write_spikeglx(tmp_path / "run_g0", recording))
    again = archived(opened, tmp_path)
    source = as_read(opened)
    assert list(again.channel_ids) == list(source.channel_ids)
    for name in source.get_property_keys():
        np.testing.assert_array_equal(again.get_property(name), source.get_property(name))
    np.testing.assert_array_equal(again.get_channel_locations(), source.get_channel_locations())
    assert again.get_probe().annotations == source.get_probe().annotations
    assert again.get_start_time(0) == opened.summary["start_time_s"]
    assert again.get_annotation("stream_name") == "imec0.ap"
    assert "provenance" not in {name for name, value in again._root.attrs.items() if value}


def test_times_of_samples_around_a_gap_are_those_of_the_file(tmp_path: Path) -> None:
    truth = noise("int16")
    times = 12.5 + np.arange(45_000) / 30_000.0
    times[20_000:] += 3.25
    times += np.random.default_rng(1).uniform(-2e-6, 2e-6, len(times))
    file = write_nwb(tmp_path / "a.nwb", truth, NwbLayout(timestamps=times, conversion=None))
    opened = open_as("nwb", file)
    again = archived(opened, tmp_path)
    np.testing.assert_array_equal(again.get_times(), times)
    reopened = open_as("zarr", tmp_path / "recording.zarr")
    assert reopened.summary["start_time_s"] == opened.summary["start_time_s"]
    assert reopened.recording.sampling_frequency == opened.recording.sampling_frequency


def test_values_that_checks_correct_stay_as_the_file_has_them(tmp_path: Path) -> None:
    """NWB without a conversion says 1 V per step, and so does its archive."""
    file = write_nwb(tmp_path / "a.nwb", noise("int16"), NwbLayout(conversion=None))
    opened = open_as("nwb", file)
    assert opened.summary["gain_to_uv"] is None
    np.testing.assert_array_equal(archived(opened, tmp_path).get_channel_gains(), 1e6)


def test_samples_that_wavpack_cannot_compress_are_compressed_by_blosc(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    samples = rng.integers(-32768, 32767, (40_000, N_CHANNELS), dtype="int16")
    recording = NumpyRecording([samples], sampling_frequency=30_000.0)
    recording.set_probe(neuropixels_probe(N_CHANNELS))
    assert write_archive(recording, tmp_path / "recording.zarr").codec == "blosc-zstd"
    np.testing.assert_array_equal(si.load(tmp_path / "recording.zarr").get_traces(), samples)


@pytest.mark.parametrize("place", ["traces_seg0/0.0", "properties/group/0", "channel_ids/0"])
def test_archive_that_differs_is_refused(tmp_path: Path, place: str) -> None:
    opened = open_as("binary", write_binary_folder(tmp_path / "source", noise("float32")))
    folder = tmp_path / "recording.zarr"
    write_archive(as_read(opened), folder)
    compare(as_read(opened), folder)
    other, copy = noise("float32"), tmp_path / "other.zarr"
    other.set_property("group", [7] * N_CHANNELS)
    other = other.rename_channels(["a", "b", "c", "d"])
    samples = other.get_traces().copy()
    samples[30_000, 2] += 1
    changed = NumpyRecording([samples], 30_000.0, channel_ids=other.channel_ids)
    changed.set_probegroup(other.get_probegroup())
    changed.set_property("group", [7] * N_CHANNELS)
    write_archive(changed, copy)
    (folder / place).write_bytes((copy / place).read_bytes())
    with pytest.raises(ArchiveError, match=r"differs from the recording .* deleted") as refused:
        compare(as_read(opened), folder)
    assert refused.value.exit_code == 70


class Unstable(NumpyRecording):  # type: ignore[misc]
    """A recording on a failing disk: each sample is read correctly once."""

    def get_traces(self, *args: object, **kwargs: object) -> np.ndarray:
        traces: np.ndarray = super().get_traces(*args, **kwargs).copy()
        self.n_reads = getattr(self, "n_reads", 0) + 1
        traces[-1, -1] += self.n_reads
        return traces


def test_archive_that_differs_is_deleted_and_never_published(
    host: Callable[[str], Host],
) -> None:
    recording = Unstable([np.ones((40_000, 2), dtype="int16")], 30_000.0)
    results = host("one").results
    with pytest.raises(ArchiveError, match="its samples are not those of the recording"):
        archive(recording, ArchiveFolder("a", results), results.record)
    assert list(results.folder.iterdir()) == []
    assert host("one").kept("recording.zarr") == {}
    assert results.record.archive is None


def test_probe_that_cannot_be_copied_is_refused_with_the_archive_alone(tmp_path: Path) -> None:
    folder = write_binary_folder(tmp_path / "source", noise("int16"))
    described = json.loads((folder / "probegroup.json").read_text())
    described["probes"][0]["contact_plane_axes"][1][1][1] = {"a": 1}
    (folder / "probegroup.json").write_text(json.dumps(described))
    open_source(FetchedSource(path=folder), "binary", {}, None)
    with pytest.raises(RecordingError, match=r"ARCHIVE: the recording cannot be copied: .* leave"):
        open_as("binary", folder)


def run(host: Host, fingerprint: str = "a") -> ArchiveFolder:
    """Do what a job does for the archive."""
    folder = ArchiveFolder(fingerprint, host.results)
    folder.load_state()
    archive(noise("int16", (0.1,)), folder, host.results.record)
    return folder


def job(recording: str = "a") -> Fingerprints:
    return Fingerprints(job="job", sorters={}, recording=recording, archive=True)


def test_complete_archive_is_not_written_again(host: Callable[[str], Host]) -> None:
    assert run(host("one")).earlier is None
    before = host("one").kept("recording.zarr")
    again = host("two")
    assert run(again).earlier is not None
    assert [step.name for step in again.results.record.steps] == []
    assert again.results.record.archive == json.loads(before["archive.json"])["archive"]
    assert host("two").kept("recording.zarr") == before
    check_other_jobs(again.results, job(), overwrite=False)


@pytest.mark.parametrize("change", ["damage", "unfinished"])
def test_archive_that_was_changed_or_not_finished_is_written_again(
    host: Callable[[str], Host], change: str
) -> None:
    run(host("one"))
    complete = host("one").kept("recording.zarr")
    if change == "damage":
        host("one").put("traces_seg0/0.0", b"damaged", "recording.zarr")
    else:
        marker = json.loads(complete["archive.json"]) | {"files": []}
        host("one").put("archive.json", json.dumps(marker).encode(), "recording.zarr")
    check_other_jobs(host("two").results, job(), overwrite=False)
    folder = ArchiveFolder("a", host("two").results)
    assert not folder.load_state()
    archive(noise("int16", (0.1,)), folder, host("two").results.record)
    written = host("two").kept("recording.zarr")
    del complete["archive.json"], written["archive.json"]
    assert written == complete


def test_archive_of_another_recording_is_refused_or_removed(
    host: Callable[[str], Host],
) -> None:
    run(host("one"))
    with pytest.raises(TargetError, match=r"another job \(recording\.zarr/; no run\.json"):
        check_other_jobs(host("two").results, job("b"), overwrite=False)
    assert host("one").kept("recording.zarr")
    remove_other_jobs(host("three").results, job("a"))
    assert host("one").kept("recording.zarr")
    remove_other_jobs(host("three").results, job("b"))
    assert host("one").kept("recording.zarr") == {}


def test_folder_of_somebody_else_is_never_replaced(host: Callable[[str], Host]) -> None:
    host("one").put("traces_seg0/0.0", b"my only copy", "recording.zarr")
    for overwrite in (False, True):
        with pytest.raises(TargetError, match="is not of this program") as refused:
            check_other_jobs(host("two").results, job(), overwrite=overwrite)
        assert refused.value.exit_code == 73
        remove_other_jobs(host("two").results, job())
    assert host("one").kept("recording.zarr") == {"traces_seg0/0.0": b"my only copy"}


def test_disk_without_room_is_refused_before_anything_is_written(
    small_disk: Path, moto_s3: S3Server, bucket: str
) -> None:
    results = Host(small_disk, moto_s3, bucket).results
    recording = NumpyRecording([np.zeros((30_000, 1000), dtype="int16")], 30_000.0)
    with pytest.raises(UnavailableError, match="give RESULTS_FOLDER a disk with more space") as no:
        archive(recording, ArchiveFolder("a", results), results.record)
    assert no.value.exit_code == 69
    assert list(small_disk.iterdir()) == []


def test_disk_that_fills_up_is_named_and_left_empty(
    small_disk: Path, moto_s3: S3Server, bucket: str
) -> None:
    results = Host(small_disk, moto_s3, bucket).results
    rng = np.random.default_rng(0)
    samples = rng.integers(-32768, 32767, (30_000, 700), dtype="int16")  # 42 MB at any compression
    recording = NumpyRecording([samples], 30_000.0)
    with pytest.raises(UnavailableError, match="the disk of the results is full") as full:
        archive(recording, ArchiveFolder("a", results), results.record)
    assert full.value.exit_code == 69
    assert list(small_disk.iterdir()) == []
