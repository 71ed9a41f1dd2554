"""Units go to a draft dandiset: whose key may write it, what the archive takes, what it refuses."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pytest
import requests
from pydantic import SecretStr
from pynwb import NWBHDF5IO, NWBFile
from pynwb.file import Subject

from spikeinterface_cloud.config.dandi_urls import parse_dandiset_name
from spikeinterface_cloud.config.locations import DandiAsset
from spikeinterface_cloud.dandi.archive_assets import ArchiveFile
from spikeinterface_cloud.dandi.assets import resolve
from spikeinterface_cloud.dandi.upload import check_replaceable, find_draft, upload, validate
from spikeinterface_cloud.errors import SettingsError, TargetError, TransferError
from spikeinterface_cloud.exports.dandi_upload import asset_path
from spikeinterface_cloud.exports.nwb_session import ElectrodeFacts, Session
from spikeinterface_cloud.storage.timeouts import NetworkTimeouts
from tests.support.dandi_stand_in import (
    OWNER_KEY,
    PENDING_KEY,
    STRANGER_KEY,
    DandiStandIn,
    Fault,
)

pytestmark = pytest.mark.integration

DANDISET = "000200"
SHORT_TIMEOUTS = NetworkTimeouts(connect_s=2, stall_s=2, give_up_s=2)
PATH = "sub-M1/sub-M1_ses-day1_desc-simple_ecephys.nwb"
MOUSE = {"subject_id": "M1", "species": "Mus musculus", "sex": "F", "age": "P90D"}


@pytest.fixture
def archive() -> Iterator[DandiStandIn]:
    with DandiStandIn() as running:
        running.add_dandiset(DANDISET)
        yield running


def address(archive: DandiStandIn, dandiset: str = DANDISET) -> str:
    return f"{archive.api_url}/dandisets/{dandiset}/"


def write(file: Path, subject: Mapping[str, Any] = MOUSE, notes: str = "") -> Path:
    nwbfile = NWBFile(
        session_description="a session",
        identifier=f"identifier{notes}",
        session_start_time=datetime(2024, 5, 1, 10, tzinfo=UTC),
        session_id="day1",
        subject=Subject(**subject) if subject else None,
    )
    with NWBHDF5IO(str(file), "w") as io:
        io.write(nwbfile)
    return file


def find_file(url: DandiAsset, archive: DandiStandIn) -> ArchiveFile:
    found = resolve(url, archive.access())
    assert isinstance(found, ArchiveFile)
    return found


def test_owner_uploads_the_file_byte_for_byte(tmp_path: Path, archive: DandiStandIn) -> None:
    file = write(tmp_path / "units.nwb")
    upload(
        find_draft(address(archive), archive.access(OWNER_KEY)), file, PATH, "job", overwrite=False
    )
    [asset] = archive.assets
    assert (asset.dandiset, asset.version, asset.path) == (DANDISET, "draft", PATH)
    assert asset.described["schemaKey"] == "Asset"
    url = DandiAsset(url=archive.asset_url(asset))
    assert find_file(url, archive).sha256 is None  # the archive computes it later
    archive.compute_sha256()
    assert find_file(url, archive).sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert asset.described["wasAttributedTo"][0]["identifier"] == "M1"
    reply = requests.get(archive.blob_url(asset), timeout=10)
    assert hashlib.sha256(reply.content).digest() == hashlib.sha256(file.read_bytes()).digest()


def test_second_run_replaces_the_asset(tmp_path: Path, archive: DandiStandIn) -> None:
    draft = find_draft(address(archive), archive.access(OWNER_KEY))
    upload(draft, write(tmp_path / "units.nwb"), PATH, "job", overwrite=False)
    second = write(tmp_path / "again.nwb", notes="2")
    upload(draft, second, PATH, "job", overwrite=False)
    [asset] = archive.assets
    assert requests.get(archive.blob_url(asset), timeout=10).content == second.read_bytes()


def test_identical_bytes_are_not_sent_twice(tmp_path: Path, archive: DandiStandIn) -> None:
    draft = find_draft(address(archive), archive.access(OWNER_KEY))
    file = write(tmp_path / "units.nwb")
    upload(draft, file, PATH, "job", overwrite=False)
    upload(draft, file, PATH, "job", overwrite=False)
    assert archive.count("store", "PUT") == 1
    assert len(archive.assets) == 1


@pytest.mark.parametrize(
    ("key", "dandiset", "message"),
    [
        (STRANGER_KEY, DANDISET, "john-roe, the owner of DANDI_API_KEY, does not own .*jane-doe"),
        ("0" * 40, DANDISET, "does not accept DANDI_API_KEY; copy the key again"),
        (OWNER_KEY, "000999", "there is no dandiset 000999.*create it there first"),
    ],
    ids=["another's", "bad key", "missing"],
)
def test_unwritable_dandiset_is_refused(
    archive: DandiStandIn, key: str, dandiset: str, message: str
) -> None:
    with pytest.raises(TargetError, match=message):
        find_draft(address(archive, dandiset), archive.access(key))


def test_late_refusal_of_the_archive_is_reported(tmp_path: Path, archive: DandiStandIn) -> None:
    draft = find_draft(address(archive), archive.access(OWNER_KEY))
    archive.locked.add(DANDISET)
    with pytest.raises(TargetError, match=r"with 400 \(Dandiset modification not allowed during"):
        upload(draft, write(tmp_path / "units.nwb"), PATH, "job", overwrite=False)
    assert archive.assets == []


def test_busy_archive_is_retried(archive: DandiStandIn) -> None:
    archive.inject("api", Fault.UNAVAILABLE, after=2, times=1)
    find_draft(address(archive), archive.access(OWNER_KEY))
    assert archive.count("api", status=503) == 1


def send(archive: DandiStandIn, file: Path, key: str = OWNER_KEY, path: str = PATH) -> None:
    """Upload as the key's owner, without asking first who owns the dandiset."""
    draft = find_draft(address(archive), archive.access(OWNER_KEY))
    theirs = replace(draft, api_key=SecretStr(key))
    upload(theirs, file, path, "job", overwrite=False, timeouts=SHORT_TIMEOUTS)


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_silent_store_ends_the_upload(tmp_path: Path, archive: DandiStandIn, method: str) -> None:
    archive.inject("store", Fault.STALL, method, times=99)
    with pytest.raises(TransferError, match="did not answer in time"):
        send(archive, write(tmp_path / "units.nwb"))
    assert archive.assets == []


