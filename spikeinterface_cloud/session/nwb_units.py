"""The units of all sorters of all streams as one table, with spike times on one clock."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from hdmf.backends.hdf5 import H5DataIO
from hdmf.common import DynamicTableRegion, VectorData, VectorIndex
from pynwb import NWBFile
from pynwb.misc import Units

from spikeinterface_cloud.exports.nwb_session import TableColumn
from spikeinterface_cloud.exports.nwb_units import column, ragged
from spikeinterface_cloud.session.nwb_electrodes import Placed, join_columns
from spikeinterface_cloud.session.nwb_read import SortedUnits

SPIKE_TIMES = "units/spike_times"

#: spike times in a chunk of the file, and in a block that is reserved for them
CHUNK_SPIKES = 64 * 1024
RESERVED_BLOCK = bytes(1024 * 1024)


def make_session_units(
    nwbfile: NWBFile,
    sorted_units: Sequence[SortedUnits],
    placed: Mapping[str, Placed],
    reference: str | None,
    description: str,
) -> Units:
    """Return the table without the spike times themselves, which `fill_spike_times` writes."""
    columns = [
        *_identity(sorted_units, reference),
        *_spike_times(sorted_units),
        *_observed(sorted_units),
        *_electrodes(nwbfile, sorted_units, placed),
        *_waveforms(sorted_units),
        *_plain_columns(sorted_units),
    ]
    rate_hz = max(each.sampling_frequency_hz for each in sorted_units)
    common = sorted_units[0].waveform_format
    return Units(
        name="units",
        description=description,
        columns=columns,
        colnames=[each.name for each in columns if not isinstance(each, VectorIndex)],
        id=list(range(sum(map(n_units, sorted_units)))),
        resolution=1.0 / rate_hz,
        **(
            {
                "waveform_rate": rate_hz,
                "waveform_unit": common.unit,
                "waveform_time_before_peak_in_ms": common.time_before_peak_ms,
            }
            if have_same_waveforms(sorted_units)
            else {}
        ),
    )


def n_units(units: SortedUnits) -> int:
    """Return the number of units of a sorter."""
    return len(units.unit_ids)


def have_same_waveforms(sorted_units: Sequence[SortedUnits]) -> bool:
    """Return whether the waveforms of all sorters fit into one column."""
    return len({each.waveform_format for each in sorted_units}) == 1


def clock_name(units: SortedUnits, reference: str | None) -> str:
    """Return the stream on whose clock the spike times are."""
    return units.stream if reference is None or units.clock.status == "own" else reference


def _repeated(sorted_units: Sequence[SortedUnits], values: Sequence[Any]) -> list[Any]:
    """Return the value of each sorter for each of its units."""
    pairs = zip(sorted_units, values, strict=True)
    return [value for each, value in pairs for _ in range(n_units(each))]


def _identity(sorted_units: Sequence[SortedUnits], reference: str | None) -> Iterator[VectorData]:
    streams = _repeated(sorted_units, [each.stream for each in sorted_units])
    sorters = _repeated(sorted_units, [each.sorter for each in sorted_units])
    names = [name for each in sorted_units for name in each.unit_ids]
    parts = zip(streams, sorters, names, strict=True)
    yield column("unit_name", "stream, sorter and unit", ["/".join(part) for part in parts])
    yield column("stream", "the stream that the unit was found in", streams)
    yield column("sorter", "the sorter that found the unit", sorters)
    yield column("original_unit_id", "name of the unit in the results of its sorter", names)
    yield column(
        "sampling_frequency",
        "sampling frequency of the stream in Hz, on its own clock",
        _repeated(sorted_units, [each.sampling_frequency_hz for each in sorted_units]),
    )
    clocks = [clock_name(each, reference) for each in sorted_units]
    yield column(
        "clock",
        "the stream on whose clock the times are",
        _repeated(sorted_units, clocks),
    )


def _spike_times(sorted_units: Sequence[SortedUnits]) -> list[VectorData]:
    """Return an empty column, with the index that it will need."""
    times = column(
        "spike_times",
        "time of each spike, in seconds, on the clock that the column `clock` names",
        H5DataIO(np.empty(0), maxshape=(None,), chunks=(CHUNK_SPIKES,)),
    )
    ends = np.cumsum(np.concatenate([each.n_spikes for each in sorted_units]))
    # wrapped, as hdmf would make an array as narrow as the empty column allows
    index = VectorIndex(
        name="spike_times_index", data=H5DataIO(ends.astype("uint64")), target=times
    )
    return [times, index]


def _observed(sorted_units: Sequence[SortedUnits]) -> list[VectorData]:
    observed = [each.observed_on_reference() for each in sorted_units]
    return ragged(
        "obs_intervals",
        "begin and end of what was sorted, in seconds, on the same clock",
        np.concatenate([each.values for each in observed]),
        np.concatenate([each.counts for each in observed]),
    )


def _electrodes(
    nwbfile: NWBFile, sorted_units: Sequence[SortedUnits], placed: Mapping[str, Placed]
) -> list[VectorData]:
    rows = [each.electrodes.values + placed[each.stream].first_row for each in sorted_units]
    region = DynamicTableRegion(
        name="electrodes",
        description="the electrodes where the unit is largest, in the order of its waveforms",
        data=np.concatenate(rows),
        table=nwbfile.electrodes,
    )
    counts = np.concatenate([each.electrodes.counts for each in sorted_units])
    groups = [placed[each.stream].groups[name] for each in sorted_units for name in each.groups]
    return [
        region,
        VectorIndex(name="electrodes_index", data=np.cumsum(counts), target=region),
        column(
            "electrode_group",
            "the group of the electrode where the unit is largest",
            [nwbfile.electrode_groups[name] for name in groups],
        ),
    ]


def _waveforms(sorted_units: Sequence[SortedUnits]) -> Iterator[VectorData]:
    """Yield waveforms on as many electrodes as any sorter has; NaN where a unit has fewer."""
    if not have_same_waveforms(sorted_units):
        return
    names = dict.fromkeys(name for each in sorted_units for name in each.waveforms)
    largest = max(each.waveforms["waveform_mean"].values.shape[2] for each in sorted_units)
    for name in names:
        parts = []
        for each in sorted_units:
            n_samples = each.waveform_format.n_samples
            padded = np.full((n_units(each), n_samples, largest), np.nan, dtype="float32")
            if name in each.waveforms:
                values = each.waveforms[name].values
                padded[:, :, : values.shape[2]] = values
            parts.append(padded)
        have = [each.waveforms[name] for each in sorted_units if name in each.waveforms]
        text = "; ".join(dict.fromkeys(waveforms.description for waveforms in have))
        yield column(name, f"{text}; NaN beyond the unit's electrodes", np.concatenate(parts))


def _plain_columns(sorted_units: Sequence[SortedUnits]) -> Iterator[VectorData]:
    tables: Sequence[Sequence[TableColumn]] = [each.columns for each in sorted_units]
    for each in join_columns(tables, [n_units(units) for units in sorted_units]):
        is_text = each.values.dtype.kind == "O"
        yield column(each.name, each.description, list(each.values) if is_text else each.values)


def fill_spike_times(file: Path, sorted_units: Sequence[SortedUnits]) -> None:
    """Write the spike times into the file, unit by unit, as all of them may not fit into memory.

    Their space is written before, as HDF5 crashes when it closes a file on a full disk.
    """
    total = sum(int(each.n_spikes.sum()) for each in sorted_units)
    with file.open("ab") as reserved:
        # a chunk more, and the index of all chunks
        for _ in range(total * 8 // len(RESERVED_BLOCK) + 2 + total // CHUNK_SPIKES // 5000):
            reserved.write(RESERVED_BLOCK)
    with h5py.File(file, "r+") as opened:
        spike_times = opened[SPIKE_TIMES]
        spike_times.resize((total,))
        begin = 0
        for each in sorted_units:
            for times_s in each.spike_times_s():
                _write(spike_times, begin, times_s)
                begin += len(times_s)


def _write(dataset: h5py.Dataset, begin: int, values: npt.NDArray[np.float64]) -> None:
    if len(values):
        dataset[begin : begin + len(values)] = values
