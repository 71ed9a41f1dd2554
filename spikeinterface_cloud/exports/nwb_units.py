"""The units table: spike times, waveforms on the units' own electrodes, metrics and labels."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import spikeinterface as si
from hdmf.common import DynamicTableRegion, VectorData, VectorIndex
from pynwb import NWBFile
from pynwb.misc import Units

from spikeinterface_cloud.exports.metrics import CHANNEL_GROUP, metrics_of
from spikeinterface_cloud.recording.clock.clock import Clock
from spikeinterface_cloud.recording.joined_recordings import SAME_PLACE_UM

#: what the columns of `unit_labels.csv` are
LABEL_DESCRIPTIONS = {
    "label": "good, mua (several neurons) or noise, by thresholds on the quality metrics",
    "decided_by": "the metric that decided the label",
    "bombcell": "the label that bombcell's criteria give",
    "bombcell_decided_by": "the metric that decided bombcell's label",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class UnitsSource:
    """The data of a units table."""

    analyzer: si.SortingAnalyzer
    #: a row for each unit, by the unit's name as text; empty where there are none
    labels: pd.DataFrame
    clock: Clock
    #: the row in the electrodes table of each channel, by channel id
    electrode_rows: Mapping[Any, int]
    description: str
    #: the steps after which the waveforms were taken; empty for the recording as it is
    waveform_processing: str
    #: property of the units with their group of channels, if each was sorted by itself
    split_by: str | None = None
    #: those of the analyzer whose spikes are written, which the clock is of; None for all
    segments: range | None = None


def make_units(nwbfile: NWBFile, source: UnitsSource) -> Units:
    """Return the units table, to be set as `nwbfile.units`."""
    analyzer = source.analyzer
    columns = [
        column("unit_name", "name of the unit", [str(name) for name in analyzer.unit_ids]),
        *_spike_times(source),
        *_observed(source),
        *_waveforms(nwbfile, source),
        *_locations(nwbfile, source),
        *(column(each.name, each.description, each.values) for each in metrics_of(analyzer)),
        *_labels(analyzer, source.labels),
        *_channel_groups(source),
    ]
    templates = analyzer.get_extension("templates")
    rate = float(analyzer.sampling_frequency)
    return Units(
        name="units",
        description=source.description,
        columns=columns,
        colnames=[each.name for each in columns if not isinstance(each, VectorIndex)],
        id=list(range(len(analyzer.unit_ids))),
        waveform_rate=rate,
        waveform_unit="microvolts" if analyzer.return_in_uV else "unscaled samples",
        waveform_time_before_peak_in_ms=1000.0 * templates.nbefore / rate,
        resolution=1.0 / rate,
    )


def _spike_times(source: UnitsSource) -> list[VectorData]:
    """Return the sorted spike times of all units, one unit after the other."""
    analyzer = source.analyzer
    spikes = analyzer.sorting.to_spike_vector(concatenated=False)
    if source.segments is not None:
        spikes = spikes[source.segments.start : source.segments.stop]
    rate_hz = analyzer.sampling_frequency
    times_s = np.concatenate(
        [
            source.clock.times_s(segment, each["sample_index"], rate_hz)
            for segment, each in enumerate(spikes)
        ]
    )
    units = np.concatenate([each["unit_index"] for each in spikes])
    order = np.lexsort((times_s, units))
    counts = np.bincount(units, minlength=len(analyzer.unit_ids))
    return ragged("spike_times", "time of each spike, in seconds", times_s[order], counts)


def _observed(source: UnitsSource) -> list[VectorData]:
    """Return the sorted intervals, the same for each unit."""
    intervals = np.array(source.clock.intervals_s())
    n_units = len(source.analyzer.unit_ids)
    return ragged(
        "obs_intervals",
        "begin and end of what was sorted, in seconds",
        np.tile(intervals, (n_units, 1)),
        np.full(n_units, len(intervals)),
    )


def _waveforms(nwbfile: NWBFile, source: UnitsSource) -> list[VectorData]:
    """Return templates on the largest channels of each unit, the same number for all."""
    analyzer = source.analyzer
    templates = analyzer.get_extension("templates")
    means = templates.get_data(operator="average")
    channels = largest_channels(means, _sparsity_masks(analyzer))
    rows = _electrode_rows(source)
    electrodes = DynamicTableRegion(
        name="electrodes",
        description="the electrodes where the unit is largest, in the order of its waveforms",
        data=rows[channels].ravel(),
        table=nwbfile.electrodes,
    )
    counts = np.full(len(channels), channels.shape[1])
    columns = [
        electrodes,
        VectorIndex(name="electrodes_index", data=np.cumsum(counts), target=electrodes),
        column(
            "electrode_group",
            "the group of the electrode where the unit is largest",
            [nwbfile.electrodes["group"].data[row] for row in rows[channels[:, 0]]],
        ),
    ]
    after = source.waveform_processing
    processed = f"waveforms after {after}" if after else "waveforms of the recording as it is"
    columns.append(column("waveform_mean", f"mean of {processed}", _on_channels(means, channels)))
    if "std" in templates.params["operators"]:
        spread = _on_channels(templates.get_data(operator="std"), channels)
        columns.append(column("waveform_sd", f"standard deviation of {processed}", spread))
    return columns


def _electrode_rows(source: UnitsSource) -> npt.NDArray[np.int64]:
    """Return the row in the electrodes table of each channel of the analyzer."""
    return np.array([source.electrode_rows[name] for name in source.analyzer.channel_ids])


def largest_channels(
    templates: npt.NDArray[np.floating[Any]], masks: npt.NDArray[np.bool_]
) -> npt.NDArray[np.int64]:
    """Return the channels of each unit by template size, as many as the sparsest unit has.

    Parameters
    ----------
    templates
        units x samples x channels
    masks
        units x channels: where the unit's template was computed
    """
    sizes = np.where(masks, np.ptp(templates, axis=1), -1.0)
    fewest = int(masks.sum(axis=1).min())
    return np.argsort(-sizes, axis=1, kind="stable")[:, :fewest]


def _sparsity_masks(analyzer: si.SortingAnalyzer) -> npt.NDArray[np.bool_]:
    if analyzer.sparsity is not None:
        return np.asarray(analyzer.sparsity.mask, dtype=bool)
    return np.ones((len(analyzer.unit_ids), len(analyzer.channel_ids)), dtype=bool)


def _on_channels(
    templates: npt.NDArray[np.floating[Any]], channels: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]:
    chosen = np.take_along_axis(templates, channels[:, np.newaxis, :], axis=2)
    return chosen.astype("float32")


def _locations(nwbfile: NWBFile, source: UnitsSource) -> Iterator[VectorData]:
    """Yield where each unit is, in the frame of the table of electrodes if that is known."""
    analyzer = source.analyzer
    extension = analyzer.get_extension("unit_locations")
    if extension is None:
        return
    means = analyzer.get_extension("templates").get_data(operator="average")
    main = largest_channels(means, _sparsity_masks(analyzer))[:, 0]
    for axis, values in zip("xyz", extension.get_data().T, strict=False):
        moved = _moved_um(nwbfile, source, axis)
        frame = f"rel_{axis} of its electrodes"
        if moved is None:
            frame = "the positions that were sorted"
        description = f"estimated {axis} of the unit in micrometers, in the frame of {frame}"
        shifts = 0.0 if moved is None else moved[main]
        yield column(f"estimated_{axis}", description, values.astype("float64") - shifts)


def _moved_um(
    nwbfile: NWBFile, source: UnitsSource, axis: str
) -> npt.NDArray[np.floating[Any]] | None:
    """Return how far each channel is from where the table of electrodes has it.

    Probes that share positions are moved apart to be sorted. None where the table has no positions,
    or another layout, as PROBE_FILE may give one.
    """
    electrodes, index = nwbfile.electrodes, "xyz".index(axis)
    positions = source.analyzer.get_channel_locations()
    if f"rel_{axis}" not in electrodes.colnames or index >= positions.shape[1]:
        return None
    rows = _electrode_rows(source)
    moved = positions[:, index] - np.asarray(electrodes[f"rel_{axis}"].data)[rows]
    groups = np.asarray(electrodes["group_name"].data)[rows]
    spreads = np.array([np.ptp(moved[groups == group]) for group in np.unique(groups)])
    return moved if (spreads < SAME_PLACE_UM).all() else None


def _labels(analyzer: si.SortingAnalyzer, labels: pd.DataFrame) -> Iterator[VectorData]:
    if labels.empty:
        return
    ordered = labels.reindex([str(name) for name in analyzer.unit_ids], fill_value="")
    for name, texts in ordered.items():
        yield column(str(name), LABEL_DESCRIPTIONS.get(str(name), str(name)), list(texts))


def _channel_groups(source: UnitsSource) -> Iterator[VectorData]:
    if source.split_by is not None:
        groups = source.analyzer.get_sorting_property(source.split_by)
        description = f"{source.split_by} of the channels that were sorted by themselves"
        yield column(CHANNEL_GROUP, description, [str(group) for group in groups])


def column(name: str, description: str, data: Any) -> VectorData:
    """Return a column with a value for each row."""
    return VectorData(name=name, description=description, data=data)


def ragged(
    name: str, description: str, data: npt.NDArray[Any], counts: npt.NDArray[np.int64]
) -> list[VectorData]:
    """Return a column of lists: `counts` values of `data` for each unit."""
    values = column(name, description, data)
    return [values, VectorIndex(name=f"{name}_index", data=np.cumsum(counts), target=values)]