@pytest.mark.parametrize("fault", [Fault.UNAVAILABLE, Fault.BROKEN, Fault.LOST_ANSWER])
@pytest.mark.parametrize(("server", "methods"), [("store", ["PUT", "POST"]), ("api", ["POST"])])
def test_upload_survives_a_failed_request(
    tmp_path: Path,
    archive: DandiStandIn,
    fault: Fault,
    server: Literal["api", "store"],
    methods: list[str],
) -> None:
    file = write(tmp_path / "units.nwb")
    for after in range(2):
        archive.inject(server, fault, *methods, after=after)
    send(archive, file)
    [asset] = archive.assets
    assert requests.get(archive.blob_url(asset), timeout=10).content == file.read_bytes()


def test_answer_that_validation_lost_does_not_lose_the_upload(
    tmp_path: Path, archive: DandiStandIn
) -> None:
    archive.inject("api", Fault.LOST_ANSWER, "POST", after=2)  # after initialize and complete
    send(archive, write(tmp_path / "units.nwb"))
    assert [asset.path for asset in archive.assets] == [PATH]
    assert archive.count("store", "PUT") == 1


def test_bytes_that_another_job_has_sent_meanwhile_are_used(
    tmp_path: Path, archive: DandiStandIn
) -> None:
    file = write(tmp_path / "units.nwb")
    archive.uploads.before_validation = lambda: send(archive, file, path=PATH.replace("M1", "M1b"))
    send(archive, file)
    assert sorted(asset.path for asset in archive.assets) == sorted(
        [PATH, PATH.replace("M1", "M1b")]
    )
    assert len({asset.content for asset in archive.assets}) == 1
    assert archive.count("api", "POST", 409) == 2


def test_damaged_bytes_end_as_a_transfer_error(tmp_path: Path, archive: DandiStandIn) -> None:
    archive.inject("store", Fault.WRONG_BYTES, "PUT", times=2)
    with pytest.raises(TransferError, match=r"as it was sent, twice .*does not match actual ETag"):
        send(archive, write(tmp_path / "units.nwb"))
    assert archive.assets == []


def test_asset_that_was_deleted_meanwhile_is_added(tmp_path: Path, archive: DandiStandIn) -> None:
    send(archive, write(tmp_path / "units.nwb"))
    archive.uploads.before_validation = archive.assets.clear
    again = write(tmp_path / "again.nwb", notes="2")
    send(archive, again)
    [asset] = archive.assets
    assert requests.get(archive.blob_url(asset), timeout=10).content == again.read_bytes()


