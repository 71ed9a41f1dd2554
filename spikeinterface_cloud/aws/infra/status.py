"""`infra status`: the stack, its outputs, its images, and its idle cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from spikeinterface_cloud.aws.infra.idle_cost import USD_PER_GB_MONTH, describe_idle_cost, idle_cost
from spikeinterface_cloud.aws.infra.stack import (
    first_failure,
    our_stack,
    parameters_of,
    resources_of,
)
from spikeinterface_cloud.aws.program_name import command_line
from spikeinterface_cloud.aws.session import AwsSession
from spikeinterface_cloud.aws.stack_outputs import outputs_of
from spikeinterface_cloud.aws_errors import AwsError, error_code, translate_errors

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import StackTypeDef
    from mypy_boto3_ecr import ECRClient

#: the outputs that name images
IMAGES = ("GpuImageUri", "CpuImageUri")

REPOSITORY = "AWS::ECR::Repository"
GB = 1e9


@dataclass(frozen=True, kw_only=True, slots=True)
class StackStatus:
    """The stack, its images and its resources."""

    stack: StackTypeDef
    outputs: Mapping[str, str]
    #: whether each image of a job definition exists; None if it is in another registry, or AWS does
    #: not answer
    images: Mapping[str, bool | None]
    #: size of all images of the repository; None if AWS does not answer
    stored_bytes: int | None
    #: the types of the stack's resources
    kinds: Sequence[str]
    #: the first failure of the last change; empty if there was none
    failure: str


def find_status(session: AwsSession, name: str) -> StackStatus:
    """Query AWS for the stack.

    Raises AwsError (there is no such stack, it is not this project's, or AWS does not answer).
    """
    cloudformation: CloudFormationClient = session.client("cloudformation")
    stack = our_stack(cloudformation, name)
    if stack is None:
        region = cloudformation.meta.region_name
        create = command_line("infra", "up", "--stack", name)
        raise AwsError(
            f"there is no stack {name} in {region}; create it with "
            f"`{create}`, or check --stack, --region and --profile"
        )
    outputs, repository_uri = outputs_of(stack), outputs_of(stack).get("RepositoryUri", "")
    failed = "ROLLBACK" in stack["StackStatus"] or stack["StackStatus"].endswith("_FAILED")
    failure = first_failure(cloudformation, stack["StackId"]) if failed else ""
    tags, stored_bytes = _stored(session, repository_uri)
    images: dict[str, bool | None] = {}
    for uri in (outputs[key] for key in IMAGES if key in outputs):
        repository, _, tag = uri.rpartition(":")
        images[uri] = tag in tags if repository == repository_uri and tags is not None else None
    return StackStatus(
        stack=stack,
        outputs=outputs,
        images=images,
        stored_bytes=stored_bytes,
        kinds=[resource["ResourceType"] for resource in resources_of(cloudformation, stack)],
        failure=failure,
    )


def _stored(session: AwsSession, uri: str) -> tuple[frozenset[str] | None, int | None]:
    """Return the tags and the bytes of the repository's images; None if AWS does not answer."""
    ecr: ECRClient = session.client("ecr")
    pages = ecr.get_paginator("describe_images")
    try:
        with translate_errors("list the images"):
            found = [
                image
                for page in pages.paginate(repositoryName=uri.partition("/")[2] or "-")
                for image in page["imageDetails"]
            ]
    except AwsError as refusal:
        cause = refusal.__cause__
        gone = isinstance(cause, ClientError) and "RepositoryNotFound" in error_code(cause)
        return (frozenset(), 0) if gone else (None, None)
    tags = frozenset(tag for image in found for tag in image.get("imageTags", ()))
    return tags, sum(image.get("imageSizeInBytes", 0) for image in found)


def describe_status(status: StackStatus) -> list[str]:
    """Return the status for people, as lines."""
    outputs, parameters = status.outputs, parameters_of(status.stack)
    lines = [f"the stack {status.stack['StackName']} is {status.stack['StackStatus']}"]
    if status.failure:
        lines.append(f"  first failed: {status.failure}")
    width = max(map(len, outputs), default=0)
    lines += [f"  {key:<{width}}  {value}" for key, value in outputs.items()]
    lines += [f"image {uri} {_of_image(status, uri)}" for uri in status.images]
    volume_gib = float(parameters.get("RootVolumeGiB", 0))
    lines += describe_idle_cost(idle_cost(status.kinds), volume_gib)
    if status.stored_bytes:
        stored_gb = status.stored_bytes / GB
        usd = stored_gb * USD_PER_GB_MONTH[REPOSITORY][0]
        lines.append(f"images stored: {stored_gb:.1f} GB, {usd:.2f} USD per month")
    return lines


def _of_image(status: StackStatus, uri: str) -> str:
    """Return whether an image exists, and how to get it if not."""
    exists = status.images[uri]
    if exists is None:
        return "was not checked"
    if exists:
        return "exists"
    if not status.outputs.get("BuildProject"):
        return "is missing: push it with `make push`"
    of_gpu = ["--gpu"] if uri == status.outputs["GpuImageUri"] else []
    command = command_line("infra", "build", *of_gpu, "--stack", status.stack["StackName"])
    return f"is missing; build it: {command}"


def status_values(status: StackStatus) -> dict[str, Any]:
    """Return the status for `--json`."""
    return {
        "stack": status.stack["StackName"],
        "status": status.stack["StackStatus"],
        "firstFailed": status.failure or None,
        "outputs": dict(status.outputs),
        "parameters": parameters_of(status.stack),
        "images": dict(status.images),
        "idleUsdPerMonth": round(idle_cost(status.kinds).usd_per_month, 2),
    }
