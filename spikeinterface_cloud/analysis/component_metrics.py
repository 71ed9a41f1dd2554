"""Metrics of principal components: how well each unit is separated from those beside it.

They are SpikeInterface's `mahalanobis`, `d_prime` and `silhouette`. SpikeInterface copies the
components of all units and of their neighbors before it computes the first; here they are those of
one unit at a time. The discriminant of `d_prime` comes from the covariance within the two
classes, where SpikeInterface decomposes all of their spikes.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import spikeinterface as si
from spikeinterface.metrics.quality.pca_metrics import (
    mahalanobis_metrics,
    simplified_silhouette_score,
)

Array = npt.NDArray[Any]

#: names of the metrics, and the columns that they have in a table
COLUMNS = ("isolation_distance", "l_ratio", "d_prime", "silhouette")

#: scikit-learn's: a direction in which scaled data have a smaller deviation is left out
LEAST_DEVIATION = 1e-4


def component_metrics(analyzer: si.SortingAnalyzer) -> pd.DataFrame:
    """Return a line a unit with the columns of `COLUMNS`; NaN where there is nothing to compare.

    A unit is compared with those whose main channel is one of its own, on its own channels.

    Parameters
    ----------
    analyzer
        sparse, with principal components by channel
    """
    units = analyzer.get_extension("random_spikes").get_random_spikes()["unit_index"]
    projections = analyzer.get_extension("principal_components").get_data()
    projections = projections[np.argsort(units, kind="stable")]
    counts = np.bincount(units, minlength=analyzer.get_num_units())
    ends = np.cumsum(counts)
    mask = analyzer.sparsity.mask
    main = analyzer.get_main_channels(outputs="index", with_dict=False)
    rows = []
    for unit in range(len(mask)):
        neighbors = np.flatnonzero(mask[unit][main])
        parts = [
            _aligned(
                projections[ends[other] - counts[other] : ends[other]], mask[other], mask[unit]
            )
            for other in neighbors
        ]
        features = np.concatenate(parts)
        labels = np.repeat(neighbors, counts[neighbors])
        rows.append(_separation(features, labels, unit))
    return pd.DataFrame(rows, index=analyzer.unit_ids, columns=list(COLUMNS), dtype="float64")


def _aligned(projections: Array, own: Array, wanted: Array) -> Array:
    """Return projections, spikes x components x channels of `own`, as features on other channels.

    Channels that a unit does not have are zero.
    """
    n_spikes, n_components = projections.shape[:2]
    aligned = np.zeros((n_spikes, n_components, wanted.sum()), dtype=projections.dtype)
    common = own & wanted
    aligned[:, :, common[wanted]] = projections[:, :, np.flatnonzero(common[own])]
    return aligned.reshape(n_spikes, -1)


def _separation(features: Array, labels: Array, unit: int) -> tuple[float, ...]:
    """Return the metrics of one unit, spikes x features and the unit of each spike."""
    own = labels == unit
    if own.all() or not own.any():
        return (np.nan,) * len(COLUMNS)
    try:
        isolation_distance, l_ratio = mahalanobis_metrics(features, labels, unit)
    except Exception:  # SpikeInterface has no number either where its function fails
        isolation_distance, l_ratio = np.nan, np.nan
    silhouette = simplified_silhouette_score(features, labels, unit)
    return isolation_distance, l_ratio, d_prime(features[own], features[~own]), silhouette


def d_prime(spikes: Array, others: Array) -> float:
    """Return the distance of two classes along their linear discriminant, in deviations.

    Parameters
    ----------
    spikes, others
        spikes x features
    """
    n_spikes, n_others = len(spikes), len(others)
    mean, mean_others = (each.mean(axis=0, dtype="float64") for each in (spikes, others))
    centered, centered_others = spikes - mean, others - mean_others
    scatter, scatter_others = centered.T @ centered, centered_others.T @ centered_others
    within = (scatter + scatter_others) / (n_spikes + n_others)
    deviations = np.sqrt(np.diag(within))
    deviations[deviations == 0] = 1.0
    variances, directions = np.linalg.eigh(within / np.outer(deviations, deviations))
    kept = variances > LEAST_DEVIATION**2
    scaled = directions[:, kept].T @ ((mean - mean_others) / deviations)
    axis = directions[:, kept] @ (scaled / variances[kept]) / deviations
    variance = axis @ scatter @ axis / n_spikes + axis @ scatter_others @ axis / n_others
    with np.errstate(invalid="ignore", divide="ignore"):  # of two single spikes
        return float(np.divide(axis @ (mean - mean_others), np.sqrt(variance / 2.0)))
