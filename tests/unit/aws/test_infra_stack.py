"""What CloudFormation answers where moto cannot, updates, failures and deletions: by a Stubber.

Every request is held against the service's model and against what the test expects of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.session
import pytest
from botocore.stub import ANY, Stubber

from spikeinterface_cloud import __version__
from spikeinterface_cloud.aws.infra import down, up
from spikeinterface_cloud.aws.infra.change_set import TAGS
from spikeinterface_cloud.aws.infra.status import describe_status, find_status
from spikeinterface_cloud.aws.infra.template import (
    TEMPLATE_FILE,
    ParameterError,
    Template,
    choose_tags,
    choose_values,
    choose_zones,
    with_partition,
    with_static_names,
    with_tags,
)
from spikeinterface_cloud.aws.session import AwsSession
from spikeinterface_cloud.aws_errors import AwsError
from tests.support.template import load, of_type

STACK_ID = "arn:aws:cloudformation:us-east-1:123456789012:stack/lab/1"
ACCOUNT = "123456789012"
CHANGE_SET = "arn:aws:cloudformation:us-east-1:123456789012:changeSet/infra-up/1"
NOW = datetime(2026, 11, 25, tzinfo=UTC)

#: as the stack was made by an earlier version of this program
BEFORE = {
    "ImageTag": "0.0.1",
    "MaxVcpus": "64",
    "RootVolumeGiB": "100",
    "SubnetIds": "",
    "Gone": "1",
}
DEFAULTS = {
    "ImageTag": "0.1.0",
    "MaxVcpus": "32",
    "RootVolumeGiB": "100",
    "SubnetIds": "",
    "RepositoryName": "spikeinterface-cloud",
    "ResultsBucketName": "",
}

#: the models of the services are read once
SESSION = botocore.session.Session()


class Session(AwsSession):
    """The clients of an account, each with its answers in order."""

    def __init__(self) -> None:
        super().__init__(region="us-east-1")
        self._stubbed: dict[str, Any] = {}
        self._stubs: dict[str, Stubber] = {}

    def client(self, service: str, region: str | None = None) -> Any:  # noqa: ARG002
        """The client of a service, which reaches nobody."""
        if service not in self._stubbed:
            self._stubbed[service] = SESSION.create_client(
                service,
                region_name="us-east-1",
                aws_access_key_id="key",
                aws_secret_access_key="secret",
            )
            self._stubs[service] = Stubber(self._stubbed[service])
            self._stubs[service].activate()
        return self._stubbed[service]

    def stub(self, service: str) -> Stubber:
        """What answers for a service."""
        self.client(service)
        return self._stubs[service]

    def answers(self, operation: str, reply: dict[str, Any], **expected: Any) -> None:
        """What CloudFormation answers next."""
        self.stub("cloudformation").add_response(operation, reply, expected or None)

    def assert_was_asked_everything(self) -> None:
        """No answer is left."""
        for stub in self._stubs.values():
            stub.assert_no_pending_responses()

    def stack(self, status: str, **fields: Any) -> None:
        """What it says of the stack next."""
        reply = {
            "StackName": "lab",
            "StackId": STACK_ID,
            "StackStatus": status,
            "CreationTime": NOW,
            "Description": "SpikeInterface Cloud: the account",
            "Parameters": [
                {"ParameterKey": name, "ParameterValue": value} for name, value in BEFORE.items()
            ],
            **fields,
        }
        self.answers("describe_stacks", {"Stacks": [reply]})

    def events(self, *events: tuple[str, ...]) -> None:
        """What it tells as having happened, oldest first: resource, status and reason."""
        replies = [event_reply(number, *event) for number, event in enumerate(events)]
        self.answers("describe_stack_events", {"StackEvents": replies[::-1]})

    def resources(self, **kinds: str) -> None:
        """What it says that the stack holds, types by name."""
        summaries = [
            {
                "LogicalResourceId": name,
                "PhysicalResourceId": f"the-{name.lower()}",
                "ResourceType": kind,
                "ResourceStatus": "CREATE_COMPLETE",
                "LastUpdatedTimestamp": NOW,
            }
            for name, kind in kinds.items()
        ]
        self.answers("list_stack_resources", {"StackResourceSummaries": summaries})

    def summary(self) -> None:
        """What it reads in the template."""
        parameters = [
            {"ParameterKey": name, "DefaultValue": value} for name, value in DEFAULTS.items()
        ]
        reply = {"Parameters": parameters}
        self.answers("get_template_summary", reply, TemplateBody=TEMPLATE_FILE.read_text())

    def change_set(self, status: str, *changes: dict[str, Any], reason: str = "") -> None:
        """What it says of the change set next."""
        reply = {
            "Status": status,
            "StatusReason": reason,
            "Changes": [{"Type": "Resource", "ResourceChange": change} for change in changes],
        }
        self.answers("describe_change_set", reply, ChangeSetName=CHANGE_SET, StackName=STACK_ID)


def event_reply(number: int, name: str, status: str, reason: str = "") -> dict[str, Any]:
    kind = "AWS::CloudFormation::Stack" if name == "lab" else f"AWS::Some::{name}"
    return {
        "StackId": STACK_ID,
        "EventId": str(number),
        "StackName": "lab",
        "LogicalResourceId": name,
        "ResourceType": kind,
        "ResourceStatus": status,
        "ResourceStatusReason": reason,
        "Timestamp": NOW + timedelta(seconds=number),
    }


def change(action: str, name: str, kind: str, **fields: str) -> dict[str, Any]:
    return {"Action": action, "LogicalResourceId": name, "ResourceType": kind, **fields}


@pytest.fixture
def aws() -> Iterator[Session]:
    session = Session()
    yield session
    session.assert_was_asked_everything()


CREATED = {"Id": CHANGE_SET, "StackId": STACK_ID}


# ----- updates -----------------------------------------------------------------------------------


def planned_update(aws: Session, *changes: dict[str, Any], **given: str) -> up.Plan:
    """A plan for a stack that is there."""
    aws.stack("UPDATE_COMPLETE")
    aws.summary()
    values = {**DEFAULTS, "MaxVcpus": "64", "ImageTag": __version__, **given}
    template = Template(body=TEMPLATE_FILE.read_text(), defaults=DEFAULTS)
    aws.answers(
        "create_change_set",
        CREATED,
        StackName="lab",
        ChangeSetName=ANY,
        ChangeSetType="UPDATE",
        TemplateBody=with_static_names(template, values, "lab", ACCOUNT, "us-east-1").body,
        Parameters=[
            {"ParameterKey": name, "ParameterValue": value} for name, value in values.items()
        ],
        Capabilities=["CAPABILITY_IAM"],
        Tags=list(TAGS),
        ImportExistingResources=True,
    )
    aws.change_set("CREATE_COMPLETE", *changes)
    aws.resources(JobQueue="AWS::Batch::JobQueue", Old="AWS::EC2::NatGateway")
    return up.plan(aws, "lab", given, {})


def test_update_keeps_parameters_and_uses_images_of_this_version(aws: Session) -> None:
    definition = "AWS::Batch::JobDefinition"
    plan = planned_update(aws, change("Modify", "JobDefinition", definition), RootVolumeGiB="500")
    assert plan.values["MaxVcpus"] == "64"
    assert plan.values["ImageTag"] == __version__
    assert "Gone" not in plan.values


def test_plan_lists_replacements_imports_and_costs(aws: Session) -> None:
    plan = planned_update(
        aws,
        change("Add", "Gateway", "AWS::EC2::NatGateway"),
        change("Import", "ResultsBucket", "AWS::S3::Bucket"),
        change("Modify", "Subnet", "AWS::EC2::Subnet", Replacement="True"),
        change("Modify", "JobQueue", "AWS::Batch::JobQueue", Replacement="Conditional"),
        change("Add", "Database", "AWS::RDS::DBInstance"),
    )
    lines = up.describe_plan(plan)
    assert lines[0] == "the stack lab, 5 changes:"
    assert lines[1].split() == ["Add", "AWS::EC2::NatGateway", "Gateway"]
    assert lines[2].split() == ["Import", "AWS::S3::Bucket", "ResultsBucket"]
    assert lines[3].endswith("Subnet  is replaced")
    assert lines[4].endswith("JobQueue  may be replaced")
    assert "while no job runs: 65.70 USD per month for the 6 resources" in lines[6]
    assert lines[7] == "  AWS::EC2::NatGateway: 65.70 USD"
    assert "  not in the price table: AWS::RDS::DBInstance" in lines


def test_removed_resources_cost_nothing(aws: Session) -> None:
    plan = planned_update(aws, change("Remove", "Old", "AWS::EC2::NatGateway"))
    assert up.plan_values(plan)["idleUsdPerMonth"] == 0


def test_an_update_is_watched_to_its_end(aws: Session) -> None:
    plan = planned_update(aws, change("Modify", "JobQueue", "AWS::Batch::JobQueue"))
    earlier = [("lab", "CREATE_IN_PROGRESS"), ("JobQueue", "CREATE_COMPLETE")]
    begun = [*earlier, ("lab", "UPDATE_IN_PROGRESS"), ("JobQueue", "UPDATE_IN_PROGRESS")]
    aws.events(*earlier)
    aws.answers("execute_change_set", {}, ChangeSetName=CHANGE_SET, StackName=STACK_ID)
    aws.stack("UPDATE_COMPLETE")  # as before: AWS has not begun
    aws.events(*earlier)
    aws.stack("UPDATE_IN_PROGRESS")
    aws.events(*begun)
    aws.stack("UPDATE_COMPLETE")
    aws.events(*begun, ("JobQueue", "UPDATE_COMPLETE"), ("lab", "UPDATE_COMPLETE"))
    told: list[str] = []
    stack = up.carry_out(aws, plan, 0, told.append)
    assert stack["StackStatus"] == "UPDATE_COMPLETE"
    assert told == ["  JobQueue (AWS::Some::JobQueue) UPDATE_COMPLETE"]


def test_all_pages_of_changes_are_read(aws: Session) -> None:
    aws.stack("UPDATE_COMPLETE")
    aws.summary()
    aws.answers("create_change_set", CREATED)
    aws.change_set("CREATE_PENDING")
    queue = {"Type": "Resource", "ResourceChange": change("Add", "A", "AWS::Batch::JobQueue")}
    page = {"Status": "CREATE_COMPLETE", "Changes": [queue]}
    aws.answers("describe_change_set", {**page, "NextToken": "more"})
    aws.answers(
        "describe_change_set", page, ChangeSetName=CHANGE_SET, StackName=STACK_ID, NextToken="more"
    )
    aws.resources()
    plan = up.plan(aws, "lab", {}, {})
    assert plan.change_set is not None
    assert len(plan.change_set.changes) == 2


# ----- change sets that come to nothing ----------------------------------------------------------


def test_a_change_set_without_changes_is_no_error_and_leaves_nothing(aws: Session) -> None:
    aws.stack("CREATE_COMPLETE")
    aws.summary()
    aws.answers("create_change_set", CREATED)
    reason = "The submitted information didn't contain changes. Submit different information."
    aws.change_set("FAILED", reason=reason)
    aws.answers("delete_change_set", {}, ChangeSetName=CHANGE_SET)
    aws.resources()
    assert up.plan(aws, "lab", {}, {}).change_set is None


def test_taken_name_is_refused_before_any_change(aws: Session) -> None:
    aws.stack("CREATE_COMPLETE")
    aws.summary()
    aws.answers("create_change_set", CREATED)
    reason = "Resource spikeinterface-cloud already exists in stack arn:aws:.../stack/other/2."
    aws.change_set("FAILED", reason=reason)
    aws.answers("delete_change_set", {}, ChangeSetName=CHANGE_SET)
    with pytest.raises(AwsError) as refused:
        up.plan(aws, "lab", {}, {})
    assert str(refused.value) == (
        "cannot prepare the stack lab: Resource spikeinterface-cloud already exists in stack "
        "arn:aws:.../stack/other/2; that name is taken by something else: choose another with "
        "--parameter ResultsBucketName=..., --parameter RepositoryName=... or --stack"
    )


def test_a_new_stack_that_is_only_looked_at_is_gone_afterwards(aws: Session) -> None:
    absent(aws)
    plan = planned_creation(aws)
    aws.answers("delete_change_set", {}, ChangeSetName=CHANGE_SET)
    aws.answers("delete_stack", {}, StackName=STACK_ID)
    up.discard(aws, plan)


def test_a_stack_that_is_there_stays_when_a_change_is_only_looked_at(aws: Session) -> None:
    plan = planned_update(aws, change("Modify", "JobQueue", "AWS::Batch::JobQueue"))
    aws.answers("delete_change_set", {}, ChangeSetName=CHANGE_SET)
    up.discard(aws, plan)


# ----- a stack that fails ------------------------------------------------------------------------


def absent(aws: Session) -> None:
    aws.stub("cloudformation").add_client_error(
        "describe_stacks", "ValidationError", "Stack with id lab does not exist"
    )


def planned_creation(aws: Session) -> up.Plan:
    """A plan for a stack in a network of the user's own."""
    aws.stub("sts").add_response("get_caller_identity", {"Account": "123456789012"})
    aws.summary()
    aws.answers("create_change_set", CREATED)
    aws.change_set("CREATE_COMPLETE", change("Add", "Repository", "AWS::ECR::Repository"))
    return up.plan(aws, "lab", {"SubnetIds": "subnet-1"}, {})


