"""`infra down`: delete the stack. Results, images and logs stay."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spikeinterface_cloud.aws.batch.jobs import recent_jobs
from spikeinterface_cloud.aws.infra.stack import (
    check_outcome,
    check_settled,
    event_ids,
    our_stack,
    resources_of,
    wait,
)
from spikeinterface_cloud.aws.program_name import command_line
from spikeinterface_cloud.aws.session import AwsSession
from spikeinterface_cloud.aws.stack_outputs import outputs_of
from spikeinterface_cloud.aws_errors import AwsError, translate_errors, translate_stack_errors

if TYPE_CHECKING:
    from mypy_boto3_batch import BatchClient
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import StackResourceSummaryTypeDef, StackTypeDef

#: the resources that the template retains, by logical id, and the command to delete each
KEPT: Mapping[str, tuple[str, str]] = {
    "ResultsBucket": ("the results", "aws s3 rb --force s3://{name}"),
    "Repository": (
        "the images",
        "aws ecr delete-repository --force --repository-name {name}",
    ),
    "LogGroup": ("the logs", "aws logs delete-log-group --log-group-name {name}"),
}

#: the outputs that name queues
QUEUES = ("JobQueue", "OnDemandJobQueue", "CpuJobQueue")

#: the states of a queue that ends, with its jobs
GOING = ("DELETING", "DELETED")

#: AWS keeps no older job that is still running
OLDEST_JOB_S = 60 * 24 * 3600


@dataclass(frozen=True, kw_only=True, slots=True)
class RemovalPlan:
    """The resources to delete, and those to keep."""

    stack: StackTypeDef
    deleted: Sequence[StackResourceSummaryTypeDef]
    kept: Sequence[StackResourceSummaryTypeDef]


def plan(session: AwsSession, name: str) -> RemovalPlan | None:
    """Return the resources to delete; None if there is no such stack.

    Raises AwsError (the stack is not this project's, is being changed, or has unfinished jobs).
    """
    cloudformation: CloudFormationClient = session.client("cloudformation")
    stack = our_stack(cloudformation, name)
    if stack is None:
        return None
    check_settled(stack)
    _check_idle(session, stack)
    resources = resources_of(cloudformation, stack)
    return RemovalPlan(
        stack=stack,
        deleted=[each for each in resources if each["LogicalResourceId"] not in KEPT],
        kept=[each for each in resources if each["LogicalResourceId"] in KEPT],
    )


def _check_idle(session: AwsSession, stack: StackTypeDef) -> None:
    """Refuse while there are unfinished jobs, which would end with their queue."""
    outputs = outputs_of(stack)
    names = [outputs[key] for key in QUEUES if key in outputs]
    if not names:
        return
    batch: BatchClient = session.client("batch")
    with translate_errors("look up the queues of the stack"):
        found = batch.describe_job_queues(jobQueues=names)["jobQueues"]
    # a queue that is gone has no jobs: it was deleted by hand, or by a deletion that failed later
    for queue in (each["jobQueueArn"] for each in found if each.get("status") not in GOING):
        jobs = recent_jobs(batch, queue, OLDEST_JOB_S)
        if waiting := [job.job_id for job in jobs if not job.is_over]:
            raise AwsError(
                f"{queue.rpartition('/')[2]} has unfinished jobs ({len(waiting)}), which would be "
                "lost; wait until they end, or cancel each with "
                f"`{command_line('cancel', waiting[0])}`, then run `infra down` again"
            )


def describe_plan(removal: RemovalPlan) -> list[str]:
    """Return the removal for people, as lines."""
    width = max((len(each["ResourceType"]) for each in removal.deleted), default=0)
    lines = [f"the stack {removal.stack['StackName']}, to be deleted:"]
    lines += [
        f"  {each['ResourceType']:<{width}}  {each['LogicalResourceId']}"
        for each in removal.deleted
    ]
    return [*lines, *describe_kept(removal)]


def describe_kept(removal: RemovalPlan) -> list[str]:
    """Return the resources that stay, and the commands to delete them."""
    if not removal.kept:
        return []
    lines = ["kept until you delete them yourself (`infra up` uses them again):"]
    for resource in removal.kept:
        what, command = KEPT[resource["LogicalResourceId"]]
        name = resource.get("PhysicalResourceId", "")
        lines.append(f"  {what} in {name}: {command.format(name=name)}")
    return lines


def carry_out(
    session: AwsSession, removal: RemovalPlan, interval_s: float, report: Callable[[str], None]
) -> None:
    """Delete the stack, report the events, and wait for the end.

    Raises AwsError (with the first resource that could not be deleted).
    """
    cloudformation: CloudFormationClient = session.client("cloudformation")
    name, stack_id = removal.stack["StackName"], removal.stack["StackId"]
    seen = event_ids(cloudformation, stack_id)
    with translate_stack_errors(f"delete the stack {name}"):
        cloudformation.delete_stack(StackName=stack_id)
    ended = wait(cloudformation, stack_id, seen, interval_s, report)
    advice = f"remove the cause, then run `infra down --stack {name}` again"
    check_outcome(cloudformation, ended, ("DELETE_COMPLETE",), advice)
