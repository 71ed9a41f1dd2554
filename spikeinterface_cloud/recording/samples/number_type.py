"""Refuse samples that are read as another type, or in another byte order, than they were written.

Any bytes are integers of any type, so no reader complains, and a sorter sorts noise. Floats may
hold such integers too, times a gain.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from spikeinterface.core import BaseRecording

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.recording.samples.chunks import Traces, constant_channels
from spikeinterface_cloud.recording.samples.units import noise_levels

#: how much less noise there is in the right byte order
LESS_NOISE = 16

#: standard deviation of numbers that fill all 16 bits evenly
EVEN_SPREAD = 2**16 / 12**0.5

#: largest noise, as a part of the range of the type: numbers that fill it evenly have 0.29
LARGEST_PART = 0.19

#: and where this fraction of the samples is at an end of the range
CLIPPED_PART, CLIPPED = 0.1, 0.02

#: fraction of small numbers, in 32 bits, whose upper half is one of two values, at least
FEW_SMALL = 0.5

#: fraction of the samples of a channel that shows a wrong type
MOST = 0.9

#: a wrong type shows in this fraction of the channels at least, and in about a half of them where
#: bytes are halves of samples
MANY_CHANNELS = 0.5
HALF_OF_CHANNELS = (0.25, 0.75)

#: floats that are the upper half of whole numbers in 64 bits are all of about one size ...
ONE_SIZE = 3.0
#: ... and at most this fraction of them is 0, as all of the lower halves are
FEW_ZEROS = 0.2

#: the floats of a channel are at most so many powers of two away from their median, of which no
#: unit of voltage needs more than so many
OCTAVES = 10
LARGEST_EXPONENT = 60

#: largest fraction of floats for which that is true in the wrong byte order, and in the wrong width
MOST_IF_SWAPPED = 0.5
MOST_IF_OTHER_WIDTH = 0.9

#: and smallest one in the right order and in the right width
FEWEST_IF_ORDERED = 0.9
FEWEST_IF_RIGHT_WIDTH = 0.99

#: chunks and channels of floats that are looked at: they take much memory here
MOST_FLOAT_CHUNKS = 10
MOST_FLOAT_CHANNELS = 64

#: largest distance from a whole number of steps, in steps
WHOLE = 0.01

REMEDY = (
    "correct dtype in READ_RECORDING_KWARGS, or export the recording again where the file says it"
)


def check_number_type(recording: BaseRecording, chunks: Sequence[Traces]) -> None:
    """Raise `RecordingError` if samples are of another type than the recording says.

    Parameters
    ----------
    chunks
        excerpts as stored, each of shape (frames, channels)
    """
    if recording.dtype.kind == "f":
        chunks = chunks[:: -(-len(chunks) // MOST_FLOAT_CHUNKS)]
        consecutive = chunks[0].ravel()
        samples = np.concatenate(chunks)
        samples = samples[:, :: -(-samples.shape[1] // MOST_FLOAT_CHANNELS)]
        part = _ordinary_part(samples)
        problem = (
            _are_in_other_order(samples, part)
            or _are_of_other_width(consecutive, part)
            or _are_halves_of_doubles(consecutive)
            or _hold_swapped_integers(samples)
        )
    else:
        problem = (
            _is_swapped(chunks) or _is_of_pairs(chunks) or _is_of_halves(chunks) or _is_full(chunks)
        )
    if problem:
        raise RecordingError(f"the samples are read as {recording.dtype}, but {problem}; {REMEDY}")


def _are_in_other_order(samples: Traces, part: float) -> str | None:
    """Return what is wrong with the order of samples of which `part` has an ordinary size."""
    if part > MOST_IF_SWAPPED or _ordinary_part(samples.byteswap()) < FEWEST_IF_ORDERED:
        return None
    return "they are of an ordinary size in the other byte order only"


def _are_of_other_width(numbers: Traces, part: float) -> str | None:
    """Return what is wrong with the width of consecutive numbers of such samples."""
    other = {4: 8, 8: 4}.get(numbers.itemsize)
    if other is None or part > MOST_IF_OTHER_WIDTH:
        return None
    for first in (0, 1):  # an excerpt may begin in the middle of a wide number
        pairs = numbers[first : first + (len(numbers) - first) // 2 * 2]
        others = pairs.view(f"{numbers.dtype.byteorder}f{other}").reshape(-1, 1)
        if _ordinary_part(others) > FEWEST_IF_RIGHT_WIDTH:
            return f"they are of an ordinary size as floats of {8 * other} bits only"
    return None


def _are_halves_of_doubles(numbers: Traces) -> str | None:
    """Return whether consecutive numbers of 32 bits are halves of whole numbers in 64 bits."""
    if numbers.itemsize != 4:
        return None
    pairs = numbers[: len(numbers) // 2 * 2].reshape(-1, 2)
    zeros = (pairs == 0).mean(axis=0)
    if zeros.max() < 1 or zeros.min() > FEW_ZEROS:
        return None
    sizes = np.abs(pairs[:, zeros.argmin()])
    smallest, largest = np.quantile(
        sizes[sizes > 0], [1 - FEWEST_IF_RIGHT_WIDTH, FEWEST_IF_RIGHT_WIDTH]
    )
    return "they look like halves of floats of 64 bits" if largest < ONE_SIZE * smallest else None


def _ordinary_part(samples: Traces) -> float:
    """Return the fraction of floats, other than 0, of a size that samples of one channel have."""
    is_number = np.isfinite(samples) & (samples != 0)
    exponents = np.where(is_number, np.frexp(samples)[1], np.nan)[:, is_number.any(axis=0)]
    if exponents.size == 0:
        return 0.0
    usual = np.nanmedian(exponents, axis=0)
    near = (np.abs(exponents - usual) <= OCTAVES) & (np.abs(usual) <= LARGEST_EXPONENT)
    return int(near.sum()) / int(np.count_nonzero(samples))


def _hold_swapped_integers(samples: Traces) -> str | None:
    """Return what is wrong with the integers of 16 bits, times a gain, that the floats are.

    With an offset, as unsigned ones have, they are not recognized.
    """
    samples = samples.astype("float64")
    if not np.isfinite(samples).all():
        return None
    in_steps = samples / np.array([_step(channel) for channel in samples.T])
    integers = in_steps.round()
    if integers.min() < -(2**15) or integers.max() >= 2**15:
        return None
    if np.abs(in_steps - integers).max() > WHOLE:
        return None
    numbers = [integers.astype("int16")]
    return _is_swapped(numbers) or _is_full(numbers)


def _step(channel: Traces) -> float:
    """Return the step between the values of a channel, infinity for a constant one."""
    values = np.unique(channel)
    if len(values) == 1:
        return np.inf
    differences: Traces = np.diff(values)
    step = np.float64(np.median(differences[differences < 1.5 * differences.min()]))
    for reach in (2**8, 2**12, 2**16):  # from small values on, as large ones are rounded more
        near = values[np.abs(values) < reach * step]
        integers = (near / step).round()
        if integers.any():
            step = near @ integers / (integers @ integers)
    return float(step)


def _is_swapped(chunks: Sequence[Traces]) -> str | None:
    if chunks[0].dtype.itemsize == 1:
        return None
    lowest_bytes = np.concatenate([(chunk & 0xFF).ravel() for chunk in chunks])
    if np.ptp(lowest_bytes) == 0:  # multiples of 256
        return None
    orders = [[chunk.byteswap() for chunk in chunks]]
    if chunks[0].dtype.kind == "u":  # half the range may have been added to swapped ones
        orders.append([_around_zero(chunk).byteswap() for chunk in chunks])
    if chunks[0].dtype.itemsize > 2 and max(np.abs(chunk).max() for chunk in chunks) < 2**15:
        orders.append([chunk.astype("int16").byteswap() for chunk in chunks])  # widened since
    noise = np.median(noise_levels(chunks))
    if any(np.median(noise_levels(order)) * LESS_NOISE < noise for order in orders):
        return "their noise is far smaller in the other byte order"
    return None


def _around_zero(unsigned: Traces) -> Traces:
    """Return the numbers less half of their range, as signed ones."""
    half = unsigned.dtype.type(1 << (8 * unsigned.dtype.itemsize - 1))
    native = (unsigned ^ half).astype(unsigned.dtype.newbyteorder("="))
    signed: Traces = native.view(native.dtype.str.replace("u", "i"))
    return signed


def _is_of_pairs(chunks: Sequence[Traces]) -> str | None:
    """Return whether 32-bit integers are two integers of 16 bits each."""
    if chunks[0].dtype.itemsize != 4:
        return None
    numbers = np.concatenate([chunk.ravel() for chunk in chunks]).astype("<i4", copy=False)
    lower, upper = numbers.view("<i2").reshape(-1, 2).T
    # around any zero level, small numbers have one or two values there
    _, counts = np.unique(upper, return_counts=True)
    small = np.sort(counts)[-2:].sum() / len(upper)
    spread = float(lower.std())
    if small < FEW_SMALL and 0 < spread < EVEN_SPREAD / LESS_NOISE:
        return "each looks like two samples of 16 bits"
    return None


def _is_of_halves(chunks: Sequence[Traces]) -> str | None:
    """Return whether bytes are halves of wider integers: every other one is then 0 or -1."""
    if chunks[0].dtype.itemsize != 1:
        return None
    samples = np.concatenate(chunks).view("u1")
    at_ends = ((samples == 0) | (samples == 0xFF)).mean(axis=0) > MOST
    fewest, most = HALF_OF_CHANNELS
    if fewest <= (at_ends & ~constant_channels(samples)).mean() <= most:
        return "they look like halves of samples of 16 bits"
    return None


def _is_full(chunks: Sequence[Traces]) -> str | None:
    info = np.iinfo(chunks[0].dtype)
    noise: npt.NDArray[np.float64] = noise_levels(chunks)
    parts = noise / (float(info.max) - float(info.min))
    samples = np.concatenate(chunks)
    at_ends = ((samples == info.min) | (samples == info.max)).mean(axis=0)
    is_full = (parts > LARGEST_PART) | ((parts > CLIPPED_PART) & (at_ends > CLIPPED))
    changing = ~constant_channels(samples)
    if changing.any() and is_full[changing].mean() >= MANY_CHANNELS:
        return "the noise of many channels fills its whole range, as no amplifier's does"
    return None
