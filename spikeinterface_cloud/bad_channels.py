"""Which channels carry no usable signal: dead, noisy, or outside the brain."""

import logging
from typing import Any

import numpy as np
import spikeinterface as si
import spikeinterface.preprocessing as spre

logger = logging.getLogger(__name__)

#: from this many channels in a column on, a channel can be compared with its neighbours
DENSE_PROBE_CHANNELS = 64

#: above this part of all channels, it is the detector that is wrong
LARGEST_BAD_PART = 0.5


def find_bad_channels(recording: si.BaseRecording) -> dict[Any, str]:
    """The bad channels with their labels: `dead`, `noise` or `out`.

    Dense probes: coherence with the neighbours and power at high frequencies (the method of the
    International Brain Laboratory, `spikeinterface.preprocessing.detect_bad_channels`). Others: a
    deviation far from that of the other channels. Where more than half would be bad, none is: a
    detector that finds nothing good in a recording is more often wrong than right.
    """
    dense = recording.get_num_channels() >= DENSE_PROBE_CHANNELS
    try:
        ids, labels = spre.detect_bad_channels(
            recording if dense else spre.highpass_filter(recording, freq_min=300.0),
            method="coherence+psd" if dense else "mad",
            num_random_chunks=_chunks(recording),
            seed=0,
        )
    except ValueError as error:
        logger.warning("bad channels could not be looked for (%s); all are kept", error)
        return {}
    if len(ids) > LARGEST_BAD_PART * recording.get_num_channels():
        logger.warning(
            "%d of %d channels look bad, which is not believed: all are kept; name those to leave "
            "out in PREPROCESSING if they are bad",
            len(ids),
            recording.get_num_channels(),
        )
        return {}
    by_id = dict(zip(recording.channel_ids, labels, strict=True))
    found = {channel_id: str(by_id[channel_id]) for channel_id in ids}
    for label in sorted(set(found.values())):
        named = [str(channel_id) for channel_id, its in found.items() if its == label]
        logger.info("%d bad channels removed (%s): %s", len(named), label, ", ".join(named))
    return found


def _chunks(recording: si.BaseRecording) -> int:
    """As many chunks of 0.3 s as the recording holds, 100 at the most."""
    seconds = float(np.sum([segment.get_num_samples() for segment in recording.segments]))
    return int(np.clip(seconds / recording.sampling_frequency / 0.3 / 2, 1, 100))
