"""From options, environment and `.env` to the settings of a job, and what is refused on the way."""

from typing import Any

import pytest

from spikeinterface_cloud.aws.cli.values import SubmitOptions
from spikeinterface_cloud.aws.inputs.job_settings import (
    endpoint_warnings,
    forwarding_warnings,
    job_variables,
    resolve_settings,
    source_variables,
)
from spikeinterface_cloud.aws.inputs.secrets import check_no_secret
from spikeinterface_cloud.errors import SettingsError

SOURCE = {"source": "s3://lab-data/raw/session1", "data_type": "spikeglx"}
TARGET = {"target": "s3://lab-results/session1"}
GIVEN = {**SOURCE, **TARGET, "sorters": "kilosort4"}


def given(env_file: Any = None, **options: Any) -> SubmitOptions:
    """Options; a file's variables are in the environment by then as well."""
    if isinstance(options.get("source"), str):
        options["source"] = (options["source"],)
    return SubmitOptions(env_file=env_file or {}, **options)


def refused(environ: Any = None, **options: Any) -> str:
    with pytest.raises(SettingsError) as refusal:
        resolve_settings(given(**options), environ or {})
    assert refusal.value.exit_code == 78
    return str(refusal.value)


def test_options_become_the_variables_of_the_job() -> None:
    settings = resolve_settings(
        given(
            **GIVEN,
            read_recording_kwargs='{"stream_id": "imec0.ap"}',
            sorters_kwargs='{"kilosort4": {"do_CAR": false}}',
            preprocessing="none",
            exports="nwb,phy",
            env=(("TEST_WITH_SUB_RECORDING", "True"), ("N_JOBS", "4")),
        ),
        {},
    )
    assert settings.to_env() == {
        "AWS_S3_BUCKET": "lab-data",
        "AWS_S3_BUCKET_FOLDER": "raw/session1",
        "DATA_TYPE": "spikeglx",
        "READ_RECORDING_KWARGS": '{"stream_id": "imec0.ap"}',
        "TEST_WITH_SUB_RECORDING": "true",
        "PREPROCESSING": "none",
        "SORTERS": "kilosort4",
        "SORTERS_KWARGS": '{"kilosort4": {"do_CAR": false}}',
        "EXPORTS": "nwb,phy",
        "TARGET_AWS_S3_BUCKET": "lab-results",
        "TARGET_AWS_S3_BUCKET_FOLDER": "session1",
        "N_JOBS": "4",
    }


@pytest.mark.parametrize(
    ("flag", "environment", "env_file", "expected"),
    [
        ("flag", "environment", "file", "flag"),
        (None, "environment", "file", "environment"),
        (None, None, "file", "file"),
        (None, "", "file", "file"),
        (None, "environment", None, "environment"),
    ],
)
def test_flag_overrides_environment_and_environment_overrides_file(
    flag: str | None, environment: str | None, env_file: str | None, expected: str
) -> None:
    said = {"SORTERS": env_file} if env_file is not None else {}
    ours = {"SORTERS": environment} if environment is not None else {}
    # the file's variables are taken up by an environment that has not got them
    new = {name: text for name, text in said.items() if not ours.get(name)}
    options = given(new, **SOURCE, **TARGET, sorters=flag)
    assert job_variables(options, {**ours, **new})["SORTERS"] == expected


def test_source_of_stronger_layer_replaces_weaker_source() -> None:
    env_file = {"AWS_S3_BUCKET": "old", "AWS_S3_BUCKET_FOLDER": "old", "DATA_TYPE": "nwb"}
    environ = {"SOURCE_FOLDER": "/data", "TARGET_AWS_S3_BUCKET_FOLDER": "old", **env_file}
    options = given(env_file, target="s3://new", source="dandi://dandi/000006@draft/a.nwb")
    assert job_variables(options, environ) == {
        "DANDISET_S3_FILE_URL": "dandi://dandi/000006@draft/a.nwb",
        "TARGET_AWS_S3_BUCKET": "new",
        "DATA_TYPE": "nwb",
    }


