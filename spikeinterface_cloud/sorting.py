"""Run one sorter on the preprocessed recording, and say how it ended.

A sorter that fails is a value, not an exception: the next one has to run all the same.
"""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import spikeinterface as si
import spikeinterface.sorters as ss

from spikeinterface_cloud.curation import remove_impossible_spikes
from spikeinterface_cloud.heartbeat import activity
from spikeinterface_cloud.silence import has_no_spikes
from spikeinterface_cloud.sorter_process import SorterRequest, SorterUsage
from spikeinterface_cloud.sorters import sorter_version
from spikeinterface_cloud.transfer.part_file import disk_errors
from spikeinterface_cloud.workplace import room_for_results

logger = logging.getLogger(__name__)

Outcome = Literal["sorted", "no_units", "failed", "resumed"]

#: the end of a sorter's output that is looked at for what it said last
OUTPUT_TAIL_BYTES = 2048


@dataclass(frozen=True, kw_only=True, slots=True)
class SorterRun:
    """How one sorter ended, and what it took; `run.json` has one of these a sorter."""

    sorter: str
    outcome: Outcome
    n_units: int = 0
    #: `n_units` by label: good, mua, noise; empty where there was no analysis
    labels: Mapping[str, int] = field(default_factory=dict)
    #: units left out because another one has the same spikes; not counted in `n_units`
    n_redundant_units: int = 0
    #: spikes left out because they are outside of the recording, or a spike found twice
    n_removed_spikes: int = 0
    #: why it failed, or why no units were found; None where it sorted
    reason: str | None = None
    #: wall-clock seconds of the sorter alone
    seconds: float = 0.0
    #: what it was run with, besides its own defaults
    parameters: Mapping[str, Any]
    version: str | None = None
    peak_memory_bytes: int | None = None
    peak_gpu_memory_bytes: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SortingTask:
    """One sorter and what it needs to run."""

    sorter: str
    parameters: Mapping[str, Any]
    n_jobs: int
    #: on scratch: the sorter's own files
    scratch_folder: Path
    #: in the results: its logs
    results_folder: Path


def sort(
    recording: si.BaseRecording, for_analysis: si.BaseRecording, task: SortingTask
) -> tuple[SorterRun, si.BaseSorting | None]:
    """Run the sorter, and split what it found into the segments of the original recording.

    Parameters
    ----------
    recording
        one segment in one binary file
    for_analysis
        the same samples in their original segments, high-pass filtered
    task
        the sorter, its parameters and folders

    Returns
    -------
    tuple
        how it ended, and the sorting if there are units
    """
    started = time.monotonic()
    with disk_errors(task.scratch_folder):
        exit_status, usage = _run_process(recording, task)
    run = SorterRun(
        sorter=task.sorter,
        outcome="sorted",
        parameters=task.parameters,
        version=sorter_version(task.sorter),
        seconds=time.monotonic() - started,
        peak_memory_bytes=usage.peak_memory_bytes if usage else None,
        peak_gpu_memory_bytes=usage.peak_gpu_memory_bytes if usage else None,
    )
    with room_for_results(task.results_folder):
        _keep_logs(task)
    if exit_status != 0:
        return _explain_failure(run, exit_status, for_analysis, task), None
    try:
        sorting, n_removed = _read_sorting(for_analysis, task)
    except Exception as error:  # whatever a sorter left behind, the next one has to run
        logger.exception("%s finished, but its result cannot be read", task.sorter)
        reason = f"finished, but its result cannot be read: {_one_line(error)}"
        return replace(run, outcome="failed", reason=reason), None
    run = replace(run, n_removed_spikes=n_removed)
    if sorting.get_num_units() == 0:
        return replace(run, outcome="no_units", reason="the sorter found no units"), None
    return replace(run, n_units=sorting.get_num_units()), sorting


