"""Exports of known spikes, as of a sorter that found exactly these."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import spikeinterface as si

from spikeinterface_cloud.analysis.extensions import compute_template_similarity
from spikeinterface_cloud.exports.export import Sorted, export, plan_exports
from spikeinterface_cloud.recording.joined_recordings import JoinedPart

#: analyzer extensions that the exports read
EXTENSIONS: dict[str, dict[str, Any]] = {
    "random_spikes": {"max_spikes_per_unit": 50, "seed": 0},
    "noise_levels": {},
    "waveforms": {"ms_before": 1.0, "ms_after": 2.0},
    "templates": {"operators": ["average", "std"]},
    "spike_amplitudes": {},
    "unit_locations": {"method": "monopolar_triangulation"},
    "template_metrics": {},
    "quality_metrics": {"metric_names": ["num_spikes", "snr", "presence_ratio", "isi_violation"]},
}

SORTER = "simple"

Labels = Mapping[str, Sequence[str | None]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """A source recording, its units, and their exports."""

    source: si.BaseRecording
    sorting: si.BaseSorting
    #: the sorter's folder in the results
    folder: Path
    #: error messages by export; None if it succeeded
    errors: Mapping[str, str | None]

    @property
    def analyzer(self) -> si.SortingAnalyzer:
        """The analyzer in the results."""
        return si.load_sorting_analyzer(self.folder / "analyzer.zarr")


def export_truth(
    formats: Sequence[str],
    source: si.BaseRecording,
    truth: si.BaseSorting,
    results: Path,
    labels: Labels | None = None,
    parts: Sequence[JoinedPart] = (),
) -> Exported:
    """Analyze the true spikes of a source and export them to a results folder.

    `parts` are the recordings that the source joins, if it joins several.
    """
    # copy the spikes only: the properties refer to channels of the simulation
    spikes = truth.to_spike_vector()
    sorting = si.NumpySorting(spikes, source.sampling_frequency, truth.unit_ids)
    folder = results / SORTER
    folder.mkdir(parents=True)
    analyzer = si.create_sorting_analyzer(sorting, source, sparse=True)
    analyzer.compute(EXTENSIONS)
    compute_template_similarity(analyzer)
    analyzer.save_as(format="zarr", folder=folder / "analyzer.zarr")
    if labels is not None:
        table = pd.DataFrame({"unit_id": [str(name) for name in sorting.unit_ids], **labels})
        table.to_csv(folder / "unit_labels.csv", index=False)
    joined = [{"location": each.location} for each in parts]
    found: dict[str, Any] = {"location": "s3://lab/a.nwb", "joined": joined}
    plan = plan_exports(formats, source, found, results, parts)
    runs = export(
        plan, Sorted(sorter=SORTER, version="1.0", recording=_in_one_file(source, results))
    )
    return Exported(
        source=source,
        sorting=sorting,
        folder=folder,
        errors={run.export: run.error for run in runs},
    )


def _in_one_file(source: si.BaseRecording, results: Path) -> si.BaseRecording:
    whole = source
    if source.get_num_segments() > 1:
        whole = si.concatenate_recordings([source], ignore_times=True)
    return whole.save(folder=results.parent / "preprocessed", format="binary")
