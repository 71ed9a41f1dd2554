"""A sorter runs while the units of the one before are analyzed: neither disturbs the other, and
both give what they give one after the other."""

import signal
import time
import uuid
from pathlib import Path

import pytest

from tests.end_to_end.conftest import UNSAVED_PROVENANCE, Simulated
from tests.support.job import (
    INTERPRETED,
    Job,
    assert_succeeded,
    processes_with_variable,
    run_job,
    sorter_processes,
    start_job,
    wait_for_log,
)
from tests.support.recordings import write_binary_folder
from tests.support.sorted_results import n_true_units_found

pytestmark = [pytest.mark.integration, pytest.mark.sorting, UNSAVED_PROVENANCE]

FIRST, SECOND = "simple", "spykingcircus2"

#: files, or the folders that they are in, that hold times and paths
OF_THE_RUN = {"completed.json", "output.log", "sorter_log.json", "runtime_s"}
OF_THE_RUN |= {".zattrs", ".zmetadata", "provenance.json", "si_folder.json", "recording"}


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory, simulated: Simulated) -> dict[str, str]:
    source = write_binary_folder(tmp_path_factory.mktemp("source") / "source", simulated.recording)
    return INTERPRETED | {
        "SOURCE_FOLDER": str(source),
        "DATA_TYPE": "binary",
        "SORTERS": f"{FIRST},{SECOND}",
        "SORTERS_KWARGS": f'{{"{FIRST}": {{"seed": 0}}}}',
    }


@pytest.fixture(scope="module")
def overlapped(tmp_path_factory: pytest.TempPathFactory, variables: dict[str, str]) -> Job:
    return run_job(tmp_path_factory.mktemp("overlapped"), variables)


@pytest.fixture(scope="module")
def stopped(
    tmp_path_factory: pytest.TempPathFactory, variables: dict[str, str]
) -> tuple[Job, list[int]]:
    """A job that was stopped while both ran, and the processes that it left behind."""
    folder, identifier = tmp_path_factory.mktemp("stopped"), str(uuid.uuid4())
    with start_job(folder, variables | {"RUN_IDENTIFIER": identifier}) as process:
        log = wait_for_log(process, f"analyze {FIRST} ...", timeout_s=400)
        deadline = time.monotonic() + 60
        while not sorter_processes(identifier):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        output, rest = process.communicate(timeout=120)
        left = processes_with_variable("RUN_IDENTIFIER", identifier)
    return Job(folder=folder, exit_code=process.returncode, output=output, log=log + rest), left


@pytest.fixture(scope="module")
def resumed(stopped: tuple[Job, list[int]], variables: dict[str, str]) -> Job:
    """The next attempt, whose second sorter runs before any analysis."""
    return run_job(stopped[0].folder, variables)


def contents(results: Path) -> dict[str, bytes]:
    """What the first sorter and its analysis have found, by file."""
    folder = results / FIRST
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and not OF_THE_RUN.intersection(file.relative_to(folder).parts)
    }


def test_next_sorter_starts_before_the_analysis(overlapped: Job) -> None:
    assert_succeeded(overlapped)
    assert list(overlapped.outcomes()) == [FIRST, SECOND]
    log = overlapped.log
    assert log.index(f"sort with {SECOND} ...") < log.index(f"analyze {FIRST} done")
    steps = {step["name"]: step["seconds"] for step in overlapped.record["steps"]}
    assert steps[f"sort with {SECOND}"] > 0
    assert steps[f"analyze {FIRST}"] > 0


def test_job_stopped_while_both_run_ends_both(stopped: tuple[Job, list[int]]) -> None:
    job, left = stopped
    assert job.exit_code == 75, job.log
    assert left == []
    assert "Traceback" not in job.log
    [message] = job.errors
    assert message.startswith("stopped by SIGTERM; ")
    for step in (f"analyze {FIRST}", f"sort with {SECOND}"):
        assert f"{step} stopped after" in job.log
    assert all(step["seconds"] is not None for step in job.record["steps"])
    assert (job.record["status"], job.record["sorters"]) == ("interrupted", [])
    assert (job.results / FIRST / "raw_sorting").is_dir()


def test_results_are_the_same_one_after_the_other(
    overlapped: Job, resumed: Job, simulated: Simulated
) -> None:
    """Those of the first sorter, which leaves nothing to chance, bit by bit."""
    assert_succeeded(resumed)
    assert resumed.outcomes() == {FIRST: "resumed", SECOND: "sorted"}
    log = resumed.log
    assert log.index(f"sort with {SECOND} done") < log.index("analyze ")
    expected, found = contents(overlapped.results), contents(resumed.results)
    assert {"sorting/spikes.npy", "quality_metrics.csv"} <= expected.keys()
    assert found.keys() == expected.keys()
    assert [name for name in found if found[name] != expected[name]] == []
    for job in (overlapped, resumed):
        assert n_true_units_found(job.results, SECOND, simulated.truth) == 3
