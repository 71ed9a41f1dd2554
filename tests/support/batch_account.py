"""A healthy Batch queue with all that it needs, for tests that break one part of it."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.support.batch_server import AwsServer

ACCOUNT = "123456789012"
REGION = "us-east-1"
ZONE = f"{REGION}a"

#: a zone that does not offer g4dn
ZONE_WITHOUT = f"{REGION}e"

INSTANCE_POLICY = "arn:aws:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role"
SERVICE_POLICY = "arn:aws:iam::aws:policy/service-role/AWSBatchServiceRole"

IMAGE_MANIFEST = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {"mediaType": "application/json", "size": 1, "digest": f"sha256:{'0' * 64}"},
        "layers": [],
    }
)


def trust(service: str) -> str:
    """Return a trust policy for an AWS service."""
    principal = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [principal]})


class Account(Protocol):
    """A mock server of an AWS account."""

    @property
    def url(self) -> str:
        """The endpoint URL."""

    def client(self, service: str) -> Any:
        """Return a boto3 client with all permissions."""


@dataclass(kw_only=True)
class Lab:
    """A network, roles, an image, a compute environment, its queue and a job definition.

    Arguments that replace a default are what a test breaks.
    """

    server: Account
    name: str = field(default_factory=lambda: f"lab-{uuid.uuid4().hex[:8]}")
    market: str = "SPOT"
    instance_types: tuple[str, ...] = ("g4dn.2xlarge",)
    max_vcpus: int = 8
    zone: str = ZONE
    #: `igw`, `nat` or none
    default_route: str | None = "igw"
    public: bool = True
    #: overrides of the compute environment's `computeResources`
    resources: dict[str, Any] = field(default_factory=dict)
    container: dict[str, Any] = field(default_factory=dict)

    vpc: str = ""
    subnet: str = ""
    group: str = ""
    environment_arn: str = ""

    def build(self) -> Lab:
        """Create everything in the account."""
        self._build_network()
        self._build_roles()
        self._build_image()
        self.server.client("logs").create_log_group(logGroupName=f"/lab/{self.name}")
        self._build_queue()
        return self

    def client(self, service: str) -> Any:
        """Return a boto3 client of the account."""
        return self.server.client(service)

    @property
    def aws(self) -> AwsServer:
        """The account's server, which must be the mock that tests can program."""
        assert isinstance(self.server, AwsServer)
        return self.server

    @property
    def image(self) -> str:
        """The URI of the image."""
        return f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{self.name}:gpu"

    def role(self, name: str) -> str:
        """Return the ARN of one of the roles."""
        return f"arn:aws:iam::{ACCOUNT}:role/{self.name}-{name}"

    def submit(self, status: str = "RUNNABLE", **fields: Any) -> str:
        """Submit a Kilosort4 job in this state; `fields` override its description."""
        job_id = self.client("batch").submit_job(
            jobName="session1", jobQueue=self.name, jobDefinition=self.name
        )["jobId"]
        container = {**self.container_properties(), **fields.pop("container", {})}
        self.aws.set_fate(job_id, status=status, container=container, **fields)
        return str(job_id)

    def container_properties(self) -> dict[str, Any]:
        """Return the container part of a job description, as AWS would."""
        return {
            "image": self.image,
            "command": ["python", "run_script.py"],
            "jobRoleArn": self.role("job"),
            "resourceRequirements": [
                {"type": "GPU", "value": "1"},
                {"type": "VCPU", "value": "8"},
                {"type": "MEMORY", "value": "30000"},
            ],
            "logConfiguration": {
                "logDriver": "awslogs",
                "options": {"awslogs-group": f"/lab/{self.name}"},
            },
            "environment": [{"name": "SORTERS", "value": "kilosort4"}],
            **self.container,
        }

    def _build_network(self) -> None:
        ec2 = self.client("ec2")
        self.vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnet = ec2.create_subnet(
            VpcId=self.vpc, CidrBlock="10.0.1.0/24", AvailabilityZone=self.zone
        )
        self.subnet = subnet["Subnet"]["SubnetId"]
        if self.public:
            ec2.modify_subnet_attribute(SubnetId=self.subnet, MapPublicIpOnLaunch={"Value": True})
        group = ec2.create_security_group(
            GroupName=self.name, Description="of a test", VpcId=self.vpc
        )
        self.group = group["GroupId"]
        if self.default_route is not None:
            table = ec2.create_route_table(VpcId=self.vpc)["RouteTable"]["RouteTableId"]
            ec2.associate_route_table(RouteTableId=table, SubnetId=self.subnet)
            ec2.create_route(
                RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", **self._gateway(ec2)
            )

    def _gateway(self, ec2: Any) -> dict[str, str]:
        if self.default_route == "nat":
            nat = ec2.create_nat_gateway(SubnetId=self.subnet, ConnectivityType="private")
            return {"NatGatewayId": nat["NatGateway"]["NatGatewayId"]}
        gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=self.vpc)
        return {"GatewayId": gateway}

    def _build_roles(self) -> None:
        iam = self.client("iam")
        for role, service, policy in (
            ("instance", "ec2.amazonaws.com", INSTANCE_POLICY),
            ("service", "batch.amazonaws.com", SERVICE_POLICY),
            ("job", "ecs-tasks.amazonaws.com", None),
        ):
            name = f"{self.name}-{role}"
            iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust(service))
            if policy is not None:
                self._attach(iam, name, policy)
        profile = f"{self.name}-profile"
        iam.create_instance_profile(InstanceProfileName=profile)
        iam.add_role_to_instance_profile(
            InstanceProfileName=profile, RoleName=f"{self.name}-instance"
        )

    def _attach(self, iam: Any, role: str, policy: str) -> None:
        """Attach a copy of an AWS managed policy, which moto does not load by default."""
        name = policy.rpartition("/")[2]
        own = f"arn:aws:iam::{ACCOUNT}:policy/{name}"
        known = {entry["Arn"] for entry in iam.list_policies(Scope="Local")["Policies"]}
        if own not in known:
            allow = {"Effect": "Allow", "Action": "ecs:*", "Resource": "*"}
            document = {"Version": "2012-10-17", "Statement": [allow]}
            iam.create_policy(PolicyName=name, PolicyDocument=json.dumps(document))
        iam.attach_role_policy(RoleName=role, PolicyArn=own)

    def _build_image(self) -> None:
        ecr = self.client("ecr")
        ecr.create_repository(repositoryName=self.name)
        ecr.put_image(repositoryName=self.name, imageManifest=IMAGE_MANIFEST, imageTag="gpu")

    def _build_queue(self) -> None:
        batch = self.client("batch")
        resources = {
            "type": self.market,
            "allocationStrategy": "SPOT_PRICE_CAPACITY_OPTIMIZED"
            if self.market == "SPOT"
            else "BEST_FIT_PROGRESSIVE",
            "minvCpus": 0,
            "maxvCpus": self.max_vcpus,
            "instanceTypes": list(self.instance_types),
            "subnets": [self.subnet],
            "securityGroupIds": [self.group],
            "instanceRole": f"arn:aws:iam::{ACCOUNT}:instance-profile/{self.name}-profile",
            **self.resources,
        }
        self.environment_arn = batch.create_compute_environment(
            computeEnvironmentName=self.name,
            type="MANAGED",
            state="ENABLED",
            computeResources=resources,
            serviceRole=self.role("service"),
        )["computeEnvironmentArn"]
        batch.create_job_queue(
            jobQueueName=self.name,
            priority=1,
            state="ENABLED",
            computeEnvironmentOrder=[{"order": 1, "computeEnvironment": self.environment_arn}],
        )
        batch.register_job_definition(
            jobDefinitionName=self.name,
            type="container",
            containerProperties={"image": self.image, "vcpus": 8, "memory": 30000},
        )
