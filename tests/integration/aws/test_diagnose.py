"""`submit_job.py diagnose` names the cause of a job that does not start, in an account over HTTP.

Each cause is set up in moto where moto has the thing; what it lacks (quotas, the state of a compute
environment, the front of a queue) the server in front of it tells as AWS would.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from spikeinterface_cloud.aws.diagnose.run import diagnose_job
from spikeinterface_cloud.aws.diagnose.table import diagnosis_values
from spikeinterface_cloud.aws.session import AwsSession
from tests.support.batch_account import REGION, ZONE_WITHOUT, Lab, trust
from tests.support.batch_server import AwsServer
from tests.support.laptop import Laptop
from tests.support.servers import (
    ACCESS_KEY,
    SECRET_KEY,
    access_to,
    check_permissions,
    client_of,
    guarded_moto_server,
)

pytestmark = pytest.mark.integration

#: vCPUs
QUOTA = 64.0

#: those that a diagnosis asks
SERVICES = ("batch", "ec2", "iam", "ecr", "ecs", "autoscaling", "logs", "service-quotas")

VCPUS_8_GPU_1 = ({"type": "VCPU", "value": "8"}, {"type": "GPU", "value": "1"})


@pytest.fixture
def server(aws: AwsServer) -> AwsServer:
    """An account that may start instances, where nothing waits."""
    allow(aws, QUOTA)
    aws.front_of_queue = []
    return aws


def allow(server: AwsServer, vcpus: float) -> None:
    server.answers["GetServiceQuota"] = lambda _: {"Quota": {"Value": vcpus}}


@pytest.fixture(scope="module")
def session(account: AwsServer) -> AwsSession:
    """The session of a program that goes on, as making clients takes longer than asking."""
    with pytest.MonkeyPatch.context() as variables:
        variables.setenv("AWS_ENDPOINT_URL", account.url)
        variables.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        variables.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        shared = AwsSession(region=REGION, max_attempts=2)
        for service in SERVICES:
            shared.client(service)
    return shared


def found_of(session: AwsSession, job_id: str) -> tuple[list[dict[str, Any]], int]:
    """The findings about a job, and the exit code."""
    diagnosis = diagnose_job(session, job_id, None)
    return diagnosis_values(diagnosis)["findings"], diagnosis.exit_code


def diagnosed(laptop: Laptop, *arguments: str) -> tuple[list[dict[str, Any]], int]:
    """The findings of a run of the program, and its exit code."""
    done = laptop.run("diagnose", *arguments, "--json")
    assert "Traceback" not in done.stderr
    assert done.stdout, done.stderr
    findings: list[dict[str, Any]] = json.loads(done.stdout)["findings"]
    return findings, done.returncode


def of_check(findings: list[dict[str, Any]], check: str) -> dict[str, Any]:
    """The worst finding of a check."""
    order = ["failed", "warning", "no permission", "unknown", "ok"]
    found = [finding for finding in findings if finding["check"] == check]
    assert found, [finding["check"] for finding in findings]
    return min(found, key=lambda finding: order.index(finding["verdict"]))


def test_healthy_account_passes_every_check(laptop: Laptop, server: AwsServer) -> None:
    lab = Lab(server=server).build()
    job_id = lab.submit()
    server.front_of_queue = [arn_of(lab, job_id)]
    findings, code = diagnosed(laptop, job_id)
    assert {finding["verdict"] for finding in findings} == {"ok"}
    assert code == 0
    assert [finding["check"] for finding in findings] == [
        *("job", "job queue", "front of the queue", "GPU", "environment", "instance size"),
        *("system", "quota", "zones", "subnets", "security groups", "instance role"),
        *("service role", "scaling", "instances", "job role", "image", "log group"),
    ]


def disable_queue(lab: Lab) -> None:
    lab.client("batch").update_job_queue(jobQueue=lab.name, state="DISABLED")


def disable_environment(lab: Lab) -> None:
    lab.client("batch").update_compute_environment(computeEnvironment=lab.name, state="DISABLED")


def amend_environment(**changed: Any) -> Callable[[Lab], None]:
    """What AWS says of the compute environment; `computeResources` are added to those it has."""
    resources = changed.pop("computeResources", {})

    def amend(lab: Lab) -> None:
        def change(reply: Any) -> None:
            for environment in reply["computeEnvironments"]:
                environment.update(changed)
                environment["computeResources"].update(resources)

        lab.aws.amendments["describecomputeenvironments"] = change

    return amend


def allow_nothing(lab: Lab) -> None:
    allow(lab.aws, 0.0)


def revoke_egress(lab: Lab) -> None:
    everything = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    lab.client("ec2").revoke_security_group_egress(GroupId=lab.group, IpPermissions=everything)


def empty_profile(lab: Lab) -> None:
    lab.client("iam").remove_role_from_instance_profile(
        InstanceProfileName=f"{lab.name}-profile", RoleName=f"{lab.name}-instance"
    )


def delete_profile(lab: Lab) -> None:
    empty_profile(lab)
    lab.client("iam").delete_instance_profile(InstanceProfileName=f"{lab.name}-profile")


def detach_policy(lab: Lab) -> None:
    iam, name = lab.client("iam"), f"{lab.name}-instance"
    [policy] = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    iam.detach_role_policy(RoleName=name, PolicyArn=policy["PolicyArn"])


def distrust(role: str) -> Callable[[Lab], None]:
    def change(lab: Lab) -> None:
        lab.client("iam").update_assume_role_policy(
            RoleName=f"{lab.name}-{role}", PolicyDocument=trust("lambda.amazonaws.com")
        )

    return change


def delete_job_role(lab: Lab) -> None:
    lab.client("iam").delete_role(RoleName=f"{lab.name}-job")


def delete_image(lab: Lab) -> None:
    lab.client("ecr").batch_delete_image(repositoryName=lab.name, imageIds=[{"imageTag": "gpu"}])


def delete_repository(lab: Lab) -> None:
    lab.client("ecr").delete_repository(repositoryName=lab.name, force=True)


def delete_log_group(lab: Lab) -> None:
    lab.client("logs").delete_log_group(logGroupName=f"/lab/{lab.name}")


def block_the_queue(lab: Lab) -> None:
    first = lab.submit(
        statusReason="MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The job resource "
        "requirement (vCPU/memory/GPU) is higher than that can be met by the CE(s)"
    )
    lab.aws.front_of_queue = [arn_of(lab, first)]


def arn_of(lab: Lab, job_id: str) -> str:
    [job] = lab.client("batch").describe_jobs(jobs=[job_id])["jobs"]
    return str(job["jobArn"])


def nothing(_: Lab) -> None:
    """The cause is in how the lab was built."""


def resources(*requirements: Mapping[str, str], memory: int = 30_000) -> dict[str, Any]:
    return {"resourceRequirements": [{"type": "MEMORY", "value": str(memory)}, *requirements]}


#: the cause; what is different of the lab; what is done to it; the check that names it, how it
#: comes out, and words of its evidence and of its remedy
CAUSES = [
    ("queue disabled", {}, disable_queue, "job queue", "failed",
     "is DISABLED: no job starts", "--state ENABLED"),
    ("environment disabled", {}, disable_environment, "environment", "failed",
     "DISABLED: it starts no instance", "update-compute-environment"),
    ("instances never join", {},
     amend_environment(status="INVALID", statusReason="INVALIDATED and scaled down because none of "
                       "the instances joined the underlying ECS Cluster."),
     "environment", "failed", "none of the instances joined", "check the subnets"),
    ("service role broken", {},
     amend_environment(status="INVALID", statusReason="CLIENT_ERROR - User is not authorized to "
                       "perform: sts:AssumeRole"),
     "environment", "failed", "sts:AssumeRole", "the service role must be trusted by Batch"),
    ("environment full", {}, amend_environment(computeResources={"desiredvCpus": 8}),
     "environment", "warning", "8 of 8 vCPUs: it has reached its maximum", "raise maxvCpus"),
    ("low price offered", {}, amend_environment(computeResources={"bidPercentage": 30}),
     "environment", "warning", "pays at most 30 % of the On-Demand price", "without bidPercentage"),
    ("BEST_FIT", {}, amend_environment(computeResources={"allocationStrategy": "BEST_FIT",
                                                          "spotIamFleetRole": "arn"}),
     "environment", "warning", "waits for one instance type", "SPOT_PRICE_CAPACITY_OPTIMIZED"),
    ("Spot without a fleet role", {},
     amend_environment(computeResources={"allocationStrategy": "BEST_FIT"}),
     "environment", "failed", "without spotIamFleetRole", "SPOT_PRICE_CAPACITY_OPTIMIZED"),
    ("maxvCpus below the job", {"max_vcpus": 4}, nothing, "environment", "failed",
     "its maximum is 4 vCPUs, but the job requests 8", "maxvCpus=32"),
    ("all the memory of the instance", {"container": resources(*VCPUS_8_GPU_1, memory=32_768)},
     nothing, "instance size", "failed",
     "all or nearly all of the memory of g4dn.2xlarge", "--memory 30146"),
    ("nearly all of it", {"container": resources(*VCPUS_8_GPU_1, memory=31_000)},
     nothing, "instance size", "warning", "may not fit on g4dn.2xlarge", "--memory 30146"),
    ("more memory than any", {"container": resources(*VCPUS_8_GPU_1, memory=64_000)},
     nothing, "instance size", "failed", "g4dn.2xlarge, has 32,768", "types with more memory"),
    ("more vCPUs than any",
     {"max_vcpus": 64, "container": resources({"type": "VCPU", "value": "16"})},
     nothing, "instance size", "failed",
     "16 vCPUs, but the largest instance, g4dn.2xlarge, has 8", "--vcpus 8"),
    ("no instance with a GPU", {"instance_types": ("m5.2xlarge", "r5.2xlarge")}, nothing,
     "instance size", "failed",
     "requests 1 GPU, but none of m5.2xlarge, r5.2xlarge has one", "g4dn.2xlarge or g5.2xlarge"),
    ("no GPU asked for Kilosort4", {"container": resources({"type": "VCPU", "value": "4"})},
     nothing, "GPU", "failed", "kilosort4 needs a GPU, but the job requests none", "--gpus 1"),
    ("no driver", {},
     amend_environment(computeResources={"ec2Configuration": [{"imageType": "ECS_AL2023"}]}),
     "system", "failed", "start from ECS_AL2023, which has no GPU driver", "ECS_AL2023_NVIDIA"),
    ("retired system", {},
     amend_environment(computeResources={"ec2Configuration": [{"imageType": "ECS_AL2_NVIDIA"}]}),
     "system", "warning", "AWS retired on 30 June 2026", "ECS_AL2023_NVIDIA"),
    ("no Spot quota", {}, allow_nothing, "quota", "failed",
     "0 vCPUs of Spot G and VT instances (L-3819A6DF)", "On-Demand instances have a"),
    ("no On-Demand quota", {"market": "EC2"}, allow_nothing, "quota", "failed",
     "0 vCPUs of On-Demand G and VT instances (L-DB2E81BA)", "--quota-code L-DB2E81BA"),
    ("quota below maxvCpus", {"max_vcpus": 256}, nothing, "quota", "warning",
     "allows 64 vCPUs of Spot", "--desired-value 256"),
    ("zone without the type", {"zone": ZONE_WITHOUT}, nothing, "zones", "failed",
     "but the subnets are in us-east-1e", "add a subnet in one of those zones"),
    ("no public address", {"public": False}, nothing, "subnets", "failed",
     "its instances get no public address", "--map-public-ip-on-launch"),
    ("no way out", {"default_route": None}, nothing, "subnets", "failed",
     "has no endpoint for ecs, ecs-agent, ecs-telemetry, ecr.api, ecr.dkr, logs, s3", "NAT"),
    ("NAT without an endpoint for S3", {"default_route": "nat", "public": False}, nothing,
     "subnets", "warning", "billed per GB", "gateway endpoint for S3"),
    ("subnet gone", {}, amend_environment(computeResources={"subnets": ["subnet-0123456789"]}),
     "subnets", "failed", "does not exist", "existing subnets"),
    ("no request goes out", {}, revoke_egress, "security groups", "failed",
     "allows no outbound requests to port 443", "authorize-security-group-egress"),
    ("launch template gone", {},
     amend_environment(computeResources={"launchTemplate": {"launchTemplateName": "lab-gone",
                                                             "version": "$Latest"}}),
     "launch template", "failed", "no launch template lab-gone", "name another"),
    ("role for an instance profile", {},
     amend_environment(computeResources={"instanceRole": "arn:aws:iam::123456789012:role/lab"}),
     "instance role", "failed", "is a role, not an instance profile",
     "instance-profile/NAME"),
    ("instance profile gone", {}, delete_profile, "instance role", "failed",
     "there is no instance profile", "create-instance-profile"),
    ("instance profile empty", {}, empty_profile, "instance role", "failed",
     "has no role", "add-role-to-instance-profile"),
    ("instance role of another service", {}, distrust("instance"), "instance role", "failed",
     "by lambda.amazonaws.com, but must be trusted by ec2.amazonaws.com", "trust policy"),
    ("instance role without its policy", {}, detach_policy, "instance role", "warning",
     "lacks the policy AmazonEC2ContainerServiceforEC2Role", "attach-role-policy"),
    ("service role of another service", {}, distrust("service"), "service role", "failed",
     "must be trusted by batch.amazonaws.com", "trust policy"),
    ("no service-linked role", {}, amend_environment(serviceRole=""), "service role", "failed",
     "AWSServiceRoleForBatch is missing", "create-service-linked-role"),
    ("job role gone", {}, delete_job_role, "job role", "failed", "there is no role", "create it"),
    ("job role of another service", {}, distrust("job"), "job role", "failed",
     "must be trusted by ecs-tasks.amazonaws.com", "trust policy"),
    ("no job role", {"container": {"jobRoleArn": None}}, nothing, "job role", "warning",
     "the job definition names none", "jobRoleArn"),
    ("secrets without an execution role",
     {"container": {"secrets": [{"name": "DANDI_API_KEY", "valueFrom": "arn"}]}}, nothing,
     "execution role", "failed", "no execution role to read them", "executionRoleArn"),
    ("image gone", {}, delete_image, "image", "failed", "there is no image gpu", "make push"),
    ("repository gone", {}, delete_repository, "image", "failed",
     "there is no repository", "make push"),
    ("image elsewhere", {"container": {"image": "lab/sorting:1"}}, nothing, "image", "warning",
     "lab/sorting:1 is not in ECR", "make push"),
    ("log group gone", {}, delete_log_group, "log group", "failed",
     "instances may not create it", "create-log-group"),
    ("another job blocks the queue", {}, block_the_queue, "front of the queue", "failed",
     "at the front is blocked: the job requests more", "spikeinterface-cloud cancel"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("different", "break_it", "check", "verdict", "evidence", "remedy"),
    [cause[1:] for cause in CAUSES],
    ids=[cause[0] for cause in CAUSES],
)
def test_diagnosis_names_the_cause(
    session: AwsSession,
    server: AwsServer,
    different: Mapping[str, Any],
    break_it: Callable[[Lab], None],
    check: str,
    verdict: str,
    evidence: str,
    remedy: str,
) -> None:
    lab = Lab(server=server, **different).build()
    job_id = lab.submit()
    break_it(lab)
    findings, code = found_of(session, job_id)
    found = of_check(findings, check)
    assert found["verdict"] == verdict, found
    assert evidence in found["evidence"]
    assert remedy in f"{found['remedy']} {found['command']}"
    assert code == any(finding["verdict"] == "failed" for finding in findings)


def run_table(
    laptop: Laptop, *arguments: str, env: Mapping[str, str | None] | None = None
) -> subprocess.CompletedProcess[str]:
    done = laptop.run("diagnose", *arguments, env=env)
    assert "Traceback" not in done.stderr
    return done


def test_table_has_evidence_and_command(laptop: Laptop, server: AwsServer) -> None:
    lab = Lab(server=server, public=False).build()
    done = run_table(laptop, lab.submit())
    lines = done.stdout.splitlines()
    assert done.returncode == 1
    [row] = [line for line in lines if line.startswith("subnets")]
    assert row.split()[1] == "failed"
    command = (
        f"$ aws ec2 modify-subnet-attribute --subnet-id {lab.subnet} --map-public-ip-on-launch"
    )
    assert any(line.strip() == command for line in lines)
    starts = {len(line) - len(line.lstrip()) for line in lines if line.startswith(" ")}
    assert min(starts) == row.index(lab.subnet), "remedies are not below the evidence"
    assert done.stderr.splitlines()[-1].startswith("failed: subnets")


@pytest.mark.parametrize(
    ("state", "check", "verdict", "evidence", "remedy"),
    [
        ({"status": "RUNNABLE", "createdAt": 0}, "job", "warning",
         "after its submission: it waits for an instance; AWS gives no reason", "checks below"),
        ({"status": "RUNNABLE", "statusReason":
          "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE - CE(s) associated with the job queue "
          "cannot meet the CPU requirement of the job."}, "job", "failed",
         "more vCPUs than its compute environments may have", "raise maxvCpus"),
        ({"status": "STARTING"}, "job", "ok", "its instance pulls the image", "None"),
        ({"status": "RUNNING"}, "job", "ok", "RUNNING, ", "None"),
        ({"status": "FAILED", "container": {"exitCode": 66, "logStreamName": "sorting/default/1"}},
         "job", "failed", "exit code 66: the source is missing or forbidden", "access to it"),
        ({"status": "FAILED", "container": {"exitCode": 66, "logStreamName": "sorting/default/1"}},
         "log", "ok", "stream sorting/default/1", "spikeinterface-cloud logs"),
        ({"status": "FAILED", "container": {"exitCode": 137, "reason":
          "OutOfMemoryError: Container killed due to memory usage"}}, "job", "failed",
         "used more memory than the job requested", "--memory"),
        ({"status": "FAILED", "statusReason": "Task failed to start", "container": {"reason":
          "CannotPullContainerError: pull image manifest has been retried 5 time(s)"}},
         "job", "failed", "the instance could not pull the image", "check the image"),
        ({"status": "FAILED", "statusReason": "Canceled by JobStateTimeLimit action due to reason: "
          "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"}, "job", "failed",
         "the queue canceled it", "remove the cause"),
        ({"status": "FAILED", "statusReason": "Host EC2 (instance i-1) terminated.",
          "attempts": [{}, {}, {}]}, "job", "failed", "3 attempts: its instance was terminated",
         "--attempts"),
    ],
)  # fmt: skip
def test_job_state_is_explained(
    session: AwsSession,
    server: AwsServer,
    healthy: Lab,
    state: dict[str, Any],
    check: str,
    verdict: str,
    evidence: str,
    remedy: str,
) -> None:
    findings, _ = found_of(session, healthy.submit(**state))
    found = of_check(findings, check)
    assert found["verdict"] == verdict, found
    assert evidence in found["evidence"]
    assert remedy in f"{found['remedy']} {found['command']}"


@pytest.fixture(scope="module")
def built(account: AwsServer) -> Lab:
    return Lab(server=account).build()


@pytest.fixture
def healthy(built: Lab, server: AwsServer) -> Lab:
    """A lab that nothing is wrong with, and that no test changes."""
    return built


def test_job_that_has_run_gets_no_further_checks(
    laptop: Laptop, server: AwsServer, healthy: Lab
) -> None:
    job_id = healthy.submit("FAILED", container={"exitCode": 70})
    server.calls.clear()
    findings, code = diagnosed(laptop, job_id)
    assert [finding["check"] for finding in findings] == ["job", "log"]
    assert code == 1
    assert {call.service for call in server.calls} == {"batch"}
    findings, code = diagnosed(laptop, healthy.submit("SUCCEEDED"))
    assert findings[0]["verdict"] == "ok"
    assert code == 0


def test_failed_dependency_is_named(laptop: Laptop, server: AwsServer, healthy: Lab) -> None:
    first = healthy.submit("FAILED", container={"exitCode": 66})
    waiting = healthy.submit("PENDING", dependsOn=[{"jobId": first}, {"jobId": "forgotten"}])
    findings, code = diagnosed(laptop, waiting)
    said = [finding["evidence"] for finding in findings if finding["check"] == "dependencies"]
    assert said == [
        f"it waits for {first}, which has failed",
        "it waits for forgotten, which AWS does not know",
    ]
    assert code == 1


def test_array_is_diagnosed_by_its_waiting_or_failed_child(
    laptop: Laptop, server: AwsServer, healthy: Lab
) -> None:
    batch = server.client("batch")
    array = batch.submit_job(
        jobName="many", jobQueue=healthy.name, jobDefinition=healthy.name,
        arrayProperties={"size": 3},
    )["jobId"]  # fmt: skip
    counts = {"arrayProperties": {"size": 3, "statusSummary": {"RUNNABLE": 1, "SUCCEEDED": 2}}}
    server.set_fate(array, status="PENDING", **counts)
    tight = healthy.container_properties() | resources(*VCPUS_8_GPU_1, memory=32_768)
    server.set_fate(f"{array}:1", status="RUNNABLE", container=tight)
    for child in (0, 2):
        server.set_fate(f"{array}:{child}", status="SUCCEEDED")
    for named in (array, f"{array}:1"):
        findings, code = diagnosed(laptop, named)
        assert of_check(findings, "instance size")["verdict"] == "failed"
        assert code == 1
        if named == array:
            assert findings[0]["evidence"] == (f"1 RUNNABLE, 2 SUCCEEDED; {array}:1 is checked")
    counts["arrayProperties"]["statusSummary"] = {"SUCCEEDED": 2, "FAILED": 1}
    server.set_fate(array, status="FAILED", **counts)
    server.set_fate(f"{array}:1", status="FAILED", container={"exitCode": 73})
    findings, code = diagnosed(laptop, array)
    assert "--skip-completed" in of_check(findings, "array")["remedy"]
    assert "73: the target cannot be written" in of_check(findings, "job")["evidence"]
    assert code == 1


def test_queue_is_checked_without_a_job(laptop: Laptop, server: AwsServer, healthy: Lab) -> None:
    allow(server, 4)
    findings, code = diagnosed(laptop, "--queue", healthy.name)
    assert of_check(findings, "quota")["verdict"] == "failed"
    checks = {finding["check"] for finding in findings}
    assert not checks & {"job", "instance size", "image", "job role"}
    assert {"job queue", "environment", "subnets", "instance role", "instances"} <= checks
    assert code == 1
    assert diagnosed(laptop, "--job-queue", healthy.name)[0] == findings


@pytest.mark.parametrize("cause", ["quota", "disabled"])
def test_queue_with_a_healthy_environment_and_another_is_only_warned_of(
    laptop: Laptop, server: AwsServer, cause: str
) -> None:
    lab = Lab(server=server).build()
    other = Lab(server=server, market="EC2").build()
    first, second = lab.environment_arn, other.environment_arn
    order = [{"order": n, "computeEnvironment": arn} for n, arn in enumerate([first, second], 1)]
    lab.client("batch").update_job_queue(jobQueue=lab.name, computeEnvironmentOrder=order)
    if cause == "disabled":
        disable_environment(other)
    else:
        spot, limits = "L-3819A6DF", {True: 64.0, False: 0.0}
        server.answers["GetServiceQuota"] = lambda body: {
            "Quota": {"Value": limits[body["QuotaCode"] == spot]}
        }
    findings, code = diagnosed(laptop, "--queue", lab.name)
    check = "quota" if cause == "quota" else "environment"
    assert of_check(findings, check)["verdict"] == "warning"
    assert of_check(findings, check)["computeEnvironment"] == other.name
    assert code == 0


def test_queue_comes_from_the_stack_or_the_environment(
    laptop: Laptop, server: AwsServer, healthy: Lab
) -> None:
    template = {
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
        "Outputs": {"JobQueue": {"Value": healthy.name}},
    }
    cloudformation = server.client("cloudformation")
    cloudformation.create_stack(StackName=healthy.name, TemplateBody=json.dumps(template))
    for arguments, env in (
        (["--stack", healthy.name], {}),
        ([], {"SPIKEINTERFACE_CLOUD_JOB_QUEUE": healthy.name}),
        (["--stack", healthy.name], {"SPIKEINTERFACE_CLOUD_JOB_QUEUE": "another"}),
        ([], {"SPIKEINTERFACE_CLOUD_STACK": healthy.name}),
    ):
        done = laptop.run("diagnose", *arguments, "--json", env=env)
        assert json.loads(done.stdout)["jobQueue"] == healthy.name, done.stderr
        assert done.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "nothing to diagnose; give a job's id, --queue or --stack."),
        (["a-job", "--queue", "gpu"], 2, "is diagnosed in its own queue; give either a job or"),
        (["5cdc694e-2ec9-4b72-8d1c-371a69eff235"], 1,
         "there is no job 5cdc694e-2ec9-4b72-8d1c-371a69eff235 in us-east-1; check --region and"),
        (["arn:aws:batch:eu-west-1:123456789012:job/5cdc694e"], 1,
         "is in eu-west-1, not in us-east-1; give --region eu-west-1"),
        (["arn:aws:batch:us-east-1:123456789012:job-queue/gpu"], 1,
         "is not the ARN of a job; give the job's id"),
        (["--queue", "gpu"], 1, "there is no job queue gpu in us-east-1; check --queue, --region"),
        (["--stack", "nowhere"], 1, "check --stack and --region"),
    ],
)  # fmt: skip
def test_unknown_job_or_queue_is_refused_on_one_line(
    laptop: Laptop, server: AwsServer, arguments: list[str], code: int, message: str
) -> None:
    done = laptop.run("diagnose", *arguments)
    assert done.returncode == code
    assert message in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_job_of_another_region_is_not_found(
    laptop: Laptop, server: AwsServer, healthy: Lab
) -> None:
    done = laptop.run("diagnose", healthy.submit(), "--region", "eu-west-1")
    assert done.returncode == 1
    assert "in eu-west-1; check --region and --profile" in done.stderr
    assert done.stdout == ""


def test_missing_credentials_end_the_diagnosis(
    laptop: Laptop, server: AwsServer, healthy: Lab
) -> None:
    no_keys = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}
    done = laptop.run("diagnose", "--queue", healthy.name, env=no_keys)
    assert done.returncode == 1
    assert "no AWS credentials were found on this machine" in done.stderr
    assert done.stdout == ""
    server.refuse("describejobqueues", "ExpiredTokenException", "expired", status=403)
    done = laptop.run("diagnose", "--queue", healthy.name)
    assert "AWS refused the credentials (ExpiredTokenException" in done.stderr
    assert done.returncode == 1


def test_unsupported_call_is_no_failure(laptop: Laptop, server: AwsServer, healthy: Lab) -> None:
    server.answers.clear()  # and moto knows no quota of EC2
    findings, code = diagnosed(laptop, healthy.submit())
    quota = of_check(findings, "quota")
    assert quota["verdict"] == "unknown"
    assert "servicequotas:GetAWSDefaultServiceQuota" in quota["evidence"]
    assert code == 0


#: what a permission shows, by the check that misses it
PERMISSIONS = {
    "DescribeInstanceTypes": ("ec2:DescribeInstanceTypes", {"instance size", "quota", "zones"}),
    "DescribeInstanceTypeOfferings": ("ec2:DescribeInstanceTypeOfferings", {"zones"}),
    "DescribeSubnets": ("ec2:DescribeSubnets", {"zones", "subnets"}),
    "DescribeRouteTables": ("ec2:DescribeRouteTables", {"subnets"}),
    "DescribeVpcEndpoints": ("ec2:DescribeVpcEndpoints", {"subnets"}),
    "DescribeSecurityGroups": ("ec2:DescribeSecurityGroups", {"security groups"}),
    "GetServiceQuota": ("servicequotas:GetServiceQuota", {"quota"}),
    "GetInstanceProfile": ("iam:GetInstanceProfile", {"instance role"}),
    "GetRole": ("iam:GetRole", {"instance role", "service role", "job role"}),
    "DescribeAutoScalingGroups": (
        "autoscaling:DescribeAutoScalingGroups",
        {"scaling", "instances"},
    ),
    "ListContainerInstances": ("ecs:ListContainerInstances", {"instances"}),
    "DescribeImages": ("ecr:DescribeImages", {"image"}),
    "DescribeLogGroups": ("logs:DescribeLogGroups", {"log group"}),
    "getjobqueuesnapshot": ("batch:GetJobQueueSnapshot", {"front of the queue"}),
    "describecomputeenvironments": (
        "batch:DescribeComputeEnvironments",
        {"compute environments"},
    ),
}


@pytest.mark.parametrize("action", PERMISSIONS)
def test_missing_permission_is_named_and_other_checks_run(
    session: AwsSession, server: AwsServer, healthy: Lab, action: str
) -> None:
    permission, checks = PERMISSIONS[action]
    job_id = healthy.submit()
    server.front_of_queue = [arn_of(healthy, job_id)]
    server.refuse(action, "AccessDeniedException", "no", status=403, times=1000)
    findings, code = found_of(session, job_id)
    hidden = [finding for finding in findings if finding["verdict"] == "no permission"]
    assert {finding["check"] for finding in hidden} == checks
    assert all(permission in finding["evidence"] for finding in hidden)
    assert {finding["verdict"] for finding in findings} == {"ok", "no permission"}
    assert code == 0


def test_configured_queue_is_checked_if_the_job_may_not_be_seen(
    laptop: Laptop, server: AwsServer, healthy: Lab
) -> None:
    job_id = healthy.submit()
    server.refuse("describejobs", "AccessDeniedException", "no", status=403, times=1000)
    done = run_table(laptop, job_id, env={"SPIKEINTERFACE_CLOUD_JOB_QUEUE": healthy.name})
    checks = [line.split("  ")[0] for line in done.stdout.splitlines() if line[0] != " "]
    assert checks[:3] == ["job", "job queue", "front of the queue"]
    assert "subnets" in checks
    assert done.stderr.strip() == "no permission: job"


def test_user_with_batch_permissions_only_gets_a_table(
    laptop: Laptop, server: AwsServer, healthy: Lab
) -> None:
    """Every other service refuses every call."""
    job_id = healthy.submit(container={"executionRoleArn": healthy.role("job")})
    server.denied_services = frozenset(
        {"ec2", "iam", "ecr", "autoscaling", "ecs", "logs", "servicequotas"}
    )
    done = run_table(laptop, job_id)
    assert done.returncode == 0
    hidden = [line for line in done.stdout.splitlines() if "no permission" in line]
    assert len(hidden) == 13, done.stdout
    assert "no permission: instance size, quota, zones" in done.stderr


@dataclass(frozen=True, kw_only=True)
class GuardedAccount:
    """A server of moto that checks the policies of IAM."""

    url: str

    def client(self, service: str) -> Any:
        """A client of the account's owner."""
        return client_of(access_to(self.url), service)

    def user(self, name: str, actions: list[str]) -> dict[str, str | None]:
        """The keys of a user who may do just this."""
        iam = self.client("iam")
        iam.create_user(UserName=name)
        if actions:
            statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
            policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
            iam.put_user_policy(UserName=name, PolicyName="only", PolicyDocument=policy)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return {
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        }


def test_users_with_few_permissions_get_a_table(tmp_path: Path) -> None:
    """moto itself checks the policies of IAM."""
    with guarded_moto_server() as server:
        account = GuardedAccount(url=server.url)
        lab = Lab(server=account).build()
        nobody = account.user("nobody", [])
        watcher = account.user("watcher", ["batch:*", "ec2:Describe*"])
        check_permissions(server)
        laptop = Laptop(folder=tmp_path, server=account)
        done = run_table(laptop, "--queue", lab.name, env=nobody)
        assert done.returncode == 0
        assert done.stdout.split()[:2] == ["job", "queue"]
        assert "no permission  requires batch:DescribeJobQueues" in done.stdout
        done = run_table(laptop, "any-job", env=nobody)
        assert "no permission  requires batch:DescribeJobs" in done.stdout
        done = run_table(laptop, "--queue", lab.name, "--json", env=watcher)
        verdicts = {
            finding["check"]: finding["verdict"] for finding in json.loads(done.stdout)["findings"]
        }
        assert verdicts["subnets"] == verdicts["environment"] == "ok", done.stdout
        assert verdicts["instance role"] == verdicts["scaling"] == "no permission"