DENIED = "User: arn:aws:iam::1:user/me is not authorized to perform: ecr:CreateRepository on x"


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ("Repository lab already exists.", "that name is taken by something else: choose another"),
        (DENIED, "ask the account's owner to allow you ecr:CreateRepository, or use another"),
        ("The maximum number of VPCs has been reached.", "ask AWS for a higher quota"),
        (
            "The role AWSServiceRoleForBatch, a service-linked role, is missing",
            "make it with `aws iam create-service-linked-role --aws-service-name batch.amazonaws",
        ),
    ],
)
def test_the_first_failure_is_named_with_its_remedy(aws: Session, reason: str, advice: str) -> None:
    absent(aws)
    plan = planned_creation(aws)
    aws.events(("lab", "REVIEW_IN_PROGRESS"))
    aws.answers("execute_change_set", {})
    happened = [
        ("lab", "REVIEW_IN_PROGRESS"),
        ("lab", "CREATE_IN_PROGRESS"),
        ("Repository", "CREATE_FAILED", reason),
        ("JobQueue", "CREATE_FAILED", "Resource creation cancelled"),
        ("lab", "ROLLBACK_IN_PROGRESS", "The following resource(s) failed: [Repository]"),
        ("lab", "ROLLBACK_COMPLETE"),
    ]
    aws.stack("ROLLBACK_COMPLETE")
    aws.events(*happened)
    aws.events(*happened)
    with pytest.raises(AwsError) as refused:
        up.carry_out(aws, plan, 0, lambda _: None)
    message = str(refused.value)
    assert message.startswith(
        "the stack lab ended in ROLLBACK_COMPLETE: the first failure was Repository "
        f"(AWS::Some::Repository) CREATE_FAILED: {reason.rstrip('.')}; {advice}"
    )
    assert message.endswith(
        "run `spikeinterface-cloud infra down --stack lab`, then `infra up` again"
    )
    assert "\n" not in message


