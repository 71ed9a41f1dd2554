"""The units of one sorter of one stream, as its job exported them to `units.nwb`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from spikeinterface_cloud.exports.nwb_session import Session, TableColumn
from spikeinterface_cloud.exports.nwb_source import (
    item_name,
    read_column,
    read_electrodes,
    read_metadata,
)
from spikeinterface_cloud.recording.formats.nwb_items import read_texts
from spikeinterface_cloud.session.clock import StreamClock

#: the mean waveforms of the units, and their standard deviation
WAVEFORMS = ("waveform_mean", "waveform_sd")

#: columns that are not simply copied, row by row
SPECIAL = (
    "unit_name",
    "spike_times",
    "obs_intervals",
    "electrodes",
    "electrode_group",
    *WAVEFORMS,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class RaggedColumn:
    """A column of lists: `counts` of the values for each row."""

    values: npt.NDArray[Any]
    counts: npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class WaveformFormat:
    """What waveforms must have in common to be in one table."""

    n_samples: int
    time_before_peak_ms: float
    unit: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SortedUnits:
    """The units of one sorter of one stream; only their spike times are still in the file."""

    #: the stream's folder in the results of the session
    stream: str
    sorter: str
    clock: StreamClock
    session: Session
    #: versions of the programs that made the file
    programs: Mapping[str, str]
    description: str
    sampling_frequency_hz: float
    #: the units, as the sorter's results name them
    unit_ids: Sequence[str]
    #: on the stream's own clock
    observed_s: RaggedColumn
    #: rows in the table of electrodes
    electrodes: RaggedColumn
    #: the electrode group of each unit, by name
    groups: Sequence[str]
    columns: Sequence[TableColumn]
    #: units x samples x electrodes, by column
    waveforms: Mapping[str, TableColumn]
    waveform_format: WaveformFormat
    n_spikes: npt.NDArray[np.int64]
    _spike_times: h5py.Dataset

    def spike_times_s(self) -> Iterator[npt.NDArray[np.float64]]:
        """Yield the spike times of each unit on the reference clock, in order, in seconds."""
        begin = 0
        for n_spikes in self.n_spikes:
            end = begin + int(n_spikes)
            times_s = self.clock.to_reference(self._spike_times[begin:end])
            yield np.sort(times_s)
            begin = end

    def observed_on_reference(self) -> RaggedColumn:
        """Return the observed intervals on the reference clock, in seconds."""
        own_s = self.observed_s.values
        reference_s = self.clock.to_reference(own_s.ravel()).reshape(own_s.shape)
        return RaggedColumn(values=reference_s, counts=self.observed_s.counts)


def read_sorted_units(file: h5py.File, stream: str, sorter: str, clock: StreamClock) -> SortedUnits:
    """Read an open `units.nwb`, without its spike times."""
    table = file["units"]
    waveforms = {name: _waveforms(table, name) for name in WAVEFORMS if name in table}
    mean = table["waveform_mean"]
    programs = read_texts(file["general/was_generated_by"])
    return SortedUnits(
        stream=stream,
        sorter=sorter,
        clock=clock,
        session=read_metadata(file, read_electrodes(file)),
        programs=dict(programs.tolist()),
        description=str(table.attrs["description"]),
        sampling_frequency_hz=float(mean.attrs["sampling_rate"]),
        unit_ids=[str(name) for name in read_texts(table["unit_name"])],
        observed_s=_ragged(table, "obs_intervals"),
        electrodes=_ragged(table, "electrodes"),
        groups=[item_name(file[reference]) for reference in table["electrode_group"][:]],
        columns=_plain_columns(table),
        waveforms=waveforms,
        waveform_format=WaveformFormat(
            n_samples=mean.shape[1],
            # to a microsecond, as sampling rates measured on different clocks differ by some ppm
            time_before_peak_ms=round(float(mean.attrs["time_before_peak_in_ms"]), 3),
            unit=str(mean.attrs["unit"]),
        ),
        n_spikes=_counts(table, "spike_times"),
        _spike_times=table["spike_times"],
    )


def _plain_columns(table: h5py.Group) -> list[TableColumn]:
    names = [str(name) for name in table.attrs["colnames"] if name not in SPECIAL]
    columns = [read_column(table, name) for name in names]
    return [column for column in columns if column is not None]


def _waveforms(table: h5py.Group, name: str) -> TableColumn:
    data = table[name]
    return TableColumn(name=name, description=str(data.attrs["description"]), values=data[:])


def _ragged(table: h5py.Group, name: str) -> RaggedColumn:
    return RaggedColumn(values=table[name][:], counts=_counts(table, name))


def _counts(table: h5py.Group, name: str) -> npt.NDArray[np.int64]:
    ends: npt.NDArray[Any] = table[f"{name}_index"][:].astype("int64")
    return np.diff(ends, prepend=0)
