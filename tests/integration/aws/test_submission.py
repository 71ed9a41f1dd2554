"""Submitting one job: the program as a user starts it, against a server as strict as AWS."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from spikeinterface_cloud.config.manifest import select_line
from spikeinterface_cloud.config.settings import JobSettings
from tests.support.batch_server import DEFINITION, QUEUE, AwsServer, problem_of
from tests.support.laptop import JOB, PLACE, Laptop

pytestmark = pytest.mark.integration


def sent(aws: AwsServer) -> Any:
    """The one request that submitted a job."""
    [call] = aws.named("submitjob")
    return call.body


def environment_of(request: Any) -> dict[str, str]:
    return {each["name"]: each["value"] for each in request["containerOverrides"]["environment"]}


def unique() -> tuple[str, str]:
    """What makes a job another one than those of other tests."""
    return "--env", f"RUN_IDENTIFIER={uuid.uuid4()}"


def test_submission_prints_only_the_job_id(laptop: Laptop, aws: AwsServer) -> None:
    done = laptop.run(*JOB, *PLACE, *unique())
    assert done.returncode == 0, done.stderr
    job_id = done.stdout.removesuffix("\n")
    [job] = aws.client("batch").describe_jobs(jobs=[job_id])["jobs"]
    request = sent(aws)
    assert job["jobName"] == request["jobName"]
    assert done.stderr.splitlines()[1:] == [
        f"submitted {request['jobName']} to account 123456789012 in us-east-1; its results go to "
        "s3://lab-results/session1"
    ], "after the note that the server is this machine"
    environment = environment_of(request)
    del environment["RUN_IDENTIFIER"]
    assert environment == {
        "AWS_ENDPOINT_URL": aws.url,
        "AWS_S3_BUCKET": "lab-data",
        "AWS_S3_BUCKET_FOLDER": "raw/session1",
        "DATA_TYPE": "spikeglx",
        "SORTERS": "simple",
        "TARGET_AWS_S3_BUCKET": "lab-results",
        "TARGET_AWS_S3_BUCKET_FOLDER": "session1",
    }


def test_json_output_has_job_id_and_name(laptop: Laptop, aws: AwsServer) -> None:
    done = laptop.run(*JOB, *PLACE, *unique(), "--json")
    report = json.loads(done.stdout)
    [job] = aws.client("batch").describe_jobs(jobs=[report["jobId"]])["jobs"]
    assert report == {"jobId": job["jobId"], "jobName": job["jobName"]}


def test_values_are_sent_unchanged(laptop: Laptop, aws: AwsServer) -> None:
    note = {"note": 'it\'s "quoted", 100 % §, a=b $HOME \\ `x`', "on": False, "n": None}
    value = {"simple": {"clusterer_kwargs": note}}
    laptop.submit("--sorters-kwargs", json.dumps(value, ensure_ascii=False), *unique())
    environment = environment_of(sent(aws))
    assert json.loads(environment["SORTERS_KWARGS"]) == value
    assert JobSettings.from_env(environment).sorters_kwargs == value


def test_dry_run_prints_request_without_calling_aws(laptop: Laptop, aws: AwsServer) -> None:
    arguments = (*JOB, *PLACE, *unique(), "--gpus", "1", "--memory", "28GiB", "--timeout", "12h")
    shown = laptop.run(*arguments, "--dry-run", env={"AWS_SECRET_ACCESS_KEY": None})
    assert shown.returncode == 0, shown.stderr
    assert not aws.calls
    laptop.run(*arguments)
    assert json.loads(shown.stdout) == sent(aws)
    assert sent(aws)["timeout"] == {"attemptDurationSeconds": 43_200}
    assert {"type": "MEMORY", "value": "28672"} in sent(aws)["containerOverrides"][
        "resourceRequirements"
    ]


def test_every_job_option_is_sent(laptop: Laptop, aws: AwsServer) -> None:
    first = laptop.submit(*unique())
    aws.calls.clear()
    options = ["--job-name", "mine", "--vcpus", "8", "--attempts", "5", "--tag", "project=motor"]
    options += ["--tag", "who=a=b", "--share-identifier", "lab1", "--priority", "7"]
    laptop.submit(*unique(), *options, "--depends-on", first)
    request = sent(aws)
    assert request["jobName"].startswith("mine-")
    assert request["retryStrategy"]["attempts"] == 5
    assert {"project": "motor", "who": "a=b"}.items() <= request["tags"].items()
    assert request["shareIdentifier"] == "lab1"
    assert request["schedulingPriorityOverride"] == 7
    assert request["dependsOn"] == [{"jobId": first}]
    requirements = request["containerOverrides"]["resourceRequirements"]
    assert requirements == [{"type": "VCPU", "value": "8"}]


def test_long_settings_are_stored_at_the_target(laptop: Laptop, aws: AwsServer) -> None:
    value = {"simple": {"clusterer": "x" * 20_000}}
    laptop.submit("--sorters-kwargs", json.dumps(value), *unique())
    environment = environment_of(sent(aws))
    bucket, _, key = environment["MANIFEST_URL"].removeprefix("s3://").partition("/")
    stored = aws.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    assert key.startswith("session1/manifests/")
    assert JobSettings.from_env(select_line(stored, {})).sorters_kwargs == value
    assert "SORTERS_KWARGS" not in environment


def test_dry_run_of_long_settings_stores_nothing(laptop: Laptop, aws: AwsServer) -> None:
    value = json.dumps({"simple": {"clusterer": "x" * 20_000}})
    done = laptop.run(*JOB, *PLACE, "--sorters-kwargs", value, "--dry-run")
    assert "MANIFEST_URL" in done.stdout
    assert not aws.calls


def test_running_duplicate_is_mentioned(laptop: Laptop, aws: AwsServer) -> None:
    same = unique()
    first = laptop.submit(*same)
    aws.set_fate(first, status="RUNNABLE")
    again = laptop.run(*JOB, *PLACE, *same)
    assert again.returncode == 0
    assert again.stdout.strip() != first
    assert f"note: the same job is RUNNABLE already, as {first}" in again.stderr


@pytest.mark.parametrize("status", ["RUNNABLE", "RUNNING", "SUCCEEDED"])
def test_skip_existing_submits_no_duplicate(laptop: Laptop, aws: AwsServer, status: str) -> None:
    same = unique()
    first = laptop.submit(*same)
    aws.set_fate(first, status=status)
    skipped = laptop.run(*JOB, *PLACE, *same, "--skip-existing", "--attempts", "7")
    assert skipped.stdout.strip() == first
    assert f"the same job is {status} already; nothing was submitted" in skipped.stderr
    assert "submitted session1-" not in skipped.stderr
    assert len(aws.named("submitjob")) == 1


def test_failed_or_different_job_is_no_duplicate(laptop: Laptop, aws: AwsServer) -> None:
    same = unique()
    first = laptop.submit(*same)
    assert laptop.submit(*unique(), "--skip-existing") != first
    aws.set_fate(first, status="FAILED")
    assert laptop.submit(*same, "--skip-existing") != first


def test_submission_without_permission_to_list_jobs(laptop: Laptop, aws: AwsServer) -> None:
    aws.refuse("listjobs", "AccessDeniedException", "no", status=403, times=2)
    assert laptop.submit(*unique())
    refused = laptop.run(*JOB, *PLACE, *unique(), "--skip-existing")
    assert refused.returncode == 1
    assert "access denied" in refused.stderr


def test_options_override_environment_and_file(laptop: Laptop, aws: AwsServer) -> None:
    (laptop.folder / ".env").write_text(
        "SORTERS=from_file\nEXPORTS=phy\nPREPROCESSING=none\n"
        "SPIKEINTERFACE_CLOUD_JOB_QUEUE=of-the-file\nSPIKEINTERFACE_CLOUD_VCPUS=2\n"
        f"SPIKEINTERFACE_CLOUD_JOB_DEFINITION={DEFINITION}\nSPIKEINTERFACE_CLOUD_ATTEMPTS=4\n"
        'READ_RECORDING_KWARGS={"stream_id": "imec0.ap"}\n'
    )
    shown = laptop.run(
        *JOB,
        "--vcpus",
        "3",
        "--dry-run",
        env={
            "SPIKEINTERFACE_CLOUD_JOB_QUEUE": QUEUE,
            "EXPORTS": "nwb",
            "SPIKEINTERFACE_CLOUD_VCPUS": "5",
        },
    )
    request = json.loads(shown.stdout)
    environment = environment_of(request)
    assert environment["SORTERS"] == "simple", "flag over file"
    assert environment["EXPORTS"] == "nwb", "environment over file"
    assert environment["PREPROCESSING"] == "none", "file"
    assert json.loads(environment["READ_RECORDING_KWARGS"]) == {"stream_id": "imec0.ap"}
    assert request["jobQueue"] == QUEUE, "environment over file"
    assert request["jobDefinition"] == DEFINITION, "file"
    assert request["containerOverrides"]["resourceRequirements"] == [
        {"type": "VCPU", "value": "3"}
    ], "flag over environment over file"
    assert request["retryStrategy"]["attempts"] == 4


def test_env_file_option_replaces_default_file(laptop: Laptop) -> None:
    (laptop.folder / ".env").write_text("PREPROCESSING=none\n")
    (laptop.folder / "other.env").write_text("EXPORTS=phy\n")
    shown = laptop.run(*JOB, *PLACE, "--env-file", "other.env", "--dry-run")
    environment = environment_of(json.loads(shown.stdout))
    assert environment["EXPORTS"] == "phy"
    assert "PREPROCESSING" not in environment


def test_credentials_in_env_file_are_used_but_not_sent(laptop: Laptop, aws: AwsServer) -> None:
    (laptop.folder / ".env").write_text(
        "AWS_ACCESS_KEY_ID=AKIAOFTHEFILEOFTHEFI\nAWS_SECRET_ACCESS_KEY=secret-of-the-file\n"
    )
    env = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}
    done = laptop.run(*JOB, *PLACE, *unique(), env=env)
    assert done.returncode == 0, done.stderr
    assert "secret-of-the-file" not in json.dumps(sent(aws))
    assert "AKIAOFTHEFILEOFTHEFI" not in json.dumps(sent(aws))


STACK = {
    "Resources": {"Bucket": {"Type": "AWS::S3::Bucket"}},
    "Outputs": {"JobQueue": {"Value": QUEUE}, "JobDefinition": {"Value": DEFINITION}},
}


@pytest.fixture(scope="module")
def stack(account: AwsServer) -> str:
    cloudformation = account.client("cloudformation")
    cloudformation.create_stack(StackName="sorting", TemplateBody=json.dumps(STACK))
    return "sorting"


def test_queue_and_definition_come_from_the_stack(
    laptop: Laptop, aws: AwsServer, stack: str
) -> None:
    done = laptop.run(*JOB, *unique(), "--stack", stack)
    assert done.returncode == 0, done.stderr
    assert (sent(aws)["jobQueue"], sent(aws)["jobDefinition"]) == (QUEUE, DEFINITION)
    assert len(aws.named("DescribeStacks")) == 1


def test_stack_of_infra_up_is_the_default(laptop: Laptop, aws: AwsServer) -> None:
    cloudformation = aws.client("cloudformation")
    cloudformation.create_stack(StackName="spikeinterface-cloud", TemplateBody=json.dumps(STACK))
    shown = laptop.run(*JOB, "--dry-run")
    listed = laptop.run("list")
    cloudformation.delete_stack(StackName="spikeinterface-cloud")
    request = json.loads(shown.stdout)
    assert (request["jobQueue"], request["jobDefinition"]) == (QUEUE, DEFINITION)
    assert listed.returncode == 0, listed.stderr
    refused = laptop.run(*JOB, "--dry-run")
    assert "us-east-1 has no stack spikeinterface-cloud; create it with `" in refused.stderr


def test_stack_is_not_queried_if_queue_and_definition_are_given(
    laptop: Laptop, aws: AwsServer, stack: str
) -> None:
    shown = laptop.run(*JOB, "--stack", stack, "--job-queue", "mine", "--dry-run")
    assert json.loads(shown.stdout)["jobQueue"] == "mine"
    assert json.loads(shown.stdout)["jobDefinition"] == DEFINITION
    aws.calls.clear()
    laptop.run(*JOB, *PLACE, "--stack", stack, "--dry-run")
    assert not aws.calls


#: a queue and a definition that only a variable names
VARIABLES = {
    "SPIKEINTERFACE_CLOUD_JOB_QUEUE": "of-the-variable",
    "SPIKEINTERFACE_CLOUD_JOB_DEFINITION": "of-the-variable",
}


@pytest.fixture(scope="module")
def rich_stack(account: AwsServer) -> str:
    """Return a stack with a queue for each kind of machines."""
    outputs = {
        "OnDemandJobQueue": {"Value": "on-demand"},
        "CpuJobQueue": {"Value": "cpus"},
        "CpuJobDefinition": {"Value": "on-cpus"},
    }
    template = STACK | {"Outputs": STACK["Outputs"] | outputs}
    cloudformation = account.client("cloudformation")
    cloudformation.create_stack(StackName="rich", TemplateBody=json.dumps(template))
    return "rich"


@pytest.mark.parametrize("place", ["environment", "file"])
@pytest.mark.parametrize(
    ("options", "queue", "definition"),
    [
        (["--stack", "rich"], QUEUE, DEFINITION),
        (["--compute", "on-demand"], "on-demand", DEFINITION),
        (["--compute", "cpu"], "cpus", "on-cpus"),
        (["--compute", "on-demand", "--job-definition", "mine"], "on-demand", "mine"),
        (["--stack", "rich", "--job-queue", "mine"], "mine", DEFINITION),
        ([], "of-the-variable", "of-the-variable"),
    ],
)
def test_flags_come_before_a_queue_of_variables(
    laptop: Laptop, rich_stack: str, place: str, options: list[str], queue: str, definition: str
) -> None:
    env: dict[str, str | None] = {"SPIKEINTERFACE_CLOUD_STACK": rich_stack, **VARIABLES}
    if place == "file":
        (laptop.folder / ".env").write_text("".join(f"{n}={v}\n" for n, v in env.items()))
        env = {}
    shown = laptop.run(*JOB, *options, "--dry-run", env=env)
    assert shown.returncode == 0, shown.stderr
    request = json.loads(shown.stdout)
    assert (request["jobQueue"], request["jobDefinition"]) == (queue, definition)


def test_stack_of_the_environment_comes_before_a_queue_of_the_file(
    laptop: Laptop, rich_stack: str
) -> None:
    (laptop.folder / ".env").write_text("SPIKEINTERFACE_CLOUD_JOB_QUEUE=of-the-file\n")
    shown = laptop.run(*JOB, "--dry-run", env={"SPIKEINTERFACE_CLOUD_STACK": rich_stack})
    assert json.loads(shown.stdout)["jobQueue"] == QUEUE


def test_jobs_are_listed_in_the_queue_that_flags_choose(
    laptop: Laptop, aws: AwsServer, rich_stack: str
) -> None:
    done = laptop.run("list", "--stack", rich_stack, env={**VARIABLES})
    assert done.returncode == 0, done.stderr
    assert {call.body["jobQueue"] for call in aws.named("listjobs")} == {QUEUE}


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ([*JOB, *PLACE, "--compute", "cpu"], "--job-queue names a queue, and --compute"),
        (["list", *PLACE[:2], "--compute", "cpu"], "--job-queue names a queue, and --compute"),
        (["list", *PLACE[:2], "--stack", "rich"], "--job-queue names a queue, and --stack"),
        (["diagnose", "--queue", "a", "--stack", "rich"], "--queue names a queue, and --stack"),
    ],
)
def test_flag_without_effect_beside_a_queue_is_refused(
    laptop: Laptop, aws: AwsServer, command: list[str], message: str
) -> None:
    done = laptop.run(*command)
    assert done.returncode == 2
    assert message in done.stderr
    assert not aws.calls


#: kilosort4 runs on CPUs only where its parameters say so
ON_CPU = ("--sorters-kwargs", '{"kilosort4": {"torch_device": "cpu"}}')


@pytest.mark.parametrize("list_of_recordings", [False, True])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sorters", "kilosort4"], "--compute cpu: kilosort4 needs a GPU"),
        (["--sorters", "simple,kilosort4"], "--compute cpu: kilosort4 needs a GPU"),
        (["--sorters", "simple", "--gpus", "1"], "--gpus 1: the instances of --compute cpu"),
        (["--sorters", "kilosort4", *ON_CPU], None),
        (["--sorters", "kilosort4", "--job-queue", "mine"], None),
    ],
)
def test_job_that_needs_a_gpu_is_refused_on_the_cpus_of_the_stack(
    laptop: Laptop,
    rich_stack: str,
    list_of_recordings: bool,
    options: list[str],
    message: str | None,
) -> None:
    words = [*JOB[:4], *JOB[6:]]
    if list_of_recordings:
        (laptop.folder / "jobs.csv").write_text(
            "AWS_S3_BUCKET,AWS_S3_BUCKET_FOLDER\nlab-data,raw/session1\nlab-data,raw/session2\n"
        )
        words = ["--csv", "jobs.csv", *words[2:]]
    place = ("--stack", rich_stack, "--compute", "cpu")
    done = laptop.run(*words, *options, *place, "--dry-run")
    assert done.returncode == (2 if message else 0), done.stderr
    assert (message or "") in done.stderr


@pytest.mark.parametrize(
    ("options", "is_noted"),
    [
        (["--sorters", "simple"], True),
        (["--sorters", "simple", "--compute", "on-demand"], True),
        (["--sorters", "simple,kilosort4"], False),
        (["--sorters", "simple", "--compute", "cpu"], False),
        (["--sorters", "simple", "--gpus", "1"], False),
        (["--sorters", "simple", "--job-queue", "mine"], False),
    ],
)
def test_queue_with_gpus_that_no_sorter_needs_is_noted(
    laptop: Laptop, rich_stack: str, options: list[str], is_noted: bool
) -> None:
    done = laptop.run(*JOB[:4], *JOB[6:], *options, "--stack", rich_stack, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert ("note: no sorter needs a GPU" in done.stderr) is is_noted


def test_stand_in_server_refuses_invalid_requests(laptop: Laptop, aws: AwsServer) -> None:
    """What stands in for AWS is worth nothing if it lets everything through."""
    laptop.submit(*unique())
    [call] = aws.named("submitjob")
    assert problem_of(call) is None
    for spoiled, word in (
        ({"jobName": "a b"}, "name"),
        ({"timeout": {"attemptDurationSeconds": 59}}, "Timeout"),
        ({"arrayProperties": {"size": 1}}, "Array"),
        ({"retryStrategy": {"attempts": 11}}, "Attempts"),
        ({"tags": {str(n): "" for n in range(51)}}, "tags"),
        ({"dependsOn": [{"jobId": str(n)} for n in range(21)]}, "dependencies"),
        (
            {"containerOverrides": {"environment": [{"name": "A", "value": "x" * 8_000}]}},
            "8192",
        ),
        (
            {"containerOverrides": {"environment": [{"name": "AWS_BATCH_X", "value": "1"}]}},
            "AWS_BATCH",
        ),
    ):
        problem = problem_of(
            type(call)(service="batch", action="submitjob", body=call.body | spoiled)
        )
        assert problem is not None
        assert word in problem
