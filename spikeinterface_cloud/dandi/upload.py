"""Upload units to a draft dandiset, after checks of the key and of the file."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests

from spikeinterface_cloud.config.dandi_urls import parse_dandiset_name
from spikeinterface_cloud.dandi.blobs import send_blob
from spikeinterface_cloud.dandi.client import (
    BROKEN_ANSWER,
    authenticate,
    broken_answer,
    connect,
    describe_failure,
    is_retryable,
    quiet_client,
    reason_of,
)
from spikeinterface_cloud.dandi.instances import locate
from spikeinterface_cloud.errors import CloudJobError, TargetError, TransferError
from spikeinterface_cloud.storage.timeouts import NetworkTimeouts

if TYPE_CHECKING:
    from dandi.consts import DandiInstance
    from dandi.dandiapi import DandiAPIClient, RemoteDandiset
    from dandi.files import LocalFileAsset
    from pydantic import SecretStr

    from spikeinterface_cloud.config.settings import DandiAccess

logger = logging.getLogger(__name__)

#: an asset's metadata has it with the job's fingerprint
ACTIVITY = "spike sorting by SpikeInterface Cloud"

#: how many of a file's faults an error lists
LISTED = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """A draft dandiset that may be written."""

    instance: DandiInstance
    #: its number, like `000123`
    dandiset: str
    api_key: SecretStr = field(repr=False)

    def __str__(self) -> str:
        return f"dandiset {self.dandiset} on {self.instance.name}"


def find_draft(name: str, access: DandiAccess) -> Draft:
    """Check that there is such a dandiset, and that the key's owner may write its draft."""
    from dandi.consts import EmbargoStatus

    place = locate(parse_dandiset_name(name).url, access.instance_url)
    assert place.dandiset is not None
    assert access.api_key is not None
    draft = Draft(instance=place.instance, dandiset=place.dandiset, api_key=access.api_key)
    with _connected(draft) as (client, dandiset):
        if dandiset.embargo_status is EmbargoStatus.UNEMBARGOING:
            raise TargetError(
                f"TARGET_DANDISET: {draft} is being released from its embargo and takes no change "
                "until then; run the job again when its page shows it as open"
            )
        _check_owner(client, dandiset, draft)
    return draft


def validate(file: Path, asset_path: str) -> None:
    """Validate a file by the archive's own rules, as if it were at `asset_path` there."""
    from dandi.validate import Severity

    with _local_asset(file, asset_path) as asset:
        found = asset.get_validation_errors()
    faults = [each for each in found if each.severity and each.severity >= Severity.ERROR]
    for each in found:
        if each not in faults:
            logger.info("%s: %s: %s", asset_path, each.id, each.message)
    if faults:
        listed = "; ".join(f"{each.id}: {each.message}" for each in faults[:LISTED])
        raise TargetError(
            f"{asset_path} does not pass DANDI's validation: {listed}; correct the session and "
            "subject in the source, or leave TARGET_DANDISET out"
        )


def check_replaceable(draft: Draft, job: str, asset_path: str) -> None:
    """Refuse a path where the draft has an asset that is not of this job (TargetError)."""
    with _connected(draft) as (_, dandiset):
        _replaceable(dandiset, draft, asset_path, job)


def is_in_draft(draft: Draft, job: str, asset_path: str) -> bool:
    """Return whether the draft has this job's asset at the path."""
    with _connected(draft) as (_, dandiset):
        asset = _find(dandiset, asset_path)
        return asset is not None and job in _jobs(asset)


def upload(
    draft: Draft,
    file: Path,
    asset_path: str,
    job: str,
    *,
    overwrite: bool,
    timeouts: NetworkTimeouts | None = None,
) -> None:
    """Validate a file and put it into the draft, in place of what an earlier run has put there.

    An asset of another job that is there is refused without `overwrite`.

    Parameters
    ----------
    job
        the fingerprint of what the units are made of, which the asset is marked with
    """
    validate(file, asset_path)
    with _local_asset(file, asset_path) as asset:
        digest = asset.get_digest()
        described = asset.get_metadata(digest=digest)
    metadata = described.model_dump(mode="json", exclude_none=True)
    activity = {"schemaKey": "Activity", "name": ACTIVITY, "identifier": job}
    metadata["wasGeneratedBy"] = [*metadata.get("wasGeneratedBy", []), activity]
    metadata["schemaKey"] = "Asset"
    only_of = None if overwrite else job
    with _connected(draft, file) as (client, dandiset):
        _replaceable(dandiset, draft, asset_path, only_of)
        waits = timeouts or NetworkTimeouts()
        blob = send_blob(client, draft.dandiset, file, digest.value, waits)
        _put_asset(
            client,
            dandiset,
            partial(_replaceable, dandiset, draft, asset_path, only_of),
            {"metadata": metadata, "blob_id": blob},
        )
    logger.info("%s is in the draft of %s", asset_path, draft)


