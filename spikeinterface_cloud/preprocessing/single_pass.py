"""Compute phase shift, filter and common reference of a chunk in one pass.

The samples are those of SpikeInterface's own recordings, which stay the description of the result:
`in_single_pass` reads from them what to compute. Where a value of theirs is beyond the range of
int16 and wraps around, it saturates here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import spikeinterface as si
from spikeinterface.core.channelslice import ChannelSliceRecordingSegment
from spikeinterface.preprocessing.basepreprocessor import BasePreprocessor, BasePreprocessorSegment
from spikeinterface.preprocessing.common_reference import CommonReferenceRecordingSegment
from spikeinterface.preprocessing.filter import FilterRecordingSegment
from spikeinterface.preprocessing.phase_shift import PhaseShiftRecordingSegment

from spikeinterface_cloud.preprocessing.arrays import copy_by_rows, fit_to
from spikeinterface_cloud.preprocessing.block_filter import BlockFilter
from spikeinterface_cloud.preprocessing.median_reference import MedianReference
from spikeinterface_cloud.preprocessing.phase_shift import shift_phases

Array = npt.NDArray[Any]
Channels = npt.NDArray[np.intp]

#: the types of samples for which the results are tested to be equal
DTYPES = (np.dtype("int16"), np.dtype("float32"))

#: of the values of a group of channels: malloc keeps less than 32 MiB for the next group
GROUP_BYTES = 24 * 2**20

#: with more channels, OpenBLAS would start threads for the products of the filter
LARGEST_GROUP = 128

#: between the channels of one reading
MOST_GAPS = 16


def in_single_pass(recording: si.BaseRecording) -> si.BaseRecording:
    """Return a recording of the same samples that takes less time, or the recording itself.

    It is taken in one pass if its last steps are phase shifts, filters (forward and backward, of
    second-order sections), removals of channels and, at the end, a global median reference.
    """
    return recording if _plan(recording) is None else SinglePassRecording(recording)


def takes_all_steps(recording: si.BaseRecording, source: si.BaseRecording) -> bool:
    """Return whether all steps after the source are taken in one pass, or only choose channels."""
    return _read_by(recording) is _read_by(source)


def _read_by(recording: si.BaseRecording) -> si.BaseRecording:
    """Return what is read in the end: a pass goes on below a source that only chooses channels."""
    step = recording
    while True:
        if isinstance(step, SinglePassRecording):
            step = step.source
        elif type(_first(step)) is ChannelSliceRecordingSegment:
            step = step.get_parent()
        else:
            return step


class SinglePassRecording(BasePreprocessor):  # type: ignore[misc]
    """The samples of a recording, its last steps taken in one pass.

    Parameters
    ----------
    recording
        one that `in_single_pass` accepts
    """

    def __init__(self, recording: si.BaseRecording) -> None:
        super().__init__(recording)
        plan = _plan(recording)
        assert plan is not None, "these steps cannot be taken in one pass"
        self.source = plan.source
        for segment, source in zip(recording.segments, plan.source.segments, strict=True):
            self.add_recording_segment(_SinglePassSegment(segment, source, plan))
        self._kwargs = {"recording": recording}


class _Stage(Protocol):
    """A step that treats each channel by itself."""

    @property
    def margin(self) -> int:
        """Samples that the step needs on either side of its result."""

    def apply(self, traces: Array, n_before: int, n_samples: int, channels: Channels) -> Array:
        """Return `n_samples` after the step.

        Parameters
        ----------
        traces
            these and what there is of the margins, of shape (samples, channels)
        n_before
            samples of the margin before them
        channels
            their places among the channels of the last stage
        """


@dataclass(frozen=True, kw_only=True, slots=True)
class _PhaseShift:
    margin: int
    dtype: np.dtype[Any]
    shifts: npt.NDArray[np.float64]
    precision: type[np.floating]

    def apply(self, traces: Array, n_before: int, n_samples: int, channels: Channels) -> Array:
        shifts = self.shifts[channels]
        shifted = shift_phases(traces, n_before, n_samples, self.margin, shifts, self.precision)
        return fit_to(self.dtype, shifted)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Filter:
    margin: int
    dtype: np.dtype[Any]
    blocks: BlockFilter
    reflects: bool
    precision: type[np.floating]

    def apply(self, traces: Array, n_before: int, n_samples: int, _: Channels) -> Array:
        if self.reflects:
            n_after = len(traces) - n_before - n_samples
            missing = (self.margin - n_before, self.margin - n_after)
            if any(missing):
                traces = np.pad(traces, [missing, (0, 0)], mode="reflect")
            n_before = self.margin
        filtered = self.blocks.apply(traces, self.precision)[n_before : n_before + n_samples]
        return fit_to(self.dtype, filtered)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Plan:
    """What the last steps of a recording compute."""

    #: before these steps
    source: si.BaseRecording
    #: of the source, that are left in the end
    channels: Channels
    #: in the order in which they are applied
    stages: Sequence[_Stage]
    #: of the samples after the stages
    dtype: np.dtype[Any]
    reference: MedianReference | None
    #: of the samples in the end
    final_dtype: np.dtype[Any]


def _plan(recording: si.BaseRecording) -> _Plan | None:
    """Return what the last steps compute, or None if no step can be taken in one pass."""
    final_dtype = recording.get_dtype()
    step, reference = recording, None
    if type(_first(step)) is CommonReferenceRecordingSegment:
        reference = _median_reference(_first(step))
        if reference is None:
            return None
        step = step.get_parent()
    dtype = step.get_dtype()
    dtypes = [final_dtype, dtype]
    stages: list[_Stage] = []
    channels = np.arange(step.get_num_channels())
    while True:
        segment = _first(step)
        if isinstance(step, SinglePassRecording):
            pass
        elif type(segment) is ChannelSliceRecordingSegment:
            channels = np.asarray(segment._parent_channel_indices)[channels]
        else:
            exact = bool(stages) or (reference is not None and dtype.kind == "i")
            stage = _stage(segment, channels, np.float64 if exact else np.float32)
            if stage is None:
                break
            stages.insert(0, stage)
        step = step.get_parent()
        dtypes.append(step.get_dtype())
    if not (stages or reference) or any(each not in DTYPES for each in dtypes):
        return None
    return _Plan(
        source=step,
        channels=channels,
        stages=stages,
        dtype=dtype,
        reference=reference,
        final_dtype=final_dtype,
    )


def _first(recording: si.BaseRecording) -> si.BaseRecordingSegment:
    """Return a segment; each has the same parameters."""
    return recording.segments[0]


def _stage(segment: Any, channels: Channels, precision: type[np.floating]) -> _Stage | None:
    """Return the step of a segment, None if it is not known here.

    It is exact where its values are rounded and used again: two differences of one add up.
    """
    if type(segment) is PhaseShiftRecordingSegment and segment.margin > 0:
        return _PhaseShift(
            margin=segment.margin,
            dtype=np.dtype(segment.dtype),
            shifts=np.asarray(segment.sample_shifts, dtype="float64")[channels],
            precision=precision,
        )
    if (
        type(segment) is FilterRecordingSegment
        and segment.filter_mode == "sos"
        and segment.direction == "forward-backward"
    ):
        return _Filter(
            margin=segment.margin,
            dtype=segment.dtype,
            blocks=BlockFilter(segment.coeff),
            reflects=segment.add_reflect_padding,
            precision=precision,
        )
    return None


def _median_reference(segment: Any) -> MedianReference | None:
    if segment.reference != "global" or segment.operator != "median":
        return None
    of_groups = segment.ref_channel_indices
    if segment.group_indices is None:
        return MedianReference(
            reference=slice(None) if of_groups is None else of_groups, groups=None
        )
    references = segment.group_indices if of_groups is None else of_groups
    groups = list(zip(segment.group_indices, references, strict=True))
    return MedianReference(reference=slice(None), groups=groups)


class _SinglePassSegment(BasePreprocessorSegment):  # type: ignore[misc]
    def __init__(
        self, segment: si.BaseRecordingSegment, source: si.BaseRecordingSegment, plan: _Plan
    ) -> None:
        super().__init__(segment)
        self._source = source
        self._plan = plan

    def get_traces(
        self,
        start_frame: int | None,
        end_frame: int | None,
        channel_indices: Channels | slice | None = None,
    ) -> Array:
        plan = self._plan
        start = 0 if start_frame is None else start_frame
        end = self.get_num_samples() if end_frame is None else end_frame
        every = np.arange(len(plan.channels))
        wanted = every if channel_indices is None else every[channel_indices]
        if plan.reference is None:
            return self._staged(start, end, wanted)
        whole = self._staged(start, end, every)
        return plan.reference.apply(whole, _as_slice(wanted), plan.final_dtype)

    def _staged(self, start: int, end: int, wanted: Channels) -> Array:
        """Return these samples after the stages, of shape (samples, channels)."""
        plan, length = self._plan, self.get_num_samples()
        ranges = [(start, end)]  # after each stage, from the last to the source
        for stage in reversed(plan.stages):
            low, high = ranges[-1]
            ranges.append((max(0, low - stage.margin), min(length, high + stage.margin)))
        read, places = _reading(plan.channels[wanted])
        source = self._source.get_traces(*ranges[-1], read)
        result = np.empty((end - start, len(wanted)), plan.dtype)
        n_group = max(8, min(LARGEST_GROUP, GROUP_BYTES // (8 * len(source) + 1)))
        for group in _groups(places, n_group):
            traces = source[:, places[group.start] : places[group.stop - 1] + 1]
            for stage, (low, high), (around, _) in zip(
                plan.stages, ranges[-2::-1], ranges[:0:-1], strict=True
            ):
                traces = stage.apply(traces, low - around, high - low, wanted[group])
            copy_by_rows(traces, result[:, group])
        return result


def _reading(channels: Channels) -> tuple[Channels | slice, Channels]:
    """Return what to read for these channels, and their places in what was read.

    All channels between the first and the last are read if few are missing, as choosing some of
    them takes more time than reading them all.
    """
    if len(channels) > 0 and np.count_nonzero(np.diff(channels) != 1) <= MOST_GAPS:
        first, last = int(channels.min()), int(channels.max())
        if last - first < 2 * len(channels):
            return slice(first, last + 1), channels - first
    return channels, np.arange(len(channels))


def _groups(places: Channels, n_most: int) -> Iterator[slice]:
    """Yield parts of at most `n_most` channels whose places follow one another."""
    ends = [*(np.flatnonzero(np.diff(places) != 1) + 1).tolist(), len(places)]
    for start, end in pairwise([0, *ends]):
        for first in range(start, end, n_most):
            yield slice(first, min(first + n_most, end))


def _as_slice(channels: Channels) -> Channels | slice:
    """Return a slice if the channels follow one another, as it needs no copy."""
    if len(channels) and np.array_equal(
        channels, np.arange(channels[0], channels[0] + len(channels))
    ):
        return slice(int(channels[0]), int(channels[0]) + len(channels))
    return channels
