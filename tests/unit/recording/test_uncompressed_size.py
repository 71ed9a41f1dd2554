"""The uncompressed size of compressed recordings, from files that the formats' libraries wrote."""

import json
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import mtscomp
import numpy as np
import pytest
import zarr
from spikeinterface.core import NumpyRecording

from spikeinterface_cloud.recording.formats.uncompressed import Samples, find_samples

TRACES = np.random.default_rng(0).integers(-99, 99, (4_000, 3)).astype("int16")
HEADER = ".0a1b2c3d-0000-4000-8000-0123456789ab.ch"
DATA = ".ffffffff-0000-4000-8000-0123456789ab.cbin"


def found_in(folder: Path, series: str | None = None) -> tuple[Samples | None, list[str]]:
    """What is found, and the names of the files that were read for it."""
    read: list[str] = []

    def contents(names: Sequence[PurePosixPath]) -> list[bytes]:
        read.extend(map(str, names))
        return [(folder / name).read_bytes() for name in names]

    files = [path for path in folder.rglob("*") if path.is_file()]
    names = [PurePosixPath(path.relative_to(folder).as_posix()) for path in files]
    return find_samples(names, contents, series), read


@pytest.mark.parametrize("consolidated", [True, False])
def test_segments_that_spikeinterface_saved_are_added_up(
    tmp_path: Path, consolidated: bool
) -> None:
    recording = NumpyRecording([TRACES, TRACES[:1000]], sampling_frequency=30_000.0)
    recording.save(folder=tmp_path / "a.zarr", format="zarr", verbose=False)
    if consolidated:
        zarr.consolidate_metadata(str(tmp_path / "a.zarr"))
    samples, read = found_in(tmp_path)
    assert samples == Samples(n_frames=5_000, n_channels=3, sample_bytes=2)
    assert samples.size_bytes == recording.get_total_memory_size()
    assert len(read) == (1 if consolidated else 2)


@pytest.mark.parametrize("inside", ["", "x.zarr"])
def test_plain_array_has_its_own_shape_and_type(tmp_path: Path, inside: str) -> None:
    zarr.save_array(tmp_path / inside, TRACES.astype("float32"))
    samples, _ = found_in(tmp_path)
    assert samples == Samples(n_frames=4_000, n_channels=3, sample_bytes=4)


def test_largest_series_of_nwb_counts(tmp_path: Path) -> None:
    root = zarr.open_group(tmp_path / "a.nwb.zarr", mode="w")
    root.create_dataset("acquisition/AP/data", data=TRACES)
    root.create_dataset("acquisition/AP/timestamps", data=np.arange(4_000.0))
    root.create_dataset("acquisition/LFP/data", data=TRACES[::12])
    samples, _ = found_in(tmp_path)
    assert samples == Samples(n_frames=4_000, n_channels=3, sample_bytes=2)


def write_series(root: zarr.Group, path: str, data: np.ndarray, rate_hz: float) -> None:
    group = root.create_group(path)
    group.attrs["neurodata_type"] = "ElectricalSeries"
    group.create_dataset("data", data=data)
    group.create_dataset("starting_time", data=[0.0]).attrs["rate"] = rate_hz


@pytest.mark.parametrize(
    ("series", "expected"),
    [
        (None, Samples(n_frames=4_000, n_channels=1, sample_bytes=2)),
        ("acquisition/slow", Samples(n_frames=4_000, n_channels=3, sample_bytes=4)),
        ("acquisition/none", None),
    ],
)
def test_series_that_a_job_sorts_counts(
    tmp_path: Path, series: str | None, expected: Samples | None
) -> None:
    root = zarr.open_group(tmp_path / "a.nwb.zarr", mode="w")
    root.attrs["neurodata_type"] = "NWBFile"
    write_series(root, "acquisition/fast", TRACES[:, 0], 30_000.0)
    write_series(root, "acquisition/slow", TRACES.astype("float32"), 1_000.0)
    zarr.consolidate_metadata(str(tmp_path / "a.nwb.zarr"))
    samples, read = found_in(tmp_path, series)
    assert samples == expected
    assert read == ["a.nwb.zarr/.zmetadata"]
    write_series(root, "acquisition/also_fast", TRACES, 30_000.0)
    zarr.consolidate_metadata(str(tmp_path / "a.nwb.zarr"))
    assert found_in(tmp_path)[0] is None


@pytest.mark.parametrize("endings", [(".cbin", ".ch"), (DATA, HEADER)])
def test_mtscomp_says_it_in_its_header(tmp_path: Path, endings: tuple[str, str]) -> None:
    TRACES.tofile(tmp_path / "raw.bin")
    stem = tmp_path / "run_g0_t0.imec0.ap"
    files = [stem.with_name(f"{stem.name}{ending}") for ending in endings]
    mtscomp.compress(
        tmp_path / "raw.bin", *files, sample_rate=1000.0, n_channels=3, dtype=TRACES.dtype
    )
    (tmp_path / "raw.bin").unlink()
    (tmp_path / "run_g0_t0.imec0.lf.ch").write_text("{}")
    samples, read = found_in(tmp_path)
    assert samples == Samples(n_frames=4_000, n_channels=3, sample_bytes=2)
    assert read == [files[1].name]


def test_other_files_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "run.ap.bin").write_bytes(b"samples")
    (tmp_path / "binary.json").write_text("{}")
    assert found_in(tmp_path) == (None, [])


@pytest.mark.parametrize(
    "content",
    [
        "not JSON",
        "[]",
        json.dumps({"shape": [4_000, 3], "dtype": "|O"}),
        json.dumps({"shape": [-4_000, 3], "dtype": "<i2"}),
        json.dumps({"shape": [4_000.5, 3], "dtype": "<i2"}),
        json.dumps({"shape": [2**60, 3], "dtype": "<i2"}),
        json.dumps({"shape": ["4000", 3], "dtype": "<i2"}),
        json.dumps({"shape": 4_000, "dtype": ["<i2"]}),
        "[" * 100_000,
    ],
    ids=lambda text: text[:40],
)
def test_metadata_that_say_nothing_possible_are_no_size(tmp_path: Path, content: str) -> None:
    (tmp_path / ".zarray").write_text(content)
    assert found_in(tmp_path)[0] is None