def test_an_update_that_was_rolled_back_is_an_error(aws: Session) -> None:
    plan = planned_update(aws, change("Modify", "JobQueue", "AWS::Batch::JobQueue"))
    aws.events(("lab", "CREATE_COMPLETE"))
    aws.answers("execute_change_set", {})
    happened = [
        ("lab", "UPDATE_IN_PROGRESS"),
        ("JobQueue", "UPDATE_FAILED", "it is in use"),
        ("lab", "UPDATE_ROLLBACK_COMPLETE"),
    ]
    aws.stack("UPDATE_ROLLBACK_COMPLETE")
    aws.events(*happened)
    aws.events(*happened)
    with pytest.raises(AwsError) as refused:
        up.carry_out(aws, plan, 0, lambda _: None)
    assert str(refused.value) == (
        "the stack lab ended in UPDATE_ROLLBACK_COMPLETE: the first failure was JobQueue "
        "(AWS::Some::JobQueue) UPDATE_FAILED: it is in use; "
        "run `spikeinterface-cloud infra up --stack lab` again"
    )


def test_a_stack_that_was_rolled_back_has_to_go_first(aws: Session) -> None:
    aws.stack("ROLLBACK_COMPLETE")
    aws.events(
        ("lab", "CREATE_IN_PROGRESS"),
        ("SpotMachines", "CREATE_FAILED", "no such role"),
        ("lab", "ROLLBACK_COMPLETE"),
    )
    with pytest.raises(AwsError) as refused:
        up.plan(aws, "lab", {}, {})
    assert str(refused.value) == (
        "the stack lab is ROLLBACK_COMPLETE, which AWS cannot update: SpotMachines "
        "(AWS::Some::SpotMachines) CREATE_FAILED: no such role; "
        "run `spikeinterface-cloud infra down --stack lab`, then `infra up` again"
    )


