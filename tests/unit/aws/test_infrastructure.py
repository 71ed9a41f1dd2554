"""The template, held to what cfn-lint does not know, and to what the program relies on."""

from __future__ import annotations

import email
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from spikeinterface_cloud import __version__
from spikeinterface_cloud.aws.batch.request import RETRY_RULES
from spikeinterface_cloud.aws.cli.options import COMPUTE
from spikeinterface_cloud.aws.infra.build import COMPUTE_TYPE, NEEDED, PREFIX
from spikeinterface_cloud.aws.infra.build_context import FILES
from spikeinterface_cloud.aws.infra.down import KEPT, QUEUES
from spikeinterface_cloud.aws.infra.idle_cost import USD_PER_GB_MONTH, USD_PER_MONTH, idle_cost
from spikeinterface_cloud.aws.infra.stack import SIGNATURE
from spikeinterface_cloud.aws.infra.template import INSTANCE_TYPES, SUBNETS, TEMPLATE_FILE, ZONES
from spikeinterface_cloud.aws.stack_outputs import OUTPUTS
from spikeinterface_cloud.prices import build_usd_per_minute
from tests.support.template import TEMPLATE, default, listed, of_type, statements

RESOURCES = TEMPLATE["Resources"]
PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "stack.md").read_text()

#: CloudFormation takes no longer one without a bucket to put it in
TEMPLATE_BYTES = 51_200

#: regions whose zones, machines and resource types differ
REGIONS = ("us-east-1", "eu-central-1")


# ----- cfn-lint ----------------------------------------------------------------------------------


