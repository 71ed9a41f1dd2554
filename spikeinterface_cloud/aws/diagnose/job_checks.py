"""Checks of a job's own state: why it waits, and how it ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from spikeinterface_cloud.aws.batch.jobs import JobState
from spikeinterface_cloud.aws.diagnose.finding import (
    Finding,
    Verdict,
    failed,
    first_match,
    ok,
    warning,
)
from spikeinterface_cloud.aws.diagnose.meanings import (
    BLOCKED,
    CANCELED,
    CANCELED_BY_BATCH,
    NOT_STARTED,
    Meaning,
    explain_exit_code,
)
from spikeinterface_cloud.aws.program_name import command_line
from spikeinterface_cloud.runtime.logging import format_seconds

#: seconds after its submission until a job in this state is worth a warning: a first instance takes
#: a few minutes to start, and an image of many GB some more to pull. AWS does not say how long a
#: job has been in a state
USUAL_S: Mapping[str, float] = {"SUBMITTED": 600, "RUNNABLE": 900, "STARTING": 1800}

#: what happens in this state
MEANWHILE: Mapping[str, str] = {
    "SUBMITTED": "AWS has not processed it yet",
    "RUNNABLE": "it waits for an instance; AWS gives no reason",
    "STARTING": "its instance pulls the image and starts the container",
}


def check_job(job: JobState, now_s: float) -> Iterator[Finding]:
    """Check a job by its own state and reason."""
    if job.status == "FAILED":
        yield check_end(job)
    elif job.status in ("RUNNING", "SUCCEEDED"):
        elapsed = format_seconds(job.elapsed_s(now_s))
        yield ok(f"{job.status}{f', {elapsed}' if elapsed else ''}: it has started")
    elif job.status == "PENDING":
        yield warning("PENDING: it waits for other jobs", "cancel it if they will not end, or wait")
    else:
        yield _check_waiting(job, now_s)


def check_kind(job: JobState) -> Iterator[Finding]:
    """Warn about a job that does not run in one container."""
    if job.foreign_kind:
        yield warning(
            f"it {job.foreign_kind}, as no job of this program does: its size, GPU, roles, image "
            "and log group cannot be checked",
            "see the job in the console of AWS Batch",
        )


def _check_waiting(job: JobState, now_s: float) -> Finding:
    waited_s = max(0.0, now_s - float(job.reply.get("createdAt", now_s * 1000)) / 1000)
    attempts = f" after {len(job.attempts)} attempts" if job.attempts else ""
    state = f"{job.status}{attempts}, {format_seconds(waited_s)} after its submission"
    known = _explain_reason(job, {**BLOCKED, **NOT_STARTED})
    if known is not None:
        return failed(f"{state}: {known.meaning} ({job.reason})", known.remedy)
    if job.reason:
        return warning(f"{state}: {job.reason}")
    evidence = f"{state}: {MEANWHILE.get(job.status, 'it waits')}"
    if waited_s > USUAL_S.get(job.status, 0):
        return warning(evidence, "if this lasts, see the checks below")
    return ok(evidence)


def check_end(job: JobState) -> Finding:
    """Return how a job failed."""
    reason = f" ({job.reason})" if job.reason else ""
    attempts = f" after {job.n_attempts} attempts" if job.n_attempts > 1 else ""
    code = "" if job.exit_code is None else f" with exit code {job.exit_code}"
    meaning, remedy = "its container never started", "see the checks below for the cause"
    if job.foreign_kind:
        meaning = f"it {job.foreign_kind}, and AWS gives no exit code"
    if known := explain_end(job):
        meaning, remedy = known
    return failed(f"FAILED{attempts}{code}: {meaning}{reason}", remedy)


def explain_end(job: JobState) -> Meaning | None:
    """Return why a job failed, from its reason or else its exit code; None if it has neither."""
    known = _explain_reason(job, NOT_STARTED)
    if job.exit_code is None:
        return known
    if known is None or known is NOT_STARTED["Task failed to start"]:
        return Meaning(*explain_exit_code(job.exit_code))
    return known


def _explain_reason(job: JobState, meanings: Mapping[str, Meaning]) -> Meaning | None:
    if job.is_canceled:
        return first_match(job.reason, CANCELED_BY_BATCH) or CANCELED
    return first_match(job.reason, meanings)


def check_log(job: JobState) -> Iterator[Finding]:
    """Return where the log of a job is that runs or has ended."""
    if streams := job.log_streams:
        yield Finding(
            verdict=Verdict.OK,
            evidence=f"{job.log_group}, stream {streams[-1]}",
            remedy="read it" if job.status == "FAILED" else "",
            command=command_line("logs", job.job_id),
        )
    else:
        yield warning("there is none, because no container has started")


def check_array(array: JobState, child: JobState | None) -> Iterator[Finding]:
    """Check the jobs of an array, and name the one that the other checks are about."""
    counts = array.describe_counts() or "no jobs yet"
    checked = f"; {child.job_id} is checked" if child is not None else ""
    if array.array_counts.get("FAILED"):
        yield failed(
            f"{counts}{checked}",
            "correct what the failed ones report; --skip-completed submits those without results",
        )
    else:
        yield ok(f"{counts}{checked}")


def check_dependencies(
    dependencies: Sequence[str], states: Mapping[str, JobState]
) -> Iterator[Finding]:
    """Check whether the jobs that a job depends on can still succeed."""
    for job_id in dependencies:
        state = states.get(job_id)
        if state is None:
            yield failed(
                f"it waits for {job_id}, which AWS does not know",
                "cancel this job, and submit it again without --depends-on",
            )
        elif state.status == "FAILED":
            yield failed(
                f"it waits for {job_id}, which has failed",
                "cancel this job, correct that one, and submit both again",
            )
        else:
            yield ok(f"it waits for {job_id}, which is {state.status}")


def check_log_group(exists: bool, name: str) -> Iterator[Finding]:
    """Check whether the container's log can be opened."""
    if exists:
        yield ok(name)
    else:
        yield failed(
            f"there is no log group {name}, and instances may not create it: no container starts",
            "create it, or remove logConfiguration from the job definition",
            f"aws logs create-log-group --log-group-name {name}",
        )
