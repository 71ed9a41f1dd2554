"""The closing table of the log: a line a sorter, and what the job cost."""

import logging
from datetime import UTC, datetime, timedelta

import pytest

from spikeinterface_cloud.results.log_summary import log_summary, outcome_table
from spikeinterface_cloud.results.outcomes import SorterRun
from spikeinterface_cloud.results.run_record import RunRecord
from spikeinterface_cloud.runtime.ec2_metadata import Instance


@pytest.fixture
def record() -> RunRecord:
    """Two sorters on a machine that nobody knows the price of."""
    labels = {"good": 10, "mua": 2, "noise": 0}
    return RunRecord(
        settings={},
        run_identifier=None,
        sorters=[
            SorterRun(
                sorter="kilosort4",
                outcome="sorted",
                n_units=12,
                labels=labels,
                seconds=3600.0,
                parameters={},
            ),
            SorterRun(sorter="simple", outcome="failed", seconds=1.25, parameters={}),
        ],
        ground_truth={"kilosort4": {"mean_accuracy": 0.876, "n_true_units": 12, "n_found": 11}},
    )


@pytest.fixture
def paid(record: RunRecord) -> RunRecord:
    """The same on demand, for two hours."""
    record.instance = Instance(
        instance_type="g4dn.2xlarge",
        region="us-east-1",
        availability_zone="us-east-1a",
        life_cycle="on-demand",
        identifier="i-0abc",
    )
    record.started = datetime(2026, 1, 1, tzinfo=UTC)
    record.ended = record.started + timedelta(hours=2)
    return record


def test_table_has_a_line_per_sorter(paid: RunRecord) -> None:
    assert outcome_table(paid) == [
        "sorter     outcome  units  labels                   seconds     USD  accuracy",
        "kilosort4  sorted      12  10 good, 2 mua, 0 noise   3600.0  0.7520  "
        "0.88 on average, 11 of 12 true units found",
        "simple     failed       0  -                            1.2  0.0003  -",
    ]


def test_unknown_price_is_a_dash(record: RunRecord) -> None:
    assert outcome_table(record)[1].split()[9:11] == ["3600.0", "-"]


def test_log_ends_with_cost_and_place(paid: RunRecord, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        log_summary(paid, "s3://lab/results")
    *_, cost, place = caplog.messages
    assert cost.startswith("cost so far: 1.50 USD at 0.752 USD an hour")
    assert place == "results (0 Bytes uploaded so far): s3://lab/results"
