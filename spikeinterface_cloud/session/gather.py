"""Gather what the jobs of a session's streams found: `session/` in its results, and at its target.

`session.json` is written last, whichever way the streams ended.
"""

import logging
import os
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from spikeinterface_cloud.config.locations import mask_signatures
from spikeinterface_cloud.errors import SortingError, TargetError
from spikeinterface_cloud.results.folder import Results, ResultsState
from spikeinterface_cloud.results.layout import SESSION, SESSION_FILES, SESSION_RECORD
from spikeinterface_cloud.results.run_record import RunRecord, versions
from spikeinterface_cloud.results.target_lock import exclusive_target
from spikeinterface_cloud.results.tree import place_of
from spikeinterface_cloud.runtime.disk import room_for_results
from spikeinterface_cloud.runtime.folders import (
    for_one_job,
    open_results_folder,
    open_scratch,
)
from spikeinterface_cloud.runtime.logging import counted, step
from spikeinterface_cloud.session.collect import Gathered, collect, describe_clock
from spikeinterface_cloud.session.record import (
    ClockEntry,
    EventsEntry,
    SessionJson,
    SortedEntry,
    StreamEntry,
    parse_session,
    total,
)
from spikeinterface_cloud.session.results import StreamResult, read_results
from spikeinterface_cloud.session.streams import Session
from spikeinterface_cloud.storage.session import Storage

logger = logging.getLogger(__name__)


def gather(
    session: Session,
    results_folder: Path,
    environ: Mapping[str, str],
    exit_codes: Mapping[str, int] | None = None,
) -> None:
    """Gather the results of all streams of a session.

    Parameters
    ----------
    results_folder
        of the session, with a folder for each stream
    exit_codes
        of the jobs of streams that have just run on this host, by folder

    Raises
    ------
    TargetError
        if the folder or the target holds another session, or cannot be written
    SortingError
        naming the streams that failed or have no results, after all else was gathered
    """
    results = _open(session, results_folder)
    with for_one_job(results.folder):
        results.check_target()
        with exclusive_target(results, environ):
            holds_another = _check_session(results, session)
            _clear(results, must_delete=holds_another)
            tree = place_of(results, results_folder, session.settings.target)
            with step("read the results of the streams", results.record.steps):
                streams = read_results(session, tree, results_folder, exit_codes or {})
            parent = open_scratch(session.settings.scratch_folder)
            with tempfile.TemporaryDirectory(dir=parent) as scratch:
                gathered = Gathered(
                    session=session,
                    streams=streams,
                    tree=tree,
                    folder=results.folder,
                    scratch=Path(scratch),
                )
                with step("gather", results.record.steps), room_for_results(results.folder):
                    collect(gathered)
            record = _describe(session, gathered)
            _publish(results, gathered, record)
    if record.error is not None:
        raise SortingError(record.error)
    logger.info("gathered %s at %s", counted(len(record.streams), "stream"), results)


def _open(session: Session, results_folder: Path) -> Results:
    settings = session.settings
    return Results(
        open_results_folder(results_folder / SESSION),
        settings.target.child(SESSION) if settings.target else None,
        Storage(settings.aws) if settings.target else None,
        RunRecord(settings=settings.masked(), run_identifier=settings.run_identifier),
    )


def _check_session(results: Results, session: Session) -> bool:
    """Return whether another session is to be replaced; refuse it without OVERWRITE."""
    contents = {f"RESULTS_FOLDER: {results.folder}": _read_here(results)}
    if results.storage is not None:
        location = results.target_location(SESSION_RECORD)
        contents[f"TARGET_AWS_S3_BUCKET_FOLDER: {results.target}"] = results.storage.read_if_exists(
            location
        )
    others = {
        place: other
        for place, content in contents.items()
        if content is not None and (other := _other_session(content, session)) is not None
    }
    for place, other in others.items():
        if not session.settings.overwrite:
            raise TargetError(
                f"{place} holds {other}; give this session another folder, or replace that one: "
                "OVERWRITE=true (spikeinterface-cloud --overwrite)"
            )
    return bool(others)


