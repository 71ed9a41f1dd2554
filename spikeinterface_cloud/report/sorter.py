"""What one sorter found: its units by label, their spikes over time, their depths, their table."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import spikeinterface as si

from spikeinterface_cloud.analysis.analyzer import load_analyzer
from spikeinterface_cloud.report.axis import Axis, spanning
from spikeinterface_cloud.report.colors import VERMILLION, label_style
from spikeinterface_cloud.report.plot import Figure, LegendEntry, Plot, legend, missing, thinned
from spikeinterface_cloud.report.units import Unit, UnitTable, read_units
from spikeinterface_cloud.results.layout import ANALYZER, LABELS
from spikeinterface_cloud.results.outcomes import SorterRun
from spikeinterface_cloud.runtime.logging import counted, format_seconds

logger = logging.getLogger(__name__)

#: spikes in a raster
MOST_SPIKES = 20_000

NO_LABEL = "unlabeled"

UNFINISHED = "The job ended before this sorter did."
STOPPED = "The job was stopped before its units could be drawn; they are in the results."


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelCount:
    """The number of units with a label."""

    label: str
    n_units: int
    part: float
    color: str
    entry: LegendEntry


@dataclass(frozen=True, kw_only=True, slots=True)
class SorterSection:
    """The report's section of one sorter."""

    sorter: str
    #: None where the job ended before the sorter did
    run: SorterRun | None
    table: UnitTable | None = None
    counts: tuple[LabelCount, ...] = ()
    figures: tuple[Figure, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    #: what is missing, one sentence each
    notes: tuple[str, ...] = ()


def unread_section(sorter: str, run: SorterRun | None) -> SorterSection:
    """Return a section without units: a job that is stopped has only seconds left."""
    note = UNFINISHED if run is None else STOPPED
    return SorterSection(sorter=sorter, run=run, notes=(note,))


def sorter_section(
    folder: Path, sorter: str, run: SorterRun | None, accuracy: Mapping[str, float] | None = None
) -> SorterSection:
    """Read the results folder of a sorter, as far as it got; `accuracy` if the truth is known."""
    if run is None:
        return SorterSection(sorter=sorter, run=None, notes=(UNFINISHED,))
    if run.n_units == 0:
        return SorterSection(sorter=sorter, run=run)
    if not (folder / ANALYZER).is_dir():
        note = "The units were not analyzed, so there is no table of them; the sorting is kept."
        return SorterSection(sorter=sorter, run=run, notes=(note,))
    try:
        return replace(_analyzed(folder, sorter, run), facts=_facts(run, accuracy))
    except Exception as error:  # one analyzer that cannot be read leaves the rest of the report
        logger.exception("the report has nothing of %s: its analyzer cannot be read", sorter)
        note = f"The analyzer cannot be read: {error}"
        return SorterSection(sorter=sorter, run=run, notes=(note,))


def _analyzed(folder: Path, sorter: str, run: SorterRun) -> SorterSection:
    analyzer = load_analyzer(folder / ANALYZER, load_extensions=False)
    table = read_units(folder, analyzer, run.split_by)
    labeled = (folder / LABELS).is_file()
    return SorterSection(
        sorter=sorter,
        run=run,
        table=table,
        counts=tuple(_counts(table)),
        figures=(_raster(analyzer, table), _depths(table)),
        notes=() if labeled else ("The units were not labeled.",),
    )


def _facts(run: SorterRun, accuracy: Mapping[str, float] | None) -> dict[str, str]:
    facts = {"time of the sorter": format_seconds(run.seconds)}
    for each in run.groups:
        channels, units = counted(each.n_channels, "channel"), counted(each.n_units, "unit")
        facts[f"{run.split_by} {each.group}"] = f"{channels}, {units}"
    if run.n_redundant_units:
        units = counted(run.n_redundant_units, "unit")
        facts["left out"] = f"{units}, which had the spikes of others"
    if run.n_removed_spikes:
        facts["spikes removed"] = f"{run.n_removed_spikes:,}"
    if accuracy:
        facts["true units found"] = f"{accuracy['n_found']} of {accuracy['n_true_units']}"
        facts["mean accuracy"] = f"{accuracy['mean_accuracy']:.2f}"
    return facts


def _counts(table: UnitTable) -> list[LabelCount]:
    return [
        LabelCount(
            label=label or NO_LABEL,
            n_units=n_units,
            part=n_units / len(table.units),
            color=label_style(label)[0],
            entry=legend(f"{n_units} {label or NO_LABEL}", label_style(label)),
        )
        for label, n_units in table.counts().items()
    ]


def _raster(analyzer: si.SortingAnalyzer, table: UnitTable) -> Figure:
    """Plot the spikes over time, units in order of depth."""
    sorting = analyzer.sorting
    spikes = sorting.to_spike_vector()
    shown = spikes[thinned(len(spikes), MOST_SPIKES)]
    rate = sorting.sampling_frequency
    durations = [
        analyzer.get_num_samples(segment) / rate for segment in range(analyzer.get_num_segments())
    ]
    starts = np.cumsum([0.0, *durations])
    seconds = shown["sample_index"] / rate + starts[shown["segment_index"]]
    rows = np.argsort(np.argsort([unit.depth_um for unit in table.units], kind="stable"))
    plot = Plot(
        Axis(label="time (s)", lower=0.0, upper=float(starts[-1])),
        Axis(label="unit, by depth", lower=-1.0, upper=float(len(rows)), without_ticks=True),
    )
    labels = np.array([unit.label for unit in table.units])[shown["unit_index"]]
    for label in table.counts():
        chosen = labels == label
        plot.dots(seconds[chosen], rows[shown["unit_index"]][chosen], label_style(label)[0], 2.0)
    plot.verticals(starts[1:-1], VERMILLION)
    borders = " Dashed: borders of segments." if len(durations) > 1 else ""
    return Figure(
        title="Raster",
        plot=plot.draw("Spikes of every unit over time"),
        caption=f"{len(shown):,} of {len(spikes):,} spikes, of {len(rows)} units.{borders}",
        legend=_legend(table),
    )


def _depths(table: UnitTable) -> Figure:
    title = "Depth and amplitude"
    if not table.has_depth:
        return missing(title, "All channels lie at the same depth.")
    known = [unit for unit in table.units if np.isfinite(unit.depth_um)]
    amplitudes = [unit.amplitude for unit in known]
    plot = Plot(
        spanning(f"amplitude ({table.amplitude_unit})", [0.0, *amplitudes]),
        spanning("depth (µm)", [unit.depth_um for unit in known]),
    )
    for label in table.counts():
        units = [unit for unit in known if unit.label == label]
        plot.marks(
            [unit.amplitude for unit in units],
            [unit.depth_um for unit in units],
            label_style(label),
            [_name(unit, table.amplitude_unit) for unit in units],
        )
    return Figure(
        title=title,
        plot=plot.draw("Depth of every unit against its amplitude"),
        caption="The amplitude is that of the template on its main channel.",
        legend=_legend(table),
    )


def _name(unit: Unit, amplitude_unit: str) -> str:
    label = f" ({unit.label})" if unit.label else ""
    return (
        f"unit {unit.unit_id}{label}: {unit.amplitude:.0f} {amplitude_unit}, {unit.depth_um:.0f} µm"
    )


def _legend(table: UnitTable) -> tuple[LegendEntry, ...]:
    return tuple(legend(label or NO_LABEL, label_style(label)) for label in table.counts())
