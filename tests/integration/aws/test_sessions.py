"""Submitting sessions: a job for each stream, and one that gathers their results."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from spikeinterface_cloud.config.locations import parse_s3
from spikeinterface_cloud.config.manifest import select_line
from spikeinterface_cloud.config.settings import JobSettings
from tests.support.batch_server import AwsServer
from tests.support.laptop import PLACE, Laptop

pytestmark = pytest.mark.integration

BUCKET, TARGET = "lab-sessions", "lab-results"

STREAMS = ("imec0.ap", "imec0.lf", "imec1.ap", "imec1.lf", "nidq")

OPEN_EPHYS = {
    "Neuropix-PXI-100.ProbeA-AP": 3000,
    "Neuropix-PXI-100.ProbeA-LFP": 250,
    "NI-DAQmx-103.PXIe-6341": 3000,
}

SORT = ("--sorters", "simple", *PLACE)


def put(aws: AwsServer, files: Iterable[tuple[str, bytes]]) -> None:
    for key, content in files:
        aws.client("s3").put_object(Bucket=BUCKET, Key=key, Body=content)


def spikeglx_run(
    folder: str, run: str = "run", streams: Iterable[str] = STREAMS
) -> Iterator[tuple[str, bytes]]:
    """The files of a run with a folder for each probe."""
    for stream in streams:
        probe = f"{run}_g0_{stream.partition('.')[0]}/" if stream.startswith("imec") else ""
        for ending, content in (("bin", b"12" * 1000), ("meta", b"a=1")):
            yield f"{folder}/{probe}{run}_g0_t0.{stream}.{ending}", content


@pytest.fixture(scope="module", autouse=True)
def stored(account: AwsServer) -> None:
    """A bucket with sessions."""
    account.client("s3").create_bucket(Bucket=BUCKET)
    put(account, spikeglx_run("raw/run_g0"))
    put(account, spikeglx_run("one/probe_g0", streams=["imec0.ap", "nidq"]))
    put(account, spikeglx_run("lfp", streams=["imec0.lf", "nidq"]))
    for mouse in ("mouse1", "mouse2"):
        put(account, spikeglx_run(f"many/{mouse}", run=mouse))
    node = "oe/Record Node 101/experiment1/recording1"
    put(account, [(f"{node}/structure.oebin", b"{}")])
    for stream, n_samples in OPEN_EPHYS.items():
        folder = f"{node}/continuous/{stream}"
        put(account, [(f"{folder}/continuous.dat", bytes(4 * n_samples))])
        put(account, [(f"{folder}/sample_numbers.npy", bytes(128 + 8 * n_samples))])


@pytest.fixture
def target() -> str:
    """A target that no other test has used."""
    return f"s3://{TARGET}/{uuid.uuid4().hex}"


def requests(aws: AwsServer) -> list[Any]:
    return [call.body for call in aws.named("submitjob")]


def environment_of(request: Any) -> dict[str, str]:
    return {each["name"]: each["value"] for each in request["containerOverrides"]["environment"]}


def children_of(aws: AwsServer, request: Any) -> list[JobSettings]:
    """The settings of the children of an array."""
    location = parse_s3(environment_of(request)["MANIFEST_URL"], None)
    reply = aws.client("s3").get_object(Bucket=location.bucket, Key=location.key)
    data = reply["Body"].read()
    size = request["arrayProperties"]["size"]
    lines = (select_line(data, {"AWS_BATCH_JOB_ARRAY_INDEX": str(n)}) for n in range(size))
    return [JobSettings.from_env(line) for line in lines]


def session(laptop: Laptop, folder: str, target: str, *more: str) -> Any:
    return laptop.run(
        *("--session", f"s3://{BUCKET}/{folder}", "--data-type", "spikeglx"),
        *("--target", target, *SORT, *more),
    )


def test_a_session_is_an_array_of_its_streams_and_a_job_that_gathers_them(
    laptop: Laptop, aws: AwsServer, target: str
) -> None:
    done = session(laptop, "raw/run_g0", target, "--yes", "--exports", "nwb")
    assert done.returncode == 0, done.stderr
    array, gathering = requests(aws)
    array_id, gathering_id = done.stdout.split()
    assert array_id != gathering_id
    assert array["arrayProperties"] == {"size": 2}
    assert array["containerOverrides"]["command"] == [
        *("python", "run_script.py", "--part-of-session")
    ]
    for child, stream in zip(children_of(aws, array), ("imec0.ap", "imec1.ap"), strict=True):
        assert child.read_recording_kwargs == {"stream_id": stream}
        assert str(child.target) == f"{target}/{stream}"
        assert str(child.source) == f"s3://{BUCKET}/raw/run_g0"
        assert child.to_env()["CLOCK"] == "nidq"
        assert "STREAMS" not in child.to_env()
    assert gathering["containerOverrides"]["command"] == ["python", "run_script.py", "--gather"]
    assert gathering["dependsOn"] == [{"jobId": array_id}]
    assert "arrayProperties" not in gathering
    variables = environment_of(gathering)
    assert variables["STREAMS"] == "imec0.ap,imec1.ap"
    assert variables["CLOCK"] == "nidq"
    settings = JobSettings.from_env(variables)
    assert str(settings.target) == target
    assert settings.exports == ("nwb",)
    assert settings.read_recording_kwargs == {}


def test_the_streams_are_shown_with_their_sizes_and_those_that_are_not_sorted(
    laptop: Laptop, aws: AwsServer, target: str
) -> None:
    code, output = laptop.answer(
        *("n", "--session", f"s3://{BUCKET}/raw/run_g0", "--data-type", "spikeglx"),
        *("--target", target, *SORT),
    )
    assert code == 1
    assert "imec1.ap" in output
    assert "2.0 KiB" in output
    assert "not sorted: nidq, imec0.lf, imec1.lf" in output
    assert "reference clock: nidq" in output
    assert "2 streams, 3.9 KiB in all" in output
    assert "Submit them in" in output
    assert requests(aws) == []


def test_one_stream_is_a_single_job_and_is_gathered_too(
    laptop: Laptop, aws: AwsServer, target: str
) -> None:
    done = session(laptop, "one/probe_g0", target, "--yes", "--json")
    assert done.returncode == 0, done.stderr
    sorting, gathering = requests(aws)
    assert "arrayProperties" not in sorting
    assert sorting["containerOverrides"]["command"][-1] == "--part-of-session"
    assert environment_of(sorting)["TARGET_AWS_S3_BUCKET_FOLDER"].endswith("/imec0.ap")
    first, second = map(json.loads, done.stdout.splitlines())
    assert gathering["dependsOn"] == [{"jobId": first["jobId"]}]
    assert second["jobName"] == gathering["jobName"]
    assert gathering["jobName"].startswith("probe_g0-gather-")


def test_named_streams_and_clock_are_passed_on(laptop: Laptop, aws: AwsServer, target: str) -> None:
    done = session(
        laptop, "raw/run_g0", target, "--yes", "--streams", "imec1.ap", "--clock", "none"
    )
    assert done.returncode == 0, done.stderr
    sorting, gathering = requests(aws)
    assert environment_of(sorting)["CLOCK"] == "none"
    assert environment_of(gathering)["STREAMS"] == "imec1.ap"
    assert "not sorted: imec0.ap, nidq" in done.stderr


def test_open_ephys_streams_are_named_by_probe(laptop: Laptop, aws: AwsServer, target: str) -> None:
    done = session(laptop, "oe", target, "--yes", "--data-type", "openephys")
    assert done.returncode == 0, done.stderr
    sorting, gathering = requests(aws)
    settings = JobSettings.from_env(environment_of(sorting))
    assert settings.read_recording_kwargs == {
        "stream_name": "Record Node 101#Neuropix-PXI-100.ProbeA-AP"
    }
    assert str(settings.target) == f"{target}/ProbeA-AP"
    assert environment_of(gathering)["STREAMS"] == "ProbeA-AP"
    assert environment_of(gathering)["CLOCK"] == "PXIe-6341"


def test_series_of_nwb_are_named_and_share_the_clock_of_the_file(
    laptop: Laptop, aws: AwsServer, target: str
) -> None:
    series = "acquisition/ProbeA,acquisition/ProbeB"
    options = (*("--data-type", "nwb"), *("--streams", series), "--yes")
    done = session(laptop, "a.nwb", target, *options)
    assert done.returncode == 0, done.stderr
    array, gathering = requests(aws)
    assert [child.read_recording_kwargs for child in children_of(aws, array)] == [
        {"electrical_series_path": "acquisition/ProbeA"},
        {"electrical_series_path": "acquisition/ProbeB"},
    ]
    assert environment_of(gathering)["STREAMS"] == series
    assert environment_of(gathering)["CLOCK"] == "none"


def test_each_session_of_a_list_has_an_array_and_a_gathering_job_of_its_own(
    laptop: Laptop, aws: AwsServer, target: str
) -> None:
    done = laptop.run(
        *("--source-prefix", f"s3://{BUCKET}/many/", "--streams", "all", "--yes"),
        *("--data-type", "spikeglx", "--target", target, *SORT),
    )
    assert done.returncode == 0, done.stderr
    first, gather_first, second, gather_second = requests(aws)
    ids = done.stdout.split()
    assert gather_first["dependsOn"] == [{"jobId": ids[0]}]
    assert gather_second["dependsOn"] == [{"jobId": ids[2]}]
    targets = [str(child.target) for array in (first, second) for child in children_of(aws, array)]
    assert targets == [
        f"{target}/{mouse}/{stream}"
        for mouse in ("mouse1", "mouse2")
        for stream in ("imec0.ap", "imec1.ap")
    ]
    assert "2 sessions, 4 streams" in done.stderr


def test_sessions_of_a_table_have_the_streams_that_it_names(
    laptop: Laptop, aws: AwsServer, target: str
) -> None:
    table = laptop.folder / "sessions.csv"
    rows = [f"{BUCKET},many/mouse1,imec1.ap,none", f"{BUCKET},many/mouse2,,"]
    columns = "AWS_S3_BUCKET,AWS_S3_BUCKET_FOLDER,STREAMS,CLOCK"
    table.write_text("\n".join([columns, *rows]))
    done = laptop.run(
        *("--csv", str(table), "--streams", "all", "--yes", "--data-type", "spikeglx"),
        *("--target", target, *SORT),
    )
    assert done.returncode == 0, done.stderr
    _, gather_first, _, gather_second = requests(aws)
    assert environment_of(gather_first)["STREAMS"] == "imec1.ap"
    assert environment_of(gather_first)["CLOCK"] == "none"
    assert environment_of(gather_second)["STREAMS"] == "imec0.ap,imec1.ap"


def test_series_of_an_asset_on_dandi_are_a_session(
    laptop: Laptop, aws: AwsServer, target: str
) -> None:
    asset = "dandi://dandi/000006@draft/sub-1/sub-1_ecephys.nwb"
    done = laptop.run(
        *("--session", asset, "--streams", "acquisition/A,acquisition/B", "--yes"),
        *("--target", target, *SORT),
    )
    assert done.returncode == 0, done.stderr
    array, gathering = requests(aws)
    assert [str(child.source) for child in children_of(aws, array)] == [asset, asset]
    assert str(JobSettings.from_env(environment_of(gathering)).source) == asset
    assert gathering["jobName"].startswith("sub-1_ecephys-gather-")


def test_dry_run_shows_what_the_gathering_job_waits_for(
    laptop: Laptop, aws: AwsServer, target: str
) -> None:
    done = session(laptop, "raw/run_g0", target, "--dry-run")
    assert done.returncode == 0, done.stderr
    decoder = json.JSONDecoder()
    array, end = decoder.raw_decode(done.stdout)
    gathering, _ = decoder.raw_decode(done.stdout[end:].lstrip())
    assert gathering["dependsOn"] == [{"jobId": f"<the id of {array['jobName']}>"}]
    assert requests(aws) == []


# ----- queues ------------------------------------------------------------------------------------


def test_the_gathering_job_runs_on_the_cpus_of_the_stack(
    laptop: Laptop, aws: AwsServer, target: str
) -> None:
    gpu, cpu = f"gpu-{uuid.uuid4().hex}", f"cpu-{uuid.uuid4().hex}"
    outputs = {
        "JobQueue": "gpu",
        "JobDefinition": gpu,
        "CpuJobQueue": "cpu",
        "CpuJobDefinition": cpu,
    }
    template = {
        "Resources": {"topic": {"Type": "AWS::SNS::Topic"}},
        "Outputs": {name: {"Value": value} for name, value in outputs.items()},
    }
    stack = f"sessions-{uuid.uuid4().hex}"
    aws.client("cloudformation").create_stack(StackName=stack, TemplateBody=json.dumps(template))
    done = laptop.run(
        *("--session", f"s3://{BUCKET}/raw/run_g0", "--data-type", "spikeglx", "--sorters"),
        *("simple", "--target", target, "--stack", stack, "--gpus", "1", "--memory", "60GiB"),
        "--dry-run",
    )
    assert done.returncode == 0, done.stderr
    decoder = json.JSONDecoder()
    array, end = decoder.raw_decode(done.stdout)
    gathering, _ = decoder.raw_decode(done.stdout[end:].lstrip())
    assert (array["jobQueue"], array["jobDefinition"]) == ("gpu", gpu)
    assert (gathering["jobQueue"], gathering["jobDefinition"]) == ("cpu", cpu)
    assert "resourceRequirements" in array["containerOverrides"]
    assert "resourceRequirements" not in gathering["containerOverrides"]
    refused = laptop.run(
        *("--session", f"s3://{BUCKET}/raw/run_g0", "--data-type", "spikeglx", "--sorters"),
        *("kilosort4", "--target", target, "--stack", stack, "--compute", "cpu", "--dry-run"),
    )
    assert refused.returncode == 2
    assert "--compute cpu: kilosort4 needs a GPU" in refused.stderr


# ----- a second submission -----------------------------------------------------------------------


def test_skip_existing_submits_no_session_that_is_gathered(
    laptop: Laptop, aws: AwsServer, target: str
) -> None:
    first = session(laptop, "raw/run_g0", target, "--yes")
    again = session(laptop, "raw/run_g0", target, "--yes", "--skip-existing")
    assert again.stdout.split() == first.stdout.split()[1:]
    assert len(requests(aws)) == 2


def test_skip_existing_gathers_an_array_that_still_runs(
    laptop: Laptop, aws: AwsServer, target: str
) -> None:
    array, gathering = session(laptop, "raw/run_g0", target, "--yes").stdout.split()
    aws.set_fate(array, status="RUNNING")
    aws.set_fate(gathering, status="FAILED")
    again = session(laptop, "raw/run_g0", target, "--yes", "--skip-existing")
    assert again.stdout.split()[0] == array
    assert requests(aws)[-1]["dependsOn"] == [{"jobId": array}]
    assert len(requests(aws)) == 3


def test_skip_existing_submits_streams_again_whose_gathering_failed(
    laptop: Laptop, aws: AwsServer, target: str
) -> None:
    """A child of a failed stream succeeds for AWS, so that its session is gathered all the same."""
    array, gathering = session(laptop, "raw/run_g0", target, "--yes").stdout.split()
    aws.set_fate(gathering, status="FAILED")
    again = session(laptop, "raw/run_g0", target, "--yes", "--skip-existing")
    assert again.stdout.split()[0] != array
    assert len(requests(aws)) == 4


def test_skip_completed_leaves_out_streams_and_sessions_that_have_succeeded(
    laptop: Laptop, aws: AwsServer, target: str
) -> None:
    folder = parse_s3(target, None).key
    s3 = aws.client("s3")
    for key in ("mouse1/session/session.json", "mouse2/imec0.ap/run.json"):
        s3.put_object(Bucket=TARGET, Key=f"{folder}/{key}", Body=b'{"status": "succeeded"}')
    options = (*("--source-prefix", f"s3://{BUCKET}/many/", "--streams", "all"), "--yes")
    common = (*("--data-type", "spikeglx", "--target", target, *SORT), "--skip-completed")
    done = laptop.run(*options, *common)
    assert done.returncode == 0, done.stderr
    sorting, gathering = requests(aws)
    assert environment_of(sorting)["TARGET_AWS_S3_BUCKET_FOLDER"] == f"{folder}/mouse2/imec1.ap"
    assert environment_of(gathering)["STREAMS"] == "imec0.ap,imec1.ap"
    s3.put_object(
        Bucket=TARGET, Key=f"{folder}/mouse2/imec1.ap/run.json", Body=b'{"status": "succeeded"}'
    )
    aws.calls.clear()
    done = laptop.run(*options, *common)
    assert done.returncode == 0, done.stderr
    [only] = requests(aws)
    assert only["containerOverrides"]["command"][-1] == "--gather"
    assert "dependsOn" not in only


def test_skip_completed_submits_sessions_that_succeeded_with_other_sorters(
    laptop: Laptop, aws: AwsServer, target: str
) -> None:
    folder = parse_s3(target, None).key
    s3 = aws.client("s3")
    record = {"status": "succeeded", "settings": {"SORTERS": "spykingcircus2"}}
    for name in ("session/session.json", "imec0.ap/run.json", "imec1.ap/run.json"):
        key = f"{folder}/{name}"
        s3.put_object(Bucket=TARGET, Key=key, Body=json.dumps(record).encode())
    options = ("raw/run_g0", target, "--yes", "--skip-completed")
    done = session(laptop, *options, "--sorters", "spykingcircus2")
    assert "there is nothing to submit" in done.stderr
    done = session(laptop, *options, "--sorters", "spykingcircus2,simple")
    assert done.returncode == 0, done.stderr
    assert "although they have succeeded, with other SORTERS: 2; " in done.stderr
    sorting, _ = requests(aws)
    assert sorting["arrayProperties"]["size"] == 2


# ----- afterwards --------------------------------------------------------------------------------


def test_a_gathering_job_fails_with_an_array_that_fails(
    laptop: Laptop, aws: AwsServer, target: str
) -> None:
    array, gathering = session(laptop, "raw/run_g0", target, "--yes").stdout.split()
    aws.set_fate(array, status="RUNNING")
    assert "PENDING" in laptop.run("status", gathering).stdout
    aws.set_fate(array, status="FAILED")
    done = laptop.run("wait", array, gathering, "--poll-interval", "0.1")
    assert done.returncode == 1
    assert f"{gathering} is FAILED: Dependent Job failed" in done.stderr


def test_follow_ends_as_the_gathering_job_does(laptop: Laptop, aws: AwsServer, target: str) -> None:
    described: list[str] = []

    def fail_the_second(call: Any) -> None:
        if call.action == "describejobs":
            described.extend(call.body["jobs"])
            if described[-1] != described[0]:
                aws.set_fate(described[-1], status="FAILED", container={"exitCode": 70})

    aws.on_call = fail_the_second
    done = session(laptop, "raw/run_g0", target, "--yes", "--follow", "--poll-interval", "0.1")
    assert done.returncode == 70, done.stderr


def test_results_of_a_session_are_those_of_its_streams(
    laptop: Laptop, aws: AwsServer, target: str
) -> None:
    _, gathering = session(laptop, "raw/run_g0", target, "--yes").stdout.split()
    record = {
        "status": "failed",
        "error": "imec1.ap failed",
        "streams": [
            {
                "name": "imec0.ap",
                "status": "succeeded",
                "sorters": [{"sorter": "simple", "outcome": "sorted", "n_units": 3}],
            },
            {"name": "imec1.ap", "status": "failed", "error": "no spikes", "sorters": []},
        ],
    }
    key = f"{parse_s3(target, None).key}/session/session.json"
    aws.client("s3").put_object(Bucket=TARGET, Key=key, Body=json.dumps(record).encode())
    for name in (gathering, target):
        done = laptop.run("results", name)
        assert done.returncode == 0, done.stderr
        assert f"{target}: failed: imec1.ap failed" in done.stdout
        assert "imec0.ap: succeeded\n  simple: sorted, 3 units" in done.stdout
        assert "imec1.ap: failed: no spikes" in done.stdout


# ----- refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("folder", "options", "code", "message"),
    [
        ("nothing", [], 66, "nothing"),
        ("lfp", [], 65, "no AP band to sort, only imec0.lf, nidq"),
        ("many", [], 78, "2 runs"),
        ("raw/run_g0", ["--streams", "imec2.ap"], 78, "there are imec0.ap, imec1.ap"),
        ("raw/run_g0", ["--streams", "imec0.lf"], 78, "is not a stream of the session that can be"),
        ("raw/run_g0", ["--clock", "obx0"], 78, "CLOCK: 'obx0' is not among"),
        ("raw/run_g0", ["--data-type", "intan"], 78, "is not split into streams"),
        ("raw/run_g0", ["--data-type", "nwb"], 78, "name the series to sort"),
        ("raw/run_g0", ["--read-recording-kwargs", '{"stream_id": "imec0.ap"}'], 78, "STREAMS"),
        ("raw/run_g0/run_g0_t0.nidq.bin", [], 78, "is one file"),
        ("raw/run_g0", ["--source", "s3://lab/a"], 2, "--session and --source: give one"),
        ("raw/run_g0", ["--dandiset", "000003"], 2, "--session and --dandiset: give one"),
    ],
)
def test_what_cannot_be_a_session_is_refused(
    laptop: Laptop,
    aws: AwsServer,
    target: str,
    folder: str,
    options: list[str],
    code: int,
    message: str,
) -> None:
    done = session(laptop, folder, target, "--yes", *options)
    assert message in done.stderr
    assert done.returncode == code
    assert requests(aws) == []


def test_a_list_with_a_folder_that_is_no_session_is_refused_with_its_name(
    laptop: Laptop, aws: AwsServer, target: str
) -> None:
    done = laptop.run(
        *("--source-prefix", f"s3://{BUCKET}/", "--streams", "all", "--yes"),
        *("--match", "*", "--match", "*/", "--data-type", "spikeglx", "--target", target, *SORT),
    )
    assert done.returncode == 78
    assert "lfp: there is no AP band" in done.stderr
    assert "oe: no SpikeGLX recording" in done.stderr
    assert requests(aws) == []


@pytest.mark.parametrize("option", [("--streams", "all"), ("--clock", "nidq")])
def test_streams_of_a_single_source_are_refused_with_what_to_give_instead(
    laptop: Laptop, option: tuple[str, str]
) -> None:
    done = laptop.run("--source", "s3://lab/a", "--data-type", "spikeglx", *option, *SORT)
    assert done.returncode == 2
    assert "--env STREAMS=all" in done.stderr


def test_a_session_has_to_be_on_s3(laptop: Laptop, target: str) -> None:
    for folder in ("/data/run_g0", str(Path("run_g0"))):
        done = laptop.run("--session", folder, "--data-type", "spikeglx", "--target", target, *SORT)
        assert done.returncode == 78
        assert "--session" in done.stderr
        assert "is not on S3" in done.stderr
