"""Check gains, and convert floating-point samples to a unit that sorters can use.

Integers are kept, with their gains. Floating-point samples become microvolts if the file gives the
gains; otherwise, nothing claims to be in microvolts.
"""

import logging
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import spikeinterface.preprocessing as spre
from spikeinterface.core import BaseRecording

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.recording.samples.chunks import Traces

logger = logging.getLogger(__name__)

#: noise between neighboring samples: amplifiers have 2 to 20 uV; a unit that is wrong by a factor
#: of a thousand gives more than this
LARGEST_NOISE_UV = 500.0

#: range of any connected channel within a tenth of a second
SMALLEST_RANGE_UV = 2.0

#: noise of floating-point samples without gains that every sorter can work with
SORTABLE_NOISE = (0.1, 1.0e4)

#: noise outside this range is no voltage in any unit: nanovolts are 1000 times microvolts
POSSIBLE_NOISE = (1.0e-12, 1.0e9)

#: typical noise in these units
LIKELY_NOISE = {
    "microvolts": (0.5, 200.0),
    "millivolts": (0.5e-3, 0.2),
    "volts": (0.5e-6, 0.2e-3),
}

#: standard deviation of normal noise per mean absolute difference of two samples
NOISE_PER_DIFFERENCE = math.sqrt(math.pi) / 2

#: of which SpikeInterface knows the microvolts, of the last by chance
VOLTAGE_UNITS = ("V", "Volt", "Volts", "mV", "uV", "µV")

#: properties that describe the samples as they were in the file
AS_IN_FILE = ("physical_unit", "gain_to_physical_unit", "offset_to_physical_unit")


def check_gains(recording: BaseRecording, chunks: Sequence[Traces], notes: list[str]) -> None:
    """Note missing gains, and remove impossible ones.

    No sorter needs gains; without them, amplitudes are in the units of the file. In NWB, a missing
    `conversion` means 1.0, which is a million microvolts per step.
    """
    if recording.get_property("gain_to_uV") is not None and not recording.has_scaleable_traces():
        recording.set_channel_offsets(0.0)  # only a constant is missing
    if not recording.has_scaleable_traces():
        notes.append("there are no gains to microvolts: amplitudes are in the units of the file")
        return
    problem = _problem_of_gains(recording, chunks)
    if problem is None:
        return
    remove_gains(recording)
    notes.append(f"{problem}: gains are not used, and amplitudes are in the units of the file")


def remove_gains(recording: BaseRecording) -> None:
    """Remove gains and offsets, if there are any."""
    _delete_properties(recording, ("gain_to_uV", "offset_to_uV"))


def remove_gains_of_no_voltage(recording: BaseRecording) -> None:
    """Remove gains to microvolts of channels whose unit in the file is no voltage.

    SpikeInterface takes an unknown unit, or none, for microvolts.
    """
    units = recording.get_property("physical_unit")
    if units is None:
        return
    known = np.isin(units, VOLTAGE_UNITS)
    if not known.any():
        remove_gains(recording)
    elif not known.all():
        recording.set_channel_gains(np.where(known, recording.get_channel_gains(), np.nan))


def _problem_of_gains(recording: BaseRecording, chunks: Sequence[Traces]) -> str | None:
    gains = np.asarray(recording.get_channel_gains(), dtype="float64")
    offsets = np.asarray(recording.get_channel_offsets(), dtype="float64")
    unusable = ~np.isfinite(gains) | (gains == 0) | ~np.isfinite(offsets)
    if unusable.any():
        return (
            f"gain or offset to microvolts is 0, NaN or infinite on {np.count_nonzero(unusable)} "
            f"of {unusable.size} channels"
        )
    gain = f"the gain of {np.median(gains):g} uV per step"
    why = "which is impossible (in NWB, the series may lack its conversion to volts)"
    noise_uv = _typical(noise_levels(chunks) * np.abs(gains))
    if noise_uv > LARGEST_NOISE_UV:
        return f"{gain} would make the noise {noise_uv:.3g} uV, {why}"
    ranges = np.median([np.ptp(chunk.astype("float64"), axis=0) for chunk in chunks], axis=0)
    range_uv = _typical(ranges * np.abs(gains))
    if 0 < range_uv < SMALLEST_RANGE_UV:
        return f"{gain} would make the whole signal {range_uv:.3g} uV, {why}"
    return None