@pytest.mark.parametrize(
    ("status", "message"),
    [
        ("UPDATE_IN_PROGRESS", "AWS is still changing the stack lab (UPDATE_IN_PROGRESS); wait"),
        ("UPDATE_ROLLBACK_FAILED", "run `aws cloudformation continue-update-rollback --stack-name"),
    ],
)
def test_unchangeable_stack_is_refused_with_remedy(aws: Session, status: str, message: str) -> None:
    aws.stack(status)
    with pytest.raises(AwsError) as refused:
        up.plan(aws, "lab", {}, {})
    assert message in str(refused.value)


def test_status_shows_first_failure_and_image_cost(aws: Session) -> None:
    uri = "123456789012.dkr.ecr.us-east-1.amazonaws.com/images"
    outputs = {"RepositoryUri": uri, "GpuImageUri": f"{uri}:1-gpu", "CpuImageUri": "other/image:1"}
    aws.stack(
        "UPDATE_ROLLBACK_COMPLETE",
        Outputs=[{"OutputKey": key, "OutputValue": value} for key, value in outputs.items()],
    )
    aws.events(("lab", "UPDATE_IN_PROGRESS"), ("JobQueue", "UPDATE_FAILED", "it is in use"))
    aws.resources(Repository="AWS::ECR::Repository")
    details = [{"imageTags": ["1-gpu"], "imageSizeInBytes": 4_000_000_000}]
    aws.stub("ecr").add_response(
        "describe_images", {"imageDetails": details}, {"repositoryName": "images"}
    )
    lines = describe_status(find_status(aws, "lab"))
    assert "  first failed: JobQueue (AWS::Some::JobQueue) UPDATE_FAILED: it is in use" in lines
    assert f"image {uri}:1-gpu exists" in lines
    assert "image other/image:1 was not checked" in lines
    assert lines[-1] == "images stored: 4.0 GB, 0.40 USD per month"


