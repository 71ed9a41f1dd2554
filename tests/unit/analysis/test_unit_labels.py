"""Which label a unit gets, and which metric is said to have decided it."""

from typing import Any

import pandas as pd
import pytest
from spikeinterface.curation import bombcell_get_default_thresholds

from spikeinterface_cloud.analysis.unit_labels import COLUMNS, label_by_metrics

#: SpikeInterface 0.105 on pandas 3.1
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword:DeprecationWarning")

#: a unit that nothing can be said against, by either opinion
FINE = {
    "snr": 12.0,
    "peak_to_trough_duration": 0.0006,
    "num_spikes": 4000,
    "rp_contamination": 0.02,
    "presence_ratio": 0.98,
    "amplitude_cutoff": 0.01,
    "amplitude_median": -85.0,
    "sliding_rp_violation": 0.02,
    "drift_ptp": 8.0,
    "isolation_distance": 60.0,
    "l_ratio": 0.01,
    "num_positive_peaks": 1,
    "num_negative_peaks": 1,
    "waveform_baseline_flatness": 0.1,
    "peak_after_to_trough_ratio": 0.3,
    "exp_decay": 0.04,
    "peak_before_to_trough_ratio": 0.1,
    "peak_before_width": 0.0003,
    "trough_width": 0.0003,
    "peak_before_to_peak_after_ratio": 0.3,
    "main_peak_to_trough_ratio": 0.3,
}

NAN = float("nan")


def labels_of(*, in_microvolts: Any = True, **changed: Any) -> dict[str, str]:
    """The line of one unit that is fine but for these metrics; None takes a metric out."""
    metrics = {name: value for name, value in (FINE | changed).items() if value is not None}
    table = label_by_metrics(pd.DataFrame([metrics], index=["7"]), in_microvolts=in_microvolts)
    assert list(table.columns) == list(COLUMNS)
    return {str(name): value for name, value in table.loc["7"].items()}


@pytest.mark.parametrize(
    ("changed", "label", "decided_by"),
    [
        ({"snr": 1.2}, "noise", "snr=1.2<2"),
        ({"peak_to_trough_duration": 0.00005}, "noise", "peak_to_trough_duration=5e-05<0.0001"),
        ({"peak_to_trough_duration": 0.0018}, "noise", "peak_to_trough_duration=0.0018>0.0015"),
        ({"rp_contamination": 0.62}, "mua", "rp_contamination=0.62>0.5"),
        ({"presence_ratio": 0.3}, "mua", "presence_ratio=0.3<0.8"),
        ({"amplitude_cutoff": 0.2}, "mua", "amplitude_cutoff=0.2>0.1"),
        ({"num_spikes": 12}, "mua", "num_spikes=12<50"),
        ({"rp_contamination": NAN}, "mua", "rp_contamination=nan"),
        (
            {"rp_contamination": 0.62, "presence_ratio": 0.3},
            "mua",
            "rp_contamination=0.62>0.5; presence_ratio=0.3<0.8",
        ),
        ({"snr": 1.2, "rp_contamination": 0.62}, "noise", "snr=1.2<2"),
    ],
)
def test_the_metric_that_decided_stands_with_its_value_and_threshold(
    changed: dict[str, float], label: str, decided_by: str
) -> None:
    line = labels_of(**changed)
    assert (line["label"], line["decided_by"]) == (label, decided_by)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"snr": 2.0},
        {"presence_ratio": 0.8},
        {"rp_contamination": 0.5},
        {"amplitude_cutoff": 0.1},
        {"num_spikes": 50},
        {"presence_ratio": NAN, "amplitude_cutoff": NAN},
        {"peak_to_trough_duration": None},
    ],
)
def test_on_the_threshold_and_where_a_metric_is_missing_a_unit_is_good(
    changed: dict[str, float | None],
) -> None:
    line = labels_of(**changed)
    assert line["label"] == "good"
    judged = line["decided_by"].removeprefix("passed ").split()
    assert "rp_contamination" in judged
    missing = {name for name, value in changed.items() if value is None or value != value}
    assert not missing & set(judged), "a metric that is not known did not decide"


@pytest.mark.parametrize(
    ("changed", "label", "decided_by"),
    [
        ({"num_positive_peaks": 5}, "noise", "num_positive_peaks=5>2"),
        ({"exp_decay": NAN}, "noise", "exp_decay=nan"),
        ({"amplitude_median": -20.0}, "mua", "amplitude_median=20<30"),
        ({"sliding_rp_violation": NAN}, "mua", "sliding_rp_violation=nan"),
        ({"l_ratio": 0.5}, "mua", "l_ratio=0.5>0.3"),
        ({"main_peak_to_trough_ratio": 0.9}, "non_soma", "main_peak_to_trough_ratio=0.9>0.8"),
        (
            {"amplitude_median": -20.0, "main_peak_to_trough_ratio": 0.9},
            "non_soma",
            "main_peak_to_trough_ratio=0.9>0.8",
        ),
    ],
)
def test_bombcell_is_explained_by_its_own_thresholds(
    changed: dict[str, float], label: str, decided_by: str
) -> None:
    line = labels_of(**changed)
    assert (line["bombcell"], line["bombcell_decided_by"]) == (label, decided_by)


def test_every_threshold_of_bombcell_is_explained_when_it_alone_is_broken() -> None:
    """So that a new release with other thresholds or rules does not go unnoticed."""
    sections = bombcell_get_default_thresholds()
    for section, expected in (("noise", "noise"), ("mua", "mua")):
        for metric, bounds in sections[section].items():
            least, most = bounds.get("greater"), bounds.get("less")
            line = labels_of(
                **{metric: least - 1e-5 - abs(least) / 2 if most is None else 2 * most}
            )
            assert line["bombcell"] == expected, metric
            assert line["bombcell_decided_by"].startswith(f"{metric}="), metric


def test_without_microvolts_bombcell_does_not_look_at_them() -> None:
    assert labels_of(in_microvolts=False, amplitude_median=-3.0)["bombcell"] == "good"
    assert labels_of(in_microvolts=True, amplitude_median=-3.0)["bombcell"] == "mua"


def test_each_unit_keeps_its_own_line() -> None:
    table = label_by_metrics(
        pd.DataFrame([FINE, FINE | {"snr": 1.0}, FINE | {"num_spikes": 3}], index=[4, 9, 2]),
        in_microvolts=True,
    )
    assert table["label"].to_dict() == {4: "good", 9: "noise", 2: "mua"}
    assert table["bombcell"].to_dict() == {4: "good", 9: "mua", 2: "mua"}