def test_asset_that_another_job_has_added_meanwhile_is_not_replaced(
    tmp_path: Path, archive: DandiStandIn
) -> None:
    other = write(tmp_path / "other.nwb", notes="2")
    archive.uploads.before_validation = lambda: archive.add_asset(DANDISET, PATH, other)
    with pytest.raises(TargetError, match="which is not of this job"):
        send(archive, write(tmp_path / "units.nwb"))
    [asset] = archive.assets
    assert asset.file == other


def test_account_that_is_not_approved_is_told_so(archive: DandiStandIn) -> None:
    with pytest.raises(TargetError, match=r"may not use the archive yet \(User is not approved\)"):
        find_draft(address(archive), archive.access(PENDING_KEY))


def test_draft_that_is_being_unembargoed_is_refused_at_once(archive: DandiStandIn) -> None:
    archive.locked.add(DANDISET)
    with pytest.raises(TargetError, match=r"is being released from its embargo .*again when"):
        find_draft(address(archive), archive.access(OWNER_KEY))


def test_refusals_of_the_archive_are_one_sentence(tmp_path: Path, archive: DandiStandIn) -> None:
    file = write(tmp_path / "units.nwb")
    with pytest.raises(TargetError, match=r"may not write dandiset .* \(Action not allowed\); ask"):
        send(archive, file, STRANGER_KEY)
    archive.add_asset(DANDISET, PATH.partition("/")[0], file)
    with pytest.raises(TargetError, match=r"409 \(Path of new asset .* conflicts with existing"):
        send(archive, file)


@pytest.mark.parametrize(
    ("subject", "message"),
    [
        ({}, "check_subject_exists"),
        ({**MOUSE, "species": "mouse"}, "check_subject_species_form"),
        ({"subject_id": "M1", "species": "Mus musculus", "sex": "F"}, "check_subject_age"),
    ],
    ids=["no subject", "species", "no age"],
)
def test_invalid_file_is_not_uploaded(
    tmp_path: Path, archive: DandiStandIn, subject: Mapping[str, Any], message: str
) -> None:
    draft = find_draft(address(archive), archive.access(OWNER_KEY))
    with pytest.raises(TargetError, match=rf"does not pass DANDI's validation: .*{message}"):
        upload(draft, write(tmp_path / "units.nwb", subject), PATH, "job", overwrite=False)
    assert archive.count("api", "POST") == 0


def test_misplaced_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="NON_DANDI_FOLDERNAME"):
        validate(write(tmp_path / "units.nwb"), "units/sub-M1_ecephys.nwb")


@pytest.mark.parametrize(
    "name",
    ["000200", "dandi://dandi-sandbox/000200", "https://dandiarchive.org/dandiset/000200/draft"],
)
def test_draft_is_accepted_by_every_name(name: str) -> None:
    assert "000200" in parse_dandiset_name(name).url


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dandi://dandi/000200@0.230629.1955", "names a publication, which cannot be changed"),
        ("https://dandiarchive.org/dandiset/000200/0.230629.1955", "names a publication"),
        ("dandi://dandi/000200/sub-1/a.nwb", "does not name a dandiset; give its number"),
        ("my dandiset", "does not name a dandiset; give its number"),
    ],
)
def test_anything_but_a_draft_is_refused(name: str, message: str) -> None:
    with pytest.raises(SettingsError, match=f"TARGET_DANDISET .*{message}"):
        parse_dandiset_name(name)


def session_of(session_id: str | None = "day1", series: str | None = None) -> Session:
    return Session(
        description="a session",
        start=datetime(2024, 5, 1, 9, 30, tzinfo=UTC),
        fields={"session_id": session_id} if session_id else {},
        subject=MOUSE,
        devices=[],
        groups=[],
        electrodes=ElectrodeFacts(ids=[], groups=[], columns=[], rows={}),
        series=series,
    )


#: sources of one session by the description in their units' path, without the sorter
SOURCES = {
    "sub-M1_ses-day1_ecephys.nwb": "_desc",
    "sub-M1_ses-day1_probe-2_ecephys.nwb": "_probe-2_desc",
    "sub-M1_ses-day1_probe-2_probe-3_ecephys.nwb": "_probe-2_probe-3_desc",
    "sub-M1_ses-day1_desc-raw_ecephys.nwb": "_desc-raw",
    "sub-M1_ses-day1_acq-A_run-01_ecephys.nwb": "_desc-acq-A-run-01",
    "sub-M1_ses-day1_acq-A_run-02_ecephys.nwb": "_desc-acq-A-run-02",
    "sub-M1_ses-day1_acq-B_run-02_desc-raw_ecephys.nwb": "_desc-raw-acq-B-run-02",
}


