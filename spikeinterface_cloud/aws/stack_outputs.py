"""What a CloudFormation stack tells of itself: its outputs, among them queue and definition."""

from __future__ import annotations

from collections.abc import Mapping

from spikeinterface_cloud.aws.session import AwsSession
from spikeinterface_cloud.aws_errors import AwsError, translate_errors
from spikeinterface_cloud.errors import CloudJobError

#: the outputs that are used, by the kind of machine: queue and definition
OUTPUTS = {
    "spot": ("JobQueue", "JobDefinition"),
    "on-demand": ("OnDemandJobQueue", "JobDefinition"),
    "cpu": ("CpuJobQueue", "CpuJobDefinition"),
}


class MissingOption(CloudJobError, ValueError):
    """An option is missing; a fault of the command line (2)."""

    exit_code = 2


def queue_and_definition(
    session: AwsSession,
    stack: str | None,
    queue: str | None,
    definition: str | None,
    machines: str = "spot",
) -> tuple[str, str]:
    """Queue and definition: those that are given, else the stack's, which is asked only then.

    Parameters
    ----------
    machines
        for which of them the stack is asked, one of OUTPUTS

    Raises
    ------
    MissingOption
        Neither they nor a stack are given.
    AwsError
        The stack does not tell.
    """
    if queue is None and definition is None and stack is not None:
        outputs = stack_outputs(session, stack)
        names = OUTPUTS[machines]
        return output(outputs, names[0], stack), output(outputs, names[1], stack)
    return (
        queue_of(session, stack, queue, machines),
        definition or _asked(session, stack, OUTPUTS[machines][1], "--job-definition"),
    )


def queue_of(
    session: AwsSession, stack: str | None, queue: str | None, machines: str = "spot"
) -> str:
    """The queue: the one that is given, else the stack's; errors as above."""
    return queue or _asked(session, stack, OUTPUTS[machines][0], "--job-queue")


def _asked(session: AwsSession, stack: str | None, key: str, option: str) -> str:
    if stack is None:
        raise MissingOption(
            f"{option}: missing, and no --stack is given whose outputs would tell; "
            "name it, or the stack"
        )
    return output(stack_outputs(session, stack), key, stack)


def stack_outputs(session: AwsSession, stack: str) -> dict[str, str]:
    """The outputs of a stack, by key.

    Raises
    ------
    AwsError
        There is no such stack, or it may not be looked at.
    """
    client = session.client("cloudformation")
    with translate_errors(f"read the outputs of the stack {stack}"):
        reply = client.describe_stacks(StackName=stack)
    return {
        output["OutputKey"]: output["OutputValue"]
        for output in reply["Stacks"][0].get("Outputs", ())
    }


def output(outputs: Mapping[str, str], key: str, stack: str) -> str:
    """One output; that it is missing is an error which names those that are there."""
    if key not in outputs:
        there = ", ".join(sorted(outputs)) or "none at all"
        raise AwsError(
            f"the stack {stack} has no output {key}, only {there}; "
            "name another stack, or give --job-queue and --job-definition"
        )
    return outputs[key]
