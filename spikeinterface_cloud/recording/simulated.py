"""A simulated recording with known spikes, so that a demo can show how well a sorter performs."""

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import spikeinterface as si
import spikeinterface.preprocessing as spre
from probeinterface import Probe
from probeinterface.neuropixels_tools import build_neuropixels_probe
from spikeinterface.generation import generate_drifting_recording

from spikeinterface_cloud.config.parsing import nearest
from spikeinterface_cloud.errors import SettingsError
from spikeinterface_cloud.recording.messages import one_line

#: a minute of a short probe, unless READ_RECORDING_KWARGS says otherwise
DEFAULTS: dict[str, Any] = {
    "durations": [60.0],
    "sampling_frequency": 30_000.0,
    "num_channels": 32,
    "num_units": 12,
    "seed": 0,
}

#: in READ_RECORDING_KWARGS: whether the probe moves in the tissue
DRIFTING = "drifting"

#: two minutes of the lowest contacts of a Neuropixels 1.0 probe, which moves in the second minute
DRIFTING_DEFAULTS: dict[str, Any] = {
    "duration": 120.0,
    "sampling_frequency": 30_000.0,
    "num_units": 20,
    "seed": 0,
}

DRIFTING_CONTACTS = 96

#: parameters of that generator that choose another probe
PROBE_PARAMETERS = ("probe_name", "generate_probe_kwargs")

#: parameters of the generators that take Python objects, or change what is returned
NOT_FOR_JSON = ("probe", "sorting", "templates", "noise", "extra_outputs")

#: uV per bit, as of an Intan amplifier
GAIN_UV = 0.195


def check_simulation(kwargs: Mapping[str, Any]) -> None:
    """Raise `SettingsError` for parameters or values that SpikeInterface's generator refuses."""
    generator, _, parameters = _choose(kwargs)
    left_out = NOT_FOR_JSON + (PROBE_PARAMETERS if generator is generate_drifting_recording else ())
    known = [name for name in inspect.signature(generator).parameters if name not in left_out]
    for name in parameters:
        if name not in known:
            raise SettingsError(
                f"READ_RECORDING_KWARGS: the simulated recording has no parameter {name}"
                f"{nearest(name, known)} (it has {', '.join([*known, DRIFTING])})"
            )
    problems = [
        f"{name} is {value!r}; it takes {expected}"
        for name, value in kwargs.items()
        if (expected := _expected_value(name, value)) is not None
    ]
    if problems:
        raise SettingsError(f"READ_RECORDING_KWARGS: {'; '.join(problems)}")


def _expected_value(name: str, value: object) -> str | None:
    """Return what a parameter takes if `value` is not valid, and None if it is or is unknown."""
    match name:
        case "durations":
            fits = isinstance(value, list) and len(value) > 0 and all(map(_is_positive, value))
            return None if fits else "a list of seconds, one for each segment, like [60.0]"
        case "duration" | "sampling_frequency" | "ms_before" | "ms_after":
            return None if _is_positive(value) else "a number above 0"
        case "num_channels" | "num_units":
            return (
                None if _is_positive(value) and isinstance(value, int) else "a whole number above 0"
            )
        case "seed":
            fits = value is None or (type(value) is int and value >= 0)
            return None if fits else "a whole number, 0 or above"
        case "drifting":
            return None if isinstance(value, bool) else "true or false"
        case _ if name.endswith("_kwargs"):
            return None if value is None or isinstance(value, dict) else "an object, like {}"
        case _:
            return None


def _is_positive(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 < value < math.inf


def simulated_rate_hz(kwargs: Mapping[str, Any]) -> float | None:
    """Return the sampling rate of the recording; None if these values are not valid."""
    _, defaults, parameters = _choose(kwargs)
    rate = {**defaults, **parameters}["sampling_frequency"]
    return float(rate) if _is_positive(rate) else None


def simulate(kwargs: Mapping[str, Any]) -> tuple[si.BaseRecording, si.BaseSorting]:
    """Simulate a recording, as 16-bit integers with their gain, and its true spikes.

    Parameters
    ----------
    kwargs
        of `spikeinterface.generate_ground_truth_recording`, with `DEFAULTS`; if `drifting` is
        true, of `spikeinterface.generation.generate_drifting_recording`, with `DRIFTING_DEFAULTS`
    """
    generator, defaults, parameters = _choose(kwargs)
    values = {**defaults, **parameters}
    if generator is generate_drifting_recording:
        values["probe"] = _neuropixels_probe()  # by its name it would be downloaded
    try:
        *_, recording, ground_truth = generator(**values)
        recording.get_traces(segment_index=0, end_frame=1)  # noise is generated as it is read
    except Exception as error:  # the generator checks few of its values, and raises anything
        if not parameters:
            raise
        raise SettingsError(
            f"READ_RECORDING_KWARGS: no recording can be simulated with these values of "
            f"{', '.join(parameters)}: {one_line(error)}; correct the values, or leave them out"
        ) from error
    digitized = spre.scale(recording, gain=1 / GAIN_UV, dtype="int16")
    digitized.set_channel_gains(GAIN_UV)
    digitized.set_channel_offsets(0.0)
    return digitized, ground_truth


def _choose(
    kwargs: Mapping[str, Any],
) -> tuple[Callable[..., Any], Mapping[str, Any], dict[str, Any]]:
    """Return the generator, our defaults, and its own parameters among `kwargs`."""
    parameters = {name: value for name, value in kwargs.items() if name != DRIFTING}
    if kwargs.get(DRIFTING):
        # what it returns first is the same recording without the drift
        return generate_drifting_recording, DRIFTING_DEFAULTS, parameters
    return si.generate_ground_truth_recording, DEFAULTS, parameters


def _neuropixels_probe() -> Probe:
    probe = build_neuropixels_probe("NP1000").get_slice(np.arange(DRIFTING_CONTACTS))
    probe.set_device_channel_indices(np.arange(DRIFTING_CONTACTS))
    return probe
