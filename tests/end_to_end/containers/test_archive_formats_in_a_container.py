"""The formats of the public archives in the image: the same samples and units as outside of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import spikeinterface as si

from tests.end_to_end.conftest import UNSAVED_PROVENANCE
from tests.end_to_end.containers.cloud import Cloud
from tests.end_to_end.containers.conftest import SOURCE_BUCKET
from tests.end_to_end.containers.containers import Finished, run_container
from tests.support.archive_formats import (
    DATA_TYPES,
    STEPS,
    WrittenFormats,
    simulate_briefly,
    take_steps,
    write_formats,
)
from tests.support.job import ONE_WORKER
from tests.support.sorted_results import read_record, upload

pytestmark = [
    pytest.mark.integration,
    pytest.mark.sorting,
    pytest.mark.docker,
    UNSAVED_PROVENANCE,
    pytest.mark.filterwarnings("ignore:Multi-threading is supported for wavpack"),
]

#: the format whose job archives the recording
ARCHIVED = "binary"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> WrittenFormats:
    recording, _ = simulate_briefly()
    return write_formats(tmp_path_factory.mktemp("formats"), recording)


@pytest.fixture(scope="module")
def preprocessed(tmp_path_factory: pytest.TempPathFactory, written: WrittenFormats) -> bytes:
    return take_steps(written, tmp_path_factory.mktemp("preprocessed"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("containers")


@pytest.fixture(scope="module")
def finished(
    image: str, cloud: Cloud, written: WrittenFormats, folder: Path
) -> Mapping[str, Finished]:
    """Sort each format in a container."""
    done = {}
    for name, data_type in DATA_TYPES.items():
        path, results = written.path(name), folder / name
        key = f"formats/{path.name}"
        upload(cloud.server.client, path, SOURCE_BUCKET, key)
        results.mkdir()
        variables = {
            "SOURCE_AWS_S3_BUCKET": SOURCE_BUCKET,
            "SOURCE_AWS_S3_BUCKET_FOLDER": key,
            "DATA_TYPE": data_type,
            "SORTERS": "simple",
            "PREPROCESSING": json.dumps(STEPS),
            "EXPORTS": "phy",
        }
        if name == ARCHIVED:
            variables["ARCHIVE"] = "zarr"
        done[name] = run_container(
            image,
            variables=cloud.variables | ONE_WORKER | variables,
            options=[f"--volume={results}:/results"],
        )
    return done


@pytest.mark.parametrize("name", DATA_TYPES)
def test_each_format_gives_the_same_samples_and_units(
    finished: Mapping[str, Finished], folder: Path, preprocessed: bytes, name: str
) -> None:
    assert finished[name].exit_code == 0, finished[name].log
    same = (folder / name / "simple/phy/recording.dat").read_bytes() == preprocessed
    assert same  # the difference of so many bytes would take pytest a quarter of an hour
    first, sorting = (si.load(folder / each / "simple/sorting") for each in ("binary", name))
    assert len(sorting.unit_ids) == 3
    np.testing.assert_array_equal(sorting.to_spike_vector(), first.to_spike_vector())


def test_archive_of_the_recording_is_the_same_in_every_sample(
    finished: Mapping[str, Finished], folder: Path, written: WrittenFormats
) -> None:
    assert finished[ARCHIVED].exit_code == 0, finished[ARCHIVED].log
    archived = si.load(folder / ARCHIVED / "recording.zarr")
    np.testing.assert_array_equal(archived.get_traces(), written.recording.get_traces())
    np.testing.assert_array_equal(
        archived.get_channel_gains(), written.recording.get_channel_gains()
    )
    entry = read_record(folder / ARCHIVED)["archive"]
    assert (entry["path"], entry["codec"]) == ("recording.zarr", "wavpack")
    assert entry["uncompressed_bytes"] == written.recording.get_total_memory_size()
