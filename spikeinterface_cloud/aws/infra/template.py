"""The template, and the values of its parameters."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from spikeinterface_cloud import __version__
from spikeinterface_cloud.aws.batch.job_hash import IDENTITY_TAG
from spikeinterface_cloud.aws.batch.limits import tag_problems
from spikeinterface_cloud.aws_errors import AwsError, translate_errors, translate_stack_errors
from spikeinterface_cloud.config.parsing import nearest
from spikeinterface_cloud.errors import CloudJobError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_ec2 import EC2Client

TEMPLATE_FILE = Path(__file__).with_name("cloudformation.yaml")

#: the parameter that follows this program's version, like `make push`
IMAGE_TAG = "ImageTag"

#: the tags that the template and `change_set` set
OWN_TAGS = ("Project", "Stack", "Name")

#: the zones of the stack's own subnets, which cannot move later
ZONES = ("FirstZone", "SecondZone", "ThirdZone")
SUBNETS = "SubnetIds"
#: the type of a zone that is neither a Local nor a Wavelength Zone
REGIONAL = "availability-zone"

#: the template needs two or three subnets
FEWEST = 2

INSTANCE_TYPES = ("GpuInstanceTypes", "CpuInstanceTypes")


class ParameterError(CloudJobError, ValueError):
    """A parameter that the template does not have; a fault of the command line (2)."""

    exit_code = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Template:
    """A template, as read by CloudFormation."""

    body: str
    #: the default of each parameter, by name
    defaults: Mapping[str, str]


def read_template(cloudformation: CloudFormationClient) -> Template:
    """Return the project's template with its parameters."""
    body = TEMPLATE_FILE.read_text(encoding="utf-8")
    with translate_stack_errors("read the template"):
        summary = cloudformation.get_template_summary(TemplateBody=body)
    defaults = {
        parameter["ParameterKey"]: parameter.get("DefaultValue", "")
        for parameter in summary["Parameters"]
    }
    return Template(body=body, defaults=defaults)


@cache
def default_number(parameter: str) -> int:
    """Return the default of a parameter that is a number, without AWS, which reads the YAML."""
    body = TEMPLATE_FILE.read_text(encoding="utf-8")
    found = re.search(rf"^  {parameter}:\n(?:    .*\n)*?    Default: (\d+)$", body, re.MULTILINE)
    assert found is not None
    return int(found[1])


def choose_values(
    template: Template, given: Mapping[str, str], previous: Mapping[str, str]
) -> dict[str, str]:
    """Return the value of every parameter: the given one, the previous one, or the default.

    The image tag is this program's version unless given, so that `infra up` after an update of the
    program moves the job definitions to the new images. Raises ParameterError (with a line for each
    name that the template lacks).
    """
    unknown = [name for name in given if name not in template.defaults]
    if unknown:
        raise ParameterError(
            "\n".join(
                f"--parameter: the template has no parameter {name}"
                f"{nearest(name, template.defaults) or '; docs/reference/template.md lists them'}"
                for name in unknown
            )
        )
    kept = {name: value for name, value in previous.items() if name in template.defaults}
    return {**template.defaults, **kept, IMAGE_TAG: __version__, **given}


def with_static_names(
    template: Template, values: Mapping[str, str], stack: str, account: str, region: str
) -> Template:
    """Return the template with literal names for the resources that outlive the stack.

    CloudFormation imports an existing resource only if its name is not a function:
    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/import-resources-automatically.html
    """
    bucket = values["ResultsBucketName"] or f"{stack}-{account}-{region}"
    names = {
        "RepositoryName: !Ref RepositoryName\n": f'RepositoryName: "{values["RepositoryName"]}"\n',
        "LogGroupName: !Sub /aws/batch/${AWS::StackName}\n": f"LogGroupName: /aws/batch/{stack}\n",
        "BucketName: !If\n"
        "        - NamesResultsBucket\n"
        "        - !Ref ResultsBucketName\n"
        "        - !Sub ${AWS::StackName}-${AWS::AccountId}-${AWS::Region}\n": (
            f"BucketName: {bucket}\n"
        ),
    }
    body = template.body
    for function, name in names.items():
        assert body.count(function) == 1, f"the template has another name: {function}"
        body = body.replace(function, name)
    return replace(template, body=body)


