"""From a sorting to what can be judged: templates, amplitudes, locations, quality metrics.

The analyzer is computed in a folder on scratch, whose arrays are mapped rather than held in memory,
and saved as zarr into the results when it is complete.
"""

import logging
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import spikeinterface as si

from spikeinterface_cloud.sorting import SorterRun

logger = logging.getLogger(__name__)

#: SpikeInterface's analyzer extensions, each after those that it needs
EXTENSIONS: dict[str, dict[str, Any]] = {
    "random_spikes": {"max_spikes_per_unit": 500, "seed": 0},
    "noise_levels": {"random_slices_kwargs": {"seed": 0}},
    "waveforms": {"ms_before": 1.0, "ms_after": 2.0},
    "templates": {"operators": ["average", "std"]},
    "spike_amplitudes": {},
    "spike_locations": {"method": "center_of_mass"},
    "unit_locations": {"method": "monopolar_triangulation"},
    "template_similarity": {},
    "correlograms": {},
    "isi_histograms": {},
    "quality_metrics": {
        "metric_names": [
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
            "sd_ratio",
        ]
    },
}


@dataclass(frozen=True, kw_only=True, slots=True)
class AnalysisFolders:
    """Where the analyzer is computed, and where it and its tables are kept."""

    #: on scratch: emptied before and after
    scratch: Path
    #: in the results: `analyzer.zarr`, `quality_metrics.csv`
    results: Path


def analyse(
    run: SorterRun,
    sorting: si.BaseSorting,
    recording: si.BaseRecording,
    folders: AnalysisFolders,
) -> SorterRun:
    """Compute what a curation tool expects of this sorting, and save it with the sorting.

    Parameters
    ----------
    sorting
        with at least one unit, in the segments of `recording`
    recording
        high-pass filtered, with a probe
    folders
        `results` then holds `sorting/`, `analyzer.zarr/` and `quality_metrics.csv`

    Returns
    -------
    SorterRun
        `run`, or a failed one where the analysis was not possible: the sorting itself is kept
    """
    saved = sorting.save(folder=folders.results / "sorting", format="numpy_folder", overwrite=True)
    try:
        _compute(saved, recording, folders)
    except Exception as error:  # whatever an extension raises, the next sorter has to run
        logger.exception("%s: the analysis failed; its sorting is kept", run.sorter)
        reason = f"found {run.n_units} units, but their analysis failed: {error}"
        return replace(run, outcome="failed", reason=reason)
    return run


def _compute(
    sorting: si.BaseSorting, recording: si.BaseRecording, folders: AnalysisFolders
) -> None:
    shutil.rmtree(folders.scratch, ignore_errors=True)
    analyzer = si.create_sorting_analyzer(
        sorting,
        recording,
        format="binary_folder",
        folder=folders.scratch,
        sparse=True,
        return_in_uV=recording.has_scaleable_traces(),
    )
    analyzer.compute(EXTENSIONS, verbose=False)
    metrics = analyzer.get_extension("quality_metrics").get_data()
    metrics.to_csv(folders.results / "quality_metrics.csv", index_label="unit_id")
    analyzer.save_as(format="zarr", folder=folders.results / "analyzer.zarr")
    shutil.rmtree(folders.scratch)
