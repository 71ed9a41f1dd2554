"""A CloudFormation stack, and whether it can be changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from spikeinterface_cloud.aws.infra.events import first_failure
from spikeinterface_cloud.aws_errors import STACK_HINTS, AwsError, error_code, translate_errors

#: the start of the template's description; a stack without it is not this project's
SIGNATURE = "SpikeInterface Cloud:"

#: the status of a stack that has only a change set
UNDER_REVIEW = "REVIEW_IN_PROGRESS"

#: AWS can only delete a stack in one of these states
NEVER_MADE = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED")


@dataclass(frozen=True, kw_only=True, slots=True)
class Stack:
    """A stack, as described by one reply."""

    reply: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The name."""
        return str(self.reply["StackName"])

    @property
    def stack_id(self) -> str:
        """The ARN, which remains valid after the deletion."""
        return str(self.reply["StackId"])

    @property
    def status(self) -> str:
        """Like `CREATE_COMPLETE`."""
        return str(self.reply["StackStatus"])

    @property
    def is_changing(self) -> bool:
        """Whether AWS is changing it."""
        return self.status.endswith("_IN_PROGRESS") and self.status != UNDER_REVIEW

    @property
    def is_ours(self) -> bool:
        """Whether it was created from this project's template; one under review has none yet."""
        description = str(self.reply.get("Description") or "")
        return self.status == UNDER_REVIEW or description.startswith(SIGNATURE)

    @property
    def outputs(self) -> dict[str, str]:
        """The outputs, by key."""
        return {given["OutputKey"]: given["OutputValue"] for given in self.reply.get("Outputs", ())}

    @property
    def parameters(self) -> dict[str, str]:
        """The values of the template's parameters."""
        given = self.reply.get("Parameters", ())
        return {each["ParameterKey"]: each.get("ParameterValue", "") for each in given}


@dataclass(frozen=True, kw_only=True, slots=True)
class Resource:
    """A resource of a stack."""

    logical_id: str
    #: its name in AWS; empty if it was never created
    physical_id: str
    #: like `AWS::Batch::JobQueue`
    kind: str


def find_stack(cloudformation: Any, name: str) -> Stack | None:
    """Return the stack with this name or ARN; None if there is none."""
    with translate_errors(f"look at the stack {name}", hints=STACK_HINTS):
        try:
            reply = cloudformation.describe_stacks(StackName=name)
        except ClientError as error:
            if error_code(error) == "ValidationError" and "does not exist" in str(error):
                return None
            raise
    return Stack(reply=reply["Stacks"][0])


def our_stack(cloudformation: Any, name: str) -> Stack | None:
    """Return the stack with this name, which must be this project's; None if there is none.

    Raises AwsError (it is not this project's, or AWS does not answer).
    """
    stack = find_stack(cloudformation, name)
    if stack is not None and not stack.is_ours:
        raise AwsError(
            f"the stack {name} was not created from this project's template; "
            "choose another name with --stack"
        )
    return stack


def check_changeable(cloudformation: Any, stack: Stack | None) -> None:
    """Refuse a stack that AWS cannot update.

    Raises AwsError (with what to do first).
    """
    if stack is None or stack.status == UNDER_REVIEW:
        return
    name = stack.name
    if stack.is_changing:
        raise AwsError(
            f"AWS is still changing the stack {name} ({stack.status}); "
            f"wait until `submit_job.py infra status --stack {name}` says COMPLETE"
        )
    if stack.status in NEVER_MADE:
        failure = first_failure(cloudformation, stack.stack_id)
        why = f": {failure.sentence}" if failure else ""
        raise AwsError(
            f"the stack {name} is {stack.status}, which AWS cannot update{why}; "
            f"run `submit_job.py infra down --stack {name}`, then `infra up` again"
        )
    if stack.status == "UPDATE_ROLLBACK_FAILED":
        raise AwsError(
            f"the stack {name} is {stack.status}; "
            f"run `aws cloudformation continue-update-rollback --stack-name {name}` first"
        )


def resources_of(cloudformation: Any, stack: Stack) -> Sequence[Resource]:
    """Return the resources of the stack."""
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack.stack_id)
    with translate_errors(f"list the resources of the stack {stack.name}", hints=STACK_HINTS):
        return [
            Resource(
                logical_id=entry["LogicalResourceId"],
                physical_id=entry.get("PhysicalResourceId", ""),
                kind=entry["ResourceType"],
            )
            for page in pages
            for entry in page["StackResourceSummaries"]
            if entry["ResourceStatus"] != "DELETE_COMPLETE" and entry["ResourceType"]
        ]
