"""CloudFormation change sets: the changes to a stack, before they are made."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from spikeinterface_cloud.aws.infra.stack import UNDER_REVIEW
from spikeinterface_cloud.aws.infra.template import Template
from spikeinterface_cloud.aws_errors import AwsError, hint, one_line, translate_stack_errors

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import (
        DescribeChangeSetOutputTypeDef,
        ResourceChangeTypeDef,
        StackTypeDef,
        TagTypeDef,
    )

#: AWS's words for a change set without changes
NOTHING_NEW = ("didn't contain changes", "no updates are to be performed")

#: splits the bill, once activated as a cost allocation tag of the account
TAGS: Sequence[TagTypeDef] = ({"Key": "Project", "Value": "spikeinterface-cloud"},)

#: how often AWS is polled; a change set is ready within seconds
INTERVAL_S = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangeSet:
    """The changes to a stack."""

    change_set_id: str
    stack_id: str
    stack_name: str
    #: whether the stack was created for it, and is otherwise empty
    is_first: bool
    #: in the template's order
    changes: Sequence[ResourceChangeTypeDef]


def prepare(
    cloudformation: CloudFormationClient,
    name: str,
    stack: StackTypeDef | None,
    template: Template,
    values: Mapping[str, str],
    tags: Mapping[str, str],
) -> ChangeSet | None:
    """Create a change set; return None if nothing would change.

    Resources that an earlier stack of this name retained (results, images, logs) are imported.
    """
    users: list[TagTypeDef] = [{"Key": name, "Value": tag} for name, tag in tags.items()]
    creates = stack is None or stack["StackStatus"] == UNDER_REVIEW
    with translate_stack_errors(f"prepare the stack {name}"):
        try:
            made = cloudformation.create_change_set(
                StackName=name,
                ChangeSetName=f"infra-up-{time.time_ns()}",
                ChangeSetType="CREATE" if creates else "UPDATE",
                TemplateBody=template.body,
                Parameters=[
                    {"ParameterKey": name, "ParameterValue": value}
                    for name, value in values.items()
                ],
                Capabilities=["CAPABILITY_IAM"],
                Tags=[*TAGS, *users],
                ImportExistingResources=True,
            )
        except ClientError as error:
            if _is_nothing_new(str(error)):
                return None
            raise
    change_set = ChangeSet(
        change_set_id=made["Id"],
        stack_id=made["StackId"],
        stack_name=name,
        is_first=stack is None,
        changes=(),
    )
    return _wait(cloudformation, change_set)


def discard(cloudformation: CloudFormationClient, change_set: ChangeSet) -> None:
    """Delete the change set, and the stack if it was created for it."""
    with translate_stack_errors(f"discard the change set of the stack {change_set.stack_name}"):
        cloudformation.delete_change_set(ChangeSetName=change_set.change_set_id)
        if change_set.is_first:
            cloudformation.delete_stack(StackName=change_set.stack_id)


def execute(cloudformation: CloudFormationClient, change_set: ChangeSet) -> None:
    """Start the changes."""
    with translate_stack_errors(f"make the stack {change_set.stack_name}"):
        cloudformation.execute_change_set(
            ChangeSetName=change_set.change_set_id, StackName=change_set.stack_id
        )


def _wait(cloudformation: CloudFormationClient, change_set: ChangeSet) -> ChangeSet | None:
    """Return the change set with its changes, once it is ready."""
    reply = _describe(cloudformation, change_set)
    while reply["Status"] in ("CREATE_PENDING", "CREATE_IN_PROGRESS"):
        time.sleep(INTERVAL_S)
        reply = _describe(cloudformation, change_set)
    if reply["Status"] != "FAILED":
        changes = reply["Changes"]
        while token := reply.get("NextToken"):
            reply = _describe(cloudformation, change_set, NextToken=token)
            changes += reply["Changes"]
        return replace(change_set, changes=[change["ResourceChange"] for change in changes])
    discard(cloudformation, change_set)
    reason = one_line(reply.get("StatusReason"))
    if _is_nothing_new(reason):
        return None
    advice = hint(reason) or "correct it, then run `infra up` again"
    raise AwsError(f"cannot prepare the stack {change_set.stack_name}: {reason}; {advice}")


def _describe(
    cloudformation: CloudFormationClient, change_set: ChangeSet, **page: Any
) -> DescribeChangeSetOutputTypeDef:
    with translate_stack_errors(f"look at the change set of the stack {change_set.stack_name}"):
        return cloudformation.describe_change_set(
            ChangeSetName=change_set.change_set_id, StackName=change_set.stack_id, **page
        )


def _is_nothing_new(reason: str) -> bool:
    return any(sign in reason.lower() for sign in NOTHING_NEW)