def test_status_without_image_permission_shows_the_stack(aws: Session) -> None:
    uri = "123456789012.dkr.ecr.us-east-1.amazonaws.com/images"
    aws.stack(
        "CREATE_COMPLETE",
        Outputs=[
            {"OutputKey": "RepositoryUri", "OutputValue": uri},
            {"OutputKey": "GpuImageUri", "OutputValue": f"{uri}:1-gpu"},
        ],
    )
    aws.stub("ecr").add_client_error("describe_images", "AccessDeniedException", DENIED)
    aws.resources()
    assert f"image {uri}:1-gpu was not checked" in describe_status(find_status(aws, "lab"))


# ----- deletion ----------------------------------------------------------------------------------


def removal(aws: Session, status: str = "CREATE_COMPLETE") -> down.RemovalPlan:
    aws.stack(status)
    aws.resources(
        JobQueue="AWS::Batch::JobQueue",
        ResultsBucket="AWS::S3::Bucket",
        Repository="AWS::ECR::Repository",
        LogGroup="AWS::Logs::LogGroup",
    )
    plan = down.plan(aws, "lab")
    assert plan is not None
    return plan


def test_removal_lists_deleted_and_kept_resources(aws: Session) -> None:
    lines = down.describe_plan(removal(aws))
    assert lines == [
        "the stack lab, to be deleted:",
        "  AWS::Batch::JobQueue  JobQueue",
        "kept until you delete them yourself (`infra up` uses them again):",
        "  the results in the-resultsbucket: aws s3 rb --force s3://the-resultsbucket",
        "  the images in the-repository: "
        "aws ecr delete-repository --force --repository-name the-repository",
        "  the logs in the-loggroup: aws logs delete-log-group --log-group-name the-loggroup",
    ]


