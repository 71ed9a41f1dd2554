"""What a job does with each sorter: run it or fetch what an earlier attempt found; analyze; export.

A thread does the first for one sorter while the job does the rest for the sorter before it.
"""

import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import spikeinterface as si

from spikeinterface_cloud.analysis.analyzer import (
    AnalysisFolders,
    analyze,
    load_sorting,
    save_sorting,
)
from spikeinterface_cloud.exports.export import ExportPlan, Sorted, export
from spikeinterface_cloud.preprocessing.pipeline import PreprocessedRecording
from spikeinterface_cloud.recording.messages import one_line
from spikeinterface_cloud.results.layout import RAW_SORTING
from spikeinterface_cloud.results.outcomes import SorterRun
from spikeinterface_cloud.results.run_record import RunRecord
from spikeinterface_cloud.results.sorter_folder import SorterFolder
from spikeinterface_cloud.runtime.logging import step
from spikeinterface_cloud.sorting.attempts import SortingFolders
from spikeinterface_cloud.sorting.run import sort
from spikeinterface_cloud.sorting.task import SortingTask

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What a sorter has found, in this attempt or an earlier one."""

    run: SorterRun
    #: None if there are no units
    sorting: si.BaseSorting | None
    #: by the earlier attempt
    is_analyzed: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class SorterSteps:
    """The steps of each sorter; the failure of one does not affect others."""

    #: by sorter
    tasks: Mapping[str, SortingTask]
    preprocessed: PreprocessedRecording
    record: RunRecord
    scratch: Path

    def find_units(self, folder: SorterFolder) -> Found:
        """Run the sorter, unless an earlier attempt has; other steps may run in another thread."""
        return self._load_previous(folder) or self._sort(folder)

    def analyze(
        self, found: Found, folder: SorterFolder
    ) -> tuple[SorterRun, si.BaseSorting | None]:
        """Analyze the units, unless an earlier attempt has; return those that are left."""
        if found.sorting is None or found.is_analyzed:
            return found.run, found.sorting
        folders = AnalysisFolders(
            scratch=self.scratch / "analyzer",
            results=folder.path,
            joined=self.record.joined_segments,
        )
        with step(f"analyze {folder.sorter}", self.record.steps):
            return analyze(found.run, found.sorting, self.preprocessed.filtered_recording, folders)

    def export(self, run: SorterRun, plan: ExportPlan, folder: SorterFolder) -> None:
        """Export the units, except for exports of an earlier attempt."""
        if not plan.formats or run.outcome not in ("sorted", "resumed") or run.n_units == 0:
            return
        earlier = [each for each in folder.earlier_exports() if each.export in plan.formats]
        self.record.exports += earlier
        missing = [name for name in plan.formats if name not in {each.export for each in earlier}]
        if not missing:
            return
        found = Sorted(
            sorter=run.sorter,
            version=run.version,
            recording=self.preprocessed.for_sorting,
            waveform_processing=self.preprocessed.describe_analyzed(),
            split_by=run.split_by,
        )
        with step(f"export {run.sorter}", self.record.steps) as exporting:
            written = export(replace(plan, formats=missing), found)
            exporting.size_bytes = sum(each.size_bytes for each in written)
        self.record.exports += written

    def _load_previous(self, folder: SorterFolder) -> Found | None:
        """Return what an earlier attempt has found, if it can be used."""
        if folder.earlier is None:
            return None
        with step(f"resume {folder.sorter}", self.record.steps):
            earlier = folder.fetch()
            if earlier is None:
                return None
            name = earlier.sorting_folder()
            try:
                sorting = load_sorting(folder.path / name) if name else None
            except Exception as error:  # others may have written there, and then it raises anything
                reason = one_line(error)
                logger.warning("%s: an earlier attempt cannot be used: %s", folder.sorter, reason)
                return None
        return Found(run=earlier.sorter_run(), sorting=sorting, is_analyzed=earlier.analyzed)

    def _sort(self, folder: SorterFolder) -> Found:
        """Run the sorter, and publish its sorting at once, so that nothing later can lose it."""
        task = self.tasks[folder.sorter]
        folders = SortingFolders(scratch=self.scratch / task.sorter, results=folder.path)
        folder.clear()
        shutil.rmtree(folders.scratch, ignore_errors=True)
        with step(f"sort with {task.sorter}", self.record.steps):
            filtered = self.preprocessed.filtered_recording
            run, sorting = sort(self.preprocessed.for_sorting, filtered, task, folders)
            if sorting is not None:
                save_sorting(sorting, folder.path / RAW_SORTING)
        if sorting is not None:
            folder.finish_sorting(run)
        shutil.rmtree(folders.scratch, ignore_errors=True)
        return Found(run=run, sorting=sorting)
