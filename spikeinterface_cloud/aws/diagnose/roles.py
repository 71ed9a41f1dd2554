"""The IAM roles of a job and of its instance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spikeinterface_cloud.aws.diagnose.finding import (
    Finding,
    Unavailable,
    failed,
    ok,
    warning,
)
from spikeinterface_cloud.aws.diagnose.query import fact, query_optional, query_pages
from spikeinterface_cloud.aws.session import AwsSession

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient

ABSENT = ("NoSuchEntity",)

#: Batch's own role, which AWS creates with the first compute environment
LINKED_ROLE = "AWSServiceRoleForBatch"

#: AWS's managed policies for these roles
INSTANCE_POLICY = "AmazonEC2ContainerServiceforEC2Role"
SERVICE_POLICY = "AWSBatchServiceRole"

EC2 = "ec2.amazonaws.com"
BATCH = "batch.amazonaws.com"
TASKS = "ecs-tasks.amazonaws.com"


@dataclass(frozen=True, kw_only=True, slots=True)
class Role:
    """A role that exists."""

    name: str
    #: the services that may assume it, like `ecs-tasks.amazonaws.com`
    trusted: frozenset[str]
    #: the names of the attached managed policies
    policies: frozenset[str] | Unavailable


@dataclass(frozen=True, kw_only=True, slots=True)
class InstanceProfile:
    """An instance profile, which passes a role to an instance."""

    name: str
    roles: tuple[Role | Unavailable | None, ...]


@fact
def find_role(session: AwsSession, arn: str) -> Role | None:
    """Return the role with this ARN or name; None if there is none."""
    iam: IAMClient = session.client("iam")
    name = arn.rpartition("/")[2]
    reply = query_optional(ABSENT, iam.get_role, RoleName=name)
    if reply is None:
        return None
    return Role(
        name=name,
        trusted=trusted_services(reply["Role"].get("AssumeRolePolicyDocument", {})),
        policies=_policies(iam, name),
    )


@fact
def _policies(iam: IAMClient, role: str) -> frozenset[str]:
    policies = query_pages(
        iam, "list_attached_role_policies", "AttachedPolicies", ABSENT, RoleName=role
    )
    return frozenset(policy["PolicyName"] for policy in policies)


@fact
def find_profile(session: AwsSession, arn: str) -> InstanceProfile | None:
    """Return the instance profile with this ARN or name; None if there is none."""
    iam: IAMClient = session.client("iam")
    name = arn.rpartition("/")[2]
    reply = query_optional(ABSENT, iam.get_instance_profile, InstanceProfileName=name)
    if reply is None:
        return None
    names = [role["RoleName"] for role in reply["InstanceProfile"].get("Roles", ())]
    return InstanceProfile(name=name, roles=tuple(find_role(session, role) for role in names))


def trusted_services(document: Any) -> frozenset[str]:
    """Return the services that a trust policy allows to assume the role.

    >>> sorted(trusted_services({"Statement": {"Effect": "Allow", "Action": "sts:AssumeRole",
    ...     "Principal": {"Service": "ec2.amazonaws.com"}}}))
    ['ec2.amazonaws.com']
    """
    if not isinstance(document, Mapping):
        return frozenset()
    services: set[str] = set()
    for statement in _as_list(document.get("Statement", ())):
        principal = statement.get("Principal", {})
        if statement.get("Effect") == "Allow" and isinstance(principal, Mapping):
            services.update(map(str, _as_list(principal.get("Service", ()))))
    return frozenset(services)


def check_profile(named: str, profile: InstanceProfile | None) -> Iterator[Finding]:
    """Check whether the instances get a role that lets them join ECS and pull images."""
    if ":role/" in named:
        yield failed(
            f"{named} is a role, not an instance profile: no instance starts",
            "name the instance profile of the role in the compute environment, "
            f"arn:{_partition(named)}:iam::ACCOUNT:instance-profile/NAME",
        )
    elif profile is None:
        yield failed(
            f"there is no instance profile {named}",
            f"create it with a role that has the policy {INSTANCE_POLICY}, or name another one in "
            "the compute environment",
            f"aws iam create-instance-profile --instance-profile-name {named.rpartition('/')[2]}",
        )
    elif not profile.roles:
        yield failed(
            f"the instance profile {profile.name} has no role",
            f"add one with the policy {INSTANCE_POLICY}",
            f"aws iam add-role-to-instance-profile --instance-profile-name {profile.name} "
            "--role-name NAME",
        )


def check_role(
    role: Role | None, named: str, service: str, policy: str | None
) -> Iterator[Finding]:
    """Check whether a role exists, the service may assume it, and it has its usual policy."""
    if role is None:
        yield failed(
            f"there is no role {named}",
            f"create it, trusted by {service}, or name another one",
        )
        return
    if not any(trusted.startswith(service) for trusted in role.trusted):
        others = ", ".join(sorted(role.trusted)) or "no service"
        yield failed(
            f"{role.name} is trusted by {others}, but must be trusted by {service}",
            f"allow {service} sts:AssumeRole in the role's trust policy",
            f"aws iam update-assume-role-policy --role-name {role.name} "
            "--policy-document file://trust.json",
        )
        return
    if policy is None or isinstance(role.policies, Unavailable) or policy in role.policies:
        yield ok(f"{role.name}, trusted by {service}")
        return
    yield warning(
        f"{role.name} lacks the policy {policy}",
        "attach it, unless your own policies allow the same",
        f"aws iam attach-role-policy --role-name {role.name} "
        f"--policy-arn arn:{_partition(named)}:iam::aws:policy/service-role/{policy}",
    )


def check_linked_role(role: Role | None) -> Iterator[Finding]:
    """Check whether Batch has its own role."""
    if role is None:
        yield failed(
            f"Batch has no role in this account: {LINKED_ROLE} is missing",
            "create it; AWS does so with a compute environment, if its creator may create roles",
            f"aws iam create-service-linked-role --aws-service-name {BATCH}",
        )
    else:
        yield ok(LINKED_ROLE)


def check_missing_job_role() -> Iterator[Finding]:
    """Warn about a job without a job role."""
    yield warning(
        "the job definition names none: the container gets the instance's role, which usually "
        "allows nothing on S3",
        "name a jobRoleArn in the job definition that may read the source and write the target",
    )


def check_missing_execution_role() -> Iterator[Finding]:
    """Report secrets that no role may read."""
    yield failed(
        "the job definition has secrets, but no execution role to read them",
        "name an executionRoleArn in the job definition that may secretsmanager:GetSecretValue",
    )


def _partition(arn: str) -> str:
    return arn.split(":")[1] if arn.startswith("arn:") else "aws"


def _as_list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, (list, tuple)) else [value]
