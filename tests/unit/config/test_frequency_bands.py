"""Filters fit the sampling rate: defaults are lowered, and given values are refused."""

import inspect
from typing import Any

import numpy as np
import pytest
import spikeinterface.sorters as ss
from spikeinterface.core import NumpyRecording
from spikeinterface.preprocessing import apply_preprocessing_pipeline
from spikeinterface.preprocessing.pipeline import pp_names_to_functions

from spikeinterface_cloud.config.catalog.sorter_bands import fitting_bands, sorter_band_problems
from spikeinterface_cloud.config.catalog.step_bands import (
    STEP_DEFAULTS,
    STEP_FREQUENCIES,
    fitting_steps,
)
from spikeinterface_cloud.config.settings import JobSettings
from spikeinterface_cloud.errors import SettingsError
from spikeinterface_cloud.preflight import known_rate_hz
from spikeinterface_cloud.sorting.availability import check_parameters
from spikeinterface_cloud.sorting.derived_parameters import check_rate, merged

RATES = (10_000.0, 12_500.0, 20_000.0, 25_000.0, 40_000.0)

#: the upper end of each sorter's band, by rate; None: its own, which fits
HIGHEST: dict[str, tuple[str, dict[float, float]]] = {
    "spykingcircus2": ("filtering.freq_max", {10_000.0: 4500.0, 12_500.0: 5625.0}),
    "tridesclous2": ("freq_max", {10_000.0: 4500.0, 12_500.0: 5625.0}),
    "lupin": ("freq_max", {10_000.0: 4500.0, 12_500.0: 5625.0}),
    "simple": ("freq_max", {10_000.0: 4500.0, 12_500.0: 5625.0}),
}


def defaults_of(sorter: str) -> dict[str, Any]:
    return dict(ss.get_default_sorter_params(sorter))


@pytest.mark.parametrize("rate_hz", RATES)
@pytest.mark.parametrize("sorter", sorted(HIGHEST))
def test_default_band_end_is_lowered_to_fit_sampling_rate(sorter: str, rate_hz: float) -> None:
    name, expected = HIGHEST[sorter]
    chosen = fitting_bands({}, defaults_of(sorter), rate_hz)
    assert {name: each.value for name, each in chosen.items()} == (
        {name: expected[rate_hz]} if rate_hz in expected else {}
    )


def test_given_frequency_is_kept_and_defaults_are_lowered() -> None:
    given = {"filtering": {"freq_min": 500}}
    chosen = fitting_bands(given, defaults_of("spykingcircus2"), 10_000.0)
    assert merged(given, chosen) == {"filtering": {"freq_min": 500, "freq_max": 4500.0}}
    given = {"filtering": {"freq_max": 4900}}
    assert fitting_bands(given, defaults_of("spykingcircus2"), 10_000.0) == {}


@pytest.mark.parametrize(
    "given",
    [{"apply_preprocessing": False}, {"preprocessing_dict": {"highpass_filter": {}}}],
    ids=str,
)
def test_disabled_filter_is_not_checked(given: dict[str, Any]) -> None:
    assert fitting_bands(given, defaults_of("tridesclous2"), 10_000.0) == {}


@pytest.mark.parametrize(
    ("sorter", "given", "rate_hz", "message"),
    [
        ("simple", {"freq_max": 5000}, 10_000.0, "freq_max is 5000 Hz, and a recording sampled at "
         "10000 Hz holds frequencies below 5000 Hz only; give less than 5000, or leave it out"),
        ("simple", {"freq_max": 6250.0}, 12_500.0, "give less than 6250"),
        ("lupin", {"freq_max": 20_000}, 40_000.0, "give less than 20000"),
        ("spykingcircus2", {"filtering": {"freq_max": 10_000}}, 20_000.0,
         "filtering.freq_max is 10000 Hz"),
        ("simple", {"freq_min": 4600}, 10_000.0, "freq_min is 4600 Hz and freq_max is 4500 Hz"),
        ("tridesclous2", {"apply_motion_correction": True}, 12_000.0,
         "apply_motion_correction filters up to 6000 Hz"),
        ("lupin", {"preprocessing_dict": {"bandpass_filter": {"freq_max": 6000}}}, 10_000.0,
         "preprocessing_dict: bandpass_filter: freq_max is 6000 Hz"),
    ],
)  # fmt: skip
def test_given_frequency_above_nyquist_is_refused(
    sorter: str, given: dict[str, Any], rate_hz: float, message: str
) -> None:
    with pytest.raises(SettingsError) as refusal:
        check_rate(rate_hz, "default", {sorter: given})
    assert str(refusal.value).startswith(f"SORTERS_KWARGS: {sorter}: ")
    assert message in str(refusal.value)
    assert refusal.value.exit_code == 78
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("sorter", "given"),
    [
        ("simple", {"freq_max": 4999.0}),
        ("simple", {"freq_max": 9000, "apply_preprocessing": False}),
        ("tridesclous2", {"freq_max": 9000, "preprocessing_dict": {"highpass_filter": {}}}),
        ("spykingcircus2", {"apply_motion_correction": True}),
    ],
)
def test_fitting_frequency_is_accepted(sorter: str, given: dict[str, Any]) -> None:
    check_rate(10_000.0, "none", {sorter: given})


