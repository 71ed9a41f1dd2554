"""`submit_job.py infra` as a user types it, in an empty account over HTTP."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from spikeinterface_cloud import __version__
from tests.support.account_server import ROLE, WITHOUT_CONTAINERS, account_server
from tests.support.batch_server import AwsServer
from tests.support.laptop import PROGRAM, Laptop
from tests.support.servers import S3Server, access_to, client_of
from tests.support.template import TEMPLATE

pytestmark = pytest.mark.integration

STACK = ("--stack", "lab")

#: characters of a managed policy at most, spaces aside
POLICY_LENGTH = 6144

#: of an image without layers
MANIFEST = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {"mediaType": "application/json", "size": 2, "digest": f"sha256:{'0' * 64}"},
        "layers": [],
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """An account, a laptop, and what the commands of the story said, in order."""

    server: S3Server
    laptop: Laptop
    #: without it moto's CloudFormation makes no compute environment; AWS has such a role by itself
    role: tuple[str, ...]

    def client(self, service: str) -> Any:
        """A boto3 client of the account."""
        return client_of(access_to(self.server.url), service)

    def infra(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of `infra`."""
        return self.laptop.run("infra", *arguments)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with account_server("127.0.0.1", WITHOUT_CONTAINERS) as server:
        laptop = Laptop(folder=tmp_path_factory.mktemp("laptop"), server=server)
        iam = client_of(access_to(server.url), "iam")
        arn = iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument="{}")["Role"]["Arn"]
        yield Account(
            server=server, laptop=laptop, role=("--parameter", f"BatchServiceRoleArn={arn}")
        )


@pytest.fixture(scope="module")
def dry(lab: Account) -> subprocess.CompletedProcess[str]:
    """A dry run in the empty account."""
    done = lab.infra("up", *STACK, *lab.role, "--dry-run", "--json")
    assert lab.client("cloudformation").describe_stacks()["Stacks"] == []
    return done


@pytest.fixture(scope="module")
def declined(lab: Account, dry: object) -> tuple[int, str]:
    """The question, answered with no."""
    done = lab.laptop.answer("n", "infra", "up", *STACK, *lab.role)
    assert lab.client("cloudformation").describe_stacks()["Stacks"] == []
    return done


@pytest.fixture(scope="module")
def made(lab: Account, declined: object) -> dict[str, Any]:
    """The stack, as `infra up` tells of it."""
    sources = ("--parameter", "SourceBuckets=lab-data,more-data")
    done = lab.infra("up", *STACK, *lab.role, *sources, "--yes", "--json")
    assert done.returncode == 0, done.stderr
    assert "submit to it with --stack lab, or SPIKEINTERFACE_CLOUD_STACK=lab in .env" in done.stderr
    return dict(json.loads(done.stdout))


def test_a_dry_run_shows_changes_and_cost_and_leaves_nothing(
    dry: subprocess.CompletedProcess[str],
) -> None:
    assert dry.returncode == 0, dry.stderr
    lines = dry.stderr.splitlines()
    assert lines[-1] == "this was a dry run; nothing was changed"
    for name, resource in TEMPLATE["Resources"].items():
        assert any(line.split() == ["Add", resource["Type"], name] for line in lines), name
    assert any(line.startswith("while no job runs: 0.00 USD per month") for line in lines)
    plan = json.loads(dry.stdout)
    assert plan["idleUsdPerMonth"] == 0
    assert plan["idleUsdPerGbMonth"] == {"images": 0.1, "results": 0.023, "logs": 0.03}
    assert plan["parameters"]["ImageTag"] == __version__


def test_a_no_leaves_nothing(declined: tuple[int, str]) -> None:
    code, shown = declined
    assert code == 1
    assert "Make these changes? [y/N]: " in shown
    assert shown.index("while no job runs") < shown.index("Make these changes?")


def test_missing_stack_is_reported_with_remedy(lab: Account, dry: object) -> None:
    done = lab.infra("status", "--stack", "nowhere")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "Error: there is no stack nowhere in us-east-1; create it with "
        f"`python {PROGRAM} infra up --stack nowhere`, or check --stack, --region and --profile\n"
    )
    done = lab.infra("down", "--stack", "nowhere", "--yes")
    assert (done.returncode, done.stderr) == (
        0,
        "there is no stack nowhere; nothing was deleted\n",
    )


