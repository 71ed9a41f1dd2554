"""The names that a laptop knows are those of the installed SpikeInterface, refused alike."""

from __future__ import annotations

from typing import Any

import pytest

from spikeinterface_cloud.config.catalog.kilosort4 import WHITENED
from spikeinterface_cloud.config.catalog.snapshot import FILE, find_unknown_names, load_snapshot
from spikeinterface_cloud.config.settings import JobSettings
from spikeinterface_cloud.errors import SettingsError

JOB = {
    "AWS_S3_BUCKET": "lab-data",
    "DATA_TYPE": "spikeglx",
    "SORTERS": "simple",
    "TARGET_AWS_S3_BUCKET": "lab-results",
}


#: without whitening of its own
SKIPS = {
    "SORTERS": "kilosort4",
    "SORTERS_KWARGS": '{"kilosort4": {"skip_kilosort_preprocessing": true}}',
}


def problems(**variables: str) -> list[str]:
    return [*find_unknown_names(JobSettings.from_env(JOB | variables))]


def test_snapshot_matches_installed_spikeinterface() -> None:
    pytest.importorskip("kilosort", reason="Kilosort4 has no parameters where it is not installed")
    from tools.update_catalog import file_text

    remedy = "update it: python -m tools.update_catalog"
    assert FILE.read_text(encoding="utf-8") == file_text(), remedy


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (
            {"DATA_TYPE": "spikegxl"},
            "DATA_TYPE=spikegxl is not a reader of SpikeInterface; did you mean spikeglx",
        ),
        ({"DATA_TYPE": "shybrid"}, "runs text of the source as a program"),
        (
            {"READ_RECORDING_KWARGS": '{"stream": 1}'},
            "READ_RECORDING_KWARGS names 'stream', which its reader does not take (did you mean",
        ),
        ({"DATA_TYPE": "binary", "READ_RECORDING_KWARGS": '{"dtype": "int16"}'}, "lacks sampling_"),
        (
            {
                "DATA_TYPE": "binary",
                "READ_RECORDING_KWARGS": '{"sampling_frequency": 3e4, "dtype": "int16", '
                '"num_channels": 4, "is_filtered": "false"}',
            },
            'READ_RECORDING_KWARGS: is_filtered is "false"; it takes true, false or null, without',
        ),
        (
            {"READ_RECORDING_KWARGS": '{"all_annotations": 0}'},
            "READ_RECORDING_KWARGS: all_annotations is 0; it takes true or false, without quotes",
        ),
        (
            {"SORTERS": "kilosort5"},
            "SORTERS: kilosort5 is not a sorter of SpikeInterface; did you mean kilosort4?; "
            "the images have kilosort4, ",
        ),
        (
            {"SORTERS_KWARGS": '{"simple": {"detect_treshold": 5}}'},
            "SORTERS_KWARGS: simple has no parameter detect_treshold; did you mean detect_thresh",
        ),
        (
            {"SORTERS_KWARGS": '{"simple": {"detect_threshold": "5"}}'},
            'SORTERS_KWARGS: simple: detect_threshold is "5"; it takes a number, like 5.0',
        ),
        (
            {"PREPROCESSING": '{"highpas_filter": {}}'},
            "PREPROCESSING: highpas_filter is not a step of SpikeInterface; did you mean highpass",
        ),
        (
            {"PREPROCESSING": '[{"name": "highpass_filter", "params": {"freq_mn": 1}}]'},
            "PREPROCESSING: highpass_filter has no parameter freq_mn; did you mean freq_min?",
        ),
        (
            {"PREPROCESSING": '{"whiten": {"apply_mean": "false"}}'},
            'PREPROCESSING: whiten: apply_mean is "false"; it takes true or false, without quotes',
        ),
        (
            {"PREPROCESSING": '{"highpass_filter": {"add_reflect_padding": "false"}}'},
            'highpass_filter: add_reflect_padding is "false"; it takes true or false',
        ),
        ({"PREPROCESSING": '{"whiten": {"regularize": null}}'}, "regularize is null; it takes"),
        *(
            ({**SKIPS, "PREPROCESSING": steps}, "or whiten instead: PREPROCESSING='{\"highpass_fil")
            for steps in ("default", "none", '{"common_reference": {}}')
        ),
        (
            {**SKIPS, "PREPROCESSING": '{"whiten": {"int_scale": 200}}'},
            "needs samples in units of whitened noise, which int_scale of whiten changes",
        ),
        ({"PREPROCESSING": '{"astype": {"round": "no"}}'}, "it takes true, false or null"),
        *(
            ({"PREPROCESSING": steps}, f"common_reference has {value} for parameters")
            for value in ("1", "0", "false", '""', "[]")
            for steps in (
                f'{{"common_reference": {value}}}',
                f'[{{"name": "common_reference", "params": {value}}}]',
            )
        ),
    ],
)
def test_laptop_refuses_what_the_container_refuses(variables: dict[str, str], message: str) -> None:
    [problem] = problems(**variables)
    assert message in problem


