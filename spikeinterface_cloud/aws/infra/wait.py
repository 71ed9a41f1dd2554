"""Watch the changes of a stack until they end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from spikeinterface_cloud.aws.infra.events import (
    describe_event,
    first_failure,
    is_of_stack,
    latest_events,
)
from spikeinterface_cloud.aws.infra.stack import find_stack, is_changing
from spikeinterface_cloud.aws_errors import AwsError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import StackTypeDef

#: how long a stack may keep its old state after a change was started
BEGINNING_S = 60


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
