"""Secrets for every variable that holds one, and the search for them in all output."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

#: made up, each unlike anything else that a job writes
PLANTED: Mapping[str, str] = {
    "AWS_ACCESS_KEY_ID": "AKIAPLANTEDPLANTED00",
    "AWS_SECRET_ACCESS_KEY": "planted+secret/key0123456789012345678901",
    "AWS_SESSION_TOKEN": "planted/session+token==of-temporary-credentials",
    "DANDI_API_KEY": "0123456789abcdefplanted0dandi0key0123456",
}


def leaks(text: str | bytes) -> list[str]:
    """Return the variables whose secret a text contains, plain or encoded."""
    data = text.encode() if isinstance(text, str) else text
    return [
        name
        for name, secret in PLANTED.items()
        if any(form.encode() in data for form in _forms(secret))
    ]


def leaking_files(folder: Path) -> dict[str, list[str]]:
    """Return the files below a folder whose content or name contains a secret."""
    found = {}
    for file in sorted(folder.rglob("*")):
        content = file.read_bytes() if file.is_file() else b""
        if names := leaks(str(file)) + leaks(content):
            found[str(file.relative_to(folder))] = names
    return found


def leaking_objects(client: Any, bucket: str) -> dict[str, list[str]]:
    """Return the objects of a bucket whose content, key or metadata contains a secret."""
    found = {}
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for entry in page.get("Contents", []):
            reply = client.get_object(Bucket=bucket, Key=entry["Key"])
            described = f"{entry['Key']} {reply['Metadata']}"
            if names := leaks(described) + leaks(reply["Body"].read()):
                found[entry["Key"]] = names
    return found


def _forms(secret: str) -> set[str]:
    encoded = base64.b64encode(secret.encode()).decode().rstrip("=")
    return {secret, quote(secret, safe=""), quote_plus(secret), encoded, secret[::-1]}
