"""The stretches between the jumps of a clock, without pulses that are late or matched by chance."""

import numpy as np
import numpy.typing as npt
from scipy.ndimage import median_filter

from spikeinterface_cloud.recording.sync.pulses import Seconds

#: how far the drift may change while there are no pulses, where all that counts is which is which
DRIFT_CHANGE = 20e-6

#: how far two crystals drift apart by their temperature: what is more is a jump
WARMING = 5e-6

#: a pulse that is later or earlier than its neighbors say is not used
OUTLIER_S = 0.0003

#: a smaller jump is followed like drift
JUMP_S = 0.00015

#: pulses between jumps; fewer are taken for late pulses
MIN_STRETCH = 3

#: pulses between a jump and one back; fewer have been matched to others by chance
MIN_EXCURSION = 30


def continuous(
    own_s: Seconds, offset_s: Seconds
) -> tuple[Seconds, Seconds, list[npt.NDArray[np.int64]]]:
    """Return the pulses that are neither late nor early, and their stretches without a jump."""
    while True:
        steady = offset_s - median_slope(own_s, offset_s) * own_s
        smooth = median_filter(steady, 7, mode="nearest")
        error = np.abs(steady - smooth)
        noise_s = 1.4826 * float(np.median(error))
        kept = error < max(OUTLIER_S, 6 * noise_s)
        change = np.abs(np.diff(smooth[kept]))
        allowed = max(JUMP_S, 6 * noise_s) + WARMING * np.diff(own_s[kept])
        stretches = np.split(np.arange(len(change) + 1), np.flatnonzero(change > allowed) + 1)
        own_s, offset_s, smooth = own_s[kept], offset_s[kept], smooth[kept]
        lasting = [
            each
            for number, each in enumerate(stretches)
            if len(each) >= MIN_STRETCH and not _is_chance(number, stretches, own_s, smooth)
        ]
        if len(lasting) == len(stretches):
            return own_s, offset_s, stretches
        if not lasting:
            return own_s, offset_s, [np.arange(len(own_s))]
        remaining = np.concatenate(lasting)
        own_s, offset_s = own_s[remaining], offset_s[remaining]


def _is_chance(
    number: int, stretches: list[npt.NDArray[np.int64]], own_s: Seconds, smooth: Seconds
) -> bool:
    """Return whether a few pulses lie apart from those before and after, which fit each other."""
    if number in (0, len(stretches) - 1) or len(stretches[number]) >= MIN_EXCURSION:
        return False
    before, after = stretches[number - 1][-1], stretches[number + 1][0]
    apart_s = abs(smooth[after] - smooth[before])
    return bool(apart_s < JUMP_S + WARMING * (own_s[after] - own_s[before]))


def median_slope(own_s: Seconds, offset_s: Seconds) -> float:
    """Return the drift of an offset that jumps now and then."""
    lag = min(10, len(own_s) - 1)
    return float(np.median((offset_s[lag:] - offset_s[:-lag]) / (own_s[lag:] - own_s[:-lag])))
