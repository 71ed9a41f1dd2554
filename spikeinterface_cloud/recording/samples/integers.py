"""Convert integer samples to signed numbers around 0, without wrapping or rounding.

A 12-bit ADC in `uint16` swings around 2048, an amplifier with an offset around any value. What is
subtracted from the samples is added to the offset in microvolts. Sorters take 16-bit integers,
which are used if they hold the whole range of the samples.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from spikeinterface.core import BaseRecording
from spikeinterface.preprocessing.basepreprocessor import (
    BasePreprocessor,
    BasePreprocessorSegment,
)

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.recording.samples.chunks import Chunk, Traces, map_all_chunks

#: wider integers are sorted as float32, which is exact up to here
LARGEST_EXACT = 2**24

#: relative distance of the median from a power of 2, the middle of the range of an ADC
NEAR_MIDDLE = 1 / 8

#: consecutive samples at the end of the range that show a saturated amplifier
SATURATED_FRAMES = 3

#: the ADC with the fewest bits
FEWEST_BITS = 8

Integers = npt.NDArray[np.int64]


class ZeroedRecording(BasePreprocessor):  # type: ignore[misc]  # SpikeInterface has no types
    """Integer samples from which the zero level of each channel is subtracted, exactly."""

    def __init__(self, recording: BaseRecording, zero_levels: Sequence[int], dtype: str) -> None:
        """Wrap `recording`; `zero_levels` has a value for each channel."""
        super().__init__(recording, dtype=dtype)
        self.zero_levels = list(zero_levels)
        levels = np.asarray(zero_levels, dtype="int64")
        for segment in recording.segments:
            self.add_recording_segment(ZeroedSegment(segment, levels, dtype))
        if recording.has_scaleable_traces():
            gains, offsets = recording.get_channel_gains(), recording.get_channel_offsets()
            self.set_channel_offsets(offsets + gains * levels)
        self._kwargs = {"recording": recording, "zero_levels": levels.tolist(), "dtype": dtype}


class ZeroedSegment(BasePreprocessorSegment):  # type: ignore[misc]
    """One segment of a `ZeroedRecording`."""

    def __init__(self, segment: Any, zero_levels: Integers, dtype: str) -> None:
        """Wrap `segment`."""
        super().__init__(segment)
        self.zero_levels = zero_levels
        self.dtype = dtype

    def get_traces(
        self, start_frame: int | None, end_frame: int | None, channel_indices: Any
    ) -> Traces:
        """Return the samples minus the zero levels."""
        channels = slice(None) if channel_indices is None else channel_indices
        traces = self.parent_recording_segment.get_traces(start_frame, end_frame, channels)
        levels = self.zero_levels[channels]
        wide = "int32" if traces.dtype.itemsize <= 2 else "int64"
        zeroed: Traces = np.subtract(traces, levels, dtype=wide, casting="same_kind")
        return zeroed.astype(self.dtype, copy=False)


def as_signed(
    recording: BaseRecording, chunks: Sequence[Traces], notes: list[str]
) -> BaseRecording:
    """Convert unsigned samples, and 32 or 64-bit ones far from 0, to signed ones around 0."""
    dtype = recording.dtype
    if dtype.kind == "f" or (dtype.kind == "i" and dtype.itemsize <= 2):
        return recording
    if dtype == np.dtype("uint64"):
        raise RecordingError(
            "samples of type uint64 cannot be converted to signed integers; save them as int32"
        )
    levels = _zero_levels(recording, chunks)
    if dtype.kind == "i" and not levels.any():
        return recording
    signed_type = _type_around(recording, levels, chunks)
    low, high = int(levels.min()), int(levels.max())
    where = f"{low}" if low == high else f"{low} to {high}"
    notes.append(f"the samples are {dtype}, around {where}, which becomes 0 in {signed_type}")
    return ZeroedRecording(recording, levels.tolist(), signed_type)


def _zero_levels(recording: BaseRecording, chunks: Sequence[Traces]) -> Integers:
    """Return each channel's value of 0 V, from gain and offset or from the samples."""
    medians = np.median([np.median(chunk, axis=0) for chunk in chunks], axis=0)
    if recording.dtype.kind == "i":
        far = np.abs(medians) >= LARGEST_EXACT
        return np.asarray(np.where(far, np.round(medians), 0), dtype="int64")
    largest = np.iinfo(recording.dtype).max
    if recording.has_scaleable_traces() and np.any(recording.get_channel_offsets()):
        levels = np.round(-recording.get_channel_offsets() / recording.get_channel_gains())
        if np.all((levels >= 0) & (levels <= largest)):
            return np.asarray(levels, dtype="int64")
    median = float(np.median(medians))
    middle = 2 ** round(np.log2(max(median, 1.0)))
    near = middle <= largest and abs(median - middle) <= NEAR_MIDDLE * middle
    return np.full(len(medians), middle if near else round(median), dtype="int64")


