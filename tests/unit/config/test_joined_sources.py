"""Several recordings in the variables of one source."""

import json
import os
from pathlib import Path

import pytest

from spikeinterface_cloud.array_job import read_settings
from spikeinterface_cloud.config.locations import (
    DandiAsset,
    JoinedRecordings,
    LocalFolder,
    S3Location,
)
from spikeinterface_cloud.config.settings import JobSettings
from spikeinterface_cloud.errors import SettingsError

FOLDERS = '["raw/run1", "/raw/run 2/", "s3://lab/raw/run3"]'
ON_S3 = {
    "AWS_S3_BUCKET": "lab",
    "AWS_S3_BUCKET_FOLDER": FOLDERS,
    "DATA_TYPE": "spikeglx",
    "SORTERS": "simple",
}


def refusal(**changes: str) -> str:
    with pytest.raises(SettingsError) as refused:
        JobSettings.from_env(ON_S3 | changes)
    assert refused.value.exit_code == 78
    return str(refused.value)


def test_list_of_folders_joins_recordings_in_order() -> None:
    keys = ("raw/run1", "raw/run 2", "raw/run3")
    locations = tuple(S3Location(bucket="lab", key=key) for key in keys)
    settings = JobSettings.from_env(ON_S3)
    assert settings.source == JoinedRecordings(locations=locations)
    assert JobSettings.from_env(settings.to_env()) == settings
    assert json.loads(settings.masked()["AWS_S3_BUCKET_FOLDER"]) == json.loads(FOLDERS)


def test_list_of_one_folder_is_a_plain_source() -> None:
    alone = JobSettings.from_env(ON_S3 | {"AWS_S3_BUCKET_FOLDER": '["raw/run1"]'})
    assert alone == JobSettings.from_env(ON_S3 | {"AWS_S3_BUCKET_FOLDER": "raw/run1"})
    assert alone.to_env()["AWS_S3_BUCKET_FOLDER"] == "raw/run1"


@pytest.mark.parametrize("key", ["[2024] run", "raw/[1, 2]", "[1]"])
def test_folder_with_brackets_in_its_name_is_one_folder(key: str) -> None:
    settings = JobSettings.from_env(ON_S3 | {"AWS_S3_BUCKET_FOLDER": key})
    assert settings.source == S3Location(bucket="lab", key=key)


def test_mounted_folders_are_joined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    environ = {"SOURCE_FOLDER": '["run1", "/data/run2"]', "DATA_TYPE": "nwb", "SORTERS": "simple"}
    paths = (tmp_path / "run1", Path("/data/run2"))
    settings = read_settings(environ)
    assert settings.source == JoinedRecordings(
        locations=tuple(LocalFolder(path=path) for path in paths)
    )
    assert json.loads(settings.to_env()["SOURCE_FOLDER"]) == [os.fspath(path) for path in paths]


def test_assets_are_joined_and_their_signatures_masked() -> None:
    signed = (
        "https://dandiarchive.s3.amazonaws.com/blobs/11e/c89/"
        "11ec8933-1456-4942-922b-94e5878bb991?X-Amz-Signature=abc"
    )
    plain = ["dandi://dandi/000006@draft/sub-1/a.nwb", "dandi://dandi/000006@draft/sub-1/b.nwb"]
    settings = JobSettings.from_env(
        {"DANDISET_S3_FILE_URL": json.dumps(plain), "SORTERS": "simple"}
    )
    assert settings.source == JoinedRecordings(locations=tuple(DandiAsset(url=u) for u in plain))
    with pytest.raises(SettingsError) as refused:
        JobSettings.from_env(
            {"DANDISET_S3_FILE_URL": json.dumps([signed, signed]), "SORTERS": "simple"}
        )
    assert "twice" in str(refused.value)
    assert "abc" not in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"AWS_S3_BUCKET_FOLDER": '["raw/a", 1]'}, "is not a list of recordings; write it like"),
        ({"AWS_S3_BUCKET_FOLDER": "[]"}, "is not a list of recordings"),
        ({"AWS_S3_BUCKET_FOLDER": '["raw/a", " "]'}, "is not a list of recordings"),
        ({"AWS_S3_BUCKET_FOLDER": "['raw/a', 'raw/b']"}, 'write ["raw/a", "raw/b"]'),
        ({"AWS_S3_BUCKET_FOLDER": '["raw/a", "/raw/a/"]'}, "lists /raw/a/ twice"),
        ({"AWS_S3_BUCKET_FOLDER": '["raw/a", "raw//b"]'}, "has an empty, '.' or '..' part"),
        ({"ARCHIVE": "zarr"}, "ARCHIVE: several recordings are joined"),
        ({"TARGET_DANDISET": "000123"}, "TARGET_DANDISET: several recordings are joined"),
        (
            {"PREPROCESSING": '{"remove_artifacts": {"triggers": "nidq:line3"}}'},
            "PREPROCESSING: several recordings are joined, and triggers are the pulses of one",
        ),
        ({"CLOCK": "nidq"}, "CLOCK: several recordings are joined"),
        (
            {"STREAMS": "all", "TARGET_AWS_S3_BUCKET": "results"},
            "STREAMS: several recordings are joined",
        ),
        (
            {"TARGET_AWS_S3_BUCKET": "lab", "TARGET_AWS_S3_BUCKET_FOLDER": "raw/run3/results"},
            "s3://lab/raw/run3/results is in the source itself",
        ),
    ],
)
def test_impossible_list_is_refused(changes: dict[str, str], words: str) -> None:
    assert words in refusal(**changes)


def test_results_within_a_later_recording_are_refused() -> None:
    with pytest.raises(SettingsError, match="is in the source itself"):
        JobSettings.from_env(
            {
                "SOURCE_FOLDER": '["/data/run1", "/data/run2"]',
                "RESULTS_FOLDER": "/data/run2/results",
                "DATA_TYPE": "nwb",
                "SORTERS": "simple",
            }
        )


def test_remote_folder_within_a_list_is_refused() -> None:
    with pytest.raises(SettingsError, match="SOURCE_FOLDER: s3://lab/b is on S3"):
        JobSettings.from_env(
            {"SOURCE_FOLDER": '["/data/a", "s3://lab/b"]', "DATA_TYPE": "nwb", "SORTERS": "simple"}
        )
