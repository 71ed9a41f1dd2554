"""Which channels carry no usable signal: dead, noisy, or outside the brain."""

import logging
from typing import Any

import numpy as np
import spikeinterface as si
import spikeinterface.preprocessing as spre

logger = logging.getLogger(__name__)

#: from this many channels on, a channel is compared with its neighbours
DENSE_PROBE_CHANNELS = 64

#: with fewer, a channel's noise is compared with the median channel's: dead below, noisy above
DEAD_FACTOR = 0.1
NOISY_FACTOR = 5.0

#: above this part of all channels, it is the detector that is wrong
LARGEST_BAD_PART = 0.5

CHUNK_S = 0.3

#: chunks that are looked at: coherence takes many, the noise of a channel shows in a few
COHERENCE_CHUNKS = 100
NOISE_CHUNKS = 20


def find_bad_channels(recording: si.BaseRecording) -> dict[Any, str]:
    """The bad channels with their labels: `dead`, `noise` or `out`.

    Dense probes: coherence with the neighbours and power at high frequencies (the method of the
    International Brain Laboratory, `spikeinterface.preprocessing.detect_bad_channels`). Others: a
    noise far from that of the median channel. Where more than half would be bad, none is: a
    detector that finds nothing good in a recording is more often wrong than right.
    """
    dense = recording.get_num_channels() >= DENSE_PROBE_CHANNELS
    labels = _compare_with_neighbours(recording) if dense else _compare_with_median(recording)
    found = {
        channel_id: str(label)
        for channel_id, label in zip(recording.channel_ids, labels, strict=True)
        if label != "good"
    }
    if len(found) > LARGEST_BAD_PART * recording.get_num_channels():
        logger.warning(
            "%d of %d channels look bad, which is not believed: all are kept; name those to leave "
            "out in PREPROCESSING if they are bad",
            len(found),
            recording.get_num_channels(),
        )
        return {}
    for label in sorted(set(found.values())):
        named = [str(channel_id) for channel_id, its in found.items() if its == label]
        logger.info("%d bad channels removed (%s): %s", len(named), label, ", ".join(named))
    return found


def _compare_with_neighbours(recording: si.BaseRecording) -> list[str]:
    _, labels = spre.detect_bad_channels(
        recording,
        method="coherence+psd",
        chunk_duration_s=CHUNK_S,
        num_random_chunks=_n_chunks(recording, COHERENCE_CHUNKS),
        seed=0,
    )
    return [str(label) for label in labels]


def _compare_with_median(recording: si.BaseRecording) -> list[str]:
    noise = si.get_noise_levels(
        spre.highpass_filter(recording, freq_min=300.0),
        return_in_uV=False,
        random_slices_kwargs={
            "seed": 0,
            "num_chunks_per_segment": _n_chunks(recording, NOISE_CHUNKS),
            "chunk_duration": f"{CHUNK_S}s",
        },
    )
    typical = float(np.median(noise))
    return [_label(float(level), typical) for level in noise]


def _label(noise: float, typical: float) -> str:
    if noise < DEAD_FACTOR * typical:
        return "dead"
    return "noise" if noise > NOISY_FACTOR * typical else "good"


def _n_chunks(recording: si.BaseRecording, most: int) -> int:
    """As many chunks as half of the shortest segment holds, and `most` at the most."""
    shortest = min(segment.get_num_samples() for segment in recording.segments)
    seconds = shortest / recording.sampling_frequency
    return int(np.clip(seconds / CHUNK_S / 2, 1, most))
