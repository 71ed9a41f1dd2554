"""The examples run as they are printed, against a server of AWS and one of DANDI."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from spikeinterface_cloud.config.locations import parse_s3
from spikeinterface_cloud.config.manifest import select_line
from spikeinterface_cloud.config.settings import JobSettings
from tests.support.batch_server import DEFINITION, QUEUE, AwsServer, aws_server
from tests.support.command_blocks import blocks
from tests.support.dandi_stand_in import DandiStandIn
from tests.support.servers import ACCESS_KEY, REGION, SECRET_KEY

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"

SORTED = {"sorter": "kilosort4", "outcome": "sorted", "reason": None}

#: run by tests of their own, or by hand
OTHERS = {"demo.py"}


@pytest.fixture
def aws() -> Iterator[AwsServer]:
    with aws_server() as server:
        server.client("s3").create_bucket(Bucket="my-lab-results")
        yield server


def run(
    aws: AwsServer, folder: Path, *command: str, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run an example from the top of the repository, as its first lines say."""
    return subprocess.run(
        command,
        cwd=ROOT,
        env={
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(folder),
            "PYTHONPATH": ".",
            "AWS_ENDPOINT_URL": aws.url,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_DEFAULT_REGION": REGION,
            "SPIKEINTERFACE_CLOUD_JOB_QUEUE": QUEUE,
            "SPIKEINTERFACE_CLOUD_JOB_DEFINITION": DEFINITION,
            **env,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def environments_of(aws: AwsServer) -> list[dict[str, str]]:
    """The variables of each job that was submitted."""
    return [
        {each["name"]: each["value"] for each in call.body["containerOverrides"]["environment"]}
        for call in aws.named("submitjob")
    ]


def environment_of(aws: AwsServer) -> dict[str, str]:
    """The variables of the one job that was submitted."""
    [environment] = environments_of(aws)
    return environment


def lines_of(aws: AwsServer) -> list[JobSettings]:
    """The jobs of the one array that was submitted, as its children read them."""
    location = parse_s3(environment_of(aws)["MANIFEST_URL"], None)
    reply = aws.client("s3").get_object(Bucket=location.bucket, Key=location.key)
    manifest = reply["Body"].read()
    [call] = aws.named("submitjob")
    return [
        JobSettings.from_env(select_line(manifest, {"AWS_BATCH_JOB_ARRAY_INDEX": str(index)}))
        for index in range(call.body["arrayProperties"]["size"])
    ]


def test_every_example_is_run_by_a_test() -> None:
    tested = Path(__file__).read_text()
    examples = {file.name for file in EXAMPLES.iterdir() if file.is_file()} - OTHERS
    assert {name for name in examples if f'"{name}"' not in tested} == set()


def test_one_recording_from_s3(aws: AwsServer, tmp_path: Path) -> None:
    # what the container leaves behind, as this server runs none
    record = {"status": "succeeded", "sorters": []}
    aws.client("s3").put_object(
        Bucket="my-lab-results", Key="session1/run.json", Body=json.dumps(record).encode()
    )
    done = run(
        aws,
        tmp_path,
        str(EXAMPLES / "one_recording.sh"),
        *("s3://my-lab-data/raw/session1", "s3://my-lab-results/session1"),
        str(tmp_path / "results"),
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "results" / "run.json").read_text()) == record
    settings = JobSettings.from_env(environment_of(aws))
    assert str(settings.source) == "s3://my-lab-data/raw/session1"
    assert settings.sorters == ("kilosort4", "spykingcircus2")


def test_one_asset_of_dandi(aws: AwsServer, tmp_path: Path) -> None:
    asset = "dandi://dandi/000006@draft/sub-1/a.nwb"
    done = run(aws, tmp_path, str(EXAMPLES / "dandi_asset.sh"), asset, "s3://my-lab-results/trial")
    assert done.returncode == 0, done.stderr
    assert "SUCCEEDED" in done.stdout
    settings = JobSettings.from_env(environment_of(aws))
    assert (str(settings.source), settings.test_with_sub_recording) == (asset, True)
    assert settings.sorters_kwargs == {"kilosort4": {"nblocks": 0}}


def test_a_whole_dandiset_and_what_is_left_of_it(aws: AwsServer, tmp_path: Path) -> None:
    file = tmp_path / "a.nwb"
    file.write_bytes(b"nwb")
    with DandiStandIn() as archive:
        for subject in range(3):
            archive.add_asset("000003", f"sub-{subject}/sub-{subject}_ecephys.nwb", file)
        example = (
            str(EXAMPLES / "whole_dandiset.sh"),
            f"{archive.api_url}/dandisets/000003/versions/draft/",
            "s3://my-lab-results/000003",
        )
        done = run(aws, tmp_path, *example, DANDI_INSTANCE_URL=archive.api_url)
        assert done.returncode == 0, done.stderr
        assert "SUCCEEDED" in done.stdout
        targets = [job.target for job in lines_of(aws)]
        assert [str(target) for target in targets] == [
            f"s3://my-lab-results/000003/sub-{subject}/sub-{subject}_ecephys"
            for subject in range(3)
        ]
        for target in targets:
            assert target is not None
            aws.client("s3").put_object(
                Bucket=target.bucket, Key=f"{target.key}/run.json", Body=b'{"status": "succeeded"}'
            )
        again = run(aws, tmp_path, *example, DANDI_INSTANCE_URL=archive.api_url)
    assert (again.returncode, again.stdout) == (0, ""), again.stderr
    assert len(aws.named("submitjob")) == 1


def put_results(aws: AwsServer, *folders: str) -> None:
    """Put the record of a success into each folder of the results' bucket."""
    for n_units, folder in enumerate(folders, 12):
        record = {"status": "succeeded", "sorters": [{**SORTED, "n_units": n_units}]}
        aws.client("s3").put_object(
            Bucket="my-lab-results", Key=f"{folder}/run.json", Body=json.dumps(record).encode()
        )


def run_python(aws: AwsServer, folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run Python in an empty folder."""
    return run(aws, folder, sys.executable, "-c", f"import os; os.chdir({str(folder)!r})\n{code}")


def test_notebook_runs_cell_by_cell(aws: AwsServer, tmp_path: Path) -> None:
    notebook = json.loads((EXAMPLES / "submit_from_python.ipynb").read_text())
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)
    put_results(aws, *(f"thresholds/{threshold}" for threshold in (7, 9, 11)))
    shown = "\nprint(results[11].record['sorters'][0]['n_units'], jobs[9].status().status)"
    done = run_python(aws, tmp_path, "\n".join("".join(cell["source"]) for cell in cells) + shown)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "14 SUCCEEDED\n"
    assert (tmp_path / "threshold-9" / "run.json").is_file()
    sent = [JobSettings.from_env(environment) for environment in environments_of(aws)]
    assert [job.sorters_kwargs for job in sent] == [
        {"kilosort4": {"Th_universal": threshold}} for threshold in (7, 9, 11)
    ]


def test_page_of_the_python_interface_runs_as_it_stands(aws: AwsServer, tmp_path: Path) -> None:
    page = ROOT / "docs" / "reference" / "python.md"
    code = "".join(block.text for block in blocks(page) if block.language == "python")
    put_results(aws, "session1")
    done = run_python(aws, tmp_path, code)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert (tmp_path / "session1" / "run.json").is_file()
    assert environment_of(aws)["SORTERS"] == "kilosort4"


@pytest.mark.parametrize(
    ("name", "usage"),
    [
        ("one_recording.sh", "SOURCE TARGET FOLDER"),
        ("dandi_asset.sh", "ASSET TARGET"),
        ("whole_dandiset.sh", "DANDISET TARGET"),
    ],
)
def test_a_script_without_arguments_says_what_it_wants(
    aws: AwsServer, tmp_path: Path, name: str, usage: str
) -> None:
    done = run(aws, tmp_path, str(EXAMPLES / name))
    assert done.returncode == 2
    assert done.stderr == f"usage: {EXAMPLES / name} {usage}\n"


def test_a_recording_that_left_no_record_ends_its_script_badly(
    aws: AwsServer, tmp_path: Path
) -> None:
    done = run(
        aws,
        tmp_path,
        str(EXAMPLES / "one_recording.sh"),
        *("s3://my-lab-data/raw/session1", "s3://my-lab-results/without-record"),
        str(tmp_path / "results"),
    )
    assert done.returncode == 1
    assert "s3://my-lab-results/without-record has no run.json: " in done.stderr
    assert " is SUCCEEDED" in done.stderr
