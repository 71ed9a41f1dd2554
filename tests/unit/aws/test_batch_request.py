"""The request that submits a job: what it says, and what AWS would refuse of it."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeinterface_cloud.aws.batch.job_hash import IDENTITY_TAG, job_identity, job_name
from spikeinterface_cloud.aws.batch.limits import JOB_NAME, LimitError, overrides_length
from spikeinterface_cloud.aws.batch.request import build_request
from spikeinterface_cloud.aws.batch.submission import prepare_job
from spikeinterface_cloud.aws.cli.values import JobOptions
from spikeinterface_cloud.config.manifest import select_line
from spikeinterface_cloud.config.settings import JobSettings
from spikeinterface_cloud.errors import SettingsError

ENVIRONMENT = {
    "AWS_S3_BUCKET": "lab-data",
    "AWS_S3_BUCKET_FOLDER": "raw/session1",
    "DATA_TYPE": "spikeglx",
    "SORTERS": "kilosort4",
    "SORTERS_KWARGS": '{"kilosort4": {"do_CAR": false, "note": "it\'s \\"quoted\\""}}',
    "TARGET_AWS_S3_BUCKET": "lab-results",
    "TARGET_AWS_S3_BUCKET_FOLDER": "session1",
}
OPTIONS = JobOptions(job_queue="gpu", job_definition="sorting:3")
IDENTITY = "0123456789abcdef"


def request_of(array_size: int | None = None, **changed: Any) -> dict[str, Any]:
    tags = tuple(changed.pop("tags", {}).items())
    options = replace(OPTIONS, tag=tags, **changed)
    return build_request(ENVIRONMENT, options, identity=IDENTITY, array_size=array_size)


def test_request_has_job_queue_and_retry_rules() -> None:
    assert request_of() == {
        "jobName": "session1-0123456789abcdef",
        "jobQueue": "gpu",
        "jobDefinition": "sorting:3",
        "containerOverrides": {
            "environment": [
                {"name": name, "value": value} for name, value in sorted(ENVIRONMENT.items())
            ]
        },
        "retryStrategy": {
            "attempts": 3,
            "evaluateOnExit": [
                {"onStatusReason": "Host EC2*", "action": "RETRY"},
                {"onExitCode": "75", "action": "RETRY"},
                {"onStatusReason": "Task failed to start*", "action": "RETRY"},
                {"onReason": "*", "action": "EXIT"},
            ],
        },
        "tags": {IDENTITY_TAG: IDENTITY},
        "propagateTags": True,
    }


def test_every_option_is_in_the_request() -> None:
    request = request_of(
        array_size=3,
        job_name="mine",
        gpus=1,
        vcpus=8,
        memory=30_000,
        timeout=7200,
        attempts=5,
        tags={"project": "motor cortex"},
        share_identifier="lab1",
        priority=7,
        depends_on=("a-job", "another"),
    )
    assert request["jobName"] == "mine-0123456789abcdef"
    assert request["containerOverrides"]["resourceRequirements"] == [
        {"type": "GPU", "value": "1"},
        {"type": "VCPU", "value": "8"},
        {"type": "MEMORY", "value": "30000"},
    ]
    assert request["timeout"] == {"attemptDurationSeconds": 7200}
    assert request["retryStrategy"]["attempts"] == 5
    assert request["tags"] == {"project": "motor cortex", IDENTITY_TAG: IDENTITY}
    assert request["shareIdentifier"] == "lab1"
    assert request["schedulingPriorityOverride"] == 7
    assert request["dependsOn"] == [{"jobId": "a-job"}, {"jobId": "another"}]
    assert request["arrayProperties"] == {"size": 3}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"job_name": "day 1"}, "--job-name: 'day 1-0123456789abcdef' is not a job name"),
        ({"job_name": "-a"}, "--job-name:"),
        ({"job_name": "a" * 112}, "at most 128"),
        ({"array_size": 1}, "the number of jobs: 1 is not from 2 to 10,000"),
        ({"array_size": 10_001}, "the number of jobs: 10,001 is not from 2 to 10,000"),
        ({"timeout": 59}, "--timeout: 59 is not from 60 to"),
        ({"attempts": 0}, "--attempts: 0 is not from 1 to 10"),
        ({"attempts": 11}, "--attempts: 11 is not from 1 to 10"),
        ({"depends_on": tuple(map(str, range(21)))}, "--depends-on: 21 jobs; AWS Batch takes 20"),
        ({"tags": {f"tag{n}": "" for n in range(50)}}, "--tag: 51 tags, one of them this"),
        ({"tags": {"a" * 129: ""}}, "is too long; AWS takes 128 characters of a name"),
        ({"tags": {"a": "b" * 257}}, "256 of a value"),
        ({"tags": {"aws:owner": "me"}}, "begins with aws:"),
        ({"tags": {IDENTITY_TAG: "mine"}}, f"--tag: {IDENTITY_TAG} is this program's own tag"),
        ({"tags": {"cost": "1 €?"}}, "has characters that AWS does not take"),
        ({"share_identifier": "lab 1"}, "--share-identifier: 'lab 1' is not 1 to 255 letters"),
        ({"share_identifier": "lab", "priority": 10_000}, "--priority: 10,000 is not from 0"),
        ({"gpus": 0}, "GPU: 0 is not from 1 to"),
        ({"memory": -1}, "MEMORY: -1 is not from 1 to"),
        ({"priority": 5}, "--priority: counts within a share only; give --share-identifier"),
        ({"tags": {f"{n:03}{'é' * 125}": "é" * 256 for n in range(40)}}, "AWS Batch takes 30,720"),
    ],
)
def test_values_beyond_aws_limits_are_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(LimitError) as refusal:
        request_of(**changed)
    assert message in str(refusal.value)
    assert refusal.value.exit_code == 2


@pytest.mark.parametrize(
    "changed",
    [
        {"job_name": "a" * 111},
        {"array_size": 2},
        {"array_size": 10_000},
        {"timeout": 60},
        {"attempts": 1},
        {"attempts": 10},
        {"depends_on": tuple(map(str, range(20)))},
        {"tags": {f"tag{n}": "" for n in range(49)}},
        {"tags": {"a" * 128: "b" * 256}},
        {"share_identifier": "lab", "priority": 9999},
        {"share_identifier": "lab", "priority": 0},
    ],
)
def test_values_at_aws_limits_are_accepted(changed: dict[str, Any]) -> None:
    assert request_of(**changed)["jobQueue"] == "gpu"


def test_reserved_batch_variables_are_refused() -> None:
    with pytest.raises(LimitError, match="AWS_BATCH_JOB_ATTEMPT: AWS Batch sets the variables"):
        build_request({"AWS_BATCH_JOB_ATTEMPT": "1"}, OPTIONS, identity=IDENTITY)


def test_too_long_overrides_without_manifest_are_refused() -> None:
    with pytest.raises(LimitError, match=r"the overrides have .* AWS takes 8,192"):
        build_request({"SORTERS_KWARGS": "x" * 7000}, OPTIONS, identity=IDENTITY)


def test_all_problems_are_reported_at_once() -> None:
    with pytest.raises(LimitError) as refusal:
        request_of(timeout=1, attempts=99, priority=5, tags={"aws:owner": "me"})
    assert [line.partition(":")[0] for line in str(refusal.value).splitlines()] == [
        "--timeout",
        "--attempts",
        "--priority",
        "--tag",
    ]


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({"AWS_S3_BUCKET_FOLDER": "raw/day 1/"}, "day-1"),
        ({"DANDISET_S3_FILE_URL": "dandi://dandi/000006@draft/sub-1/sub-1_ecephys.nwb"}, "sub-1_"),
        ({"RUN_IDENTIFIER": "résumé", "AWS_S3_BUCKET_FOLDER": "raw"}, "r-sum"),
        ({"AWS_S3_BUCKET_FOLDER": "日本"}, "sorting"),
        ({}, "sorting"),
        ({"AWS_S3_BUCKET_FOLDER": "x" * 300}, "x" * 111 + "-"),
    ],
)
def test_default_job_name_comes_from_recording(environment: dict[str, str], name: str) -> None:
    called = job_name(environment, None, IDENTITY)
    assert called.startswith(name)
    assert called.endswith(f"-{IDENTITY}")
    assert len(called) <= 128


@given(st.text(max_size=200))
def test_suggested_name_is_valid_for_aws(folder: str) -> None:
    assert JOB_NAME.fullmatch(job_name({"AWS_S3_BUCKET_FOLDER": folder}, None, IDENTITY))


def test_hash_identifies_job() -> None:
    identity = job_identity(ENVIRONMENT, "sorting")
    assert identity == job_identity(dict(reversed(ENVIRONMENT.items())), "sorting")
    assert identity != job_identity({**ENVIRONMENT, "SORTERS": "simple"}, "sorting")
    assert identity != job_identity(ENVIRONMENT, "other")


def settings_of_length(length: int, **changed: str) -> JobSettings:
    variables = {**ENVIRONMENT, "SORTERS_KWARGS": json.dumps({"kilosort4": {"x": "a" * length}})}
    return JobSettings.from_env({**variables, **changed})


def test_long_settings_are_stored_completely_in_manifest() -> None:
    settings = settings_of_length(20_000, RUN_IDENTIFIER="long", AWS_REGION_NAME="eu-west-1")
    job = prepare_job(settings, OPTIONS)
    environment = {
        variable["name"]: variable["value"]
        for variable in job.request["containerOverrides"]["environment"]
    }
    assert environment.pop("MANIFEST_URL").startswith("s3://lab-results/session1/manifests/")
    assert environment == {
        "AWS_REGION_NAME": "eu-west-1",
        "RUN_IDENTIFIER": "long",
        "TARGET_AWS_S3_BUCKET": "lab-results",
        "TARGET_AWS_S3_BUCKET_FOLDER": "session1",
    }
    assert job.manifest is not None
    assert JobSettings.from_env(select_line(job.manifest, {})) == settings


def test_settings_that_fit_are_sent_in_the_request() -> None:
    lengths = range(5_500, 7_500, 50)
    jobs = [prepare_job(settings_of_length(length), OPTIONS) for length in lengths]
    assert jobs[0].manifest is None
    assert jobs[-1].manifest is not None
    for job in jobs:
        assert overrides_length(job.request["containerOverrides"]) <= 7_000


def test_job_with_manifest_has_stable_identity() -> None:
    jobs = [prepare_job(settings_of_length(20_000), OPTIONS) for _ in range(2)]
    assert jobs[0] == jobs[1]


def test_long_settings_without_target_are_refused() -> None:
    variables = {"TARGET_AWS_S3_BUCKET": "", "TARGET_AWS_S3_BUCKET_FOLDER": ""}
    with pytest.raises(SettingsError, match="--target: missing"):
        prepare_job(settings_of_length(20_000, **variables), OPTIONS)


def test_given_default_is_sent_and_makes_no_other_job() -> None:
    plain = prepare_job(JobSettings.from_env(ENVIRONMENT), OPTIONS)
    given = {**ENVIRONMENT, "PREPROCESSING": "default", "OVERWRITE": "false"}
    explicit = prepare_job(JobSettings.from_env(given), OPTIONS)
    sent = explicit.request["containerOverrides"]["environment"]
    assert {each["name"]: each["value"] for each in sent} == given
    assert explicit.identity == plain.identity
    assert plain.identity == job_identity(ENVIRONMENT, OPTIONS.job_definition)
