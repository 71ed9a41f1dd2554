"""Recordings of a dandiset, listed from the archive."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pynwb import NWBHDF5IO, NWBFile
from pynwb.file import Subject

from spikeinterface_cloud.aws.inputs.dandiset import dandiset_recordings
from spikeinterface_cloud.config.locations import parse_dandi
from spikeinterface_cloud.config.settings import DandiAccess
from spikeinterface_cloud.dandi.assets import resolve
from spikeinterface_cloud.dandi.upload import find_draft, upload
from spikeinterface_cloud.errors import SettingsError, SourceError
from tests.support.dandi_stand_in import OWNER_KEY, STRANGER_KEY, DandiStandIn

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[DandiStandIn]:
    """An archive with two sessions and a video in a draft, one of them published."""
    with DandiStandIn() as running:
        for name, size_bytes in (("sub-1/sub-1_ecephys.nwb", 100), ("sub-2/sub-2_ecephys.nwb", 7)):
            file = tmp_path / Path(name).name
            file.write_bytes(bytes(size_bytes))
            running.add_asset("000003", name, file)
        running.add_asset("000003", "sub-1/sub-1_ecephys.nwb", file, version="0.230629.1955")
        running.add_asset("000003", "sub-1/sub-1_behavior.nwb", file)
        video = tmp_path / "sub-1_ecephys.mp4"
        video.write_bytes(b"video")
        running.add_asset("000003", "sub-1/sub-1_ecephys.mp4", video)
        yield running


def dandiset(archive: DandiStandIn, version: str = "draft") -> str:
    return f"{archive.api_url}/dandisets/000003/versions/{version}/"


def test_a_dandiset_is_listed_by_pattern(archive: DandiStandIn) -> None:
    found = dandiset_recordings(dandiset(archive), "sub-*/*_ecephys.nwb", archive.access())
    assert found.title == "dandiset-000003"
    assert [(each.label, each.name, each.size_bytes) for each in found.recordings] == [
        ("sub-1/sub-1_ecephys.nwb", "sub-1/sub-1_ecephys", 100),
        ("sub-2/sub-2_ecephys.nwb", "sub-2/sub-2_ecephys", 7),
    ]
    assert found.notes == ()


def test_listing_without_pattern_has_all_nwb_files(archive: DandiStandIn) -> None:
    assert len(dandiset_recordings(dandiset(archive), None, archive.access()).recordings) == 3
    found = dandiset_recordings(dandiset(archive), "sub-1/*", archive.access())
    assert len(found.recordings) == 2
    assert found.notes == ("left out files other than NWB: 1, like sub-1/sub-1_ecephys.mp4",)


def test_zarrs_that_are_nwb_are_listed_beside_files(archive: DandiStandIn, tmp_path: Path) -> None:
    folder = tmp_path / "zarr"
    folder.mkdir()
    (folder / ".zgroup").write_bytes(bytes(12))
    for path in ("sub-1/sub-1_ecephys.nwb.zarr", "sub-3/sub-3_ecephys.nwb.zarr", "image.ome.zarr"):
        archive.add_zarr("000003", path, folder)

    every = dandiset_recordings(dandiset(archive), None, archive.access())
    found = dandiset_recordings(dandiset(archive), "*.zarr", archive.access())

    assert [(each.label, each.name) for each in every.recordings] == [
        ("sub-1/sub-1_behavior.nwb", "sub-1/sub-1_behavior"),
        ("sub-1/sub-1_ecephys.nwb", "sub-1/sub-1_ecephys"),
        ("sub-1/sub-1_ecephys.nwb.zarr", "sub-1/sub-1_ecephys.nwb"),
        ("sub-2/sub-2_ecephys.nwb", "sub-2/sub-2_ecephys"),
        ("sub-3/sub-3_ecephys.nwb.zarr", "sub-3/sub-3_ecephys"),
    ]
    assert [each.size_bytes for each in found.recordings] == [12, 12]
    assert found.notes == ("left out files other than NWB: 1, like image.ome.zarr",)


def test_units_of_earlier_jobs_are_not_listed_as_recordings(
    archive: DandiStandIn, tmp_path: Path
) -> None:
    nwbfile = NWBFile(
        session_description="units",
        identifier="units",
        session_start_time=datetime(2024, 5, 1, 10, tzinfo=UTC),
        session_id="day1",
        subject=Subject(subject_id="1", species="Mus musculus", sex="F", age="P90D"),
    )
    nwbfile.add_unit(spike_times=[0.5, 1.5])
    with NWBHDF5IO(str(tmp_path / "units.nwb"), "w") as io:
        io.write(nwbfile)
    before = dandiset_recordings(dandiset(archive), None, archive.access())
    path = "sub-1/sub-1_ses-day1_desc-simple_ecephys.nwb"
    draft = find_draft(dandiset(archive), archive.access(OWNER_KEY))
    upload(draft, tmp_path / "units.nwb", path, "job", overwrite=False)
    after = dandiset_recordings(dandiset(archive), None, archive.access())
    assert after.recordings == before.recordings
    assert after.notes == (*before.notes, f"left out NWB files without a recording: 1, like {path}")
    with pytest.raises(SourceError, match=rf"with a recording \(but {path}\); check --glob"):
        dandiset_recordings(dandiset(archive), "*_desc-simple_*", archive.access())


def test_listed_addresses_resolve_in_the_container(archive: DandiStandIn) -> None:
    found = dandiset_recordings(dandiset(archive, "0.230629.1955"), None, archive.access())
    [recording] = found.recordings
    asset = parse_dandi(recording.variables["DANDISET_S3_FILE_URL"])
    file = resolve(asset, archive.access())  # type: ignore[arg-type]
    assert (file.path, file.version, file.size_bytes) == (
        "sub-1/sub-1_ecephys.nwb",
        "0.230629.1955",
        7,
    )


def test_thousands_of_files_are_listed_in_a_few_requests(
    archive: DandiStandIn, tmp_path: Path
) -> None:
    file = tmp_path / "a.nwb"
    file.write_bytes(b"nwb")
    for index in range(2_500):
        archive.add_asset("000004", f"sub-{index}/sub-{index}.nwb", file)
    found = dandiset_recordings(f"{archive.api_url}/dandisets/000004/", None, archive.access())
    assert len(found.recordings) == 2_500
    assert len(archive.requests) <= 8


def test_an_embargoed_dandiset_is_listed_with_the_owner_s_key(
    archive: DandiStandIn, tmp_path: Path
) -> None:
    file = tmp_path / "a.nwb"
    file.write_bytes(b"nwb")
    archive.add_asset("000009", "sub-1/sub-1.nwb", file, embargoed=True)
    url = f"{archive.api_url}/dandisets/000009/versions/draft/"
    with pytest.raises(SourceError, match="is embargoed: set DANDI_API_KEY"):
        dandiset_recordings(url, None, archive.access())
    with pytest.raises(SourceError, match="may not be read by the owner of DANDI_API_KEY"):
        dandiset_recordings(url, None, archive.access(STRANGER_KEY))
    found = dandiset_recordings(url, None, archive.access(OWNER_KEY))
    assert len(found.recordings) == 1
    assert "need DANDI_API_KEY as a secret of the job definition" in found.notes[0]


@pytest.mark.parametrize(
    ("suffix", "pattern", "error", "message"),
    [
        (
            "dandisets/000003/",
            "*.nope",
            SourceError,
            r"\*.nope with a recording; check --glob",
        ),
        (
            "dandisets/000003/versions/draft/",
            "*.mp4",
            SourceError,
            r"\(but sub-1/sub-1_ecephys.mp4\)",
        ),
        ("dandisets/000099/", None, SourceError, "is not in the archive"),
        ("dandisets/000003/versions/0.999999.9999/", None, SourceError, "is not in the archive"),
        (
            "dandisets/000003/versions/draft/assets/?path=sub-1",
            None,
            SettingsError,
            "names a file, not a dandiset; give it as --source",
        ),
    ],
)
def test_unlistable_dandiset_is_refused(
    archive: DandiStandIn, suffix: str, pattern: str | None, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as refusal:
        dandiset_recordings(f"{archive.api_url}/{suffix}", pattern, archive.access())
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["banana", "3", "000003@latest", "s3://lab/raw"])
def test_invalid_dandiset_name_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="does not name a dandiset; write 000003, 000003@"):
        dandiset_recordings(name, None, DandiAccess())


def test_dandi_client_is_optional() -> None:
    program = """
import sys
import spikeinterface_cloud.aws.inputs.dandiset as listing
print("dandi" in sys.modules)
sys.modules["dandi"] = sys.modules["requests"] = None  # as where they are not installed
try:
    listing.dandiset_recordings("000003", None, None)
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    imported, refusal = done.stdout.splitlines()
    assert imported == "False"
    assert refusal.startswith("UnavailableError listing a dandiset needs DANDI's client")
    assert refusal.endswith("run `pip install dandi`")