def noise_levels(chunks: Sequence[Traces]) -> npt.NDArray[np.float64]:
    """Estimate each channel's noise, in the unit of the samples, from differences of neighbors.

    Slow waves, offsets, spikes and short artifacts have little influence.
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
    """Return the median of the channels that are not constant; 0 if all are."""
    varying = levels[levels > 0]
    return float(np.median(varying)) if varying.size else 0.0


def with_positive_gains(recording: BaseRecording, notes: list[str]) -> BaseRecording:
    """Convert integers with a negative gain to microvolts: sorters look for spikes below 0."""
    if recording.dtype.kind == "f" or not recording.has_scaleable_traces():
        return recording
    n_negative = np.count_nonzero(recording.get_channel_gains() < 0)
    if not n_negative:
        return recording
    notes.append(
        f"{n_negative} channels have a negative gain: all channels are converted to microvolts, as "
        "spikes would be inverted in the samples of the file"
    )
    return _in_microvolts(recording)


def in_sortable_unit(
    recording: BaseRecording, chunks: Sequence[Traces], notes: list[str]
) -> BaseRecording:
    """Convert floating-point samples to 32 bits, and to microvolts if the gains are known.

    Without gains, values that sorters cannot work with (Kilosort4 finds nothing in volts) are
    multiplied by a power of 1000. Integers are kept.
    """
    if recording.dtype.kind != "f":
        return recording
    noise = _typical(noise_levels(chunks))
    if noise and not POSSIBLE_NOISE[0] < noise < POSSIBLE_NOISE[1]:
        raise RecordingError(
            f"the samples are {recording.dtype} with a noise of {noise:.3g}, which is no "
            "voltage in any unit; check that type and byte order are read as they were written"
        )
    if recording.has_scaleable_traces():
        return _in_microvolts(recording)
    factor = _sortable_factor(noise)
    notes.append(_describe_values(noise, factor))
    if factor != 1:
        scaled = spre.scale(recording, gain=factor, dtype="float32")
        return _delete_properties(scaled, AS_IN_FILE)
    if recording.dtype != np.dtype("float32"):
        return spre.astype(recording, dtype="float32")
    return recording


def _in_microvolts(recording: BaseRecording) -> BaseRecording:
    gains, offsets = recording.get_channel_gains(), recording.get_channel_offsets()
    scaled = bool(np.all(gains == 1)) and not np.any(offsets)
    if scaled and recording.dtype == np.dtype("float32"):
        return recording
    logger.info("samples of %s are read in microvolts (gain %g)", recording.dtype, np.median(gains))
    return _delete_properties(spre.scale_to_uV(recording), AS_IN_FILE)


def _delete_properties(recording: BaseRecording, properties: Sequence[str]) -> BaseRecording:
    for name in set(properties).intersection(recording.get_property_keys()):
        recording.delete_property(name)
    return recording


def _sortable_factor(noise: float) -> float:
    """Return the power of 1000 that brings the noise into the range that sorters can work with."""
    smallest, largest = SORTABLE_NOISE
    if noise == 0 or smallest <= noise <= largest:
        return 1.0
    bound = smallest if noise < smallest else largest
    exponent = math.log(bound / noise, 1000)
    return 1000.0 ** (math.ceil(exponent) if exponent > 0 else math.floor(exponent))


def _describe_values(noise: float, factor: float) -> str:
    units = [unit for unit, (low, high) in LIKELY_NOISE.items() if low <= noise <= high]
    likely = (
        f"look like {units[0]}, but the file does not say so" if units else "fit no unit of voltage"
    )
    note = (
        f"the samples are floating-point numbers without a gain; with a noise of {noise:.3g} they "
        f"{likely}"
    )
    if factor == 1:
        return note
    return (
        f"{note}: they are multiplied by {factor:g} for the sorters, so amplitudes are in units of "
        f"{1 / factor:g} of the file's unit"
    )
