"""Whatever a user or AWS gets wrong is a line with its remedy; the exit code says whose it is."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.support.batch_server import AwsServer
from tests.support.laptop import JOB, PLACE, Laptop

pytestmark = pytest.mark.integration


def refusals(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The lines on standard error but for the note that the server is this machine."""
    return [line for line in done.stderr.splitlines() if not line.startswith("note: AWS_ENDPOINT")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--timeout", "59"], "Invalid value for '--timeout': '59' is less than 60."),
        (["--timeout", "soon"], "'soon' is not understood; write it like 3600, 90m, 12h or 2d."),
        (["--attempts", "11"], "Invalid value for '--attempts': 11 is not in the range 1<=x<=10."),
        (["--gpus", "0"], "Invalid value for '--gpus': 0 is not in the range x>=1."),
        (["--gpus", "one"], "Invalid value for '--gpus': 'one' is not a valid integer range."),
        (["--memory", "30TB"], "'30TB' is not understood; write it like 30000 (MiB) or 30GiB."),
        (["--memory", "0"], "Invalid value for '--memory': '0' is less than 1."),
        (["--priority", "10000"], "10000 is not in the range 0<=x<=9999."),
        (["--priority", "5"], "--priority: counts within a share only; give --share-identifier"),
        (["--env", "SORTERS"], "'SORTERS' is not of the form NAME=VALUE."),
        (["--tag", "=x"], "'=x' is not of the form NAME=VALUE."),
        (["--tag", "a=€"], "has characters that AWS does not take"),
        (["--job-name", "my job"], "is not a job name; begin with a letter or digit"),
        (["--share-identifier", "a b"], "--share-identifier: 'a b' is not 1 to 255 letters"),
        (["--env-file", "none.env"], "File 'none.env' does not exist."),
        (["--source-folder", "/data"], "No such option"),
        (["statsu", "1"], "Got unexpected extra arguments (statsu 1)"),
    ],
)
def test_a_fault_of_the_command_line_ends_with_2(
    laptop: Laptop, aws: AwsServer, arguments: list[str], message: str
) -> None:
    done = laptop.run(*JOB, *PLACE, *arguments)
    assert message in done.stderr
    assert done.returncode == 2
    assert done.stdout == ""
    assert not aws.calls


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["statsu", "a-job"], "No such command 'statsu'. Did you mean 'status'?"),
        (
            ["--profile", "lab", "infra", "up", "--dry-run"],
            "'infra' is a command: write it first, as in `submit_job.py infra up [OPTIONS]`",
        ),
        (["frobnicate"], "No such command 'frobnicate'."),
        (["status"], "Missing argument 'JOB_ID...'."),
        (["wait"], "Missing argument 'JOB_ID...'."),
        (["list"], "no stack spikeinterface-cloud; create it with `"),
        ([*JOB], "no --job-queue and --job-definition are given, and us-east-1 has no stack"),
        ([*JOB, "--job-queue", "gpu"], "or name another by --stack"),
        (["list", "--status", "DONE", *PLACE[:2]], "'DONE' is not one of 'submitted'"),
    ],
)
def test_a_command_that_does_not_say_enough_ends_with_2(
    laptop: Laptop, arguments: list[str], message: str
) -> None:
    done = laptop.run(*arguments)
    assert message in done.stderr
    assert done.returncode == 2
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sorters", "simple,simple"], "Error: SORTERS: lists simple more than once"),
        (["--source", "/data"], "Error: --source: '/data' is not on S3 or DANDI"),
        (["--env", "AWS_SECRET_ACCESS_KEY=x"], "Error: AWS_SECRET_ACCESS_KEY: a secret, which"),
        (["--read-recording-kwargs", "{'a': True}"], 'write {"a": true}'),
        (["--data-type", "spikegxl"], "Error: DATA_TYPE=spikegxl is not a reader of SpikeInter"),
        (["--sorters", "kilosort5"], "Error: SORTERS: kilosort5 is not a sorter of SpikeInterface"),
        (["--preprocessing", '{"filtr": {}}'], "Error: PREPROCESSING: filtr is not a step of"),
        (
            ["--sorters-kwargs", '{"simple": {"freq_mn": 1}}'],
            "Error: SORTERS_KWARGS: simple has no parameter freq_mn; did you mean freq_min?",
        ),
    ],
)
def test_a_bad_job_ends_with_the_code_that_the_container_would_give(
    laptop: Laptop, aws: AwsServer, arguments: list[str], message: str
) -> None:
    done = laptop.run(*JOB, *PLACE, *arguments)
    assert message in done.stderr
    assert done.returncode == 78
    assert done.stdout == ""
    assert not aws.calls