def test_up_creates_the_stack_and_prints_its_outputs(made: dict[str, Any]) -> None:
    assert (made["stack"], made["status"]) == ("lab", "CREATE_COMPLETE")
    assert made["outputs"].keys() == TEMPLATE["Outputs"].keys()
    assert made["outputs"]["ResultsBucket"] == "lab-123456789012-us-east-1"
    assert made["outputs"]["JobQueue"].endswith(":job-queue/lab-spot")
    repository = made["outputs"]["RepositoryUri"]
    assert made["images"] == {
        f"{repository}:{__version__}-gpu": False,
        f"{repository}:{__version__}": False,
    }


def test_an_image_can_be_built_in_the_stack(made: dict[str, Any], lab: Account) -> None:
    done = lab.infra("build", *STACK, "--gpu", "--json", "--poll-interval", "0.05")
    assert done.returncode == 0, done.stderr
    built = json.loads(done.stdout)
    assert built["image"] == f"{made['outputs']['RepositoryUri']}:{__version__}-gpu"
    assert built["buildId"].startswith(f"{made['outputs']['BuildProject']}:")
    assert done.stderr.splitlines()[-1] == "jobs run it from now on; submit them with --stack lab"


def test_up_offers_to_build_the_image_that_is_missing(made: dict[str, Any], lab: Account) -> None:
    question = (
        "Build the GPU image in the account now (0.01 USD per minute, at most an hour)? [y/N]: "
    )
    code, shown = lab.laptop.answer("n", "infra", "up", *STACK)
    assert (code, shown.count(question)) == (0, 1)
    assert "codebuild" not in shown.partition(question)[2].lower()
    code, shown = lab.laptop.answer("y", "infra", "up", *STACK, "--poll-interval", "0.05")
    assert code == 0, shown
    assert f"build {made['outputs']['GpuImageUri']} by the CodeBuild project lab-image" in shown


def test_the_subnets_are_in_zones_that_offer_every_machine(
    made: dict[str, Any], lab: Account
) -> None:
    ec2 = lab.client("ec2")
    [vpc] = [
        vpc["VpcId"]
        for vpc in ec2.describe_vpcs()["Vpcs"]
        if any(tag["Value"] == "lab" for tag in vpc.get("Tags", ()))
    ]
    subnets = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["Subnets"]
    zones = {subnet["AvailabilityZone"] for subnet in subnets}
    assert len(zones) == 3
    types = made["parameters"]["GpuInstanceTypes"].split(",")
    for zone in zones:
        filters = [
            {"Name": "location", "Values": [zone]},
            {"Name": "instance-type", "Values": types},
        ]
        offers = ec2.describe_instance_type_offerings(
            LocationType="availability-zone", Filters=filters
        )["InstanceTypeOfferings"]
        assert len(offers) == len(types)


def test_the_bucket_is_encrypted(made: dict[str, Any], lab: Account) -> None:
    found = lab.client("s3").get_bucket_encryption(Bucket=made["outputs"]["ResultsBucket"])
    [rule] = found["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"


def test_jobs_may_read_the_sources_and_nothing_else(made: dict[str, Any], lab: Account) -> None:
    role = made["outputs"]["JobRoleArn"].rpartition("/")[2]
    iam = lab.client("iam")
    policies = iam.list_role_policies(RoleName=role)["PolicyNames"]
    assert sorted(policies) == ["results", "sources"]
    policy = iam.get_role_policy(RoleName=role, PolicyName="sources")["PolicyDocument"]
    listing, reading = policy["Statement"]
    assert listing["Resource"] == ["arn:aws:s3:::lab-data", "arn:aws:s3:::more-data"]
    assert reading["Resource"] == ["arn:aws:s3:::lab-data/*", "arn:aws:s3:::more-data/*"]


def test_the_submitter_s_policy_is_small_enough_for_iam(made: dict[str, Any], lab: Account) -> None:
    iam, arn = lab.client("iam"), made["outputs"]["SubmitterPolicyArn"]
    document = iam.get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]["Document"]
    assert len(json.dumps(document, separators=(",", ":"))) < POLICY_LENGTH


def job(name: str, bucket: str) -> tuple[str, ...]:
    return (
        *("--source", f"s3://lab-data/{name}", "--data-type", "spikeglx", "--sorters", "simple"),
        *("--target", f"s3://{bucket}/{name}"),
    )


