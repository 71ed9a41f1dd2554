"""What of a Plexon file (.plx) neo reads as it is.

neo takes each fragment of a signal to begin where one of its own length would have, had it come
after a fragment of that length: one of another length shifts the samples around it. And it gives
zeros for what is read up to the very last sample.
"""

import numpy as np
from neo.rawio import PlexonRawIO
from spikeinterface.core import BaseRecording
from spikeinterface.extractors.neoextractors.neobaseextractor import NeoRecordingSegment

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.recording.clock.neo_timestamps import plexon_fragments
from spikeinterface_cloud.recording.clock.timestamps import source_segment


def readable_part(recording: BaseRecording) -> tuple[BaseRecording, list[str]]:
    """The recording without the end that neo misreads, and a note of it.

    Raises
    ------
    RecordingError
        neo mixes up the samples of the file
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
            "the fragments of the signals have different lengths, as where a recording was "
            "paused, and the reader (neo) mixes up the samples of these; export the recording to "
            "another format with Plexon's own programs, or each part between two pauses to a file"
        )
    n_readable = source.get_num_samples() - 1
    if len(set(lengths)) > 1:
        n_readable = min(n_readable, int(fragments["cumsum"][-1]) - 1)
    n_frames = recording.get_num_samples(0)
    if n_frames <= n_readable:
        return recording, []
    note = f"the last {n_frames - n_readable} samples are left out, which the reader (neo) misreads"
    return recording.frame_slice(start_frame=0, end_frame=n_readable), [note]
