"""A recording whose true spikes are known, so that a demo can say how well a sorter did."""

import inspect
from collections.abc import Mapping
from typing import Any

import spikeinterface as si
import spikeinterface.preprocessing as spre

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

#: uV per bit, as of an Intan amplifier
GAIN_UV = 0.195


def check_simulation(kwargs: Mapping[str, Any]) -> None:
    """Refuse a parameter that SpikeInterface's generator does not have (78)."""
    known = inspect.signature(si.generate_ground_truth_recording).parameters
    for name in kwargs:
        if name not in known:
            raise SettingsError(
                f"READ_RECORDING_KWARGS: the simulated recording has no parameter {name}"
                f"{nearest(name, known)} (it has {', '.join(known)})"
            )


def simulate(kwargs: Mapping[str, Any]) -> tuple[si.BaseRecording, si.BaseSorting]:
    """The recording, as 16-bit integers with their gain, and its true spikes.

    Parameters
    ----------
    kwargs
        of `spikeinterface.generate_ground_truth_recording`; they replace `DEFAULTS`
    """
    recording, ground_truth = si.generate_ground_truth_recording(**{**DEFAULTS, **kwargs})
    digitised = spre.scale(recording, gain=1 / GAIN_UV, dtype="int16")
    digitised.set_channel_gains(GAIN_UV)
    digitised.set_channel_offsets(0.0)
    return digitised, ground_truth
