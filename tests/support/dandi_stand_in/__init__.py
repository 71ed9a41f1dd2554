"""A stand-in for the DANDI archive: its API on one port, its blob store on another, both real HTTP.

It answers what the archive answers: embargo on every endpoint, prefix and glob searches, pages,
redirects to signed URLs that serve for GET only, ranges, and ETags that are DANDI's own digests.
Faults are injected by request, and every request is recorded.

    with DandiStandIn() as archive:
        asset = archive.add_asset("000123", "sub-1/sub-1_ecephys.nwb", file, embargoed=True)
        archive.asset_url(asset), archive.web_url("000123", asset.path), archive.blob_url(asset)
"""

from tests.support.dandi_stand_in.archive import DandiStandIn
from tests.support.dandi_stand_in.records import (
    BUCKET,
    OWNER_KEY,
    PENDING_KEY,
    STRANGER_KEY,
    Asset,
    Fault,
    Request,
)

__all__ = [
    "BUCKET",
    "OWNER_KEY",
    "PENDING_KEY",
    "STRANGER_KEY",
    "Asset",
    "DandiStandIn",
    "Fault",
    "Request",
]
