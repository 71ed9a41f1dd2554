"""`infra build`: build an image in the account, by CodeBuild, where the laptop has no Docker."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spikeinterface_cloud import __version__
from spikeinterface_cloud.aws.infra import codebuild
from spikeinterface_cloud.aws.infra.build_context import BuildContext, read_context
from spikeinterface_cloud.aws.infra.codebuild import BuildState
from spikeinterface_cloud.aws.infra.stack import check_settled, our_stack
from spikeinterface_cloud.aws.infra.status import StackStatus
from spikeinterface_cloud.aws.program_name import DEFAULT_STACK, command_line
from spikeinterface_cloud.aws.session import AwsSession
from spikeinterface_cloud.aws.stack_outputs import outputs_of
from spikeinterface_cloud.aws_errors import AwsError
from spikeinterface_cloud.config.locations import S3Location
from spikeinterface_cloud.prices import AS_OF, build_usd_per_minute

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

#: in the results bucket: the build's role may read nothing else, and S3 deletes it after a week
PREFIX = ".spikeinterface-cloud/build"

#: of the template's project
COMPUTE_TYPE = "BUILD_GENERAL1_MEDIUM"

#: the outputs without which nothing can be built
NEEDED = ("BuildProject", "RepositoryUri", "ResultsBucket")


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """One of the two images."""

    dockerfile: str
    #: of its tag, as `make push` sets it
    suffix: str
    #: the stack's output with the image that the job definition names
    output: str
    #: the template's parameter for an image of another registry
    parameter: str


CPU = Variant(dockerfile="Dockerfile", suffix="", output="CpuImageUri", parameter="CpuImage")
GPU = Variant(
    dockerfile="Dockerfile.gpu", suffix="-gpu", output="GpuImageUri", parameter="GpuImage"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildPlan:
    """The build to start."""

    stack: str
    project: str
    #: the address to push to, with its tag
    image: str
    #: the image that the stack's job definition names
    defined_image: str
    parameter: str
    context: BuildContext
    #: the archive on S3
    location: S3Location
    variables: Mapping[str, str]


def plan(session: AwsSession, stack: str, *, gpu: bool) -> BuildPlan:
    """Return the build of the CPU or the GPU image.

    Raises ContextError (files of the image are missing) and AwsError (there is no such stack, or it
    has no build project).
    """
    context = read_context()
    outputs = _outputs(session, stack)
    variant = GPU if gpu else CPU
    image = f"{outputs['RepositoryUri']}:{__version__}{variant.suffix}"
    return BuildPlan(
        stack=stack,
        project=outputs["BuildProject"],
        image=image,
        defined_image=outputs.get(variant.output, image),
        parameter=variant.parameter,
        context=context,
        location=S3Location(bucket=outputs["ResultsBucket"], key=f"{PREFIX}/{context.digest}.zip"),
        variables={"DOCKERFILE": variant.dockerfile, "IMAGE": image, "VERSION": __version__},
    )


def _outputs(session: AwsSession, name: str) -> dict[str, str]:
    cloudformation: CloudFormationClient = session.client("cloudformation")
    stack = our_stack(cloudformation, name)
    up = command_line("infra", "up", "--stack", name)
    if stack is None:
        raise AwsError(
            f"there is no stack {name} in {cloudformation.meta.region_name}; create it with "
            f"`{up}`, or check --stack, --region and --profile"
        )
    check_settled(stack)
    outputs = outputs_of(stack)
    if not all(outputs.get(key) for key in NEEDED):
        raise AwsError(
            f"the stack {name} has no build project, as an older version of this program made it; "
            f"run `{up}`, then `infra build` again"
        )
    return outputs


def describe_plan(planned: BuildPlan) -> list[str]:
    """Return the build for people, as lines."""
    context = planned.context
    lines = [
        f"build {planned.image} by the CodeBuild project {planned.project}, from "
        f"{len(context.names)} files ({len(context.content) / 1000:,.0f} kB) at {planned.location}"
    ]
    lines += [f"note: git does not track {name}, so it is left out" for name in context.left_out]
    return lines


def plan_values(planned: BuildPlan) -> dict[str, Any]:
    """Return the plan for `--json`."""
    return {
        "image": planned.image,
        "project": planned.project,
        "context": str(planned.location),
        "contextBytes": len(planned.context.content),
        "files": list(planned.context.names),
        "leftOut": list(planned.context.left_out),
    }


def start(session: AwsSession, planned: BuildPlan) -> str:
    """Write the context to S3 and start the build; return its id. Raises AwsError."""
    session.storage.write_object(planned.location, planned.context.content, "application/zip")
    source = f"{planned.location.bucket}/{planned.location.key}"
    return codebuild.start(session, planned.project, source, planned.variables)


def follow(
    session: AwsSession,
    build_id: str,
    interval_s: float,
    image: str | None,
    echo: Callable[[str], None],
) -> dict[str, Any]:
    """Watch the build until its end, with its log, and say what it cost; return it for `--json`.

    Raises AwsError (it failed) and WatchError (AWS refuses to say how it is; it goes on).
    """
    state = codebuild.follow(session, build_id, interval_s, echo)
    region = session.client("codebuild").meta.region_name
    echo(describe_cost(state, region))
    codebuild.check_outcome(state)
    return {
        "image": image,
        "buildId": state.build_id,
        "status": state.status,
        "seconds": state.seconds,
        "usd": usd_of(state, region),
    }


def usd_of(state: BuildState, region: str) -> float | None:
    """Return the price of a finished build; None if the table has none."""
    per_minute = build_usd_per_minute(state.compute_type, region)
    return None if per_minute is None else per_minute * state.billed_minutes


def describe_cost(state: BuildState, region: str) -> str:
    """Return duration and price of a finished build, on one line."""
    usd = usd_of(state, region)
    price = (
        f"USD unknown, as the price table has no {state.compute_type} in {region}"
        if usd is None
        else f"{usd:.2f} USD (list prices of {AS_OF}, by the minute)"
    )
    return f"the build took {state.seconds:.0f} s: {price}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """A build to offer."""

    gpu: bool
    question: str


def offer(found: StackStatus, region: str) -> Offer | None:
    """Return the build of an image that is missing, first the GPU's; None if there is none."""
    if not found.outputs.get("BuildProject"):
        return None
    for variant, name in ((GPU, "GPU"), (CPU, "CPU")):
        if found.images.get(found.outputs.get(variant.output, "")) is False:
            usd = build_usd_per_minute(COMPUTE_TYPE, region)
            price = "by the minute" if usd is None else f"{usd:g} USD per minute"
            question = f"Build the {name} image in the account now ({price}, at most an hour)?"
            return Offer(gpu=variant is GPU, question=question)
    return None


def next_step(planned: BuildPlan) -> str:
    """Return what to do after the build, on one line."""
    if planned.defined_image == planned.image:
        named = f"; submit them with --stack {planned.stack}"
        return f"jobs run it from now on{named if planned.stack != DEFAULT_STACK else ''}"
    own = planned.defined_image.rpartition(":")[0] == planned.image.rpartition(":")[0]
    chosen = () if own else ("--parameter", f"{planned.parameter}=")
    up = command_line("infra", "up", "--stack", planned.stack, *chosen)
    return f"jobs still run {planned.defined_image}; `{up}` makes them run the new image"
