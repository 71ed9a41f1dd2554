"""Replies that look like those of AWS, and are not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from botocore.parsers import ResponseParserError

if TYPE_CHECKING:
    from botocore.client import BaseClient
    from botocore.model import OperationModel


def refuse_foreign_replies(client: BaseClient) -> None:
    """Make a client raise ResponseParserError for a reply that did not come from AWS.

    The page of a proxy or of a login has status 200, and botocore reads it as an empty reply. (From
    S3, it takes a page that is not XML for a failure of the server.)
    """
    service = client.meta.service_model.service_id.hyphenize()
    client.meta.events.register(f"before-parse.{service}.*", _check_reply)


def _check_reply(
    operation_model: OperationModel, response_dict: Mapping[str, Any], **_: object
) -> None:
    body = response_dict["body"]  # bytes, or a stream
    if response_dict["status_code"] >= 300:
        return
    name = operation_model.name
    if name in ("GetObject", "HeadObject") and "last-modified" not in response_dict["headers"]:
        raise ResponseParserError(f"not a reply to {name}: it has no Last-Modified")
    if not isinstance(body, bytes) or not body.strip():
        return
    if "json" in operation_model.service_model.resolved_protocol:
        is_from_aws = _is_json_reply(body, operation_model)
    else:
        start = body.lstrip().lower()
        is_from_aws = start.startswith(b"<") and not start.startswith((b"<html", b"<!doctype html"))
    if not is_from_aws:
        raise ResponseParserError(f"not a reply to {operation_model.name}: {body[:80]!r}")


def _is_json_reply(body: bytes, operation_model: OperationModel) -> bool:
    try:
        reply = json.loads(body)
    except ValueError:
        return False
    shape = operation_model.output_shape
    members = shape.members if shape is not None else {}
    names = {member.serialization.get("name", name) for name, member in members.items()}
    return isinstance(reply, dict) and (not reply or not names or not names.isdisjoint(reply))
