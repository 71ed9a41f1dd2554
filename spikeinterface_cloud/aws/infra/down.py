"""`infra down`: delete the stack. Results, images and logs stay."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from spikeinterface_cloud.aws.batch.jobs import recent_jobs
from spikeinterface_cloud.aws.infra.stack import Resource, Stack, our_stack, resources_of
from spikeinterface_cloud.aws.infra.wait import Progress, check_outcome
from spikeinterface_cloud.aws.session import AwsSession
from spikeinterface_cloud.aws_errors import STACK_HINTS, AwsError, translate_errors

#: what the template retains, by resource type, and how it is deleted by hand
KEPT: Mapping[str, tuple[str, str]] = {
    "AWS::S3::Bucket": ("the results", "aws s3 rb --force s3://{name}"),
    "AWS::ECR::Repository": (
        "the images",
        "aws ecr delete-repository --force --repository-name {name}",
    ),
    "AWS::Logs::LogGroup": ("the logs", "aws logs delete-log-group --log-group-name {name}"),
}

#: the outputs that name queues
QUEUES = ("JobQueue", "OnDemandJobQueue", "CpuJobQueue")

#: AWS knows no older job that is still under way
OLDEST_JOB_S = 60 * 24 * 3600


@dataclass(frozen=True, kw_only=True, slots=True)
class RemovalPlan:
    """What is to be deleted, and what is not."""

    stack: Stack
    deleted: Sequence[Resource]
    kept: Sequence[Resource]


def plan(session: AwsSession, name: str) -> RemovalPlan | None:
    """What would be deleted; None where there is no such stack.

    Raises
    ------
    AwsError
        The stack is not ours, is being changed, or has jobs under way.
    """
    cloudformation = session.client("cloudformation")
    stack = our_stack(cloudformation, name)
    if stack is None:
        return None
    if stack.is_changing:
        raise AwsError(
            f"AWS is still at work on the stack {name} ({stack.status}); "
            f"wait until `submit_job.py infra status --stack {name}` says COMPLETE"
        )
    _check_idle(session, stack)
    resources = resources_of(cloudformation, stack)
    return RemovalPlan(
        stack=stack,
        deleted=[resource for resource in resources if resource.kind not in KEPT],
        kept=[resource for resource in resources if resource.kind in KEPT],
    )


def _check_idle(session: AwsSession, stack: Stack) -> None:
    """Refuse while jobs are under way, which would end with their queue."""
    queues = [stack.outputs[key] for key in QUEUES if key in stack.outputs]
    for queue in queues:
        jobs = recent_jobs(session.client("batch"), queue, OLDEST_JOB_S)
        if waiting := [job.job_id for job in jobs if not job.is_over]:
            raise AwsError(
                f"jobs are under way in {queue.rpartition('/')[2]} ({len(waiting)}), and would be "
                "lost; wait for their end, or end each with "
                f"`submit_job.py cancel {waiting[0]}`, then run `infra down` again"
            )


def describe_plan(removal: RemovalPlan) -> list[str]:
    """The removal for people, a line each."""
    width = max((len(resource.kind) for resource in removal.deleted), default=0)
    lines = [f"the stack {removal.stack.name}, to be deleted:"]
    lines += [f"  {each.kind:<{width}}  {each.logical_id}" for each in removal.deleted]
    return [*lines, *describe_kept(removal)]


def describe_kept(removal: RemovalPlan) -> list[str]:
    """What stays, and how it is deleted by hand."""
    if not removal.kept:
        return []
    lines = ["what stays, until you delete it by hand (`infra up` takes it up again):"]
    for resource in removal.kept:
        what, command = KEPT[resource.kind]
        name = resource.physical_id
        lines.append(f"  {what} in {name}: {command.format(name=name)}")
    return lines


def carry_out(
    session: AwsSession, removal: RemovalPlan, interval_s: float, tell: Callable[[str], None]
) -> None:
    """Delete the stack, tell what happens, and wait for the end.

    Raises
    ------
    AwsError
        with what could not be deleted first.
    """
    cloudformation = session.client("cloudformation")
    stack = removal.stack
    progress = Progress(cloudformation, stack.stack_id, tell)
    with translate_errors(f"delete the stack {stack.name}", hints=STACK_HINTS):
        cloudformation.delete_stack(StackName=stack.stack_id)
    ended = progress.wait(interval_s)
    advice = f"delete what is in its way, then run `infra down --stack {stack.name}` again"
    check_outcome(cloudformation, ended, ("DELETE_COMPLETE",), advice)
