"""The contract of the variables: what is read, what is refused, and with which words."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeinterface_cloud.errors import SettingsError
from spikeinterface_cloud.location import (
    DandiAsset,
    DandiBlob,
    LocalFolder,
    S3Location,
    SimulatedRecording,
)
from spikeinterface_cloud.settings import JobSettings, settings_table, variable_names

GOOD = {
    "AWS_S3_BUCKET": "lab-data",
    "AWS_S3_BUCKET_FOLDER": "raw/session1",
    "DATA_TYPE": "spikeglx",
    "SORTERS": "kilosort4,simple",
}

BLOB = "https://dandiarchive.s3.amazonaws.com/blobs/11e/c89/11ec8933-1456-4942-922b-94e5878bb991"


def refusal(**changes: str | None) -> str:
    """The message that the good job gets with these changes; None takes a variable away."""
    environ = {name: text for name, text in {**GOOD, **changes}.items() if text is not None}
    with pytest.raises(SettingsError) as raised:
        JobSettings.from_env(environ)
    assert raised.value.exit_code == 78
    return str(raised.value)


def accepted(**changes: str | None) -> JobSettings:
    environ = {name: text for name, text in {**GOOD, **changes}.items() if text is not None}
    return JobSettings.from_env(environ)


def test_the_variables_of_a_good_job() -> None:
    settings = accepted(
        READ_RECORDING_KWARGS='{"stream_id": "imec0.ap"}',
        SORTERS_KWARGS='{"kilosort4": {"nblocks": 0}}',
        TARGET_AWS_S3_BUCKET="lab-results",
        N_JOBS="4",
    )
    assert settings.source == S3Location(bucket="lab-data", key="raw/session1")
    assert settings.target == S3Location(bucket="lab-results")
    assert settings.sorters == ("kilosort4", "simple")
    assert settings.sorters_kwargs == {"kilosort4": {"nblocks": 0}}
    assert settings.read_recording_kwargs == {"stream_id": "imec0.ap"}
    assert settings.n_jobs == 4
    assert settings.preprocessing == "default"


def test_the_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        accepted().n_jobs = 2


@pytest.mark.parametrize(
    ("variables", "source"),
    [
        ({"DANDISET_S3_FILE_URL": BLOB}, DandiBlob(bucket="dandiarchive", key=BLOB[38:])),
        (
            {"DANDISET_S3_FILE_URL": "dandi://dandi/000006/sub-1/a.nwb"},
            DandiAsset(url="dandi://dandi/000006/sub-1/a.nwb"),
        ),
        ({"TEST_WITH_TOY_RECORDING": "True"}, SimulatedRecording()),
    ],
)
def test_each_source_is_parsed_into_its_type(variables: dict[str, str], source: object) -> None:
    assert JobSettings.from_env({**variables, "SORTERS": "simple"}).source == source


def test_a_mounted_folder_is_a_source() -> None:
    settings = accepted(AWS_S3_BUCKET=None, AWS_S3_BUCKET_FOLDER=None, SOURCE_FOLDER="/data")
    assert isinstance(settings.source, LocalFolder)


def test_the_source_variables_of_the_first_version_mean_the_same() -> None:
    environ = {f"SOURCE_{name}" if "BUCKET" in name else name: GOOD[name] for name in GOOD}
    assert JobSettings.from_env(environ) == accepted()


@pytest.mark.parametrize("text", ["False", "false", "0", "no", "NO"])
def test_false_is_false(text: str) -> None:
    assert accepted(TEST_WITH_TOY_RECORDING=text).source == accepted().source
    assert not accepted(TEST_WITH_SUB_RECORDING=text).test_with_sub_recording


@pytest.mark.parametrize("text", ["True", "true", "1", "yes"])
def test_true_is_true(text: str) -> None:
    assert accepted(TEST_WITH_SUB_RECORDING=text).sub_recording_n_frames == 300_000


def test_an_empty_variable_is_an_unset_one() -> None:
    settings = accepted(TARGET_AWS_S3_BUCKET="", N_JOBS=" ", SORTERS_KWARGS="")
    assert settings == accepted()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"TEST_WITH_SUB_RECORDING": "maybe"}, "neither true nor false"),
        ({"SORTERS": None}, "SORTERS: missing"),
        ({"SORTERS": ","}, "SORTERS: names no sorter"),
        ({"SORTERS": "simple,simple"}, "SORTERS: lists simple more than once"),
        ({"SORTERS_KWARGS": '{"kilosort": {}}'}, "did you mean kilosort4?"),
        ({"SORTERS_KWARGS": '{"simple": 3}'}, "SORTERS_KWARGS: simple has 3 for parameters"),
        ({"SORTERS_KWARGS": "[1]"}, "is not a JSON object"),
        ({"N_JOBS": "0"}, "N_JOBS: input should be greater than 0, got '0'"),
        ({"N_JOBS": "many"}, "N_JOBS: input should be a valid integer"),
        ({"EXPORTS": "nwb,pdf"}, "EXPORTS: input should be 'nwb' or 'phy', got 'pdf'"),
        ({"PREPROCESSING": "defualt"}, "PREPROCESSING: 'defualt' is not a pipeline"),
        ({"PREPROCESSING": "[1]"}, "each step of a list is an object with a name"),
        ({"DATA_TYPE": None}, "DATA_TYPE: missing"),
        ({"AWS_S3_BUCKET": None}, "AWS_S3_BUCKET_FOLDER: given without AWS_S3_BUCKET"),
        ({"AWS_S3_BUCKET": "No Bucket"}, "AWS_S3_BUCKET: 'No Bucket' is not the name"),
        ({"SOURCE_FOLDER": "/data"}, "give one source only"),
        ({"SOURCE_AWS_S3_BUCKET": "other"}, "differs from AWS_S3_BUCKET"),
        ({"AWS_ACCESS_KEY_ID": "AKIA"}, "AWS_SECRET_ACCESS_KEY: missing"),
        ({"TEST_SUB_RECORDING_N_FRAMES": "10"}, "set TEST_WITH_SUB_RECORDING=true as well"),
        (
            {"TARGET_AWS_S3_BUCKET": "lab-data", "TARGET_AWS_S3_BUCKET_FOLDER": "raw/session1/"},
            "is the source itself",
        ),
        (
            {
                "TARGET_AWS_S3_BUCKET": "lab-data",
                "TARGET_AWS_S3_BUCKET_FOLDER": "raw/session1/results",
            },
            "is in the source itself",
        ),
        (
            {
                "AWS_S3_BUCKET": None,
                "AWS_S3_BUCKET_FOLDER": None,
                "DANDISET_S3_FILE_URL": "dandi://dandi/000003/sub-1/a.nwb",
                "PROBE_FILE": "probe.json",
            },
            "PROBE_FILE: probe.json is no path inside the source, as an asset of DANDI is one file",
        ),
        (
            {
                "AWS_S3_BUCKET": None,
                "AWS_S3_BUCKET_FOLDER": None,
                "TEST_WITH_TOY_RECORDING": "true",
                "PROBE_FILE": "probe.json",
            },
            "PROBE_FILE: a simulated recording has a probe of its own",
        ),
        ({"SORTER": "simple"}, "SORTER: not a variable of this program; did you mean SORTERS?"),
        ({"TARGET_S3_BUCKET": "b"}, "did you mean TARGET_AWS_S3_BUCKET?"),
    ],
)
def test_what_is_refused_and_how(changes: dict[str, str | None], words: str) -> None:
    message = refusal(**changes)
    assert words in message
    assert "\n" not in message


@pytest.mark.parametrize("url", ["ftp://x/y.nwb", "not a url", "s3://dandiarchive/other/key"])
def test_a_url_that_names_no_asset_is_refused(url: str) -> None:
    message = refusal(AWS_S3_BUCKET=None, AWS_S3_BUCKET_FOLDER=None, DANDISET_S3_FILE_URL=url)
    assert message.startswith("DANDISET_S3_FILE_URL: ")


@pytest.mark.parametrize(
    "results", ["/data/session", "/data/session/results", "/data/../data/session"]
)
def test_results_are_not_written_into_the_source(results: str) -> None:
    message = refusal(
        AWS_S3_BUCKET=None,
        AWS_S3_BUCKET_FOLDER=None,
        SOURCE_FOLDER="/data/session",
        RESULTS_FOLDER=results,
    )
    assert message.startswith(f"RESULTS_FOLDER: {results} is in the source itself")


def test_results_may_lie_beside_the_source() -> None:
    JobSettings.from_env(
        {
            "SOURCE_FOLDER": "/data/session",
            "RESULTS_FOLDER": "/data/session-results",
            "DATA_TYPE": "binary",
            "SORTERS": "simple",
        }
    )


def test_no_source_names_the_variables_that_give_one() -> None:
    with pytest.raises(SettingsError, match=r"no source: .*DANDISET_S3_FILE_URL"):
        JobSettings.from_env({"SORTERS": "simple"})


@pytest.mark.parametrize(
    ("literal", "corrected"),
    [
        ("{'simple': {'a': True}}", '{"simple": {"a": true}}'),
        ("{'simple': {'a': None, 'b': \"it's\"}}", '{"simple": {"a": null, "b": "it\'s"}}'),
    ],
)
def test_a_python_literal_is_answered_with_its_json(literal: str, corrected: str) -> None:
    assert refusal(SORTERS_KWARGS=literal).endswith(f"write {corrected}")


def test_nan_is_no_json() -> None:
    assert "NaN is not a JSON value" in refusal(SORTERS_KWARGS='{"simple": {"a": NaN}}')


def test_every_problem_is_reported_at_once() -> None:
    message = refusal(
        SORTER="x", N_JOBS="-1", SORTERS_KWARGS="{", SOURCE_FOLDER="/data", EXPORTS="pdf"
    )
    assert [line.partition(":")[0] for line in sorted(message.splitlines())] == [
        "AWS_S3_BUCKET",
        "EXPORTS",
        "N_JOBS",
        "SORTER",
        "SORTERS_KWARGS",
    ]


def test_what_aws_calls_its_own_variables_is_no_misspelling() -> None:
    accepted(AWS_REGION="x", AWS_PROFILE="y", AWS_BATCH_JOB_ID="z", PATH="/bin", HOME="/")


def test_secrets_are_masked_and_never_travel() -> None:
    settings = accepted(
        AWS_ACCESS_KEY_ID="AKIAPLANTED",
        AWS_SECRET_ACCESS_KEY="planted-secret",
        AWS_SESSION_TOKEN="planted-token",
        DANDI_API_KEY="planted-key",
    )
    for shown in (repr(settings), str(settings), str(settings.masked()), str(settings.to_env())):
        assert "planted" not in shown.lower()
    assert settings.masked()["AWS_SECRET_ACCESS_KEY"] == "***"


def test_the_signature_of_a_url_is_masked() -> None:
    settings = JobSettings.from_env(
        {"DANDISET_S3_FILE_URL": f"{BLOB}?X-Amz-Signature=planted", "SORTERS": "simple"}
    )
    assert settings.masked()["DANDISET_S3_FILE_URL"] == f"{BLOB}?***"


NAMES = st.text("abcdefghijklmnop0123456789_", min_size=1, max_size=12)
VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.lists(st.integers())
PARAMETERS = st.dictionaries(st.text(min_size=1, max_size=8), VALUES, max_size=3)


@given(
    sorters=st.lists(NAMES, min_size=1, max_size=3, unique=True),
    parameters=PARAMETERS,
    kwargs=PARAMETERS,
    n_jobs=st.none() | st.integers(min_value=1),
    frames=st.none() | st.integers(min_value=1),
    identifier=st.none() | st.text("abc -='\"{}", min_size=1).filter(lambda text: text.strip()),
)
def test_the_variables_that_are_written_give_the_same_settings(
    sorters: list[str],
    parameters: dict[str, object],
    kwargs: dict[str, object],
    n_jobs: int | None,
    frames: int | None,
    identifier: str | None,
) -> None:
    settings = JobSettings.model_validate(
        {
            "aws_s3_bucket": "lab-data",
            "data_type": "nwb",
            "sorters": tuple(sorters),
            "sorters_kwargs": {sorters[0]: parameters},
            "read_recording_kwargs": kwargs,
            "n_jobs": n_jobs,
            "run_identifier": identifier,
            **({} if frames is None else {"test_with_sub_recording": True}),
            **({} if frames is None else {"test_sub_recording_n_frames": frames}),
        }
    )
    assert JobSettings.from_env(settings.to_env()) == settings


@given(st.dictionaries(st.sampled_from(variable_names()), st.text(max_size=20)))
def test_whatever_the_variables_hold_only_a_settings_error_comes_out(
    environ: dict[str, str],
) -> None:
    with contextlib.suppress(SettingsError):
        JobSettings.from_env(environ)


def test_every_variable_is_described() -> None:
    for row in settings_table().splitlines()[2:]:
        assert "None" not in row
