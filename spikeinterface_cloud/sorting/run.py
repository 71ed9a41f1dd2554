"""Run one sorter on the preprocessed recording; a failure is a value, so that the next one runs."""

import logging
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import spikeinterface as si
import spikeinterface.sorters as ss

from spikeinterface_cloud.results.layout import is_managed
from spikeinterface_cloud.results.outcomes import SorterRun, SorterTry
from spikeinterface_cloud.sorting.cleanup import remove_impossible_spikes
from spikeinterface_cloud.sorting.derived_parameters import run_parameters
from spikeinterface_cloud.sorting.kilosort4_parameters import remedy
from spikeinterface_cloud.sorting.oom_fallback import (
    OomFallback,
    describe_kept_parameters,
    fallbacks,
    next_fallback,
    out_of_memory,
)
from spikeinterface_cloud.sorting.process import ProcessResult, run_in_subprocess
from spikeinterface_cloud.sorting.shared_memory import cache_on_scratch, limit_workers
from spikeinterface_cloud.sorting.spike_check import is_noise_only
from spikeinterface_cloud.sorting.task import SortingTask
from spikeinterface_cloud.sorting.worker import SorterRequest

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class SortingFolders:
    """The folders of one sorter."""

    #: of its own files
    scratch: Path
    #: of its logs
    results: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class _Attempt:
    """One try: the whole recording in one process, or each channel group in its own."""

    fallback: OomFallback
    #: of the last process, including those that its recording decides
    parameters: Mapping[str, Any]
    #: the processes, up to the first that failed
    ended: Sequence[ProcessResult]
    #: the files of the sorter that found something, by group; the one group of a whole is None
    found: Mapping[Any, Path]
    #: where in the sorter's results the log of the last process is
    log: str

    @property
    def last(self) -> ProcessResult:
        """Return the result of the process that failed, if any, or of the last one."""
        return self.ended[-1]

    @property
    def succeeded(self) -> bool:
        """Return whether there is a result, even an empty one."""
        return self.last.exit_status == 0

    def peak(self, name: str) -> int | None:
        """Return the highest usage of one kind of memory over all processes."""
        usages = [ended.usage for ended in self.ended if ended.usage]
        return max(filter(None, (getattr(usage, name) for usage in usages)), default=None)


def sort(
    recording: si.BaseRecording,
    filtered_recording: si.BaseRecording,
    task: SortingTask,
    folders: SortingFolders,
) -> tuple[SorterRun, si.BaseSorting | None]:
    """Run the sorter, and split its result into the segments of the original recording.

    Parameters
    ----------
    recording
        one segment in one binary file
    filtered_recording
        the same samples in their original segments, high-pass filtered

    Returns
    -------
    tuple
        how it ended, and the sorting if there are units
    """
    attempts = _attempt_with_fallbacks(recording, filtered_recording, task, folders)
    attempt = attempts[-1]
    run = SorterRun(
        sorter=task.sorter,
        outcome="sorted",
        parameters=attempt.parameters,
        version=task.version,
        seconds=sum(ended.seconds for each in attempts for ended in each.ended),
        peak_memory_bytes=attempt.peak("peak_memory_bytes"),
        peak_gpu_memory_bytes=attempt.peak("peak_gpu_memory_bytes"),
        tries=[_record(each) for each in attempts] if len(attempts) > 1 else (),
    )
    if not attempt.succeeded:
        return _explain_failure(run, attempt, filtered_recording, task), None
    try:
        sorting, n_removed = _read_sorting(filtered_recording, attempt)
    except Exception as error:  # whatever a sorter left behind, the next one has to run
        logger.exception("%s finished, but its result cannot be read", task.sorter)
        reason = f"finished, but its result cannot be read: {_one_line(error)}"
        return replace(run, outcome="failed", reason=reason), None
    run = replace(run, n_removed_spikes=n_removed)
    if sorting is None or sorting.get_num_units() == 0:
        return replace(run, outcome="no_units", reason="the sorter found no units"), None
    return replace(run, n_units=sorting.get_num_units()), sorting


def _attempt_with_fallbacks(
    recording: si.BaseRecording,
    filtered_recording: si.BaseRecording,
    task: SortingTask,
    folders: SortingFolders,
) -> list[_Attempt]:
    """Try the fallbacks until one fits into memory or fails for another reason."""
    n_groups = len(np.unique(recording.get_channel_groups()))
    options = fallbacks(task.sorter, task.parameters, n_groups)
    attempts: list[_Attempt] = []
    fallback: OomFallback | None = options[0]
    while fallback is not None:
        attempt = _attempt(recording, filtered_recording, task, folders, fallback)
        attempts.append(attempt)
        failed, fallback = fallback, next_fallback(options, fallback, attempt.last.trace)
        if fallback is not None:
            logger.warning(
                "%s ran out of memory after %.1f s (%s); trying again with %s",
                task.sorter,
                sum(ended.seconds for ended in attempt.ended),
                _reason(attempt),
                fallback.change,
            )
            _move_logs(folders.results, f"try-{options.index(failed) + 1}")
    return attempts