def test_a_stack_that_was_rolled_back_can_be_deleted(aws: Session) -> None:
    plan = removal(aws, "ROLLBACK_COMPLETE")
    earlier = [("lab", "CREATE_IN_PROGRESS"), ("lab", "ROLLBACK_COMPLETE")]
    aws.events(*earlier)
    aws.answers("delete_stack", {}, StackName=STACK_ID)
    aws.stack("DELETE_COMPLETE")
    aws.events(*earlier, ("lab", "DELETE_IN_PROGRESS"), ("JobQueue", "DELETE_COMPLETE"))
    told: list[str] = []
    down.carry_out(aws, plan, 0, told.append)
    assert told == ["  JobQueue (AWS::Some::JobQueue) DELETE_COMPLETE"]


def test_failed_deletion_names_the_blocking_resource(aws: Session) -> None:
    plan = removal(aws)
    aws.events(("lab", "CREATE_COMPLETE"))
    aws.answers("delete_stack", {}, StackName=STACK_ID)
    happened = [
        ("lab", "DELETE_IN_PROGRESS"),
        ("Vpc", "DELETE_FAILED", "The vpc 'vpc-1' has dependencies and cannot be deleted."),
        ("lab", "DELETE_FAILED", "The following resource(s) failed to delete: [Vpc]."),
    ]
    aws.stack("DELETE_FAILED")
    aws.events(*happened)
    aws.events(*happened)
    with pytest.raises(AwsError) as refused:
        down.carry_out(aws, plan, 0, lambda _: None)
    assert str(refused.value) == (
        "the stack lab ended in DELETE_FAILED: the first failure was Vpc (AWS::Some::Vpc) "
        "DELETE_FAILED: The vpc 'vpc-1' has dependencies and cannot be deleted; "
        "remove the cause, then run `infra down --stack lab` again"
    )


def describe_queues(aws: Session, arn: str, *statuses: str) -> None:
    """Let Batch describe a queue in each of these states."""
    described = {"jobQueueName": "q", "jobQueueArn": arn, "state": "ENABLED", "priority": 1}
    queues = [{**described, "computeEnvironmentOrder": [], "status": status} for status in statuses]
    aws.stub("batch").add_response("describe_job_queues", {"jobQueues": queues})


@pytest.mark.parametrize("stack_status", ["CREATE_COMPLETE", "DELETE_FAILED", "ROLLBACK_FAILED"])
@pytest.mark.parametrize("queue_statuses", [(), ("DELETING",), ("DELETED",)])
def test_stack_whose_queue_is_gone_can_be_deleted(
    aws: Session, queue_statuses: tuple[str, ...], stack_status: str
) -> None:
    queue = "arn:aws:batch:us-east-1:123456789012:job-queue/lab-spot"
    aws.stack(stack_status, Outputs=[{"OutputKey": "JobQueue", "OutputValue": queue}])
    describe_queues(aws, queue, *queue_statuses)
    aws.resources(JobQueue="AWS::Batch::JobQueue")
    plan = down.plan(aws, "lab")
    assert plan is not None
    assert [resource["LogicalResourceId"] for resource in plan.deleted] == ["JobQueue"]


