"""Microvolts: which gains can be true, and floating-point samples in a unit that sorters can use.

Integers stay as they are, with their gain beside them. Floating-point samples become microvolts
where the file gives the gain. Where it does not, nothing is said to be in microvolts.
"""

import logging
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import spikeinterface.preprocessing as spre
from spikeinterface.core import BaseRecording

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.recording.samples.sampling import Traces

logger = logging.getLogger(__name__)

#: noise between neighboring samples: amplifiers have 2 to 20 uV, and a unit that is mistaken by a
#: factor of a thousand makes at least 500 of that
LARGEST_NOISE_UV = 500.0

#: a channel moves more than this in a tenth of a second, whatever it is connected to
SMALLEST_RANGE_UV = 2.0

#: the noise of floating-point samples without a gain that every sorter can work with
SORTABLE_NOISE = (0.1, 1.0e4)

#: no unit of voltage gives values of such a noise
POSSIBLE_NOISE = (1.0e-12, 1.0e12)

#: the noise of a recording in these units
LIKELY_NOISE = {
    "microvolts": (0.5, 200.0),
    "millivolts": (0.5e-3, 0.2),
    "volts": (0.5e-6, 0.2e-3),
}

#: standard deviation of normal noise per mean absolute difference of two samples
NOISE_PER_DIFFERENCE = math.sqrt(math.pi) / 2

#: properties that describe the samples as they were in the file
AS_IN_FILE = ("physical_unit", "gain_to_physical_unit", "offset_to_physical_unit")


def check_gains(recording: BaseRecording, chunks: Sequence[Traces], notes: list[str]) -> None:
    """Note missing gains, and remove gains that cannot be true.

    No sorter needs them, and without them amplitudes are honestly in the units of the file. NWB
    takes a missing `conversion` for 1.0, a million microvolts a step.
    """
    if recording.get_property("gain_to_uV") is not None and not recording.has_scaleable_traces():
        recording.set_channel_offsets(0.0)  # only a constant is missing
    if not recording.has_scaleable_traces():
        notes.append("there are no gains to microvolts: amplitudes are in the units of the file")
        return
    reason = _why_impossible(recording, chunks)
    if reason is None:
        return
    recording.delete_property("gain_to_uV")
    recording.delete_property("offset_to_uV")
    notes.append(f"{reason}: it is not used, and amplitudes are in the units of the file")


def _why_impossible(recording: BaseRecording, chunks: Sequence[Traces]) -> str | None:
    gains = np.asarray(recording.get_channel_gains(), dtype="float64")
    offsets = np.asarray(recording.get_channel_offsets(), dtype="float64")
    unusable = ~np.isfinite(gains) | (gains == 0) | ~np.isfinite(offsets)
    if unusable.any():
        return (
            f"the gain to microvolts is no number, or 0, on {np.count_nonzero(unusable)} of "
            f"{unusable.size} channels"
        )
    gain = f"the gain of {np.median(gains):g} uV per step"
    where = "which cannot be (in NWB, the series lacks its conversion to volts)"
    noise_uv = _typical(noise_levels(chunks) * np.abs(gains))
    if noise_uv > LARGEST_NOISE_UV:
        return f"{gain} would make the noise {noise_uv:.3g} uV, {where}"
    ranges = np.median([np.ptp(chunk.astype("float64"), axis=0) for chunk in chunks], axis=0)
    range_uv = _typical(ranges * np.abs(gains))
    if 0 < range_uv < SMALLEST_RANGE_UV:
        return f"{gain} would make the whole signal {range_uv:.3g} uV, {where}"
    return None


def noise_levels(chunks: Sequence[Traces]) -> npt.NDArray[np.float64]:
    """Each channel's noise in the unit of the samples, from the differences of neighbors.

    Slow waves, offsets, spikes and short artifacts do not count.
    """
    differences = [
        np.abs(np.diff(chunk.astype("float64"), axis=0)).mean(axis=0)
        for chunk in chunks
        if len(chunk) > 1
    ]
    if not differences:
        return np.zeros(chunks[0].shape[1])
    levels: npt.NDArray[np.float64] = np.median(differences, axis=0) * NOISE_PER_DIFFERENCE
    return levels


