"""Zarr stores that are compressed by other packages, incomplete, damaged, or contradict themselves.

Each is refused from its metadata and its listing alone, on S3 before any sample is fetched.
"""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest
import spikeinterface as si
import zarr
from spikeinterface.core import BaseRecording
from wavpack_numcodecs import WavPack

from spikeinterface_cloud.config.locations import S3Location
from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.recording.load import open_recording
from tests.support.fault_proxy import FaultProxy
from tests.support.recordings import simulate
from tests.support.servers import S3Server, access_to
from tests.support.sorted_results import upload_folder
from tests.support.sources import find, refusal

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:The extractor is not serializable to file"),
    # Debian's libwavpack decodes on one thread
    pytest.mark.filterwarnings("ignore:Multi-threading is supported for wavpack"),
]

Spoil = Callable[[Path], object]


@pytest.fixture(scope="module")
def simulated() -> BaseRecording:
    return simulate(duration_s=2.5, n_channels=8, n_units=2)[0]


def write(folder: Path, recording: BaseRecording, compressor: Any) -> Path:
    recording.save(
        folder=folder, format="zarr", compressor=compressor, filters=None, progress_bar=False
    )
    return folder


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory, simulated: BaseRecording) -> dict[str, Path]:
    """One store for each codec, three chunks each."""
    codecs: dict[str, Any] = {
        "wavpack": WavPack(level=3),
        "blosc": numcodecs.Blosc("zstd"),
        "none": None,
    }
    codecs |= {"gzip": numcodecs.GZip(1), "zstd": numcodecs.Zstd(1)}
    folder = tmp_path_factory.mktemp("saved")
    return {name: write(folder / f"{name}.zarr", simulated, c) for name, c in codecs.items()}


def copied(saved: Path, folder: Path) -> Path:
    return Path(shutil.copytree(saved, folder / "saved.zarr"))


@pytest.mark.parametrize("codec", ["wavpack", "blosc", "none"])
def test_samples_and_gains_are_those_that_were_saved(
    saved: dict[str, Path], simulated: BaseRecording, codec: str
) -> None:
    recording = open_recording(saved[codec], "zarr", {})
    np.testing.assert_array_equal(recording.get_traces(), simulated.get_traces())
    np.testing.assert_array_equal(recording.get_channel_gains(), simulated.get_channel_gains())
    np.testing.assert_array_equal(
        recording.get_channel_locations(), simulated.get_channel_locations()
    )


def test_store_with_consolidated_metadata_is_read(
    tmp_path: Path, saved: dict[str, Path], simulated: BaseRecording
) -> None:
    folder = copied(saved["wavpack"], tmp_path)
    zarr.consolidate_metadata(str(folder))
    recording = open_recording(folder, "zarr", {})
    np.testing.assert_array_equal(recording.get_traces(), simulated.get_traces())
    chunk = folder / "traces_seg0" / "2.0"
    chunk.write_bytes(chunk.read_bytes()[:-1])
    message = refusal(RecordingError, lambda: open_recording(folder, "zarr", {}))
    assert "the chunk 2.0 of traces_seg0 is damaged: " in message


def changed(folder: Path, name: str, **values: object) -> None:
    """Change values of the JSON in a file of metadata."""
    file = folder / name
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


TRACES = "traces_seg0/.zarray"


def remove_last_chunk(folder: Path) -> None:
    (folder / "traces_seg0" / "2.0").unlink()


def remove_all_chunks(folder: Path) -> None:
    for chunk in (folder / "traces_seg0").glob("[0-9]*"):
        chunk.unlink()


def remove_property(folder: Path) -> None:
    (folder / "properties" / "gain_to_uV" / "0").unlink()


def contradict_consolidated(folder: Path) -> None:
    zarr.consolidate_metadata(str(folder))
    changed(folder, TRACES, shape=[60000, 8])


