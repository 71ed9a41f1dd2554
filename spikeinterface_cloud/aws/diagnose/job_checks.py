"""Why a job is in its state, by its own words: it waits, it starts, or how it ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from spikeinterface_cloud.aws.batch.jobs import JobState
from spikeinterface_cloud.aws.batch.table import format_seconds
from spikeinterface_cloud.aws.diagnose.exit_codes import explain_exit_code
from spikeinterface_cloud.aws.diagnose.finding import Finding, failed, ok, warning
from spikeinterface_cloud.aws.diagnose.status_reasons import BLOCKED, NOT_STARTED, meaning_of

#: how long after its submission a job may be in a state before that is worth a warning: a first
#: machine takes a few minutes to start, and an image of many GB some more to be fetched. AWS does
#: not tell since when it is in that state
USUAL_S: Mapping[str, float] = {"SUBMITTED": 600, "RUNNABLE": 900, "STARTING": 1800}

#: what AWS is doing meanwhile
MEANWHILE: Mapping[str, str] = {
    "SUBMITTED": "AWS has not looked at it yet",
    "RUNNABLE": "it waits for a machine, and AWS gives no reason",
    "STARTING": "its machine fetches the image and starts the container",
}


def judge_job(job: JobState, now_s: float) -> Iterator[Finding]:
    """What a job's own state and reason say of it."""
    if job.status == "FAILED":
        yield judge_end(job)
    elif job.status in ("RUNNING", "SUCCEEDED"):
        elapsed = format_seconds(job.elapsed_s(now_s))
        yield ok(f"{job.status}{f', {elapsed}' if elapsed else ''}: it has started")
    elif job.status == "PENDING":
        yield warning(
            "PENDING: it waits for other jobs", "cancel it if they are not to end, or wait"
        )
    else:
        yield _judge_waiting(job, now_s)


def _judge_waiting(job: JobState, now_s: float) -> Finding:
    waited_s = max(0.0, now_s - float(job.reply.get("createdAt", now_s * 1000)) / 1000)
    attempts = f" after {len(job.attempts)} attempts" if job.attempts else ""
    state = f"{job.status}{attempts}, {format_seconds(waited_s)} after its submission"
    known = meaning_of(job.reason, (*BLOCKED, *NOT_STARTED)) if job.reason else None
    if known is not None:
        return failed(f"{state}: {known.meaning} ({job.reason})", known.remedy)
    if job.reason:
        return warning(f"{state}: {job.reason}")
    evidence = f"{state}: {MEANWHILE.get(job.status, 'it waits')}"
    if waited_s > USUAL_S.get(job.status, 0):
        return warning(evidence, "if it has been so for long, see what the checks below find")
    return ok(evidence)


def judge_end(job: JobState) -> Finding:
    """How a job failed."""
    reason = f" ({job.reason})" if job.reason else ""
    attempts = f" after {job.n_attempts} attempts" if job.n_attempts > 1 else ""
    code = job.exit_code
    known = meaning_of(job.reason, NOT_STARTED)
    if code is None:
        meaning = known.meaning if known else "its container never started"
        remedy = known.remedy if known else "the checks below look for the cause"
        return failed(f"FAILED{attempts}: {meaning}{reason}", remedy)
    meaning, remedy = explain_exit_code(code)
    if known is not None and known.words[0] != "Task failed to start":
        meaning, remedy = known.meaning, known.remedy
    return failed(f"FAILED{attempts} with exit code {code}: {meaning}{reason}", remedy)


def judge_log(job: JobState) -> Iterator[Finding]:
    """Where the log of a job is, that has ended or runs."""
    streams = job.log_streams
    if streams:
        yield Finding(
            verdict=ok("").verdict,
            evidence=f"{job.log_group}, stream {streams[-1]}",
            remedy="read it" if job.status == "FAILED" else "",
            command=f"python submit_job.py logs {job.job_id}",
        )
    else:
        yield warning("there is none, as no container has started")


def judge_array(array: JobState, child: JobState | None) -> Iterator[Finding]:
    """How the jobs of an array stand, and which of them is looked at."""
    counts = array.describe_counts() or "no jobs yet"
    looked_at = f"; {child.job_id} is looked at" if child is not None else ""
    if array.array_counts.get("FAILED"):
        yield failed(
            f"{counts}{looked_at}",
            "mend what the failed ones report; --skip-completed submits those that have no results",
        )
    else:
        yield ok(f"{counts}{looked_at}")


def judge_dependencies(
    dependencies: Sequence[str], states: Mapping[str, JobState]
) -> Iterator[Finding]:
    """Whether the jobs that a job waits for can still succeed."""
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
                "cancel this job, mend that one, and submit both again",
            )
        else:
            yield ok(f"it waits for {job_id}, which is {state.status}")