@pytest.mark.parametrize(
    ("url", "variables"),
    [
        ("s3://lab", {"AWS_S3_BUCKET": "lab"}),
        ("s3://lab/a/b/", {"AWS_S3_BUCKET": "lab", "AWS_S3_BUCKET_FOLDER": "a/b"}),
        ("s3://lab/a b.nwb", {"AWS_S3_BUCKET": "lab", "AWS_S3_BUCKET_FOLDER": "a b.nwb"}),
        *[
            (url, {"DANDISET_S3_FILE_URL": url})
            for url in (
                "dandi://dandi/000006@draft/sub-1/a.nwb",
                "https://dandiarchive.org/dandiset/000006/draft/files?location=a.nwb",
                "https://dandiarchive.s3.amazonaws.com/blobs/11e/c89/"
                "11ec8933-1456-4942-922b-94e5878bb991",
                "s3://dandiarchive/blobs/11e/c89/11ec8933-1456-4942-922b-94e5878bb991",
            )
        ],
    ],
)
def test_source_url_selects_variables(url: str, variables: dict[str, str]) -> None:
    assert source_variables(url) == variables


@pytest.mark.parametrize("option", ["source", "target"])
@pytest.mark.parametrize("start", ["s3://lab", "https://lab.s3.us-east-1.amazonaws.com"])
def test_key_that_begins_with_a_slash_is_refused(option: str, start: str) -> None:
    message = refused(**{**GIVEN, option: f"{start}//raw/a.nwb"})
    assert message.startswith(f"--{option}: '/raw/a.nwb' has an empty, '.' or '..' part")


@pytest.mark.parametrize(
    "url",
    [
        "https://lab-data.s3.us-east-1.amazonaws.com/raw/a.nwb?versionId=3sL4kqtJ",
        "https://s3.amazonaws.com/lab-data/raw/a.nwb?x-id=GetObject&versionId=3sL4kqtJ",
        "https://us-east-1.console.aws.amazon.com/s3/object/lab-data?prefix=raw/a.nwb&"
        "versionId=3sL4kqtJ",
        "https://lab-data.s3.amazonaws.com/raw/a.nwb?versionId=3sL4kqtJ&X-Amz-Signature=abc",
    ],
)
def test_version_of_an_object_is_refused(url: str) -> None:
    message = refused(**{**GIVEN, "source": url, "data_type": "nwb"})
    assert "--source: version 3sL4kqtJ of s3://lab-data/raw/a.nwb cannot be named" in message
    assert "the current version" in message
    message = refused({"AWS_S3_BUCKET": url, "DATA_TYPE": "nwb"}, **TARGET, sorters="simple")
    assert "current version" in message or "a signature" in message


def test_version_of_an_asset_of_dandi_is_its_only_one() -> None:
    url = "https://dandiarchive.s3.amazonaws.com/blobs/11e/c89/11ec8933-1456-4942-922b-94e5878bb991"
    assert source_variables(f"{url}?versionId=abc")


@pytest.mark.parametrize(
    "url", ["/data/session1", "session1", "C:\\data", "gs://lab/raw", "file:///a"]
)
def test_local_source_is_refused(url: str) -> None:
    message = refused(**{**GIVEN, "source": url})
    assert "is not on S3 or DANDI" in message
    assert "aws s3 cp" in message
    assert "python run_script.py" in message


def test_several_sources_are_joined_in_order() -> None:
    folders = ("s3://lab-data/raw/run2/", "s3://lab-data/raw/run1")
    settings = resolve_settings(given(**GIVEN | {"source": folders}), {})
    assert settings.to_env()["AWS_S3_BUCKET_FOLDER"] == '["raw/run2", "raw/run1"]'
    assert str(settings.source) == "s3://lab-data/raw/run2, s3://lab-data/raw/run1"
    assets = tuple(f"dandi://dandi/000006@draft/sub-1/{name}.nwb" for name in "ab")
    settings = resolve_settings(given(**TARGET, source=assets, sorters="kilosort4"), {})
    assert str(settings.source) == ", ".join(assets)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ("s3://other/raw/run2", "these are in lab-data and other"),
        ("dandi://dandi/000006@draft/sub-1/a.nwb", "these are in DANDI and lab-data"),
        ("s3://lab-data", "a whole bucket cannot be joined; name folders in it"),
        ("s3://lab-data/raw/session1/", "lists raw/session1 twice; name each recording once"),
    ],
)
def test_sources_that_cannot_be_joined_are_refused(other: str, words: str) -> None:
    assert words in refused(**GIVEN | {"source": (SOURCE["source"], other)})