def test_a_stack_with_jobs_under_way_is_not_deleted(aws: Session) -> None:
    queue = "arn:aws:batch:us-east-1:123456789012:job-queue/lab-spot"
    aws.stack("CREATE_COMPLETE", Outputs=[{"OutputKey": "JobQueue", "OutputValue": queue}])
    describe_queues(aws, queue, "VALID")
    jobs = [
        {"jobId": "a", "jobName": "a", "status": "SUCCEEDED"},
        {"jobId": "b", "jobName": "b", "status": "RUNNABLE"},
    ]
    aws.stub("batch").add_response("list_jobs", {"jobSummaryList": jobs})
    with pytest.raises(AwsError) as refused:
        down.plan(aws, "lab")
    assert str(refused.value) == (
        "lab-spot has unfinished jobs (1), which would be lost; wait until they end, or cancel "
        "each with `spikeinterface-cloud cancel b`, then run `infra down` again"
    )


# ----- values and zones --------------------------------------------------------------------------


def test_every_unknown_parameter_is_named_at_once() -> None:
    template = Template(body="", defaults=DEFAULTS)
    with pytest.raises(ParameterError) as refused:
        choose_values(template, {"MaxVcpu": "1", "Color": "red"}, {})
    assert str(refused.value).splitlines() == [
        "--parameter: the template has no parameter MaxVcpu; did you mean MaxVcpus?",
        "--parameter: the template has no parameter Color; docs/reference/template.md lists them",
    ]


def offers(aws: Session, *offered: str) -> None:
    """Let zones offer types, each as `zone type`."""
    zones = [
        {"ZoneName": zone, "ZoneType": "local-zone" if "-lax-" in zone else "availability-zone"}
        for zone in sorted({offer.split()[0] for offer in offered})
    ]
    aws.stub("ec2").add_response("describe_availability_zones", {"AvailabilityZones": zones})
    replies = [
        {"LocationType": "availability-zone", "Location": zone, "InstanceType": kind}
        for zone, kind in (offer.split() for offer in offered)
    ]
    aws.stub("ec2").add_response(
        "describe_instance_type_offerings", {"InstanceTypeOfferings": replies}
    )


def test_the_zones_with_most_of_the_machines_are_chosen(aws: Session) -> None:
    offers(aws, "e g5", "d g5", "d g6", "a g5", "a g6", "b g5", "b g6", "c g6")
    zones = choose_zones(aws.client("ec2"), ["g5", "g6"])
    assert zones == {"FirstZone": "a", "SecondZone": "b", "ThirdZone": "d"}


def test_local_zones_are_not_chosen(aws: Session) -> None:
    local = ("us-west-2-lax-1a g5", "us-west-2-lax-1b g5")
    offers(aws, *local, "us-west-2a g5", "us-west-2b g5")
    zones = choose_zones(aws.client("ec2"), ["g5"])
    assert zones == {"FirstZone": "us-west-2a", "SecondZone": "us-west-2b", "ThirdZone": ""}


def test_two_zones_are_enough(aws: Session) -> None:
    offers(aws, "b g5", "a g5")
    zones = choose_zones(aws.client("ec2"), ["g5"])
    assert zones == {"FirstZone": "a", "SecondZone": "b", "ThirdZone": ""}


def test_one_zone_is_not(aws: Session) -> None:
    offers(aws, "a g5")
    with pytest.raises(
        AwsError, match="offers these instance types in a only, but the stack needs"
    ):
        choose_zones(aws.client("ec2"), ["g5"])


# ----- tags, partition and boundary --------------------------------------------------------------

OWNER = {"Owner": "Ada's lab", "CostCenter": "4:2"}


def test_tags_reach_instances_volumes_and_jobs() -> None:
    template = with_tags(Template(body=TEMPLATE_FILE.read_text(), defaults=DEFAULTS), OWNER)
    resources = load(template.body)["Resources"]
    environments = [name for name in resources if name.endswith("Machines")]
    assert len(environments) == 3
    for name in environments:
        tags = resources[name]["Properties"]["ComputeResources"]["Tags"]
        assert OWNER.items() <= tags.items()
        assert tags["Project"] == "spikeinterface-cloud"
    for name in ("JobDefinition", "CpuJobDefinition"):
        assert OWNER.items() <= resources[name]["Properties"]["Tags"].items()
    [volumes] = resources["LaunchTemplate"]["Properties"]["LaunchTemplateData"]["TagSpecifications"]
    assert {"Key": "Owner", "Value": "Ada's lab"} in volumes["Tags"]


