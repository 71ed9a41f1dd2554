"""Why a job does not start, or a queue starts none: every check, in the order of the causes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from spikeinterface_cloud.aws.batch.jobs import JobState
from spikeinterface_cloud.aws.diagnose.batch_facts import (
    find_child,
    find_environments,
    find_front,
    find_job,
    find_jobs,
    find_queue,
    no_such_queue,
)
from spikeinterface_cloud.aws.diagnose.environment_checks import (
    Machines,
    check_environment,
    look_at_machines,
)
from spikeinterface_cloud.aws.diagnose.finding import (
    Finding,
    Seen,
    Unavailable,
    Verdict,
    check,
    downgrade_if_any_passes,
)
from spikeinterface_cloud.aws.diagnose.images import (
    judge_image,
    judge_image_elsewhere,
    look_up_image,
    parse_image,
)
from spikeinterface_cloud.aws.diagnose.job_checks import (
    judge_array,
    judge_dependencies,
    judge_job,
    judge_log,
)
from spikeinterface_cloud.aws.diagnose.log_groups import judge_log_group, log_group_exists
from spikeinterface_cloud.aws.diagnose.queue_checks import judge_front, judge_queue
from spikeinterface_cloud.aws.diagnose.request import Request, request_of
from spikeinterface_cloud.aws.diagnose.roles import (
    TASKS,
    judge_missing_execution_role,
    judge_missing_job_role,
    judge_role,
    look_up_role,
)
from spikeinterface_cloud.aws.diagnose.size_checks import judge_gpu_request
from spikeinterface_cloud.aws.session import AwsSession

Reply = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Diagnosis:
    """What was found of a job, or of a queue."""

    job_id: str | None
    #: its name or ARN; None where it is not known
    queue: str | None
    findings: Sequence[Finding]

    @property
    def exit_code(self) -> int:
        """1 where a check failed, else 0."""
        return int(any(finding.verdict is Verdict.FAILED for finding in self.findings))


def diagnose_job(session: AwsSession, job_id: str, queue: str | None) -> Diagnosis:
    """Look for what holds a job up, or why it failed.

    Parameters
    ----------
    queue
        the one to look at where this user may not see which one is the job's

    Raises
    ------
    AwsError
        There is no such job, or AWS could not be asked.
    """
    job = find_job(session, job_id)
    if isinstance(job, Unavailable):
        findings = check("job", judge_job, job)
        rest = _check_queue(session, find_queue(session, queue), None) if queue else []
        return Diagnosis(job_id=job_id, queue=queue, findings=[*findings, *rest])
    findings = []
    if job.array_size is not None:
        child = find_child(session, job)
        findings += check("array", judge_array, job, child)
        if child is None or isinstance(child, Unavailable):
            child = job
        job = child
    return Diagnosis(
        job_id=job.job_id, queue=job.queue, findings=[*findings, *_check_job(session, job)]
    )


def diagnose_queue(session: AwsSession, queue: str) -> Diagnosis:
    """Look for what would hold any job of a queue up.

    Raises
    ------
    AwsError
        There is no such queue, or AWS could not be asked.
    """
    found = find_queue(session, queue)
    if found is None:
        raise no_such_queue(session, queue)
    return Diagnosis(job_id=None, queue=queue, findings=_check_queue(session, found, None))


def _check_job(session: AwsSession, job: JobState) -> list[Finding]:
    """The job's own words, and everything behind them where it has not started."""
    findings = check("job", judge_job, job, time.time())
    has_ended = job.is_over and job.exit_code is not None  # else it is of an earlier attempt
    if job.status in ("RUNNING", "SUCCEEDED") or has_ended:
        return [*findings, *check("log", judge_log, job)]
    dependencies = [entry["jobId"] for entry in job.reply.get("dependsOn", ()) if "jobId" in entry]
    if dependencies and not job.is_over:
        states = find_jobs(session, dependencies)
        findings += check("dependencies", judge_dependencies, dependencies, states)
    return [*findings, *_check_queue(session, find_queue(session, job.queue), job)]


def _check_queue(
    session: AwsSession, queue: Seen[Reply | None], job: JobState | None
) -> list[Finding]:
    """The queue, what is at its front, its compute environments, and what else the job needs."""
    request = request_of(job) if job is not None else None
    findings = check("job queue", judge_queue, queue)
    environments: Seen[list[Reply]] = []
    if isinstance(queue, Unavailable):
        environments = queue
    elif queue is not None:
        if job is None or job.status == "RUNNABLE":
            findings += _check_front(session, queue, job)
        environments = find_environments(session, queue)
    if request is not None:
        findings += check("GPU", judge_gpu_request, request)
    findings += _check_environments(session, environments, request)
    return findings


def _check_front(session: AwsSession, queue: Reply, job: JobState | None) -> list[Finding]:
    front = find_front(session, queue)
    first: Seen[JobState | None] = None
    if isinstance(front, list) and front:
        identifier = front[0].rpartition("/")[2]
        found = find_jobs(session, [identifier])
        first = found if isinstance(found, Unavailable) else found.get(identifier)
    return check("front of the queue", judge_front, front, job, first)


def _check_environments(
    session: AwsSession, environments: Seen[list[Reply]], request: Request | None
) -> list[Finding]:
    if isinstance(environments, Unavailable):
        found = check("compute environments", judge_queue, environments)
        return found + _check_job_needs(session, request, frozenset())
    now = datetime.now(UTC)
    looked = [(environment, look_at_machines(session, environment)) for environment in environments]
    findings = [
        finding
        for environment, machines in looked
        for finding in check_environment(session, environment, machines, request, now)
    ]
    architectures = _architectures([machines for _, machines in looked])
    return downgrade_if_any_passes(findings, "machine size") + _check_job_needs(
        session, request, architectures
    )


def _check_job_needs(
    session: AwsSession, request: Request | None, architectures: frozenset[str]
) -> list[Finding]:
    """Roles, image and log group of a job."""
    if request is None:
        return []
    findings: list[Finding] = []
    for name, arn, missing in (
        ("job role", request.job_role, judge_missing_job_role),
        ("execution role", request.execution_role, judge_missing_execution_role),
    ):
        findings += _check_task_role(session, name, arn, missing, request)
    address = parse_image(request.image)
    if address is None:
        findings += check("image", judge_image_elsewhere, request.image)
    else:
        image = look_up_image(session, address)
        region = session.client("batch").meta.region_name
        findings += check("image", judge_image, address, image, architectures, region)
    if request.log_group is not None:
        exists = log_group_exists(session, request.log_group)
        findings += check("log group", judge_log_group, exists, request.log_group)
    return findings


def _check_task_role(
    session: AwsSession,
    name: str,
    arn: str | None,
    missing: Callable[[], Any],
    request: Request,
) -> list[Finding]:
    if arn is not None:
        return check(name, judge_role, look_up_role(session, arn), arn, TASKS, None)
    is_needed = name == "job role" or request.has_secrets
    return check(name, missing) if is_needed else []


def _architectures(machines: Sequence[Machines]) -> frozenset[str]:
    known = [kind for found in machines if isinstance(found.types, list) for kind in found.types]
    return frozenset(name for kind in known for name in kind.architectures if name != "i386")
