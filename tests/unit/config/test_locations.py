"""What no folder on S3 may be called, for a source or a target."""

import pytest

from spikeinterface_cloud.config.locations import parse_s3
from spikeinterface_cloud.config.settings import JobSettings
from spikeinterface_cloud.errors import SettingsError

JOB = {"SOURCE_FOLDER": "/data", "DATA_TYPE": "spikeglx", "SORTERS": "simple"}


@pytest.mark.parametrize("folder", ["runs//day1", "./runs", "a/../b", "runs/..", "day\t1", "a\x7f"])
@pytest.mark.parametrize("name", ["AWS_S3_BUCKET", "TARGET_AWS_S3_BUCKET"])
def test_invalid_s3_path_is_refused(name: str, folder: str) -> None:
    variables = JOB | {name: "lab-data", f"{name}_FOLDER": folder}
    if name == "AWS_S3_BUCKET":
        del variables["SOURCE_FOLDER"]
    with pytest.raises(SettingsError) as caught:
        JobSettings.from_env(variables)
    [problem] = str(caught.value).splitlines()
    assert problem.startswith(f"{name}: {folder!r} has an empty, '.' or '..' part or a control")
    assert problem.endswith("write it like raw/session1, and rename what is stored otherwise")
    assert caught.value.exit_code == 78


@pytest.mark.parametrize("folder", ["/runs/day 1/", "s3://lab-data/a", "..a/b.", "ä+%#?&=/x", "~"])
def test_valid_s3_paths_are_accepted(folder: str) -> None:
    settings = JobSettings.from_env(
        JOB | {"TARGET_AWS_S3_BUCKET": "lab-data", "TARGET_AWS_S3_BUCKET_FOLDER": folder}
    )
    assert settings.target is not None
    assert settings.target.key == folder.removeprefix("s3://lab-data/").strip("/")


@pytest.mark.parametrize(
    ("bucket", "folder"),
    [
        ("s3://lab-data//raw/x", None),
        ("s3://lab-data/raw//", None),
        ("s3://lab-data//", None),
        ("lab-data", "//raw/x"),
        ("lab-data", "raw/x//"),
        ("lab-data", "s3://lab-data//raw/x"),
        ("s3://lab-data//raw", "x"),
    ],
)
def test_key_with_two_slashes_is_refused_not_taken_for_another(
    bucket: str, folder: str | None
) -> None:
    with pytest.raises(ValueError, match=r"has an empty, '.' or '\.\.' part"):
        parse_s3(bucket, folder)


#: what AWS calls an object or a folder, and how to write it
OTHER_NAMES = {
    "https://lab-data.s3.eu-west-1.amazonaws.com/raw/a%20b.nwb": "s3://lab-data/raw/a b.nwb",
    "https://lab-data.s3.dualstack.eu-west-1.amazonaws.com/raw": "s3://lab-data/raw",
    "https://s3.us-east-1.amazonaws.com/lab-data/raw/a.nwb": "s3://lab-data/raw/a.nwb",
    "https://us-east-1.console.aws.amazon.com/s3/object/lab-data?region=x&prefix=raw/a.nwb": (
        "s3://lab-data/raw/a.nwb"
    ),
    "https://s3.console.aws.amazon.com/s3/buckets/lab-data?prefix=raw/&tab=objects": (
        "s3://lab-data/raw/"
    ),
    "https://lab-data.s3.amazonaws.com/raw?X-Amz-Signature=hidden": "s3://lab-data/raw",
    "arn:aws:s3:::lab-data/raw/a.nwb": "s3://lab-data/raw/a.nwb",
    "arn:aws:s3:eu-west-1:123456789012:accesspoint/mine": "give its alias as the bucket",
    "arn:aws:s3::123456789012:accesspoint/m.mrap/raw": "give its alias as the bucket",
}


@pytest.mark.parametrize("name", ["AWS_S3_BUCKET", "TARGET_AWS_S3_BUCKET", "DANDISET_S3_FILE_URL"])
@pytest.mark.parametrize(("text", "remedy"), OTHER_NAMES.items())
def test_other_names_of_s3_are_refused_with_the_right_one(
    name: str, text: str, remedy: str
) -> None:
    variables = JOB | {name: text}
    if name != "TARGET_AWS_S3_BUCKET":
        del variables["SOURCE_FOLDER"]
    with pytest.raises(SettingsError) as caught:
        JobSettings.from_env(variables)
    [problem] = str(caught.value).splitlines()
    assert problem.startswith(f"{name}: ")
    assert remedy in problem
    assert "hidden" not in problem
