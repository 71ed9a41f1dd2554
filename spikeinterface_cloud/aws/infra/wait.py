"""Watch the changes of a stack until they end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from spikeinterface_cloud.aws.infra.events import Event, first_failure, latest_events
from spikeinterface_cloud.aws.infra.stack import Stack, find_stack
from spikeinterface_cloud.aws_errors import AwsError

#: how long a stack may keep its old state after a change was started
BEGINNING_S = 60


class StackWatcher:
    """Reports each new event of a stack once."""

    def __init__(self, cloudformation: Any, stack_id: str, report: Callable[[str], None]) -> None:
        self._cloudformation = cloudformation
        self._stack_id = stack_id
        self._report = report
        self._has_begun = False
        self._seen = {event.event_id for event in latest_events(cloudformation, stack_id)}

    def wait(self, interval_s: float) -> Stack:
        """Report events until the stack no longer changes, and return it."""
        latest_s = time.monotonic() + BEGINNING_S
        while True:
            stack = find_stack(self._cloudformation, self._stack_id)
            if stack is None:
                raise AwsError(f"the stack {self._stack_id} no longer exists")
            self._report_new()
            is_late = time.monotonic() > latest_s
            if (self._has_begun or is_late) and not stack.is_changing:
                return stack
            time.sleep(interval_s)

    def _report_new(self) -> None:
        for event in reversed(list(self._new())):
            self._seen.add(event.event_id)
            self._has_begun = True
            if not event.is_of_stack and not event.status.endswith("_IN_PROGRESS"):
                self._report(f"  {event.sentence}")

    def _new(self) -> Iterable[Event]:
        events = latest_events(self._cloudformation, self._stack_id)
        return [event for event in events if event.event_id not in self._seen]


def check_outcome(cloudformation: Any, stack: Stack, wanted: Iterable[str], advice: str) -> None:
    """Refuse a stack that did not end in one of the `wanted` states.

    Raises AwsError (with the first failure, and `advice`).
    """
    if stack.status in wanted:
        return
    failure = first_failure(cloudformation, stack.stack_id)
    why = f": the first failure was {failure.sentence}" if failure else ""
    raise AwsError(f"the stack {stack.name} ended in {stack.status}{why}; {advice}")