def test_all_unknown_names_are_reported_at_once() -> None:
    told = problems(
        DATA_TYPE="x1", SORTERS="simple,nothing,none", PREPROCESSING='{"y1": {}}',
        SORTERS_KWARGS='{"simple": {"a": 1, "b": 2}}',
    )  # fmt: skip
    assert [line.partition(" ")[0] for line in told] == [
        *("SORTERS:", "SORTERS:", "SORTERS_KWARGS:", "SORTERS_KWARGS:"),
        *("DATA_TYPE=x1", "PREPROCESSING:"),
    ]


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"DATA_TYPE": "Open Ephys"},
        {"SORTERS": "kilosort4", "SORTERS_KWARGS": '{"kilosort4": {"Th_universal": 8.5}}'},
        {**SKIPS, "PREPROCESSING": WHITENED},
        {**SKIPS, "PREPROCESSING": '[{"name": "highpass_filter"}, {"name": "whiten"}]'},
        {
            "SORTERS": "kilosort4",
            "SORTERS_KWARGS": SKIPS["SORTERS_KWARGS"].replace("true", 'true, "scale": 0.005'),
            "PREPROCESSING": '{"whiten": {"int_scale": 200}}',
        },
        {"SORTERS": "kilosort2_5,mountainsort5"},  # of other images
        {"SORTERS": "mountainsort5", "SORTERS_KWARGS": '{"mountainsort5": {"of_its_own": 1}}'},
        {"PREPROCESSING": '{"bandpass_filter": {"freq_min": 300}, "common_reference": {}}'},
        {"DATA_TYPE": "neuroscope", "READ_RECORDING_KWARGS": '{"stream_name": "a"}'},
        {"READ_RECORDING_KWARGS": '{"all_annotations": true, "use_names_as_ids": false}'},
        {"PREPROCESSING": '{"astype": {"dtype": "int16", "round": null}}'},
        {"PREPROCESSING": '{"bandpass_filter": null, "common_reference": {}}'},
        {"PREPROCESSING": '[{"name": "bandpass_filter", "params": null}, {"name": "whiten"}]'},
    ],
)
def test_valid_job_is_accepted(variables: dict[str, str]) -> None:
    assert problems(**variables) == []


def test_reader_of_simulated_recording_is_not_checked() -> None:
    toy = {"TEST_WITH_TOY_RECORDING": "true", "SORTERS": "simple"}
    kwargs = {"READ_RECORDING_KWARGS": '{"num_channels": 4}'}
    assert [*find_unknown_names(JobSettings.from_env(toy | kwargs))] == []


CONTAINER: list[dict[str, Any]] = [
    {"DATA_TYPE": "spikegxl"},
    {"READ_RECORDING_KWARGS": '{"stream": 1}'},
    {"SORTERS_KWARGS": '{"simple": {"detect_treshold": 5}}'},
    {
        "SORTERS": "spykingcircus2",
        "SORTERS_KWARGS": '{"spykingcircus2": {"general": {"ms_befor": 1}}}',
    },
    {"PREPROCESSING": '{"highpas_filter": {}}'},
    {"PREPROCESSING": '{"decimate": {"decimation_factor": 3, "decimation_offset": 2}}'},
    {"PREPROCESSING": '{"resample": {"resample_rate": 15000}, "phase_shift": {}}'},
    {"PREPROCESSING": '{"notch_filter": {"freq": 50, "add_reflect_padding": "false"}}'},
    {"READ_RECORDING_KWARGS": '{"all_annotations": "false"}'},
    {"SORTERS": "kilosort4", "SORTERS_KWARGS": '{"kilosort4": {"torch_device": "gpu"}}'},
    SKIPS,
]


@pytest.mark.parametrize("variables", CONTAINER)
def test_laptop_and_container_give_the_same_message(variables: dict[str, str]) -> None:
    from spikeinterface_cloud.preprocessing.pipeline import check_pipeline
    from spikeinterface_cloud.recording.formats.readers import check_reader
    from spikeinterface_cloud.sorting.availability import check_parameters

    if "SORTERS" in variables and variables["SORTERS"] == "kilosort4":
        pytest.importorskip("kilosort", reason="its parameters are known where it is installed")
    settings = JobSettings.from_env(JOB | variables)
    with pytest.raises(SettingsError) as refusal:  # noqa: PT012
        check_parameters(settings.sorters_kwargs, settings.preprocessing)
        check_reader(settings.reader, settings.read_recording_kwargs)
        check_pipeline(settings.preprocessing)
    assert problems(**variables) == [str(refusal.value)]


def test_snapshot_states_its_versions() -> None:
    assert set(load_snapshot().versions) == {"spikeinterface", "kilosort"}
