"""`infra status`: the stack, its outputs, its images, and its idle cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from spikeinterface_cloud.aws.infra.events import first_failure
from spikeinterface_cloud.aws.infra.idle_cost import USD_PER_GB_MONTH, describe_idle_cost, idle_cost
from spikeinterface_cloud.aws.infra.stack import Stack, our_stack, resources_of
from spikeinterface_cloud.aws.session import AwsSession
from spikeinterface_cloud.aws_errors import STACK_HINTS, AwsError, error_code, translate_errors

#: the outputs that name images
IMAGES = ("GpuImageUri", "CpuImageUri")

REPOSITORY = "AWS::ECR::Repository"
GB = 1e9


@dataclass(frozen=True, kw_only=True, slots=True)
class StackImage:
    """An image that a job definition names."""

    uri: str
    #: None if it is in another registry, or AWS does not answer
    exists: bool | None


@dataclass(frozen=True, kw_only=True, slots=True)
class StackStatus:
    """The stack, its images and its resources."""

    stack: Stack
    images: Sequence[StackImage]
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
    cloudformation = session.client("cloudformation")
    stack = our_stack(cloudformation, name)
    if stack is None:
        region = cloudformation.meta.region_name
        raise AwsError(
            f"there is no stack {name} in {region}; create it with "
            f"`submit_job.py infra up --stack {name}`, or check --stack, --region and --profile"
        )
    failed = "ROLLBACK" in stack.status or stack.status.endswith("_FAILED")
    failure = first_failure(cloudformation, stack.stack_id) if failed else None
    tags, stored_bytes = _stored(session, stack)
    return StackStatus(
        stack=stack,
        images=[_image(stack, key, tags) for key in IMAGES if key in stack.outputs],
        stored_bytes=stored_bytes,
        kinds=[resource.kind for resource in resources_of(cloudformation, stack)],
        failure=failure.sentence if failure else "",
    )


def _image(stack: Stack, key: str, tags: frozenset[str] | None) -> StackImage:
    uri = stack.outputs[key]
    repository, _, tag = uri.rpartition(":")
    is_known = repository == stack.outputs.get("RepositoryUri") and tags is not None
    return StackImage(uri=uri, exists=tag in tags if is_known and tags is not None else None)


def _stored(session: AwsSession, stack: Stack) -> tuple[frozenset[str] | None, int | None]:
    """Return the tags and the bytes of the repository's images; None if AWS does not answer."""
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


def describe_status(status: StackStatus) -> list[str]:
    """Return the status for people, as lines."""
    stack = status.stack
    lines = [f"the stack {stack.name} is {stack.status}"]
    if status.failure:
        lines.append(f"  first failed: {status.failure}")
    width = max((len(key) for key in stack.outputs), default=0)
    lines += [f"  {key:<{width}}  {value}" for key, value in stack.outputs.items()]
    words = {True: "exists", False: "is missing: push it with `make push`", None: "was not checked"}
    lines += [f"image {image.uri} {words[image.exists]}" for image in status.images]
    volume_gib = float(stack.parameters.get("RootVolumeGiB", 0))
    lines += describe_idle_cost(idle_cost(status.kinds), volume_gib)
    if status.stored_bytes:
        stored_gb = status.stored_bytes / GB
        usd = stored_gb * USD_PER_GB_MONTH[REPOSITORY][0]
        lines.append(f"images stored: {stored_gb:.1f} GB, {usd:.2f} USD per month")
    return lines


def status_values(status: StackStatus) -> dict[str, Any]:
    """Return the status for `--json`."""
    return {
        "stack": status.stack.name,
        "status": status.stack.status,
        "firstFailed": status.failure or None,
        "outputs": status.stack.outputs,
        "parameters": status.stack.parameters,
        "images": {image.uri: image.exists for image in status.images},
        "idleUsdPerMonth": round(idle_cost(status.kinds).usd_per_month, 2),
    }
