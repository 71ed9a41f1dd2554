"""The image of a job: whether it exists, and runs on the instances."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spikeinterface_cloud.aws.diagnose.finding import (
    Finding,
    Unavailable,
    failed,
    ok,
    warning,
)
from spikeinterface_cloud.aws.diagnose.query import fact, query, query_optional
from spikeinterface_cloud.aws.session import AwsSession

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_ecr.type_defs import ImageIdentifierTypeDef

ECR = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[\w-]+)\.amazonaws\.com(\.cn)?/"
    r"(?P<repository>[^:@]+)(:(?P<tag>[^@]+))?(@(?P<digest>sha256:\w+))?"
)

#: Docker's names of EC2's architectures
DOCKER_NAMES = {"x86_64": "amd64", "arm64": "arm64", "i386": "386"}

NO_REPOSITORY = "RepositoryNotFoundException"
ABSENT = (NO_REPOSITORY, "ImageNotFoundException")


@dataclass(frozen=True, kw_only=True, slots=True)
class EcrAddress:
    """An image in ECR."""

    account: str
    region: str
    repository: str
    tag: str | None
    digest: str | None

    @property
    def name(self) -> str:
        """The name of the image within its repository."""
        return self.digest or self.tag or "latest"

    @property
    def identifier(self) -> ImageIdentifierTypeDef:
        """The identifier in requests to ECR; a digest takes precedence over a tag."""
        return {"imageDigest": self.digest} if self.digest else {"imageTag": self.name}


@dataclass(frozen=True, kw_only=True, slots=True)
class EcrImage:
    """ECR's description of an image."""

    repository_exists: bool
    exists: bool
    #: 0 if ECR does not say
    size_bytes: int = 0
    #: in Docker's names; empty if the manifest does not say
    architectures: frozenset[str] = frozenset()


def parse_image(image: str) -> EcrAddress | None:
    """Return the parts of an address in ECR; None for an image in another registry.

    >>> parse_image("123456789012.dkr.ecr.us-east-1.amazonaws.com/lab/sorting:1").repository
    'lab/sorting'
    >>> parse_image("python:3.11") is None
    True
    """
    match = ECR.fullmatch(image)
    return EcrAddress(**match.groupdict()) if match else None


@fact
def find_image(session: AwsSession, address: EcrAddress) -> EcrImage:
    """Return ECR's description of an image."""
    ecr: ECRClient = session.client("ecr")
    reply = query_optional(
        ABSENT,
        ecr.describe_images,
        registryId=address.account,
        repositoryName=address.repository,
        imageIds=[address.identifier],
    )
    if reply is None or not reply["imageDetails"]:
        return EcrImage(repository_exists=_repository_exists(ecr, address), exists=False)
    return EcrImage(
        repository_exists=True,
        exists=True,
        size_bytes=reply["imageDetails"][0].get("imageSizeInBytes", 0),
        architectures=_architectures(ecr, address),
    )


def _repository_exists(ecr: ECRClient, address: EcrAddress) -> bool:
    """Return whether the repository exists; True if ECR does not say."""
    try:
        reply = query_optional(
            (NO_REPOSITORY,),
            ecr.describe_repositories,
            registryId=address.account,
            repositoryNames=[address.repository],
        )
    except Unavailable:
        return True
    return reply is not None


def _architectures(ecr: ECRClient, address: EcrAddress) -> frozenset[str]:
    """Return those that an index of manifests lists; a single manifest does not name its own."""
    found: set[str] = set()
    try:
        reply = query(
            ecr.batch_get_image,
            registryId=address.account,
            repositoryName=address.repository,
            imageIds=[address.identifier],
        )
    except Unavailable:
        return frozenset()
    for image in reply["images"]:
        try:
            manifest = json.loads(image.get("imageManifest", "{}"))
        except json.JSONDecodeError:
            continue
        for entry in manifest.get("manifests", ()):
            found.add(str(entry.get("platform", {}).get("architecture", "")))
    return frozenset(found - {"", "unknown"})  # attestations are of an unknown one


def check_image(
    address: EcrAddress, image: EcrImage, architectures: frozenset[str], region: str
) -> Iterator[Finding]:
    """Check whether instances of the architectures, none if unknown, can pull and run an image."""
    where = f"{address.repository}, account {address.account}, {address.region}"
    if not image.repository_exists:
        yield failed(
            f"there is no repository {where}",
            "build the image with `infra build`, push it with `make push`, or name another one in "
            "the job definition",
        )
        return
    if not image.exists:
        yield failed(
            f"there is no image {address.name} in the repository {where}",
            "build it with `infra build`, push it with `make push`, or name another tag in the job "
            "definition",
            f"aws ecr list-images --repository-name {address.repository} "
            f"--registry-id {address.account} --region {address.region}",
        )
        return
    wanted = {DOCKER_NAMES.get(name, name) for name in architectures}
    if image.architectures and wanted and not wanted & image.architectures:
        yield failed(
            f"the image is for {', '.join(sorted(image.architectures))}, but the instances are "
            f"{', '.join(sorted(wanted))}",
            "build it for their architecture, or choose instances of the image's architecture",
        )
        return
    if address.region != region:
        yield warning(
            f"the image is in {address.region} and the instances are in {region}: every start "
            "pulls it across regions, which is slow and costs transfer",
            f"push it to {region} as well",
        )
        return
    size = f", {image.size_bytes / 1e6:,.0f} MB compressed" if image.size_bytes >= 1e6 else ""
    yield ok(f"{address.repository}:{address.name}{size}")


def check_image_elsewhere(image: str) -> Iterator[Finding]:
    """Warn about an image that is not in ECR, or is named without a registry."""
    yield warning(
        f"{image or 'the image'} is not in ECR, so its existence cannot be checked",
        "if instances cannot pull it, push it to ECR with `make push` and name that address in "
        "the job definition",
    )
