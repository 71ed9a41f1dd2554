"""The table of one sorter's units, from its analyzer and the tables beside it."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import spikeinterface as si
from markupsafe import Markup

from spikeinterface_cloud.analysis.unit_labels import read_unit_table
from spikeinterface_cloud.report.sparkline import histogram, waveforms
from spikeinterface_cloud.results.layout import LABELS, METRICS

#: the metrics in the table, in order: the name in the file, the heading, what it means
COLUMNS = (
    ("num_spikes", "spikes", "number of spikes"),
    ("firing_rate", "rate (Hz)", "mean firing rate"),
    ("snr", "SNR", "amplitude of the template over the noise of its main channel"),
    ("amplitude_median", "median", "median amplitude of the spikes, in the unit of the peak"),
    ("presence_ratio", "presence", "part of the recording in which the unit fires"),
    ("isi_violations_ratio", "ISI violations", "rate of refractory violations over the expected"),
    ("rp_contamination", "RP contamination", "estimated part of spikes from other units"),
    ("sliding_rp_violation", "sliding RP", "least contamination that the refractory period allows"),
    ("amplitude_cutoff", "cutoff", "estimated part of spikes below the threshold"),
    ("amplitude_cv_median", "amplitude CV", "variation of the amplitude over time"),
    ("sd_ratio", "SD ratio", "spread of the amplitudes over the noise"),
    ("d_prime", "d'", "separation from the other units in the space of principal components"),
    ("nn_hit_rate", "NN hit rate", "part of nearest neighbors that are the unit's own spikes"),
    ("drift_ptp", "drift (µm)", "range of the unit's depth over time"),
)

#: of an autocorrelogram, in ms
WINDOW_MS = 50.0
BIN_MS = 1.0

#: consecutive spikes that an autocorrelogram is computed from, and neighbors in a template
MOST_SPIKES = 4000
NEIGHBORS = 4

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """A value in the table: as text, and as the number to sort by (None: missing)."""

    text: str
    value: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Unit:
    """A row of the table."""

    unit_id: str
    #: the channels that it was found in; empty if all were sorted together
    group: str
    #: `good`, `mua`, `noise`, or empty where there are no labels
    label: str
    #: the metric that decided on the label
    decided_by: str
    #: bombcell's label; empty if there is none
    bombcell: str
    template: Markup
    autocorrelogram: Markup
    #: of the template on its main channel
    amplitude: float
    depth_um: float
    #: in the order of `UnitTable.columns`
    cells: tuple[Cell, ...]

    @property
    def reason(self) -> str:
        """Return the metrics that the unit failed."""
        return "" if self.decided_by.startswith("passed ") else self.decided_by


@dataclass(frozen=True, kw_only=True, slots=True)
class UnitTable:
    """All units of a sorter."""

    #: heading and meaning of each metric that was computed
    columns: tuple[tuple[str, str], ...]
    units: tuple[Unit, ...]
    #: of the amplitudes
    amplitude_unit: str
    #: False where all units lie at the same depth
    has_depth: bool
    #: the property of the channels whose groups were sorted by themselves, if any was
    split_by: str | None = None

    @property
    def has_bombcell(self) -> bool:
        """Return whether the units have bombcell labels."""
        return any(unit.bombcell for unit in self.units)

    def counts(self) -> dict[str, int]:
        """Return the number of units by label, in the order good, mua, noise, others."""
        order = {"good": 0, "mua": 1, "noise": 2}
        labels = [unit.label for unit in self.units]
        names = sorted(set(labels), key=lambda label: (order.get(label, 3), label))
        return {name: labels.count(name) for name in names}


def read_units(
    folder: Path, analyzer: si.SortingAnalyzer, split_by: str | None = None
) -> UnitTable:
    """Read the units of a sorter, with the property that their channels were split by."""
    names = [str(unit_id) for unit_id in analyzer.unit_ids]
    labels = read_unit_table(folder / LABELS).reindex(
        index=names, columns=["label", "decided_by", "bombcell"], fill_value=""
    )
    metrics = read_unit_table(folder / METRICS).apply(pd.to_numeric, errors="coerce")
    metrics = metrics.replace([np.inf, -np.inf], np.nan).dropna(axis="columns", how="all")
    columns = [column for column in COLUMNS if column[0] in metrics.columns]
    values = metrics.reindex(index=names, columns=[name for name, *_ in columns])
    templates = analyzer.get_extension("templates").get_data(operator="average")
    depths = analyzer.get_extension("unit_locations").get_data()[:, 1]
    groups = [""] * len(names) if split_by is None else analyzer.get_sorting_property(split_by)
    units = []
    for index, name in enumerate(names):
        picture, amplitude = _template(templates[index])
        units.append(
            Unit(
                unit_id=name,
                group=str(groups[index]),
                **labels.loc[name],
                template=picture,
                autocorrelogram=histogram(
                    _autocorrelogram(analyzer.sorting, analyzer.unit_ids[index])
                ),
                amplitude=amplitude,
                depth_um=float(depths[index]),
                cells=tuple(_cell(value) for value in values.loc[name]),
            )
        )
    return UnitTable(
        columns=tuple((heading, meaning) for _, heading, meaning in columns),
        units=tuple(units),
        amplitude_unit="µV" if analyzer.return_in_uV else "counts",
        has_depth=bool(np.ptp(analyzer.get_channel_locations()[:, 1]) > 0),
        split_by=split_by,
    )


def _template(template: npt.NDArray[np.floating]) -> tuple[Markup, float]:
    """Draw a template (samples x channels), and return its amplitude."""
    heights = np.ptp(template, axis=0)
    order = np.argsort(heights)[::-1][: NEIGHBORS + 1]
    main = template[:, order[0]]
    others = [template[:, channel] for channel in order[1:] if heights[channel] > 0]
    return waveforms(main, others), float(np.abs(main).max())


def _autocorrelogram(sorting: si.BaseSorting, unit_id: object) -> npt.NDArray[np.int64]:
    """Count intervals between spikes of a unit, from its first spikes in each segment."""
    rate = sorting.sampling_frequency
    n_bins = int(WINDOW_MS / BIN_MS)
    counts = np.zeros(n_bins, dtype="int64")
    for segment in range(sorting.get_num_segments()):
        train = sorting.get_unit_spike_train(unit_id, segment_index=segment)[:MOST_SPIKES]
        for shift in range(1, len(train)):
            lags = (train[shift:] - train[:-shift]) / rate * 1000
            near = lags[lags < WINDOW_MS]
            if not near.size:
                break
            counts += np.histogram(near, bins=n_bins, range=(0, WINDOW_MS))[0]
    return np.concatenate([counts[::-1], counts])


def _cell(value: float) -> Cell:
    if not math.isfinite(value):
        return Cell(text="", value=None)
    whole = float(value).is_integer() or abs(value) >= 1000
    return Cell(text=f"{value:.0f}" if whole else f"{value:.3g}", value=value)