def _attempt(
    recording: si.BaseRecording,
    filtered_recording: si.BaseRecording,
    task: SortingTask,
    folders: SortingFolders,
    fallback: OomFallback,
) -> _Attempt:
    parts = recording.split_by("group") if fallback.by_group else {None: recording}
    ended: list[ProcessResult] = []
    found: dict[Any, Path] = {}
    log = "output.log"
    parameters: dict[str, Any] = {}
    for index, (group, part) in enumerate(parts.items()):
        name = f"group-{index}" if fallback.by_group else "."
        folder = folders.scratch / name
        log = (Path(name) / "output.log").as_posix()
        parameters = run_parameters(task.sorter, fallback.parameters, part)
        request = _request(task, part, parameters, folder)
        ended.append(run_in_subprocess(part, request, folders.results / name))
        if ended[-1].exit_status == 0:
            found[group] = folder / "sorter"
        elif fallback.by_group and _has_nothing_to_sort(ended[-1], filtered_recording, part):
            ended[-1] = replace(ended[-1], exit_status=0)  # a shank may be outside of the tissue
        else:
            break
    return _Attempt(fallback=fallback, parameters=parameters, ended=ended, found=found, log=log)


def _request(
    task: SortingTask, recording: si.BaseRecording, parameters: dict[str, Any], folder: Path
) -> SorterRequest:
    return SorterRequest(
        sorter=task.sorter,
        recording_file=str(folder / "recording.json"),
        folder=str(folder / "sorter"),
        parameters=cache_on_scratch(task.sorter, parameters, folder / "cache"),
        n_jobs=limit_workers(task.sorter, recording, task.n_jobs),
        usage_file=str(folder / "usage.json"),
    )


def _has_nothing_to_sort(
    ended: ProcessResult, filtered_recording: si.BaseRecording, part: si.BaseRecording
) -> bool:
    """Return whether a sorter stopped because its channel group holds only noise."""
    if ended.exit_status < 0 or out_of_memory(ended.trace):
        return False
    return is_noise_only(filtered_recording.select_channels(part.channel_ids))


def _record(attempt: _Attempt) -> SorterTry:
    return SorterTry(
        parameters=attempt.parameters,
        by_group=attempt.fallback.by_group,
        seconds=sum(ended.seconds for ended in attempt.ended),
        reason=None if attempt.succeeded else _reason(attempt),
        peak_memory_bytes=attempt.peak("peak_memory_bytes"),
        peak_gpu_memory_bytes=attempt.peak("peak_gpu_memory_bytes"),
    )


def _move_logs(results_folder: Path, name: str) -> None:
    """Move the logs of a try to their own folder, so that the next try does not overwrite them."""
    aside = results_folder / name
    aside.mkdir(exist_ok=True)
    for file in results_folder.iterdir():
        if file.is_file() and is_managed(file.name):
            file.replace(aside / file.name)


def _read_sorting(
    recording: si.BaseRecording, attempt: _Attempt
) -> tuple[si.BaseSorting | None, int]:
    """Return the sorting and the number of removed spikes; None if no group has a result."""
    found = {
        group: ss.read_sorter_folder(folder, register_recording=False, sorting_info=False)
        for group, folder in attempt.found.items()
    }
    if not found:
        return None, 0
    sorting = next(iter(found.values()))
    groups: dict[Any, Any] = {}
    if attempt.fallback.by_group:
        sorting = si.aggregate_units(list(found.values()))
        of_units = [group for group, one in found.items() for _ in one.unit_ids]
        groups = dict(zip(sorting.unit_ids, of_units, strict=True))
    if recording.get_num_segments() > 1:
        sorting = si.split_sorting(sorting, [recording])
    # in memory, as the sorter's own files on scratch do not outlive it
    kept, n_removed = remove_impossible_spikes(sorting, recording)
    if groups:
        kept.set_property("group", [groups[unit] for unit in kept.unit_ids])
    if n_removed:
        logger.info("%d spikes left out, outside of the recording or found twice", n_removed)
    return kept, n_removed


def _explain_failure(
    run: SorterRun, attempt: _Attempt, recording: si.BaseRecording, task: SortingTask
) -> SorterRun:
    """Distinguish a sorter that failed from one that found nothing to sort."""
    reason = _reason(attempt)
    if attempt.last.exit_status < 0:
        return replace(run, outcome="failed", reason=reason)
    if out_of_memory(attempt.last.trace) is None and is_noise_only(recording):
        reason = f"no more peaks than noise alone has; the sorter stopped on that with: {reason}"
        return replace(run, outcome="no_units", reason=reason)
    if out_of_memory(attempt.last.trace) and task.sorter == "kilosort4":
        reason += f"; nothing smaller is left to try{describe_kept_parameters(task.parameters)}"
        reason += "; take a GPU, or a machine, with more memory"
    elif task.sorter == "kilosort4":
        reason += remedy(attempt.last.trace)
    return replace(run, outcome="failed", reason=f"{reason}; see {task.sorter}/{attempt.log}")


def _reason(attempt: _Attempt) -> str:
    exit_status, trace = attempt.last.exit_status, attempt.last.trace
    if exit_status >= 0:
        return out_of_memory(trace) or attempt.last.last_line
    reason = f"killed by {signal.Signals(-exit_status).name}"
    if exit_status == -signal.SIGKILL:
        reason += ", as the kernel does when memory runs out; ask for more memory"
    elif exit_status == -signal.SIGBUS:
        reason += ", as when /dev/shm is full; give the container more shared memory "
        reason += "(docker run --shm-size, or sharedMemorySize in the job definition)"
    return reason


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
