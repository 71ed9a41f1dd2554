"""Watch AWS at work on a stack, until it is done."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from spikeinterface_cloud.aws.infra.events import Event, first_failure, latest_events
from spikeinterface_cloud.aws.infra.stack import Stack, find_stack
from spikeinterface_cloud.aws_errors import AwsError

#: a stack may look as it did before for a moment after AWS was told to change it
BEGINNING_S = 60


class Progress:
    """The events of a stack, each told once; those that have been there before are not told."""

    def __init__(self, cloudformation: Any, stack_id: str, tell: Callable[[str], None]) -> None:
        self._cloudformation = cloudformation
        self._stack_id = stack_id
        self._tell = tell
        self._has_begun = False
        self._seen = {event.event_id for event in latest_events(cloudformation, stack_id)}

    def wait(self, interval_s: float) -> Stack:
        """The stack once AWS is done with it, well or not; what was done is told as it happens.

        Raises
        ------
        AwsError
            AWS does not tell.
        """
        latest_s = time.monotonic() + BEGINNING_S
        while True:
            stack = find_stack(self._cloudformation, self._stack_id)
            if stack is None:
                raise AwsError(f"AWS does not know the stack {self._stack_id} any more")
            self._tell_new()
            is_late = time.monotonic() > latest_s
            if (self._has_begun or is_late) and not stack.is_changing:
                return stack
            time.sleep(interval_s)

    def _tell_new(self) -> None:
        for event in reversed(list(self._new())):
            self._seen.add(event.event_id)
            self._has_begun = True
            if not event.is_of_stack and not event.status.endswith("_IN_PROGRESS"):
                self._tell(f"  {event.sentence}")

    def _new(self) -> Iterable[Event]:
        events = latest_events(self._cloudformation, self._stack_id)
        return [event for event in events if event.event_id not in self._seen]


def check_outcome(cloudformation: Any, stack: Stack, wanted: Iterable[str], advice: str) -> None:
    """Refuse a stack that did not end in one of the `wanted` states.

    Raises
    ------
    AwsError
        with what failed first, and `advice`.
    """
    if stack.status in wanted:
        return
    failure = first_failure(cloudformation, stack.stack_id)
    why = f": first failed {failure.sentence}" if failure else ""
    raise AwsError(f"the stack {stack.name} ended as {stack.status}{why}; {advice}")
