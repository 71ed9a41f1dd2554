"""Resume a job: find, and verify, what an earlier attempt at the same job has finished.

Batch retries a job whose instance was reclaimed, and users submit jobs again. Results of an earlier
attempt are used if their fingerprint is that of this job and every file is unchanged.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from spikeinterface_cloud.errors import SourceError
from spikeinterface_cloud.results.archive_folder import ArchiveFolder
from spikeinterface_cloud.results.completion import Completion
from spikeinterface_cloud.results.folder import Results
from spikeinterface_cloud.results.layout import AGREEMENT, COMPARISON, REPORT, SYNC
from spikeinterface_cloud.results.outcomes import ExportRun
from spikeinterface_cloud.results.run_schema import RunJson
from spikeinterface_cloud.results.sorter_folder import SorterFolder
from spikeinterface_cloud.results.tree import results_trees

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fingerprints:
    """SHA-256 digests in hexadecimal."""

    #: of everything that the job is asked for
    job: str
    #: of everything that decides a sorter's result, by sorter
    sorters: Mapping[str, str]
    #: of everything that decides what an archive of the recording holds
    recording: str = ""
    #: whether the job is asked for such an archive
    archive: bool = False
    #: whether the job is asked for the pulses of its sync line
    sync: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class PreviousRun:
    """Results of earlier attempts at this job."""

    results: Results
    #: one for each sorter, in the order of the job
    folders: Sequence[SorterFolder]
    #: of a complete and successful run of this job; None without one
    record: RunJson | None
    #: the archive of the recording; None if the job is not asked for one
    archive: ArchiveFolder | None = None

    def execution_order(self) -> list[SorterFolder]:
        """Return the sorters with those last that only have to be analyzed.

        Their sortings are safe, and their analysis may be what ended the attempt before.
        """
        return sorted(self.folders, key=lambda folder: folder.waits_for_analysis)


def find_previous(results: Results, fingerprints: Fingerprints) -> PreviousRun:
    """Find the results of earlier attempts: at the target if there is one, else in the folder."""
    folders = [
        SorterFolder(sorter, fingerprint, results)
        for sorter, fingerprint in fingerprints.sorters.items()
    ]
    for folder in folders:
        folder.load_state()
    found = {folder.sorter: folder.earlier for folder in folders if folder.earlier is not None}
    for sorter, completion in found.items():
        state = "is complete" if completion.analyzed else "has its sorting, without an analysis"
        logger.info("%s %s from %s", sorter, state, f"{completion.completed:%Y-%m-%d %H:%M:%S}Z")
    archive = ArchiveFolder(fingerprints.recording, results) if fingerprints.archive else None
    complete = [archive is None or archive.load_state(), *_complete(folders)]
    record = _record(results, fingerprints) if all(complete) else None
    if record is not None and _is_older(record, list(found.values())):
        record = None
    return PreviousRun(results=results, folders=folders, record=record, archive=archive)


def _complete(folders: Sequence[SorterFolder]) -> list[bool]:
    return [folder.earlier is not None and folder.earlier.analyzed for folder in folders]


def reuse(results: Results, previous: PreviousRun) -> None:
    """End a job that was complete: copy the earlier record, and change nothing else."""
    assert previous.record is not None
    logger.info("an earlier run of this job is complete; there is nothing to do")
    results.reuse_previous_run()
    record = results.record
    content = previous.record.model_dump(mode="json")
    record.source = content["source"] or {}
    record.recording = content["recording"] or {}
    record.archive = content["archive"]
    record.preprocessing = content["preprocessing"] or {}
    record.sorters = [
        folder.earlier.sorter_run() for folder in previous.folders if folder.earlier is not None
    ]
    record.exports = [ExportRun(**entry) for entry in content["exports"]]
    record.n_consensus_units = content["n_consensus_units"]
    record.ground_truth = content["ground_truth"]


def _record(results: Results, fingerprints: Fingerprints) -> RunJson | None:
    """Read the record of a successful run of this job; None if anything is missing."""
    tree = results_trees(results)[0]
    try:
        record = tree.read_record()
        if record is None or not tree.exists(REPORT):
            return None
        if fingerprints.sync and not tree.exists(SYNC):
            return None
        compared = record.n_consensus_units is not None
        if compared and not tree.exists(f"{COMPARISON}/{AGREEMENT}"):
            return None
    except SourceError as error:
        logger.info("the earlier run.json is not used: %s", error)
        return None
    succeeded = record.status == "succeeded" and record.fingerprint == fingerprints.job
    return record if succeeded else None


def _is_older(record: RunJson, found: Sequence[Completion]) -> bool:
    """Return whether there are results that the record lacks.

    That happens if the role may not delete the record before a job begins.
    """
    newest = max(completion.completed for completion in found)
    # seconds in `run.json` are whole
    return record.ended is None or record.ended + timedelta(seconds=1) < newest