def lint(file: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("cfn-lint")
    return subprocess.run(
        [program, str(file), "--regions", *REGIONS],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_cfn_lint_finds_nothing() -> None:
    done = lint(TEMPLATE_FILE)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_cfn_lint_finds_errors(tmp_path: Path) -> None:
    spoiled = tmp_path / "spoiled.yaml"
    spoiled.write_text(
        TEMPLATE_FILE.read_text().replace("AllocationStrategy: BEST", "AllocationStrategy: ")
    )
    assert "_fit_progressive" in lint(spoiled).stdout


def test_the_template_needs_no_bucket_to_be_sent_from() -> None:
    assert len(TEMPLATE_FILE.read_bytes()) < TEMPLATE_BYTES
    assert TEMPLATE["Description"].startswith(SIGNATURE)


# ----- machines ----------------------------------------------------------------------------------

ENVIRONMENTS = of_type("AWS::Batch::ComputeEnvironment")


def machines(parameter: str) -> list[dict[str, Any]]:
    """What AWS says of each type; an unknown one is a KeyError."""
    from moto.ec2.models.instance_types import INSTANCE_TYPES as KNOWN

    return [KNOWN[name] for name in default(parameter).split(",")]


def memory_mib(machine: dict[str, Any]) -> int:
    return int(machine["MemoryInfo"]["SizeInMiB"])


@pytest.mark.parametrize("parameter", INSTANCE_TYPES)
def test_every_machine_exists_and_has_a_disk_of_its_own(parameter: str) -> None:
    found = machines(parameter)
    assert len(found) >= 3
    for machine in found:
        assert machine["InstanceStorageInfo"]["TotalSizeInGB"] >= 225
        assert machine["InstanceStorageInfo"]["NvmeSupport"] == "required"
        assert machine["ProcessorInfo"]["SupportedArchitectures"] == ["x86_64"]


def test_gpu_machines_have_one_gpu_that_kilosort4_can_use_and_the_others_none() -> None:
    for machine in machines("GpuInstanceTypes"):
        [gpu] = machine["GpuInfo"]["Gpus"]
        assert (gpu["Manufacturer"], gpu["Count"]) == ("NVIDIA", 1)
        assert gpu["MemoryInfo"]["SizeInMiB"] >= 16_384
    assert all("GpuInfo" not in machine for machine in machines("CpuInstanceTypes"))


@pytest.mark.parametrize(
    ("types", "vcpus", "memory"),
    [
        ("GpuInstanceTypes", "JobVcpus", "JobMemoryMiB"),
        ("CpuInstanceTypes", "CpuJobVcpus", "CpuJobMemoryMiB"),
    ],
)
def test_a_job_fits_the_smallest_machine_and_fills_it(types: str, vcpus: str, memory: str) -> None:
    found = machines(types)
    smallest_mib = min(map(memory_mib, found))
    assert 0.85 * smallest_mib < default(memory) <= 0.92 * smallest_mib
    assert default(vcpus) == min(machine["VCpuInfo"]["DefaultVCpus"] for machine in found)
    assert default("MaxVcpus") >= default(vcpus)


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_a_compute_environment_costs_nothing_idle_and_can_be_updated(name: str) -> None:
    properties = ENVIRONMENTS[name]["Properties"]
    resources = properties["ComputeResources"]
    assert resources["MinvCpus"] == 0
    assert not {"BidPercentage", "DesiredvCpus", "SpotIamFleetRole"} & resources.keys()
    assert not {"ComputeEnvironmentName", "ScalingPolicy"} & properties.keys()
    assert properties["ReplaceComputeEnvironment"] is False
    assert properties["UpdatePolicy"]["TerminateJobsOnUpdate"] is False
    longest_min = default("JobTimeoutSeconds") / 60
    assert longest_min <= properties["UpdatePolicy"]["JobExecutionTimeoutMinutes"] <= 7200
    strategies = {"SPOT": "SPOT_PRICE_CAPACITY_OPTIMIZED", "EC2": "BEST_FIT_PROGRESSIVE"}
    assert resources["AllocationStrategy"] == strategies[resources["Type"]]


def test_no_machine_starts_from_a_retired_image() -> None:
    """Batch refuses new environments with Amazon Linux 2 since 30 June 2026."""
    images = {
        name: [entry["ImageType"] for entry in resources["Ec2Configuration"]]
        for name, environment in ENVIRONMENTS.items()
        for resources in [environment["Properties"]["ComputeResources"]]
    }
    assert images == {
        "SpotMachines": ["ECS_AL2023_NVIDIA"],
        "OnDemandMachines": ["ECS_AL2023_NVIDIA"],
        "CpuMachines": ["ECS_AL2023"],
    }
    assert "ImageId" not in TEMPLATE_FILE.read_text()


# ----- queues and job definitions ----------------------------------------------------------------

QUEUE_RESOURCES = of_type("AWS::Batch::JobQueue")
DEFINITIONS = of_type("AWS::Batch::JobDefinition")

#: those that AWS can act on
STUCK_REASONS = {
    "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY",
    "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE",
    "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT",
}


@pytest.mark.parametrize("name", QUEUE_RESOURCES)
def test_queue_cancels_jobs_that_can_never_run(name: str) -> None:
    actions = QUEUE_RESOURCES[name]["Properties"]["JobStateTimeLimitActions"]
    assert actions
    for action in actions:
        assert action["Reason"] in STUCK_REASONS
        assert 600 <= action["MaxTimeSeconds"] <= 86_400
        assert (action["State"], action["Action"]) == ("RUNNABLE", "CANCEL")


def test_spot_comes_before_on_demand() -> None:
    orders = {
        name: [
            entry["ComputeEnvironment"]["Ref"]
            for entry in queue["Properties"]["ComputeEnvironmentOrder"]
        ]
        for name, queue in QUEUE_RESOURCES.items()
    }
    assert orders == {
        "JobQueue": ["SpotMachines", "OnDemandMachines"],
        "OnDemandJobQueue": ["OnDemandMachines"],
        "CpuJobQueue": ["CpuMachines"],
    }


@pytest.mark.parametrize("name", DEFINITIONS)
def test_a_definition_is_tried_again_as_a_submitted_job_is(name: str) -> None:
    strategy = DEFINITIONS[name]["Properties"]["RetryStrategy"]
    rules = [
        {key[0].lower() + key[1:]: value for key, value in rule.items()}
        for rule in strategy["EvaluateOnExit"]
    ]
    assert rules == [dict(rule) for rule in RETRY_RULES]
    assert strategy["Attempts"] in range(1, 11)
    assert len(rules) <= 5
    for rule in rules:
        assert re.fullmatch(r"\d*\*?", rule.get("onExitCode", ""))
        for condition in ("onReason", "onStatusReason"):
            assert re.fullmatch(r"[A-Za-z0-9.:\s]{0,511}\*?", rule.get(condition, ""))
    retried = {rule["onExitCode"] for rule in rules if "onExitCode" in rule}
    assert retried == {str(os.EX_TEMPFAIL)}
    assert rules[-1] == {"onReason": "*", "action": "EXIT"}


@pytest.mark.parametrize("name", DEFINITIONS)
def test_a_definition_runs_the_job_with_what_it_needs(name: str) -> None:
    properties = DEFINITIONS[name]["Properties"]
    container = properties["ContainerProperties"]
    assert container["Command"] == ["python", "run_script.py"]
    assert properties["Timeout"] == {"AttemptDurationSeconds": {"Ref": "JobTimeoutSeconds"}}
    assert properties["ResourceRetentionPolicy"] == {"SkipDeregisterOnUpdate": True}
    [mount] = container["MountPoints"]
    [volume] = container["Volumes"]
    assert mount["SourceVolume"] == volume["Name"]
    assert mount["ContainerPath"] == volume["Host"]["SourcePath"] == "/scratch"
    assert container["LinuxParameters"]["SharedMemorySize"] == {"Ref": "SharedMemoryMiB"}
    assert default("SharedMemoryMiB") >= 1024
    assert container["LogConfiguration"]["Options"]["awslogs-group"] == {"Ref": "LogGroup"}
    assert not {"Privileged", "Environment", "User"} & container.keys()
    gpus = [need for need in container["ResourceRequirements"] if need["Type"] == "GPU"]
    assert [need["Value"] for need in gpus] == (["1"] if name == "JobDefinition" else [])


def test_no_attempt_is_shorter_than_aws_takes() -> None:
    timeout = TEMPLATE["Parameters"]["JobTimeoutSeconds"]
    assert timeout["MinValue"] >= 60
    assert timeout["Default"] >= timeout["MinValue"]


def test_the_image_is_the_one_that_make_push_sends() -> None:
    assert default("ImageTag") == __version__
    assert default("RepositoryName") == "spikeinterface-cloud"
    image = DEFINITIONS["JobDefinition"]["Properties"]["ContainerProperties"]["Image"]
    assert image["Fn::If"][2]["Fn::Sub"].endswith("/${RepositoryName}:${ImageTag}-gpu")


# ----- permissions -------------------------------------------------------------------------------

#: what AWS knows no narrower resource for; each only looks
LOOKING = re.compile(r"[a-z0-9-]+:(Describe|List|Get|Lookup)\w+")


@pytest.mark.parametrize(("name", "statement"), list(statements()))
def test_roles_have_least_privilege(name: str, statement: dict[str, Any]) -> None:
    actions = listed(statement["Action"])
    assert all("*" not in action for action in actions)
    if "*" in listed(statement["Resource"]):
        assert (name, statement["Sid"]) in {("SubmitterPolicy", "Look"), ("BuildRole", "LogIn")}
        assert all(LOOKING.fullmatch(action) for action in actions)
    assert statement["Effect"] == "Allow"


def test_jobs_write_to_the_results_alone_and_machines_to_nothing() -> None:
    writing = {
        name
        for name, statement in statements()
        for action in listed(statement["Action"])
        if action == "s3:PutObject"
    }
    assert writing == {"JobRole", "TargetsPolicy", "SubmitterPolicy"}
    instance = RESOURCES["InstanceRole"]["Properties"]
    assert "Policies" not in instance
    [managed] = instance["ManagedPolicyArns"]
    assert managed["Fn::Sub"].endswith("service-role/AmazonEC2ContainerServiceforEC2Role")
    [managed] = RESOURCES["ExecutionRole"]["Properties"]["ManagedPolicyArns"]
    assert managed["Fn::Sub"].endswith("service-role/AmazonECSTaskExecutionRolePolicy")
    others = set(of_type("AWS::IAM::Role")) - {"InstanceRole", "ExecutionRole"}
    assert all("ManagedPolicyArns" not in RESOURCES[name]["Properties"] for name in others)


@pytest.mark.parametrize("name", ["JobRole", "ExecutionRole"])
def test_a_role_of_jobs_is_for_tasks_of_this_account(name: str) -> None:
    [trust] = RESOURCES[name]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "ecs-tasks.amazonaws.com"}
    assert trust["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}


def test_submitter_policy_covers_the_program_s_calls() -> None:
    allowed = {
        action
        for name, statement in statements()
        if name == "SubmitterPolicy"
        for action in listed(statement["Action"])
    }
    assert allowed >= {
        *("batch:SubmitJob", "batch:TagResource", "batch:TerminateJob", "batch:DescribeJobs"),
        *("batch:ListJobs", "batch:GetJobQueueSnapshot", "logs:GetLogEvents"),
        *("cloudformation:DescribeStacks", "s3:GetObject", "s3:PutObject", "s3:ListBucket"),
        # why a job waits
        *("batch:DescribeComputeEnvironments", "batch:DescribeJobQueues"),
        *("autoscaling:DescribeAutoScalingGroups", "autoscaling:DescribeScalingActivities"),
        *("ec2:DescribeInstanceTypes", "ec2:DescribeInstanceTypeOfferings"),
        *("ec2:DescribeLaunchTemplateVersions", "ec2:DescribeSubnets", "ec2:DescribeRouteTables"),
        *("ec2:DescribeSecurityGroups", "ec2:DescribeVpcEndpoints"),
        *("ecr:BatchGetImage", "ecr:DescribeImages", "ecr:DescribeRepositories"),
        *("ecs:DescribeContainerInstances", "ecs:ListContainerInstances"),
        *("iam:GetRole", "iam:GetInstanceProfile", "iam:ListAttachedRolePolicies"),
        *("logs:DescribeLogGroups", "servicequotas:GetServiceQuota"),
        "servicequotas:GetAWSDefaultServiceQuota",
    }


# ----- builds ------------------------------------------------------------------------------------

PROJECT = RESOURCES["BuildProject"]["Properties"]


def test_a_build_reads_its_context_and_pushes_to_the_repository_alone() -> None:
    prefix = {"Fn::Sub": f"${{ResultsBucket.Arn}}/{PREFIX}/*"}
    resources = {
        "Log": {"Fn::GetAtt": ["BuildLogGroup", "Arn"]},
        "Context": prefix,
        "Bucket": {"Fn::GetAtt": ["ResultsBucket", "Arn"]},
        "Push": {"Fn::GetAtt": ["Repository", "Arn"]},
        "LogIn": "*",
    }
    found = {each["Sid"]: each for name, each in statements() if name == "BuildRole"}
    assert {sid: each["Resource"] for sid, each in found.items()} == resources
    assert set(listed(found["Context"]["Action"])) == {"s3:GetObject", "s3:GetObjectVersion"}
    assert not [each for each in listed(found["Bucket"]["Action"]) if ":GetBucket" not in each]
    assert PROJECT["ServiceRole"] == {"Fn::GetAtt": ["BuildRole", "Arn"]}
    [trust] = RESOURCES["BuildRole"]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "codebuild.amazonaws.com"}
    assert trust["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}


def test_a_build_runs_docker_has_an_end_and_a_price() -> None:
    environment = PROJECT["Environment"]
    assert environment["PrivilegedMode"] is True
    assert environment["Image"].startswith("aws/codebuild/amazonlinux-x86_64-standard:")
    assert environment["ComputeType"] == COMPUTE_TYPE
    assert build_usd_per_minute(COMPUTE_TYPE, "us-east-1")
    assert 5 <= PROJECT["TimeoutInMinutes"] <= 2160
    assert 5 <= PROJECT["QueuedTimeoutInMinutes"] <= 480
    assert PROJECT["Tags"][0] == {"Key": "Project", "Value": "spikeinterface-cloud"}
    assert PROJECT["LogsConfig"]["CloudWatchLogs"]["GroupName"] == {"Ref": "BuildLogGroup"}
    assert "RetentionInDays" in RESOURCES["BuildLogGroup"]["Properties"]


def test_the_context_of_a_build_lies_where_its_role_may_read_and_expires() -> None:
    assert PROJECT["Source"]["Location"]["Fn::Sub"].startswith(f"${{ResultsBucket}}/{PREFIX}/")
    assert PROJECT["Source"]["BuildSpec"] in FILES
    rules = RESOURCES["ResultsBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    assert [rule["Prefix"] for rule in rules if "ExpirationInDays" in rule] == [f"{PREFIX}/"]
    assert set(NEEDED) <= TEMPLATE["Outputs"].keys()


def test_the_results_are_private_and_encrypted() -> None:
    bucket = RESOURCES["ResultsBucket"]["Properties"]
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(bucket["PublicAccessBlockConfiguration"]) == 4
    [rule] = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    [deny] = RESOURCES["ResultsBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert (deny["Effect"], deny["Condition"]) == (
        "Deny",
        {"Bool": {"aws:SecureTransport": "false"}},
    )


def test_nothing_comes_in_from_the_network() -> None:
    assert "SecurityGroupIngress" not in TEMPLATE_FILE.read_text()
    assert RESOURCES["S3Endpoint"]["Properties"]["VpcEndpointType"] == "Gateway"


def test_a_machine_in_a_subnet_of_the_stack_has_a_way_out_that_costs_nothing_idle() -> None:
    subnets = of_type("AWS::EC2::Subnet")
    assert len(subnets) == 3
    assert all(subnet["Properties"]["MapPublicIpOnLaunch"] is True for subnet in subnets.values())
    assert not of_type("AWS::EC2::NatGateway")


# ----- what stays, and what it costs -------------------------------------------------------------


def test_kept_resources_are_retained_and_importable() -> None:
    kept = {name for name, resource in RESOURCES.items() if resource.get("DeletionPolicy")}
    assert kept == set(KEPT)
    for name in kept:
        resource = RESOURCES[name]
        assert resource["DeletionPolicy"] == resource["UpdateReplacePolicy"] == "Retain"
        # CloudFormation imports what it can tell by its name
        assert {"BucketName", "RepositoryName", "LogGroupName"} & resource["Properties"].keys()


def test_the_stack_is_free_while_nothing_runs_or_is_stored() -> None:
    cost = idle_cost(resource["Type"] for resource in RESOURCES.values())
    assert cost.usd_per_month == 0
    assert not cost.unpriced
    assert set(cost.usd_per_gb_month) == {what for _, what in USD_PER_GB_MONTH.values()}
    assert not USD_PER_MONTH.keys() & USD_PER_GB_MONTH.keys()


def test_idle_cost_sums_prices_and_names_unpriced_types() -> None:
    cost = idle_cost(["AWS::EC2::NatGateway", "AWS::EC2::NatGateway", "AWS::RDS::DBInstance"])
    assert cost.usd_per_month == pytest.approx(65.7)
    assert cost.unpriced == ["AWS::RDS::DBInstance"]


# ----- what the program relies on ----------------------------------------------------------------


def test_the_outputs_are_those_that_the_program_asks_for() -> None:
    assert set(OUTPUTS) == set(COMPUTE)
    asked = {output for pair in OUTPUTS.values() for output in pair} | set(QUEUES)
    assert asked <= TEMPLATE["Outputs"].keys()
    assert {"ResultsBucket", "RepositoryUri", "LogGroup", "SubmitterPolicyArn"} <= (
        TEMPLATE["Outputs"].keys()
    )


def test_the_parameters_are_those_that_the_program_gives() -> None:
    assert {*ZONES, SUBNETS, *INSTANCE_TYPES, "RootVolumeGiB"} <= TEMPLATE["Parameters"].keys()
    for parameter in TEMPLATE["Parameters"].values():
        assert parameter["Type"] in ("String", "Number")
        assert "Default" in parameter


# ----- the machines' own script ------------------------------------------------------------------

LAUNCH = RESOURCES["LaunchTemplate"]["Properties"]["LaunchTemplateData"]

#: as a g5.2xlarge lists its disks
ROOT_DISK = "/dev/nvme0n1 Amazon Elastic Block Store"
OWN_DISKS = [f"/dev/nvme{n}n1 Amazon EC2 NVMe Instance Storage" for n in (1, 2)]


def script(mode: str) -> str:
    """The script that a machine runs at its start."""
    text = LAUNCH["UserData"]["Fn::Base64"]["Fn::Sub"]
    assert re.findall(r"\$\{\w+\}", text) == ["${ScratchMode}"]
    message = email.message_from_string(text.replace("${ScratchMode}", mode))
    part = message.get_payload(0)
    assert len(message.get_payload()) == 1
    assert isinstance(part, email.message.Message)
    assert part.get_content_type() == "text/x-shellscript"
    return str(part.get_payload())


def start(folder: Path, mode: str, disks: list[str]) -> list[str]:
    """Run it in `folder` with programs that only tell what they are asked for; what that was."""
    programs = folder / "programs"
    programs.mkdir()
    (folder / "ecs").mkdir()
    for name in ("lsblk", "mdadm", "mkfs.xfs", "mount", "dnf"):
        output = "\n".join(disks) if name == "lsblk" else ""
        (programs / name).write_text(
            f'#!/bin/sh\necho "{name} $*" >> {folder}/told\nprintf "%s\\n" "{output}"\n'
        )
        (programs / name).chmod(0o755)
    text = script(mode).replace("/scratch", f"{folder}/scratch")
    text = text.replace("/etc/ecs", f"{folder}/ecs")
    environment = {"PATH": f"{programs}:{os.environ['PATH']}"}
    subprocess.run(["bash", "-c", text], env=environment, check=True, capture_output=True)  # noqa: S607
    assert (folder / "scratch").stat().st_mode & 0o7777 == 0o1777
    told = (folder / "told").read_text().splitlines() if (folder / "told").exists() else []
    return [line.replace(str(folder), "") for line in told if not line.startswith("lsblk")]


@pytest.mark.parametrize(
    ("mode", "disks", "told"),
    [
        ("nvme", [ROOT_DISK], []),
        ("ebs", [ROOT_DISK, OWN_DISKS[0]], []),
        (
            "nvme",
            [ROOT_DISK, OWN_DISKS[0]],
            ["mkfs.xfs -f -K /dev/nvme1n1", "mount -o noatime /dev/nvme1n1 /scratch"],
        ),
        (
            "nvme",
            [OWN_DISKS[0], ROOT_DISK, OWN_DISKS[1]],
            [
                "mdadm --create /dev/md0 --run --level=0 --raid-devices=2 "
                "/dev/nvme1n1 /dev/nvme2n1",
                "mkfs.xfs -f -K /dev/md0",
                "mount -o noatime /dev/md0 /scratch",
            ],
        ),
    ],
)
def test_scratch_is_on_the_disks_that_belong_to_the_machine_and_on_no_other(
    mode: str, disks: list[str], told: list[str], tmp_path: Path
) -> None:
    assert start(tmp_path, mode, disks) == told
    configured = (tmp_path / "ecs" / "ecs.config").read_text().splitlines()
    assert "ECS_CONTAINER_STOP_TIMEOUT=110s" in configured
    assert "ECS_CONTAINER_CREATE_TIMEOUT=15m" in configured
    # not `prefer-cached`: an image that was built again has the tag of the one before
    assert "ECS_IMAGE_PULL_BEHAVIOR=default" in configured
    assert all(re.fullmatch(r"ECS_[A-Z_]+=[a-z0-9-]+", line) for line in configured)


def test_the_machine_s_metadata_need_a_token_and_reach_containers() -> None:
    assert LAUNCH["MetadataOptions"] == {"HttpTokens": "required", "HttpPutResponseHopLimit": 2}
    [device] = LAUNCH["BlockDeviceMappings"]
    assert device["Ebs"]["Encrypted"] is device["Ebs"]["DeleteOnTermination"] is True


# ----- the page about the stack ------------------------------------------------------------------


@pytest.mark.parametrize("name", RESOURCES)
def test_every_resource_has_its_row_in_the_reference(name: str) -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("|") and f"`{name}`" in line]
    assert len(rows) == 1
