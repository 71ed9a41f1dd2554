"""Which variables a job goes by: those of its environment, and over them those of its line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeinterface_cloud.array_job import manifest_entry, resolve_environment
from spikeinterface_cloud.config.conflicts import merge_environments
from spikeinterface_cloud.config.settings import AwsSettings
from spikeinterface_cloud.errors import SettingsError

S3 = {"AWS_S3_BUCKET": "lab", "AWS_S3_BUCKET_FOLDER": "raw"}
DANDI = {"DANDISET_S3_FILE_URL": "000003"}


@pytest.mark.parametrize("environ", [{}, {"SORTERS": "simple"}, {"MANIFEST_URL": " "}])
def test_a_job_without_a_list_goes_by_its_environment(environ: dict[str, str]) -> None:
    assert resolve_environment(environ) == environ
    assert manifest_entry(environ) is None


@pytest.mark.parametrize(
    ("weaker", "stronger", "both"),
    [
        ({"N_JOBS": "2"}, {"N_JOBS": "4"}, {"N_JOBS": "4"}),
        ({"N_JOBS": "2"}, {"N_JOBS": ""}, {"N_JOBS": "2"}),
        (S3, DANDI, DANDI),
        (DANDI, S3, S3),
        ({"SOURCE_AWS_S3_BUCKET": "old", "SOURCE_AWS_S3_BUCKET_FOLDER": "a"}, S3, S3),
        (S3, {"AWS_S3_BUCKET": "other"}, {"AWS_S3_BUCKET": "other"}),
        (S3, {"AWS_S3_BUCKET_FOLDER": "day2"}, {**S3, "AWS_S3_BUCKET_FOLDER": "day2"}),
        ({**S3, "SOURCE_FOLDER": "/data"}, {"AWS_S3_BUCKET_FOLDER": "raw"}, S3),
        (
            {"TARGET_AWS_S3_BUCKET": "a", "TARGET_AWS_S3_BUCKET_FOLDER": "all"},
            {"TARGET_AWS_S3_BUCKET_FOLDER": "mine"},
            {"TARGET_AWS_S3_BUCKET": "a", "TARGET_AWS_S3_BUCKET_FOLDER": "mine"},
        ),
        (
            {"TARGET_AWS_S3_BUCKET": "a", "TARGET_AWS_S3_BUCKET_FOLDER": "all"},
            {"TARGET_AWS_S3_BUCKET": "b"},
            {"TARGET_AWS_S3_BUCKET": "b"},
        ),
    ],
)
def test_the_line_is_stronger_and_its_source_the_only_one(
    weaker: dict[str, str], stronger: dict[str, str], both: dict[str, str]
) -> None:
    assert merge_environments(weaker, stronger) == both


@given(
    st.dictionaries(st.sampled_from(["A", "B", "AWS_S3_BUCKET"]), st.text(min_size=1)),
    st.dictionaries(st.sampled_from(["B", "C", "SOURCE_FOLDER"]), st.text(min_size=1)),
)
def test_whatever_the_line_says_holds(weaker: dict[str, str], stronger: dict[str, str]) -> None:
    said = {name: text for name, text in stronger.items() if text.strip()}
    assert said.items() <= merge_environments(weaker, stronger).items()


@pytest.mark.parametrize("given_half", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_half_of_the_credentials_is_refused_before_the_list_is_read(given_half: str) -> None:
    with pytest.raises(SettingsError, match="missing, though AWS_"):
        resolve_environment({"MANIFEST_URL": "s3://lab/jobs.jsonl", given_half: "key"})


def test_the_list_is_read_with_the_access_that_the_job_has() -> None:
    access = AwsSettings.from_env(
        {
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_SESSION_TOKEN": "",
            "AWS_REGION_NAME": "us-east-2",
            "AWS_ENDPOINT_URL": "http://all",
            "AWS_ENDPOINT_URL_S3": "http://s3",
            "N_JOBS": "many",
        }
    )
    assert access.access_key_id is not None
    assert access.access_key_id.get_secret_value() == "key"
    assert (access.region_name, access.endpoint_url) == ("us-east-2", "http://s3")
    assert access.session_token is None
