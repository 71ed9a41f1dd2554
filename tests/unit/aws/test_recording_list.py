"""From a list of recordings to jobs, and from jobs to as few arrays as AWS Batch allows."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import pytest

from spikeinterface_cloud.aws.batch.array_jobs import ManyJobs
from spikeinterface_cloud.aws.cli.values import JobOptions
from spikeinterface_cloud.aws.inputs.recording_list import (
    ListedJob,
    ListedRecording,
    Listing,
    common_target,
    jobs_of,
)
from spikeinterface_cloud.config.manifest import select_line
from spikeinterface_cloud.errors import SettingsError

OPTIONS = JobOptions(job_queue="spot", job_definition="sorting:3")
COMMON = {
    "SORTERS": "kilosort4",
    "TARGET_AWS_S3_BUCKET": "lab-results",
    "TARGET_AWS_S3_BUCKET_FOLDER": "day1",
    "AWS_REGION_NAME": "us-east-2",
}


def recording(name: str, size_bytes: int | None = 1, **variables: str) -> ListedRecording:
    source = {"DANDISET_S3_FILE_URL": f"dandi://dandi/000003@draft/{name}.nwb"}
    return ListedRecording(
        label=name, name=name, variables=source | variables, size_bytes=size_bytes
    )


def listing(*recordings: ListedRecording) -> Listing:
    return Listing(title="dandiset-000003", recordings=recordings)


def jobs(number: int, **given: str) -> tuple[ListedJob, ...]:
    common = {**COMMON, **given}
    return jobs_of(listing(*(recording(f"sub-{index}") for index in range(number))), common)


def test_each_recording_becomes_a_job_with_its_own_target() -> None:
    made = jobs_of(listing(recording("sub-1/a"), recording("sub-2/a", N_JOBS="2")), COMMON)
    assert [job.settings.to_env() for job in made] == [
        {
            "DANDISET_S3_FILE_URL": f"dandi://dandi/000003@draft/{name}.nwb",
            "SORTERS": "kilosort4",
            "TARGET_AWS_S3_BUCKET": "lab-results",
            "TARGET_AWS_S3_BUCKET_FOLDER": f"day1/{name}",
            "RUN_IDENTIFIER": name,
            "AWS_REGION_NAME": "us-east-2",
            **own,
        }
        for name, own in (("sub-1/a", {}), ("sub-2/a", {"N_JOBS": "2"}))
    ]


def test_run_identifier_is_kept_and_other_source_is_dropped() -> None:
    common = COMMON | {"RUN_IDENTIFIER": "trial", "AWS_S3_BUCKET": "lab", "DATA_TYPE": "nwb"}
    [made] = jobs_of(listing(recording("a")), common)
    variables = made.settings.to_env()
    assert variables["RUN_IDENTIFIER"] == "trial"
    assert "AWS_S3_BUCKET" not in variables


def test_common_problem_is_reported_once_and_others_with_their_recordings() -> None:
    common = COMMON | {"SORTERS": ""}
    rows = [recording(f"sub-{index}", N_JOBS="many") for index in range(102)]
    with pytest.raises(SettingsError) as refusal:
        jobs_of(listing(recording("good"), *rows), common)
    sorters, workers = sorted(str(refusal.value).splitlines())
    assert sorters.startswith("SORTERS: missing;")
    assert workers.startswith("sub-0, sub-1, sub-2, ")
    assert ", sub-99 and 2 more: N_JOBS: " in workers


def test_number_of_reported_problems_is_limited() -> None:
    rows = [recording(f"sub-{index}", N_JOBS=f"{index} CPUs") for index in range(2_000)]
    with pytest.raises(SettingsError) as refusal:
        jobs_of(listing(*rows), COMMON)
    told = str(refusal.value).splitlines()
    assert len(told) == 101
    assert told[-1] == "and 1,900 more problems"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [recording("a"), recording("a")],
            "a: results would go to s3://lab-results/day1/a/, as of a; leave one out with",
        ),
        (
            [recording("a/b"), recording("a")],
            "a/b: results would go to s3://lab-results/day1/a/b/, inside those of a; leave",
        ),
        (
            [recording("manifests")],
            "manifests: results would go to s3://lab-results/day1/manifests/, as of the lists of "
            "jobs; leave one out with --match or --glob, or list them in a CSV (--csv), in which "
            "TARGET_AWS_S3_BUCKET_FOLDER gives each a folder of its own",
        ),
    ],
)
def test_clashing_targets_are_refused(rows: list[ListedRecording], message: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)):
        jobs_of(listing(*rows), COMMON)


def test_targets_with_common_prefix_are_accepted() -> None:
    made = jobs_of(listing(recording("a"), recording("a-2"), recording("a.b")), COMMON)
    assert len({job.target for job in made}) == 3


def test_list_without_target_is_refused() -> None:
    with pytest.raises(SettingsError, match="--target: missing; give s3://"):
        jobs_of(listing(recording("a")), {"SORTERS": "simple"})


def many(of_list: Sequence[ListedJob], title: str = "all") -> ManyJobs:
    return ManyJobs(title=title, target=common_target(COMMON), jobs=tuple(of_list), notes=())


@pytest.mark.parametrize(
    ("number", "sizes"),
    [(1, [None]), (2, [2]), (10_000, [10_000]), (10_001, [5_000, 5_001]), (20_001, [6_667] * 3)],
)
def test_jobs_are_split_into_fewest_arrays(number: int, sizes: list[int | None]) -> None:
    [job] = jobs(1)
    prepared = many([job] * number, "all").prepare(OPTIONS)
    assert [each.request.get("arrayProperties", {}).get("size") for each in prepared] == sizes


def test_single_recording_is_a_plain_job() -> None:
    [prepared] = many(jobs(1), "all").prepare(OPTIONS)
    names = {each["name"] for each in prepared.request["containerOverrides"]["environment"]}
    assert prepared.manifest is None
    assert "DANDISET_S3_FILE_URL" in names
    assert "MANIFEST_URL" not in names


def test_array_request_has_manifest_url_and_access_variables_only() -> None:
    made = jobs(3)
    [prepared] = many(made, "dandiset-000003").prepare(OPTIONS)
    overrides = prepared.request["containerOverrides"]["environment"]
    environment = {each["name"]: each["value"] for each in overrides}
    assert environment.pop("MANIFEST_URL").startswith("s3://lab-results/day1/manifests/")
    assert environment == {
        "AWS_REGION_NAME": "us-east-2",
        "RUN_IDENTIFIER": "dandiset-000003",
        "TARGET_AWS_S3_BUCKET": "lab-results",
        "TARGET_AWS_S3_BUCKET_FOLDER": "day1",
    }
    assert prepared.request["jobName"].startswith("dandiset-000003-")
    assert prepared.manifest is not None
    lines = [
        select_line(prepared.manifest, {"AWS_BATCH_JOB_ARRAY_INDEX": str(index)})
        for index in range(3)
    ]
    assert lines == [job.settings.to_env() for job in made]


def test_array_identity_depends_on_its_jobs() -> None:
    def identity(number: int) -> str:
        return many(jobs(number), "all").prepare(OPTIONS)[0].identity

    assert identity(3) == identity(3)
    assert identity(2) != identity(3)


def test_given_default_is_in_the_list_and_makes_no_other_array() -> None:
    [plain] = many(jobs(2), "all").prepare(OPTIONS)
    [given] = many(jobs(2, OVERWRITE="false"), "all").prepare(OPTIONS)
    assert given.manifest is not None
    assert select_line(given.manifest, {"AWS_BATCH_JOB_ARRAY_INDEX": "1"})["OVERWRITE"] == "false"
    assert given.identity == plain.identity
    assert plain.manifest != given.manifest


def test_array_of_ten_thousand_fits_request() -> None:
    [prepared] = many(jobs(1) * 10_000, "all").prepare(OPTIONS)
    assert len(json.dumps(prepared.request)) < 2_000


def test_overview_shows_number_and_total_size() -> None:
    rows = [recording(f"sub-{index:02}", 1024**2) for index in range(12)]
    shown = many(jobs_of(listing(*rows), COMMON)).overview().splitlines()
    source = "dandi://dandi/000003@draft/sub-00.nwb"
    assert shown[0] == f"{source}  1.0 MiB  s3://lab-results/day1/sub-00"
    assert shown[-2:] == ["... and 2 more", "12 recordings, 12.0 MiB in all"]


def test_overview_states_unknown_sizes() -> None:
    rows = [recording("a", 2048), recording("b", None)]
    shown = many(jobs_of(listing(*rows), COMMON)).overview().splitlines()
    source = "dandi://dandi/000003@draft/b.nwb"
    assert shown[1].split() == [source, "?", "s3://lab-results/day1/b"]
    assert shown[-1] == "2 recordings, 2.0 KiB in 1 recording, the others' size is unknown"
