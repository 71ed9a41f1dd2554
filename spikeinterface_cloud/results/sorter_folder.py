"""The folder of one sorter, in the results and at the target: resume from it, fill it, publish it.

`completed.json`, written last, lists the files that belong together. Files without it were left by
an attempt that was killed, and are replaced.
"""

import logging
import shutil
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import partial

from spikeinterface_cloud.results.completion import (
    Completion,
    completion_of,
    differs_from_folder,
    read_completion,
    write_completion,
)
from spikeinterface_cloud.results.folder import Results
from spikeinterface_cloud.results.layout import (
    COMPLETED,
    FOR_PEOPLE,
    RAW_SORTING,
    SORTING,
    managed_files,
    remove_managed,
)
from spikeinterface_cloud.results.outcomes import ExportRun, SorterRun
from spikeinterface_cloud.results.target_folder import TargetFolder

logger = logging.getLogger(__name__)


class SorterFolder:
    """One sorter's results."""

    def __init__(self, sorter: str, fingerprint: str, results: Results) -> None:
        self.sorter = sorter
        self.path = results.folder / sorter
        #: results of an earlier attempt at the same job, verified; None if there are none
        self.earlier: Completion | None = None
        #: verified results of an earlier attempt that failed for some groups of channels
        self._partial: Completion | None = None
        self._fingerprint = fingerprint
        self._results = results
        self._target = TargetFolder(sorter, results)

    def load_state(self) -> None:
        """Find the results of an earlier attempt: at the target if there is one, else here."""
        if self._target.exists():
            self._target.list_objects()
            completion = self._target.read_completion()
        else:
            completion = self._read()
        if completion is None or completion.fingerprint != self._fingerprint:
            return
        if self._target.exists():
            difference = self._target.difference(completion)
        else:
            difference = differs_from_folder(completion, self.path)
        if difference:
            logger.warning("%s: an earlier attempt cannot be used: %s", self.sorter, difference)
            return
        if any(group.outcome == "failed" for group in completion.run.groups):
            logger.info("%s runs again, as it failed for some groups of channels", self.sorter)
            self._partial = completion
            return
        self.earlier = completion

    @property
    def waits_for_analysis(self) -> bool:
        """Whether an earlier attempt has sorted, but not analyzed."""
        return self.earlier is not None and not self.earlier.analyzed

    def fetch(self) -> Completion | None:
        """Fetch the results of an earlier attempt into the results folder, and verify them.

        Returns
        -------
        Completion or None
            None if there are no results to resume from.
        """
        if self.earlier is None:
            return None
        if self._target.exists():
            if not self._holds_this_job():
                remove_managed(self.path)
            if reason := self._target.fetch(self.earlier):
                logger.warning("%s: an earlier attempt cannot be used: %s", self.sorter, reason)
                self.earlier = None
                return None
            write_completion(self.earlier, self.path)
        self._remove_others({entry.path for entry in self.earlier.files})
        return self.earlier

    def earlier_exports(self) -> list[ExportRun]:
        """Return the exports of an earlier attempt."""
        return self.earlier.export_runs() if self.earlier else []

    def clear(self) -> None:
        """Remove the unfinished files of an earlier attempt, as the sorter runs now."""
        self.earlier = None
        (self.path / COMPLETED).unlink(missing_ok=True)
        remove_managed(self.path)

    def finish_sorting(self, run: SorterRun) -> None:
        """Publish the sorting, in `raw_sorting`, before it is analyzed."""
        self._finish(run, (), analyzed=False)

    def finish(self, run: SorterRun, exports: Sequence[ExportRun]) -> None:
        """Publish the sorter's results, or its logs if it failed.

        Parameters
        ----------
        exports
            The exports of all sorters so far.
        """
        raw_sorting = self.path / RAW_SORTING
        if run.outcome != "failed":
            made = {each.export: each for each in self.earlier_exports()}
            made |= {
                each.export: each
                for each in exports
                if each.sorter == self.sorter and not each.error
            }
            if self._is_missing(made):
                self._finish(run, tuple(made.values()), analyzed=True)
        elif self.earlier is None and self._partial is not None and self._target.exists():
            logger.warning("%s: what was published before is kept", self.sorter)
        elif self.earlier is None:
            logs = managed_files(self.path)
            self._results.publish_files(self.sorter, list(logs.values()))
            if self._target.exists():
                self._target.remove_others(logs.keys())
        else:  # the analysis failed
            if raw_sorting.is_dir():
                shutil.rmtree(self.path / SORTING, ignore_errors=True)
                shutil.copytree(raw_sorting, self.path / SORTING)
            self._finish(self.earlier.sorter_run(), (), analyzed=False)

    def _finish(self, run: SorterRun, exports: Sequence[ExportRun], *, analyzed: bool) -> None:
        """Publish now, or at the end of the job if this is interrupted."""
        self._results.publish_finished(partial(self._publish, run, exports, analyzed=analyzed))

    def _publish(self, run: SorterRun, exports: Sequence[ExportRun], *, analyzed: bool) -> None:
        completion = completion_of(self.path, run, exports, self._fingerprint, analyzed=analyzed)
        if self._target.exists():
            completion = self._target.publish(completion, self.earlier)
        else:
            write_completion(completion, self.path)
        if completion.sorting_folder() != RAW_SORTING:  # superseded by the analyzed sorting
            shutil.rmtree(self.path / RAW_SORTING, ignore_errors=True)
        self.earlier = completion

    def _is_missing(self, exports: Mapping[str, ExportRun]) -> bool:
        """Return whether there is anything to publish that the earlier attempt lacks."""
        if self.earlier is None or not self.earlier.analyzed:
            return True
        return len(exports) > len(self.earlier.exports)

    def _holds_this_job(self) -> bool:
        completion = self._read()
        return completion is not None and completion.fingerprint == self._fingerprint

    def _read(self) -> Completion | None:
        file = self.path / COMPLETED
        return read_completion(file.read_bytes(), self.sorter) if file.is_file() else None

    def _remove_others(self, keep: AbstractSet[str]) -> None:
        """Remove this program's files except those in `keep`, as after a killed analysis.

        The user's decisions in phy stay with a kept phy folder.
        """
        folders = {path.partition("/")[0] for path in keep}
        for path, file in managed_files(self.path).items():
            in_kept_phy = path.startswith(FOR_PEOPLE) and "phy" in folders
            if path not in keep and not in_kept_phy:
                file.unlink()
        remove_managed(self.path, keep=folders)
