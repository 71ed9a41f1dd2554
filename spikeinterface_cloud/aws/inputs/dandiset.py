"""The recordings of a dandiset."""

from __future__ import annotations

from collections.abc import Iterator, Set
from contextlib import contextmanager
from typing import TYPE_CHECKING

from spikeinterface_cloud.aws.inputs.recording_list import ListedRecording, Listing
from spikeinterface_cloud.errors import SourceError, UnavailableError

if TYPE_CHECKING:
    from spikeinterface_cloud.config.locations import DandiAsset
    from spikeinterface_cloud.config.settings import DandiAccess
    from spikeinterface_cloud.dandi.listing import ListedAsset

#: every NWB asset: `.nwb` and `.nwb.zarr`
DEFAULT_PATTERN = "*.nwb*"


def dandiset_recordings(dandiset: str, pattern: str | None, access: DandiAccess) -> Listing:
    """Return the NWB assets of `dandiset` whose path matches, which also names their results.

    Raises UnavailableError if DANDI's client is not installed.
    """
    pattern = pattern or DEFAULT_PATTERN
    with _client_needed("listing a dandiset"):
        from spikeinterface_cloud.dandi.listing import list_dandiset

        found = list_dandiset(dandiset, pattern, access)
    if not found.assets:
        left_out = [*found.without_recording, *found.others]
        others = f" (but {', '.join(left_out[:3])})" if left_out else ""
        raise SourceError(
            f"{dandiset} has no NWB file {pattern} with a recording{others}; check --glob"
        )
    notes = []
    if found.others:
        notes.append(
            f"left out files other than NWB: {len(found.others):,}, like {found.others[0]}"
        )
    if found.without_recording:
        notes.append(
            f"left out NWB files without a recording: {len(found.without_recording):,}, like "
            f"{found.without_recording[0]}"
        )
    if found.embargoed:
        notes.append(
            "the dandiset is embargoed: its jobs need DANDI_API_KEY as a secret of the job "
            "definition"
        )
    paths = {asset.path for asset in found.assets}
    return Listing(
        title=f"dandiset-{found.dandiset}",
        recordings=tuple(
            ListedRecording(
                label=asset.path,
                name=_result_name(asset.path, paths),
                variables={"DANDISET_S3_FILE_URL": asset.address},
                size_bytes=asset.size_bytes,
                zarr=asset.zarr,
            )
            for asset in found.assets
        ),
        notes=tuple(notes),
    )


def find_asset(asset: DandiAsset, access: DandiAccess) -> ListedAsset:
    """Return the asset that a name means, with its size."""
    with _client_needed("looking up an asset"):
        from spikeinterface_cloud.dandi.archive_assets import ArchiveZarr
        from spikeinterface_cloud.dandi.assets import resolve
        from spikeinterface_cloud.dandi.listing import ListedAsset

        found = resolve(asset, access)
    return ListedAsset(
        path=found.path,
        address=found.address,
        size_bytes=found.size_bytes,
        zarr=found.store if isinstance(found, ArchiveZarr) else None,
    )


@contextmanager
def _client_needed(what: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise UnavailableError(
            f"{what} needs DANDI's client ({error}); run `pip install dandi`"
        ) from error


def _result_name(path: str, paths: Set[str]) -> str:
    """Return the path without the format's ending, unless the other form of it is listed, too.

    >>> _result_name("sub-1/a.nwb.zarr", {"sub-1/a.nwb.zarr"})
    'sub-1/a'
    >>> _result_name("sub-1/a.nwb.zarr", {"sub-1/a.nwb.zarr", "sub-1/a.nwb"})
    'sub-1/a.nwb'
    """
    as_file = path.removesuffix(".zarr")
    if as_file != path and as_file in paths:
        return as_file
    return as_file.removesuffix(".nwb")
