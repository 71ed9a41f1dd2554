"""A job on an EC2 instance says what it costs; the instance's metadata come from a stand-in."""

from datetime import datetime

import pytest

from spikeinterface_cloud.prices import AS_OF
from tests.end_to_end.conftest import UNSAVED_PROVENANCE, Simulated
from tests.support.job import LOG_PREFIX, ONE_WORKER, Job, assert_succeeded, run_job
from tests.support.metadata_stand_in import metadata_stand_in
from tests.support.recordings import write_binary_folder

pytestmark = [pytest.mark.integration, pytest.mark.sorting, UNSAVED_PROVENANCE]


@pytest.fixture(scope="module")
def paid_job(tmp_path_factory: pytest.TempPathFactory, simulated: Simulated) -> Job:
    folder = tmp_path_factory.mktemp("paid")
    source = write_binary_folder(folder / "source", simulated.recording)
    with metadata_stand_in() as metadata:
        metadata.documents["/latest/meta-data/instance-life-cycle"] = b"on-demand"
        return run_job(
            folder / "job",
            ONE_WORKER
            | metadata.environ
            | {
                "SOURCE_FOLDER": str(source),
                "DATA_TYPE": "binary",
                "PREPROCESSING": "none",
                "SORTERS": "simple",
            },
        )


def test_the_record_tells_the_instance_and_its_price(paid_job: Job) -> None:
    assert_succeeded(paid_job)
    record = paid_job.record
    assert record["instance"]["instance_type"] == "g4dn.2xlarge"
    assert record["instance"]["life_cycle"] == "on-demand"
    cost = record["cost"]
    assert cost["usd_per_hour"] == 0.752
    assert cost["usd"] == pytest.approx(cost["seconds"] * 0.752 / 3600, abs=1e-6)
    started, ended = (datetime.fromisoformat(record[name]) for name in ("started", "ended"))
    assert cost["seconds"] == pytest.approx((ended - started).total_seconds(), abs=1.0)
    assert cost["prices_as_of"] == str(AS_OF)


def test_the_log_closes_with_a_table(paid_job: Job) -> None:
    lines = LOG_PREFIX.sub("", paid_job.log).splitlines()
    head = next(number for number, line in enumerate(lines) if line.startswith("sorter "))
    assert lines[head].split() == [
        *("sorter", "outcome", "units", "labels", "seconds", "USD", "accuracy")
    ]
    row = lines[head + 1].split()
    assert row[:3] == ["simple", "sorted", "3"]
    assert float(row[-2]) > 0
    rest = lines[head + 2 :]
    assert any(line.endswith(f"USD at 0.752 USD an hour ({AS_OF})") for line in rest)
    assert any(line.endswith(str(paid_job.results)) for line in rest)


def test_the_log_begins_with_the_instance(paid_job: Job) -> None:
    assert "g4dn.2xlarge, us-east-1, us-east-1d, on-demand, i-0abc" in paid_job.log
