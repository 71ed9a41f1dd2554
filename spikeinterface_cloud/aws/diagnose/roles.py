"""The IAM roles of a job and of the machine that it runs on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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

ABSENT = ("NoSuchEntity",)

#: Batch's own role, which AWS makes when the first compute environment is made
LINKED_ROLE = "AWSServiceRoleForBatch"

#: AWS's policies that bring what a role of ours needs
INSTANCE_POLICY = "AmazonEC2ContainerServiceforEC2Role"
SERVICE_POLICY = "AWSBatchServiceRole"

EC2 = "ec2.amazonaws.com"
BATCH = "batch.amazonaws.com"
TASKS = "ecs-tasks.amazonaws.com"


@dataclass(frozen=True, kw_only=True, slots=True)
class Role:
    """A role that exists."""

    name: str
    #: the services that may take it, like `ecs-tasks.amazonaws.com`
    trusted: frozenset[str]
    #: the names of the managed policies that are attached to it
    policies: Seen[frozenset[str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class InstanceProfile:
    """What hands a role to a machine."""

    name: str
    roles: tuple[Seen[Role | None], ...]


def look_up_role(session: AwsSession, arn: str) -> Seen[Role | None]:
    """The role of this ARN or name; None where there is none."""
    iam = session.client("iam")
    name = arn.rpartition("/")[2]
    reply = ask("iam:GetRole", lambda: iam.get_role(RoleName=name), ABSENT)
    if reply is None or isinstance(reply, Unavailable):
        return reply
    attached = ask(
        "iam:ListAttachedRolePolicies",
        lambda: iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"],
        ABSENT,
    )
    return Role(
        name=name,
        trusted=trusted_services(reply["Role"].get("AssumeRolePolicyDocument", {})),
        policies=attached
        if isinstance(attached, Unavailable)
        else frozenset(policy["PolicyName"] for policy in attached or ()),
    )


def look_up_profile(session: AwsSession, named: str) -> Seen[InstanceProfile | None]:
    """The instance profile of this ARN or name; None where there is none."""
    iam = session.client("iam")
    name = named.rpartition("/")[2]
    reply = ask(
        "iam:GetInstanceProfile", lambda: iam.get_instance_profile(InstanceProfileName=name), ABSENT
    )
    if reply is None or isinstance(reply, Unavailable):
        return reply
    names = [role["RoleName"] for role in reply["InstanceProfile"].get("Roles", ())]
    return InstanceProfile(name=name, roles=tuple(look_up_role(session, role) for role in names))


def trusted_services(document: Any) -> frozenset[str]:
    """The services that a trust policy lets take the role.

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


def judge_profile(named: str, profile: InstanceProfile | None) -> Iterator[Finding]:
    """Whether the machines get a role that lets them join ECS and fetch images."""
    if ":role/" in named:
        yield failed(
            f"{named} is a role, where an instance profile is wanted: no machine starts",
            "name the instance profile of the role in the compute environment, "
            "arn:aws:iam::ACCOUNT:instance-profile/NAME",
        )
    elif profile is None:
        yield failed(
            f"there is no instance profile {named}",
            "make it, with a role that has the policy "
            f"{INSTANCE_POLICY}, or name another in the compute environment",
            f"aws iam create-instance-profile --instance-profile-name {named.rpartition('/')[2]}",
        )
    elif not profile.roles:
        yield failed(
            f"the instance profile {profile.name} holds no role",
            f"put one with the policy {INSTANCE_POLICY} into it",
            f"aws iam add-role-to-instance-profile --instance-profile-name {profile.name} "
            "--role-name NAME",
        )


def judge_role(
    role: Role | None, named: str, service: str, policy: str | None
) -> Iterator[Finding]:
    """Whether a role exists, and the service may take it.

    Parameters
    ----------
    policy
        the managed policy that usually goes with it
    """
    if role is None:
        yield failed(
            f"there is no role {named}",
            f"make it, trusted by {service}, or name another",
        )
        return
    if not any(trusted.startswith(service) for trusted in role.trusted):
        others = ", ".join(sorted(role.trusted)) or "no service"
        yield failed(
            f"{role.name} is trusted by {others}, and has to be by {service}",
            f"allow {service} sts:AssumeRole in the role's trust policy",
            f"aws iam update-assume-role-policy --role-name {role.name} "
            "--policy-document file://trust.json",
        )
        return
    if policy is None or isinstance(role.policies, Unavailable) or policy in role.policies:
        yield ok(f"{role.name}, trusted by {service}")
        return
    yield warning(
        f"{role.name} has not the policy {policy}",
        "attach it, unless policies of your own allow the same",
        f"aws iam attach-role-policy --role-name {role.name} "
        f"--policy-arn arn:aws:iam::aws:policy/service-role/{policy}",
    )


def judge_linked_role(role: Role | None) -> Iterator[Finding]:
    """Whether Batch has its own role."""
    if role is None:
        yield failed(
            f"Batch has no role in this account: {LINKED_ROLE} is missing",
            "make it; AWS does so itself where whoever makes a compute environment may",
            f"aws iam create-service-linked-role --aws-service-name {BATCH}",
        )
    else:
        yield ok(LINKED_ROLE)


def judge_missing_job_role() -> Iterator[Finding]:
    """A job without a role of its own."""
    yield warning(
        "the job definition names none: the container has what the machine's role allows, which "
        "is usually nothing on S3",
        "name a jobRoleArn in the job definition that may read the source and write the target",
    )


def judge_missing_execution_role() -> Iterator[Finding]:
    """Secrets that nobody may read."""
    yield failed(
        "the job definition has secrets, and no execution role that could read them",
        "name an executionRoleArn in the job definition that may secretsmanager:GetSecretValue",
    )


def _as_list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, (list, tuple)) else [value]
