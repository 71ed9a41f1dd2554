"""A diagnosis of an account over HTTP, with the instances that moto does not have from a stub."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.stub import Stubber

from spikeinterface_cloud.aws.diagnose.finding import Finding, Verdict
from spikeinterface_cloud.aws.diagnose.run import Diagnosis, diagnose_job, diagnose_queue
from spikeinterface_cloud.aws.session import AwsSession
from tests.support.batch_account import REGION, Lab
from tests.support.batch_server import AwsServer
from tests.support.servers import ACCESS_KEY, SECRET_KEY

pytestmark = pytest.mark.integration

#: of a g4dn.2xlarge that was seen to join
REGISTERED_MIB = 31_612


@pytest.fixture
def lab(aws: AwsServer) -> Lab:
    aws.answers["GetServiceQuota"] = lambda _: {"Quota": {"Value": 64.0}}
    aws.front_of_queue = []
    return Lab(server=aws).build()


@pytest.fixture
def session(aws: AwsServer, monkeypatch: pytest.MonkeyPatch) -> AwsSession:
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    return AwsSession(region=REGION, max_attempts=2)


def activity(words: str, code: str, minutes_ago: float) -> dict[str, Any]:
    return {
        "ActivityId": words, "AutoScalingGroupName": "group", "Cause": "a job",
        "StartTime": datetime.now(UTC) - timedelta(minutes=minutes_ago),
        "StatusCode": code, "StatusMessage": words,
    }  # fmt: skip


def instance(memory_mib: int, gpus: int, connected: bool = True) -> dict[str, Any]:
    def memory(mib: int) -> dict[str, Any]:
        return {"name": "MEMORY", "type": "INTEGER", "integerValue": mib}

    return {
        "status": "ACTIVE",
        "agentConnected": connected,
        "attributes": [{"name": "ecs.instance-type", "value": "g4dn.2xlarge"}],
        "registeredResources": [memory(REGISTERED_MIB)],
        "remainingResources": [
            {"name": "CPU", "type": "INTEGER", "integerValue": 8192},
            memory(memory_mib),
            {"name": "GPU", "type": "STRINGSET", "stringSetValue": ["GPU-1"] * gpus},
        ],
    }


@contextmanager
def running(
    session: AwsSession,
    lab: Lab,
    activities: list[dict[str, Any]],
    registered: list[dict[str, Any]],
    in_service: int = 0,
) -> Iterator[None]:
    """Let Auto Scaling and ECS tell this of the lab's compute environment."""
    instances = [
        {
            "InstanceId": f"i-{number}", "AvailabilityZone": "us-east-1a",
            "LifecycleState": "InService", "HealthStatus": "Healthy",
            "ProtectedFromScaleIn": False,
        }
        for number in range(in_service)
    ]  # fmt: skip
    group = {
        "AutoScalingGroupName": f"AWSBatch-{lab.name}-asg-1", "MinSize": 0, "MaxSize": 8,
        "DesiredCapacity": in_service, "DefaultCooldown": 0, "AvailabilityZones": ["us-east-1a"],
        "HealthCheckType": "EC2", "CreatedTime": datetime.now(UTC), "Instances": instances,
    }  # fmt: skip
    with (
        Stubber(session.client("autoscaling")) as scaling,
        Stubber(session.client("ecs")) as ecs,
    ):
        scaling.add_response("describe_auto_scaling_groups", {"AutoScalingGroups": [group]})
        scaling.add_response("describe_scaling_activities", {"Activities": activities})
        arns = [f"instance-{number}" for number in range(len(registered))]
        ecs.add_response("list_container_instances", {"containerInstanceArns": arns})
        if registered:
            ecs.add_response("describe_container_instances", {"containerInstances": registered})
        yield
        scaling.assert_no_pending_responses()
        ecs.assert_no_pending_responses()


def finding(diagnosis: Diagnosis, check: str) -> Finding:
    [found] = [finding for finding in diagnosis.findings if finding.check == check]
    return found


STARTED = activity("Launching a new EC2 instance: i-0", "Successful", 30)


