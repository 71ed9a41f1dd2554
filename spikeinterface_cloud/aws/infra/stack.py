"""A CloudFormation stack: its state, its resources, and the events while it changes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from spikeinterface_cloud.aws.program_name import command_line
from spikeinterface_cloud.aws.stack_outputs import is_missing_stack
from spikeinterface_cloud.aws_errors import (
    AwsError,
    hint,
    one_line,
    translate_stack_errors,
)

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import (
        StackEventTypeDef,
        StackResourceSummaryTypeDef,
        StackTypeDef,
    )

#: the start of the template's description; a stack without it is not this project's
SIGNATURE = "SpikeInterface Cloud:"

#: the status of a stack that has only a change set
UNDER_REVIEW = "REVIEW_IN_PROGRESS"

#: AWS can only delete a stack in one of these states
NEVER_MADE = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED")

#: the stack's own events that start an operation
BEGINNINGS = frozenset(
    {"CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS", "REVIEW_IN_PROGRESS"}
)

STACK_TYPE = "AWS::CloudFormation::Stack"

#: how long a stack may keep its old state after a change was started
BEGINNING_S = 60


def find_stack(cloudformation: CloudFormationClient, name: str) -> StackTypeDef | None:
    """Return the stack with this name, or ARN if it was deleted; None if there is none."""
    with translate_stack_errors(f"look at the stack {name}"):
        try:
            return cloudformation.describe_stacks(StackName=name)["Stacks"][0]
        except ClientError as error:
            if is_missing_stack(error):
                return None
            raise


def our_stack(cloudformation: CloudFormationClient, name: str) -> StackTypeDef | None:
    """Return the stack with this name, which must be this project's; None if there is none.

    A stack under review has no description yet. Raises AwsError (it is not this project's).
    """
    stack = find_stack(cloudformation, name)
    if (
        stack is not None
        and stack["StackStatus"] != UNDER_REVIEW
        and not stack.get("Description", "").startswith(SIGNATURE)
    ):
        raise AwsError(
            f"the stack {name} was not created from this project's template; "
            "choose another name with --stack"
        )
    return stack


def parameters_of(stack: StackTypeDef) -> dict[str, str]:
    """Return the values of the template's parameters."""
    given = stack.get("Parameters", ())
    return {each["ParameterKey"]: each.get("ParameterValue", "") for each in given}


def tags_of(stack: StackTypeDef) -> dict[str, str]:
    """Return the tags."""
    return {tag["Key"]: tag["Value"] for tag in stack.get("Tags", ())}


def is_changing(stack: StackTypeDef) -> bool:
    """Return whether AWS is changing the stack."""
    return stack["StackStatus"].endswith("_IN_PROGRESS") and stack["StackStatus"] != UNDER_REVIEW


def check_settled(stack: StackTypeDef) -> None:
    """Refuse a stack that AWS is changing; AwsError."""
    if is_changing(stack):
        name = stack["StackName"]
        raise AwsError(
            f"AWS is still changing the stack {name} ({stack['StackStatus']}); "
            f"wait until `{command_line('infra', 'status', '--stack', name)}` says COMPLETE"
        )


def check_updatable(cloudformation: CloudFormationClient, stack: StackTypeDef) -> None:
    """Refuse a stack that AWS cannot update; AwsError (with what to do first)."""
    check_settled(stack)
    name, status = stack["StackName"], stack["StackStatus"]
    if status in NEVER_MADE:
        failure = first_failure(cloudformation, stack["StackId"])
        raise AwsError(
            f"the stack {name} is {status}, which AWS cannot update"
            f"{f': {failure}' if failure else ''}; "
            f"run `{command_line('infra', 'down', '--stack', name)}`, then `infra up` again"
        )
    if status == "UPDATE_ROLLBACK_FAILED":
        raise AwsError(
            f"the stack {name} is {status}; "
            f"run `aws cloudformation continue-update-rollback --stack-name {name}` first"
        )


def resources_of(
    cloudformation: CloudFormationClient, stack: StackTypeDef
) -> list[StackResourceSummaryTypeDef]:
    """Return the resources of the stack that are not deleted."""
    pages = cloudformation.get_paginator("list_stack_resources")
    with translate_stack_errors(f"list the resources of the stack {stack['StackName']}"):
        return [
            resource
            for page in pages.paginate(StackName=stack["StackId"])
            for resource in page["StackResourceSummaries"]
            if resource["ResourceStatus"] != "DELETE_COMPLETE" and resource["ResourceType"]
        ]


def is_of_stack(event: StackEventTypeDef) -> bool:
    """Return whether an event is about the stack itself, not one of its resources."""
    return event.get("ResourceType") == STACK_TYPE


def describe_event(event: StackEventTypeDef) -> str:
    """Return an event on one line, with the remedy if one is known."""
    reason = one_line(event.get("ResourceStatusReason"))
    kind, status = event.get("ResourceType", ""), event["ResourceStatus"]
    said = f"{event['LogicalResourceId']} ({kind}) {status}{f': {reason}' if reason else ''}"
    return f"{said}; {advice}" if (advice := hint(reason)) else said


def latest_events(
    cloudformation: CloudFormationClient, stack_id: str
) -> Iterator[StackEventTypeDef]:
    """Yield the events of the latest operation, the newest first."""
    pages = cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack_id)
    with translate_stack_errors("read the events of the stack"):
        for page in pages:
            for event in page["StackEvents"]:
                yield event
                if is_of_stack(event) and event["ResourceStatus"] in BEGINNINGS:
                    return


