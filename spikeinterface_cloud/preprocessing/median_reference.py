"""Subtract a common median from traces, as SpikeInterface's `common_reference` does."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from spikeinterface_cloud.preprocessing.arrays import fit_to

Array = npt.NDArray[Any]
Channels = npt.NDArray[np.intp]

#: rows that stay in the cache while they are sorted
N_ROWS = 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class MedianReference:
    """Which channels are referenced to the median of which."""

    #: whose median is subtracted from every channel; not used with `groups`
    reference: Channels | slice
    #: channels, and those whose median is subtracted from them; the others become zero
    groups: Sequence[tuple[Channels, Channels]] | None

    def apply(self, traces: Array, wanted: Channels | slice, dtype: np.dtype[Any]) -> Array:
        """Return the wanted channels after the median was subtracted.

        Parameters
        ----------
        traces
            of shape (samples, channels), of int16 or float32
        dtype
            of the result; int16 saturates, rounded as SpikeInterface rounds
        """
        result = np.empty((len(traces), np.arange(traces.shape[1])[wanted].size), dtype)
        for start in range(0, len(traces), N_ROWS):
            rows = traces[start : start + N_ROWS].astype("float32", copy=False)
            values = self._subtract(rows)[:, wanted]
            # with groups, SpikeInterface cuts off the half of a median
            result[start : start + N_ROWS] = fit_to(dtype, values, rounded=self.groups is None)
        return result

    def _subtract(self, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        if self.groups is None:
            return rows - row_medians(rows[:, self.reference])
        referenced = np.zeros_like(rows)
        for members, reference in self.groups:
            referenced[:, members] = rows[:, members] - row_medians(rows[:, reference])
        return referenced


def row_medians(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the median of each row, of shape (rows, 1), as `numpy.median` does.

    Sorting, which numpy vectorizes, takes a quarter of the time of its search for the middle.
    """
    ordered = np.sort(rows, axis=1)
    middle = ordered.shape[1] // 2
    medians = ordered[:, middle : middle + 1].copy()
    if ordered.shape[1] % 2 == 0:
        medians = (medians + ordered[:, middle - 1 : middle]) / np.float32(2)
    missing = np.isnan(ordered[:, -1])  # they are sorted to the end
    medians[missing] = np.nan
    return medians
