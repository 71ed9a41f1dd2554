"""Samples that are broken before a layout writes them."""

import numpy as np

from tools.zoo.specimen import Breakage
from tools.zoo.truth import RATE_HZ


def _without_samples(samples: np.ndarray) -> np.ndarray:
    return samples[:0]


def _one_sample(samples: np.ndarray) -> np.ndarray:
    return samples[:1]


def _half_a_second(samples: np.ndarray) -> np.ndarray:
    return samples[: int(RATE_HZ / 2) // 1024 * 1024]


def _without_channels(samples: np.ndarray) -> np.ndarray:
    return samples[:, :0]


def _all_zero(samples: np.ndarray) -> np.ndarray:
    return np.zeros_like(samples)


def _one_zero_channel(samples: np.ndarray) -> np.ndarray:
    changed = samples.copy()
    changed[:, 6] = 0  # no neuron is there
    return changed


def _nan(samples: np.ndarray) -> np.ndarray:
    changed = samples.astype("float32")
    changed[len(changed) // 2, 3] = np.nan
    return changed


def _infinity(samples: np.ndarray) -> np.ndarray:
    changed = samples.astype("float32")
    changed[-1, 0] = np.inf
    return changed


def _swapped_bytes(samples: np.ndarray) -> np.ndarray:
    return samples.byteswap()


BROKEN_SAMPLES = (
    Breakage(name="no samples", samples=_without_samples),
    Breakage(name="one sample", samples=_one_sample),
    Breakage(name="half a second", samples=_half_a_second),
    Breakage(name="no channels", samples=_without_channels),
    Breakage(name="all samples 0", samples=_all_zero),
    Breakage(name="one channel 0", samples=_one_zero_channel, harmless=True),
    Breakage(name="NaN", samples=_nan),
    Breakage(name="infinity", samples=_infinity),
    Breakage(name="bytes in the wrong order", samples=_swapped_bytes, integers_only=True),
)