@pytest.mark.parametrize(
    ("on", "queue", "definition"),
    [
        ((), "lab-spot", "lab-gpu:1"),
        (("--compute", "on-demand"), "lab-on-demand", "lab-gpu:1"),
        (("--compute", "cpu"), "lab-cpu", "lab-cpu:1"),
    ],
)
def test_a_job_goes_to_the_stack_and_can_be_looked_after(
    made: dict[str, Any], lab: Account, on: tuple[str, ...], queue: str, definition: str
) -> None:
    laptop = lab.laptop
    submitted = laptop.run(*job(queue, made["outputs"]["ResultsBucket"]), *STACK, *on)
    assert submitted.returncode == 0, submitted.stderr
    job_id = submitted.stdout.strip()
    [described] = lab.client("batch").describe_jobs(jobs=[job_id])["jobs"]
    assert described["jobQueue"].endswith(f"/{queue}")
    assert described["jobDefinition"].endswith(f"/{definition}")
    status = laptop.run("status", job_id, "--json")
    assert json.loads(status.stdout)[0]["status"] == "SUCCEEDED", status.stderr
    listed = laptop.run("list", *STACK, *on, "--json")
    assert [each["jobId"] for each in json.loads(listed.stdout)] == [job_id], listed.stderr
    logs = laptop.run("logs", job_id)  # moto starts no container here, so there is none
    assert logs.returncode == 0
    assert logs.stderr.startswith(f"no log in /aws/batch/job; {job_id} is SUCCEEDED")


def test_the_definitions_are_those_of_the_template(made: dict[str, Any], lab: Account) -> None:
    arn = made["outputs"]["JobDefinition"]
    [definition] = lab.client("batch").describe_job_definitions(jobDefinitions=[arn])[
        "jobDefinitions"
    ]
    container = definition["containerProperties"]
    assert container["image"] == f"{made['outputs']['RepositoryUri']}:{__version__}-gpu"
    assert container["jobRoleArn"] == made["outputs"]["JobRoleArn"]
    options = container["logConfiguration"]["options"]
    assert options["awslogs-group"] == made["outputs"]["LogGroup"] == "/aws/batch/lab"
    assert "executionRoleArn" not in container


def test_up_again_changes_nothing(made: dict[str, Any], lab: Account) -> None:
    done = lab.infra("up", *STACK, "--yes", "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == "the stack lab is up to date; nothing was changed\n"
    assert json.loads(done.stdout) == made


def test_status_knows_the_images_that_are_there(made: dict[str, Any], lab: Account) -> None:
    lab.client("ecr").put_image(
        repositoryName="spikeinterface-cloud",
        imageManifest=MANIFEST,
        imageTag=f"{__version__}-gpu",
    )
    done = lab.infra("status", *STACK)
    assert done.returncode == 0, done.stderr
    uri = made["outputs"]["RepositoryUri"]
    assert f"image {uri}:{__version__}-gpu exists\n" in done.stdout
    assert re.search(
        rf"^image {uri}:{__version__} is missing; build it: .*infra build --stack lab$",
        done.stdout,
        re.MULTILINE,
    )
    assert re.search(r"^  JobQueue +arn:aws:batch:us-east-1:", done.stdout, re.MULTILINE)


# ----- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["up"], "there is no terminal for the question; add --yes to continue without it"),
        (["down"], "there is no terminal for the question; add --yes to continue without it"),
        (["up", "--yes", "--stack", "My Lab"], "'My Lab' is not a valid name; begin with a lower"),
        (["up", "--yes", "--parameter", "MaxVcpus"], "'MaxVcpus' is not of the form NAME=VALUE."),
        (
            ["up", "--yes", "--parameter", "MaxVcpu=64"],
            "Error: --parameter: the template has no parameter MaxVcpu; did you mean MaxVcpus?",
        ),
        (
            ["up", "--yes", "--parameter", "MaxVcpus=64", "--parameter", "MaxVcpus=128"],
            "Invalid value for '--parameter': MaxVcpus is given twice, with different values;",
        ),
        (
            ["up", "--yes", "--tag", "Owner=a", "--tag", "Owner=b"],
            "Invalid value for '--tag': Owner is given twice, with different values; give it once.",
        ),
        (["up", "--yes", "--image", "My Image"], "--image: 'My Image' is not an image of a reg"),
        (["pu"], "No such command 'pu'."),
    ],
)
def test_a_fault_of_the_command_line_ends_with_2(
    lab: Account, arguments: list[str], message: str
) -> None:
    done = lab.infra(*arguments)
    assert message in done.stderr
    assert (done.returncode, done.stdout) == (2, "")


