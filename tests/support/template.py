"""The CloudFormation template, loaded with AWS's tags in their long form."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from spikeinterface_cloud.aws.infra.template import TEMPLATE_FILE


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # PyYAML has no types
    """Load `!Ref x` as `{"Ref": "x"}`, and `!Sub x` as `{"Fn::Sub": "x"}`."""


def _long_form(loader: _Loader, tag: str, node: yaml.Node) -> dict[str, Any]:
    name = tag if tag in ("Ref", "Condition") else f"Fn::{tag}"
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        return {name: value.split(".", 1) if tag == "GetAtt" else value}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    return {name: loader.construct_mapping(node, deep=True)}


_Loader.add_multi_constructor("!", _long_form)


def load(body: str) -> dict[str, Any]:
    """Return a template as a mapping."""
    return dict(yaml.load(body, Loader=_Loader))  # noqa: S506 -- a safe one


TEMPLATE = load(TEMPLATE_FILE.read_text())


def default(name: str) -> Any:
    """Return the default of a parameter."""
    return TEMPLATE["Parameters"][name]["Default"]


def of_type(kind: str) -> dict[str, dict[str, Any]]:
    """Return the resources of a type like `AWS::Batch::JobQueue`, by logical id."""
    return {
        name: resource
        for name, resource in TEMPLATE["Resources"].items()
        if resource["Type"] == kind
    }


def statements() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every policy statement with the logical id of its resource."""
    for name, resource in TEMPLATE["Resources"].items():
        properties = resource.get("Properties", {})
        documents = [policy["PolicyDocument"] for policy in properties.get("Policies", ())]
        if resource["Type"].startswith("AWS::IAM::") and "PolicyDocument" in properties:
            documents.append(properties["PolicyDocument"])
        for document in documents:
            for statement in document["Statement"]:
                yield name, statement


def listed(value: Any) -> list[Any]:
    """Return a list of what IAM accepts as one value or a list."""
    return value if isinstance(value, list) else [value]