def hide_from_consolidated(folder: Path) -> None:
    zarr.consolidate_metadata(str(folder))
    shutil.copytree(folder / "traces_seg0", folder / "traces_seg1")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda folder: changed(folder, TRACES, compressor={"id": "flac", "level": 5}),
            "traces_seg0 is compressed by the codec 'flac', whose package flac-numcodecs decodes",
        ),
        (
            lambda folder: changed(folder, TRACES, filters=[{"id": "no-such-codec"}]),
            "traces_seg0 is compressed by the codec 'no-such-codec', which numcodecs does not know",
        ),
        (
            lambda folder: changed(folder, TRACES, compressor={"id": "blosc", "cname": 7, "a": 1}),
            "the codec 'blosc', with parameters it does not take",
        ),
        (
            lambda folder: changed(folder, TRACES, compressor={"id": "pickle"}),
            "declares pickled Python objects",
        ),
        (
            lambda folder: changed(folder, "properties/group/.zarray", dtype="|O"),
            "the array holds Python objects",
        ),
        (
            lambda folder: changed(folder, TRACES, shape=[75000]),
            "differ in their number of axes",
        ),
        (lambda folder: changed(folder, TRACES, chunks="all"), "chunks: Input should be"),
        (lambda folder: changed(folder, TRACES, zarr_format=3), "zarr_format: Input should be 2"),
        (lambda folder: (folder / TRACES).write_text("{"), ".zarray is not JSON; copy the folder"),
        (lambda folder: (folder / "zarr.json").write_text("{}"), "Zarr of format 3"),
        (remove_last_chunk, r"1 of 3 chunks of traces_seg0 are missing .*traces_seg0/2\.0"),
        (remove_all_chunks, "3 of 3 chunks of traces_seg0 are missing"),
        (
            lambda folder: changed(folder, TRACES, shape=[30000 * 10**12, 8]),
            "chunks of traces_seg0 are missing",
        ),
        (remove_property, "1 of 1 chunks of gain_to_uV are missing"),
        (contradict_consolidated, r"\.zmetadata contradicts .*traces_seg0/\.zarray"),
        (hide_from_consolidated, r"\.zmetadata does not list .*traces_seg1/\.zarray"),
    ],
)
def test_bad_store_is_refused_in_a_folder_and_on_s3_before_samples_are_fetched(
    tmp_path: Path,
    moto_s3: S3Server,
    bucket: str,
    saved: dict[str, Path],
    spoil: Spoil,
    message: str,
) -> None:
    folder = copied(saved["wavpack"], tmp_path)
    spoil(folder)
    upload_folder(moto_s3.client, folder, bucket, "a.zarr")
    with FaultProxy(moto_s3.url) as proxy:
        source = S3Location(bucket=bucket, key="a.zarr")
        refused = {
            "folder": refusal(RecordingError, lambda: find(folder, "zarr")),
            "opened": refusal(RecordingError, lambda: open_recording(folder, "zarr", {})),
            "s3": refusal(RecordingError, lambda: find(source, "zarr", access_to(proxy.url))),
        }
        asked = [request.path for request in proxy.counts.requests if request.method == "GET"]
    for where, text in refused.items():
        assert re.search(message, text), (where, text)
    assert asked
    assert not [path for path in asked if path.rpartition("/")[2][:1].isdigit()]


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def nothing(content: bytes) -> bytes:
    return content[:0]


def noise(content: bytes) -> bytes:
    return np.random.default_rng(0).bytes(len(content))


def longer(content: bytes) -> bytes:
    return content + content


@pytest.mark.parametrize(
    ("codec", "damage", "reason"),
    [
        ("wavpack", cut, "ends in the middle of a block"),
        ("wavpack", flip, "differs from its checksum"),
        ("wavpack", nothing, "is empty"),
        ("wavpack", noise, "is not WavPack"),
        ("wavpack", longer, "is missing|bytes of samples"),
        ("blosc", cut, "not .* as its header says"),
        ("blosc", nothing, "has only 0 bytes"),
        ("blosc", noise, "as its header says"),
        ("gzip", cut, "gzip cannot decode it"),
        ("gzip", flip, "gzip cannot decode it"),
        ("zstd", cut, "zstd cannot decode it"),
        ("zstd", noise, "zstd cannot decode it"),
        ("none", cut, "bytes of samples, not"),
        ("none", nothing, "holds 0 bytes of samples"),
    ],
)
def test_chunk_of_wrong_bytes_is_refused(
    tmp_path: Path,
    saved: dict[str, Path],
    codec: str,
    damage: Callable[[bytes], bytes],
    reason: str,
) -> None:
    folder = copied(saved[codec], tmp_path)
    chunk = folder / "traces_seg0" / "1.0"
    chunk.write_bytes(damage(chunk.read_bytes()))
    message = refusal(RecordingError, lambda: open_recording(folder, "zarr", {}))
    assert "the chunk 1.0 of traces_seg0 is damaged: " in message
    assert re.search(reason, message), message


def test_damaged_wavpack_would_be_read_as_other_samples(
    tmp_path: Path, saved: dict[str, Path], simulated: BaseRecording
) -> None:
    """Else the check would not be needed."""
    folder = copied(saved["wavpack"], tmp_path)
    chunk = folder / "traces_seg0" / "1.0"
    chunk.write_bytes(flip(chunk.read_bytes()))
    read = si.read_zarr(folder).get_traces()
    assert (read != simulated.get_traces()).any()


@pytest.mark.parametrize("dtype", ["int16", "int32", "float32"])
@pytest.mark.parametrize("n_channels", [2, 5, 385])
def test_wavpack_of_any_type_and_number_of_channels_passes_the_check(
    tmp_path: Path, dtype: str, n_channels: int
) -> None:
    samples = (np.random.default_rng(0).normal(size=(4500, n_channels)) * 50).astype(dtype)
    compressor = WavPack(level=1)
    folder = tmp_path / "a.zarr"
    zarr.save_array(str(folder), samples, chunks=(3000, n_channels), compressor=compressor)
    kwargs = {"sampling_frequency": 30000.0}
    recording = open_recording(folder, "zarr_array", kwargs)
    np.testing.assert_array_equal(recording.get_traces(), samples)


def test_plain_array_without_a_chunk_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "a.zarr"
    samples = np.ones((9000, 4), dtype="int16")
    zarr.save_array(str(folder), samples, chunks=(3000, 2), dimension_separator="/")
    kwargs = {"sampling_frequency": 30000.0}
    np.testing.assert_array_equal(
        open_recording(folder, "zarr_array", kwargs).get_traces(), samples
    )
    (folder / "1" / "1").unlink()
    message = refusal(RecordingError, lambda: open_recording(folder, "zarr_array", kwargs))
    assert "1 of 6 chunks" in message
    assert "1/1" in message
