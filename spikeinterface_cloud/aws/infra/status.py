"""`infra status`: the stack, its outputs, whether its images are there, and what it costs idle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from spikeinterface_cloud.aws.infra.events import first_failure
from spikeinterface_cloud.aws.infra.idle_cost import USD_A_GB, describe_idle_cost, idle_cost
from spikeinterface_cloud.aws.infra.stack import Stack, our_stack, resources_of
from spikeinterface_cloud.aws.session import AwsSession
from spikeinterface_cloud.aws_errors import STACK_HINTS, AwsError, error_code, translate_errors

#: the outputs that name images
IMAGES = ("GpuImageUri", "CpuImageUri")

REPOSITORY = "AWS::ECR::Repository"
GB = 1e9


@dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    """An image that a job definition names."""

    uri: str
    #: None where it is in another registry, or where AWS does not tell
    is_there: bool | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """The stack and what depends on it."""

    stack: Stack
    images: Sequence[Image]
    #: bytes of all images of the repository; None where AWS does not tell
    stored_bytes: int | None
    #: the types of the stack's resources
    kinds: Sequence[str]
    #: what failed in the last change, where something did
    failure: str


def look(session: AwsSession, name: str) -> Status:
    """Ask AWS for the stack.

    Raises
    ------
    AwsError
        There is none of this name, it is not ours, or AWS does not tell.
    """
    cloudformation = session.client("cloudformation")
    stack = our_stack(cloudformation, name)
    if stack is None:
        region = cloudformation.meta.region_name
        raise AwsError(
            f"there is no stack {name} in {region}; make it with "
            f"`submit_job.py infra up --stack {name}`, or check --stack, --region and --profile"
        )
    failed = "ROLLBACK" in stack.status or stack.status.endswith("_FAILED")
    failure = first_failure(cloudformation, stack.stack_id) if failed else None
    tags, stored_bytes = _stored(session, stack)
    return Status(
        stack=stack,
        images=[_image(stack, key, tags) for key in IMAGES if key in stack.outputs],
        stored_bytes=stored_bytes,
        kinds=[resource.kind for resource in resources_of(cloudformation, stack)],
        failure=failure.sentence if failure else "",
    )


def _image(stack: Stack, key: str, tags: frozenset[str] | None) -> Image:
    uri = stack.outputs[key]
    repository, _, tag = uri.rpartition(":")
    is_known = repository == stack.outputs.get("RepositoryUri") and tags is not None
    return Image(uri=uri, is_there=tag in tags if is_known and tags is not None else None)


def _stored(session: AwsSession, stack: Stack) -> tuple[frozenset[str] | None, int | None]:
    """The tags of the repository, and the bytes of its images; None where AWS does not tell."""
    uri = stack.outputs.get("RepositoryUri", "")
    pages = session.client("ecr").get_paginator("describe_images")
    try:
        with translate_errors("list the images", hints=STACK_HINTS):
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


def describe_status(status: Status) -> list[str]:
    """The status for people, a line each."""
    stack = status.stack
    lines = [f"the stack {stack.name} is {stack.status}"]
    if status.failure:
        lines.append(f"  first failed: {status.failure}")
    width = max((len(key) for key in stack.outputs), default=0)
    lines += [f"  {key:<{width}}  {value}" for key, value in stack.outputs.items()]
    words = {True: "is there", False: "is missing: `make push` sends it", None: "is not looked at"}
    lines += [f"image {image.uri} {words[image.is_there]}" for image in status.images]
    volume_gib = float(stack.parameters.get("RootVolumeGiB", 0))
    lines += describe_idle_cost(idle_cost(status.kinds), volume_gib)
    if status.stored_bytes:
        stored_gb = status.stored_bytes / GB
        usd = stored_gb * USD_A_GB[REPOSITORY][0]
        lines.append(f"images stored: {stored_gb:.1f} GB, {usd:.2f} USD a month")
    return lines


def status_values(status: Status) -> dict[str, Any]:
    """The status for `--json`."""
    return {
        "stack": status.stack.name,
        "status": status.stack.status,
        "firstFailed": status.failure or None,
        "outputs": status.stack.outputs,
        "parameters": status.stack.parameters,
        "images": {image.uri: image.is_there for image in status.images},
        "idleUsdAMonth": round(idle_cost(status.kinds).usd_a_month, 2),
    }
