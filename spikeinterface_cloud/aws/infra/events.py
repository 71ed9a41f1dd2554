"""The events of a stack, resource by resource, and the first failure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from spikeinterface_cloud.aws_errors import STACK_HINTS, hint, one_line, translate_errors

#: the stack's own events that start an operation
BEGINNINGS = frozenset(
    {"CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS", "REVIEW_IN_PROGRESS"}
)

STACK_TYPE = "AWS::CloudFormation::Stack"


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """An event of a stack or one of its resources."""

    reply: Mapping[str, Any]

    @property
    def event_id(self) -> str:
        """The identifier."""
        return str(self.reply["EventId"])

    @property
    def status(self) -> str:
        """Like `CREATE_FAILED`."""
        return str(self.reply["ResourceStatus"])

    @property
    def is_of_stack(self) -> bool:
        """Whether it is about the stack itself."""
        return self.reply.get("ResourceType") == STACK_TYPE

    @property
    def is_failure(self) -> bool:
        """Whether it is a failure of its own, not a cancellation after another failure."""
        reason = str(self.reply.get("ResourceStatusReason", "")).lower()
        return self.status.endswith("_FAILED") and "cancelled" not in reason

    @property
    def sentence(self) -> str:
        """The event on one line, with the remedy if one is known."""
        reason = one_line(self.reply.get("ResourceStatusReason"))
        what = f"{self.reply['LogicalResourceId']} ({self.reply.get('ResourceType', '')})"
        parts = (f"{what} {self.status}", reason)
        said = ": ".join(part for part in parts if part)
        return f"{said}; {advice}" if (advice := hint(reason)) else said


def latest_events(cloudformation: Any, stack_id: str) -> Iterator[Event]:
    """Yield the events of the latest operation, the newest first."""
    pages = cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack_id)
    with translate_errors("read the events of the stack", hints=STACK_HINTS):
        for page in pages:
            for reply in page["StackEvents"]:
                event = Event(reply=reply)
                yield event
                if event.is_of_stack and event.status in BEGINNINGS:
                    return


def first_failure(cloudformation: Any, stack_id: str) -> Event | None:
    """Return the first failure of the latest operation; None if nothing failed."""
    failures = [event for event in latest_events(cloudformation, stack_id) if event.is_failure]
    of_resources = [event for event in failures if not event.is_of_stack]
    return next(reversed(of_resources or failures), None)
