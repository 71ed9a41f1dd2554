"""Diagnose why a job does not start, or a queue starts none: all checks, in order of the causes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from spikeinterface_cloud.aws.batch.jobs import JobState
from spikeinterface_cloud.aws.diagnose import (
    batch_facts,
    images,
    job_checks,
    queue_checks,
    roles,
    size_checks,
)
from spikeinterface_cloud.aws.diagnose.environment_checks import (
    diagnose_environment,
    find_instances,
)
from spikeinterface_cloud.aws.diagnose.finding import (
    Finding,
    Reply,
    Unavailable,
    Verdict,
    downgrade_if_an_environment_passes,
    downgrade_if_any_passes,
    run_check,
)
from spikeinterface_cloud.aws.diagnose.request import JobRequirements, requirements_of
from spikeinterface_cloud.aws.session import AwsSession


@dataclass(frozen=True, kw_only=True, slots=True)
class Diagnosis:
    """The findings about a job or a queue."""

    job_id: str | None
    #: its name or ARN; None if unknown
    queue: str | None
    findings: Sequence[Finding]

    @property
    def exit_code(self) -> int:
        """1 if a check failed, else 0."""
        return int(any(finding.verdict is Verdict.FAILED for finding in self.findings))


def diagnose_job(session: AwsSession, job_id: str, queue: str | None) -> Diagnosis:
    """Find out why a job does not start, or why it failed.

    `queue` is checked if this user may not see the job. Raises AwsError (there is no such job, or
    AWS does not answer).
    """
    job = batch_facts.find_job(session, job_id)
    if isinstance(job, Unavailable):
        findings = run_check("job", job_checks.check_job, job)
        if queue:
            findings += _check_queue(session, batch_facts.find_queue(session, queue), None)
        return Diagnosis(job_id=job_id, queue=queue, findings=findings)
    findings = []
    if job.array_size is not None:
        child = batch_facts.find_child(session, job)
        findings += run_check("array", job_checks.check_array, job, child)
        job = child if isinstance(child, JobState) else job
    findings += _check_job(session, job)
    return Diagnosis(job_id=job.job_id, queue=job.queue, findings=findings)


def diagnose_queue(session: AwsSession, queue: str) -> Diagnosis:
    """Find out what would keep any job of a queue from starting.

    Raises AwsError (there is no such queue, or AWS does not answer).
    """
    found = batch_facts.find_queue(session, queue)
    if found is None:
        raise batch_facts.no_such_queue(session, queue)
    return Diagnosis(job_id=None, queue=queue, findings=_check_queue(session, found, None))


def _check_job(session: AwsSession, job: JobState) -> list[Finding]:
    """Check the job's own state, and all possible causes if it has not started."""
    findings = run_check("job", job_checks.check_job, job, time.time())
    findings += run_check("kind of job", job_checks.check_kind, job)
    has_ended = job.is_over and job.exit_code is not None  # else it is of an earlier attempt
    if job.status in ("RUNNING", "SUCCEEDED") or has_ended:
        return [*findings, *run_check("log", job_checks.check_log, job)]
    dependencies = [entry["jobId"] for entry in job.reply.get("dependsOn", ()) if "jobId" in entry]
    if dependencies and not job.is_over:
        states = batch_facts.find_jobs(session, dependencies)
        findings += run_check("dependencies", job_checks.check_dependencies, dependencies, states)
    return [*findings, *_check_queue(session, batch_facts.find_queue(session, job.queue), job)]


def _check_queue(
    session: AwsSession, queue: Reply | Unavailable | None, job: JobState | None
) -> list[Finding]:
    """Check the queue, its front, its compute environments, and what else the job needs."""
    is_foreign = job is not None and job.foreign_kind is not None
    needs = requirements_of(job) if job is not None and not is_foreign else None
    findings = run_check("job queue", queue_checks.check_queue, queue)
    environments: list[Reply] | Unavailable = []
    if isinstance(queue, Unavailable):
        environments = queue
    elif queue is not None:
        if job is None or job.status == "RUNNABLE":
            findings += _check_front(session, queue, job)
        environments = batch_facts.find_environments(session, queue)
    if needs is not None:
        findings += run_check("GPU", size_checks.check_gpu_request, needs)
    return findings + _check_environments(session, environments, needs)


def _check_front(session: AwsSession, queue: Reply, job: JobState | None) -> list[Finding]:
    front = batch_facts.find_front(session, queue)
    first: JobState | Unavailable | None = None
    if isinstance(front, list) and front:
        identifier = front[0].rpartition("/")[2]
        jobs = batch_facts.find_jobs(session, [identifier])
        first = jobs if isinstance(jobs, Unavailable) else jobs.get(identifier)
    return run_check("front of the queue", queue_checks.check_front, front, job, first)


def _check_environments(
    session: AwsSession, environments: list[Reply] | Unavailable, needs: JobRequirements | None
) -> list[Finding]:
    if isinstance(environments, Unavailable):
        findings = run_check("compute environments", queue_checks.check_queue, environments)
        return findings + _check_job_needs(session, needs, frozenset())
    now = datetime.now(UTC)
    pools = [find_instances(session, environment) for environment in environments]
    findings = [
        finding
        for environment, (types, scaling) in zip(environments, pools, strict=True)
        for finding in diagnose_environment(session, environment, types, scaling, needs, now)
    ]
    architectures = frozenset(
        name
        for types, _ in pools
        if isinstance(types, list)
        for kind in types
        for name in kind.architectures
        if name != "i386"
    )
    return [
        *downgrade_if_any_passes(downgrade_if_an_environment_passes(findings), "instance size"),
        *_check_job_needs(session, needs, architectures),
    ]


def _check_job_needs(
    session: AwsSession, needs: JobRequirements | None, architectures: frozenset[str]
) -> list[Finding]:
    """Check the roles, the image and the log group of a job."""
    if needs is None:
        return []
    findings: list[Finding] = []
    if needs.job_role is None:
        findings += run_check("job role", roles.check_missing_job_role)
    if needs.execution_role is None and needs.has_secrets:
        findings += run_check("execution role", roles.check_missing_execution_role)
    for name, arn in (("job role", needs.job_role), ("execution role", needs.execution_role)):
        if arn is not None:
            role = roles.find_role(session, arn)
            findings += run_check(name, roles.check_role, role, arn, roles.TASKS, None)
    address = images.parse_image(needs.image)
    if address is None:
        findings += run_check("image", images.check_image_elsewhere, needs.image)
    else:
        image = images.find_image(session, address)
        region = session.client("batch").meta.region_name
        findings += run_check("image", images.check_image, address, image, architectures, region)
    if needs.log_group is not None:
        exists = batch_facts.log_group_exists(session, needs.log_group)
        findings += run_check("log group", job_checks.check_log_group, exists, needs.log_group)
    return findings
