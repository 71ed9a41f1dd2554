"""The jobs of sessions: for each, an array with a child a stream, and a job that gathers.

AWS starts a job only if all that it depends on have succeeded, and a job can depend on whole arrays
only. So each session has an array of its own: a stream that fails costs no other session anything,
and a session is gathered as soon as its own streams have ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from spikeinterface_cloud.aws.batch.array_jobs import (
    SHOWN,
    confirm,
    prepare_jobs,
    size,
    total_size,
)
from spikeinterface_cloud.aws.batch.completed import (
    changed_settings,
    find_unfinished,
    notes_of_changes,
)
from spikeinterface_cloud.aws.batch.job_hash import suggested_name
from spikeinterface_cloud.aws.batch.jobs import find_same_job
from spikeinterface_cloud.aws.batch.request import gpu_notes, place
from spikeinterface_cloud.aws.batch.results import SESSION_RECORD
from spikeinterface_cloud.aws.batch.submission import PreparedJob, find_existing, prepare_job
from spikeinterface_cloud.aws.cli.values import SubmitOptions
from spikeinterface_cloud.aws.inputs.sessions import Session, find_sessions
from spikeinterface_cloud.aws.session import AwsSession
from spikeinterface_cloud.aws.stack_outputs import find_queue_and_definition
from spikeinterface_cloud.aws.table import table
from spikeinterface_cloud.errors import printable
from spikeinterface_cloud.runtime.logging import counted

#: what the container runs for a stream, and for the session
SORT_STREAM = ("python", "run_script.py", "--part-of-session")
GATHER = ("python", "run_script.py", "--gather")


@dataclass(frozen=True, kw_only=True, slots=True)
class PreparedSession:
    """The jobs of a session, ready to be shown or sent."""

    #: an array, or one job for one stream; None if all streams have been sorted
    sorting: PreparedJob | None
    #: without what it depends on
    gathering: PreparedJob

    def requests(self) -> Iterator[Mapping[str, Any]]:
        """Yield the requests; that of the gathering job names the other in place of its id."""
        if self.sorting is None:
            yield self.gathering.request
        else:
            yield self.sorting.request
            yield self.gather_after(f"<the id of {self.sorting.name}>").request

    def gather_after(self, job_id: str) -> PreparedJob:
        """Return the gathering job, which starts after the success of another one."""
        request = {**self.gathering.request, "dependsOn": [{"jobId": job_id}]}
        return replace(self.gathering, request=request)


def prepare_sessions(
    session: AwsSession,
    options: SubmitOptions,
    environ: Mapping[str, str],
    note: Callable[[str], None],
    show: Callable[[str], None],
) -> list[PreparedSession]:
    """Prepare the jobs of sessions, after showing their streams and asking."""
    placed = place(session, options)
    gathering = _gathering_options(session, options, placed)
    sessions, notes = find_sessions(options, environ, session)
    notes += gpu_notes(options, [job.settings for each in sessions for job in each.streams])
    if options.skip_completed:
        left = [each for each in sessions if not _is_gathered(session, each)]
        notes += (f"{len(sessions) - len(left):,} of {len(sessions):,} are complete already",)
        found = [find_unfinished(session.storage, each.streams) for each in left]
        sessions = [
            replace(each, streams=streams.jobs) for each, streams in zip(left, found, strict=True)
        ]
        notes += notes_of_changes([names for streams in found for names in streams.changed])
    for text in (*notes, *(text for each in sessions for text in each.notes)):
        note(printable(text))
    if not sessions:
        show("there is nothing to submit")
        return []
    show(overview(sessions))
    prepared = [_prepare(each, placed, gathering) for each in sessions]
    if not options.yes and not options.dry_run:
        confirm(sum(len(each.streams) + 1 for each in sessions), session)
    return prepared


def overview(sessions: Sequence[Session]) -> str:
    """Return a table of the first streams, and the number and size of all."""
    jobs = [job for session in sessions for job in session.streams]
    rows = [
        (printable(job.label), size(job.size_bytes), printable(str(job.target)))
        for job in jobs[:SHOWN]
    ]
    lines = [table(rows, align=("left", "right", "left"))] if rows else []
    if len(jobs) > SHOWN:
        lines.append(f"... and {len(jobs) - SHOWN:,} more")
    if not_sorted := list(dict.fromkeys(name for each in sessions for name in each.not_sorted)):
        lines.append(f"not sorted: {printable(', '.join(not_sorted))}")
    clocks = {str(each.gathering.to_env().get("CLOCK")) for each in sessions}
    lines.append(f"reference clock: {printable(', '.join(sorted(clocks)))}")
    sizes = [job.size_bytes for job in jobs]
    total = f", {total_size(sizes)}" if jobs else ""
    several = f"{counted(len(sessions), 'session')}, " if len(sessions) > 1 else ""
    return "\n".join([*lines, f"{several}{counted(len(jobs), 'stream')}{total}"])


def send_session(
    session: AwsSession,
    prepared: PreparedSession,
    send: Callable[[AwsSession, PreparedJob], str],
    note: Callable[[str], None],
    *,
    skip_existing: bool,
) -> Iterator[tuple[PreparedJob, str]]:
    """Submit the jobs of a session, and yield each with its id.

    With `skip_existing`, a session that is being gathered or has been is not submitted again, and
    an array that still runs is gathered when it ends. One that has ended is submitted again, as its
    streams may have failed; those that succeeded are not sorted a second time.
    """
    sorting, gathering = prepared.sorting, prepared.gathering
    same = find_existing(session, gathering, note, skip=skip_existing)
    if same is not None:
        yield gathering, same
        return
    if sorting is None:
        yield gathering, send(session, gathering)
        return
    job_id = _running(session, sorting) if skip_existing else None
    if not skip_existing:
        find_existing(session, sorting, note, skip=False)
    if job_id is None:
        job_id = send(session, sorting)
    yield sorting, job_id
    yield gathering, send(session, prepared.gather_after(job_id))


def _running(session: AwsSession, job: PreparedJob) -> str | None:
    """Return the id of the same job if it has not ended."""
    same = find_same_job(session.client("batch"), job.request["jobQueue"], job.name)
    return None if same is None or same.is_over else same.job_id


def _prepare(session: Session, options: SubmitOptions, gathering: SubmitOptions) -> PreparedSession:
    name = options.job_name or suggested_name({"RUN_IDENTIFIER": session.title})[:80]
    sorting_options = replace(options, job_name=name, command=SORT_STREAM)
    sorting = None
    if session.streams:
        sorting = prepare_jobs(session.streams, sorting_options, session.title, session.target)
    return PreparedSession(
        sorting=sorting,
        gathering=prepare_job(session.gathering, replace(gathering, job_name=f"{name}-gather")),
    )


def _gathering_options(
    session: AwsSession, options: SubmitOptions, placed: SubmitOptions
) -> SubmitOptions:
    """Return how a gathering job is to run: on the stack's CPUs, unless options name no stack."""
    queue, definition = placed.job_queue, placed.job_definition
    if options.stack or not (options.job_queue and options.job_definition):
        queue, definition = find_queue_and_definition(session, options.stack, None, None, "cpu")
    is_same_queue = queue == placed.job_queue
    return replace(
        options,
        job_queue=queue,
        job_definition=definition,
        gpus=None,
        vcpus=None,
        memory=None,
        share_identifier=options.share_identifier if is_same_queue else None,
        priority=options.priority if is_same_queue else None,
        command=GATHER,
    )


def _is_gathered(session: AwsSession, each: Session) -> bool:
    """Return whether the record of a session says success with the same settings."""
    location = each.target.child(SESSION_RECORD)
    return changed_settings(session.storage, location, each.gathering) == ()
