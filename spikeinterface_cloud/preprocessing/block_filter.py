"""Filter traces forward and backward as `scipy.signal.sosfiltfilt` does, by multiplying matrices.

A recursive filter is linear: a block of its output, and its state after the block, are the block of
its input and its state before it, times a matrix. So all channels of a block are filtered by one
matrix product, which takes a third of the time of the recursion sample by sample.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.signal import sosfilt, sosfilt_zi

from spikeinterface_cloud.preprocessing.arrays import copy_by_rows

#: samples; a longer block takes more multiplications, a shorter one more calls
BLOCK = 32

#: of the states of a filter that is computed in 32 bits, and what a block leaves of a state: errors
#: would add up in slow filters
LARGEST_CONDITION = 1e9
LARGEST_REST = 0.95

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Matrices:
    #: from (input of a block, state before it) to (output, state after it)
    transition: Floats
    #: the state after an endless input of one, of shape (states, 1)
    steady: Floats

    def reversed(self) -> "_Matrices":
        """Return both for blocks whose samples run backward."""
        order = np.r_[np.arange(BLOCK)[::-1], BLOCK : len(self.transition)]
        return _Matrices(transition=self.transition[np.ix_(order, order)], steady=self.steady)


class BlockFilter:
    """A filter of second-order sections, applied forward and backward.

    Parameters
    ----------
    sos
        sections, of shape (n_sections, 6), as `scipy.signal.iirfilter` returns them
    """

    def __init__(self, sos: Floats) -> None:
        sections = np.asarray(sos, dtype="float64")
        n_states = 2 * len(sections)
        cancelled = min(int((sections[:, 2] == 0).sum()), int((sections[:, 5] == 0).sum()))
        #: samples by which scipy prolongs the traces at each end
        self.n_edge = 3 * (2 * len(sections) + 1 - cancelled)
        exact = _Matrices(
            transition=_transition(sections), steady=sosfilt_zi(sections).reshape(n_states, 1)
        )
        self._matrices: dict[np.dtype[Any], _Matrices] = {np.dtype("float64"): exact}
        conditioned = _well_conditioned(exact)
        if conditioned is not None:
            self._matrices[np.dtype("float32")] = conditioned

    def apply(self, traces: Array, dtype: type[np.floating] = np.float64) -> Array:
        """Return the filtered traces.

        Parameters
        ----------
        traces
            of shape (samples, channels)
        dtype
            in which they are computed: `float32` takes half the time, and differs by about a
            millionth of the largest input; it is `float64` for filters that do not allow this

        Raises
        ------
        ValueError
            if there are no more samples than scipy prolongs the traces by
        """
        n_samples, n_edge = len(traces), self.n_edge
        precision = np.dtype(dtype) if np.dtype(dtype) in self._matrices else np.dtype("float64")
        matrices = self._matrices[precision]
        if n_samples <= n_edge:
            raise ValueError(
                f"the length of the input, {n_samples}, must be greater than the padding, {n_edge}"
            )
        # a block more at each end, as the last block is seldom a whole one
        start, end = BLOCK, BLOCK + n_samples + 2 * n_edge
        buffer = np.empty((end + BLOCK, traces.shape[1]), precision)
        buffer[:start] = buffer[end:] = 0
        inner = slice(start + n_edge, end - n_edge)
        copy_by_rows(traces, buffer[inner])
        first, last = buffer[inner.start].copy(), buffer[inner.stop - 1].copy()
        buffer[start : inner.start] = (
            2 * first - buffer[inner.start + 1 : inner.start + 1 + n_edge][::-1]
        )
        buffer[inner.stop : end] = 2 * last - buffer[inner.stop - 1 - n_edge : inner.stop - 1][::-1]
        blocks = [buffer[at : at + BLOCK] for at in range(start, end, BLOCK)]
        _run(matrices, blocks, buffer[start].copy())
        blocks = [buffer[at - BLOCK : at] for at in range(end, start, -BLOCK)]
        _run(matrices.reversed(), blocks, buffer[end - 1].copy())
        return buffer[inner]


def _run(matrices: _Matrices, blocks: Sequence[Array], first: Array) -> None:
    """Filter the blocks one after the other, in place, as if the first sample came always."""
    transition = np.ascontiguousarray(matrices.transition, first.dtype)
    before = np.empty((len(transition), len(first)), first.dtype)
    after = np.empty_like(before)
    before[BLOCK:] = matrices.steady * first
    for block in blocks:
        before[:BLOCK] = block
        np.matmul(transition, before, out=after)
        block[:] = after[:BLOCK]
        before[BLOCK:] = after[BLOCK:]


def _transition(sections: Floats) -> Floats:
    """Return the matrix from (input of a block, state before) to (output, state after).

    Its columns are the answers to a one in each place.
    """
    n_states = 2 * len(sections)
    size = BLOCK + n_states
    inputs = np.eye(size, BLOCK)
    states = np.eye(size, n_states, -BLOCK).reshape(size, len(sections), 2).swapaxes(0, 1)
    outputs, after = sosfilt(sections, inputs, axis=1, zi=np.ascontiguousarray(states))
    return np.ascontiguousarray(
        np.concatenate([outputs, after.swapaxes(0, 1).reshape(size, n_states)], axis=1).T
    )


def _well_conditioned(exact: _Matrices) -> _Matrices | None:
    """Return both for a state that is as large as the output it causes, None for slow filters.

    The states of scipy's sections are large numbers whose small differences matter, which 32 bits
    do not keep.
    """
    # a section of first order has a second state that stays zero
    kept = np.r_[:BLOCK, BLOCK + np.flatnonzero(exact.transition[BLOCK:].any(axis=1))]
    transition = exact.transition[np.ix_(kept, kept)]
    _, basis = np.linalg.qr(transition[:BLOCK, BLOCK:])
    rest = np.abs(np.linalg.eigvals(transition[BLOCK:, BLOCK:])).max()
    if np.linalg.cond(basis) > LARGEST_CONDITION or rest > LARGEST_REST:
        return None
    before, after = np.eye(len(kept)), np.eye(len(kept))
    before[BLOCK:, BLOCK:] = np.linalg.inv(basis)
    after[BLOCK:, BLOCK:] = basis
    return _Matrices(
        transition=after @ transition @ before,
        steady=basis @ exact.steady[kept[BLOCK:] - BLOCK],
    )
