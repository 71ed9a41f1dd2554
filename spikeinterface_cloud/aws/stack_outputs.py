"""The outputs of a CloudFormation stack, among them its job queues and job definitions.

Functions raise OptionError if the options name neither, and AwsError if the stack has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from spikeinterface_cloud.aws.regions import OptionError
from spikeinterface_cloud.aws.session import AwsSession
from spikeinterface_cloud.aws_errors import AwsError, translate_errors

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
    outputs = stack_outputs(session, stack) if stack and not queue else {}
    return queue or _output(outputs, OUTPUTS[compute][0], stack, "--job-queue")


def find_queue_and_definition(
    session: AwsSession, stack: str | None, queue: str | None, definition: str | None, compute: str
) -> tuple[str, str]:
    """Return queue and job definition, or else those of the stack, in at most one request."""
    outputs = stack_outputs(session, stack) if stack and not (queue and definition) else {}
    queue_output, definition_output = OUTPUTS[compute]
    return (
        queue or _output(outputs, queue_output, stack, "--job-queue"),
        definition or _output(outputs, definition_output, stack, "--job-definition"),
    )


def stack_outputs(session: AwsSession, stack: str) -> dict[str, str]:
    """Return the outputs of a stack by key."""
    client: CloudFormationClient = session.client("cloudformation")
    with translate_errors(f"read the outputs of the stack {stack}"):
        reply = client.describe_stacks(StackName=stack)
    return outputs_of(reply["Stacks"][0])


def outputs_of(stack: StackTypeDef) -> dict[str, str]:
    """Return the outputs of a described stack by key."""
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", ())}


def _output(outputs: Mapping[str, str], key: str, stack: str | None, option: str) -> str:
    if stack is None:
        raise OptionError(
            f"{option}: missing; give it, or the stack that `infra up` made: "
            "--stack spikeinterface-cloud"
        )
    if key not in outputs:
        found = f"output {key}, only {', '.join(sorted(outputs))}" if outputs else "outputs"
        raise AwsError(
            f"the stack {stack} has no {found}; "
            "name another stack, or give --job-queue and --job-definition"
        )
    return outputs[key]
