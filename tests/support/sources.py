"""Sources as the checks before a job see them, and how they are refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spikeinterface_cloud.config.locations import LocalFolder, S3Location
from spikeinterface_cloud.config.settings import AwsSettings, DandiAccess
from spikeinterface_cloud.errors import CloudJobError
from spikeinterface_cloud.recording.source import FoundSource, SourceRequest, find_source


def find(
    location: Path | S3Location, data_type: str, aws: AwsSettings | None = None, /, **kwargs: Any
) -> FoundSource:
    """Find the source, as the checks before a job do; `kwargs` are the reader's."""
    request = SourceRequest(
        location=LocalFolder(path=location) if isinstance(location, Path) else location,
        data_type=data_type,
        read_recording_kwargs=kwargs,
        probe_file=None,
    )
    return find_source(request, aws or AwsSettings(), DandiAccess())


def refusal(error: type[CloudJobError], run: Callable[[], object]) -> str:
    """Return the message, on one line, with which `run` is refused."""
    with pytest.raises(error) as raised:
        run()
    message = str(raised.value)
    assert "\n" not in message
    assert len(message) < 1000
    return message
