"""The machine is taken back while a sorter runs: SIGTERM comes, and SIGKILL 30 seconds later."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import spikeinterface as si

from tests.end_to_end.containers.cloud import Cloud
from tests.end_to_end.containers.conftest import TARGET_BUCKET, Source
from tests.end_to_end.containers.containers import Finished, started_container
from tests.support.sorted_results import download_folder, n_true_units_found, read_record

pytestmark = [pytest.mark.integration, pytest.mark.sorting, pytest.mark.docker]

#: what Docker and Batch allow between SIGTERM and SIGKILL
GRACE_S = 30


@dataclass(frozen=True, kw_only=True, slots=True)
class Stopped:
    """A container that was stopped, and what it had published."""

    finished: Finished
    seconds: float
    published: Path


@pytest.fixture(scope="module")
def stopped(
    image: str, cloud: Cloud, source: Source, tmp_path_factory: pytest.TempPathFactory
) -> Stopped:
    target = {"TARGET_AWS_S3_BUCKET": TARGET_BUCKET, "TARGET_AWS_S3_BUCKET_FOLDER": "stopped"}
    variables = cloud.variables | source.variables | target
    variables["SORTERS"] = "simple,tridesclous2"
    with started_container(image, variables=variables) as container:
        container.wait_for("sort with tridesclous2 ...")
        time.sleep(5)  # into the sorting itself
        seconds = container.stop(GRACE_S)
        finished = container.finished()
    folder = tmp_path_factory.mktemp("stopped")
    published = download_folder(cloud.server.client, TARGET_BUCKET, "stopped", folder)
    return Stopped(finished=finished, seconds=seconds, published=published)


def test_it_leaves_in_time_and_asks_to_be_tried_again(stopped: Stopped) -> None:
    assert stopped.finished.exit_code == 75, stopped.finished.log
    assert stopped.seconds < GRACE_S
    assert "stopped by SIGTERM" in stopped.finished.log
    assert "Traceback" not in stopped.finished.log


def test_the_finished_sorter_and_the_log_are_published(stopped: Stopped, source: Source) -> None:
    assert n_true_units_found(stopped.published, "simple", source.simulated.truth) == 3
    si.load_sorting_analyzer(stopped.published / "simple" / "analyzer.zarr")
    assert "sort with tridesclous2 stopped after" in (stopped.published / "run.log").read_text()
    record = read_record(stopped.published)
    assert (record["status"], record["exit_code"]) == ("interrupted", 75)
    assert [(run["sorter"], run["outcome"]) for run in record["sorters"]] == [("simple", "sorted")]
