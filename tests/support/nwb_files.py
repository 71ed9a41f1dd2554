"""Simulated recordings written as NWB files."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
from hdmf_zarr import NWBZarrIO, ZarrDataIO
from pynwb import NWBHDF5IO, H5DataIO, NWBFile
from pynwb.ecephys import LFP, ElectricalSeries
from pynwb.file import Subject
from spikeinterface.core import BaseRecording

from tests.support.recordings import AP_GAIN_UV, LF_RATE_DIVISOR


@dataclass(frozen=True, kw_only=True, slots=True)
class NwbLayout:
    """What an NWB file contains, and what it lacks."""

    #: `conversion` of the series, in volts; None leaves it out (NWB then takes 1.0)
    conversion: float | None = AP_GAIN_UV * 1e-6
    #: `rel_x` and `rel_y` of each channel; `probe` takes the recording's, None leaves them out
    positions: np.ndarray | str | None = "probe"
    #: names of the electrode groups, which divide the channels in order
    groups: tuple[str, ...] = ("probe0",)
    #: whether the electrodes have the recording's `inter_sample_shift`
    with_sample_shifts: bool = False
    #: seconds; ignored with `timestamps`
    starting_time: float = 0.0
    #: seconds of each sample, instead of a rate
    timestamps: np.ndarray | None = None
    compression: str | None = "gzip"
    with_lfp: bool = False
    dtype: str = "int16"
    #: arguments of `pynwb.file.Subject`; None leaves the subject out
    subject: Mapping[str, Any] | None = None
    #: more arguments of `pynwb.NWBFile`, like `session_id`
    session: Mapping[str, Any] = field(default_factory=dict)


def write_nwb(
    file: Path,
    recordings: BaseRecording | Mapping[str, BaseRecording],
    layout: NwbLayout | None = None,
) -> Path:
    """Write an NWB file with one acquired electrical series per recording; return the file.

    One whose name ends in `.zarr` is a folder, written by hdmf-zarr.
    """
    layout = layout or NwbLayout()
    series = (
        {"ElectricalSeries": recordings} if isinstance(recordings, BaseRecording) else recordings
    )
    nwbfile = NWBFile(
        session_description="simulated spikes",
        identifier="simulated",
        session_start_time=datetime(2024, 5, 1, 10, tzinfo=UTC),
        subject=None if layout.subject is None else Subject(**layout.subject),
        **layout.session,
    )
    first = next(iter(series.values()))
    region = _add_electrodes(nwbfile, first, layout)
    compressed = _in_zarr if file.suffix == ".zarr" else _in_hdf5
    for name, recording in series.items():
        nwbfile.add_acquisition(_electrical_series(name, recording, layout, region, compressed))
    if layout.with_lfp:
        _add_lfp(nwbfile, first, region, compressed)
    file.parent.mkdir(parents=True, exist_ok=True)
    with (NWBZarrIO if file.suffix == ".zarr" else NWBHDF5IO)(str(file), "w") as io:
        io.write(nwbfile)
    return file


def _in_hdf5(traces: np.ndarray, compression: str | None) -> Any:
    chunks = (min(len(traces), 30000), traces.shape[1])
    return H5DataIO(traces, compression=compression, chunks=chunks)


def _in_zarr(traces: np.ndarray, compression: str | None) -> Any:
    chunks = (min(len(traces), 30000), traces.shape[1])
    codec = None if compression is None else numcodecs.get_codec({"id": compression})
    return ZarrDataIO(traces, compressor=codec or False, chunks=chunks)


def _add_electrodes(nwbfile: NWBFile, recording: BaseRecording, layout: NwbLayout) -> Any:
    positions = layout.positions
    if isinstance(positions, str):
        positions = recording.get_channel_locations()
    device = nwbfile.create_device("probe", description="simulated")
    groups = [
        nwbfile.create_electrode_group(name, description=name, location="CA1", device=device)
        for name in layout.groups
    ]
    if positions is not None:
        nwbfile.add_electrode_column("rel_x", "micrometers")
        nwbfile.add_electrode_column("rel_y", "micrometers")
    shifts = recording.get_property("inter_sample_shift") if layout.with_sample_shifts else None
    if shifts is not None:
        nwbfile.add_electrode_column("inter_sample_shift", "fractions of a sample")
    n_channels = recording.get_num_channels()
    for channel in range(n_channels):
        group = groups[channel * len(groups) // n_channels]
        columns: dict[str, float] = {}
        if positions is not None:
            columns = {"rel_x": positions[channel, 0], "rel_y": positions[channel, 1]}
        if shifts is not None:
            columns["inter_sample_shift"] = shifts[channel]
        nwbfile.add_electrode(group=group, location="CA1", **columns)
    return nwbfile.create_electrode_table_region(list(range(n_channels)), "all electrodes")


def _electrical_series(
    name: str,
    recording: BaseRecording,
    layout: NwbLayout,
    region: Any,
    compressed: Callable[[np.ndarray, str | None], Any],
) -> ElectricalSeries:
    traces = recording.get_traces(segment_index=0).astype(layout.dtype)
    data = compressed(traces, layout.compression)
    timing: dict[str, Any] = {} if layout.conversion is None else {"conversion": layout.conversion}
    if layout.timestamps is not None:
        timing["timestamps"] = layout.timestamps
    else:
        timing["rate"] = recording.sampling_frequency
        timing["starting_time"] = layout.starting_time
    return ElectricalSeries(name=name, data=data, electrodes=region, **timing)


def _add_lfp(
    nwbfile: NWBFile,
    recording: BaseRecording,
    region: Any,
    compressed: Callable[[np.ndarray, str | None], Any],
) -> None:
    slow = recording.get_traces(segment_index=0)[::LF_RATE_DIVISOR]
    module = nwbfile.create_processing_module("ecephys", "field potential")
    lfp = LFP(name="LFP")
    module.add(lfp)
    lfp.add_electrical_series(
        ElectricalSeries(
            name="ElectricalSeriesLFP",
            data=compressed(slow, "gzip"),
            electrodes=region,
            rate=recording.sampling_frequency / LF_RATE_DIVISOR,
        )
    )
