"""Check the values of preprocessing steps before there is a recording.

Only values that are wrong for any recording are refused: filters are tried on a few samples, as
they need nothing else of a recording; for other steps, the types of the values are checked.
"""

import inspect
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, get_args, get_origin

import numpy as np
import spikeinterface as si
from spikeinterface.preprocessing.pipeline import pp_names_to_functions

from spikeinterface_cloud.errors import SettingsError
from spikeinterface_cloud.recording.messages import one_line

#: steps that need neither a probe, nor properties, nor a number of channels
TRIED = ("filter", "bandpass_filter", "highpass_filter", "notch_filter", "gaussian_filter")

#: fast enough for every frequency that a real recording would allow
TRIAL_RATE_HZ = 1.0e6

TRIAL_FRAMES = 20_000


def check_values(steps: Sequence[Mapping[str, Any]]) -> None:
    """Raise `SettingsError` for values that a step cannot take; step and parameter must exist."""
    for step in steps:
        name, params = step["name"], step["params"]
        problems = list(_problems(name, params))
        if problems:
            raise SettingsError("; ".join(problems))
        if name in TRIED:
            _try(name, params)


def _problems(step: str, params: Mapping[str, Any]) -> Iterator[str]:
    """Find numbers that are written as a text, and unknown choices."""
    parameters = inspect.signature(pp_names_to_functions[step]).parameters
    for name, value in params.items():
        if name not in parameters:
            continue  # the step passes it on to another function
        default, kind = parameters[name].default, parameters[name].annotation
        where = f"PREPROCESSING: {step}: {name} is {value!r}"
        if _is_number(default) and isinstance(value, str) and _reads_as_number(value):
            yield f"{where}, a text; write the number without quotes: {value}"
        elif get_origin(kind) is Literal and value not in get_args(kind):
            yield f"{where}; it takes {' or '.join(map(str, get_args(kind)))}"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _reads_as_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _try(step: str, params: Mapping[str, Any]) -> None:
    """Apply a filter to a few samples of noise."""
    noise = np.random.default_rng(0).integers(-100, 100, (TRIAL_FRAMES, 4)).astype("int16")
    recording = si.NumpyRecording(noise, TRIAL_RATE_HZ)
    try:
        with warnings.catch_warnings(action="ignore"):  # the job itself gives them
            pp_names_to_functions[step](recording, **params).get_traces(end_frame=TRIAL_FRAMES // 2)
    except Exception as error:  # steps check their values with assert, or leave them to scipy
        raise SettingsError(
            f"PREPROCESSING: {step} cannot be applied to any recording with "
            f"{_describe(params)}: {one_line(error)}; correct its parameters"
        ) from error


def _describe(params: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in params.items()) or "its defaults"
