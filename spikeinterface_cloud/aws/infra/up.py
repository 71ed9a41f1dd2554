"""`infra up`: create or update the stack, after the user has seen the changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spikeinterface_cloud.aws.infra import change_set as change_sets
from spikeinterface_cloud.aws.infra.change_set import ChangeSet
from spikeinterface_cloud.aws.infra.idle_cost import describe_idle_cost, idle_cost
from spikeinterface_cloud.aws.infra.stack import (
    UNDER_REVIEW,
    check_outcome,
    check_updatable,
    event_ids,
    our_stack,
    parameters_of,
    resources_of,
    tags_of,
    wait,
)
from spikeinterface_cloud.aws.infra.template import (
    choose_tags,
    choose_values,
    choose_zones,
    instance_types,
    needs_zones,
    read_template,
    with_partition,
    with_static_names,
    with_tags,
)
from spikeinterface_cloud.aws.program_name import command_line
from spikeinterface_cloud.aws.session import AwsSession
from spikeinterface_cloud.aws_errors import translate_errors
from spikeinterface_cloud.runtime.logging import counted

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import StackTypeDef
    from mypy_boto3_sts import STSClient

#: the states of success
MADE = ("CREATE_COMPLETE", "UPDATE_COMPLETE")


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The planned changes to the stack."""

    stack: StackTypeDef | None
    #: None if the stack is up to date
    change_set: ChangeSet | None
    #: of every parameter
    values: Mapping[str, str]
    #: the types of all resources after the changes
    kinds: Sequence[str]


def plan(session: AwsSession, name: str, given: Mapping[str, str], tags: Mapping[str, str]) -> Plan:
    """Query AWS for the changes that the template would make, without making them.

    Raises ParameterError (there can be no such parameter or tag) and AwsError (the stack cannot be
    changed, or AWS refuses).
    """
    cloudformation: CloudFormationClient = session.client("cloudformation")
    stack = our_stack(cloudformation, name)
    existing = stack if stack and stack["StackStatus"] != UNDER_REVIEW else None
    if existing:
        check_updatable(cloudformation, existing)
    tags = choose_tags(tags_of(existing) if existing else {}, tags)
    template = read_template(cloudformation)
    values = choose_values(template, given, parameters_of(existing) if existing else {})
    if not existing and needs_zones(values):
        values |= choose_zones(session.client("ec2"), instance_types(values))
    meta = cloudformation.meta
    account = account_of(session, stack)
    template = with_static_names(template, values, name, account, meta.region_name)
    template = with_partition(with_tags(template, tags), meta.partition)
    change_set = change_sets.prepare(cloudformation, name, stack, template, values, tags)
    there = resources_of(cloudformation, existing) if existing else []
    kinds = {resource["LogicalResourceId"]: resource["ResourceType"] for resource in there}
    for change in change_set.changes if change_set else ():
        kinds[change["LogicalResourceId"]] = change["ResourceType"]
        if change["Action"] == "Remove":
            del kinds[change["LogicalResourceId"]]
    return Plan(stack=stack, change_set=change_set, values=values, kinds=list(kinds.values()))


def account_of(session: AwsSession, stack: StackTypeDef | None) -> str:
    """Return the number of the stack's account."""
    if stack is not None:
        return stack["StackId"].split(":")[4]
    sts: STSClient = session.client("sts")
    with translate_errors("ask whose account it is"):
        return sts.get_caller_identity()["Account"]


def describe_plan(planned: Plan) -> list[str]:
    """Return the changes and their cost for people, as lines."""
    assert planned.change_set is not None
    changes = planned.change_set.changes
    lines = [f"the stack {planned.change_set.stack_name}, {counted(len(changes), 'change')}:"]
    width = max((len(change["ResourceType"]) for change in changes), default=0)
    for change in changes:
        replacements = {"True": "  is replaced", "Conditional": "  may be replaced"}
        lines.append(
            f"  {change['Action']:<6}  {change['ResourceType']:<{width}}  "
            f"{change['LogicalResourceId']}{replacements.get(change.get('Replacement', ''), '')}"
        )
    cost = idle_cost(planned.kinds)
    return [*lines, *describe_idle_cost(cost, float(planned.values["RootVolumeGiB"]))]


def plan_values(planned: Plan) -> dict[str, Any]:
    """Return the plan for `--json`."""
    cost = idle_cost(planned.kinds)
    changes = planned.change_set.changes if planned.change_set else ()
    return {
        "changes": [
            {
                "action": change["Action"],
                "resource": change["LogicalResourceId"],
                "type": change["ResourceType"],
            }
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
) -> StackTypeDef:
    """Make the changes, report the events, and wait for the end.

    Raises AwsError (with the first failure, if anything fails).
    """
    assert planned.change_set is not None
    cloudformation: CloudFormationClient = session.client("cloudformation")
    stack_id = planned.change_set.stack_id
    seen = event_ids(cloudformation, stack_id)
    change_sets.execute(cloudformation, planned.change_set)
    stack = wait(cloudformation, stack_id, seen, interval_s, report)
    name = stack["StackName"]
    again = f"run `{command_line('infra', 'up', '--stack', name)}` again"
    if stack["StackStatus"].startswith(("CREATE", "ROLLBACK")):
        remove = command_line("infra", "down", "--stack", name)
        again = f"run `{remove}`, then `infra up` again"
    check_outcome(cloudformation, stack, MADE, again)
    return stack