def _run_process(recording: si.BaseRecording, task: SortingTask) -> tuple[int, SorterUsage | None]:
    task.scratch_folder.mkdir(parents=True, exist_ok=True)
    task.results_folder.mkdir(parents=True, exist_ok=True)
    request = SorterRequest(
        sorter=task.sorter,
        recording_file=str(task.scratch_folder / "recording.json"),
        folder=str(task.scratch_folder / "sorter"),
        parameters=dict(task.parameters),
        n_jobs=task.n_jobs,
        usage_file=str(task.scratch_folder / "usage.json"),
    )
    recording.dump_to_json(request.recording_file)
    request_file = task.scratch_folder / "request.json"
    request_file.write_text(json.dumps(asdict(request)))
    exit_status = _watch(
        # -P: what lies in the working folder is not imported in place of a library
        [sys.executable, "-P", "-m", "spikeinterface_cloud.sorter_process", str(request_file)],
        task,
    )
    usage_file = Path(request.usage_file)
    usage = SorterUsage(**json.loads(usage_file.read_text())) if usage_file.is_file() else None
    return exit_status, usage


def _watch(command: list[str], task: SortingTask) -> int:
    """Run the command, its output to `output.log`, whose last words the heartbeat shows."""
    output_log = task.results_folder / "output.log"
    with (
        output_log.open("wb") as output,
        _own_process_group(command, output.fileno()) as process,
        activity(task.sorter, detail=partial(last_words, output_log)),
    ):
        return process.wait()


@contextmanager
def _own_process_group(command: list[str], output: int) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is stopped, with all that it started, when this block is left early."""
    package_parent = str(Path(__file__).parent.parent)
    search_path = os.pathsep.join(filter(None, [package_parent, os.environ.get("PYTHONPATH")]))
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": search_path},
    )
    try:
        yield process
    finally:
        # its workers too, which outlive one that the kernel has killed for its memory
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def last_words(output_log: Path) -> str | None:
    """The last line, or the last state of a progress bar, that a running program has written."""
    with output_log.open("rb") as output:
        output.seek(max(0, output.seek(0, os.SEEK_END) - OUTPUT_TAIL_BYTES))
        tail = output.read().decode(errors="replace")
    lines = [" ".join(line.split()) for line in tail.replace("\r", "\n").splitlines()]
    return next(filter(None, reversed(lines)), None)


def _keep_logs(task: SortingTask) -> None:
    """Copy what the sorter itself said into the results."""
    folder = task.scratch_folder / "sorter"
    log_file = folder / "spikeinterface_log.json"
    if log_file.is_file():
        shutil.copyfile(log_file, task.results_folder / "sorter_log.json")
    for file in sorted(folder.rglob("*.log")):
        shutil.copyfile(file, task.results_folder / file.name)


def _read_sorting(recording: si.BaseRecording, task: SortingTask) -> tuple[si.BaseSorting, int]:
    """What the sorter found, and how many of its spikes were left out."""
    sorting = ss.read_sorter_folder(
        task.scratch_folder / "sorter", register_recording=False, sorting_info=False
    )
    if recording.get_num_segments() > 1:
        sorting = si.split_sorting(sorting, [recording])
    # in memory, as the sorter's own files on scratch do not outlive it
    kept, n_removed = remove_impossible_spikes(sorting, recording)
    if n_removed:
        logger.info(
            "%s: %d spikes left out, outside of the recording or found twice",
            task.sorter,
            n_removed,
        )
    return kept, n_removed


def _explain_failure(
    run: SorterRun, exit_status: int, recording: si.BaseRecording, task: SortingTask
) -> SorterRun:
    """Tell a sorter that failed from one that failed because there was nothing to find."""
    if exit_status < 0:
        name = signal.Signals(-exit_status).name
        reason = f"killed by {name}"
        if exit_status == -signal.SIGKILL:
            reason += ", as the kernel does when memory runs out; ask for more memory"
        return replace(run, outcome="failed", reason=reason)
    error = _last_error(task)
    if has_no_spikes(recording):
        reason = f"no more peaks than noise alone has; the sorter stopped on that with: {error}"
        return replace(run, outcome="no_units", reason=reason)
    return replace(run, outcome="failed", reason=f"{error}; see {task.sorter}/output.log")


def _last_error(task: SortingTask) -> str:
    """The last line of the sorter's own traceback, or of its output."""
    log_file = task.results_folder / "sorter_log.json"
    if log_file.is_file():
        lines = json.loads(log_file.read_text()).get("error_trace") or []
    else:
        lines = (task.results_folder / "output.log").read_text(errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "no message")


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