def test_source_folder_in_environment_is_refused() -> None:
    message = refused(
        {"SOURCE_FOLDER": "/data/session1", "DATA_TYPE": "nwb"}, **TARGET, sorters="simple"
    )
    assert message == (
        "SOURCE_FOLDER: a job on AWS cannot read /data/session1 of this machine; "
        "copy it to S3 and give --source s3://bucket/folder"
    )


def test_simulated_recording_needs_no_source() -> None:
    settings = resolve_settings(
        given(**TARGET, sorters="simple", env=(("TEST_WITH_TOY_RECORDING", "true"),)), {}
    )
    assert settings.test_with_toy_recording


def test_missing_or_local_target_is_refused() -> None:
    message = refused(**SOURCE, sorters="kilosort4")
    assert message == (
        "--target: missing, and the job's machine is deleted with its files; "
        "give s3://bucket/folder"
    )
    assert refused({"RESULTS_FOLDER": "results"}, **SOURCE, sorters="kilosort4") == message
    assert resolve_settings(
        given(**SOURCE, sorters="simple", env=(("RESULTS_FOLDER", "/mnt/efs"),)), {}
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "/results"}, "--target: '/results' is not on S3"),
        ({"target": "s3://No"}, "--target: 's3://No' is not the name of an S3 bucket"),
        ({"source": "s3://No"}, "--source: 's3://No' is not the name of an S3 bucket"),
        ({"target": "s3://lab-data/raw/session1"}, "is the source itself"),
        ({"source": None}, "--source: missing; give s3://bucket/folder, dandi://"),
        ({"sorters": None}, "--sorters: missing"),
        ({"data_type": None}, "--data-type: missing"),
        (
            {"sorters_kwargs": "{'kilosort4': {'do_CAR': False}}"},
            '{"kilosort4": {"do_CAR": false}}',
        ),
        ({"sorters_kwargs": '{"kilosort": {}}'}, "did you mean kilosort4?"),
        ({"exports": "pdf"}, "EXPORTS"),
        ({"env": (("N_JOBS", "many"),)}, "N_JOBS"),
        ({"env": (("SORTER", "simple"),)}, "--env SORTER: not a variable of the job; did you mean"),
        ({"env": (("OMP_NUM_THREADS", "1"),)}, "and the job definition takes any other"),
        ({"env": (("SORTERS", "simple"),)}, "--env SORTERS: also given by its own option"),
        ({"env": (("AWS_BATCH_JOB_ID", "1"),)}, "--env AWS_BATCH_JOB_ID: not a variable"),
    ],
)
def test_invalid_job_is_refused_before_submission(options: dict[str, Any], message: str) -> None:
    assert message in refused(**{**GIVEN, **options})