def test_all_problems_of_a_job_are_reported_at_once(laptop: Laptop) -> None:
    done = laptop.run(*PLACE, "--exports", "pdf", "--env", "N_JOBS=x")
    assert done.returncode == 78
    lines = done.stderr.splitlines()
    assert all(line.startswith("Error: ") for line in lines)
    for word in ("--source: missing; give s3://", "--sorters: missing", "EXPORTS: ", "N_JOBS: "):
        assert any(word in line for line in lines), word


#: too long for a request
LONG_PIPELINE = json.dumps({"bandpass_filter": {"note": "x" * 8000}})

NO_KEYS = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}


@pytest.mark.parametrize(
    ("arguments", "env", "message"),
    [
        ([], NO_KEYS, "no AWS credentials were found on this machine; run `aws configure`"),
        ([], {"AWS_DEFAULT_REGION": None}, "no AWS region is known; give --region"),
        (["--profile", "lab"], {}, "The config profile (lab) could not be found; `aws configure"),
        (["--job-queue", "gpu"], {}, "Job queue gpu does not exist; check --job-queue and"),
        (["--job-definition", "no"], {}, "no does not exist; check --job-definition and --region"),
        (["--preprocessing", LONG_PIPELINE, "--target", "s3://not-there"], {},
         "there is no bucket not-there; check its name and the region"),
    ],
)  # fmt: skip
def test_what_aws_or_its_tools_refuse_is_one_line_and_ends_with_1(
    laptop: Laptop, arguments: list[str], env: dict[str, str | None], message: str
) -> None:
    done = laptop.run(*JOB, *PLACE, *arguments, env=env)
    assert done.returncode == 1
    assert message in done.stderr
    [line] = refusals(done)
    assert line.startswith("Error: cannot ")
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("code", "status", "said", "message"),
    [
        (
            "AccessDeniedException",
            403,
            "User: arn:aws:iam::1:user/me is not authorized to perform: batch:SubmitJob on "
            "resource: arn:aws:batch:us-east-1:1:job-queue/gpu",
            "ask the account's owner to allow you batch:SubmitJob, or use another --profile",
        ),
        ("ExpiredTokenException", 403, "expired", "AWS refused the credentials (ExpiredToken"),
        ("UnrecognizedClientException", 403, "The security token is invalid", "`aws sso login`"),
        ("ClientException", 400, "JobQueue can not be found.", "check --job-queue"),
        *(
            (
                "ClientException",
                400,
                said,
                "give --share-identifier and --priority on a fair-share queue, and neither on",
            )
            for said in (
                "Share identifier has to be specified",
                "Either schedulingPriority in job definition or schedulingPriorityOverride should "
                "be specified.",
                "Job with shareIdentifier or schedulingPriority can only be submitted to job queue "
                "with fair share scheduling policy",
            )
        ),
        ("ClientException", 400, "Something new.", "Something new; see SubmitJob in AWS's API ref"),
    ],
)
def test_refused_submission_names_the_remedy(
    laptop: Laptop, aws: AwsServer, code: str, status: int, said: str, message: str
) -> None:
    aws.refuse("submitjob", code, said, status=status)
    done = laptop.run(*JOB, *PLACE)
    assert done.returncode == 1
    [line] = refusals(done)
    assert line.startswith("Error: cannot submit the job: ")
    assert message in line