def test_machines_that_the_region_does_not_offer_are_refused_before_anything_is_made(
    lab: Account, dry: object
) -> None:
    types = "GpuInstanceTypes=g4dn.2xlarge,g99.2xlarge"
    done = lab.infra("up", "--stack", "elsewhere", "--yes", "--parameter", types)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "Error: us-east-1 does not offer g99.2xlarge; choose others with "
        "--parameter GpuInstanceTypes=... and --parameter CpuInstanceTypes=..., or "
        "another --region\n"
    )
    assert lab.infra("status", "--stack", "elsewhere").returncode == 1


@pytest.mark.parametrize("command", [["up", "--yes"], ["down", "--yes"], ["status"]])
def test_a_stack_of_somebody_else_is_left_alone(lab: Account, command: list[str]) -> None:
    cloudformation = lab.client("cloudformation")
    name = f"theirs-{command[0]}"
    template = {"Description": "Theirs", "Resources": {"B": {"Type": "AWS::SNS::Topic"}}}
    cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(template))
    done = lab.infra(*command, "--stack", name)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"Error: the stack {name} was not created from this project's template; "
        "choose another name with --stack\n"
    )
    [stack] = cloudformation.describe_stacks(StackName=name)["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"


@pytest.mark.parametrize(
    ("action", "code", "said", "message"),
    [
        (
            "CreateChangeSet",
            "AccessDenied",
            "User: me is not authorized to perform: cloudformation:CreateChangeSet on resource: x",
            "allow you cloudformation:CreateChangeSet, or use another --profile",
        ),
        (
            "CreateChangeSet",
            "ValidationError",
            "Parameter 'ScratchMode' must be one of AllowedValues",
            "must be one of AllowedValues; change it with --parameter NAME=VALUE",
        ),
        (
            "CreateChangeSet",
            "AlreadyExistsException",
            "Stack [refused] already exists",
            "already exists; that name is taken by something else: choose another with",
        ),
        (
            "DescribeStacks",
            "ExpiredToken",
            "The security token included in the request is expired",
            "AWS refused the credentials (ExpiredToken: The security token included in the request "
            "is expired); run `aws configure` or `aws sso login`",
        ),
        (
            "GetTemplateSummary",
            "InternalFailure",
            "oops",
            "cannot read the template: the server failed (InternalFailure: oops), after ",
        ),
    ],
)
def test_aws_error_is_one_line_with_remedy(
    tmp_path: Path, aws: AwsServer, action: str, code: str, said: str, message: str
) -> None:
    aws.refuse(action, code, said)
    done = Laptop(folder=tmp_path, server=aws).run("infra", "up", "--yes", "--stack", "refused")
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("Error: cannot ")
    assert message in line


# ----- down --------------------------------------------------------------------------------------


def test_down_deletes_the_stack_but_no_results_and_no_images(
    lab: Account, made: dict[str, Any]
) -> None:
    """In a network of the user's own, as moto cannot delete one that it has made itself."""
    ec2, s3, ecr = (lab.client(service) for service in ("ec2", "s3", "ecr"))
    vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.1.0.0/20")["Subnet"]["SubnetId"]
    network = ("--parameter", f"VpcId={vpc}", "--parameter", f"SubnetIds={subnet}")
    up = lab.infra(
        *("up", "--stack", "own", "--yes", *lab.role, *network, "--json"),
        *("--parameter", "RepositoryName=own-images"),
    )
    assert up.returncode == 0, up.stderr
    bucket = json.loads(up.stdout)["outputs"]["ResultsBucket"]
    s3.put_object(Bucket=bucket, Key="session1/run.json", Body=b"{}")
    ecr.put_image(repositoryName="own-images", imageManifest=MANIFEST, imageTag="1")

    dry = lab.infra("down", "--stack", "own", "--dry-run")
    assert dry.returncode == 0
    assert dry.stderr.splitlines()[-1] == "this was a dry run; nothing was deleted"
    assert lab.infra("status", "--stack", "own").returncode == 0

    down = lab.infra("down", "--stack", "own", "--yes")
    assert down.returncode == 0, down.stderr
    after = down.stderr.partition("the stack own is deleted\n")[2].splitlines()
    assert after == [
        "kept until you delete them yourself (`infra up` uses them again):",
        f"  the results in {bucket}: aws s3 rb --force s3://{bucket}",
        "  the images in own-images: "
        "aws ecr delete-repository --force --repository-name own-images",
        "  the logs in /aws/batch/own: aws logs delete-log-group --log-group-name /aws/batch/own",
    ]
    assert lab.infra("status", "--stack", "own").returncode == 1
    assert s3.get_object(Bucket=bucket, Key="session1/run.json")["Body"].read() == b"{}"
    assert len(ecr.list_images(repositoryName="own-images")["imageIds"]) == 1