def _read_here(results: Results) -> bytes | None:
    file = results.folder / SESSION_RECORD
    return file.read_bytes() if file.is_file() else None


def _other_session(content: bytes, session: Session) -> str | None:
    """Name the session that a record is of; None if it is this one."""
    try:
        record = parse_session(content)
    except ValueError:
        return f"a {SESSION_RECORD} of another version of this program"
    settings = session.settings
    if (record.source, record.data_type) == (_source_of(session), settings.reader):
        return None
    return f"another session, {record.source}"


def _source_of(session: Session) -> str:
    return mask_signatures(str(session.settings.source))


def _clear(results: Results, *, must_delete: bool) -> None:
    """Remove what was gathered before, `session.json` first: there is none meanwhile.

    With `must_delete`, files that have to stay at the target are an error.
    """
    results.state = ResultsState.RUNNING
    for name in SESSION_FILES:
        (results.folder / name).unlink(missing_ok=True)
    if results.storage is not None:
        results.confirm_lock()
        try:
            for name in SESSION_FILES:
                results.storage.remove_object(results.target_location(name))
        except TargetError as error:  # a role that may not delete
            if must_delete:  # they would be taken for this session's
                raise
            logger.warning("files that were gathered before may stay: %s", error)


def _describe(session: Session, gathered: Gathered) -> SessionJson:
    settings = session.settings
    streams = [_entry(result) for result in gathered.streams]
    error = "; ".join(filter(None, [_error(streams), *gathered.failures])) or None
    ended = datetime.now(UTC)
    own_s = (ended - gathered.started).total_seconds()
    return SessionJson(
        status="failed" if error else "succeeded",
        exit_code=SortingError.exit_code if error else os.EX_OK,
        error=error,
        run_identifier=settings.run_identifier,
        source=_source_of(session),
        data_type=settings.reader,
        started=gathered.started,
        ended=ended,
        settings=settings.masked(),
        versions=versions(),
        streams=streams,
        reference=gathered.clock.reference if gathered.clock else None,
        clocks={
            name: ClockEntry.model_validate(describe_clock(each))
            for name, each in (gathered.clock.streams if gathered.clock else {}).items()
        },
        events=EventsEntry.model_validate(gathered.events.describe()) if gathered.events else None,
        files=[file.name for file in gathered.files],
        notes=gathered.notes,
        seconds=own_s + sum(stream.seconds or 0.0 for stream in streams),
        usd=total([stream.usd for stream in streams]),
        usd_at_most=total([stream.usd_at_most for stream in streams]),
    )


def _entry(result: StreamResult) -> StreamEntry:
    record = result.record
    cost = record.cost if record is not None else None
    return StreamEntry(
        name=result.stream.identifier,
        folder=result.stream.folder,
        status=result.status,
        exit_code=result.exit_code,
        error=result.error,
        sorters=[
            SortedEntry(
                sorter=run.sorter, outcome=run.outcome, n_units=run.n_units, reason=run.reason
            )
            for run in (record.sorters if record is not None else ())
        ],
        seconds=cost.seconds if cost else None,
        usd=cost.usd if cost else None,
        usd_at_most=cost.usd_at_most if cost else None,
    )


def _error(streams: list[StreamEntry]) -> str | None:
    """Return one line that names the streams that failed or have no results."""
    failed = [stream for stream in streams if stream.status != "succeeded"]
    if not failed:
        return None
    reasons = "; ".join(f"{each.folder}: {each.error or each.status}" for each in failed)
    return (
        f"{len(failed)} of {counted(len(streams), 'stream')} failed ({reasons}); what the others "
        "found is in the results"
    )


def _publish(results: Results, gathered: Gathered, record: SessionJson) -> None:
    """Write `session.json`, and send everything to the target, that file last."""
    file = results.folder / SESSION_RECORD
    with room_for_results(file):
        unfinished = file.with_name(f".{file.name}.part")
        unfinished.write_text(f"{record.model_dump_json(indent=2)}\n")
        unfinished.replace(file)
    results.publish_files(SESSION, gathered.files)
    results.publish_files(SESSION_RECORD, [file])
