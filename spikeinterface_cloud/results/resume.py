"""What an earlier attempt at the same job has left, so that only what is missing is done.

An attempt may have ended in any way: Batch tries a job again whose machine was taken back, a user
submits one again. What it left is believed where its fingerprint is this job's and every file is
there as it was left.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from pydantic import ValidationError

from spikeinterface_cloud.results.completion import Completion
from spikeinterface_cloud.errors import SourceError
from spikeinterface_cloud.results.outcomes import ExportRun
from spikeinterface_cloud.results.layout import AGREEMENT, COMPARISON, RECORD, REPORT
from spikeinterface_cloud.results.folder import Results
from spikeinterface_cloud.results.run_schema import RunJson
from spikeinterface_cloud.results.sorter_folder import SorterFolder

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fingerprints:
    """SHA-256 digests in hexadecimal."""

    #: of all that the job was asked for
    job: str
    #: of what decides the result of each sorter
    sorters: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Earlier:
    """What is there of this job, before it starts."""

    results: Results
    #: one for each sorter, in the order of the job
    folders: Sequence[SorterFolder]
    #: of a run of the same job that succeeded and whose results are all there; else None
    record: RunJson | None

    def execution_order(self) -> list[SorterFolder]:
        """The sorters as they are best taken: last those that have only to be analyzed. What they
        found is safe, and their analysis may be what ended the attempt before."""
        return sorted(self.folders, key=lambda folder: folder.waits_for_analysis)


def find_previous(results: Results, fingerprints: Fingerprints) -> Earlier:
    """Find, and verify, what an earlier attempt left at the target, or in the results folder where
    there is no target.

    Raises
    ------
    TransferError
        the network gave out
    """
    folders = [
        SorterFolder(sorter, fingerprint, results)
        for sorter, fingerprint in fingerprints.sorters.items()
    ]
    for folder in folders:
        folder.look()
    found = {folder.sorter: folder.earlier for folder in folders if folder.earlier is not None}
    for sorter, completion in found.items():
        what = "is complete" if completion.analyzed else "has its sorting, without an analysis"
        logger.info("%s %s from %s", sorter, what, f"{completion.completed:%Y-%m-%d %H:%M:%S}Z")
    complete = [folder.earlier is not None and folder.earlier.analyzed for folder in folders]
    record = _record(results, fingerprints.job) if all(complete) else None
    if record is not None and (
        _is_older(record, list(found.values())) or _is_of_another_job(results, folders)
    ):
        record = None
    return Earlier(results=results, folders=folders, record=record)


def reuse(results: Results, earlier: Earlier) -> None:
    """End a job of which nothing is missing: its record says what that of the earlier run said,
    and nothing else of it changes."""
    assert earlier.record is not None
    logger.info("an earlier run of this job is complete, so that nothing has to be done")
    results.reuse_previous_run()
    record = results.record
    content = earlier.record.model_dump(mode="json")
    record.source = content["source"] or {}
    record.recording = content["recording"] or {}
    record.preprocessing = content["preprocessing"] or {}
    record.sorters = [
        folder.earlier.sorter_run() for folder in earlier.folders if folder.earlier is not None
    ]
    record.exports = [ExportRun(**entry) for entry in content["exports"]]
    record.n_consensus_units = content["n_consensus_units"]
    record.ground_truth = content["ground_truth"]


def _record(results: Results, fingerprint: str) -> RunJson | None:
    """The record of a run of this job that succeeded, with all that sums it up; None without."""
    try:
        names = _names(results)
        if not {RECORD, REPORT} <= names:
            return None
        record = RunJson.model_validate_json(_content(results))
    except (SourceError, ValidationError) as error:  # of another version, or removed meanwhile
        logger.info("the earlier run.json is not used: %s", str(error).partition("\n")[0])
        return None
    summed_up = record.n_consensus_units is None or COMPARISON in names
    succeeded = record.status == "succeeded" and record.fingerprint == fingerprint
    return record if succeeded and summed_up else None


def _is_older(record: RunJson, found: Sequence[Completion]) -> bool:
    """Whether there are results that the record does not sum up: a role that may not delete cannot
    withdraw it before a job begins."""
    newest = max(completion.completed for completion in found)
    # the seconds of `run.json` are whole
    return record.ended is None or record.ended + timedelta(seconds=1) < newest


def _is_of_another_job(results: Results, folders: Sequence[SorterFolder]) -> bool:
    """Whether the results folder holds what another job found, so that the record of this one would
    lie beside that: then the results are brought here and summed up anew."""
    if results.storage is None:
        return False
    file = results.folder / RECORD
    try:
        of_job = RunJson.model_validate_json(file.read_bytes()).fingerprint
    except FileNotFoundError:
        of_job = None
    except ValidationError:  # of another version
        return True
    # a run that was refused has no fingerprint, and no results either
    another = of_job not in (None, results.record.fingerprint)
    return another or any(folder.holds_another_job() for folder in folders)


def _names(results: Results) -> set[str]:
    """What lies beside the sorters' folders, here or at the target."""
    if results.storage is None:
        return {path.name for path in results.folder.iterdir()}
    names = (RECORD, REPORT, f"{COMPARISON}/{AGREEMENT}")
    return {
        name.partition("/")[0]
        for name in names
        if results.storage.object_exists(results.place(name))
    }


def _content(results: Results) -> bytes:
    if results.storage is None:
        return (results.folder / RECORD).read_bytes()
    return results.storage.read_object(results.place(RECORD))
