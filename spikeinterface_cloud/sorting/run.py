"""Run one sorter on the preprocessed recording; a failure is a value, so that the next one runs.

All channels are sorted together, or each group of channels by itself: if SPLIT_BY asks for it, or
if memory suffices for nothing larger.
"""

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import spikeinterface as si
import spikeinterface.sorters as ss

from spikeinterface_cloud.recording.channel_groups import split_groups
from spikeinterface_cloud.recording.messages import list_first
from spikeinterface_cloud.results.outcomes import GroupRun, Outcome, SorterRun, SorterTry
from spikeinterface_cloud.runtime.forks import without_forks
from spikeinterface_cloud.sorting.attempts import Attempt, SortingFolders, run_attempts
from spikeinterface_cloud.sorting.cleanup import remove_impossible_spikes
from spikeinterface_cloud.sorting.in_memory import in_memory
from spikeinterface_cloud.sorting.kilosort4_parameters import remedy
from spikeinterface_cloud.sorting.no_spikes import found_no_spikes
from spikeinterface_cloud.sorting.oom_fallback import (
    describe_kept_parameters,
    fallbacks,
    out_of_memory,
)
from spikeinterface_cloud.sorting.task import SortingTask

logger = logging.getLogger(__name__)


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
        one segment in one binary file, or some channels of it
    filtered_recording
        the same samples in their original segments, high-pass filtered

    Returns
    -------
    tuple
        how it ended, and the sorting if there are units
    """
    if task.split_by is not None:
        whole = replace(task, split_by=None)
        return _sort_groups(recording, filtered_recording, whole, folders, task.split_by)
    n_groups = len(np.unique(recording.get_channel_groups()))
    options = fallbacks(task.sorter, task.parameters, n_groups)
    attempts = run_attempts(recording, task, folders, options)
    if options[-1].by_group and out_of_memory(attempts[-1].ended.trace):
        smaller = replace(task, parameters=options[-1].parameters)
        run, sorting = _sort_groups(recording, filtered_recording, smaller, folders, "group")
        return _with_tries(run, [*(each.record() for each in attempts), _record(run)]), sorting
    with without_forks():  # as the reading compiles
        run, sorting = _read_result(attempts[-1], filtered_recording, task, folders)
    return _with_tries(run, [each.record() for each in attempts]), sorting


def _sort_groups(
    recording: si.BaseRecording,
    filtered_recording: si.BaseRecording,
    task: SortingTask,
    folders: SortingFolders,
    split_by: str,
) -> tuple[SorterRun, si.BaseSorting | None]:
    """Sort each group of channels by itself; one that fails costs its own units alone."""
    runs: list[SorterRun] = []
    groups: list[GroupRun] = []
    sortings: dict[int | str, si.BaseSorting] = {}
    for index, (group, part) in enumerate(split_groups(recording).items()):
        logger.info("%s: %s %s, %d channels", task.sorter, split_by, group, len(part.channel_ids))
        filtered = filtered_recording.select_channels(part.channel_ids)
        run, sorting = sort(part, filtered, task, folders.of_group(index))
        shutil.rmtree(folders.of_group(index).scratch, ignore_errors=True)
        runs.append(run)
        groups.append(_describe_group(group, part, run))
        if sorting is not None:
            sortings[group] = sorting
        if run.outcome == "failed":
            logger.error("%s failed for %s %s: %s", task.sorter, split_by, group, run.reason)
        elif not run.n_units:
            logger.warning("%s found no units in %s %s", task.sorter, split_by, group)
    return _combine(runs, groups, split_by), _aggregate(sortings, split_by)


def _describe_group(group: int | str, part: si.BaseRecording, run: SorterRun) -> GroupRun:
    return GroupRun(
        group=group,
        outcome=run.outcome,
        n_channels=part.get_num_channels(),
        n_units=run.n_units,
        reason=run.reason,
        seconds=run.seconds,
        parameters=run.parameters,
    )


def _combine(runs: Sequence[SorterRun], groups: Sequence[GroupRun], split_by: str) -> SorterRun:
    """Return the run of the sorter from those of its groups."""
    n_units = sum(run.n_units for run in runs)
    failed = [each for each in groups if each.outcome == "failed"]
    outcome: Outcome = "sorted" if n_units else "failed" if failed else "no_units"
    reason = None
    if failed:
        reasons = list_first(f"{split_by} {each.group}: {each.reason}" for each in failed)
        reason = f"{len(failed)} of {len(groups)} groups failed ({reasons})"
    elif not n_units:
        reason = f"no units in any group; in the last: {runs[-1].reason}"
    tries = [replace(each, by_group=True) for run in runs for each in run.tries]
    return replace(
        runs[-1],
        outcome=outcome,
        reason=reason,
        n_units=n_units,
        n_removed_spikes=sum(run.n_removed_spikes for run in runs),
        seconds=sum(run.seconds for run in runs),
        peak_memory_bytes=_highest([run.peak_memory_bytes for run in runs]),
        peak_gpu_memory_bytes=_highest([run.peak_gpu_memory_bytes for run in runs]),
        tries=tries,
        split_by=split_by,
        groups=groups,
    )


def _aggregate(
    sortings: Mapping[int | str, si.BaseSorting], split_by: str
) -> si.BaseSorting | None:
    """Return the units of all groups, with ids of their own and the value of the property."""
    if not sortings:
        return None
    counts = [each.get_num_units() for each in sortings.values()]
    together = si.aggregate_units(
        list(sortings.values()), renamed_unit_ids=np.arange(sum(counts)).tolist()
    )
    sorting = in_memory(together)
    sorting.set_property(split_by, np.repeat(list(sortings), counts))
    return sorting


def _with_tries(run: SorterRun, tries: Sequence[SorterTry]) -> SorterRun:
    """Return the run with the time of all of its tries, and the tries if there are several."""
    seconds = sum(each.seconds for each in tries)
    return replace(run, seconds=seconds, tries=tries if len(tries) > 1 else run.tries)


def _record(run: SorterRun) -> SorterTry:
    """Return the last try, which sorted each group by itself."""
    return SorterTry(
        parameters=run.parameters,
        by_group=True,
        seconds=run.seconds,
        reason=run.reason if run.outcome == "failed" else None,
        peak_memory_bytes=run.peak_memory_bytes,
        peak_gpu_memory_bytes=run.peak_gpu_memory_bytes,
    )


def _highest(figures: Sequence[int | None]) -> int | None:
    return max((each for each in figures if each), default=None)


def _read_result(
    attempt: Attempt, recording: si.BaseRecording, task: SortingTask, folders: SortingFolders
) -> tuple[SorterRun, si.BaseSorting | None]:
    """Return how the last try ended, and its units in the segments of `recording`."""
    record = attempt.record()
    run = SorterRun(
        sorter=task.sorter,
        outcome="sorted",
        parameters=attempt.parameters,
        version=task.version,
        peak_memory_bytes=record.peak_memory_bytes,
        peak_gpu_memory_bytes=record.peak_gpu_memory_bytes,
    )
    if attempt.ended.exit_status != 0:
        return _explain_failure(run, attempt, recording, task, folders), None
    try:
        sorting, n_removed = _read_sorting(recording, attempt)
    except Exception as error:  # whatever a sorter left behind, the next one has to run
        logger.exception("%s finished, but its result cannot be read", task.sorter)
        reason = f"finished, but its result cannot be read: {_one_line(error)}"
        return replace(run, outcome="failed", reason=reason), None
    run = replace(run, n_removed_spikes=n_removed)
    if sorting.get_num_units() == 0:
        return replace(run, outcome="no_units", reason="the sorter found no units"), None
    return replace(run, n_units=sorting.get_num_units()), sorting


def _read_sorting(recording: si.BaseRecording, attempt: Attempt) -> tuple[si.BaseSorting, int]:
    """Return the sorting and the number of removed spikes."""
    sorting = ss.read_sorter_folder(attempt.folder, register_recording=False, sorting_info=False)
    if recording.get_num_segments() > 1:
        sorting = si.split_sorting(sorting, [recording])
    # in memory, as the sorter's own files on scratch do not outlive it
    kept, n_removed = remove_impossible_spikes(sorting, recording)
    if n_removed:
        logger.info("%d spikes left out, outside of the recording or found twice", n_removed)
    return kept, n_removed


def _explain_failure(
    run: SorterRun,
    attempt: Attempt,
    recording: si.BaseRecording,
    task: SortingTask,
    folders: SortingFolders,
) -> SorterRun:
    """Distinguish a sorter that failed from one that found nothing to sort."""
    reason, trace = attempt.reason, attempt.ended.trace
    if attempt.ended.exit_status < 0:
        return replace(run, outcome="failed", reason=reason)
    if found_no_spikes(trace, recording):
        reason = f"hardly more peaks than noise has; the sorter stopped on that with: {reason}"
        return replace(run, outcome="no_units", reason=reason)
    if out_of_memory(trace) and task.sorter == "kilosort4":
        reason += f"; nothing smaller is left to try{describe_kept_parameters(task.parameters)}"
        reason += "; take a GPU, or a machine, with more memory"
    elif task.sorter == "kilosort4":
        reason += remedy(trace)
    return replace(run, outcome="failed", reason=f"{reason}; see {task.sorter}/{folders.log}")


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
