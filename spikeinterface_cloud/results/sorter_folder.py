"""The folder of one sorter, in the results and at the target: what an earlier attempt left there,
and what takes its place.

Earlier results go only when there are others to replace them, and never lie among those of another
job: `completed.json`, written last, lists what belongs together.
"""

import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial

from spikeinterface_cloud.results.completion import (
    NAME,
    Completion,
    completion_of,
    differs_from_folder,
    read_completion,
    write_completion,
)
from spikeinterface_cloud.results.outcomes import ExportRun
from spikeinterface_cloud.results.layout import (
    FAILED,
    FOR_PEOPLE,
    RAW_SORTING,
    SORTING,
    files_of,
    move_managed,
    remove_own,
)
from spikeinterface_cloud.results.folder import Results
from spikeinterface_cloud.results.set_aside import SetAside
from spikeinterface_cloud.results.outcomes import SorterRun
from spikeinterface_cloud.results.target_folder import StoredFolder

logger = logging.getLogger(__name__)


class SorterFolder:
    """One sorter's results, and what they were made from."""

    def __init__(self, sorter: str, fingerprint: str, results: Results) -> None:
        self.sorter = sorter
        self.path = results.folder / sorter
        #: of an earlier attempt at the same job, and as it was left
        self.earlier: Completion | None = None
        self._fingerprint = fingerprint
        self._results = results
        self._stored = StoredFolder(sorter, results)
        self._set_aside = SetAside(self.path)

    def look(self) -> None:
        """Find what an earlier attempt at the same job left, at the target where there is one.

        Raises
        ------
        TransferError
            the network gave out
        """
        self._set_aside.put_back()
        if self._stored.is_there():
            self._stored.look()
            found = self._stored.read()
        else:
            found = self._read()
        if found is None:
            return
        if found.fingerprint != self._fingerprint:
            logger.info("%s: what is there is the result of another job", self.sorter)
            return
        if reason := self._difference(found):
            logger.warning("%s: an earlier attempt cannot be used: %s", self.sorter, reason)
            return
        self.earlier = found

    @property
    def waits_for_analysis(self) -> bool:
        """Whether an earlier attempt has run the sorter, and not analyzed what it found."""
        return self.earlier is not None and not self.earlier.analyzed

    def holds_another_job(self) -> bool:
        """Whether the results folder has what another job found with the sorter."""
        there = any((self.path / name).exists() for name in (NAME, SORTING, RAW_SORTING))
        return there and not self._holds_this_job()

    def bring(self) -> Completion | None:
        """Have the files of an earlier attempt in the results folder, verified; None where there
        are none that can be used.

        Raises
        ------
        TransferError, UnavailableError
            they could not be fetched
        """
        earlier = self.earlier
        if earlier is None:
            return None
        if self._stored.is_there():
            self._set_phy_of_another_job_aside()
            if reason := self._stored.fetch(earlier):
                logger.warning("%s: an earlier attempt cannot be used: %s", self.sorter, reason)
                self.earlier = None
                return None
            write_completion(earlier, self.path)
        self._clean([entry.path for entry in earlier.files])
        return earlier

    def earlier_exports(self) -> list[ExportRun]:
        """The exports that an earlier attempt has made."""
        return self.earlier.export_runs() if self.earlier else []

    def begin(self) -> None:
        """Make room in the results folder, as the sorter will run anew: what an earlier job found
        is set aside until there is something else."""
        self.earlier = None
        if any((self.path / name).is_dir() for name in (SORTING, RAW_SORTING)):
            self._set_aside.take()
        self._clean([])
        (self.path / NAME).unlink(missing_ok=True)

    @contextmanager
    def unfinished(self) -> Iterator[None]:
        """While the block runs there is nothing else yet: where it is left by an error, what an
        earlier job found gets its place again, and the logs of this one lie beside it."""
        try:
            yield
        except BaseException:
            if self._set_aside.exists():
                self._put_logs_beside()
            raise

    def finish_sorting(self, run: SorterRun) -> None:
        """Publish what the sorter found, in `raw_sorting`, before it is analyzed; what was there of
        an earlier job goes.

        Raises
        ------
        TargetError, TransferError, UnavailableError
            it could not be kept
        """
        self._finish(run, (), analyzed=False)

    def finish(self, run: SorterRun, exports: Sequence[ExportRun]) -> None:
        """Publish all that this job has of the sorter, or why it failed; `exports` are those of
        every sorter so far.

        Raises
        ------
        TargetError, TransferError, UnavailableError
            it could not be kept
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
        elif self.earlier is None:
            self._fail()
        else:  # the analysis failed
            if raw_sorting.is_dir():
                shutil.rmtree(self.path / SORTING, ignore_errors=True)
                shutil.copytree(raw_sorting, self.path / SORTING)
            self._finish(self.earlier.sorter_run(), (), analyzed=False)

    def _fail(self) -> None:
        """Publish what a sorter said that failed, and keep what an earlier run found with it."""
        name = self.sorter
        if self._set_aside.exists() or self._stored.holds_sorting():
            self._put_logs_beside()
            name = f"{name}/{FAILED}"
            logger.warning(
                "what an earlier run found with %s stays; the logs of this one are in %s",
                self.sorter,
                name,
            )
        self._results.publish(name)

    def _put_logs_beside(self) -> None:
        """Move what this run has said to a folder of its own, beside what an earlier one found."""
        shutil.rmtree(self.path / FAILED, ignore_errors=True)
        move_managed(self.path, self.path / FAILED, but=[FAILED])
        self._set_aside.put_back()

    def _finish(self, run: SorterRun, exports: Sequence[ExportRun], *, analyzed: bool) -> None:
        """Publish, or leave it to the job's way out where that is interrupted."""
        finish = partial(self._publish, run, exports, analyzed=analyzed)
        self._results.waiting = finish
        finish()
        self._results.waiting = None

    def _publish(self, run: SorterRun, exports: Sequence[ExportRun], *, analyzed: bool) -> None:
        completion = completion_of(self.path, run, exports, self._fingerprint, analyzed=analyzed)
        if self._stored.is_there():
            completion = self._stored.publish(completion, self.earlier)
        else:
            write_completion(completion, self.path)
        self._set_aside.forget()
        if completion.sorting_folder() != RAW_SORTING:  # until now it was what could be resumed
            shutil.rmtree(self.path / RAW_SORTING, ignore_errors=True)
        self.earlier = completion

    def _is_missing(self, exports: Mapping[str, ExportRun]) -> bool:
        """Whether there is more than an earlier attempt has left."""
        if self.earlier is None or not self.earlier.analyzed:
            return True
        return len(exports) > len(self.earlier.exports)

    def _set_phy_of_another_job_aside(self) -> None:
        """Keep what people have decided in phy about the results of another job, which lie in the
        same folder here, apart from those of this one."""
        phy = self.path / FOR_PEOPLE.rstrip("/")
        if phy.is_dir() and not self._holds_this_job():
            phy.rename(self.path / f"phy-of-another-job-{datetime.now(UTC):%Y%m%dT%H%M%S}")

    def _holds_this_job(self) -> bool:
        here = self._read()
        return here is not None and here.fingerprint == self._fingerprint

    def _read(self) -> Completion | None:
        """What is finished in the results folder."""
        record = self.path / NAME
        return read_completion(record.read_bytes()) if record.is_file() else None

    def _difference(self, found: Completion) -> str | None:
        if self._stored.is_there():
            return self._stored.difference(found)
        return differs_from_folder(found, self.path)

    def _clean(self, belonging: Sequence[str]) -> None:
        """Remove from the results folder what this program has left there besides, as of an
        analysis that was killed; what people decide in phy goes with the rest of it."""
        kept = set(belonging)
        kept_folders = {path.partition("/")[0] for path in belonging}
        for path, file in files_of(self.path).items():
            in_kept_phy = path.startswith(FOR_PEOPLE) and "phy" in kept_folders
            if path not in kept and not in_kept_phy:
                file.unlink()
        remove_own(self.path, but=kept_folders)
