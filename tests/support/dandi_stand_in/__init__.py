"""A stand-in for the DANDI archive: its API on one port, its blob store on another, both real HTTP.

It answers what the archive answers: embargo on every endpoint, prefix and glob searches, pages,
redirects to signed URLs that serve for GET only, ranges, and ETags that are DANDI's own digests.
Faults are injected by request, and every request is recorded.

    with DandiStandIn() as archive:
        asset = archive.add_asset("000123", "sub-1/sub-1_ecephys.nwb", file, embargoed=True)
        archive.asset_url(asset), archive.web_url("000123", asset.path), archive.blob_url(asset)

A Zarr folder, as hdmf-zarr writes it, is an asset like this; a job reads it by the same variables:

    asset = archive.add_zarr("000123", "sub-1/sub-1_ecephys.nwb.zarr", folder)
    environment |= archive.variables(asset)  # with DANDI_API_KEY=OWNER_KEY if it is embargoed

What of the real archive's Zarrs is not modelled is said in zarr.py.
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
