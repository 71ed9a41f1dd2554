"""Auxiliary and analog inputs that share a stream with electrodes.

An accelerometer or a photodiode would be sorted as a unit. Such channels are recognized by the
names that acquisition systems give them, and by coarser units than those of the electrodes.
"""

import re

import numpy as np
import numpy.typing as npt
from spikeinterface.core import BaseRecording

#: as the whole name or its end: `AUX1`, `A1_AUX2` and `ADC3` (Open Ephys), `A-AUX1`, `A-VDD1`,
#: `ANALOG-IN-01`, `DIN-00` (Intan), `ainp1` (Blackrock), `analog 1` (Ripple), `ACC_X`, `SY0`;
#: not `AI3` and `ACC2`, which are electrodes in brain areas
ANALOG_INPUT = re.compile(
    r"(?:.*[-_ #.])?"
    r"(?:aux(?:iliary)?(?:[-_ ]?in)?|adc|anin|ainp?|din|vdd|sync|sy|ttl|acc[-_ ]?[xyz]"
    r"|(?:analog|digital)(?:[-_ ]?in(?:put)?)?)"
    r"[-_ #]*\d*",
    re.IGNORECASE,
)

#: SpikeGLX's NI-DAQ: neural channels are multiplexed as `MN0C3`, beside analog and digital inputs
NIDQ_NEURAL = re.compile(r"MN\d+C\d+")
NIDQ_INPUT = re.compile(r"MA\d+C\d+|X[AD]\d+")

#: powers of ten of the units that readers give
VOLTS = {"nV": -9, "uV": -6, "µV": -6, "mV": -3, "V": 0, "Volt": 0, "Volts": 0, "volt": 0}

Mask = npt.NDArray[np.bool_]


def analog_inputs(recording: BaseRecording) -> Mask:
    """Return a mask of the channels that are not electrodes, of shape (channels,).

    A coarser unit alone (mV or V beside uV) counts for at most half of the channels. If no
    electrode would be left, no channel is an input.
    """
    by_name = _named_as_inputs(recording)
    coarser = _in_coarser_units(recording, by_name)
    if np.count_nonzero(coarser & ~by_name) > np.count_nonzero(~by_name) / 2:
        coarser[:] = False
    analog = by_name | coarser
    return np.zeros_like(analog) if analog.all() else analog


def all_named_as_inputs(recording: BaseRecording) -> bool:
    """Return whether every channel has the name of an analog input."""
    return bool(_named_as_inputs(recording).all())


def mixed_units(recording: BaseRecording) -> str | None:
    """Return the units of the channels with counts (`V: 8, uV: 4`); None if all have the same."""
    units = recording.get_property("physical_unit")
    if units is None or len(np.unique(units)) < 2:
        return None
    names, counts = np.unique(units, return_counts=True)
    pairs = zip(names, counts, strict=True)
    return ", ".join(f"{name or 'unknown'}: {count}" for name, count in pairs)


def _named_as_inputs(recording: BaseRecording) -> Mask:
    names = recording.get_property("channel_name")
    labels = [str(name) for name in (recording.channel_ids if names is None else names)]
    has_neural_nidq = any(NIDQ_NEURAL.fullmatch(label) for label in labels)
    return np.array(
        [
            ANALOG_INPUT.fullmatch(label) is not None
            or (has_neural_nidq and NIDQ_INPUT.fullmatch(label) is not None)
            for label in labels
        ],
        dtype=bool,
    )


def _in_coarser_units(recording: BaseRecording, known: Mask) -> Mask:
    """Mask channels with another unit than the finest voltage of those that are not `known`."""
    units = recording.get_property("physical_unit")
    if units is None:
        return np.zeros_like(known)
    powers = np.array([VOLTS.get(str(unit), np.nan) for unit in units])
    finest = min(powers[~known & np.isfinite(powers)], default=None)
    return np.zeros_like(known) if finest is None else powers != finest
