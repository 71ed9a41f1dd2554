"""SpikeInterface's analyzer extensions, with their parameters and order.

They are those that curation tools use. Each is chosen so that memory is bounded by units and
channels rather than by the length of the recording, spike times and amplitudes aside.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import spikeinterface as si
from threadpoolctl import threadpool_limits

from spikeinterface_cloud.analysis.add_extension import add_extension
from spikeinterface_cloud.analysis.component_metrics import component_metrics
from spikeinterface_cloud.analysis.noise_levels import compute_noise_levels
from spikeinterface_cloud.analysis.principal_components import compute_principal_components
from spikeinterface_cloud.analysis.spike_features import compute_spike_features
from spikeinterface_cloud.runtime.disk import NoRoom
from spikeinterface_cloud.runtime.host import free_disk_bytes
from spikeinterface_cloud.runtime.logging import format_bytes, part

logger = logging.getLogger(__name__)

Extensions = Mapping[str, Mapping[str, Any]]

#: a bounded number of spikes a unit, so that memory does not grow with the recording
TEMPLATES: Extensions = {
    "random_spikes": {"max_spikes_per_unit": 500, "seed": 0},
    "noise_levels": {"random_slices_kwargs": {"seed": 0}},
    "waveforms": {"ms_before": 1.0, "ms_after": 2.0},
    "templates": {"operators": ["average", "std"]},
}

#: of a 32-bit float
WAVEFORM_VALUE_BYTES = 4

#: of every spike; all in one pass over the recording. Fitting spikes that overlap together would
#: take seven times as long, an hour of CPU for ten million of them.
SPIKES: Extensions = {
    "spike_amplitudes": {},
    "amplitude_scalings": {"handle_collisions": False},
    "spike_locations": {"method": "center_of_mass"},
}

#: of units and pairs of units
UNITS: Extensions = {
    "unit_locations": {"method": "monopolar_triangulation"},
    "correlograms": {},
    "isi_histograms": {},
}

#: one basis for all channels, as that takes a quarter of the time of one a channel
N_COMPONENTS = 5
PRINCIPAL_COMPONENTS: Extensions = {
    "principal_components": {"n_components": N_COMPONENTS, "mode": "by_channel_global"},
}

#: those of SpikeInterface's metrics that need neither principal components, nor (like synchrony)
#: a program that takes longer to compile than to run
METRICS = [
    "num_spikes",
    "firing_rate",
    "presence_ratio",
    "snr",
    "isi_violation",
    "rp_violation",
    "sliding_rp_violation",
    "amplitude_cutoff",
    "amplitude_median",
    "amplitude_cv",
    "firing_range",
    "noise_cutoff",
    "drift",
    "sd_ratio",
]

#: nearest neighbors are left out, which take three times as long as these together
COMPONENT_METRICS = ["mahalanobis", "d_prime", "silhouette"]

#: a job that is repeated gives the same numbers
METRIC_PARAMETERS = {"sd_ratio": {"random_slices_kwargs": {"seed": 0}}}

#: every extension, each after those that it depends on
EXTENSIONS: Extensions = {
    **TEMPLATES,
    **SPIKES,
    **UNITS,
    "template_similarity": {},
    **PRINCIPAL_COMPONENTS,
    "template_metrics": {},
    "quality_metrics": {
        "metric_names": [*METRICS, *COMPONENT_METRICS],
        "metric_params": METRIC_PARAMETERS,
    },
}


def compute_templates(analyzer: si.SortingAnalyzer) -> None:
    """Sample the waveforms of each unit, and average them.

    Raises
    ------
    NoRoom
        if the disk of the analyzer's folder is too small for the waveforms
    """
    with part("waveforms and templates"):
        noise = TEMPLATES["noise_levels"]
        compute_noise_levels(analyzer, noise["random_slices_kwargs"])
        analyzer.compute("random_spikes", **TEMPLATES["random_spikes"], verbose=False)
        _check_room(analyzer)
        others = {name: TEMPLATES[name] for name in ("waveforms", "templates")}
        analyzer.compute(others, verbose=False)


def _check_room(analyzer: si.SortingAnalyzer) -> None:
    """Refuse a disk that is too small for the waveforms.

    They are written to mapped memory: where the disk is full, that kills the process with SIGBUS.
    """
    window = TEMPLATES["waveforms"]
    n_samples = (window["ms_before"] + window["ms_after"]) * analyzer.sampling_frequency / 1000.0
    n_channels = int(analyzer.sparsity.mask.sum(axis=1).max())
    needed = int(_sampled_spikes(analyzer).sum() * n_samples * n_channels * WAVEFORM_VALUE_BYTES)
    free = free_disk_bytes(Path(analyzer.folder))
    if free < needed:
        raise NoRoom(
            f"{analyzer.folder}: the sampled waveforms take {format_bytes(needed)}, and only "
            f"{format_bytes(free)} are free"
        )


def compute_extensions(analyzer: si.SortingAnalyzer) -> None:
    """Compute all extensions after the templates.

    Metrics that ask for microvolts are left out where the recording has none, and those that ask
    for principal components where no unit has enough spikes for any.
    """
    with part("amplitudes and locations of spikes"):
        compute_spike_features(analyzer, SPIKES)
    with part("locations, similarity and correlograms of units"):
        analyzer.compute(dict(UNITS), verbose=False)
        compute_template_similarity(analyzer)
    has_components = _has_spikes_for_components(analyzer)
    if has_components:
        with part("principal components"), threadpool_limits(1):  # of small matrices
            compute_principal_components(analyzer, N_COMPONENTS)
    with part("metrics"):
        if analyzer.return_in_uV:
            analyzer.compute("template_metrics", verbose=False)
        else:
            logger.info("no template metrics: they are defined in microvolts, and there is no gain")
        _compute_metrics(analyzer, [*METRICS])
        if has_components:
            with threadpool_limits(1):
                _add_component_metrics(analyzer)


def _compute_metrics(analyzer: si.SortingAnalyzer, names: list[str]) -> None:
    """Compute these quality metrics with SpikeInterface."""
    analyzer.compute(
        "quality_metrics", metric_names=names, metric_params=METRIC_PARAMETERS, verbose=False
    )


def _add_component_metrics(analyzer: si.SortingAnalyzer) -> None:
    """Join the metrics of principal components to the quality metrics."""
    computed = analyzer.get_extension("quality_metrics")
    table = computed.get_data().join(component_metrics(analyzer))
    parameters = {
        "metric_names": [*METRICS, *COMPONENT_METRICS],
        "metric_params": METRIC_PARAMETERS,
    }
    data = {"metrics": table, "runtime_s": computed.data["runtime_s"]}
    add_extension(analyzer, "quality_metrics", parameters, data)


def compute_template_similarity(analyzer: si.SortingAnalyzer) -> None:
    """Add the extension `template_similarity` with its default parameters.

    SpikeInterface compiles a program for it first, which takes 10 to 20 seconds of CPU in every
    job. The templates of a sparse analyzer are zero outside their unit's channels, so that one
    product of matrices gives the same numbers.
    """
    templates = analyzer.get_extension("templates").get_data(operator="average")
    similarity = cosine_similarity(templates)
    add_extension(analyzer, "template_similarity", {}, {"similarity": similarity})


def cosine_similarity(templates: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return the cosine of the angle between each two templates, and 0 for a flat one.

    Parameters
    ----------
    templates
        units x samples x channels, zero outside the channels of the unit
    """
    flat = templates.reshape(len(templates), -1).astype("float64")
    norms = np.linalg.norm(flat, axis=1)
    flat /= np.where(norms > 0, norms, 1.0)[:, np.newaxis]
    return np.asarray(flat @ flat.T, dtype="float32")


def _has_spikes_for_components(analyzer: si.SortingAnalyzer) -> bool:
    """Return whether any unit has at least as many waveforms as there are components."""
    n_waveforms = _sampled_spikes(analyzer) * analyzer.sparsity.mask.sum(axis=1)
    if n_waveforms.max() >= N_COMPONENTS:
        return True
    logger.info("no principal components: every unit has too few spikes")
    return False


def _sampled_spikes(analyzer: si.SortingAnalyzer) -> npt.NDArray[np.int64]:
    """Return the number of sampled waveforms of each unit."""
    spikes = analyzer.get_extension("random_spikes").get_random_spikes()
    return np.bincount(spikes["unit_index"], minlength=analyzer.get_num_units())
