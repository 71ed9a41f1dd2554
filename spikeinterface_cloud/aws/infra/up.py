"""`infra up`: create or update the stack, after the user has seen the changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spikeinterface_cloud.aws.infra import change_set as change_sets
from spikeinterface_cloud.aws.infra.change_set import ChangeSet
from spikeinterface_cloud.aws.infra.idle_cost import describe_idle_cost, idle_cost
from spikeinterface_cloud.aws.infra.stack import (
    UNDER_REVIEW,
    Stack,
    check_changeable,
    our_stack,
    resources_of,
)
from spikeinterface_cloud.aws.infra.template import (
    choose_values,
    instance_types,
    needs_zones,
    read_template,
    with_static_names,
)
from spikeinterface_cloud.aws.infra.wait import StackWatcher, check_outcome
from spikeinterface_cloud.aws.infra.zones import choose_zones
from spikeinterface_cloud.aws.session import AwsSession
from spikeinterface_cloud.aws_errors import STACK_HINTS, translate_errors

#: the states of success
MADE = ("CREATE_COMPLETE", "UPDATE_COMPLETE")


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The planned changes to the stack."""

    stack: Stack | None
    #: None if the stack is up to date
    change_set: ChangeSet | None
    #: of every parameter
    values: Mapping[str, str]
    #: the types of all resources after the changes
    kinds: Sequence[str]


def plan(session: AwsSession, name: str, given: Mapping[str, str]) -> Plan:
    """Query AWS for the changes that the template would make, without making them.

    Raises ParameterError (the template has no such parameter) and AwsError (the stack cannot be
    changed, or AWS refuses).
    """
    cloudformation = session.client("cloudformation")
    stack = our_stack(cloudformation, name)
    check_changeable(cloudformation, stack)
    exists = stack is not None and stack.status != UNDER_REVIEW
    template = read_template(cloudformation)
    values = choose_values(template, given, stack.parameters if stack and exists else {})
    if not exists and needs_zones(values):
        values |= choose_zones(session.client("ec2"), instance_types(values))
    region = cloudformation.meta.region_name
    template = with_static_names(template, values, name, account_of(session, stack), region)
    change_set = change_sets.prepare(cloudformation, name, stack, template, values)
    there = resources_of(cloudformation, stack) if stack and exists else []
    kinds = {resource.logical_id: resource.kind for resource in there}
    for change in change_set.changes if change_set else ():
        kinds[change.logical_id] = change.kind
        if change.action == "Remove":
            del kinds[change.logical_id]
    return Plan(stack=stack, change_set=change_set, values=values, kinds=list(kinds.values()))


def account_of(session: AwsSession, stack: Stack | None) -> str:
    """Return the number of the stack's account."""
    if stack is not None:
        return stack.stack_id.split(":")[4]
    with translate_errors("ask whose account it is", hints=STACK_HINTS):
        return str(session.client("sts").get_caller_identity()["Account"])


def describe_plan(planned: Plan) -> list[str]:
    """Return the changes and their cost for people, as lines."""
    assert planned.change_set is not None
    changes = planned.change_set.changes
    lines = [f"the stack {planned.change_set.stack_name}, {counted(len(changes), 'change')}:"]
    width = max((len(change.kind) for change in changes), default=0)
    for change in changes:
        replacements = {"True": "  is replaced", "Conditional": "  may be replaced"}
        lines.append(
            f"  {change.action:<6}  {change.kind:<{width}}  {change.logical_id}"
            f"{replacements.get(change.replacement, '')}"
        )
    cost = idle_cost(planned.kinds)
    return [*lines, *describe_idle_cost(cost, float(planned.values["RootVolumeGiB"]))]


def plan_values(planned: Plan) -> dict[str, Any]:
    """Return the plan for `--json`."""
    cost = idle_cost(planned.kinds)
    changes = planned.change_set.changes if planned.change_set else ()
    return {
        "changes": [
            {"action": change.action, "resource": change.logical_id, "type": change.kind}
            for change in changes
        ],
        "parameters": dict(planned.values),
        "idleUsdPerMonth": round(cost.usd_per_month, 2),
        "idleUsdPerGbMonth": dict(cost.usd_per_gb_month),
        "unpriced": list(cost.unpriced),
    }


def discard(session: AwsSession, planned: Plan) -> None:
    """Discard the plan; nothing of it stays in the account."""
    if planned.change_set is not None:
        change_sets.discard(session.client("cloudformation"), planned.change_set)


def carry_out(
    session: AwsSession, planned: Plan, interval_s: float, report: Callable[[str], None]
) -> Stack:
    """Make the changes, report the events, and wait for the end.

    Raises AwsError (with the first failure, if anything fails).
    """
    assert planned.change_set is not None
    cloudformation = session.client("cloudformation")
    watcher = StackWatcher(cloudformation, planned.change_set.stack_id, report)
    change_sets.execute(cloudformation, planned.change_set)
    stack = watcher.wait(interval_s)
    again = f"run `submit_job.py infra up --stack {stack.name}` again"
    if stack.status.startswith(("CREATE", "ROLLBACK")):
        again = f"run `submit_job.py infra down --stack {stack.name}`, then `infra up` again"
    check_outcome(cloudformation, stack, MADE, again)
    return stack


def counted(number: int, noun: str) -> str:
    """Return a number with its noun.

    >>> counted(1, "change"), counted(34, "change")
    ('1 change', '34 changes')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