def test_a_value_of_the_file_that_is_refused_is_said_to_come_from_there(laptop: Laptop) -> None:
    (laptop.folder / ".env").write_text("N_JOBS=many\nSPIKEINTERFACE_CLOUD_ATTEMPTS=3\n")
    done = laptop.run(*JOB, *PLACE)
    assert done.returncode == 78
    [line] = refusals(done)
    assert line.startswith("Error: N_JOBS: ")
    assert line.endswith("(set in .env or --env-file)")
    assert ".env" not in laptop.run(*JOB, *PLACE, env={"N_JOBS": "lots"}).stderr
    (laptop.folder / ".env").write_text("SPIKEINTERFACE_CLOUD_TIMEOUT=soon\n")
    done = laptop.run(*JOB, *PLACE)
    assert done.returncode == 2
    assert (
        "Invalid value for '--timeout' "
        "(SPIKEINTERFACE_CLOUD_TIMEOUT, from .env or --env-file): 'soon'" in done.stderr
    )
    done = laptop.run(*JOB, *PLACE, env={"SPIKEINTERFACE_CLOUD_TIMEOUT": "later"})
    assert "Invalid value for '--timeout' (SPIKEINTERFACE_CLOUD_TIMEOUT): 'later'" in done.stderr


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ([*JOB, *PLACE, "--tag", "lab=a", "--tag", "lab=b"], "'--tag': lab"),
        ([*JOB, *PLACE, "--env", "N_JOBS=1", "--env", "N_JOBS=2"], "'--env': N_JOBS"),
        (
            ["estimate", "--size", "1GB", "--price", "g5.xlarge=1", "--price", "g5.xlarge=2"],
            "'--price': g5.xlarge",
        ),
    ],
)
def test_a_name_with_two_values_is_refused(
    laptop: Laptop, aws: AwsServer, command: list[str], name: str
) -> None:
    done = laptop.run(*command)
    assert done.returncode == 2
    assert f"Invalid value for {name} is given twice, with different values;" in done.stderr
    assert not aws.calls


def test_a_name_may_be_given_the_same_value_twice(laptop: Laptop) -> None:
    twice = ("--tag", "lab=a") * 2
    shown = laptop.run(*JOB, *PLACE, *twice, "--dry-run")
    assert json.loads(shown.stdout)["tags"]["lab"] == "a"


@pytest.mark.parametrize("command", [[*JOB, *PLACE], ["list", *PLACE[:2]]])
def test_a_misspelt_variable_of_the_submission_is_named(
    laptop: Laptop, aws: AwsServer, command: list[str]
) -> None:
    done = laptop.run(
        *command,
        env={"SPIKEINTERFACE_CLOUD_JOB_QEUE": "gpu", "SPIKEINTERFACE_CLOUD_PAPER_TO": "nature"},
    )
    assert done.returncode == 2
    assert (
        "Error: SPIKEINTERFACE_CLOUD_JOB_QEUE: no variable of this command; "
        "did you mean SPIKEINTERFACE_CLOUD_JOB_QUEUE?" in done.stderr
    )
    (laptop.folder / ".env").write_text("SPIKEINTERFACE_CLOUD_JOB_QEUE=gpu\n")
    assert "(set in .env or --env-file)" in laptop.run(*command).stderr
    assert not aws.calls


def test_a_variable_of_another_command_is_no_misspelling(laptop: Laptop) -> None:
    (laptop.folder / ".env").write_text("SPIKEINTERFACE_CLOUD_GPUS=1\n")
    assert laptop.run("list", *PLACE[:2]).returncode == 0


def test_usage_names_no_command_that_nobody_has_typed(laptop: Laptop) -> None:
    done = laptop.run(*JOB, "--timeout", "soon")
    assert "Usage: submit_job.py [OPTIONS]" in done.stderr
    assert "Try 'submit_job.py --help'" in done.stderr


def test_a_server_of_this_machine_is_pointed_out(laptop: Laptop, aws: AwsServer) -> None:
    done = laptop.run(*JOB, *PLACE, "--dry-run")
    assert done.returncode == 0
    assert f"note: AWS_ENDPOINT_URL={aws.url} is sent to the job" in done.stderr


def test_a_target_that_is_not_there_is_noticed_before_the_submission(
    laptop: Laptop, aws: AwsServer
) -> None:
    job = (*JOB, *PLACE, "--target", "s3://not-there/session1")
    done = laptop.run(*job)
    assert done.returncode == 1
    assert done.stdout == ""
    assert (
        "Error: cannot submit the job: there is no bucket not-there, where its results are to go; "
        "check --target" in done.stderr
    )
    assert not aws.named("submitjob")
    aws.calls.clear()
    assert laptop.run(*job, "--dry-run").returncode == 0
    assert not aws.calls


