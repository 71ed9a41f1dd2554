"""A recording whose true spikes are known, so that a demo can say how well a sorter did."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import spikeinterface as si
import spikeinterface.preprocessing as spre
from probeinterface import Probe
from probeinterface.neuropixels_tools import build_neuropixels_probe
from spikeinterface.generation import generate_drifting_recording

from spikeinterface_cloud.errors import SettingsError
from spikeinterface_cloud.variables import nearest

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

#: the parameters by which that generator is told of another probe
PROBE = ("probe", "probe_name", "generate_probe_kwargs")

#: uV per bit, as of an Intan amplifier
GAIN_UV = 0.195


def check_simulation(kwargs: Mapping[str, Any]) -> None:
    """Refuse a parameter that SpikeInterface's generator does not have (78)."""
    generator, _, given = _choose(kwargs)
    known = [
        name
        for name in inspect.signature(generator).parameters
        if generator is not generate_drifting_recording or name not in PROBE
    ]
    for name in given:
        if name not in known:
            raise SettingsError(
                f"READ_RECORDING_KWARGS: the simulated recording has no parameter {name}"
                f"{nearest(name, known)} (it has {', '.join([*known, DRIFTING])})"
            )


def simulate(kwargs: Mapping[str, Any]) -> tuple[si.BaseRecording, si.BaseSorting]:
    """The recording, as 16-bit integers with their gain, and its true spikes.

    Parameters
    ----------
    kwargs
        of `spikeinterface.generate_ground_truth_recording`; they replace `DEFAULTS`. With
        `drifting`: of `spikeinterface.generation.generate_drifting_recording`, and they replace
        `DRIFTING_DEFAULTS`
    """
    generator, defaults, given = _choose(kwargs)
    if generator is generate_drifting_recording:
        given["probe"] = _neuropixels_probe()  # by its name it would be downloaded
    *_, recording, ground_truth = generator(**{**defaults, **given})
    digitised = spre.scale(recording, gain=1 / GAIN_UV, dtype="int16")
    digitised.set_channel_gains(GAIN_UV)
    digitised.set_channel_offsets(0.0)
    return digitised, ground_truth


def _choose(
    kwargs: Mapping[str, Any],
) -> tuple[Callable[..., Any], Mapping[str, Any], dict[str, Any]]:
    """The generator, its defaults here, and its own parameters among `kwargs`."""
    given = {name: value for name, value in kwargs.items() if name != DRIFTING}
    if kwargs.get(DRIFTING):
        # what it returns first is the same recording without the drift
        return generate_drifting_recording, DRIFTING_DEFAULTS, given
    return si.generate_ground_truth_recording, DEFAULTS, given


def _neuropixels_probe() -> Probe:
    """The lowest contacts of a Neuropixels 1.0 probe."""
    probe = build_neuropixels_probe("NP1000").get_slice(np.arange(DRIFTING_CONTACTS))
    probe.set_device_channel_indices(np.arange(DRIFTING_CONTACTS))
    return probe
