"""Labels of units: one neuron (good), several (mua) or none (noise), and the deciding metric.

Two opinions stand side by side: plain thresholds, those that other pipelines use, and bombcell with
its own defaults. Neither needs a model. Thresholds are in SpikeInterface's form and inclusive; the
unit of each value is that of the metric.
"""

import logging
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import spikeinterface as si
from spikeinterface.curation import bombcell_get_default_thresholds, bombcell_label_units

logger = logging.getLogger(__name__)

GOOD, MUA, NOISE = LABELS = ("good", "mua", "noise")

Thresholds = Mapping[str, Mapping[str, Any]]

#: a unit that fails one of these is noise
NOISE_THRESHOLDS: Thresholds = {
    # the average waveform has to stand out of the noise of its own channel
    "snr": {"greater": 2.0},
    # seconds: no action potential is so narrow or so wide
    "peak_to_trough_duration": {"greater": 0.0001, "less": 0.0015},
}

#: one that is not noise and fails one of these is mua
MUA_THRESHOLDS: Thresholds = {
    # with fewer spikes the other metrics mean nothing
    "num_spikes": {"greater": 50},
    # these three are the default of the pipeline of the Allen Institute for Neural Dynamics
    "rp_contamination": {"less": 0.5},
    "presence_ratio": {"greater": 0.8},
    "amplitude_cutoff": {"less": 0.1},
}

#: bombcell's own sections; in the first a metric that could not be computed counts as failed
BOMBCELL_SECTIONS = {"noise": "noise", "mua": "mua", "non_soma": "non-somatic"}

#: metrics of bombcell that are thresholded in microvolts
MICROVOLT_METRICS = ("amplitude_median",)

#: nobody can call a unit good whose contamination is not known
NAN_FAILS = ("rp_contamination",)

#: bombcell's choice: this metric is NaN where no contamination at all could be excluded
BOMBCELL_NAN_FAILS = ("sliding_rp_violation",)

COLUMNS = ("label", "decided_by", "bombcell", "bombcell_decided_by")


def label_units(analyzer: si.SortingAnalyzer, file: Path) -> dict[str, int]:
    """Label every unit, in the table `file` and as properties of the analyzer's sorting.

    Return the number of units by label, 0 included.
    """
    metrics = analyzer.get_metrics_extension_data()
    labels = label_by_metrics(metrics, in_microvolts=analyzer.return_in_uV)
    labels.to_csv(file, index_label="unit_id")
    analyzer.set_sorting_property("label", labels["label"].to_numpy(dtype=str))
    analyzer.set_sorting_property("bombcell_label", labels["bombcell"].to_numpy(dtype=str))
    counts = Counter(labels["label"])
    return {label: counts[label] for label in LABELS}


def read_unit_table(file: Path) -> pd.DataFrame:
    """Read a table of texts by the name of the unit, empty if there is no such file."""
    if not file.is_file():
        return pd.DataFrame()
    return pd.read_csv(file, dtype=str, keep_default_na=False).set_index("unit_id")


def label_by_metrics(metrics: pd.DataFrame, *, in_microvolts: bool) -> pd.DataFrame:
    """Return both labels of each unit, and the metrics that decided them.

    Parameters
    ----------
    metrics
        a line a unit, a column a metric; those that are missing do not decide
    """
    numbers = metrics.apply(pd.to_numeric, errors="coerce").astype("float64")
    rows = {unit: _by_thresholds(values) for unit, values in numbers.iterrows()}
    plain = pd.DataFrame.from_dict(rows, orient="index", columns=list(COLUMNS[:2]))
    bombcell = _by_bombcell(numbers, in_microvolts=in_microvolts)
    return pd.concat([plain, bombcell], axis=1)[list(COLUMNS)]


def _by_thresholds(values: "pd.Series[float]") -> tuple[str, str]:
    for label, thresholds in ((NOISE, NOISE_THRESHOLDS), (MUA, MUA_THRESHOLDS)):
        if failed := failures(values, thresholds, NAN_FAILS):
            return label, "; ".join(failed)
    return GOOD, _passed(values, {**NOISE_THRESHOLDS, **MUA_THRESHOLDS})


def _by_bombcell(metrics: pd.DataFrame, *, in_microvolts: bool) -> pd.DataFrame:
    """Return bombcell's labels with its default thresholds, for the available metrics."""
    left_out = () if in_microvolts else MICROVOLT_METRICS
    sections = {
        section: {
            metric: bounds
            for metric, bounds in thresholds.items()
            if metric in metrics.columns and metric not in left_out
        }
        for section, thresholds in bombcell_get_default_thresholds().items()
    }
    labels = bombcell_label_units(external_metrics=metrics, thresholds=sections)["bombcell_label"]
    reasons = [_why(labels[unit], values, sections) for unit, values in metrics.iterrows()]
    return pd.DataFrame(
        {"bombcell": labels, "bombcell_decided_by": pd.Series(reasons, index=metrics.index)}
    )


def _why(label: str, values: "pd.Series[float]", sections: Mapping[str, Thresholds]) -> str:
    if label == GOOD:
        return _passed(values, {**sections["noise"], **sections["mua"]})
    thresholds = sections[BOMBCELL_SECTIONS[label]]
    nan_fails = {"noise": tuple(thresholds), "mua": BOMBCELL_NAN_FAILS}.get(label, ())
    return "; ".join(failures(values, thresholds, nan_fails))


def failures(
    values: "pd.Series[float]", thresholds: Thresholds, nan_fails: Collection[str] = ()
) -> list[str]:
    """Return the metrics outside their thresholds, each as `name=value` and the bound it breaks.

    Parameters
    ----------
    values
        of one unit, by metric; one that is missing or NaN does not fail ...
    nan_fails
        ... except that one of these fails where it is NaN
    """
    failed = []
    for metric, bounds in thresholds.items():
        if metric not in values.index:
            continue
        value = abs(values[metric]) if bounds.get("abs") else values[metric]
        least, most = bounds.get("greater"), bounds.get("less")
        if np.isnan(value):
            failed += [f"{metric}=nan"] if metric in nan_fails else []
        elif least is not None and value < least:
            failed.append(f"{metric}={value:.4g}<{least:g}")
        elif most is not None and value > most:
            failed.append(f"{metric}={value:.4g}>{most:g}")
    return failed


def _passed(values: "pd.Series[float]", thresholds: Thresholds) -> str:
    """Name the thresholds that a good unit passed; metrics that are NaN are left out."""
    names = [metric for metric in thresholds if not np.isnan(values.get(metric, np.nan))]
    return f"passed {' '.join(names)}"
