"""The contract of the variables: what is read, what is refused, and with which words."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeinterface_cloud.array_job import resolve_environment
from spikeinterface_cloud.config.locations import (
    DandiAsset,
    DandiBlob,
    LocalFolder,
    S3Location,
    SimulatedRecording,
)
from spikeinterface_cloud.config.settings import (
    SECRETS,
    AwsSettings,
    DandiAccess,
    JobSettings,
    variable_names,
)
from spikeinterface_cloud.errors import SettingsError
from tools.write_reference import settings_table

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


@pytest.mark.parametrize(
    "steps",
    [
        '{"phase_shift": {}, "resample": {"resample_rate": 15000}}',
        '[{"name": "decimate", "params": {"decimation_factor": 2}}]',
    ],
)
def test_a_new_rate_is_refused_where_the_true_spikes_have_the_old_one(steps: str) -> None:
    toy = {"TEST_WITH_TOY_RECORDING": "true", "AWS_S3_BUCKET": None, "AWS_S3_BUCKET_FOLDER": None}
    message = refusal(**toy, DATA_TYPE=None, PREPROCESSING=steps)
    assert message.startswith("PREPROCESSING: ")
    assert "would change the sampling rate" in message
    assert "\n" not in message
    accepted(PREPROCESSING=steps)
    accepted(**toy, DATA_TYPE=None, PREPROCESSING='{"phase_shift": {}}')


def test_the_default_of_bad_channels_is_accepted() -> None:
    assert accepted(SORTERS_KWARGS='{"kilosort4": {"bad_channels": null}}')


def test_variables_of_valid_job_are_parsed() -> None:
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


def test_synonyms_of_source_variables_are_accepted() -> None:
    environ = {f"SOURCE_{name}" if "BUCKET" in name else name: GOOD[name] for name in GOOD}
    assert JobSettings.from_env(environ) == accepted()


@pytest.mark.parametrize("text", ["False", "false", "0", "no", "NO"])
def test_false_is_false(text: str) -> None:
    assert accepted(TEST_WITH_TOY_RECORDING=text).source == accepted().source
    assert not accepted(TEST_WITH_SUB_RECORDING=text).test_with_sub_recording


@pytest.mark.parametrize("text", ["True", "true", "1", "yes"])
def test_true_is_true(text: str) -> None:
    assert accepted(TEST_WITH_SUB_RECORDING=text).sub_recording_n_frames == 300_000


def test_empty_variable_counts_as_unset() -> None:
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
        (
            {"SORTERS_KWARGS": '{"kilosort4": {"bad_channels": [20]}}'},
            "SORTERS_KWARGS: bad_channels of kilosort4 are places among the channels",
        ),
        ({"SPLIT_BY": "label"}, "SPLIT_BY: label is a property that the analysis gives the units"),
        ({"SPLIT_BY": "bombcell_label"}, "SPLIT_BY: bombcell_label is a property"),
        ({"SPLIT_BY": "main_channel_id"}, "SPLIT_BY: main_channel_id is a property"),
        (
            {"SORTERS": '["simple", ""]'},
            'SORTERS: \'["simple", ""]\' holds an empty name; leave it',
        ),
        ({"SORTERS": '["\\ud800"]'}, "holds something that is not a name; write names alone"),
        ({"SORTERS": "simple kilosort4"}, "are separated by commas; write simple,kilosort4"),
        ({"SORTERS": "simple; kilosort4"}, "are separated by commas; write simple,kilosort4"),
        ({"N_JOBS": "0"}, "N_JOBS: '0' is not a whole number of 1 or more; write one like 4"),
        ({"N_JOBS": "many"}, "N_JOBS: 'many' is not a whole number of 1 or more; write one like 4"),
        ({"N_JOBS": "0.5"}, "N_JOBS: '0.5' is not a whole number of 1 or more; write one like 4"),
        (
            {"TEST_WITH_SUB_RECORDING": "true", "TEST_SUB_RECORDING_N_FRAMES": "300,000"},
            "TEST_SUB_RECORDING_N_FRAMES: '300,000' is not a whole number of 1 or more; "
            "write 300000",
        ),
        ({"EXPORTS": "nwb,pdf"}, "EXPORTS: input should be 'nwb' or 'phy', got 'pdf'"),
        ({"EXPORTS": "phy,PHY"}, "EXPORTS: lists phy more than once; name each once"),
        ({"SCRATCH_FOLDER": "~"}, "SCRATCH_FOLDER: ~ is a shell's short form; write the full path"),
        (
            {"RESULTS_FOLDER": "s3://lab/out"},
            "RESULTS_FOLDER: s3://lab/out is on S3; give TARGET_AWS_S3_BUCKET and TARGET_AWS_S3_B",
        ),
        ({"PREPROCESSING": "defualt"}, "PREPROCESSING: 'defualt' is not a pipeline"),
        *(
            ({name: text}, f'{name}: names "{twice}" more than once; name it once')
            for name, text, twice in (
                ("SORTERS_KWARGS", '{"simple": {"seed": 1}, "simple": {"freq_min": 9}}', "simple"),
                ("SORTERS_KWARGS", '{"simple": {"seed": 1, "seed": 2}}', "seed"),
                ("READ_RECORDING_KWARGS", '{"stream_id": "a", "stream_id": "b"}', "stream_id"),
                (
                    "PREPROCESSING",
                    '{"notch_filter": {"freq": 50}, "whiten": {}, "notch_filter": {"freq": 100}}',
                    "notch_filter",
                ),
            )
        ),
        (
            {"CLOCK": "nidq", "EVENTS": '{"nidq:XA2": {"threshold_v": 1}, "nidq:XA2": {}}'},
            'EVENTS: names "nidq:XA2" more than once; name it once',
        ),
        (
            {"PREPROCESSING": '{"notch_filter": {"freq": 50}, "notch_filter": {"freq": 100}}'},
            "name it once; to apply a step twice, write a list of steps: [{",
        ),
        ({"PREPROCESSING": "[1]"}, "each step of a list is an object with a name"),
        ({"PREPROCESSING": '[{"name": 1}]'}, "each step of a list is an object with a name"),
        *(
            (
                {"PREPROCESSING": f'[{{"name": "highpass_filter", {values}}}]'},
                f"PREPROCESSING: highpass_filter has {names} beside name and params, and only "
                'params are applied; write {"name": "highpass_filter", "params": '
                '{"freq_min": 600, "ftype": "bessel"}}',
            )
            for values, names in {
                '"kwargs": {"freq_min": 600, "ftype": "bessel"}': "kwargs",
                '"parameters": {"freq_min": 600, "ftype": "bessel"}': "parameters",
                '"freq_min": 600, "ftype": "bessel"': "freq_min, ftype",
                '"params": {"freq_min": 600}, "ftype": "bessel"': "ftype",
            }.items()
        ),
        ({"DATA_TYPE": None}, "DATA_TYPE: missing"),
        ({"AWS_S3_BUCKET": None}, "AWS_S3_BUCKET_FOLDER: given without AWS_S3_BUCKET"),
        ({"AWS_S3_BUCKET": "No Bucket"}, "AWS_S3_BUCKET: 'No Bucket' is not the name"),
        ({"SOURCE_FOLDER": "/data"}, "give one source only"),
        ({"SOURCE_AWS_S3_BUCKET": "other"}, "differs from AWS_S3_BUCKET"),
        ({"AWS_ACCESS_KEY_ID": "AKIA"}, "AWS_SECRET_ACCESS_KEY: missing"),
        (
            {"AWS_SESSION_TOKEN": "x"},
            "AWS_SESSION_TOKEN: given without AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; give",
        ),
        (
            {"AWS_SESSION_TOKEN": "x", "AWS_ACCESS_KEY_ID": "AKIA"},
            "AWS_SECRET_ACCESS_KEY: missing, though AWS_ACCESS_KEY_ID is given",
        ),
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
                "AWS_S3_BUCKET_FOLDER": "session1/recording.zarr",
                "TARGET_AWS_S3_BUCKET": "lab-data",
                "TARGET_AWS_S3_BUCKET_FOLDER": "session1",
            },
            "s3://lab-data/session1 is the results whose archive is the source",
        ),
        ({"ARCHIVE": "zar"}, "ARCHIVE: input should be 'none' or 'zarr', got 'zar'"),
        (
            {"ARCHIVE": "zarr", "TEST_WITH_SUB_RECORDING": "true"},
            "ARCHIVE: the first frames are no archive of the recording; leave",
        ),
        (
            {
                "AWS_S3_BUCKET": None,
                "AWS_S3_BUCKET_FOLDER": None,
                "DANDISET_S3_FILE_URL": "dandi://dandi/000003/sub-1/a.nwb",
                "PROBE_FILE": "probe.json",
            },
            "PROBE_FILE: probe.json is no path inside the source, as an asset of DANDI",
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
def test_url_without_asset_is_refused(url: str) -> None:
    message = refusal(AWS_S3_BUCKET=None, AWS_S3_BUCKET_FOLDER=None, DANDISET_S3_FILE_URL=url)
    assert message.startswith("DANDISET_S3_FILE_URL: ")


@pytest.mark.parametrize(
    "results", ["/data/session", "/data/session/results", "/data/../data/session"]
)
def test_target_inside_source_is_refused(results: str) -> None:
    message = refusal(
        AWS_S3_BUCKET=None,
        AWS_S3_BUCKET_FOLDER=None,
        SOURCE_FOLDER="/data/session",
        RESULTS_FOLDER=results,
    )
    assert message.startswith(f"RESULTS_FOLDER: {results} is in the source itself")


def test_target_beside_source_is_accepted() -> None:
    JobSettings.from_env(
        {
            "SOURCE_FOLDER": "/data/session",
            "RESULTS_FOLDER": "/data/session-results",
            "DATA_TYPE": "binary",
            "SORTERS": "simple",
        }
    )


def test_missing_source_error_names_source_variables() -> None:
    with pytest.raises(SettingsError, match=r"no source given; .*DANDISET_S3_FILE_URL"):
        JobSettings.from_env({"SORTERS": "simple"})


@pytest.mark.parametrize(
    ("literal", "corrected"),
    [
        ("{'simple': {'a': True}}", '{"simple": {"a": true}}'),
        ("{'simple': {'a': None, 'b': \"it's\"}}", '{"simple": {"a": null, "b": "it\'s"}}'),
    ],
)
def test_python_literal_error_suggests_json(literal: str, corrected: str) -> None:
    assert refusal(SORTERS_KWARGS=literal).endswith(f"write {corrected}")


def without_source(**changes: str) -> dict[str, str | None]:
    return {"AWS_S3_BUCKET": None, "AWS_S3_BUCKET_FOLDER": None, **changes}


@pytest.mark.parametrize(
    ("folder", "words"),
    [
        ("s3://lab/raw", "is on S3; give AWS_S3_BUCKET and AWS_S3_BUCKET_FOLDER"),
        ("https://lab/raw", "is no folder; give the path of one on the job's own machine"),
        ("~/data", "is a shell's short form; write the full path, like /home/me/data"),
    ],
)
def test_remote_source_folder_is_refused(folder: str, words: str) -> None:
    message = refusal(**without_source(SOURCE_FOLDER=folder))
    assert message == f"SOURCE_FOLDER: {folder} {words}"


@pytest.mark.parametrize(
    ("probe", "words"),
    [
        ("s3://Bad_Bucket/p.json", "'s3://Bad_Bucket/p.json' is not the name of an S3 bucket"),
        *(
            (probe, f"{probe} is neither a path inside the source nor an object on S3; write s3://")
            for probe in ("s3:/bucket/p.json", "https://lab/p.json", "s3://bucket", "s3://bucket/")
        ),
    ],
)
def test_invalid_probe_location_is_refused(probe: str, words: str) -> None:
    assert refusal(PROBE_FILE=probe).startswith(f"PROBE_FILE: {words}")


@pytest.mark.parametrize("probe", ["s3://lab/p.json", "p.json", "a/p.json", "/data/p.json"])
def test_valid_probe_location_is_accepted(probe: str) -> None:
    assert accepted(PROBE_FILE=probe).probe_file == probe


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        ("localhost:9000", "write http://localhost:9000"),
        ("minio", "write http://minio"),
        *(
            (url, "write one like http://localhost:9000")
            for url in ("http://", "ftp://lab", "http://a b:9000", "http://h:99999", "http://[::1")
        ),
    ],
)
def test_invalid_endpoint_url_is_refused(name: str, url: str, remedy: str) -> None:
    message = f"{name}: {url!r} is not the URL of a server; {remedy}"
    assert refusal(**{name: url}) == message
    with pytest.raises(SettingsError) as raised:
        AwsSettings.from_env({name: url})
    assert str(raised.value) == message


def test_password_in_endpoint_url_is_hidden() -> None:
    assert "planted" not in refusal(AWS_ENDPOINT_URL="user:planted@minio:9000")


@pytest.mark.parametrize(
    "url", ["https://s3.lab", "http://localhost:9000/", "http://[::1]:9", "http://a:b@minio/x"]
)
def test_valid_endpoint_url_is_accepted(url: str) -> None:
    assert accepted(AWS_ENDPOINT_URL=url).aws.endpoint_url == url


@pytest.mark.parametrize(
    ("region", "example"),
    [
        ("us_east_1", "us-east-1"),
        ("us east 1", "us-east-1"),
        ("EU-Central-1", "eu-central-1"),
        ("eu-west-2a", "eu-west-2"),  # a zone
        ("-", "us-east-1"),
        ("1", "us-east-1"),
    ],
)
def test_invalid_region_is_refused(region: str, example: str) -> None:
    message = f"{region!r} is not the name of a region; write it like {example}"
    assert refusal(AWS_REGION_NAME=region) == f"AWS_REGION_NAME: {message}"


@pytest.mark.parametrize(
    "region", ["us-east-1", "us-gov-west-1", "eusc-de-east-1", "auto", "fr-par", "RegionOne"]
)
def test_region_of_other_server_is_accepted(region: str) -> None:
    assert accepted(AWS_REGION_NAME=region).aws.region_name == region


@pytest.mark.parametrize("exports", ["NWB,Phy", "nwb, phy", '["nwb", "PHY"]'])
def test_exports_are_named_in_any_case(exports: str) -> None:
    assert accepted(EXPORTS=exports).exports == ("nwb", "phy")


@pytest.mark.parametrize("count", ["4", " 4 ", "+4", "4.0"])
def test_count_formats_are_accepted(count: str) -> None:
    assert accepted(N_JOBS=count).n_jobs == 4


@pytest.mark.parametrize(
    ("number", "problem"),
    [
        ("1" + "0" * 400, "a whole number of 401 digits is too large; write a smaller one"),
        ("-1" + "0" * 400, "a whole number of 401 digits is too large; write a smaller one"),
        ("9" * 5000, "a whole number of 5000 digits is too large; write a smaller one"),
        ("1e400", "1e400 is too large for a number; write a smaller one"),
    ],
    ids=lambda text: text[:8],
)
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("SORTERS_KWARGS", '{"simple": {"freq_max": NUMBER}}'),
        ("READ_RECORDING_KWARGS", '{"num_channels": NUMBER}'),
        ("PREPROCESSING", '{"bandpass_filter": {"freq_min": NUMBER}}'),
        ("EVENTS", '{"nidq:XA2": {"threshold_v": NUMBER}}'),
    ],
)
def test_number_above_the_largest_float_is_refused(
    name: str, text: str, number: str, problem: str
) -> None:
    message = refusal(CLOCK="nidq", **{name: text.replace("NUMBER", number)})
    assert message == f"{name}: {problem}"


def test_large_whole_number_is_kept() -> None:
    text = f'{{"simple": {{"seed": {10**300}}}}}'
    assert accepted(SORTERS_KWARGS=text).sorters_kwargs == {"simple": {"seed": 10**300}}


def test_nan_is_refused() -> None:
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


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("n_jobs", "N_JOBS"),
        ("sorters_kwarg", "SORTERS_KWARGS"),
        ("REGION_NAME", "AWS_REGION_NAME"),
        ("BUCKET_FOLDER", "AWS_S3_BUCKET_FOLDER"),
        ("TOY_RECORDING", "TEST_WITH_TOY_RECORDING"),
        ("TARGET_BUCKET", "TARGET_AWS_S3_BUCKET"),
        ("TARGET_FOLDER", "TARGET_AWS_S3_BUCKET_FOLDER"),
        ("TARGET_PREFIX", "TARGET_AWS_S3_BUCKET_FOLDER"),
        ("TARGET_DANDI", "TARGET_DANDISET"),
        ("SORTER_NAME", "SORTERS"),
        ("SORTER_PARAMS", "SORTERS_KWARGS"),
        ("PREPROCESS", "PREPROCESSING"),
        ("EXPORT_TO", "EXPORTS"),
        ("DANDISET_URL", "DANDISET_S3_FILE_URL"),
        ("READ_KWARGS", "READ_RECORDING_KWARGS"),
        ("RECORDING_PARAMS", "READ_RECORDING_KWARGS"),
    ],
)
def test_misspelled_variable_error_names_the_intended_one(name: str, meant: str) -> None:
    message = f"{name}: not a variable of this program; did you mean {meant}?"
    assert refusal(**{name: "x"}) == message


@pytest.mark.parametrize(
    "name",
    [
        *("AWS_REGION", "AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_BATCH_JOB_ID", "AWS_ROLE_ARN"),
        *("DANDI_INSTANCE", "DANDI_INSTANCEHOST", "DANDI_SANDBOX_API_KEY"),
        *("AWS_ENDPOINT_URL_STS", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_EXECUTION_ENV"),
        *("AWS_SDK_LOAD_CONFIG", "AWS_SECURITY_TOKEN", "ECS_CONTAINER_METADATA_URI_V4"),
        *("PATH", "HOME", "PYTHONPATH", "LD_LIBRARY_PATH", "http_proxy", "NVIDIA_VISIBLE_DEVICES"),
        *("TARGET", "TARGETARCH", "TARGETPLATFORM", "TARGET_ARCH", "TARGET_BUILD_DIR"),
        *("READ_ONLY", "READTHEDOCS", "RECORDING_ENABLED", "EXPORTER_PORT", "PREPROCESSOR_FLAGS"),
        *("S3_BUCKET", "API_KEY", "ACCESS_KEY", "FILE_URL", "JOBS", "FOLDER", "TYPE"),
        *("DANDI_DEVEL", "DANDI_CACHE", "NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "CUDA_HOME"),
    ],
)
def test_variables_of_other_programs_are_not_misspellings(name: str) -> None:
    assert accepted(**{name: "x"}) == accepted()


@pytest.mark.parametrize(
    ("name", "text", "meant"),
    [
        ("SORTERS_KWARGS", "'{\"simple\": {}}'", '{"simple": {}}'),
        ("SORTERS_KWARGS", '"{"simple": {}}"', '{"simple": {}}'),
        ("SORTERS_KWARGS", '"{\\"simple\\": {}}"', '{"simple": {}}'),
        ("PREPROCESSING", "'none'", "none"),
        ("SORTERS", '"simple","kilosort4"', "simple,kilosort4"),
        ("N_JOBS", '"4"', "4"),
        ("TARGET_AWS_S3_BUCKET", "''", ""),
    ],
)
def test_surrounding_quotes_are_refused(name: str, text: str, meant: str) -> None:
    message = refusal(**{name: text})
    assert message.startswith(f"{name}: has quotes around it that are part of its value")
    assert message.endswith(f"; leave out the outer quotes; write {name}={meant}")


@pytest.mark.parametrize(
    ("changes", "place", "meant"),
    [
        ({"RESULTS_FOLDER": "/results "}, "/results ", "/results"),
        ({"SCRATCH_FOLDER": "\t/scratch"}, "\t/scratch", "/scratch"),
        ({"PROBE_FILE": "probe.json "}, "probe.json ", "probe.json"),
        ({"AWS_S3_BUCKET": "lab-data "}, "lab-data ", "lab-data"),
        ({"AWS_S3_BUCKET_FOLDER": " raw/a"}, " raw/a", "raw/a"),
        ({"AWS_S3_BUCKET_FOLDER": '["raw/a ", "raw/b"]'}, "raw/a ", "raw/a"),
        ({"AWS_S3_BUCKET_FOLDER": '["raw/a "]'}, "raw/a ", "raw/a"),
        (
            {"TARGET_AWS_S3_BUCKET_FOLDER": "results/day1 ", "TARGET_AWS_S3_BUCKET": "lab-out"},
            "results/day1 ",
            "results/day1",
        ),
    ],
)
def test_white_space_at_an_end_of_a_place_is_refused(
    changes: dict[str, str], place: str, meant: str
) -> None:
    assert refusal(**changes) == (
        f"{next(iter(changes))}: {place!r} has white space at an end, which would be part of the "
        f"name; write {meant}"
    )


def test_white_space_within_a_place_is_kept() -> None:
    assert accepted(AWS_S3_BUCKET_FOLDER="raw/day 1").aws_s3_bucket_folder == "raw/day 1"
    assert accepted(AWS_S3_BUCKET_FOLDER=' ["raw/day 1"]').aws_s3_bucket_folder == "raw/day 1"


def test_quoted_secret_is_hidden() -> None:
    message = refusal(AWS_ACCESS_KEY_ID="'planted'", AWS_SECRET_ACCESS_KEY='"planted"')
    assert [line.partition(":")[0] for line in message.splitlines()] == [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
    ]
    assert "planted" not in message


def test_quoted_value_is_also_checked() -> None:
    first, second = refusal(N_JOBS="'0.5'").splitlines()
    assert first.startswith("N_JOBS: has quotes around it")
    assert second == "N_JOBS: '0.5' is not a whole number of 1 or more; write one like 4"


def test_run_identifier_may_have_quotes() -> None:
    assert accepted(RUN_IDENTIFIER="'mine'").run_identifier == "'mine'"


@pytest.mark.parametrize("name", ["RUN_IDENTIFIER", "AWS_S3_BUCKET_FOLDER", "DANDI_API_KEY"])
@pytest.mark.parametrize("text", ["M\udcfcller", "a\0b"])
def test_undecodable_value_is_refused(name: str, text: str) -> None:
    message = f"{name}: is not UTF-8 text; write it in UTF-8, or with plain letters"
    assert refusal(**{name: text}) == message


@pytest.mark.parametrize("text", ["a\n", "a b", " a", "é", "Ω", "a\tb", "\u00a0a"])
@pytest.mark.parametrize("name", sorted(SECRETS))
def test_secret_that_no_request_can_hold_is_refused(name: str, text: str) -> None:
    pair = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "x"} if "AWS" in name else {}
    message = refusal(**{**pair, name: f"key-{text}-key"})
    assert message == (
        f"{name}: holds a line end, a space or a letter that is not ASCII, which no key has; copy "
        "it again"
    )
    if name == "DANDI_API_KEY":
        with pytest.raises(SettingsError, match=r"^DANDI_API_KEY: holds a line end"):
            DandiAccess.from_env({name: f"key-{text}-key"})


@pytest.mark.parametrize(
    "url", ["api.my-lab.org", "ftp://my-lab.org/api", "https://", "http://h:x"]
)
def test_archive_that_is_no_server_is_refused(url: str) -> None:
    assert refusal(DANDI_INSTANCE_URL=url).startswith("DANDI_INSTANCE_URL: ")
    with pytest.raises(SettingsError, match=r"^DANDI_INSTANCE_URL: .* is not the URL of a server"):
        DandiAccess.from_env({"DANDI_INSTANCE_URL": url})


def test_undecodable_value_of_other_program_is_ignored() -> None:
    assert accepted(LS_COLORS="\udcfc") == accepted()


@pytest.mark.parametrize(
    ("url", "words"),
    [("s3://lab/\udcfc.jsonl", "is not UTF-8 text"), ("'s3://lab/a.jsonl'", "has quotes around")],
)
def test_manifest_url_is_validated(url: str, words: str) -> None:
    with pytest.raises(SettingsError, match=f"MANIFEST_URL: {words}"):
        resolve_environment({"MANIFEST_URL": url})


def test_given_defaults_are_written_back_and_not_recorded() -> None:
    given = {"PREPROCESSING": "default", "OVERWRITE": "false", "ARCHIVE": "none"}
    settings = accepted(**given)
    assert {name: text for name, text in settings.to_env().items() if name in given} == given
    assert not given.keys() & settings.masked().keys()
    assert settings == accepted()


def test_secrets_are_masked_and_not_written_back() -> None:
    settings = accepted(
        AWS_ACCESS_KEY_ID="AKIAPLANTED",
        AWS_SECRET_ACCESS_KEY="planted-secret",
        AWS_SESSION_TOKEN="planted-token",
        DANDI_API_KEY="planted-key",
    )
    for shown in (repr(settings), str(settings), str(settings.masked()), str(settings.to_env())):
        assert "planted" not in shown.lower()
    assert settings.masked()["AWS_SECRET_ACCESS_KEY"] == "***"


def test_url_signature_is_masked() -> None:
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
def test_written_variables_restore_settings(
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
def test_arbitrary_variables_raise_only_settings_error(
    environ: dict[str, str],
) -> None:
    with contextlib.suppress(SettingsError):
        JobSettings.from_env(environ)


def test_every_variable_has_a_description() -> None:
    for row in settings_table().splitlines()[2:]:
        assert "None" not in row
