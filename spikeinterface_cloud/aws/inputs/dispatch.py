"""The recordings that the options list; each kind of list is imported only when it is needed."""

from __future__ import annotations

from pathlib import Path

from spikeinterface_cloud.aws.cli.values import ListOptions
from spikeinterface_cloud.aws.inputs.recording_list import Listing
from spikeinterface_cloud.aws.session import AwsSession
from spikeinterface_cloud.config.locations import S3Location
from spikeinterface_cloud.config.settings import DandiAccess


def listed_recordings(
    options: ListOptions, session: AwsSession, dandi: DandiAccess, target: S3Location | None
) -> Listing:
    """List the recordings that the options name, except for what lies at the target."""
    if options.dandiset:
        from spikeinterface_cloud.aws.inputs.dandiset import dandiset_recordings

        return dandiset_recordings(options.dandiset, options.glob, dandi)
    if options.source_prefix:
        from spikeinterface_cloud.aws.inputs.s3_prefix import prefix_recordings

        return prefix_recordings(session.storage, options.source_prefix, options.match, target)
    from spikeinterface_cloud.aws.inputs.csv_table import csv_recordings

    assert options.csv is not None
    return csv_recordings(Path(options.csv))
