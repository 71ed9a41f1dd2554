"""Units go to a draft dandiset: whose key may write it, what the archive takes, what it refuses."""

import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from pydantic import SecretStr
from pynwb import NWBHDF5IO, NWBFile
from pynwb.file import Subject

from spikeinterface_cloud.config.dandi_urls import parse_dandiset_name
from spikeinterface_cloud.dandi.upload import find_draft, upload, validate
from spikeinterface_cloud.errors import SettingsError, TargetError
from spikeinterface_cloud.exports.dandi_upload import asset_path
from spikeinterface_cloud.exports.nwb_session import ElectrodeFacts, Session
from tests.support.dandi_stand_in import OWNER_KEY, STRANGER_KEY, DandiStandIn, Fault

pytestmark = pytest.mark.integration

DANDISET = "000200"
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


def test_owner_uploads_the_file_byte_for_byte(tmp_path: Path, archive: DandiStandIn) -> None:
    file = write(tmp_path / "units.nwb")
    upload(find_draft(address(archive), SecretStr(OWNER_KEY)), file, PATH)
    [asset] = archive.assets
    assert (asset.dandiset, asset.version, asset.path) == (DANDISET, "draft", PATH)
    assert asset.described["schemaKey"] == "Asset"
    assert asset.described["wasAttributedTo"][0]["identifier"] == "M1"
    reply = requests.get(archive.blob_url(asset), timeout=10)
    assert hashlib.sha256(reply.content).digest() == hashlib.sha256(file.read_bytes()).digest()


def test_second_run_replaces_the_asset(tmp_path: Path, archive: DandiStandIn) -> None:
    draft = find_draft(address(archive), SecretStr(OWNER_KEY))
    upload(draft, write(tmp_path / "units.nwb"), PATH)
    second = write(tmp_path / "again.nwb", notes="2")
    upload(draft, second, PATH)
    [asset] = archive.assets
    assert requests.get(archive.blob_url(asset), timeout=10).content == second.read_bytes()


def test_identical_bytes_are_not_sent_twice(tmp_path: Path, archive: DandiStandIn) -> None:
    draft = find_draft(address(archive), SecretStr(OWNER_KEY))
    file = write(tmp_path / "units.nwb")
    upload(draft, file, PATH)
    upload(draft, file, PATH)
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
        find_draft(address(archive, dandiset), SecretStr(key))


def test_late_refusal_of_the_archive_is_reported(tmp_path: Path, archive: DandiStandIn) -> None:
    draft = find_draft(address(archive), SecretStr(OWNER_KEY))
    archive.locked.add(DANDISET)
    with pytest.raises(TargetError, match=r"with 400: .*unembargoed"):
        upload(draft, write(tmp_path / "units.nwb"), PATH)
    assert archive.assets == []


def test_busy_archive_is_retried(archive: DandiStandIn) -> None:
    archive.inject("api", Fault.UNAVAILABLE, after=2, times=1)
    find_draft(address(archive), SecretStr(OWNER_KEY))
    assert archive.count("api", status=503) == 1


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
    draft = find_draft(address(archive), SecretStr(OWNER_KEY))
    with pytest.raises(TargetError, match=rf"does not pass DANDI's validation: .*{message}"):
        upload(draft, write(tmp_path / "units.nwb", subject), PATH)
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


@pytest.mark.parametrize(
    ("source", "series", "description"),
    [
        ({"path": "sub-M1/sub-M1_ses-day1_ecephys.nwb"}, None, "_desc-simple"),
        (
            {"path": "sub-M1/sub-M1_ses-day1_probe-2_ecephys.nwb"},
            None,
            "_probe-2_desc-simple",
        ),
        ({"path": "sub-M1/sub-M1_ses-day1_desc-raw_ecephys.nwb"}, None, "_desc-raw-simple"),
        ({"location": "s3://lab/a.nwb"}, "Probe_B", "_desc-Probe-B-simple"),
    ],
    ids=["alone", "a probe", "a description", "a series of several"],
)
def test_recordings_of_one_session_have_different_paths(
    tmp_path: Path, source: Mapping[str, Any], series: str | None, description: str
) -> None:
    session = Session(
        description="a session",
        start=datetime(2024, 5, 1, tzinfo=UTC),
        fields={"session_id": "day1"},
        subject=MOUSE,
        devices=[],
        groups=[],
        electrodes=ElectrodeFacts(ids=[], groups=[], columns=[], rows={}),
        series=series,
    )
    path = asset_path(session, source, "simple")
    assert path == f"sub-M1/sub-M1_ses-day1{description}_ecephys.nwb"
    validate(write(tmp_path / "units.nwb"), path)


@pytest.mark.parametrize(
    ("source", "session_part"),
    [
        ({"path": "sub-M1/sub-M1_ses-20240501_ecephys.nwb"}, "ses-20240501"),
        ({"location": "s3://lab/a.nwb"}, "ses-20240501T093000"),
    ],
)
def test_sessions_without_session_id_have_different_paths(
    tmp_path: Path, source: Mapping[str, Any], session_part: str
) -> None:
    session = Session(
        description="a session",
        start=datetime(2024, 5, 1, 9, 30, tzinfo=UTC),
        subject=MOUSE,
        devices=[],
        groups=[],
        electrodes=ElectrodeFacts(ids=[], groups=[], columns=[], rows={}),
    )
    path = asset_path(session, source, "simple")
    assert path == f"sub-M1/sub-M1_{session_part}_desc-simple_ecephys.nwb"
    validate(write(tmp_path / "units.nwb"), path)
