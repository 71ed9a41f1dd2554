"""A sorter runs while the units of the one before are analyzed, and neither disturbs the other."""

import signal
import time
import uuid
from pathlib import Path

import numpy as np
import pytest
import zarr

from spikeinterface_cloud.analysis.analyzer import AnalysisFolders, analyze, load_sorting
from spikeinterface_cloud.preprocessing.pipeline import preprocess
from spikeinterface_cloud.recording.open import open_source
from spikeinterface_cloud.recording.source import FetchedSource
from spikeinterface_cloud.results.layout import ANALYZER, SORTING
from spikeinterface_cloud.results.outcomes import SorterRun
from tests.end_to_end.conftest import UNSAVED_PROVENANCE, Simulated
from tests.support.job import (
    ONE_WORKER,
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


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory, simulated: Simulated) -> dict[str, str]:
    source = write_binary_folder(tmp_path_factory.mktemp("source") / "source", simulated.recording)
    return ONE_WORKER | {
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


def arrays(results: Path) -> dict[str, np.ndarray]:
    """The numbers that an analysis has found, by their names in the analyzer."""
    found: dict[str, np.ndarray] = {}

    def add(name: str, item: zarr.Array | zarr.Group) -> None:
        if isinstance(item, zarr.Array) and item.dtype.kind in "fiub":
            found[name] = item[()]

    zarr.open_consolidated(str(results / FIRST / ANALYZER), mode="r").visititems(add)
    return found


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


@pytest.mark.filterwarnings("ignore::UserWarning:spikeinterface.core.analyzer_extension_core")
@pytest.mark.filterwarnings("ignore::UserWarning:spikeinterface.metrics")
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.filterwarnings("ignore:The inplace keyword:DeprecationWarning")
def test_analysis_beside_a_sorter_gives_the_numbers_of_one_alone(
    overlapped: Job, variables: dict[str, str], tmp_path: Path
) -> None:
    """Of the same spikes: a sorter itself may move one by a sample from run to run."""
    source = FetchedSource(path=Path(variables["SOURCE_FOLDER"]))
    opened = open_source(source, "binary", {}, None)
    sorters = {FIRST: {"seed": 0}, SECOND: {}}
    preprocessed = preprocess(opened.recording, "default", sorters, tmp_path / "preprocessed")
    sorting = load_sorting(overlapped.results / FIRST / SORTING)
    run = SorterRun(sorter=FIRST, outcome="sorted", n_units=3, parameters={})
    folders = AnalysisFolders(scratch=tmp_path / "analyzer", results=tmp_path / "alone" / FIRST)
    folders.results.mkdir(parents=True)
    analyzed, _ = analyze(run, sorting, preprocessed.filtered_recording, folders)
    assert analyzed.outcome == "sorted", analyzed.reason
    alone, beside = arrays(tmp_path / "alone"), arrays(overlapped.results)
    assert {"extensions/waveforms/waveforms", "extensions/quality_metrics/metrics/snr"} <= {*alone}
    assert alone.keys() == beside.keys()
    for name, numbers in alone.items():
        np.testing.assert_allclose(beside[name], numbers, rtol=1e-5, atol=1e-5, err_msg=name)


def test_stopped_job_is_resumed_one_after_the_other(resumed: Job, simulated: Simulated) -> None:
    assert_succeeded(resumed)
    assert resumed.outcomes() == {FIRST: "resumed", SECOND: "sorted"}
    log = resumed.log
    assert log.index(f"sort with {SECOND} done") < log.index("analyze ")
    for sorter in (FIRST, SECOND):
        assert n_true_units_found(resumed.results, sorter, simulated.truth) == 3


def test_both_sorters_find_the_true_units(overlapped: Job, simulated: Simulated) -> None:
    for sorter in (FIRST, SECOND):
        assert n_true_units_found(overlapped.results, sorter, simulated.truth) == 3