def choose_tags(previous: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """Return the user's tags: those of the existing stack, and the given ones.

    Raises ParameterError (AWS or this program does not take a tag; with every one, a line each).
    """
    problems = list(tag_problems(given))
    own = {name.lower() for name in (*OWN_TAGS, IDENTITY_TAG)}
    problems += [
        f"--tag: {name} is this program's own tag; choose another name"
        for name in given
        if name.lower() in own
    ]
    if problems:
        raise ParameterError("\n".join(problems))
    kept = {
        name: tag
        for name, tag in previous.items()
        if name not in OWN_TAGS and not name.startswith("aws:")
    }
    return {**kept, **given}


def with_tags(template: Template, tags: Mapping[str, str]) -> Template:
    """Return the template with tags where a stack's own do not reach: instances, volumes, jobs."""
    mapping = "".join(f", {json.dumps(name)}: {json.dumps(tag)}" for name, tag in tags.items())
    items = "".join(
        f"\n              - {{Key: {json.dumps(name)}, Value: {json.dumps(tag)}}}"
        for name, tag in tags.items()
    )
    body = template.body
    for own, more in (
        ("{Project: spikeinterface-cloud", mapping),
        ("- {Key: Project, Value: spikeinterface-cloud}", items),
    ):
        assert own in body, f"the template has no tags like {own}"
        body = body.replace(own, own + more)
    return replace(template, body=body)


def with_partition(template: Template, partition: str) -> Template:
    """Return the template with the ARNs of buckets in the partition, like `aws-us-gov`.

    `!Join` takes no function as its delimiter, so the template cannot do this itself.
    """
    return replace(template, body=template.body.replace("arn:aws:s3:::", f"arn:{partition}:s3:::"))


def needs_zones(values: Mapping[str, str]) -> bool:
    """Return whether zones for the stack's own subnets have to be chosen."""
    return not values[SUBNETS] and not any(values[zone] for zone in ZONES)


def instance_types(values: Mapping[str, str]) -> Sequence[str]:
    """Return the instance types of all compute environments."""
    listed = ",".join(values[name] for name in INSTANCE_TYPES)
    return [name.strip() for name in listed.split(",") if name.strip()]


def choose_zones(ec2: EC2Client, types: Sequence[str]) -> Mapping[str, str]:
    """Return the zones that offer most of these types, as the template's parameters.

    Raises AwsError (the region offers a type in no zone, offers them in fewer than two, or AWS does
    not answer).
    """
    offered = _offers(ec2, types)
    region = ec2.meta.region_name
    offered_types = {kind for kinds in offered.values() for kind in kinds}
    if missing := sorted(set(types) - offered_types):
        raise AwsError(
            f"{region} does not offer {', '.join(missing)}; choose others with "
            "--parameter GpuInstanceTypes=... and --parameter CpuInstanceTypes=..., or "
            "another --region"
        )
    counts = Counter({zone: len(kinds) for zone, kinds in offered.items()})
    best = sorted(sorted(counts), key=lambda zone: -counts[zone])[: len(ZONES)]
    if len(best) < FEWEST:
        raise AwsError(
            f"{region} offers these instance types in {', '.join(best)} only, but the stack needs "
            "two zones; choose another --region, or give --parameter VpcId=... and "
            "--parameter SubnetIds=..."
        )
    return dict(zip(ZONES, [*sorted(best), *[""] * len(ZONES)], strict=False))


def _offers(ec2: EC2Client, types: Sequence[str]) -> dict[str, set[str]]:
    """Return the types that each zone offers, without Local and Wavelength Zones."""
    pages = ec2.get_paginator("describe_instance_type_offerings").paginate(
        LocationType="availability-zone",
        Filters=[{"Name": "instance-type", "Values": list(types)}],
    )
    found: dict[str, set[str]] = {}
    with translate_errors("list the zones that offer the instance types"):
        zones = ec2.describe_availability_zones()["AvailabilityZones"]
        local = {zone["ZoneName"] for zone in zones if zone.get("ZoneType", REGIONAL) != REGIONAL}
        for page in pages:
            for offer in page["InstanceTypeOfferings"]:
                if offer["Location"] in local:
                    continue
                found.setdefault(offer["Location"], set()).add(offer["InstanceType"])
    return found
