"""The sampling rate of an NWB series that has timestamps instead of a rate.

SpikeInterface takes the median of the first steps between them. At 30 kHz, timestamps that are
rounded to microseconds have steps of 33 and 34 us, and the median is wrong by 1 %.
"""

import logging
from typing import Any

import numpy as np
from spikeinterface.core import BaseRecording
from spikeinterface.preprocessing.basepreprocessor import (
    BasePreprocessor,
    BasePreprocessorSegment,
)

from spikeinterface_cloud.recording.clock.clock import clock_of
from spikeinterface_cloud.recording.clock.format_timestamps import has_nwb_timestamps
from spikeinterface_cloud.recording.clock.segment_times import source_segment

logger = logging.getLogger(__name__)

#: smaller relative differences are ignored
SMALLEST_CORRECTION = 1e-4

#: relative difference from whole hertz that is rounding
ROUNDED = 1e-6


class RecordingAtRate(BasePreprocessor):  # type: ignore[misc]
    """The same samples, at another sampling frequency."""

    def __init__(self, recording: BaseRecording, sampling_frequency: float) -> None:
        """Wrap `recording`."""
        super().__init__(recording, sampling_frequency=sampling_frequency)
        for segment in recording.segments:
            self.add_recording_segment(_SameSamples(segment))
        self._kwargs = {"recording": recording, "sampling_frequency": sampling_frequency}


class _SameSamples(BasePreprocessorSegment):  # type: ignore[misc]
    def get_traces(self, start_frame: int, end_frame: int, channel_indices: Any) -> Any:
        return self.parent_recording_segment.get_traces(start_frame, end_frame, channel_indices)


def at_rate_of_timestamps(recording: BaseRecording) -> BaseRecording:
    """Return the recording at the rate that its NWB timestamps, if it has any, imply."""
    if not recording.sampling_frequency or not has_nwb_timestamps(
        source_segment(recording.segments[0])
    ):
        return recording
    interval_s = clock_of(recording).segments[0].interval_s
    if not interval_s > 0:
        return recording
    rate_hz = 1 / interval_s
    if np.isclose(rate_hz, recording.sampling_frequency, rtol=SMALLEST_CORRECTION):
        return recording
    if np.isclose(rate_hz, round(rate_hz), rtol=ROUNDED):
        rate_hz = float(round(rate_hz))
    logger.info(
        "sampling rate: %.6f Hz from all timestamps, instead of %.6f Hz from the first ones",
        rate_hz,
        recording.sampling_frequency,
    )
    return RecordingAtRate(recording, rate_hz)