@pytest.mark.parametrize(("name", "description"), SOURCES.items())
def test_entities_of_the_source_are_in_the_path(
    tmp_path: Path, name: str, description: str
) -> None:
    path = asset_path(session_of(), {"path": f"sub-M1/{name}"}, "simple")
    assert path == f"sub-M1/sub-M1_ses-day1{description}-simple_ecephys.nwb"
    validate(write(tmp_path / "units.nwb"), path)


def test_recordings_of_one_session_have_different_paths(tmp_path: Path) -> None:
    """Blobs, files with names of one's own, and series of one file."""
    blobs = "https://dandiarchive.s3.amazonaws.com/blobs"
    locations = [
        f"{blobs}/0a7/1d0/0a71d09a-5b2e-4b5a-9d1d-0d2a3c1f7e55",
        f"{blobs}/0a7/1d0/0a71d09a-5b2e-4b5a-9d1d-0d2a3c1f7e56",
        "s3://lab/day1/imec0.nwb",
        "s3://lab/day1/imec1.nwb",
        "s3://lab/copy/imec1.nwb",
    ]
    paths = {
        asset_path(session_of(series=series), {"location": location}, "simple")
        for location in locations
        for series in (None, "Probe_A", "Probe_B")
    }
    assert len(paths) == 15
    for path in paths:
        validate(write(tmp_path / "units.nwb"), path)


def test_signature_of_an_url_does_not_change_the_path() -> None:
    first, second = (
        asset_path(session_of(), {"location": f"https://lab/a.nwb?X-Amz-Signature={key}"}, "simple")
        for key in "12"
    )
    assert first == second


@pytest.mark.parametrize(
    ("source", "session_part"),
    [
        ({"path": "sub-M1/sub-M1_ses-20240501_ecephys.nwb"}, "ses-20240501"),
        ({"path": "sub-M1/sub-M1_ecephys.nwb"}, "ses-20240501T093000"),
    ],
)
def test_sessions_without_session_id_have_different_paths(
    tmp_path: Path, source: Mapping[str, Any], session_part: str
) -> None:
    path = asset_path(session_of(session_id=None), source, "simple")
    assert path == f"sub-M1/sub-M1_{session_part}_desc-simple_ecephys.nwb"
    validate(write(tmp_path / "units.nwb"), path)


@pytest.mark.parametrize("character", "äµ!${}日")
def test_names_that_the_archive_refuses_are_refused(character: str) -> None:
    source = {"path": "sub-M1/sub-M1_ses-day1_ecephys.nwb"}
    expected = re.escape(f"the archive takes no {character} in a path such as sub-M1/")
    with pytest.raises(TargetError, match=f"{expected}.*; rename the subject, the session"):
        asset_path(session_of(f"day{character}1"), source, "simple")


def test_asset_of_another_job_is_refused_without_overwrite(
    tmp_path: Path, archive: DandiStandIn
) -> None:
    draft = find_draft(address(archive), archive.access(OWNER_KEY))
    first = write(tmp_path / "units.nwb")
    upload(draft, first, PATH, "first job", overwrite=False)
    second = write(tmp_path / "again.nwb", notes="2")
    refusal = f"has {PATH} already, which is not of this job; .*set OVERWRITE=true to replace it"
    with pytest.raises(TargetError, match=refusal):
        upload(draft, second, PATH, "second job", overwrite=False)
    with pytest.raises(TargetError, match=refusal):
        check_replaceable(draft, "second job", PATH)
    check_replaceable(draft, "first job", PATH)
    [asset] = archive.assets
    assert requests.get(archive.blob_url(asset), timeout=10).content == first.read_bytes()
    upload(draft, second, PATH, "second job", overwrite=True)
    [asset] = archive.assets
    assert requests.get(archive.blob_url(asset), timeout=10).content == second.read_bytes()


def test_asset_of_unknown_origin_is_refused(tmp_path: Path, archive: DandiStandIn) -> None:
    archive.add_asset(DANDISET, PATH, write(tmp_path / "by_hand.nwb"), version="draft")
    draft = find_draft(address(archive), archive.access(OWNER_KEY))
    with pytest.raises(TargetError, match="not of this job"):
        upload(draft, write(tmp_path / "units.nwb"), PATH, "job", overwrite=False)
