"""Principal components of the sampled waveforms, one basis for all channels.

The numbers are those of SpikeInterface's extension `principal_components` in the mode
`by_channel_global`, which fits scikit-learn's IncrementalPCA to one unit after the other. Each of
these fits is a singular value decomposition of thousands of rows; here it is one of their product
with themselves, samples x samples, which has the same right vectors.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import spikeinterface as si

from spikeinterface_cloud.analysis.add_extension import add_extension

Array = npt.NDArray[Any]

#: waveforms that are projected at once, which bounds memory
ROWS_AT_ONCE = 5000


def compute_principal_components(analyzer: si.SortingAnalyzer, n_components: int) -> None:
    """Add the extension, without the model that it comes from.

    The model would be kept as a pickle, which zarr's codecs refuse to read for safety: with it
    nobody could open the analyzer.

    Parameters
    ----------
    analyzer
        sparse, with waveforms, one unit of which has so many snippets at least
    """
    waveforms = analyzer.get_extension("waveforms").get_data()
    units = analyzer.get_extension("random_spikes").get_random_spikes()["unit_index"]
    n_channels = analyzer.sparsity.mask.sum(axis=1)
    mean, components = fit(_snippets_by_unit(waveforms, units, n_channels), n_components)
    projections = np.zeros((len(waveforms), n_components, waveforms.shape[2]), dtype="float32")
    for start in range(0, len(waveforms), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        block = components @ (waveforms[rows] - mean[:, np.newaxis])
        used = np.arange(block.shape[2]) < n_channels[units[rows], np.newaxis]
        projections[rows] = np.where(used[:, np.newaxis, :], block, 0.0)
    parameters: Mapping[str, Any] = {"n_components": n_components, "mode": "by_channel_global"}
    add_extension(analyzer, "principal_components", parameters, {"pca_projection": projections})


def _snippets_by_unit(waveforms: Array, units: Array, n_channels: Array) -> Iterator[Array]:
    """Yield the waveforms of each unit on each of its channels, snippets x samples."""
    order = np.argsort(units, kind="stable")
    ends = np.cumsum(np.bincount(units, minlength=len(n_channels)))
    for rows, n_used in zip(np.split(order, ends[:-1]), n_channels, strict=True):
        found = waveforms[rows][:, :, :n_used]
        yield found.transpose(0, 2, 1).reshape(-1, found.shape[1])


def fit(batches: Iterator[Array], n_components: int) -> tuple[Array, Array]:
    """Return the mean, (n_samples,), and the whitened components, (n_components, n_samples).

    Each batch, snippets x samples, is joined to the best basis of those before it, as
    scikit-learn's `IncrementalPCA.partial_fit` does; one with fewer snippets than components is
    left out.
    """
    n_seen, mean, scatter = 0, np.zeros(1), np.zeros((1, 1))
    components, strongest = np.zeros((n_components, 1)), np.zeros(n_components)
    for batch in batches:
        n_new = len(batch)
        if n_new < n_components:
            continue
        mean_new = batch.mean(axis=0, dtype="float64")
        centered = batch.astype("float32") - mean_new.astype("float32")
        shift = mean - mean_new
        scatter = scatter + (centered.T @ centered).astype("float64")
        scatter += n_seen * n_new / (n_seen + n_new) * np.outer(shift, shift)
        variances, vectors = np.linalg.eigh(scatter)
        components = _with_signs(vectors[:, : -n_components - 1 : -1].T)
        strongest = np.maximum(variances[: -n_components - 1 : -1], 0.0)
        scatter = (components.T * strongest) @ components
        mean = mean + (mean_new - mean) * n_new / (n_seen + n_new)
        n_seen += n_new
    deviations = np.maximum(np.sqrt(strongest / (n_seen - 1)), np.finfo("float32").eps)
    whitened = components / deviations[:, np.newaxis]
    return mean.astype("float32"), whitened.astype("float32")


def _with_signs(components: Array) -> Array:
    """Return them with the largest value of each positive, as scikit-learn does."""
    largest = np.abs(components).argmax(axis=1)
    signs = np.sign(components[np.arange(len(components)), largest])
    return np.asarray(components * signs[:, np.newaxis])