def first_failure(cloudformation: CloudFormationClient, stack_id: str) -> str:
    """Return the first failure of the latest operation on one line; empty if nothing failed.

    A cancellation after another failure is none of its own.
    """
    failures = [
        event
        for event in latest_events(cloudformation, stack_id)
        if event["ResourceStatus"].endswith("_FAILED")
        and "cancelled" not in event.get("ResourceStatusReason", "").lower()
    ]
    of_resources = [event for event in failures if not is_of_stack(event)]
    first = next(reversed(of_resources or failures), None)
    return describe_event(first) if first else ""


def event_ids(cloudformation: CloudFormationClient, stack_id: str) -> set[str]:
    """Return the events that have happened, for `wait` to leave out."""
    return {event["EventId"] for event in latest_events(cloudformation, stack_id)}


def wait(
    cloudformation: CloudFormationClient,
    stack_id: str,
    seen: set[str],
    interval_s: float,
    report: Callable[[str], None],
) -> StackTypeDef:
    """Report each event that is not in `seen` until the stack no longer changes, and return it."""
    latest_s = time.monotonic() + BEGINNING_S
    has_begun = False
    while True:
        stack = find_stack(cloudformation, stack_id)
        if stack is None:
            raise AwsError(f"the stack {stack_id} no longer exists")
        events = latest_events(cloudformation, stack_id)
        new = [event for event in events if event["EventId"] not in seen]
        for event in reversed(new):
            if not is_of_stack(event) and not event["ResourceStatus"].endswith("_IN_PROGRESS"):
                report(f"  {describe_event(event)}")
        seen.update(event["EventId"] for event in new)
        has_begun = has_begun or bool(new)
        if (has_begun or time.monotonic() > latest_s) and not is_changing(stack):
            return stack
        time.sleep(interval_s)


def check_outcome(
    cloudformation: CloudFormationClient, stack: StackTypeDef, wanted: Iterable[str], advice: str
) -> None:
    """Refuse a stack that did not end in one of the `wanted` states.

    Raises AwsError (with the first failure, and `advice`).
    """
    if stack["StackStatus"] in wanted:
        return
    failure = first_failure(cloudformation, stack["StackId"])
    why = f": the first failure was {failure}" if failure else ""
    raise AwsError(f"the stack {stack['StackName']} ended in {stack['StackStatus']}{why}; {advice}")