def test_update_keeps_earlier_tags_and_adds_new_ones(aws: Session) -> None:
    earlier = [{"Key": "Project", "Value": "spikeinterface-cloud"}, {"Key": "Owner", "Value": "a"}]
    aws.stack("UPDATE_COMPLETE", Tags=earlier)
    aws.summary()
    bodies: list[str] = []
    aws.client("cloudformation").meta.events.register(
        "provide-client-params.cloudformation.CreateChangeSet",
        lambda params, **_: bodies.append(params["TemplateBody"]),
    )
    aws.stub("cloudformation").add_response(
        "create_change_set",
        CREATED,
        {
            **dict.fromkeys(
                ("StackName", "ChangeSetName", "ChangeSetType", "TemplateBody", "Parameters"), ANY
            ),
            "Capabilities": ANY,
            "ImportExistingResources": True,
            "Tags": [*earlier, {"Key": "CostCenter", "Value": "42"}],
        },
    )
    aws.change_set("CREATE_COMPLETE")
    aws.resources()
    up.plan(aws, "lab", {}, {"CostCenter": "42"})
    assert 'spikeinterface-cloud, "Owner": "a", "CostCenter": "42", Stack:' in bodies[0]


@pytest.mark.parametrize(
    ("tags", "problem"),
    [
        ({"stack": "x"}, "--tag: stack is this program's own tag; choose another name"),
        ({"spikeinterface-cloud-job": "x"}, "spikeinterface-cloud-job is this program's own tag"),
        ({"aws:owner": "x"}, "begins with aws:, which only AWS may use"),
        ({"Owner": "x" * 300}, "is too long"),
    ],
)
def test_tags_that_cannot_be_set_are_refused(tags: dict[str, str], problem: str) -> None:
    with pytest.raises(ParameterError, match=problem) as refused:
        choose_tags({}, tags)
    assert refused.value.exit_code == 2


def test_tags_of_aws_and_of_this_program_are_not_taken_for_the_users() -> None:
    previous = {"aws:cloudformation:x": "1", "Project": "spikeinterface-cloud", "Owner": "a"}
    assert choose_tags(previous, {"Owner": "b"}) == {"Owner": "b"}


@pytest.mark.parametrize("partition", ["aws-us-gov", "aws-cn"])
def test_every_arn_is_of_the_partition_of_the_region(partition: str) -> None:
    template = Template(body=TEMPLATE_FILE.read_text(), defaults=DEFAULTS)
    assert "arn:aws:s3:::" in template.body
    body = with_partition(template, partition).body
    assert "arn:aws:" not in body
    assert body.count(f"arn:{partition}:s3:::") == template.body.count("arn:aws:s3:::")
    assert with_partition(template, "aws") == template


def test_every_role_has_the_permissions_boundary() -> None:
    roles = of_type("AWS::IAM::Role")
    assert len(roles) == 4
    for role in roles.values():
        condition, boundary, none = role["Properties"]["PermissionsBoundary"]["Fn::If"]
        assert (condition, boundary) == ("HasBoundary", {"Ref": "PermissionsBoundaryArn"})
        assert none == {"Ref": "AWS::NoValue"}


# ----- names -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bucket", "name"), [("", "lab-123456789012-eu-west-1"), ("my-results", "my-results")]
)
def test_retained_resources_have_literal_names(bucket: str, name: str) -> None:
    """CloudFormation takes up nothing whose name is a function."""
    template = Template(body=TEMPLATE_FILE.read_text(), defaults=DEFAULTS)
    values = {**DEFAULTS, "RepositoryName": "sorting", "ResultsBucketName": bucket}
    body = with_static_names(template, values, "lab", "123456789012", "eu-west-1").body
    assert f"BucketName: {name}\n" in body
    assert 'RepositoryName: "sorting"\n' in body
    assert "LogGroupName: /aws/batch/lab\n" in body
