"""Amplitude, scaling and location of every spike, in one pass over the recording.

The numbers, parameters and files are those of SpikeInterface's extensions `spike_amplitudes`,
`amplitude_scalings` (without collisions) and `spike_locations` (center of mass). SpikeInterface
fits one spike after the other; here the spikes of a unit in a chunk are one product of matrices.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import spikeinterface as si
from spikeinterface.core import get_channel_distances
from spikeinterface.core.node_pipeline import PipelineNode, SpikeRetriever, run_node_pipeline
from spikeinterface.core.template_tools import get_template_peak_shift_on_main_channel

from spikeinterface_cloud.analysis.add_extension import add_extension

Array = npt.NDArray[Any]

#: SpikeInterface's defaults of the center of mass: its window around a spike, and its channels
CENTER_MS = 0.5
CENTER_RADIUS_UM = 75.0

LOCATION = np.dtype([("x", "float32"), ("y", "float32")])

#: the extensions, and the arrays of each in the order in which a chunk returns them
ARRAYS = {
    "spike_amplitudes": ("amplitudes",),
    "amplitude_scalings": ("amplitude_scalings", "collision_mask"),
    "spike_locations": ("spike_locations",),
}


def compute_spike_features(
    analyzer: si.SortingAnalyzer, parameters: Mapping[str, Mapping[str, Any]]
) -> None:
    """Add the three extensions to an analyzer in a folder that has templates.

    Parameters
    ----------
    parameters
        of each extension of `ARRAYS`
    """
    retriever = SpikeRetriever(analyzer.sorting, analyzer.recording)
    nodes = [retriever, SpikeFeatures(analyzer, retriever)]
    gathered = iter(run_node_pipeline(analyzer.recording, nodes, {}, job_name="spike features"))
    for name, arrays in ARRAYS.items():
        data = {array: next(gathered) for array in arrays}
        add_extension(analyzer, name, parameters[name], data)


class SpikeFeatures(PipelineNode):  # type: ignore[misc]
    """Node of SpikeInterface's pipeline: the arrays of `ARRAYS` for the spikes of a chunk.

    Parameters
    ----------
    analyzer
        sparse, with templates and a recording
    retriever
        of its spikes, in time order
    """

    def __init__(self, analyzer: si.SortingAnalyzer, retriever: SpikeRetriever) -> None:
        recording = analyzer.recording
        super().__init__(recording, return_output=True, parents=[retriever])
        templates = analyzer.get_extension("templates")
        self.before, self.after = templates.nbefore, templates.nafter
        self.center = round(CENTER_MS * recording.sampling_frequency / 1000.0)
        self.shifts = get_template_peak_shift_on_main_channel(analyzer, with_dict=False)
        scaled = analyzer.return_in_uV and recording.has_scaleable_traces()
        self.gains = recording.get_channel_gains() if scaled else None
        self.offsets = recording.get_channel_offsets() if scaled else None
        average = np.asarray(templates.get_data(operator="average"))
        self.channels = [np.flatnonzero(channels) for channels in analyzer.sparsity.mask]
        self.fits = [
            _fit(average[unit][:, channels], channels, self.gains, self.offsets)
            for unit, channels in enumerate(self.channels)
        ]
        near = get_channel_distances(recording) <= CENTER_RADIUS_UM
        self.near = [np.flatnonzero(channels) for channels in near]
        self.places = recording.get_channel_locations().astype("float64")

    def get_margin(self) -> int:
        """Return how many samples before and after a chunk are needed."""
        return int(max(self.before, self.after, self.center, *np.abs(self.shifts)))

    def compute(self, traces: Array, spikes: Array) -> tuple[Array, ...]:
        """Return amplitudes, scalings, collisions (none) and locations of the spikes of a chunk."""
        scalings = np.zeros(len(spikes), dtype="float32")
        locations = np.zeros(len(spikes), dtype=LOCATION)
        samples, units = spikes["sample_index"], spikes["unit_index"]
        for unit, rows in _by_value(units):
            kernel, constant = self.fits[unit]
            found = _snippets(
                traces, samples[rows] - self.before, len(kernel), self.channels[unit]
            ).astype("float32")
            scalings[rows] = found.reshape(len(rows), -1) @ kernel.ravel() + constant
        for channel, rows in _by_value(spikes["channel_index"]):
            near = self.near[channel]
            found = _snippets(traces, samples[rows] - self.center, 2 * self.center, near)
            heights = found.max(axis=1).astype("float64") - found.min(axis=1)
            with np.errstate(invalid="ignore", divide="ignore"):  # flat traces have no center
                centers = heights @ self.places[near] / heights.sum(axis=1)[:, np.newaxis]
            locations["x"][rows], locations["y"][rows] = centers[:, 0], centers[:, 1]
        collisions = np.zeros(len(spikes), dtype=bool)
        return self._amplitudes(traces, spikes), scalings, collisions, locations

    def _amplitudes(self, traces: Array, spikes: Array) -> Array:
        channels = spikes["channel_index"]
        amplitudes: Array = traces[
            spikes["sample_index"] + self.shifts[spikes["unit_index"]], channels
        ]
        if self.gains is None or self.offsets is None:
            return amplitudes
        scaled = amplitudes.astype("float32")
        scaled *= self.gains[channels]
        scaled += self.offsets[channels]
        return scaled


def _fit(
    template: Array, channels: Array, gains: Array | None, offsets: Array | None
) -> tuple[Array, float]:
    """Return the weights and the constant that turn unscaled traces into the slope of their fit.

    Both are zero for a flat template.

    Parameters
    ----------
    template
        samples x channels, in microvolts if there are gains
    """
    centered = template.astype("float64") - template.mean()
    variance = np.vdot(centered, centered)
    if variance == 0.0:
        return np.zeros(template.shape, dtype="float32"), 0.0
    kernel = centered / variance
    if gains is None or offsets is None:
        return kernel.astype("float32"), 0.0
    constant = float((kernel * offsets[channels]).sum())
    return (kernel * gains[channels]).astype("float32"), constant


def _by_value(values: Array) -> list[tuple[int, Array]]:
    """Return each value, and the indices at which it stands."""
    if len(values) == 0:
        return []
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=ordered[0] - 1))
    parts = np.split(order, starts[1:])
    return list(zip(ordered[starts].tolist(), parts, strict=True))


def _snippets(traces: Array, starts: Array, n_samples: int, channels: Array) -> Array:
    """Return the traces of these channels from each start, spikes x samples x channels.

    Neighbors are mostly numbered one after the other: a block with a few others between them is
    copied faster than single channels.
    """
    first, last = int(channels[0]), int(channels[-1]) + 1
    window = np.lib.stride_tricks.sliding_window_view(traces[:, first:last], n_samples, axis=0)
    if last - first <= 2 * len(channels):
        blocks: Array = window.transpose(0, 2, 1)[starts]
        return blocks if last - first == len(channels) else blocks[:, :, channels - first]
    chosen: Array = window[starts[:, np.newaxis], channels - first]
    return chosen.transpose(0, 2, 1)
