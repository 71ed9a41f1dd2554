"""Whether the image of a job is where its job definition says, and runs on its machines."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from spikeinterface_cloud.aws.diagnose.finding import (
    Finding,
    Seen,
    Unavailable,
    failed,
    ok,
    warning,
)
from spikeinterface_cloud.aws.diagnose.query import ask
from spikeinterface_cloud.aws.session import AwsSession

ECR = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[\w-]+)\.amazonaws\.com(\.cn)?/"
    r"(?P<repository>[^:@]+)(:(?P<tag>[^@]+))?(@(?P<digest>sha256:\w+))?"
)

#: what Docker calls the architectures of EC2
DOCKER_NAMES = {"x86_64": "amd64", "arm64": "arm64", "i386": "386"}

NO_REPOSITORY = "RepositoryNotFoundException"
NO_IMAGE = "ImageNotFoundException"


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """An image in ECR."""

    account: str
    region: str
    repository: str
    tag: str | None
    digest: str | None

    @property
    def name(self) -> str:
        """The image within its repository."""
        return self.digest or self.tag or "latest"

    @property
    def identifier(self) -> dict[str, str]:
        """How ECR is asked for it; a digest is stronger than a tag."""
        return {"imageDigest": self.digest} if self.digest else {"imageTag": self.name}


@dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    """What ECR says of an image."""

    repository_exists: bool
    exists: bool
    #: 0 where ECR does not say
    size_bytes: int = 0
    #: as Docker calls them; empty where the manifest does not tell
    architectures: frozenset[str] = frozenset()


def parse_image(image: str) -> Address | None:
    """The parts of an address in ECR; None for an image that is elsewhere.

    >>> parse_image("123456789012.dkr.ecr.us-east-1.amazonaws.com/lab/sorting:1").repository
    'lab/sorting'
    >>> parse_image("python:3.11") is None
    True
    """
    match = ECR.fullmatch(image)
    if match is None:
        return None
    return Address(
        account=match["account"],
        region=match["region"],
        repository=match["repository"],
        tag=match["tag"],
        digest=match["digest"],
    )


def look_up_image(session: AwsSession, address: Address) -> Seen[Image]:
    """Ask ECR for an image."""
    ecr = session.client("ecr")
    wanted: dict[str, Any] = {
        "registryId": address.account,
        "repositoryName": address.repository,
        "imageIds": [address.identifier],
    }
    reply = ask(
        "ecr:DescribeImages",
        lambda: ecr.describe_images(**wanted)["imageDetails"],
        absent=(NO_IMAGE, NO_REPOSITORY),
    )
    if isinstance(reply, Unavailable):
        return reply
    if not reply:
        return Image(repository_exists=_repository_exists(ecr, address), exists=False)
    manifests = ask("ecr:BatchGetImage", lambda: ecr.batch_get_image(**wanted)["images"])
    return Image(
        repository_exists=True,
        exists=True,
        size_bytes=int(reply[0].get("imageSizeInBytes", 0)),
        architectures=_architectures(manifests) if isinstance(manifests, list) else frozenset(),
    )


def _repository_exists(ecr: Any, address: Address) -> bool:
    """Whether the repository is there; taken to be where ECR does not tell."""
    reply = ask(
        "ecr:DescribeRepositories",
        lambda: ecr.describe_repositories(
            registryId=address.account, repositoryNames=[address.repository]
        ),
        absent=(NO_REPOSITORY,),
    )
    return reply is not None


def _architectures(images: list[Mapping[str, Any]]) -> frozenset[str]:
    """Those that an index of manifests lists; a single manifest does not say its own."""
    found: set[str] = set()
    for image in images:
        try:
            manifest = json.loads(image.get("imageManifest", "{}"))
        except json.JSONDecodeError:
            continue
        for entry in manifest.get("manifests", ()):
            found.add(str(entry.get("platform", {}).get("architecture", "")))
    return frozenset(found - {"", "unknown"})  # attestations are of an unknown one


def judge_image(
    address: Address, image: Image, architectures: frozenset[str], region: str
) -> Iterator[Finding]:
    """Whether a machine can fetch the image, and run it.

    Parameters
    ----------
    architectures
        those of the machines, as EC2 calls them; empty where they are not known
    region
        where the machines are
    """
    where = f"{address.repository}, account {address.account}, {address.region}"
    if not image.repository_exists:
        yield failed(
            f"there is no repository {where}",
            "push the image with `make push`, or name another in the job definition",
        )
        return
    if not image.exists:
        yield failed(
            f"there is no image {address.name} in the repository {where}",
            "push it with `make push`, or name another tag in the job definition",
            f"aws ecr list-images --repository-name {address.repository} "
            f"--registry-id {address.account} --region {address.region}",
        )
        return
    wanted = {DOCKER_NAMES.get(name, name) for name in architectures}
    if image.architectures and wanted and not wanted & image.architectures:
        yield failed(
            f"the image is for {', '.join(sorted(image.architectures))}, and the machines are "
            f"{', '.join(sorted(wanted))}",
            "build it for their architecture, or choose machines of its own",
        )
        return
    if address.region != region:
        yield warning(
            f"the image is in {address.region} and the machines are in {region}: every start "
            "fetches it across, which is slow and paid",
            f"push it to {region} as well",
        )
        return
    size = f", {image.size_bytes / 1e6:,.0f} MB compressed" if image.size_bytes >= 1e6 else ""
    yield ok(f"{address.repository}:{address.name}{size}")


def judge_image_elsewhere(image: str) -> Iterator[Finding]:
    """An image that is not in ECR, or is named without a registry."""
    yield warning(
        f"{image or 'the image'} is not in ECR, so that it cannot be told whether it is there",
        "where machines cannot fetch it, push it to ECR with `make push` and name that address in "
        "the job definition",
    )
