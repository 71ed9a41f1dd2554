"""The instance's metadata, asked of a server that speaks IMDSv2."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from spikeinterface_cloud.runtime.ec2_metadata import Instance, UnknownInstance, find_instance
from tests.support.metadata_stand_in import MetadataStandIn, metadata_stand_in
from tests.support.servers import free_port

pytestmark = pytest.mark.integration

NOWHERE = Path("/nowhere/sys_vendor")


@pytest.fixture
def metadata() -> Iterator[MetadataStandIn]:
    with metadata_stand_in() as server:
        yield server


def find(environ: Mapping[str, str], vendor: Path = NOWHERE) -> Instance | UnknownInstance:
    return find_instance(environ, vendor, timeout_s=0.3)


def reason(environ: Mapping[str, str], vendor: Path = NOWHERE) -> str:
    found = find(environ, vendor)
    assert isinstance(found, UnknownInstance)
    return found.reason


def test_instance_has_type_region_and_life_cycle(metadata: MetadataStandIn) -> None:
    assert find(metadata.environ) == Instance(
        instance_type="g4dn.2xlarge",
        region="us-east-1",
        availability_zone="us-east-1d",
        life_cycle="spot",
        identifier="i-0abc",
    )


def test_token_is_requested_first(metadata: MetadataStandIn) -> None:
    find(metadata.environ)
    assert [method for method, _ in metadata.requests] == ["PUT", "GET", "GET"]


def test_token_bypasses_proxies(metadata: MetadataStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    assert isinstance(find(metadata.environ), Instance)


def test_laptop_is_no_instance() -> None:
    assert reason({"HOME": "/home/me"}) == "this machine is not an EC2 instance"


def test_disabled_metadata_service_is_not_queried(metadata: MetadataStandIn) -> None:
    switched_off = {**metadata.environ, "AWS_EC2_METADATA_DISABLED": "True"}
    assert reason(switched_off) == "AWS_EC2_METADATA_DISABLED is set"
    assert metadata.requests == []


def test_hop_limit_of_1_does_not_delay_the_job(metadata: MetadataStandIn) -> None:
    """The answer to the request for a token then never reaches the container."""
    metadata.token_delay_s = 2.0
    told = reason(metadata.environ)
    assert [method for method, _ in metadata.requests] == ["PUT"]
    assert "timed out" in told
    assert "HttpPutResponseHopLimit is 2 or more" in told


def test_silent_service_is_tolerated() -> None:
    address = f"http://127.0.0.1:{free_port()}"
    assert "refused" in reason({"AWS_EC2_METADATA_SERVICE_ENDPOINT": address})


@pytest.mark.parametrize("sign", ["AWS_BATCH_JOB_ID", "ECS_CONTAINER_METADATA_URI_V4"])
def test_batch_variables_indicate_aws(metadata: MetadataStandIn, sign: str) -> None:
    assert isinstance(find({**metadata.environ, sign: "x"}), Instance)
    assert reason({sign: "", "HOME": "/"}) == "this machine is not an EC2 instance"


def test_machine_vendor_indicates_aws(tmp_path: Path) -> None:
    vendor = tmp_path / "sys_vendor"
    vendor.write_text("QEMU\n")
    assert reason({}, vendor) == "this machine is not an EC2 instance"
    vendor.write_text("Amazon EC2\n")
    assert isinstance(find({}, vendor), Instance) or "169.254.169.254" in reason({}, vendor)


@pytest.mark.parametrize(
    ("document", "content", "told"),
    [
        ("/latest/dynamic/instance-identity/document", None, "answered with 404"),
        ("/latest/dynamic/instance-identity/document", b"<html>", "Expecting value"),
        ("/latest/dynamic/instance-identity/document", b"{}", "no 'instanceType' in the identity"),
        ("/latest/dynamic/instance-identity/document", b"\xff", "codec can't decode"),
        ("/latest/meta-data/instance-life-cycle", None, "answered with 404"),
    ],
)
def test_unusable_answer_is_tolerated(
    metadata: MetadataStandIn, document: str, content: bytes | None, told: str
) -> None:
    metadata.documents.pop(document)
    if content is not None:
        metadata.documents[document] = content
    assert told in reason(metadata.environ)


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "https://127.0.0.1", "http://", "http://x:y"]
)
def test_invalid_endpoint_is_tolerated(address: str) -> None:
    assert "cannot be read" in reason({"AWS_EC2_METADATA_SERVICE_ENDPOINT": address})
