"""The events of a stack, resource by resource, and the first failure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from spikeinterface_cloud.aws_errors import hint, one_line, translate_stack_errors

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import StackEventTypeDef

#: the stack's own events that start an operation
BEGINNINGS = frozenset(
    {"CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS", "REVIEW_IN_PROGRESS"}
)

STACK_TYPE = "AWS::CloudFormation::Stack"


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
