"""The results of a session's streams: their records, and whether they are those of this session."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from spikeinterface_cloud.config.settings import JobSettings
from spikeinterface_cloud.recording.formats.session_streams import SessionStream
from spikeinterface_cloud.results.layout import RECORD
from spikeinterface_cloud.results.run_schema import RunJson
from spikeinterface_cloud.results.tree import ResultsTree
from spikeinterface_cloud.session.streams import Session

logger = logging.getLogger(__name__)

#: variables that decide nothing about the results of a stream
IRRELEVANT = frozenset(
    {
        "ARCHIVE",
        "CLOCK",
        "MANIFEST_URL",
        "N_JOBS",
        "OVERWRITE",
        "RESULTS_FOLDER",
        "RUN_IDENTIFIER",
        "SCRATCH_FOLDER",
    }
)

#: beginnings of the names of others
IRRELEVANT_BEGINNINGS = ("AWS_", "DANDI_", "TARGET_")

#: those with such a beginning that name the source
OF_SOURCE = ("AWS_S3_BUCKET", "AWS_S3_BUCKET_FOLDER")


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamResult:
    """How the job of one stream ended."""

    stream: SessionStream
    #: None if there is none of this session
    record: RunJson | None = None
    #: why there is none, and what to do
    missing: str | None = None
    exit_code: int | None = None

    @property
    def status(self) -> Literal["succeeded", "failed", "interrupted", "missing"]:
        """`succeeded`, `failed`, `interrupted`, or `missing`."""
        return self.record.status if self.record is not None else "missing"

    @property
    def error(self) -> str | None:
        """Why the stream did not succeed."""
        return self.record.error if self.record is not None else self.missing


def read_results(
    session: Session, tree: ResultsTree, results_folder: Path, exit_codes: Mapping[str, int]
) -> list[StreamResult]:
    """Read `run.json` of each stream, in order.

    Parameters
    ----------
    tree
        of the results of the session: those at its target, if it has one
    exit_codes
        of the jobs that have just run on this host, by folder
    """
    return [
        _read(session, stream, tree, results_folder, exit_codes.get(stream.folder))
        for stream in session.streams
    ]


def _read(
    session: Session,
    stream: SessionStream,
    tree: ResultsTree,
    results_folder: Path,
    exit_code: int | None,
) -> StreamResult:
    name = f"{stream.folder}/{RECORD}"
    record = tree.read_record(stream.folder)
    expected = JobSettings.from_env(session.variables_of(stream, results_folder))
    if record is None:
        missing = (
            f"there is no {tree}/{name} of this version of the program: the job of the stream has "
            "not run, was killed, or could not publish its results; run it again"
        )
    elif exit_code not in (None, record.exit_code):
        missing = (
            f"its job ended with exit code {exit_code}, and {tree}/{name} is of an earlier one; "
            "the log of this job says why"
        )
    elif different := _differences(record, expected):
        missing = (
            f"the results in {tree}/{stream.folder} are of a job with another "
            f"{', '.join(different)}; run the job of the stream again with OVERWRITE=true"
        )
    else:
        return StreamResult(stream=stream, record=record, exit_code=record.exit_code)
    logger.error("%s: %s", stream.folder, missing)
    return StreamResult(stream=stream, missing=missing, exit_code=exit_code)


def _differences(record: RunJson, expected: JobSettings) -> list[str]:
    """Return the variables that decide the results and have another value in the record."""
    here, there = _relevant(expected.masked()), _relevant(record.settings)
    different = [name for name in sorted({*here, *there}) if here.get(name) != there.get(name)]
    if not different and record.source and record.source.location != str(expected.source):
        return ["source"]
    return different


def _relevant(settings: Mapping[str, str]) -> dict[str, str]:
    return {
        name: text
        for name, text in settings.items()
        if name in OF_SOURCE or not (name in IRRELEVANT or name.startswith(IRRELEVANT_BEGINNINGS))
    }
