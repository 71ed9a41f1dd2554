"""A CloudFormation stack, and whether it can be changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from spikeinterface_cloud.aws.infra.events import first_failure
from spikeinterface_cloud.aws_errors import AwsError, error_code, translate_stack_errors

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import StackResourceSummaryTypeDef, StackTypeDef

#: the start of the template's description; a stack without it is not this project's
SIGNATURE = "SpikeInterface Cloud:"

#: the status of a stack that has only a change set
UNDER_REVIEW = "REVIEW_IN_PROGRESS"

#: AWS can only delete a stack in one of these states
NEVER_MADE = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED")


def find_stack(cloudformation: CloudFormationClient, name: str) -> StackTypeDef | None:
    """Return the stack with this name, or ARN if it was deleted; None if there is none."""
    with translate_stack_errors(f"look at the stack {name}"):
        try:
            return cloudformation.describe_stacks(StackName=name)["Stacks"][0]
        except ClientError as error:
            if error_code(error) == "ValidationError" and "does not exist" in str(error):
                return None
            raise


def our_stack(cloudformation: CloudFormationClient, name: str) -> StackTypeDef | None:
    """Return the stack with this name, which must be this project's; None if there is none.

    A stack under review has no description yet. Raises AwsError (it is not this project's).
    """
    stack = find_stack(cloudformation, name)
    if (
        stack is not None
        and stack["StackStatus"] != UNDER_REVIEW
        and not stack.get("Description", "").startswith(SIGNATURE)
    ):
        raise AwsError(
            f"the stack {name} was not created from this project's template; "
            "choose another name with --stack"
        )
    return stack


def parameters_of(stack: StackTypeDef) -> dict[str, str]:
    """Return the values of the template's parameters."""
    given = stack.get("Parameters", ())
    return {each["ParameterKey"]: each.get("ParameterValue", "") for each in given}


def is_changing(stack: StackTypeDef) -> bool:
    """Return whether AWS is changing the stack."""
    return stack["StackStatus"].endswith("_IN_PROGRESS") and stack["StackStatus"] != UNDER_REVIEW


def check_settled(stack: StackTypeDef) -> None:
    """Refuse a stack that AWS is changing; AwsError."""
    if is_changing(stack):
        name = stack["StackName"]
        raise AwsError(
            f"AWS is still changing the stack {name} ({stack['StackStatus']}); "
            f"wait until `submit_job.py infra status --stack {name}` says COMPLETE"
        )


def check_updatable(cloudformation: CloudFormationClient, stack: StackTypeDef) -> None:
    """Refuse a stack that AWS cannot update; AwsError (with what to do first)."""
    check_settled(stack)
    name, status = stack["StackName"], stack["StackStatus"]
    if status in NEVER_MADE:
        failure = first_failure(cloudformation, stack["StackId"])
        raise AwsError(
            f"the stack {name} is {status}, which AWS cannot update"
            f"{f': {failure}' if failure else ''}; "
            f"run `submit_job.py infra down --stack {name}`, then `infra up` again"
        )
    if status == "UPDATE_ROLLBACK_FAILED":
        raise AwsError(
            f"the stack {name} is {status}; "
            f"run `aws cloudformation continue-update-rollback --stack-name {name}` first"
        )


def resources_of(
    cloudformation: CloudFormationClient, stack: StackTypeDef
) -> list[StackResourceSummaryTypeDef]:
    """Return the resources of the stack that are not deleted."""
    pages = cloudformation.get_paginator("list_stack_resources")
    with translate_stack_errors(f"list the resources of the stack {stack['StackName']}"):
        return [
            resource
            for page in pages.paginate(StackName=stack["StackId"])
            for resource in page["StackResourceSummaries"]
            if resource["ResourceStatus"] != "DELETE_COMPLETE" and resource["ResourceType"]
        ]