def test_kilosort4_filter_is_checked_against_sampling_rate() -> None:
    defaults = {"highpass_cutoff": 300}
    [problem] = sorter_band_problems("kilosort4", {"highpass_cutoff": 5000}, defaults, 10_000.0)
    assert problem.startswith("SORTERS_KWARGS: kilosort4: highpass_cutoff is 5000 Hz, and a rec")
    assert [*sorter_band_problems("kilosort4", {"highpass_cutoff": 150}, defaults, 10_000.0)] == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"freq_min": 6000}, "freq_min is 6000 Hz and freq_max is 6000 Hz, so that nothing passes"),
        ({"freq_max": 100, "freq_min": 300}, "freq_min is 300 Hz and freq_max is 100 Hz"),
        ({"freq_max": 0}, "freq_max is 0; a frequency is above 0 Hz"),
    ],
)
def test_impossible_band_is_refused_without_recording(given: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        check_parameters({"simple": given})


@pytest.mark.parametrize("rate_hz", RATES)
def test_default_step_band_is_lowered_to_fit_sampling_rate(rate_hz: float) -> None:
    steps, chosen = fitting_steps([{"name": "bandpass_filter", "params": {}}], rate_hz)
    assert bool(chosen) is (rate_hz < 15_000)
    time_s = np.arange(int(rate_hz)) / rate_hz
    tones = [np.sin(2 * np.pi * frequency * time_s) for frequency in (50.0, 1500.0)]
    recording = NumpyRecording([1000 * np.stack(tones, axis=1).astype("float32")], rate_hz)
    traces = apply_preprocessing_pipeline(recording, steps).get_traces()
    assert traces[:, 0].std() < 20
    assert traces[:, 1].std() == pytest.approx(1000 / np.sqrt(2), rel=0.05)


def test_step_uses_sampling_rate_after_previous_step() -> None:
    resampled = [{"name": "resample", "params": {"resample_rate": 10_000}}]
    steps, _ = fitting_steps([*resampled, {"name": "bandpass_filter", "params": {}}], 30_000.0)
    assert steps[1]["params"] == {"freq_max": 4500.0}
    decimated = {"decimate": {"decimation_factor": 3}, "bandpass_filter": {"freq_max": 6000}}
    with pytest.raises(SettingsError, match=r"^PREPROCESSING: bandpass_filter: freq_max is 6000"):
        check_rate(30_000.0, decimated, {})
    with pytest.raises(SettingsError, match=r"^SORTERS_KWARGS: simple: freq_max is 6000"):
        check_rate(30_000.0, resampled, {"simple": {"freq_max": 6000}})
    with pytest.raises(SettingsError, match="leave 1000 Hz of 30000 Hz, too slow for spikes"):
        check_rate(30_000.0, {"resample": {"resample_rate": 1000}}, {})


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ({"bandpass_filter": {"freq_max": 6000.0}}, "bandpass_filter: freq_max is 6000 Hz"),
        ({"highpass_filter": {"freq_min": 5000}}, "highpass_filter: freq_min is 5000 Hz"),
        ({"gaussian_filter": {"freq_min": 5000}}, "gaussian_filter: freq_min is 5000 Hz"),
        ({"notch_filter": {"freq": 5100}}, "notch_filter: freq is 5100 Hz"),
        ({"filter": {"band": [300, 6000]}}, "filter: band is 6000 Hz"),
    ],
    ids=str,
)
def test_given_step_above_nyquist_is_refused(steps: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=f"^PREPROCESSING: {message}"):
        check_rate(10_000.0, steps, {})
    check_rate(40_000.0, steps, {})


def test_invalid_step_parameters_are_left_to_their_own_check() -> None:
    check_rate(10_000.0, {"bandpass_filter": 6000, "resample": None}, {})
    with pytest.raises(SettingsError, match="filtering is 300; it takes an object"):
        check_parameters({"spykingcircus2": {"filtering": 300}})


def test_step_defaults_match_spikeinterface() -> None:
    found: dict[str, dict[str, Any]] = {}
    for step, function in pp_names_to_functions.items():
        for name, parameter in inspect.signature(function).parameters.items():
            if name in ("freq_min", "freq_max", "freq", "band"):
                found.setdefault(step, {})[name] = parameter.default
    assert found.keys() == {*STEP_DEFAULTS, *STEP_FREQUENCIES}
    for step, defaults in STEP_DEFAULTS.items():
        assert defaults.items() <= found[step].items()
    for step, name in STEP_FREQUENCIES.items():
        assert name in found[step]


@pytest.mark.parametrize(
    ("variables", "rate_hz"),
    [
        ({"TEST_WITH_TOY_RECORDING": "yes"}, 30_000.0),
        (
            {
                "TEST_WITH_TOY_RECORDING": "yes",
                "READ_RECORDING_KWARGS": '{"sampling_frequency": 10000}',
            },
            10_000.0,
        ),
        (
            {
                "SOURCE_FOLDER": "/data/raw.bin",
                "DATA_TYPE": "binary",
                "READ_RECORDING_KWARGS": '{"sampling_frequency": 12500.0, "num_channels": 4}',
            },
            12_500.0,
        ),
        ({"SOURCE_FOLDER": "/data/run_g0", "DATA_TYPE": "spikeglx"}, None),
    ],
)
def test_sampling_rate_in_settings_is_known_before_download(
    variables: dict[str, str], rate_hz: float | None
) -> None:
    assert known_rate_hz(JobSettings.from_env({**variables, "SORTERS": "simple"})) == rate_hz