def test_misspelled_variable_is_refused_unless_foreign() -> None:
    assert "SORTERS_KWARG: not a variable" in refused({"SORTERS_KWARG": "{}"}, **GIVEN)
    others = {"AWS_ENDPOINT_URL_BATCH": "http://localhost:1", "AWS_CA_BUNDLE": "/ca.pem"}
    assert (
        resolve_settings(given(**GIVEN), others).to_env()
        == resolve_settings(given(**GIVEN), {}).to_env()
    )


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("AWS_ACCESS_KEY_ID", "AKIATESTTESTTESTTEST", "jobRoleArn"),
        ("AWS_SECRET_ACCESS_KEY", "hidden-value", "jobRoleArn"),
        ("AWS_SESSION_TOKEN", "hidden-value", "jobRoleArn"),
        ("DANDI_API_KEY", "hidden-value", "AWS Secrets Manager"),
        ("GITHUB_TOKEN", "hidden-value", "AWS Secrets Manager"),
        ("DB_PASSWORD", "hidden-value", "AWS Secrets Manager"),
        ("RUN_IDENTIFIER", "AKIATESTTESTTESTTEST", "AWS Secrets Manager"),
        (
            "PROBE_FILE",
            "https://a.s3.amazonaws.com/p.json?X-Amz-Signature=hidden-value",
            "AWS Secrets Manager",
        ),
    ],
)
def test_secrets_are_refused_with_remedy_and_hidden(name: str, value: str, remedy: str) -> None:
    message = refused(**{**GIVEN, "env": ((name, value),)})
    assert message.startswith(f"{name}: ")
    assert remedy in message
    assert value not in message
    assert "hidden-value" not in message


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("AWS_ENDPOINT_URL", "write the URL without user and password, and store the server's"),
        ("AWS_ENDPOINT_URL_S3", "write the URL without user and password, and store the server's"),
        ("RUN_IDENTIFIER", "leave out user, password and query"),
    ],
)
@pytest.mark.parametrize("layer", ["environment", "file", "option"])
def test_password_in_a_url_is_refused_and_hidden(layer: str, name: str, remedy: str) -> None:
    variables = {name: "http://minio:hidden-value@minio.lab.org:9000"}
    if layer == "option":
        message = refused(**{**GIVEN, "env": tuple(variables.items())})
    else:
        file = variables if layer == "file" else {}
        message = refused(variables, **GIVEN, env_file=file)
    assert message.startswith(f"{name}: holds ")
    assert remedy in message
    assert "hidden-value" not in message


@pytest.mark.parametrize("query", ["token=hidden-value", "x=1&Signature=hidden-value"])
def test_token_in_the_url_of_an_asset_is_refused_and_hidden(query: str) -> None:
    url = f"https://api.dandiarchive.org/api/assets/11ec8933-1456-4942-922b/download/?{query}"
    message = refused(**TARGET, source=url, sorters="simple")
    assert message.startswith("DANDISET_S3_FILE_URL: holds ")
    assert "leave out its query" in message
    assert "DANDI_API_KEY" in message
    assert "hidden-value" not in message


@pytest.mark.parametrize(
    "url",
    [
        "dandi://dandi/000006@draft/sub-1/a.nwb",
        "https://dandiarchive.org/dandiset/000006/draft/files?location=sub@1/a.nwb",
    ],
)
def test_urls_without_secrets_are_accepted(url: str) -> None:
    check_no_secret({"DANDISET_S3_FILE_URL": url, "AWS_ENDPOINT_URL": "http://minio.lab:9000/a@b"})


def test_secrets_in_environment_are_not_forwarded() -> None:
    environ = {
        "AWS_ACCESS_KEY_ID": "AKIATESTTESTTESTTEST",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_SESSION_TOKEN": "secret",
        "DANDI_API_KEY": "secret",
        "HOME": "/home/me",
    }
    settings = resolve_settings(given(**GIVEN), environ)
    assert settings.to_env() == resolve_settings(given(**GIVEN), {}).to_env()
    assert not [*forwarding_warnings(settings, environ)]


def test_unforwarded_dandi_key_is_warned_of() -> None:
    dandi = {**GIVEN, "source": "dandi://dandi/000006@draft/a.nwb", "data_type": None}
    settings = resolve_settings(given(**dandi), {})
    [remark] = forwarding_warnings(settings, {"DANDI_API_KEY": "secret"})
    assert remark.startswith("DANDI_API_KEY is not sent to the job")
    assert not [*forwarding_warnings(settings, {})]


@pytest.mark.parametrize(
    ("url", "is_local"),
    [
        ("http://localhost:9000", True),
        ("http://127.0.0.1:9000", True),
        ("http://[::1]:9000", True),
        ("https://minio.lab.example:9000", False),
        ("", False),
    ],
)
def test_endpoint_on_this_machine_is_warned_of(url: str, is_local: bool) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        told = [*endpoint_warnings({name: url})]
        assert [line.partition("=")[0] for line in told] == [name] * is_local


def test_all_secrets_are_reported_at_once() -> None:
    with pytest.raises(SettingsError) as refusal:
        check_no_secret({"A_TOKEN": "a", "N_JOBS": "1", "B_SECRET": "b"})
    assert [line.partition(":")[0] for line in str(refusal.value).splitlines()] == [
        "A_TOKEN",
        "B_SECRET",
    ]
