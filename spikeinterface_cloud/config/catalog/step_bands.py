"""The frequencies of preprocessing steps, and the sampling rate before and after each step."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from spikeinterface_cloud.config.catalog.frequency_bands import (
    Chosen,
    band_problems,
    frequency_problems,
    lowered_bands,
)
from spikeinterface_cloud.errors import SettingsError

Step = Mapping[str, Any]

#: the steps that change the sampling rate
RATE_STEPS = ("resample", "decimate")

#: the bands of SpikeInterface's filters, with their defaults; a test compares the two. The upper
#: end of the Gaussian filter is left out, which passes what a recording holds whatever it is.
STEP_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "bandpass_filter": {"freq_min": 300.0, "freq_max": 6000.0},
    "highpass_filter": {"freq_min": 300.0},
    "gaussian_filter": {"freq_min": 300.0},
}

#: their other frequencies, one or a list
STEP_FREQUENCIES = {"notch_filter": "freq", "filter": "band"}


def step_band_problems(
    where: str, steps: Sequence[Step], rate_hz: float | None = None
) -> Iterator[str]:
    """Yield a line, which begins with `where`, for each problem with the frequencies of steps.

    `rate_hz` is the sampling rate before the first step, or None if it is unknown.
    """
    for step in steps:
        name, params = step["name"], step["params"]
        if not isinstance(params, Mapping):
            continue  # which is a problem of its own
        yield from band_problems(f"{where}{name}: ", params, STEP_DEFAULTS.get(name, {}), rate_hz)
        other = STEP_FREQUENCIES.get(name)
        if other is not None and other in params:
            value = params[other]
            for frequency in value if isinstance(value, list | tuple) else [value]:
                yield from frequency_problems(f"{where}{name}: ", other, frequency, rate_hz)
        if rate_hz is not None:
            rate_hz = rate_after(step, rate_hz)


def fitting_steps(
    steps: Sequence[Step], rate_hz: float
) -> tuple[list[dict[str, Any]], dict[str, Chosen]]:
    """Lower upper band ends that were not given, and return the steps and what was chosen.

    >>> fitting_steps([{"name": "bandpass_filter", "params": {}}], 10_000.0)[0]
    [{'name': 'bandpass_filter', 'params': {'freq_max': 4500.0}}]
    """
    fitted: list[dict[str, Any]] = []
    chosen: dict[str, Chosen] = {}
    for step in steps:
        name, params = step["name"], step["params"]
        lowered = lowered_bands(params, STEP_DEFAULTS.get(name, {}), rate_hz)
        values = {parameter: each.value for parameter, each in lowered.items()}
        fitted.append({"name": name, "params": {**params, **values}})
        chosen |= {f"{name}: {parameter}": each for parameter, each in lowered.items()}
        rate_hz = rate_after(step, rate_hz)
    return fitted, chosen


def final_rate_hz(steps: Sequence[Step], rate_hz: float) -> float:
    """Return the sampling rate after all steps.

    >>> final_rate_hz([{"name": "resample", "params": {"resample_rate": 15000}}], 30000.0)
    15000.0
    """
    for step in steps:
        rate_hz = rate_after(step, rate_hz)
    return rate_hz


def rate_change_problems(steps: Sequence[Step]) -> Iterator[str]:
    """Yield a line for each step that changes the rate: true spikes are frames of the old one."""
    for step in steps:
        if step["name"] in RATE_STEPS:
            yield (
                f"PREPROCESSING: {step['name']} would change the sampling rate, at which the true "
                "spikes of TEST_WITH_TOY_RECORDING are known; leave it out, and simulate at "
                'another rate with READ_RECORDING_KWARGS={"sampling_frequency": 15000}'
            )


def check_phase_shifts(steps: Sequence[Step]) -> None:
    """Refuse a phase shift after a change of the rate, as shifts are in samples of the old one."""
    changed = None
    for step in steps:
        if step["name"] in RATE_STEPS:
            changed = step["name"]
        elif step["name"] == "phase_shift" and changed is not None:
            raise SettingsError(
                f"PREPROCESSING: phase_shift is after {changed}, but the shifts of the channels "
                f"are in samples of the rate before it; put phase_shift before {changed}"
            )


def rate_after(step: Step, rate_hz: float) -> float:
    """Return the sampling rate after one step."""
    match step:
        case {"name": "resample", "params": {"resample_rate": int() | float() as rate}}:
            return float(rate)
        case {"name": "decimate", "params": {"decimation_factor": int() as factor}} if factor:
            return rate_hz / factor
        case _:
            return rate_hz
