"""The names and values within a sorter's parameters: what is refused, and what is the sorter's."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import Any

import pytest
import spikeinterface.sorters as ss
from spikeinterface.preprocessing import bandpass_filter, correct_motion, filter, whiten
from spikeinterface.sorters.internal import spyking_circus2
from spikeinterface.sortingcomponents.tools import cache_preprocessing, clean_templates
from spikeinterface.sortingcomponents.waveforms.peak_svd import extract_peaks_svd

from spikeinterface_cloud.config.catalog.parameters import (
    READ_BY_NAME,
    WITHOUT_EFFECT,
    as_json,
)
from spikeinterface_cloud.config.catalog.snapshot import load_snapshot
from spikeinterface_cloud.config.catalog.validation import parameter_problems
from spikeinterface_cloud.errors import SettingsError
from spikeinterface_cloud.sorting.availability import check_parameters

#: to which functions spykingcircus2 hands its objects
HANDED_ON: dict[str, tuple[Callable[..., Any], ...]] = {
    "general": (extract_peaks_svd,),
    "filtering": (bandpass_filter, filter),
    "whitening": (whiten,),
    "motion_correction": (correct_motion,),
    "merging": (spyking_circus2.final_cleaning_circus,),
    "cleaning": (clean_templates,),
    "cache_preprocessing": (cache_preprocessing,),
    "chunk_preprocessing": (spyking_circus2._set_optimal_chunk_size,),
}


def problems(sorter: str, parameters: dict[str, Any]) -> list[str]:
    return [*parameter_problems(sorter, parameters, ss.get_default_sorter_params(sorter))]


def known_problems(sorter: str, parameters: dict[str, Any]) -> list[str]:
    """Return the problems by the snapshot, which also knows what is not installed."""
    defaults = load_snapshot().sorters[sorter]
    assert defaults is not None
    return [*parameter_problems(sorter, parameters, defaults)]


def circus(**parameters: Any) -> list[str]:
    return problems("spykingcircus2", parameters)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"general": {"ms_befor": 1}},
            "general has no ms_befor; did you mean ms_before? (it has ms_after, ms_before, radius_",
        ),
        ({"filtering": {"freq_mn": 1}}, "filtering has no freq_mn; did you mean freq_min?"),
        ({"detection": {"methd": "x"}}, "detection has no methd; did you mean method?"),
        ({"matching": {"engine": "x"}}, "matching has no engine (it has matching_kwargs, method, "),
        ({"apply_whitening": 1}, "apply_whitening is 1; it takes true or false, like true"),
        ({"detection": {"method": None}}, 'method is null; it takes a text, like "matched_filt'),
        (
            {"merging": [True]},
            'merging is [true]; it takes an object, like {"max_distance_um": 50}',
        ),
    ],
)
def test_what_is_refused_and_how(parameters: dict[str, Any], message: str) -> None:
    [problem] = circus(**parameters)
    assert problem.startswith("SORTERS_KWARGS: spykingcircus2: ")
    assert message in problem
    with pytest.raises(SettingsError) as refusal:
        check_parameters({"spykingcircus2": parameters})
    assert (refusal.value.exit_code, str(refusal.value)) == (78, problem)


@pytest.mark.parametrize(
    ("sorter", "parameters", "message"),
    [
        (
            "spykingcircus2",
            {"matching": {"method_kwargs": {"amplitudes": [0.9, 1.1]}}},
            "matching.method_kwargs has no effect in this sorter; set matching.matching_kwargs",
        ),
        (
            "spykingcircus2",
            {"detection": {"method_kwargs": {"radius_um": 30}}},
            "detection.method_kwargs.radius_um has no effect in this sorter; set general.radius_um,"
            " of which it takes half",
        ),
        (
            "spykingcircus2",
            {"detection": {"method_kwargs": {"exclude_sweep_ms": 1.0}}},
            "has no effect in this sorter; set detection.exclude_sweep_ms",
        ),
        (
            "spykingcircus2",
            {"selection": {"method_kwargs": {"n_peaks": 9}}},
            "has no effect in this sorter; set n_peaks_per_channel and min_n_peaks there",
        ),
        (
            "spykingcircus2",
            {"motion_correction": {"detect_kwargs": {"detect_threshold": 9}}},
            "has no effect in this sorter; choose another motion_correction.preset",
        ),
        ("spykingcircus2", {"motion_correction": {"folder": "/results"}}, "; leave it out"),
        (
            "simple",
            {"clusterer": "mean_shift", "clusterer_kwargs": {"bandwidth": 2}},
            "clusterer_kwargs has no effect on mean_shift; leave it out",
        ),
        (
            "kilosort4",
            {"invert_sign": True},
            "invert_sign has no effect in this sorter; leave it out",
        ),
    ],
)
def test_parameters_without_effect_are_refused(
    sorter: str, parameters: dict[str, Any], message: str
) -> None:
    [problem] = known_problems(sorter, parameters)
    assert problem.startswith(f"SORTERS_KWARGS: {sorter}: ")
    assert problem.endswith(message)


@pytest.mark.parametrize("seed", [-1, 1.5, 2**32, "1", True, [1]])
@pytest.mark.parametrize("sorter", ["simple", "spykingcircus2"])
def test_seed_that_no_generator_takes_is_refused(sorter: str, seed: object) -> None:
    [problem] = known_problems(sorter, {"seed": seed})
    assert problem.endswith("it takes a whole number from 0 to 4294967295")


@pytest.mark.parametrize("seed", [None, 0, 2**32 - 1])
def test_seed_is_accepted(seed: object) -> None:
    assert known_problems("simple", {"seed": seed}) == []


@pytest.mark.parametrize(
    "device", ["gpu", "CPU", "cuda0", "cuda:", "cuda:01", "cpu:0", "", "cuda\n"]
)
def test_device_that_torch_does_not_have_is_refused(device: str) -> None:
    [problem] = known_problems("kilosort4", {"torch_device": device})
    assert problem.endswith("it takes auto, cpu, cuda, or one like cuda:1")


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:0", "cuda:12"])
def test_device_of_torch_is_accepted(device: str) -> None:
    assert known_problems("kilosort4", {"torch_device": device}) == []


@pytest.mark.parametrize(
    ("given", "refused"),
    [
        ({"nblocks": 1}, ["nblocks"]),
        ({"nblocks": 5, "do_correction": True}, ["nblocks", "do_correction"]),
        ({"nblocks": 0, "do_correction": False}, []),
        ({}, []),
    ],
)
def test_drift_is_not_corrected_without_the_whitening_of_kilosort4(
    given: dict[str, Any], refused: list[str]
) -> None:
    assert known_problems("kilosort4", given) == []
    told = known_problems("kilosort4", {"skip_kilosort_preprocessing": True, **given})
    assert [line.split()[2] for line in told] == refused
    assert all("; leave one of them out" in line for line in told)


def test_kilosort4_finds_spikes_in_samples_of_the_given_sign() -> None:
    run_kilosort = pytest.importorskip("kilosort.run_kilosort", exc_type=ImportError)
    source = inspect.getsource(run_kilosort.compute_drift_correction)
    of_drift, of_spikes = source.split("BinaryFiltered(")[1:]
    assert "invert_sign=invert" in of_drift
    assert "invert" not in of_spikes


def test_sorter_overwrites_or_never_reads_what_is_refused() -> None:
    source = inspect.getsource(spyking_circus2.Spykingcircus2Sorter._run_from_folder)
    assert '"matching"].get("matching_kwargs"' in source
    assert '"matching"].get("method_kwargs"' not in source
    for line in (
        'detection_params["radius_um"] = radius_um / 2',
        'detection_params["exclude_sweep_ms"] = exclude_sweep_ms',
        'selection_params["n_peaks"] = n_peaks',
        'motion_correction_kwargs["detect_kwargs"] = ',
        'motion_correction_kwargs.update({"folder": motion_folder})',
        'clustering_params.update(peaks_svd=params["general"])',
        "clustering_params.update(clean_templates=cleaning_kwargs)",
        'whitening_kwargs["dtype"] = "float32"',
        'whitening_kwargs["seed"] = params["seed"]',
        'whitening_kwargs["regularize_kwargs"] = ',
        'cleaning_kwargs["remove_empty"] = True',
        'cleaning_kwargs["max_std_per_channel"] = ',
        'cleaning_kwargs["verbose"] = ',
        'merging_params["debug_folder"] = ',
    ):
        assert line in source


@pytest.mark.parametrize(
    "parameters",
    [
        {"general": {"n_components": 8}},
        {"detection": {"exclude_sweep_ms": 1.0, "method": "locally_exclusive"}},
        {"detection": {"method_kwargs": {"detect_thresholds": 4}}},
        {"selection": {"method": "smart_sampling_amplitudes", "method_kwargs": {"n_bin": 2}}},
        {"clustering": {"method": "random-projections", "method_kwargs": {"anything": 1}}},
        {"matching": {"method": "wobble", "matching_kwargs": {"anything": 1}}},
        {"job_kwargs": {"n_jobs": 2, "chunk_duration": "1s"}},
    ],
)
def test_method_dependent_parameters_are_not_checked(parameters: dict[str, Any]) -> None:
    assert circus(**parameters) == []


@pytest.mark.parametrize("sorter", ["tridesclous2", "lupin", "simple"])
def test_empty_default_object_accepts_any_name(sorter: str) -> None:
    defaults = ss.get_default_sorter_params(sorter)
    objects = [name for name, default in defaults.items() if default == {}]
    assert "job_kwargs" in objects
    assert problems(sorter, {name: {"anything": 1} for name in objects}) == []


@pytest.mark.parametrize("sorter", ss.installed_sorters())
def test_defaults_are_valid_values(sorter: str) -> None:
    defaults = ss.get_default_sorter_params(sorter)
    assert problems(sorter, defaults) == []
    assert problems(sorter, json.loads(json.dumps(defaults))) == []


def test_all_default_objects_are_classified() -> None:
    for sorter in ss.installed_sorters():
        defaults = ss.get_default_sorter_params(sorter)
        objects = {f"{sorter}.{name}" for name, value in defaults.items() if isinstance(value, dict)
                   and value}  # fmt: skip
        assert objects <= READ_BY_NAME.keys() | {f"spykingcircus2.{name}" for name in HANDED_ON}


@pytest.mark.parametrize("name", HANDED_ON)
def test_parameters_of_inner_function_are_not_misspellings(name: str) -> None:
    taken = [
        parameter
        for function in HANDED_ON[name]
        for parameter in inspect.signature(function).parameters
    ]
    defaults = ss.get_default_sorter_params("spykingcircus2")[name]
    assert taken
    refused = WITHOUT_EFFECT["spykingcircus2"]
    for parameter in taken:
        if parameter not in defaults and f"{name}.{parameter}" not in refused:
            assert circus(**{name: {parameter: 1}}) == []


def test_value_without_json_form_is_shown_as_python() -> None:
    assert as_json({"a": None, "b": "é"}) == '{"a": null, "b": "é"}'
    assert as_json(object).startswith("<class")
