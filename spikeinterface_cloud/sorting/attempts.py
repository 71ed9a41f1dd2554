"""Tries of a sorter on one recording: again with smaller settings while memory runs out."""

import logging
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import spikeinterface as si

from spikeinterface_cloud.results.layout import is_managed
from spikeinterface_cloud.results.outcomes import SorterTry
from spikeinterface_cloud.sorting.derived_parameters import run_parameters
from spikeinterface_cloud.sorting.oom_fallback import OomFallback, next_fallback, out_of_memory
from spikeinterface_cloud.sorting.process import OUTPUT_LOG, ProcessResult, run_in_subprocess
from spikeinterface_cloud.sorting.shared_memory import limit_workers, place_cache
from spikeinterface_cloud.sorting.task import SortingTask
from spikeinterface_cloud.sorting.worker import SorterRequest

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class SortingFolders:
    """The folders of one sorter, or of one group of channels."""

    #: of its own files
    scratch: Path
    #: of its logs
    results: Path
    #: where in the results of the sorter its output is
    log: str = OUTPUT_LOG

    def of_group(self, index: int) -> "SortingFolders":
        """Return the folders of one group of channels."""
        name = f"group-{index}"
        return SortingFolders(
            scratch=self.scratch / name, results=self.results / name, log=f"{name}/{OUTPUT_LOG}"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One try, in one process."""

    #: those that the recording decides included
    parameters: Mapping[str, Any]
    ended: ProcessResult
    #: of the sorter's own files
    folder: Path

    @property
    def reason(self) -> str:
        """Return why it failed, on one line."""
        if self.ended.exit_status >= 0:
            return out_of_memory(self.ended.trace) or self.ended.last_line
        reason = f"killed by {signal.Signals(-self.ended.exit_status).name}"
        if self.ended.exit_status == -signal.SIGKILL:
            reason += ", as the kernel does when memory runs out; ask for more memory"
        elif self.ended.exit_status == -signal.SIGBUS:
            reason += ", as when /dev/shm is full; give the container more shared memory "
            reason += "(docker run --shm-size, or sharedMemorySize in the job definition)"
        return reason

    def record(self) -> SorterTry:
        """Return the entry of `run.json`."""
        usage = self.ended.usage
        return SorterTry(
            parameters=self.parameters,
            by_group=False,
            seconds=self.ended.seconds,
            reason=self.reason if self.ended.exit_status else None,
            peak_memory_bytes=usage.peak_memory_bytes if usage else None,
            peak_gpu_memory_bytes=usage.peak_gpu_memory_bytes if usage else None,
        )


def run_attempts(
    recording: si.BaseRecording,
    task: SortingTask,
    folders: SortingFolders,
    options: Sequence[OomFallback],
) -> list[Attempt]:
    """Try the sorter with one fallback after the other, until one does not run out of memory.

    A fallback that sorts by group is left to the caller, and ends the tries.
    """
    attempts: list[Attempt] = []
    fallback: OomFallback | None = options[0]
    while fallback is not None and not fallback.by_group:
        attempt = _attempt(recording, task, folders, fallback)
        attempts.append(attempt)
        failed, fallback = fallback, next_fallback(options, fallback, attempt.ended.trace)
        if fallback is not None:
            logger.warning(
                "%s ran out of memory after %.1f s (%s); trying again with %s",
                task.sorter,
                attempt.ended.seconds,
                attempt.reason,
                fallback.change,
            )
            _move_logs(folders.results, f"try-{options.index(failed) + 1}")
    return attempts


def _attempt(
    recording: si.BaseRecording, task: SortingTask, folders: SortingFolders, fallback: OomFallback
) -> Attempt:
    scratch = folders.scratch
    parameters = run_parameters(task.sorter, fallback.parameters, recording)
    request = SorterRequest(
        sorter=task.sorter,
        recording_file=str(scratch / "recording.json"),
        folder=str(scratch / "sorter"),
        parameters=place_cache(task.sorter, parameters, recording, scratch / "cache"),
        n_jobs=limit_workers(task.sorter, recording, task.n_jobs),
        usage_file=str(scratch / "usage.json"),
    )
    ended = run_in_subprocess(recording, request, folders.results)
    return Attempt(parameters=parameters, ended=ended, folder=scratch / "sorter")


def _move_logs(results_folder: Path, name: str) -> None:
    """Move the logs of a try to their own folder, so that the next try does not overwrite them."""
    aside = results_folder / name
    aside.mkdir(exist_ok=True)
    for file in results_folder.iterdir():
        if file.is_file() and is_managed(file.name):
            file.replace(aside / file.name)
