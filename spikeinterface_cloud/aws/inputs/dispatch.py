"""The recordings that the options list; each kind of list is imported only when it is needed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from spikeinterface_cloud.aws.cli.values import ListOptions
from spikeinterface_cloud.aws.inputs.recording_list import Listing
from spikeinterface_cloud.aws.session import AwsSession
from spikeinterface_cloud.config.locations import S3Location


def dandi_api_key(environ: Mapping[str, str]) -> SecretStr | None:
    """Return the key that embargoed dandisets are listed with, if there is one."""
    key = environ.get("DANDI_API_KEY", "").strip()
    return SecretStr(key) if key else None


def listed_recordings(
    options: ListOptions, session: AwsSession, key: SecretStr | None, target: S3Location | None
) -> Listing:
    """List the recordings that the options name, except for what lies at the target."""
    if options.dandiset:
        from spikeinterface_cloud.aws.inputs.dandiset import dandiset_recordings

        return dandiset_recordings(options.dandiset, options.glob, key)
    if options.source_prefix:
        from spikeinterface_cloud.aws.inputs.s3_prefix import prefix_recordings

        return prefix_recordings(session.storage, options.source_prefix, options.match, target)
    from spikeinterface_cloud.aws.inputs.csv_table import csv_recordings

    assert options.csv is not None
    return csv_recordings(Path(options.csv))
