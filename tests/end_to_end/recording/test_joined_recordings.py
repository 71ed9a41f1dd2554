"""Three recordings of one probe are sorted as one, and their results split again."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import spikeinterface as si
import spikeinterface.comparison as sc
from pynwb import NWBHDF5IO, validate

from tests.end_to_end.conftest import UNSAVED_PROVENANCE
from tests.support.job import (
    ONE_WORKER,
    Job,
    assert_refused,
    assert_succeeded,
    run_job,
    s3_access,
)
from tests.support.joined import DURATIONS, FIRST_SAMPLES, add_to_header, write_runs
from tests.support.servers import S3Server
from tests.support.sorted_results import (
    assert_complete,
    download_folder,
    n_true_units_found,
    upload_folder,
)

pytestmark = [pytest.mark.integration, pytest.mark.sorting, UNSAVED_PROVENANCE]

RATE_HZ = 30_000.0
DATES = ("2024-05-01T10:00:00", "2024-05-01T13:00:07", "2024-05-02T10:00:00")


def variables(folders: list[Path]) -> dict[str, str]:
    sources = json.dumps([os.fspath(folder) for folder in folders])
    return ONE_WORKER | {"SOURCE_FOLDER": sources, "DATA_TYPE": "spikeglx", "SORTERS": "simple"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], si.BaseSorting]:
    return write_runs(tmp_path_factory.mktemp("runs"), dates=DATES)


@pytest.fixture(scope="module")
def job(runs: tuple[list[Path], si.BaseSorting], tmp_path_factory: pytest.TempPathFactory) -> Job:
    job = run_job(tmp_path_factory.mktemp("job"), variables(runs[0]) | {"EXPORTS": "nwb,phy"})
    assert_succeeded(job)
    return job


def test_units_have_the_same_ids_in_each_recording_and_the_true_spikes(
    runs: tuple[list[Path], si.BaseSorting], job: Job
) -> None:
    _, truth = runs
    assert_complete(job.results, ["simple"])
    folder = job.results / "simple"
    whole = si.load(folder / "sorting")
    assert [path.name for path in sorted((folder / "recordings").iterdir())] == ["1", "2", "3"]
    assert n_true_units_found(job.results, "simple", truth) == truth.get_num_units() == 3
    for segment in range(3):
        own = si.load(folder / "recordings" / str(segment + 1) / "sorting")
        assert own.get_num_segments() == 1
        assert list(own.unit_ids) == list(whole.unit_ids)
        for unit in whole.unit_ids:
            np.testing.assert_array_equal(
                own.get_unit_spike_train(unit, segment_index=0),
                whole.get_unit_spike_train(unit, segment_index=segment),
            )
        true = si.select_segment_sorting(truth, segment)
        matched = sc.compare_sorter_to_ground_truth(true, own, exhaustive_gt=True)
        assert (matched.get_performance()["accuracy"] > 0.85).all(), segment


def test_matching_unit_is_the_same_in_each_recording(
    runs: tuple[list[Path], si.BaseSorting], job: Job
) -> None:
    _, truth = runs
    matches = []
    for segment in range(3):
        own = si.load(job.results / "simple" / "recordings" / str(segment + 1) / "sorting")
        true = si.select_segment_sorting(truth, segment)
        matched = sc.compare_sorter_to_ground_truth(true, own, exhaustive_gt=True)
        matches.append(matched.hungarian_match_12.to_dict())
    assert matches[0] == matches[1] == matches[2]


def test_nwb_of_each_recording_is_on_its_own_clock(job: Job) -> None:
    folder = job.results / "simple"
    assert not (folder / "units.nwb").exists()
    names = []
    for number, (first, duration_s) in enumerate(zip(FIRST_SAMPLES, DURATIONS, strict=True), 1):
        file = folder / "recordings" / str(number) / "units.nwb"
        assert not validate(path=file)
        with NWBHDF5IO(file, "r") as reader:
            units = reader.read().units
            names.append(list(units["unit_name"][:]))
            own = si.load(folder / "recordings" / str(number) / "sorting")
            for row, unit in enumerate(own.unit_ids):
                frames = own.get_unit_spike_train(unit, segment_index=0)
                np.testing.assert_allclose(
                    units["spike_times"][row], (frames + first) / RATE_HZ, atol=1e-9
                )
            begin_s = first / RATE_HZ
            np.testing.assert_allclose(units["obs_intervals"][0], [[begin_s, begin_s + duration_s]])
            assert "3 recordings were sorted as one" in units.description
    assert names[0] == names[1] == names[2]


def test_phy_has_all_recordings_one_after_the_other(job: Job) -> None:
    times = np.load(job.results / "simple" / "phy" / "spike_times.npy")
    assert sum(DURATIONS[:2]) * RATE_HZ < times.max() < sum(DURATIONS) * RATE_HZ


def test_record_and_report_say_what_was_joined(
    runs: tuple[list[Path], si.BaseSorting], job: Job
) -> None:
    folders, _ = runs
    record = job.record
    locations = [os.fspath(folder) for folder in folders]
    assert [each["location"] for each in record["source"]["joined"]] == locations
    joined = record["recording"]["joined"]
    assert [each["location"] for each in joined] == locations
    assert [each["duration_s"] for each in joined] == list(DURATIONS)
    assert [each["start_time_s"] for each in joined] == [1.0, 3.0, 100.0]
    assert [each["started"] for each in joined] == list(DATES)
    assert joined[1]["pause_s"] == 3 * 3600
    notes = " ".join(record["recording"]["notes"])
    assert "recording 2 began 3h00m after recording 1 ended" in notes
    assert "began 3h00m after" in job.log
    for each in joined[1:]:
        assert each["drift_um"] == pytest.approx(0.0, abs=6.0)
    page = (job.results / "report.html").read_text()
    assert "Joined recordings" in page
    assert "3h00m" in page


def test_same_job_resumes_and_another_order_is_another_job(
    runs: tuple[list[Path], si.BaseSorting], job: Job
) -> None:
    folders, _ = runs
    again = run_job(job.folder, variables(folders) | {"EXPORTS": "nwb,phy"})
    assert_succeeded(again)
    assert again.outcomes() == {"simple": "resumed"}
    other = run_job(job.folder, variables(folders[::-1]) | {"EXPORTS": "nwb,phy"})
    assert_refused(other, 73, "another job")


def test_recordings_on_s3_are_joined_in_the_given_order(
    runs: tuple[list[Path], si.BaseSorting], moto_s3: S3Server, tmp_path: Path
) -> None:
    folders, truth = runs
    bucket = "joined"
    moto_s3.client.create_bucket(Bucket=bucket)
    # listed by their names, the last one would be the first
    keys = ["raw/2", "raw/3", "raw/1"]
    for folder, key in zip(folders, keys, strict=True):
        upload_folder(moto_s3.client, folder, bucket, key)
    given = variables(folders) | {
        **s3_access(moto_s3.url),
        "SOURCE_AWS_S3_BUCKET": bucket,
        "SOURCE_AWS_S3_BUCKET_FOLDER": json.dumps(keys),
        "TARGET_AWS_S3_BUCKET": bucket,
        "TARGET_AWS_S3_BUCKET_FOLDER": "sorted",
    }
    del given["SOURCE_FOLDER"]
    job = run_job(tmp_path, given)
    assert_succeeded(job)
    results = download_folder(moto_s3.client, bucket, "sorted", tmp_path / "fetched")
    assert_complete(results, ["simple"])
    assert n_true_units_found(results, "simple", truth) == 3
    joined = job.record["source"]["joined"]
    assert [each["location"] for each in joined] == [f"s3://{bucket}/{key}" for key in keys]
    durations = [each["duration_s"] for each in job.record["recording"]["joined"]]
    assert durations == list(DURATIONS)


def test_recording_of_another_probe_is_refused(tmp_path: Path) -> None:
    folders, _ = write_runs(tmp_path, durations_s=(2.0, 2.0))
    add_to_header(folders[0], "imDatPrb_sn=1")
    add_to_header(folders[1], "imDatPrb_sn=2")
    refused = run_job(tmp_path / "job", variables(folders))
    assert_refused(refused, 65, f"recording 2 .{folders[1]}. cannot be joined with the first")