@pytest.mark.parametrize(
    ("activities", "instances", "in_service", "check", "verdict", "evidence", "remedy"),
    [
        ([activity("Could not launch Spot Instances. MaxSpotInstanceCountExceeded - Max spot "
                   "instance count exceeded. Launching EC2 instance failed.", "Failed", 1)],
         [], 0, "scaling", Verdict.FAILED, "MaxSpotInstanceCountExceeded", "quota of Spot vCPUs"),
        ([activity("We currently do not have sufficient g4dn.2xlarge capacity in the Availability "
                   "Zone you requested (us-east-1a).", "Failed", 1)],
         [], 0, "scaling", Verdict.FAILED, "do not have sufficient", "AWS has no capacity"),
        ([STARTED], [], 2, "instances", Verdict.FAILED,
         "2 instances in service, but none has joined", "check the subnets"),
        ([STARTED], [instance(31_612, 1, connected=False)], 1, "instances", Verdict.FAILED,
         "1 instance in the cluster, but none is connected to ECS", "terminate them"),
        ([STARTED], [instance(1_000, 0)], 1, "instances", Verdict.WARNING,
         "8 vCPUs, 1,000 MiB, 0 GPUs: not enough for this job", "wait for other jobs"),
        ([STARTED], [instance(31_612, 1)], 1, "instances", Verdict.OK, "1 instance in the cluster",
         ""),
    ],
)  # fmt: skip
def test_running_instances_are_checked(
    lab: Lab,
    session: AwsSession,
    activities: list[dict[str, Any]],
    instances: list[dict[str, Any]],
    in_service: int,
    check: str,
    verdict: Verdict,
    evidence: str,
    remedy: str,
) -> None:
    job_id = lab.submit()
    with running(session, lab, activities, instances, in_service):
        diagnosis = diagnose_job(session, job_id, None)
    found = finding(diagnosis, check)
    assert found.verdict is verdict, found
    assert evidence in found.evidence
    assert remedy in found.remedy
    assert diagnosis.exit_code == (verdict is Verdict.FAILED)


@pytest.mark.parametrize(
    ("memory_mib", "verdict"), [(31_612, Verdict.OK), (31_613, Verdict.FAILED)]
)
def test_registered_memory_overrides_the_estimate(
    lab: Lab, session: AwsSession, memory_mib: int, verdict: Verdict
) -> None:
    wanted = [
        {"type": "MEMORY", "value": str(memory_mib)},
        {"type": "VCPU", "value": "8"},
        {"type": "GPU", "value": "1"},
    ]
    job_id = lab.submit(container={"resourceRequirements": wanted})
    with running(session, lab, [STARTED], [instance(31_612, 1)], 1):
        diagnosis = diagnose_job(session, job_id, None)
    assert finding(diagnosis, "instance size").verdict is verdict


def test_both_environments_of_a_queue_are_checked(lab: Lab, session: AwsSession) -> None:
    """The quotas count apart, and a job has to fit on one of the two only."""
    other = Lab(server=lab.server, market="EC2", instance_types=("m5.2xlarge",)).build()
    order = [other.environment_arn, lab.environment_arn]
    lab.client("batch").update_job_queue(
        jobQueue=lab.name,
        computeEnvironmentOrder=[
            {"order": number, "computeEnvironment": arn} for number, arn in enumerate(order, 1)
        ],
    )
    asked: list[str] = []

    def allowed(body: dict[str, str]) -> dict[str, Any]:
        asked.append(body["QuotaCode"])
        return {"Quota": {"Value": 0.0 if body["QuotaCode"] == "L-3819A6DF" else 64.0}}

    assert isinstance(lab.server, AwsServer)
    lab.server.answers["GetServiceQuota"] = allowed
    diagnosis = diagnose_job(session, lab.submit(), None)
    by_environment = {
        (finding.check, finding.environment): finding.verdict for finding in diagnosis.findings
    }
    assert by_environment["instance size", other.name] is Verdict.WARNING
    assert by_environment["instance size", lab.name] is Verdict.OK
    assert by_environment["quota", other.name] is Verdict.OK
    assert by_environment["quota", lab.name] is Verdict.FAILED
    assert asked == ["L-1216C47A", "L-3819A6DF"]
    assert {name for _, name in by_environment} == {"", lab.name, other.name}
    assert diagnosis.exit_code == 1  # the job fits where the quota is 0 only
    assert diagnose_queue(session, lab.name).exit_code == 0  # another job may fit the other one