def _typical(levels: npt.NDArray[np.float64]) -> float:
    """The median of the channels that are not constant; 0 where all are."""
    varying = levels[levels > 0]
    return float(np.median(varying)) if varying.size else 0.0


def upright(recording: BaseRecording, notes: list[str]) -> BaseRecording:
    """Integers with a negative gain, in microvolts: sorters look for spikes below 0."""
    if recording.dtype.kind == "f" or not recording.has_scaleable_traces():
        return recording
    n_negative = np.count_nonzero(recording.get_channel_gains() < 0)
    if not n_negative:
        return recording
    notes.append(
        f"{n_negative} channels have a negative gain: all are read in microvolts, as spikes would "
        "be upside down in the samples of the file"
    )
    return _in_microvolts(recording)


def in_sortable_unit(
    recording: BaseRecording, chunks: Sequence[Traces], notes: list[str]
) -> BaseRecording:
    """The recording with floating-point samples in 32 bits, in microvolts if the gains are known.

    Without gains, values that sorters cannot work with (Kilosort4 finds nothing in volts) are
    multiplied by a power of 1000. Integers are left alone. Raises `RecordingError` when the values
    cannot be voltages.
    """
    if recording.dtype.kind != "f":
        return recording
    noise = _typical(noise_levels(chunks))
    if noise and not POSSIBLE_NOISE[0] < noise < POSSIBLE_NOISE[1]:
        raise RecordingError(
            f"the samples are {recording.dtype} with a noise of {noise:.3g}, which no unit of "
            "voltage gives; check that their type and byte order are read as they were written"
        )
    if recording.has_scaleable_traces():
        return _in_microvolts(recording)
    factor = _sortable_factor(noise)
    notes.append(_describe_values(noise, factor))
    if factor != 1:
        scaled = spre.scale(recording, gain=factor, dtype="float32")
        return _without(scaled, AS_IN_FILE)
    if recording.dtype != np.dtype("float32"):
        return spre.astype(recording, dtype="float32")
    return recording


def _in_microvolts(recording: BaseRecording) -> BaseRecording:
    gains, offsets = recording.get_channel_gains(), recording.get_channel_offsets()
    scaled = bool(np.all(gains == 1)) and not np.any(offsets)
    if scaled and recording.dtype == np.dtype("float32"):
        return recording
    logger.info("samples of %s are read in microvolts (gain %g)", recording.dtype, np.median(gains))
    return _without(spre.scale_to_uV(recording), AS_IN_FILE)


def _without(recording: BaseRecording, properties: Sequence[str]) -> BaseRecording:
    for name in set(properties).intersection(recording.get_property_keys()):
        recording.delete_property(name)
    return recording


def _sortable_factor(noise: float) -> float:
    """The power of 1000 that brings a noise into the range that every sorter can work with."""
    smallest, largest = SORTABLE_NOISE
    if noise == 0 or smallest <= noise <= largest:
        return 1.0
    bound = smallest if noise < smallest else largest
    exponent = math.log(bound / noise, 1000)
    return 1000.0 ** (math.ceil(exponent) if exponent > 0 else math.floor(exponent))


def _describe_values(noise: float, factor: float) -> str:
    units = [unit for unit, (low, high) in LIKELY_NOISE.items() if low <= noise <= high]
    likely = (
        f"look like {units[0]}, but the file does not say so"
        if units
        else ("look like no unit of voltage")
    )
    note = f"the samples are floating-point numbers without a gain; with a noise of {noise:.3g} "
    if factor == 1:
        return f"{note}they {likely}"
    return (
        f"{note}they {likely}: they are multiplied by {factor:g} for the sorters, so that "
        f"amplitudes are in {1 / factor:g} of the unit of the file"
    )
