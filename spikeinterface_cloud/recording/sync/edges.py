"""Edges of digital words and of thresholded signals, found chunk by chunk."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Frames = npt.NDArray[np.int64]

#: bits of a word
WORD_BITS = 16

#: a line that rises more often is left out: nothing is connected to it, and it picks up noise
MAX_RISES = 5_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Edges:
    """When a line rose and fell: the first frame of the new state."""

    rising: Frames
    falling: Frames
    #: whether the line was high in the first frame
    high_at_start: bool = False

    @property
    def high_at_end(self) -> bool:
        """Whether the line was high in the last frame."""
        return self.high_at_start + len(self.rising) > len(self.falling)


#: of a line that stayed low
NO_EDGES = Edges(rising=np.empty(0, dtype="int64"), falling=np.empty(0, dtype="int64"))


@dataclass(kw_only=True, slots=True)
class _Bit:
    rising: list[Frames] = field(default_factory=list)
    falling: list[Frames] = field(default_factory=list)
    n_rises: int = 0


def find_edges(
    chunks: Iterable[npt.NDArray[np.uint16]], max_rises: int = MAX_RISES
) -> tuple[dict[int, Edges], list[int]]:
    """Return the edges of every line that changed or was high, and the lines that were left out.

    Line 16 is the lowest bit of the second word.

    Parameters
    ----------
    chunks
        words in order, each of shape (frames, words)
    max_rises
        a line that rises more often is left out

    Returns
    -------
    edges
        by line; a line that stayed low is missing
    left_out
        lines that rose too often
    """
    bits: defaultdict[int, _Bit] = defaultdict(_Bit)
    left_out: set[int] = set()
    first: npt.NDArray[np.uint16] | None = None
    last: npt.NDArray[np.uint16] | None = None
    start = 0
    for chunk in chunks:
        if not len(chunk):
            continue
        if last is None:
            first = last = chunk[0]
        for line, rising, falling in _edges_of_chunk(last, chunk):
            bit = bits[line]
            bit.n_rises += len(rising)
            if line in left_out or bit.n_rises > max_rises:
                left_out.add(line)
                bits[line] = _Bit(n_rises=bit.n_rises)
                continue
            bit.rising.append(rising + start)
            bit.falling.append(falling + start)
        last, start = chunk[-1], start + len(chunk)
    high = set() if first is None else set(_lines_of(first))
    edges = {
        line: Edges(
            rising=_joined(bits[line].rising),
            falling=_joined(bits[line].falling),
            high_at_start=line in high,
        )
        for line in sorted(high | set(bits))
        if line not in left_out
    }
    return edges, sorted(left_out)


def _edges_of_chunk(
    last: npt.NDArray[np.uint16], chunk: npt.NDArray[np.uint16]
) -> Iterator[tuple[int, Frames, Frames]]:
    """Yield each line that changes, and the frames in the chunk where it is newly high or low."""
    for word in range(chunk.shape[1]):
        values = chunk[:, word]
        changes = np.bitwise_xor(values, np.concatenate([last[word : word + 1], values[:-1]]))
        frames = np.flatnonzero(changes)
        changes, values = changes[frames], values[frames]
        for bit in _bits_of(int(np.bitwise_or.reduce(changes, initial=0))):
            mask = np.uint16(1 << bit)
            changed, high = (changes & mask) != 0, (values & mask) != 0
            yield word * WORD_BITS + bit, frames[changed & high], frames[changed & ~high]


def _lines_of(words: npt.NDArray[np.uint16]) -> Iterator[int]:
    for number, word in enumerate(words):
        yield from (number * WORD_BITS + bit for bit in _bits_of(int(word)))


def _bits_of(word: int) -> list[int]:
    return [bit for bit in range(WORD_BITS) if word >> bit & 1]


def _joined(parts: list[Frames]) -> Frames:
    return np.concatenate(parts) if parts else np.empty(0, dtype="int64")


class HysteresisThreshold:
    """Makes a digital line of a signal, chunk by chunk.

    The line is high from where the signal reaches `rise_at` until it is down at `fall_at`; before
    the signal has been beyond either of them, it is low.
    """

    def __init__(self, rise_at: float, fall_at: float) -> None:
        self.rise_at, self.fall_at = rise_at, fall_at
        self._is_high = False

    def __call__(self, signal: npt.NDArray[np.int16]) -> npt.NDArray[np.bool_]:
        """Return whether the line is high in each frame of the next chunk."""
        above = signal >= self.rise_at
        decided = np.flatnonzero(above | (signal <= self.fall_at))
        if not len(decided):
            return np.full(len(signal), self._is_high)
        states = np.concatenate([[self._is_high], above[decided]])
        lengths = np.diff(np.concatenate([[0], decided, [len(signal)]]))
        self._is_high = bool(states[-1])
        return np.repeat(states, lengths)
