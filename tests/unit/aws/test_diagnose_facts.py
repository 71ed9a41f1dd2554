"""The queries of a diagnosis that moto lacks, answered by botocore's Stubber."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.stub import Stubber

from spikeinterface_cloud.aws.diagnose.finding import (
    Unavailable,
)
from spikeinterface_cloud.aws.diagnose.images import EcrImage, find_image, parse_image
from spikeinterface_cloud.aws.diagnose.query import query, query_optional
from spikeinterface_cloud.aws.diagnose.quotas import Quota, find_quota
from spikeinterface_cloud.aws.diagnose.scaling import find_scaling, registered_memory
from spikeinterface_cloud.aws.session import AwsSession
from spikeinterface_cloud.aws_errors import AwsError

REGION = "us-east-1"
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def session() -> AwsSession:
    return AwsSession(region=REGION)


def code_of(spot: bool) -> str:
    return "L-3819A6DF" if spot else "L-DB2E81BA"


@pytest.mark.parametrize("spot", [True, False])
def test_unraised_quota_is_the_default(session: AwsSession, spot: bool) -> None:
    wanted = {"ServiceCode": "ec2", "QuotaCode": code_of(spot)}
    with Stubber(session.client("service-quotas")) as stub:
        stub.add_client_error(
            "get_service_quota", "NoSuchResourceException", expected_params=wanted
        )
        stub.add_response("get_aws_default_service_quota", {"Quota": {"Value": 0.0}}, wanted)
        default = find_quota(session, "G and VT", spot)
        stub.assert_no_pending_responses()
    assert isinstance(default, Quota)
    assert (default.vcpus, default.code, default.region) == (0.0, code_of(spot), REGION)
    with Stubber(session.client("service-quotas")) as stub:
        stub.add_response("get_service_quota", {"Quota": {"Value": 48.0}}, wanted)
        raised = find_quota(session, "G and VT", spot)
    assert isinstance(raised, Quota)
    assert raised.vcpus == 48


GROUPS: dict[str, Any] = {
    "AutoScalingGroups": [
        {
            "AutoScalingGroupName": name, "MinSize": 0, "MaxSize": 1, "DesiredCapacity": 0,
            "DefaultCooldown": 0, "AvailabilityZones": [], "HealthCheckType": "EC2",
            "CreatedTime": NOW,
        }
        for name in ("AWSBatch-spot-asg-1a2b", "AWSBatch-spot-2-asg-3c4d", "website")
    ]
}  # fmt: skip
ACTIVITIES = {
    "Activities": [
        {
            "ActivityId": str(minutes), "AutoScalingGroupName": "AWSBatch-spot-asg-1a2b",
            "Cause": "a job", "StartTime": NOW - timedelta(minutes=minutes), "StatusCode": code,
            "StatusMessage": words,
        }
        for minutes, code, words in ((9, "Successful", "old"), (1, "Failed", "VcpuLimitExceeded"))
    ]
}  # fmt: skip
INSTANCE = {
    "registeredResources": [{"name": "MEMORY", "type": "INTEGER", "integerValue": 31_612}],
    "attributes": [{"name": "ecs.instance-type", "value": "g4dn.2xlarge"}],
}


def test_instances_are_those_of_the_scaling_group_and_cluster(
    session: AwsSession,
) -> None:
    described = {"computeEnvironmentName": "spot", "ecsClusterArn": "cluster"}
    with (
        Stubber(session.client("autoscaling")) as scaling,
        Stubber(session.client("ecs")) as ecs,
    ):
        scaling.add_response("describe_auto_scaling_groups", GROUPS, {})
        scaling.add_response(
            "describe_scaling_activities",
            ACTIVITIES,
            {"AutoScalingGroupName": "AWSBatch-spot-asg-1a2b", "MaxRecords": 20},
        )
        ecs.add_response(
            "list_container_instances", {"containerInstanceArns": ["a"]}, {"cluster": "cluster"}
        )
        ecs.add_response(
            "describe_container_instances",
            {"containerInstances": [INSTANCE]},
            {"cluster": "cluster", "containerInstances": ["a"]},
        )
        looked = find_scaling(session, described)
        scaling.assert_no_pending_responses()
        ecs.assert_no_pending_responses()
    assert isinstance(looked.activities, list)
    assert [entry["StatusMessage"] for entry in looked.activities] == ["VcpuLimitExceeded", "old"]
    assert isinstance(looked.instances, list)
    assert registered_memory(looked.instances) == {"g4dn.2xlarge": 31_612}


def test_manifest_index_gives_the_architectures(session: AwsSession) -> None:
    address = parse_image("123456789012.dkr.ecr.us-east-1.amazonaws.com/lab:1")
    assert address is not None
    wanted = {
        "registryId": "123456789012",
        "repositoryName": "lab",
        "imageIds": [{"imageTag": "1"}],
    }
    platforms = [{"platform": {"architecture": name}} for name in ("arm64", "unknown")]
    manifest = '{"manifests": ' + str(platforms).replace("'", '"') + "}"
    with Stubber(session.client("ecr")) as stub:
        stub.add_response(
            "describe_images", {"imageDetails": [{"imageSizeInBytes": 4_000_000_000}]}, wanted
        )
        stub.add_response("batch_get_image", {"images": [{"imageManifest": manifest}]}, wanted)
        image = find_image(session, address)
    assert image == EcrImage(
        repository_exists=True,
        exists=True,
        size_bytes=4_000_000_000,
        architectures=frozenset({"arm64"}),
    )


@pytest.mark.parametrize(
    ("code", "denied"),
    [
        ("AccessDenied", True),
        ("UnauthorizedOperation", True),
        ("AccessDeniedException", True),
        ("InternalFailure", False),
        ("UnknownOperationException", False),
    ],
)
def test_refused_query_raises_unavailable(session: AwsSession, code: str, denied: bool) -> None:
    ec2 = session.client("ec2")
    with Stubber(ec2) as stub:
        stub.add_client_error("describe_subnets", code, "no " * 200)
        with pytest.raises(Unavailable) as raised:
            query(ec2.describe_subnets)
    assert (raised.value.permission, raised.value.denied) == ("ec2:DescribeSubnets", denied)
    assert len(str(raised.value)) < 200


def test_refused_credentials_raise_an_aws_error(session: AwsSession) -> None:
    ec2 = session.client("ec2")
    with Stubber(ec2) as stub:
        stub.add_client_error("describe_subnets", "ExpiredToken", "expired")
        with pytest.raises(AwsError, match="refused the credentials"):
            query(ec2.describe_subnets)


def test_absent_resource_is_none(session: AwsSession) -> None:
    ec2 = session.client("ec2")
    with Stubber(ec2) as stub:
        stub.add_client_error("describe_subnets", "InvalidSubnetID.NotFound")
        seen = query_optional(("InvalidSubnetID.NotFound",), ec2.describe_subnets)
    assert seen is None
