"""Checks of AWS's replies, also of those that no stand-in for AWS gives."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from spikeinterface_cloud.aws.batch.jobs import JobState
from spikeinterface_cloud.aws.diagnose.finding import (
    Finding,
    Unavailable,
    Verdict,
    downgrade_if_an_environment_passes,
    downgrade_if_any_passes,
    failed,
    first_match,
    ok,
    run_check,
)
from spikeinterface_cloud.aws.diagnose.images import EcrImage, check_image, parse_image
from spikeinterface_cloud.aws.diagnose.instance_types import InstanceType
from spikeinterface_cloud.aws.diagnose.job_checks import check_job
from spikeinterface_cloud.aws.diagnose.meanings import (
    BLOCKED,
    NOT_STARTED,
    SYSTEM_EXIT_CODES,
    explain_exit_code,
)
from spikeinterface_cloud.aws.diagnose.network_checks import (
    NEEDED_ENDPOINTS,
    check_security_groups,
    check_subnets,
    check_zones,
)
from spikeinterface_cloud.aws.diagnose.queue_checks import (
    check_environment,
    check_front,
    check_queue,
)
from spikeinterface_cloud.aws.diagnose.quotas import Quota, check_quota
from spikeinterface_cloud.aws.diagnose.request import JobRequirements, requirements_of
from spikeinterface_cloud.aws.diagnose.roles import (
    EC2,
    INSTANCE_POLICY,
    Role,
    check_profile,
    check_role,
    trusted_services,
)
from spikeinterface_cloud.aws.diagnose.run import Diagnosis
from spikeinterface_cloud.aws.diagnose.scaling_checks import check_activities, check_instances
from spikeinterface_cloud.aws.diagnose.size_checks import (
    check_gpu_request,
    check_gpu_system,
    check_sizes,
)
from spikeinterface_cloud.aws.diagnose.table import findings_table, summary
from spikeinterface_cloud.errors import EXIT_CODES

ROOT = Path(__file__).parents[3]
REGION = "us-east-1"
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)

G4DN = InstanceType(
    name="g4dn.2xlarge", vcpus=8, memory_mib=32_768, gpus=1, architectures=("x86_64",)
)
M5 = InstanceType(name="m5.4xlarge", vcpus=16, memory_mib=65_536, gpus=0, architectures=("x86_64",))


def request(**wanted: Any) -> JobRequirements:
    """A job for Kilosort4 that fits on a g4dn.2xlarge."""
    given: dict[str, Any] = {
        "vcpus": 8.0,
        "memory_mib": 30_000,
        "gpus": 1,
        "image": "sorting:gpu",
        "job_role": "arn:aws:iam::123456789012:role/job",
        "execution_role": None,
        "has_secrets": False,
        "log_group": None,
        "gpu_sorters": ("kilosort4",),
        "sorters_are_known": True,
    }
    return JobRequirements(**given | wanted)


def environment(**given: Any) -> dict[str, Any]:
    """A compute environment of Spot instances."""
    resources = {
        "type": "SPOT",
        "allocationStrategy": "SPOT_PRICE_CAPACITY_OPTIMIZED",
        "maxvCpus": 64,
        "desiredvCpus": 0,
        **given.pop("resources", {}),
    }
    return {
        "computeEnvironmentName": "spot",
        "type": "MANAGED",
        "state": "ENABLED",
        "status": "VALID",
        "computeResources": resources,
        **given,
    }


def group(*states: str) -> dict[str, Any]:
    """An Auto Scaling group with instances in these states."""
    return {
        "AutoScalingGroupName": "AWSBatch-spot-asg-1",
        "Instances": [{"LifecycleState": state} for state in states],
    }


def activity(words: str, code: str = "Failed", minutes_ago: float = 5) -> dict[str, Any]:
    started = NOW - timedelta(minutes=minutes_ago)
    return {"StatusCode": code, "StatusMessage": words, "StartTime": started}


def instance(cpu: int, memory: int, gpus: int, connected: bool = True) -> dict[str, Any]:
    """An instance in the cluster of ECS, with what is left on it."""
    left = [
        {"name": "CPU", "type": "INTEGER", "integerValue": cpu},
        {"name": "MEMORY", "type": "INTEGER", "integerValue": memory},
        {"name": "GPU", "type": "STRINGSET", "stringSetValue": [f"GPU-{n}" for n in range(gpus)]},
    ]
    return {
        "status": "ACTIVE",
        "agentConnected": connected,
        "remainingResources": left,
        "registeredResources": [{"name": "MEMORY", "integerValue": 31_612}],
        "attributes": [{"name": "ecs.instance-type", "value": "g4dn.2xlarge"}],
    }


def quota(vcpus: float, spot: bool = True) -> Quota:
    code = "L-3819A6DF" if spot else "L-DB2E81BA"
    return Quota(kind="G and VT", is_spot=spot, code=code, vcpus=vcpus, region=REGION)


def subnet(**given: Any) -> dict[str, Any]:
    return {
        "SubnetId": "subnet-1", "VpcId": "vpc-1", "AvailabilityZone": "us-east-1a",
        "AvailableIpAddressCount": 200, "MapPublicIpOnLaunch": False, **given,
    }  # fmt: skip


def routes(**route: Any) -> list[dict[str, Any]]:
    """A main route table, and one of another subnet that leads out."""
    other = {
        "VpcId": "vpc-1",
        "Associations": [{"SubnetId": "subnet-2"}],
        "Routes": [{"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": "igw-1"}],
    }
    local = {"DestinationCidrBlock": "10.0.0.0/16", "GatewayId": "local"}
    default = [{"DestinationCidrBlock": "0.0.0.0/0", **route}] if route else []
    main = {"VpcId": "vpc-1", "Associations": [{"Main": True}], "Routes": [local, *default]}
    return [other, main]


def endpoints(*services: str, vpc: str = "vpc-1", state: str = "available") -> list[dict[str, Any]]:
    return [
        {"VpcId": vpc, "State": state, "ServiceName": f"com.amazonaws.{REGION}.{service}"}
        for service in services
    ]


def egress(**rule: Any) -> list[dict[str, Any]]:
    return [{"GroupId": "sg-1", "IpPermissionsEgress": [rule]}]


def ecr(**image: Any) -> Iterable[Finding]:
    address = parse_image(f"123456789012.dkr.ecr.{image.pop('region', REGION)}.amazonaws.com/lab:1")
    assert address is not None
    known = EcrImage(**{"repository_exists": True, "exists": True, **image})
    return check_image(address, known, frozenset({"x86_64"}), REGION)


def state(status: str, **reply: Any) -> JobState:
    return JobState(reply={"jobId": "1", "jobName": "mine", "status": status, **reply})


WITHOUT_DRIVER = {"ec2Configuration": [{"imageType": "ECS_AL2023"}]}

START = "Could not launch Spot Instances. "

#: the cause; the findings; how the last of them comes out; words of its evidence and its remedy
CAUSES = [
    # what a job asks for
    ("fits", check_sizes(request(), [G4DN, M5]), "ok", "fits on g4dn.2xlarge", ""),
    ("whole memory", check_sizes(request(memory_mib=32_768), [G4DN]), "failed",
     "of its 32,768 MiB jobs can rely on 30,146", "--memory 30146"),
    ("whole memory, as registered",
     check_sizes(request(memory_mib=32_000), [InstanceType(
         name="g4dn.2xlarge", vcpus=8, memory_mib=32_768, gpus=1, architectures=(),
         registered_mib=31_612)]),
     "failed", "a running one has registered 31,612", "--memory 31612"),
    ("tight memory", check_sizes(request(memory_mib=31_000), [G4DN]), "warning",
     "may not fit on g4dn.2xlarge", "--memory 30146"),
    ("too many vCPUs for those with a GPU", check_sizes(request(vcpus=16), [G4DN, M5]), "failed",
     "the largest instance, g4dn.2xlarge, has 8", "--vcpus 8"),
    ("no GPU", check_sizes(request(), [M5]), "failed", "none of m5.4xlarge has one", "g5.2xlarge"),
    ("too many GPUs", check_sizes(request(gpus=4), [G4DN]), "failed",
     "requests 4 GPUs, but none of g4dn.2xlarge has more than 1", "types"),
    ("no such type", check_sizes(request(), []), "failed", "has none of its instance types",
     "g4dn.2xlarge"),
    ("GPU not asked for", check_gpu_request(request(gpus=0)), "failed",
     "kilosort4 needs a GPU, but the job requests none", "--gpus 1"),
    ("sorters of a list", check_gpu_request(request(gpus=0, gpu_sorters=(),
                                                    sorters_are_known=False)),
     "warning", "do not say which sorters it runs", "if kilosort4 is among them"),
    ("own system", check_gpu_system(request(), environment(resources={"imageId": "ami-1"})),
     "warning", "your own AMI, ami-1", "NVIDIA's driver"),
    ("CPU system", check_gpu_system(request(), environment(resources=WITHOUT_DRIVER)),
     "failed", "has no GPU driver", "ECS_AL2023_NVIDIA"),
    ("CPU system, CPU job",
     check_gpu_system(request(gpus=0), environment(resources=WITHOUT_DRIVER)),
     "ok", "ECS_AL2023", ""),
    # quotas
    ("no Spot quota", check_quota(quota(0), [G4DN], 64), "failed",
     "0 vCPUs of Spot G and VT instances (L-3819A6DF)", "On-Demand instances have a"),
    ("no On-Demand quota", check_quota(quota(4, spot=False), [G4DN], 64), "failed",
     "4 vCPUs of On-Demand G and VT instances (L-DB2E81BA)", "--quota-code L-DB2E81BA"),
    ("small quota", check_quota(quota(8), [G4DN], 64), "warning", "may grow to 64",
     "--desired-value 64"),
    ("quota", check_quota(quota(64), [G4DN], 64), "ok", "64 vCPUs of Spot", ""),
    # compute environments
    ("Fargate", check_environment(environment(resources={"type": "FARGATE"}), request()), "failed",
     "Fargate, which has no GPUs", "EC2 or Spot"),
    ("unmanaged", check_environment(environment(type="UNMANAGED"), request()), "warning",
     "Batch does not start its instances", "start instances"),
    ("being made", check_environment(environment(status="CREATING"), None), "warning",
     "CREATING", "wait"),
    ("being deleted", check_environment(environment(status="DELETING"), None), "failed",
     "DELETING", "another compute environment"),
    ("maxvCpus 0", check_environment(environment(resources={"maxvCpus": 0}), None), "failed",
     "its maximum is 0 vCPUs", "maxvCpus=32"),
    ("invalid for no known reason",
     check_environment(environment(status="INVALID", statusReason="CLIENT_ERROR - odd"), None),
     "failed", "INVALID: CLIENT_ERROR - odd", "the reason names; then disable"),
    ("queue gone", check_queue(None), "failed", "no longer exists", "that exists"),
    ("queue invalid", check_queue({"jobQueueName": "q", "state": "ENABLED", "status": "INVALID",
                                   "statusReason": "odd"}),
     "failed", "q is INVALID: odd", "correct"),
    ("queue empty", check_queue({"jobQueueName": "q", "state": "ENABLED"}), "failed",
     "no compute environment", "add one"),
    ("queue that cancels", check_queue({
        "jobQueueName": "q", "state": "ENABLED",
        "computeEnvironmentOrder": [{"order": 2, "computeEnvironment": "ce/ondemand"},
                                    {"order": 1, "computeEnvironment": "ce/spot"}],
        "jobStateTimeLimitActions": [{"reason": "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY",
                                      "maxTimeSeconds": 600}]}),
     "ok", "it tries spot, then ondemand; it cancels jobs that are blocked by CAPACITY:", ""),
    ("far from the front",
     check_front([str(n) for n in range(100)], state("RUNNABLE", jobArn="c"), None), "warning",
     "not among the first hundred", "wait"),
    ("just come", check_front(["a"], state("RUNNABLE", jobArn="c"), None), "ok",
     "does not list the job yet", ""),
    ("second", check_front(["a", "c"], state("RUNNABLE", jobArn="c"), state("RUNNABLE")), "ok",
     "2. in the queue", ""),
    ("blocked by the first",
     check_front(["a", "c"], state("RUNNABLE", jobArn="c"),
                 state("RUNNABLE", statusReason="UNDETERMINED - Batch job is blocked, root cause "
                       "is undetermined.")),
     "failed", "2. in the queue; 1 at the front is blocked", "spikeinterface-cloud cancel 1"),
    ("blocked queue", check_front(["a"], None, state("RUNNABLE", statusReason="ACTION_REQUIRED - "
                                                     "CE(s) associated with the job queue are "
                                                     "invalid.")),
     "failed", "1 at the front is blocked: the compute environments", "correct the cause"),
    # network
    ("no address left", check_subnets([subnet(AvailableIpAddressCount=0)], [], [], False),
     "failed", "subnet-1 has no free address", "larger subnet"),
    ("internet gateway, no address",
     check_subnets([subnet()], routes(GatewayId="igw-1"), [], False), "failed",
     "no public address", "--map-public-ip-on-launch"),
    ("address by launch template",
     check_subnets([subnet()], routes(GatewayId="igw-1"), [], True), "ok", "internet gateway", ""),
    ("NAT", check_subnets([subnet()], routes(NatGatewayId="nat-1"), endpoints("s3"), False), "ok",
     "to a NAT gateway, and to an endpoint for S3", ""),
    ("NAT, endpoint of another VPC",
     check_subnets([subnet()], routes(NatGatewayId="nat-1"), endpoints("s3", vpc="vpc-2"), False),
     "warning", "billed per GB", "which is free"),
    ("NAT gone", check_subnets([subnet()], routes(NatGatewayId="nat-1", State="blackhole"), [],
                               False),
     "failed", "because the target of its default route no longer exists", "NAT gateway"),
    ("transit gateway", check_subnets([subnet()], routes(TransitGatewayId="tgw-1"), [], False),
     "warning", "cannot be checked further", "ECS, ECR"),
    ("nowhere", check_subnets([subnet()], routes(), endpoints("ecs", "s3"), False), "failed",
     "no endpoint for ecs-agent, ecs-telemetry, ecr.api, ecr.dkr, logs:", "NAT gateway"),
    ("endpoints", check_subnets([subnet()], routes(), endpoints(*NEEDED_ENDPOINTS), False), "ok",
     "only to the endpoints of AWS", ""),
    ("endpoints that are not ready",
     check_subnets([subnet()], routes(), endpoints(*NEEDED_ENDPOINTS, state="pending"), False),
     "failed", "no endpoint for ecs,", "NAT"),
    ("no rule out", check_security_groups(egress(IpProtocol="tcp", FromPort=80, ToPort=80)),
     "failed", "no outbound requests to port 443", "authorize-security-group-egress"),
    ("narrow rule out", check_security_groups(egress(IpProtocol="tcp", FromPort=443, ToPort=443,
                                                     IpRanges=[{"CidrIp": "10.0.0.0/8"}])),
     "warning", "some addresses only", "ECR"),
    ("security group gone", check_security_groups(None), "failed", "does not exist", "exist"),
    ("no zone", check_zones([G4DN], {"g4dn.2xlarge": frozenset({"us-east-1b"})}, [subnet()]),
     "failed", "us-east-1b, but the subnets are in us-east-1a", "add a subnet"),
    ("some zones", check_zones([G4DN], {"g4dn.2xlarge": frozenset({"us-east-1b"})},
                               [subnet(), subnet(AvailabilityZone="us-east-1b")]),
     "ok", "in us-east-1b; not in us-east-1a", ""),
    # image
    ("image for another processor", ecr(architectures=frozenset({"arm64"})), "failed",
     "the image is for arm64, but the instances are amd64", "build it for"),
    ("image of several processors", ecr(architectures=frozenset({"arm64", "amd64"})), "ok",
     "lab:1", ""),
    ("image in another region", ecr(region="eu-west-1"), "warning", "in eu-west-1", "us-east-1"),
    # instances
    ("On-Demand quota used up", check_activities([group()], [activity(
        "You have requested more vCPU capacity than your current vCPU limit of 0 allows for the "
        "instance bucket that the specified instance type belongs to. Launching EC2 instance "
        "failed.")]), "failed", "vCPU limit of 0", "the quota of On-Demand vCPUs is used up"),
    ("Spot quota used up", check_activities([group()], [activity(
        f"{START}MaxSpotInstanceCountExceeded - Max spot instance count exceeded. Launching EC2 "
        "instance failed.")]), "failed", "MaxSpotInstanceCountExceeded", "the On-Demand quota"),
    ("no capacity", check_activities([group()], [activity(
        "We currently do not have sufficient g4dn.2xlarge capacity in the Availability Zone you "
        "requested (us-east-1a).")]), "failed", "do not have sufficient", "AWS has no capacity"),
    ("no Spot capacity", check_activities([group()], [activity(
        f"{START}UnfulfillableCapacity - Unable to fulfill capacity due to your request "
        "configuration.")]), "failed", "UnfulfillableCapacity", "On-Demand queue"),
    ("Spot price", check_activities([group()], [activity(
        f"{START}SpotMaxPriceTooLow - Your Spot request price of 0.2 is lower than the minimum "
        "required")]), "failed", "SpotMaxPriceTooLow", "bidPercentage"),
    ("key of the disk", check_activities([group()], [activity(
        "Instance became unhealthy while waiting for instance to be in InService state. "
        "Termination Reason: Client.InternalError: Client error on launch")]), "failed",
     "Client.InternalError", "the key that encrypts the disk"),
    ("type not in the zone", check_activities([group()], [activity(
        "Your requested instance type (g4dn.2xlarge) is not supported in your requested "
        "Availability Zone (us-east-1e).")]), "failed", "not supported", "remove the zones"),
    ("launch template broken", check_activities([group()], [activity(
        "You must use a valid fully-formed launch template. The key pair 'lab' does not exist")]),
     "failed", "key pair", "correct the launch template"),
    ("something else", check_activities([group()], [activity("Odd.")]), "failed", "Odd.",
     "correct the cause that it names"),
    ("an earlier failure", check_activities([group()], [
        activity("Launching a new EC2 instance", "Successful", 1), activity("Odd."),
        activity("Odd.")]), "warning",
     "2 of the last 3 starts failed; Odd.; a later one succeeded", "correct"),
    ("no group yet", check_activities([], []), "ok", "no Auto Scaling group yet", ""),
    ("no instance", check_instances([], [], [], request(), NOW), "ok", "none is running", ""),
    ("instance just started", check_instances([], [group("InService")], [
        activity("Launching", "Successful", 2)], request(), NOW), "warning",
     "1 instance just started", "wait"),
    ("instance never joined", check_instances([], [group("InService", "Terminating")], [
        activity("Launching", "Successful", 30)], request(), NOW), "failed",
     "1 instance in service, but none has joined the ECS cluster", "check the subnets"),
    ("agents lost", check_instances([instance(8192, 31_612, 1, connected=False)], [], [], request(),
                                   NOW),
     "failed", "none is connected to ECS: the agent has stopped", "terminate them"),
    ("an agent lost",
     check_instances([instance(8192, 31_612, 1), instance(0, 0, 0, connected=False)],
                                     [], [], request(), NOW),
     "warning", "not connected: 1 instance", "terminate the lost one"),
    ("no room", check_instances([instance(8192, 31_612, 0)], [], [], request(), NOW), "warning",
     "8 vCPUs, 31,612 MiB, 0 GPUs: not enough", "wait for other jobs"),
    ("room", check_instances([instance(8192, 31_612, 1)], [], [], request(), NOW), "ok",
     "free on one at most 8 vCPUs", ""),
    # jobs
    ("no words", check_job(state("RUNNABLE", createdAt=0), 60), "ok",
     "RUNNABLE, 1m00s after its submission", ""),
    ("words that nobody knows", check_job(state("RUNNABLE", statusReason="Odd."), 0), "warning",
     "Odd.", ""),
    ("tried again", check_job(state("RUNNABLE", createdAt=0, attempts=[{}, {}]), 60), "ok",
     "RUNNABLE after 2 attempts, 1m00s after its submission", ""),
    ("never started", check_job(state("FAILED", statusReason="Odd."), 0), "failed",
     "its container never started (Odd.)", "the checks below"),
    ("unknown exit code", check_job(state("FAILED", container={"exitCode": 42}), 0), "failed",
     "exit code 42: not an exit code of this program", "is it this project's image?"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("findings", "verdict", "evidence", "remedy"),
    [cause[1:] for cause in CAUSES],
    ids=[cause[0] for cause in CAUSES],
)
def test_check_names_the_cause(
    findings: Iterable[Finding], verdict: str, evidence: str, remedy: str
) -> None:
    last = list(findings)[-1]
    assert last.verdict == verdict, last
    assert evidence in last.evidence
    assert remedy in f"{last.remedy} {last.command}"
    assert verdict != "ok" or not last.remedy


#: as the user guide of AWS Batch and the agent of ECS have them
REASONS = [
    ("CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity requested for "
     "instance type [g4dn.2xlarge]", "AWS has no capacity"),
    ("MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE - CE(s) associated with the job queue "
     "cannot meet the CPU requirement of the job.", "more vCPUs than its compute environments"),
    ("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The job resource requirement (vCPU/memory/GPU) "
     "is higher than that can be met by the CE(s) attached to the job queue.", "than any of the"),
    ("MISCONFIGURATION:EC2_INSTANCE_CONFIGURATION_UNSUPPORTED - Your compute environment has an "
     "unsupported instance type configuration.", "do not match their zones"),
    ("MISCONFIGURATION:SERVICE_ROLE_PERMISSIONS – Batch service role has a permission issue.",  # noqa: RUF001
     "the role of Batch"),
    ("ACTION_REQUIRED - CE(s) associated with the job queue are invalid.", "are invalid"),
    ("UNDETERMINED - Batch job is blocked, root cause is undetermined.", "AWS does not know"),
    ("Canceled by JobStateTimeLimit action due to reason: CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY",
     "the queue canceled it"),
    ("Container Overrides length must be at most 8192", "longer than AWS accepts"),
    ("CannotPullContainerError: Error response from daemon: pull access denied",
     "could not pull the image"),
    ("DockerTimeoutError: Could not transition to created; timed out after waiting 4m0s",
     "too long to unpack"),
    ("ECS was unable to assume the role 'arn:aws:iam::1:role/job' that was provided for this task.",
     "ECS may not assume"),
    ("ResourceInitializationError: unable to pull secrets or registry auth",
     "could not prepare the container"),
    ("CannotStartContainerError: Error response from daemon: failed to create task: failed to "
     "initialize logging driver: failed to create Cloudwatch log stream: "
     "ResourceNotFoundException: The specified log group does not exist.", "log could not be"),
    ("CannotStartContainerError: could not select device driver \"nvidia\" with capabilities",
     "no GPU, or no driver"),
    ("OutOfMemoryError: Container killed due to memory usage", "memory than the job requested"),
    ("CannotCreateContainerError: write /tmp: no space left on device", "the disk of the instance"),
    ("Host EC2 (instance i-0123) terminated.", "its instance was terminated"),
    ("Job attempt duration exceeded timeout", "exceeded its timeout"),
    ('CannotStartContainerError: Error response from daemon: exec: "pyton": not found in $PATH',
     "the container could not be started"),
    ("Dependent Job failed", "a job that it depends on has failed"),
    ("Task failed to start", "ECS could not start its container"),
]  # fmt: skip


REASONS_OF_AWS = {**NOT_STARTED, **BLOCKED}


@pytest.mark.parametrize(("reason", "meaning"), REASONS)
def test_reasons_of_aws_are_explained(reason: str, meaning: str) -> None:
    known = first_match(reason, REASONS_OF_AWS)
    assert known is not None
    assert meaning in known.meaning
    [waiting] = check_job(state("RUNNABLE", statusReason=reason), 0)
    assert waiting.verdict is Verdict.FAILED
    assert reason in waiting.evidence


@pytest.mark.parametrize(
    ("end", "meaning"),
    [
        ({"isTerminated": True, "statusReason": "cancelled by its user"}, "it was canceled"),
        ({"isTerminated": True, "statusReason": "the probe was moved to another room, nvidia"},
         "it was canceled"),
        ({"isCancelled": True, "statusReason": "cancelled by its user"}, "it was canceled"),
        ({"isTerminated": True, "statusReason": "Job attempt duration exceeded timeout"},
         "it exceeded its timeout"),
        ({"isCancelled": True, "statusReason": "Dependent Job failed"}, "depends on has failed"),
        ({"statusReason": "the room"}, "the network failed"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("code", [75, None])
def test_reason_of_a_user_is_not_taken_for_one_of_aws(
    end: dict[str, Any], meaning: str, code: int | None
) -> None:
    container = {"exitCode": code} if code else {}
    [found] = check_job(state("FAILED", container=container, **end), 0)
    expected = meaning if code or "network" not in meaning else "its container never started"
    assert expected in found.evidence
    assert end["statusReason"] in found.evidence


def test_every_pattern_matches_an_observed_reason() -> None:
    named = {id(first_match(reason, REASONS_OF_AWS)) for reason, _ in REASONS}
    assert named == {id(known) for known in REASONS_OF_AWS.values()}


def test_exit_codes_of_program_and_system_do_not_overlap() -> None:
    assert not EXIT_CODES.keys() & SYSTEM_EXIT_CODES.keys()
    assert explain_exit_code(66) == EXIT_CODES[66]
    assert explain_exit_code(137).meaning.startswith("it was killed")
    assert explain_exit_code(99).meaning == "not an exit code of this program"


def test_requirements_are_read_from_the_job_description() -> None:
    job = state(
        "RUNNABLE",
        container={
            "image": "sorting:1",
            "vcpus": 1,
            "memory": 2048,
            "resourceRequirements": [
                {"type": "VCPU", "value": "0.5"},
                {"type": "MEMORY", "value": "4096"},
                {"type": "GPU", "value": "2"},
            ],
            "environment": [
                {"name": "SORTERS", "value": "simple, kilosort4,kilosort3"},
                {"name": "SORTERS_KWARGS", "value": '{"kilosort4": {"torch_device": "cpu"}}'},
            ],
            "secrets": [{"name": "DANDI_API_KEY", "valueFrom": "arn"}],
        },
    )
    asked = requirements_of(job)
    assert (asked.vcpus, asked.memory_mib, asked.gpus) == (0.5, 4096, 2)
    assert asked.gpu_sorters == ("kilosort3",)
    assert asked.has_secrets
    broken = [{"name": name, "value": "[broken"} for name in ("SORTERS", "SORTERS_KWARGS")]
    least = requirements_of(state("RUNNABLE", container={"environment": broken}))
    assert (least.vcpus, least.memory_mib, least.gpus, least.gpu_sorters) == (0, 0, 0, ())


@pytest.mark.parametrize(
    ("driver", "options", "group"),
    [
        ("awslogs", {"awslogs-group": "/lab"}, "/lab"),
        ("awslogs", {"awslogs-group": "/lab", "awslogs-create-group": "true"}, None),
        ("awslogs", {"awslogs-group": "/aws/batch/job"}, None),
        ("awslogs", {}, None),
        ("json-file", {"awslogs-group": "/lab"}, None),
    ],
)
def test_log_group_is_required_unless_created_with_the_container(
    driver: str, options: dict[str, str], group: str | None
) -> None:
    configuration = {"logDriver": driver, "options": options}
    job = state("RUNNABLE", container={"logConfiguration": configuration})
    assert requirements_of(job).log_group == group


def test_remedies_of_roles_are_of_the_partition_of_the_region() -> None:
    arn = "arn:aws-us-gov:iam::123456789012:role/ecs"
    role = Role(name="ecs", trusted=frozenset({EC2}), policies=frozenset())
    [lacking] = check_role(role, arn, EC2, INSTANCE_POLICY)
    assert f"arn:aws-us-gov:iam::aws:policy/service-role/{INSTANCE_POLICY}" in lacking.command
    [no_profile] = check_profile(arn, None)
    assert "arn:aws-us-gov:iam::ACCOUNT:instance-profile/NAME" in no_profile.remedy


def test_trust_policies_of_any_form_are_read() -> None:
    service = {"Effect": "Allow", "Principal": {"Service": ["ec2.amazonaws.com", "x"]}}
    assert trusted_services({"Statement": [service]}) == {"ec2.amazonaws.com", "x"}
    assert trusted_services({"Statement": [service | {"Effect": "Deny"}]}) == frozenset()
    assert trusted_services({"Statement": [{"Effect": "Allow", "Principal": "*"}]}) == frozenset()
    assert trusted_services({}) == trusted_services("{}") == frozenset()


def test_failure_is_a_warning_if_another_environment_passes() -> None:
    def sizes(*verdicts: Verdict) -> list[Verdict]:
        findings = [Finding(check="instance size", verdict=one, evidence="e") for one in verdicts]
        other = Finding(check="quota", verdict=Verdict.FAILED, evidence="e")
        *softer, kept = downgrade_if_any_passes([*findings, other], "instance size")
        assert kept == other
        return [finding.verdict for finding in softer]

    assert sizes(Verdict.FAILED, Verdict.OK) == [Verdict.WARNING, Verdict.OK]
    assert sizes(Verdict.FAILED, Verdict.FAILED) == [Verdict.FAILED, Verdict.FAILED]
    assert sizes(Verdict.FAILED, Verdict.NO_PERMISSION) == [Verdict.FAILED, Verdict.NO_PERMISSION]


def test_failures_are_warnings_if_another_environment_passes_all_its_checks() -> None:
    def judged(**environments: Sequence[Verdict]) -> list[Verdict]:
        findings = [
            Finding(check="c", environment=name, verdict=verdict, evidence="e")
            for name, verdicts in environments.items()
            for verdict in verdicts
        ]
        return [finding.verdict for finding in downgrade_if_an_environment_passes(findings)]

    bad, good, doubtful = Verdict.FAILED, Verdict.OK, Verdict.WARNING
    unseen = Verdict.NO_PERMISSION
    assert judged(spot=[good, doubtful], ondemand=[bad, good]) == [good, doubtful, doubtful, good]
    assert judged(spot=[good, bad], ondemand=[bad]) == [good, bad, bad]
    assert judged(spot=[good, unseen], ondemand=[bad]) == [good, unseen, bad]


DENIED = Unavailable(permission="ec2:DescribeSubnets", reason="no", denied=True)
LACKING = Unavailable(permission="batch:GetJobQueueSnapshot", reason="An error (404)", denied=False)


def test_check_runs_only_if_its_facts_are_available() -> None:
    def check_facts(*_: object) -> Iterable[Finding]:
        return [ok("seen")]

    [seen] = run_check("a", check_facts, 1, None)
    assert (seen.check, seen.verdict) == ("a", Verdict.OK)
    [hidden] = run_check("a", check_facts, 1, DENIED, LACKING)
    assert hidden.verdict is Verdict.NO_PERMISSION
    assert hidden.evidence == "requires ec2:DescribeSubnets"
    [unknown] = run_check("a", check_facts, LACKING)
    assert unknown.verdict is Verdict.UNKNOWN
    assert unknown.evidence == "batch:GetJobQueueSnapshot: An error (404)"


def found(*findings: Finding) -> Diagnosis:
    return Diagnosis(job_id="1", queue="q", findings=findings)


def test_table_wraps_text_but_not_commands() -> None:
    command = "aws ec2 modify-subnet-attribute --subnet-id subnet-1 --map-public-ip-on-launch"
    [bad] = run_check("subnets", lambda: [failed("word " * 30, "correct it", command)])
    lines = findings_table(found(bad), 60).splitlines()
    assert all(len(line) <= 60 for line in lines[:-1])
    assert lines[-1].strip() == f"$ {command}"
    assert lines[-2].strip() == "-> correct it"
    assert {line[:17] for line in lines[1:]} == {" " * 17}
    assert findings_table(found(), 60) == ""


def test_table_names_compute_environments_if_several() -> None:
    def quota_of(name: str, verdict: Verdict) -> Finding:
        return Finding(check="quota", environment=name, verdict=verdict, evidence="e")

    alone = found(quota_of("spot", Verdict.FAILED), *run_check("job", lambda: [ok("e")]))
    assert summary(alone) == "failed: quota"
    both = found(quota_of("spot", Verdict.FAILED), quota_of("ondemand", Verdict.NO_PERMISSION))
    assert summary(both) == "failed: quota (spot); no permission: quota (ondemand)"
    assert findings_table(both, 80).splitlines()[1].startswith("quota (ondemand)  no permission")
    assert summary(found(ok("e"))) == "no problem found that would keep a job from starting"
    assert (both.exit_code, found(quota_of("a", Verdict.NO_PERMISSION)).exit_code) == (1, 0)


def test_reference_names_every_check() -> None:
    table = (ROOT / "docs" / "reference" / "diagnose.md").read_text()
    named = {
        name
        for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
        for name in re.findall(r"`(.*?)`", row)
    }
    source = "".join(
        path.read_text()
        for path in (ROOT / "spikeinterface_cloud" / "aws" / "diagnose").glob("*.py")
    )
    checks = set(re.findall(r'check\(\s*"([\w ]+)"', source)) | {"job role", "execution role"}
    assert named == checks - {"log", "compute environments"}
