"""The part of a Plexon file (.plx) that neo reads correctly.

neo expects fragments of equal length: one of another length shifts the samples around it. And it
returns zeros for a read that includes the very last sample.
"""

import numpy as np
from neo.rawio import PlexonRawIO
from spikeinterface.core import BaseRecording
from spikeinterface.extractors.neoextractors.neobaseextractor import NeoRecordingSegment

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.recording.clock.format_timestamps import plexon_fragments
from spikeinterface_cloud.recording.clock.segment_times import source_segment

#: what neo takes millivolts for
MICROVOLTS_PER_MILLIVOLT = 1000.0


def with_microvolts(recording: BaseRecording) -> BaseRecording:
    """Return a recording with gains to microvolts: neo gives those to millivolts, as of no unit."""
    if np.all(recording.neo_reader.header["signal_channels"]["units"] == ""):
        recording.set_channel_gains(recording.get_channel_gains() * MICROVOLTS_PER_MILLIVOLT)
    return recording


def readable_part(recording: BaseRecording) -> tuple[BaseRecording, list[str]]:
    """Cut off the end that neo misreads, and return a note of it.

    Files of which neo shifts samples are refused.
    """
    source = source_segment(recording.segments[0])
    if not isinstance(source, NeoRecordingSegment) or not isinstance(
        source.neo_reader, PlexonRawIO
    ):
        return recording, []
    fragments = plexon_fragments(source)
    lengths = fragments["size"] // 2
    if len(np.unique(lengths[:-1])) > 1:
        raise RecordingError(
            "the fragments of the signals have different lengths, as after a pause, and the reader "
            "(neo) returns such samples in the wrong places; export the recording to another "
            "format with Plexon's own programs, or each part between two pauses to its own file"
        )
    n_readable = source.get_num_samples() - 1
    if len(set(lengths)) > 1:
        n_readable = min(n_readable, int(fragments["cumsum"][-1]) - 1)
    n_frames = recording.get_num_samples(0)
    if n_frames <= n_readable:
        return recording, []
    note = f"the last {n_frames - n_readable} samples are left out: the reader (neo) misreads them"
    return recording.frame_slice(start_frame=0, end_frame=n_readable), [note]