def _put_asset(
    client: DandiAPIClient,
    dandiset: RemoteDandiset,
    find_present: Callable[[], Any],
    content: dict[str, Any],
) -> None:
    """Add the asset to the draft or replace it; once more where the draft was changed meanwhile."""
    for is_last in (False, True):
        present = find_present()
        try:
            if present is None:
                client.post(f"{dandiset.version_api_path}assets/", json=content)
            else:
                client.put(present.api_path, json=content)
        except requests.HTTPError as error:
            status = None if error.response is None else error.response.status_code
            if is_last or status != (
                HTTPStatus.CONFLICT if present is None else HTTPStatus.NOT_FOUND
            ):
                raise
        else:
            return


@contextmanager
def _local_asset(file: Path, asset_path: str) -> Iterator[LocalFileAsset]:
    """Yield the client's asset of a file, linked from `asset_path` in a temporary dandiset."""
    from dandi.files import LocalFileAsset, dandi_file

    with tempfile.TemporaryDirectory() as folder:
        placed = Path(folder) / asset_path
        placed.parent.mkdir(parents=True)
        placed.symlink_to(file.resolve())
        asset = dandi_file(placed, dandiset_path=Path(folder))
        assert isinstance(asset, LocalFileAsset)
        yield asset


def _replaceable(dandiset: RemoteDandiset, draft: Draft, asset_path: str, job: str | None) -> Any:
    """Return the asset that is at that path already, or None; refuse one of another job.

    Every asset may be replaced where `job` is None.
    """
    asset = _find(dandiset, asset_path)
    if asset is not None and job is not None and job not in _jobs(asset):
        raise TargetError(
            f"TARGET_DANDISET: {draft} has {asset_path} already, which is not of this job; name "
            "another dandiset, or set OVERWRITE=true to replace it"
        )
    return asset


def _find(dandiset: RemoteDandiset, asset_path: str) -> Any:
    """Return the asset at that path, or None."""
    from dandi.exceptions import NotFoundError

    try:
        return dandiset.get_asset_by_path(asset_path)
    except NotFoundError:
        return None


def _jobs(asset: Any) -> list[str | None]:
    """Return the fingerprints that an asset is marked with."""
    activities = asset.get_raw_metadata().get("wasGeneratedBy") or []
    return [each.get("identifier") for each in activities]


@contextmanager
def _connected(
    draft: Draft, file: Path | None = None
) -> Iterator[tuple[DandiAPIClient, RemoteDandiset]]:
    """Yield a client with the key, and the draft; raise its errors as our own."""
    what = str(draft) if file is None else f"{file.parent.name}/{file.name} to {draft}"
    from dandi.exceptions import NotFoundError

    try:
        with quiet_client(), connect(draft.instance) as client:
            authenticate(client, draft.api_key, f"TARGET_DANDISET: {draft}", TargetError)
            yield client, client.get_dandiset(draft.dandiset, "draft", lazy=False)
    except CloudJobError:
        raise
    except NotFoundError as error:
        raise TargetError(
            f"TARGET_DANDISET: there is no {draft}; create it there first, or check the number"
        ) from error
    except requests.HTTPError as error:
        raise _refusal(draft, what, error) from error
    except BROKEN_ANSWER as error:
        raise broken_answer(what) from error
    except requests.RequestException as error:
        raise TransferError("upload", what, "DANDI", describe_failure(error)) from error


def _check_owner(client: DandiAPIClient, dandiset: RemoteDandiset, draft: Draft) -> None:
    """Raise TargetError where the key's owner is neither an owner of the dandiset nor an admin."""
    user = client.get("/users/me/")
    owners = client.get(f"/dandisets/{dandiset.identifier}/users/")
    names = [owner["username"] for owner in owners]
    if user.get("admin") or user["username"] in names:
        return
    raise TargetError(
        f"TARGET_DANDISET: {user['username']}, the owner of DANDI_API_KEY, does not own {draft}; "
        f"ask {' or '.join(names)} to add that account"
    )


def _refusal(draft: Draft, what: str, error: requests.HTTPError) -> CloudJobError:
    status = error.response.status_code if error.response is not None else None
    if is_retryable(error):
        return TransferError("upload", what, "DANDI", f"the archive answered {status}")
    reason = reason_of(error)
    if error.request is not None and not str(error.request.url).startswith(draft.instance.api):
        return TransferError("upload", what, "DANDI", f"its store answered {status}{reason}")
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return TargetError(
            f"TARGET_DANDISET: the owner of DANDI_API_KEY may not write {draft}{reason}; ask one "
            "of its owners to add that account"
        )
    return TargetError(
        f"TARGET_DANDISET: {draft} refused {what} with {status}{reason}; correct what it names, "
        "or name another dandiset"
    )
