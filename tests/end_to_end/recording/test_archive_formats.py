"""One recording in the formats of the public archives gives the same samples and units."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import spikeinterface as si

from tests.end_to_end.conftest import UNSAVED_PROVENANCE, Simulated
from tests.support.archive_formats import (
    DATA_TYPES,
    STEPS,
    WrittenFormats,
    simulate_briefly,
    take_steps,
    write_formats,
)
from tests.support.dandi_stand_in import DandiStandIn
from tests.support.job import (
    ONE_WORKER,
    Job,
    assert_refused,
    assert_succeeded,
    run_job,
    s3_access,
)
from tests.support.servers import S3Server
from tests.support.sorted_results import n_true_units_found, upload

pytestmark = [
    pytest.mark.integration,
    pytest.mark.sorting,
    UNSAVED_PROVENANCE,
    pytest.mark.filterwarnings("ignore:Multi-threading is supported for wavpack"),
]

#: phy's folder has the samples that were sorted
VARIABLES = ONE_WORKER | {
    "SORTERS": "simple",
    "PREPROCESSING": json.dumps(STEPS),
    "EXPORTS": "phy",
}

BUCKET = "archives"

SOURCES = [*(f"{name} on S3" for name in DATA_TYPES), "nwb on DANDI"]


@pytest.fixture(scope="module")
def simulated() -> Simulated:
    recording, truth = simulate_briefly()
    return Simulated(recording=recording, truth=truth)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, simulated: Simulated) -> WrittenFormats:
    return write_formats(tmp_path_factory.mktemp("formats"), simulated.recording)


@pytest.fixture(scope="module")
def preprocessed(tmp_path_factory: pytest.TempPathFactory, written: WrittenFormats) -> bytes:
    return take_steps(written, tmp_path_factory.mktemp("preprocessed"))


@pytest.fixture(scope="module")
def jobs(
    tmp_path_factory: pytest.TempPathFactory,
    moto_s3: S3Server,
    archive: DandiStandIn,
    written: WrittenFormats,
) -> Mapping[str, Job]:
    """Sort every source with the same settings."""
    moto_s3.client.create_bucket(Bucket=BUCKET)
    variables = {
        f"{name} on S3": _on_s3(moto_s3, written.path(name)) | {"DATA_TYPE": data_type}
        for name, data_type in DATA_TYPES.items()
    }
    for name in DATA_TYPES:
        upload(moto_s3.client, written.path(name), BUCKET, _key(written.path(name)))
    for name in ("nwb",):
        file = written.path(name)
        asset = archive.add_asset("000123", f"sub-1/{file.name}", file)
        variables[f"{name} on DANDI"] = archive.variables(asset)
    folder = tmp_path_factory.mktemp("jobs")
    return {
        source: run_job(folder / source.replace(" ", "_"), VARIABLES | variables[source])
        for source in SOURCES
    }


def _key(path: Path) -> str:
    return f"raw/{path.name}"


def _on_s3(server: S3Server, path: Path) -> dict[str, str]:
    return s3_access(server.url) | {
        "AWS_S3_BUCKET": BUCKET,
        "AWS_S3_BUCKET_FOLDER": _key(path),
    }


@pytest.mark.parametrize("source", SOURCES)
def test_each_source_gives_the_preprocessed_samples_of_spikeglx_bit_by_bit(
    jobs: Mapping[str, Job], source: str, preprocessed: bytes
) -> None:
    job = jobs[source]
    assert_succeeded(job)
    same = (job.results / "simple/phy/recording.dat").read_bytes() == preprocessed
    assert same  # the difference of so many bytes would take pytest a quarter of an hour


@pytest.mark.parametrize("source", SOURCES)
def test_each_source_gives_the_same_units_with_the_same_metrics(
    jobs: Mapping[str, Job], source: str, simulated: Simulated
) -> None:
    first, job = jobs[SOURCES[0]], jobs[source]
    assert n_true_units_found(job.results, "simple", simulated.truth) == 3
    expected, found = (si.load(each.results / "simple/sorting") for each in (first, job))
    np.testing.assert_array_equal(found.unit_ids, expected.unit_ids)
    np.testing.assert_array_equal(found.to_spike_vector(), expected.to_spike_vector())
    tables = [(each.results / "simple/quality_metrics.csv").read_text() for each in (first, job)]
    assert tables[0] == tables[1]


@pytest.mark.parametrize("source", SOURCES)
def test_each_source_gives_the_true_gain_and_contacts(
    jobs: Mapping[str, Job], source: str, written: WrittenFormats
) -> None:
    analyzer = si.load_sorting_analyzer(jobs[source].results / "simple/analyzer.zarr")
    expected = written.recording
    np.testing.assert_array_equal(
        analyzer.get_channel_locations(), expected.get_channel_locations()
    )
    gains = expected.get_channel_gains()
    lowest_and_highest = (np.min(gains), np.max(gains))
    # NWB's are in volts
    assert jobs[source].record["recording"]["gain_to_uv"] == pytest.approx(
        lowest_and_highest, rel=1e-12
    )


def test_a_damaged_chunk_of_wavpack_is_refused_before_anything_is_sorted(
    tmp_path: Path, jobs: Mapping[str, Job], moto_s3: S3Server, written: WrittenFormats
) -> None:
    variables = _on_s3(moto_s3, written.path("wavpack"))
    chunk = f"{variables['AWS_S3_BUCKET_FOLDER']}/traces_seg0/3.0"
    content = moto_s3.client.get_object(Bucket=BUCKET, Key=chunk)["Body"].read()
    moto_s3.client.put_object(Bucket=BUCKET, Key=chunk, Body=content[:-100] + bytes(100))
    job = run_job(tmp_path, VARIABLES | variables | {"DATA_TYPE": "zarr"})
    assert_refused(job, 65, r"the chunk 3\.0 of traces_seg0 is damaged: .*copy it again")