def _type_around(recording: BaseRecording, levels: Integers, chunks: Sequence[Traces]) -> str:
    """Return the smallest type, of 16 bits or more, that holds every sample."""
    info = np.iinfo(recording.dtype)
    low, high = int(info.min) - int(levels.max()), int(info.max) - int(levels.min())
    if recording.dtype.itemsize == 2 and not _holds("int16", low, high):
        low, high = _range(chunks, levels)
        if _holds("int16", low, high):
            find_range = partial(_range_of_chunk, levels=levels)
            ranges = map_all_chunks(recording, find_range, "values beyond int16")
            low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
    return next((name for name in ("int16", "int32") if _holds(name, low, high)), "int64")


def _holds(dtype: str, low: int, high: int) -> bool:
    info = np.iinfo(dtype)
    return bool(info.min <= low and high <= info.max)


def _range(chunks: Sequence[Traces], levels: Integers) -> tuple[int, int]:
    lowest = np.min([chunk.min(axis=0) for chunk in chunks], axis=0).astype("int64") - levels
    highest = np.max([chunk.max(axis=0) for chunk in chunks], axis=0).astype("int64") - levels
    return int(lowest.min()), int(highest.max())


def _range_of_chunk(chunk: Chunk, levels: Integers) -> tuple[int, int]:
    return _range([chunk.traces], levels)


def note_saturation(recording: BaseRecording, chunks: Sequence[Chunk], notes: list[str]) -> None:
    """Note where integer samples stay at the end of the range of the ADC."""
    if recording.dtype.kind == "f":
        return
    ends = _ends_of_range(chunks, recording.dtype)
    masks = [(chunk, _saturated(chunk.traces, ends)) for chunk in chunks]
    places = [(chunk, mask) for chunk, mask in masks if mask.any()]
    if not places:
        return
    chunk, mask = places[0]
    first_frame = chunk.start_frame + int(np.flatnonzero(mask.any(axis=1))[0])
    segment = f" of segment {chunk.segment}" if recording.get_num_segments() > 1 else ""
    n_samples = sum(np.count_nonzero(mask) for _, mask in places)
    n_channels = np.count_nonzero(np.any([mask.any(axis=0) for _, mask in places], axis=0))
    notes.append(
        f"the signal is saturated: {n_samples} samples of {n_channels} channels stay at the end of "
        f"their range ({', '.join(map(str, ends))}) in {len(places)} of the {len(chunks)} places "
        f"that were sampled, first at {first_frame / recording.sampling_frequency:.6g} s"
        f"{segment}; spikes are lost there"
    )


def _ends_of_range(chunks: Sequence[Chunk], dtype: np.dtype[Any]) -> list[int]:
    lowest = min(int(chunk.traces.min()) for chunk in chunks)
    highest = max(int(chunk.traces.max()) for chunk in chunks)
    return [value for value in (lowest, highest) if _is_end_of_range(value, dtype)]


def _is_end_of_range(value: int, dtype: np.dtype[Any]) -> bool:
    """Return whether a value is the lowest or highest of an ADC with any number of bits."""
    if dtype.kind == "u" and value == 0:
        return True
    ends = (value + 1, value) if value > 0 else (-value, -value + 1)
    return any(end >= 2**FEWEST_BITS and end & (end - 1) == 0 for end in ends)


def _saturated(traces: Traces, ends: Sequence[int]) -> npt.NDArray[np.bool_]:
    """Mask consecutive samples at one of `ends`, except on constant channels."""
    saturated: npt.NDArray[np.bool_] = np.zeros(traces.shape, dtype=bool)
    n_starts = len(traces) - SATURATED_FRAMES + 1
    for end in ends if n_starts > 0 else ():
        equal = traces == end
        equal[:, equal.all(axis=0)] = False
        shifts = [slice(shift, shift + n_starts) for shift in range(SATURATED_FRAMES)]
        starts = np.all([equal[shift] for shift in shifts], axis=0)
        for shift in shifts:
            saturated[shift] |= starts
    return saturated
