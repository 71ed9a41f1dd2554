"""The layouts of the zoo."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import spikeinterface as si
import zarr
from wavpack_numcodecs import WavPack

from tests.support import acquisition_formats as acquisition
from tests.support import timed_files
from tests.support.nwb_files import NwbLayout, write_nwb
from tests.support.recordings import (
    AP_GAIN_UV,
    SpikeGlxRun,
    write_binary_folder,
    write_open_ephys,
    write_spikeglx,
    write_zarr_folder,
)
from tools.zoo.layout import Fact, Layout, Written
from tools.zoo.truth import N_CHANNELS, RATE_HZ, Truth

#: name of the source in the folder that is written to
SOURCE = "source"

#: of White Matter, by its reader
WHITEMATTER_GAIN_UV = 0.190734863

#: 6553.5 uV over the steps of 16 bits, one of which EDF's reader adds
EDF_GAIN_UV = 0.1

#: whose headers hold whole microvolts of 1000 steps
BLACKROCK_GAIN_UV = round(1000 * AP_GAIN_UV) / 1000

Write = Callable[[Path, Truth], Written]


def _facts(*facts: Fact) -> frozenset[Fact]:
    return frozenset(facts)


# ----- SpikeGLX ----------------------------------------------------------------------------------


def _spikeglx(folder: Path, truth: Truth) -> Written:
    write_spikeglx(folder / SOURCE, truth.recording, SpikeGlxRun(with_nidq=True))
    return Written(source=SOURCE, truth=truth)


def _spikeglx_triggers(folder: Path, truth: Truth) -> Written:
    halves = truth.split([truth.n_frames // 2])
    starts = (0, truth.n_frames)
    run = SpikeGlxRun(triggers=(0, 1), first_sample=starts, with_lf=False)
    write_spikeglx(folder / SOURCE, halves.recording, run)
    return Written(source=SOURCE, truth=halves)


def _spikeglx_two_probes(folder: Path, truth: Truth) -> Written:
    other = truth.with_samples(truth.samples[::-1].copy())
    write_spikeglx(folder / SOURCE, [other.recording, truth.recording], SpikeGlxRun(with_lf=False))
    return Written(source=SOURCE, truth=truth, kwargs={"stream_id": "imec1.ap"})


def _cbin(folder: Path, truth: Truth) -> Written:
    run = write_spikeglx(folder / "run", truth.recording)
    acquisition.write_cbin(run, folder / SOURCE)
    return Written(source=SOURCE, truth=truth)


# ----- Open Ephys --------------------------------------------------------------------------------


def _open_ephys(folder: Path, truth: Truth) -> Written:
    write_open_ephys(folder / SOURCE, truth.recording)
    return Written(source=SOURCE, truth=truth, needs_probe=True)


def _open_ephys_recordings(folder: Path, truth: Truth) -> Written:
    halves = truth.split([truth.n_frames // 2])
    write_open_ephys(folder / SOURCE, halves.recording)
    return Written(source=SOURCE, truth=halves, needs_probe=True)


def _open_ephys_legacy(folder: Path, truth: Truth) -> Written:
    acquisition.write_open_ephys_legacy(folder / SOURCE, truth.samples)
    return Written(source=SOURCE, truth=truth, needs_probe=True)


# ----- NWB ---------------------------------------------------------------------------------------


def _nwb(
    name: str = f"{SOURCE}/recording.nwb", with_timestamps: bool = False, **options: Any
) -> Write:
    def write(folder: Path, truth: Truth) -> Written:
        if with_timestamps:
            options["timestamps"] = np.arange(truth.n_frames) / truth.rate_hz + 5.0
        write_nwb(folder / name, truth.recording, NwbLayout(with_lfp=True, **options))
        return Written(source=SOURCE, truth=truth)

    return write


def _nwb_volts(folder: Path, truth: Truth) -> Written:
    volts = truth.samples.astype("float32") * np.float32(AP_GAIN_UV * 1e-6)
    in_volts = si.NumpyRecording([volts], truth.rate_hz)
    in_volts.set_probe(truth.probe)
    layout = NwbLayout(conversion=1.0, dtype="float32", compression=None)
    write_nwb(folder / SOURCE / "recording.nwb", in_volts, layout)
    return Written(source=SOURCE, truth=truth)


def _nwb_timeseries(folder: Path, truth: Truth) -> Written:
    write_nwb(folder / SOURCE / "recording.nwb", truth.recording)
    kwargs = {"timeseries_path": "acquisition/ElectricalSeries"}
    return Written(
        source=SOURCE, truth=replace(truth, gain_uv=None), kwargs=kwargs, needs_probe=True
    )


# ----- SpikeInterface, and raw files -------------------------------------------------------------


def _binary(folder: Path, truth: Truth) -> Written:
    write_binary_folder(folder / SOURCE, truth.recording)
    return Written(source=SOURCE, truth=truth)


def _zarr(folder: Path, truth: Truth) -> Written:
    write_zarr_folder(folder / f"{SOURCE}.zarr", truth.recording)
    return Written(source=f"{SOURCE}.zarr", truth=truth)


def _zarr_wavpack(folder: Path, truth: Truth) -> Written:
    truth.recording.save(
        folder=folder / f"{SOURCE}.zarr",
        format="zarr",
        compressor=WavPack(level=3),
        filters=None,
        progress_bar=False,
    )
    return Written(source=f"{SOURCE}.zarr", truth=truth)


def _zarr_array(folder: Path, truth: Truth) -> Written:
    zarr.save_array(str(folder / f"{SOURCE}.zarr"), truth.samples, chunks=(30_000, N_CHANNELS))
    kwargs = {"sampling_frequency": RATE_HZ, "gain_to_uV": AP_GAIN_UV, "offset_to_uV": 0.0}
    return Written(source=f"{SOURCE}.zarr", truth=truth, kwargs=kwargs, needs_probe=True)


def _raw(dtype: str) -> Write:
    def write(folder: Path, truth: Truth) -> Written:
        (folder / SOURCE).mkdir(parents=True)
        is_float = dtype == "float32"
        kwargs: dict[str, Any] = {
            "sampling_frequency": RATE_HZ,
            "dtype": dtype,
            "num_channels": N_CHANNELS,
            "gain_to_uV": 1.0 if is_float else AP_GAIN_UV,
            "offset_to_uV": 0.0,
        }
        samples = truth.samples * AP_GAIN_UV if is_float else truth.samples
        samples.astype(dtype).tofile(folder / SOURCE / "recording.dat")
        return Written(source=SOURCE, truth=truth, kwargs=kwargs, needs_probe=True)

    return write


# ----- other acquisition systems -----------------------------------------------------------------


def _blackrock(*, with_blocks: bool) -> Write:
    def write(folder: Path, truth: Truth) -> Written:
        (folder / SOURCE).mkdir(parents=True)
        blocks = [(0, truth.n_frames)] if with_blocks else None
        acquisition.write_blackrock(folder / SOURCE / "a.ns6", truth.samples, blocks=blocks)
        found = replace(truth, gain_uv=BLACKROCK_GAIN_UV)
        return Written(source=SOURCE, truth=found, needs_probe=True)

    return write


def _blackrock_ptp(folder: Path, truth: Truth) -> Written:
    (folder / SOURCE).mkdir(parents=True)
    times_ns = np.round(np.arange(truth.n_frames) * 1e9 / RATE_HZ).astype("uint64")
    acquisition.write_blackrock_ptp(folder / SOURCE / "a.ns6", truth.samples, times_ns)
    found = replace(truth, gain_uv=BLACKROCK_GAIN_UV)
    return Written(source=SOURCE, truth=found, needs_probe=True)


def _intan(folder: Path, truth: Truth) -> Written:
    numbers = np.arange(truth.n_frames)
    acquisition.write_intan(folder / SOURCE / "a.rhd", truth.samples, numbers)
    intan = replace(truth, gain_uv=acquisition.INTAN_STEP_UV)
    return Written(source=SOURCE, truth=intan, needs_probe=True)


def _split_intan(folder: Path, truth: Truth) -> Written:
    length = truth.n_frames // 3 // 128 * 128
    firsts = [part * length for part in range(3)]
    acquisition.write_split_intan(folder / SOURCE, truth.samples, firsts, length)
    intan = replace(truth.first(3 * length), gain_uv=acquisition.INTAN_STEP_UV)
    return Written(source=SOURCE, truth=intan, needs_probe=True)


def _neuralynx(folder: Path, truth: Truth) -> Written:
    acquisition.write_neuralynx(folder / SOURCE, truth.samples)
    return Written(source=SOURCE, truth=truth, needs_probe=True)


def _neuroscope(folder: Path, truth: Truth) -> Written:
    acquisition.write_neuroscope(folder / SOURCE, truth.recording, n_channels=N_CHANNELS)
    return Written(source=SOURCE, truth=truth, needs_probe=True)


def _edf(folder: Path, truth: Truth) -> Written:
    (folder / SOURCE).mkdir(parents=True)
    seconds = truth.first(int(truth.duration_s) * int(RATE_HZ))
    acquisition.write_edf(folder / SOURCE / "a.edf", seconds.recording)
    found = replace(seconds, file_gain_uv=EDF_GAIN_UV)
    return Written(source=SOURCE, truth=found, needs_probe=True)


def _maxwell(folder: Path, truth: Truth) -> Written:
    (folder / SOURCE).mkdir(parents=True)
    numbers = np.arange(truth.n_frames)
    file = folder / SOURCE / "a.raw.h5"
    acquisition.write_maxwell(file, truth.samples, numbers, chunks=(N_CHANNELS, 30_000))
    places_um = np.column_stack([17.5 * np.arange(N_CHANNELS), np.zeros(N_CHANNELS)])
    found = replace(truth, rate_hz=20_000.0, places_um=places_um)
    return Written(source=SOURCE, truth=found)


def _mda(folder: Path, truth: Truth) -> Written:
    acquisition.write_mda(folder / SOURCE, truth.recording)
    return Written(source=SOURCE, truth=replace(truth, gain_uv=None))


def _whitematter(folder: Path, truth: Truth) -> Written:
    (folder / SOURCE).mkdir(parents=True)
    (folder / SOURCE / "HSamp.bin").write_bytes(bytes(8) + truth.samples.tobytes())
    kwargs = {"sampling_frequency": RATE_HZ, "num_channels": N_CHANNELS}
    found = replace(truth, gain_uv=WHITEMATTER_GAIN_UV)
    return Written(source=SOURCE, truth=found, kwargs=kwargs, needs_probe=True)


def _mcs(folder: Path, truth: Truth) -> Written:
    (folder / SOURCE).mkdir(parents=True)
    timed_files.write_mcs(folder / SOURCE / "a.h5", [(0, truth.n_frames)], truth.samples)
    found = replace(truth, gain_uv=1.0, rate_hz=20_000.0)
    return Written(source=SOURCE, truth=found, needs_probe=True)


def _plexon(folder: Path, truth: Truth) -> Written:
    (folder / SOURCE).mkdir(parents=True)
    length = 512
    fragments = [(first, length) for first in range(0, truth.n_frames, length)]
    timed_files.write_plexon(folder / SOURCE / "a.plx", fragments, truth.samples)
    # the job leaves out the last sample, which neo cannot read
    found = replace(truth.first(truth.n_frames - 1), gain_uv=5000 / (32768 * 1000) * 1000)
    return Written(source=SOURCE, truth=found, needs_probe=True)


def _spikegadgets(folder: Path, truth: Truth) -> Written:
    (folder / SOURCE).mkdir(parents=True)
    numbers = np.arange(truth.n_frames)
    timed_files.write_spikegadgets(folder / SOURCE / "a.rec", numbers, truth.samples)
    return Written(source=SOURCE, truth=replace(truth, gain_uv=None), needs_probe=True)


def _neuronexus(folder: Path, truth: Truth) -> Written:
    numbers = np.arange(truth.n_frames)
    timed_files.write_neuronexus(folder / SOURCE, numbers, truth.samples)
    kwargs = {"stream_id": "ai-pri"}
    found = replace(truth, gain_uv=1.0)
    return Written(source=SOURCE, truth=found, kwargs=kwargs, needs_probe=True)


def _tdt(folder: Path, truth: Truth) -> Written:
    times_s = 1000.0 + np.arange(truth.n_frames // 256) * 256 / RATE_HZ
    timed_files.write_tdt(folder / SOURCE, times_s, RATE_HZ, 1000.0, truth.samples)
    return Written(source=SOURCE, truth=replace(truth, gain_uv=1.0), needs_probe=True)


HDF5 = _facts("length", "structure")

LAYOUTS = (
    Layout(
        name="spikeglx",
        data_type="spikeglx",
        write=_spikeglx,
        data="*.ap.bin",
        holds=_facts("length", "rate"),
        piece_bytes=2 * (N_CHANNELS + 1),
    ),
    Layout(
        name="spikeglx, two triggers",
        data_type="spikeglx",
        write=_spikeglx_triggers,
        data="*.ap.bin",
        holds=_facts("length", "rate"),
        piece_bytes=2 * (N_CHANNELS + 1),
    ),
    Layout(
        name="spikeglx, one of two probes",
        data_type="spikeglx",
        write=_spikeglx_two_probes,
        data="*imec1.ap.bin",
        holds=_facts("length", "rate"),
        piece_bytes=2 * (N_CHANNELS + 1),
    ),
    Layout(
        name="IBL",
        data_type="cbin_ibl",
        write=_cbin,
        data="*.cbin",
        holds=_facts("length", "digest", "structure", "rate"),
    ),
    Layout(
        name="Open Ephys",
        data_type="openephys",
        write=_open_ephys,
        data="Acquisition_Board*/continuous.dat",
        holds=_facts("length", "rate"),
        piece_bytes=2 * (N_CHANNELS + 2),
    ),
    Layout(
        name="Open Ephys, two recordings",
        data_type="openephys",
        write=_open_ephys_recordings,
        data="Acquisition_Board*/continuous.dat",
        holds=_facts("length", "rate"),
        piece_bytes=2 * (N_CHANNELS + 2),
    ),
    Layout(
        name="Open Ephys, legacy",
        data_type="openephys",
        write=_open_ephys_legacy,
        data="*.continuous",
        holds=_facts("counter"),
        piece_bytes=12 + 2048 + 10,
    ),
    Layout(
        name="NWB",
        data_type="nwb",
        write=_nwb(),
        data="*.nwb",
        holds=HDF5 | _facts("digest"),
    ),
    Layout(
        name="NWB, not compressed",
        data_type="nwb",
        write=_nwb(compression=None),
        data="*.nwb",
        holds=HDF5,
    ),
    Layout(
        name="NWB, timestamps",
        data_type="nwb",
        write=_nwb(with_timestamps=True),
        data="*.nwb",
        holds=HDF5 | _facts("digest"),
    ),
    Layout(
        name="NWB, volts as floats",
        data_type="nwb",
        write=_nwb_volts,
        data="*.nwb",
        holds=HDF5,
        floats="always",
    ),
    Layout(
        name="NWB, TimeSeries",
        data_type="nwb_timeseries",
        write=_nwb_timeseries,
        data="*.nwb",
        holds=HDF5 | _facts("digest"),
    ),
    Layout(
        name="NWB in Zarr",
        data_type="nwb",
        write=_nwb(f"{SOURCE}/recording.nwb.zarr", compression="zstd"),
        data="acquisition/ElectricalSeries/data/[0-9]*",
        holds=HDF5 | _facts("digest"),
    ),
    Layout(
        name="binary folder",
        data_type="binary",
        write=_binary,
        data="traces*.raw",
        piece_bytes=2 * N_CHANNELS,
    ),
    Layout(
        name="raw int16",
        data_type="binary",
        write=_raw("int16"),
        data="*.dat",
        piece_bytes=2 * N_CHANNELS,
    ),
    Layout(
        name="raw float32",
        data_type="binary",
        write=_raw("float32"),
        data="*.dat",
        piece_bytes=4 * N_CHANNELS,
        floats="always",
    ),
    Layout(
        name="Zarr",
        data_type="zarr",
        write=_zarr,
        data="traces_seg0/[0-9]*",
        holds=HDF5,
        floats="also",
    ),
    Layout(
        name="Zarr, WavPack",
        data_type="zarr",
        write=_zarr_wavpack,
        data="traces_seg0/[0-9]*",
        holds=HDF5 | _facts("digest"),
    ),
    Layout(
        name="Zarr array",
        data_type="zarr_array",
        write=_zarr_array,
        data="[0-9]*.[0-9]*",
        holds=HDF5,
        floats="also",
    ),
    Layout(
        name="Blackrock 2.3",
        data_type="blackrock",
        write=_blackrock(with_blocks=False),
        data="*.ns6",
        holds=_facts("length"),
        piece_bytes=2 * N_CHANNELS,
    ),
    Layout(
        name="Blackrock 3.0",
        data_type="blackrock",
        write=_blackrock(with_blocks=True),
        data="*.ns6",
        holds=_facts("length"),
        piece_bytes=2 * N_CHANNELS,
    ),
    Layout(
        name="Blackrock, PTP",
        data_type="blackrock",
        write=_blackrock_ptp,
        data="*.ns6",
        holds=_facts("counter"),
        piece_bytes=13 + 2 * N_CHANNELS,
    ),
    Layout(
        name="Intan",
        data_type="intan",
        write=_intan,
        data="*.rhd",
        holds=_facts("counter"),
        piece_bytes=128 * (4 + 2 * N_CHANNELS),
    ),
    Layout(
        name="Intan, split",
        data_type="split_intan_files",
        write=_split_intan,
        data="*.rhd",
        holds=_facts("counter"),
        piece_bytes=128 * (4 + 2 * N_CHANNELS),
    ),
    Layout(
        name="Neuralynx",
        data_type="neuralynx",
        write=_neuralynx,
        data="*.ncs",
        holds=_facts("counter", "rate"),
        piece_bytes=20 + 2 * 512,
    ),
    Layout(
        name="Neuroscope",
        data_type="neuroscope",
        write=_neuroscope,
        data="*.dat",
        piece_bytes=2 * N_CHANNELS,
    ),
    Layout(
        name="EDF",
        data_type="edf",
        write=_edf,
        data="*.edf",
        holds=_facts("length"),
    ),
    Layout(
        name="MaxWell",
        data_type="maxwell",
        write=_maxwell,
        data="*.h5",
        holds=HDF5 | _facts("counter"),
    ),
    Layout(
        name="MountainSort",
        data_type="mda",
        write=_mda,
        data="raw.mda",
        holds=_facts("length"),
        piece_bytes=2 * N_CHANNELS,
    ),
    Layout(
        name="White Matter",
        data_type="whitematter",
        write=_whitematter,
        data="*.bin",
        piece_bytes=2 * N_CHANNELS,
    ),
    Layout(
        name="Multi Channel Systems",
        data_type="mcsh5",
        write=_mcs,
        data="*.h5",
        holds=HDF5,
    ),
    Layout(
        name="Plexon",
        data_type="plexon",
        write=_plexon,
        data="*.plx",
        holds=_facts("counter"),
        piece_bytes=N_CHANNELS * (16 + 1024),
    ),
    Layout(
        name="SpikeGadgets",
        data_type="spikegadgets",
        write=_spikegadgets,
        data="*.rec",
        holds=_facts("counter"),
        piece_bytes=7 + 2 * N_CHANNELS,
    ),
    Layout(
        name="NeuroNexus",
        data_type="neuronexus",
        write=_neuronexus,
        data="*_data.xdat",
        holds=_facts("length"),
        piece_bytes=4 * N_CHANNELS,
    ),
    Layout(
        name="TDT",
        data_type="tdt",
        write=_tdt,
        data="*.tev",
        holds=_facts("length"),
        piece_bytes=512,
    ),
)
