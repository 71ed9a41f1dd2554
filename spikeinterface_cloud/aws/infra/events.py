"""What happens to a stack, resource by resource, and what went wrong first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from spikeinterface_cloud.aws_errors import STACK_HINTS, hint, one_line, translate_errors

#: the events of a stack itself with which a piece of work on it begins
BEGINNINGS = frozenset(
    {"CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS", "REVIEW_IN_PROGRESS"}
)

STACK_TYPE = "AWS::CloudFormation::Stack"


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One thing that happened."""

    reply: Mapping[str, Any]

    @property
    def event_id(self) -> str:
        """Its identifier."""
        return str(self.reply["EventId"])

    @property
    def status(self) -> str:
        """Like `CREATE_FAILED`."""
        return str(self.reply["ResourceStatus"])

    @property
    def is_of_stack(self) -> bool:
        """Whether it happened to the stack itself."""
        return self.reply.get("ResourceType") == STACK_TYPE

    @property
    def is_failure(self) -> bool:
        """Whether it failed by itself, not because something else had failed before."""
        reason = str(self.reply.get("ResourceStatusReason", "")).lower()
        return self.status.endswith("_FAILED") and "cancelled" not in reason

    @property
    def sentence(self) -> str:
        """What happened, on one line, with the remedy where it is known."""
        reason = one_line(self.reply.get("ResourceStatusReason"))
        what = f"{self.reply['LogicalResourceId']} ({self.reply.get('ResourceType', '')})"
        parts = (f"{what} {self.status}", reason)
        said = ": ".join(part for part in parts if part)
        return f"{said}; {advice}" if (advice := hint(reason)) else said


def latest_events(cloudformation: Any, stack_id: str) -> Iterator[Event]:
    """The events of the piece of work that was begun last, the newest first.

    Raises
    ------
    AwsError
        AWS did not tell.
    """
    pages = cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack_id)
    with translate_errors("read the events of the stack", hints=STACK_HINTS):
        for page in pages:
            for reply in page["StackEvents"]:
                event = Event(reply=reply)
                yield event
                if event.is_of_stack and event.status in BEGINNINGS:
                    return


def first_failure(cloudformation: Any, stack_id: str) -> Event | None:
    """What failed first in the piece of work that was begun last; None where nothing did.

    Raises
    ------
    AwsError
        AWS did not tell.
    """
    failures = [event for event in latest_events(cloudformation, stack_id) if event.is_failure]
    of_resources = [event for event in failures if not event.is_of_stack]
    return next(reversed(of_resources or failures), None)
