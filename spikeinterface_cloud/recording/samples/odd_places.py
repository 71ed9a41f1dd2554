"""Note places of a recording without a signal, or with far more noise than elsewhere.

A copy or a download that was interrupted may leave zeros, or bytes of something else.
"""

from collections.abc import Sequence

import numpy as np
from spikeinterface.core import BaseRecording

from spikeinterface_cloud.recording.samples.chunks import Chunk, constant_channels
from spikeinterface_cloud.recording.samples.units import noise_levels

#: noise of most channels, in multiples of its median over the recording
MUCH_NOISE = 10


def note_odd_places(recording: BaseRecording, chunks: Sequence[Chunk], notes: list[str]) -> None:
    """Note where all channels are constant, and where most are far noisier than elsewhere."""
    constant = [chunk for chunk in chunks if constant_channels(chunk.traces).all()]
    if constant:
        notes.append(
            f"all channels are constant in {_describe(recording, constant, chunks)}: samples may "
            "be missing there"
        )
    levels = np.array([np.median(noise_levels([chunk.traces])) for chunk in chunks])
    usual = float(np.median(levels))
    noisy = [
        chunk
        for chunk, level in zip(chunks, levels, strict=True)
        if usual > 0 and level > MUCH_NOISE * usual
    ]
    if noisy:
        notes.append(
            f"most channels have more than {MUCH_NOISE} times their usual noise in "
            f"{_describe(recording, noisy, chunks)}: artifacts, or damaged samples"
        )


def _describe(recording: BaseRecording, found: Sequence[Chunk], chunks: Sequence[Chunk]) -> str:
    first = found[0]
    segment = f" of segment {first.segment}" if recording.get_num_segments() > 1 else ""
    return (
        f"{len(found)} of the {len(chunks)} places that were sampled, first at "
        f"{first.start_frame / recording.sampling_frequency:.6g} s{segment}"
    )
