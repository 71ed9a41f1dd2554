"""The outputs of a CloudFormation stack, among them its job queues and job definitions.

Functions raise OptionError if neither the options nor a stack give them, and AwsError if the stack
lacks the output.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from spikeinterface_cloud.aws.program_name import DEFAULT_STACK, command_line
from spikeinterface_cloud.aws.regions import OptionError
from spikeinterface_cloud.aws.session import AwsSession
from spikeinterface_cloud.aws_errors import AwsError, error_code, translate_errors

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import StackTypeDef

#: the outputs with queue and definition, by the value of `--compute`
OUTPUTS = {
    "spot": ("JobQueue", "JobDefinition"),
    "on-demand": ("OnDemandJobQueue", "JobDefinition"),
    "cpu": ("CpuJobQueue", "CpuJobDefinition"),
}


def find_queue(
    session: AwsSession, stack: str | None, queue: str | None, compute: str = "spot"
) -> str:
    """Return the queue, or else that of the stack."""
    outputs = {} if queue else stack_outputs(session, stack)
    return queue or _output(outputs, OUTPUTS[compute][0], stack)


def find_queue_and_definition(
    session: AwsSession, stack: str | None, queue: str | None, definition: str | None, compute: str
) -> tuple[str, str]:
    """Return queue and job definition, or else those of the stack, in at most one request."""
    outputs = {} if queue and definition else stack_outputs(session, stack)
    queue_output, definition_output = OUTPUTS[compute]
    return (
        queue or _output(outputs, queue_output, stack),
        definition or _output(outputs, definition_output, stack),
    )


def stack_outputs(session: AwsSession, stack: str | None) -> dict[str, str]:
    """Return the outputs of a stack by key; of `infra up`'s if None is named."""
    client: CloudFormationClient = session.client("cloudformation")
    name = stack or DEFAULT_STACK
    with translate_errors(f"read the outputs of the stack {name}"):
        try:
            reply = client.describe_stacks(StackName=name)
        except ClientError as error:
            if stack or not is_missing_stack(error):
                raise
            raise OptionError(
                f"no --job-queue and --job-definition are given, and {client.meta.region_name} has "
                f"no stack {name}; create it with `{command_line('infra', 'up')}`, or name another "
                "by --stack"
            ) from None
    return outputs_of(reply["Stacks"][0])


def is_missing_stack(error: ClientError) -> bool:
    """Whether AWS has no stack of the name that it was asked for."""
    return error_code(error) == "ValidationError" and "does not exist" in str(error)


def outputs_of(stack: StackTypeDef) -> dict[str, str]:
    """Return the outputs of a described stack by key."""
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", ())}


def _output(outputs: Mapping[str, str], key: str, stack: str | None) -> str:
    if key not in outputs:
        found = f"output {key}, only {', '.join(sorted(outputs))}" if outputs else "outputs"
        raise AwsError(
            f"the stack {stack or DEFAULT_STACK} has no {found}; "
            "name another stack, or give --job-queue and --job-definition"
        )
    return outputs[key]
