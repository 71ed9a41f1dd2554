"""What a CloudFormation stack tells of itself: its outputs, among them queue and definition."""

from __future__ import annotations

from collections.abc import Mapping

from spikeinterface_cloud.batch.refusals import AwsRefusal, explained
from spikeinterface_cloud.batch.session import AwsSession
from spikeinterface_cloud.errors import CloudJobError

#: the outputs that are used
QUEUE = "JobQueue"
DEFINITION = "JobDefinition"


class MissingOption(CloudJobError, ValueError):
    """An option is missing; a fault of the command line (2)."""

    exit_code = 2


def with_stack_outputs(
    session: AwsSession, stack: str | None, queue: str | None, definition: str | None
) -> tuple[str, str]:
    """Queue and definition: those that are given, else the stack's, which is asked only then.

    Raises
    ------
    MissingOption
        Neither they nor a stack are given.
    AwsRefusal
        The stack does not tell.
    """
    if queue is not None and definition is not None:
        return queue, definition
    if stack is None:
        missing = "--job-definition" if queue is not None else "--job-queue"
        raise MissingOption(
            f"{missing}: missing, and no --stack is given whose outputs would tell; "
            "name it, or the stack of the project's infrastructure"
        )
    outputs = stack_outputs(session, stack)
    return (
        queue or output(outputs, QUEUE, stack),
        definition or output(outputs, DEFINITION, stack),
    )


def stack_outputs(session: AwsSession, stack: str) -> dict[str, str]:
    """The outputs of a stack, by key.

    Raises
    ------
    AwsRefusal
        There is no such stack, or it may not be looked at.
    """
    client = session.client("cloudformation")
    with explained(f"read the outputs of the stack {stack}"):
        reply = client.describe_stacks(StackName=stack)
    return {
        output["OutputKey"]: output["OutputValue"]
        for output in reply["Stacks"][0].get("Outputs", ())
    }


def output(outputs: Mapping[str, str], key: str, stack: str) -> str:
    """One output; that it is missing is an error which names those that are there."""
    if key not in outputs:
        there = ", ".join(sorted(outputs)) or "none at all"
        raise AwsRefusal(
            f"the stack {stack} has no output {key}, only {there}; "
            "name another stack, or give --job-queue and --job-definition"
        )
    return outputs[key]