def test_target_bucket_that_denies_a_look_is_left_to_the_job(
    laptop: Laptop, aws: AwsServer
) -> None:
    aws.refuse("HEAD /lab-results", "AccessDenied", status=403)
    done = laptop.run(*JOB, *PLACE)
    assert done.returncode == 0, done.stderr
    assert "bucket" not in done.stderr
    assert len(aws.named("submitjob")) == 1
    assert len(aws.named("HEAD /lab-results")) == 1


def test_an_s3_that_cannot_be_reached_from_here_is_left_to_the_job(laptop: Laptop) -> None:
    done = laptop.run(*JOB, *PLACE, "--env", "AWS_ENDPOINT_URL_S3=http://127.0.0.1:9")
    assert done.returncode == 0, done.stderr


def test_throttling_is_waited_out(laptop: Laptop, aws: AwsServer) -> None:
    aws.refuse("submitjob", "TooManyRequestsException", status=429, times=2)
    laptop.submit()
    assert len(aws.named("submitjob")) == 3


def test_a_stack_that_is_not_there_or_does_not_tell(laptop: Laptop, aws: AwsServer) -> None:
    done = laptop.run(*JOB, "--stack", "nowhere")
    assert done.returncode == 1
    assert "cannot read the outputs of the stack nowhere" in done.stderr
    assert "check --stack and --region" in done.stderr
    template = {
        "Resources": {"Bucket": {"Type": "AWS::S3::Bucket"}},
        "Outputs": {"LogGroup": {"Value": "a"}},
    }
    aws.client("cloudformation").create_stack(StackName="mute", TemplateBody=json.dumps(template))
    done = laptop.run(*JOB, "--stack", "mute")
    assert done.returncode == 1
    assert "the stack mute has no output JobQueue, only LogGroup; name another stack" in done.stderr


@pytest.mark.parametrize("command", ["status", "logs", "cancel", "results"])
def test_a_job_that_aws_does_not_know(laptop: Laptop, command: str) -> None:
    done = laptop.run(command, "5cdc694e-2ec9-4b72-8d1c-371a69eff235")
    assert done.returncode == 1
    assert "there is no job 5cdc694e-2ec9-4b72-8d1c-371a69eff235 in us-east-1" in done.stderr
    assert "check --region and --profile" in done.stderr


#: answers with the status 200 that are not from AWS; the first is no XML, the second is
PAGES = {
    "HTML": b"<html><body>Please log in<br></body></html>",
    "XHTML": b"<!DOCTYPE html><html><body><p>Access blocked</p></body></html>",
    "text": b"Access blocked",
    "JSON": b'{"blocked": true}',
}
COMMANDS = {
    "submit": [*JOB, *PLACE],
    "submit to a stack": [*JOB, "--stack", "lab"],
    "submit a prefix": [*JOB[2:], *PLACE, "--source-prefix", "s3://lab-data/raw/", "--yes"],
    "status": ["status", "a-job"],
    "list": ["list", *PLACE[:2]],
    "wait": ["wait", "a-job", "--poll-interval", "0.05"],
    "logs": ["logs", "a-job"],
    "cancel": ["cancel", "a-job"],
    "results": ["results", "a-job"],
    "results of a target": ["results", "s3://lab-results/run"],
    "diagnose a job": ["diagnose", "a-job"],
    "diagnose a queue": ["diagnose", "--queue", "sorting"],
    "infra status": ["infra", "status"],
    "infra up": ["infra", "up", "--yes"],
    "infra down": ["infra", "down", "--yes"],
}
#: commands that read an answer in each of the ways of AWS: JSON, XML, the bytes of an object
READING = ("status", "infra status", "results of a target")


@pytest.mark.parametrize(
    ("command", "page"),
    [
        *((command, "XHTML") for command in COMMANDS),
        *((command, page) for command in READING for page in PAGES),
    ],
)
def test_reply_that_is_not_from_aws_is_refused(laptop: Laptop, command: str, page: str) -> None:
    with page_for_everything(PAGES[page]) as url:
        done = laptop.run(*COMMANDS[command], env={"AWS_ENDPOINT_URL": url})
    assert "Traceback" not in done.stderr
    assert done.returncode == 1
    [line] = refusals(done)
    assert line.startswith("Error: cannot ")
    assert "the response is not from AWS; check the network: a proxy or a login page may be" in line


@contextmanager
def page_for_everything(body: bytes) -> Iterator[str]:
    """A server that answers whatever it is asked with a page for people."""

    class Page(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_POST

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
