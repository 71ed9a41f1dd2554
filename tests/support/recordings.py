"""Simulated recordings with known spikes, written as SpikeGLX, Open Ephys and SpikeInterface do.

`simulate` puts spikes on the contacts of a Neuropixels 1.0 probe, in the units of its amplifier;
the `write_*` functions write the same traces in a format, so that a test can follow known spikes
from a file to the results. `nwb_files` writes them as NWB.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import spikeinterface as si
from probeinterface import Probe, write_probeinterface
from probeinterface.neuropixels_tools import build_neuropixels_probe
from spikeinterface.core import BaseRecording, BaseSorting, NumpyRecording

#: Neuropixels 1.0: a range of 0.6 V over 512 steps, amplified 500 times (AP) and 250 times (LF)
AP_GAIN_UV = 0.6 / 512 / 500 * 1e6
LF_RATE_DIVISOR = 12
NIDQ_RATE_HZ = 25000.0


def neuropixels_probe(n_channels: int) -> Probe:
    """Return the first contacts of a Neuropixels 1.0 probe, wired in order."""
    probe = build_neuropixels_probe("NP1000").get_slice(np.arange(n_channels))
    probe.set_device_channel_indices(np.arange(n_channels))
    return probe


def simulate(
    *,
    duration_s: float | Sequence[float] = 4.0,
    n_channels: int = 16,
    n_units: int = 4,
    seed: int = 0,
    probe: Probe | None = None,
) -> tuple[BaseRecording, BaseSorting]:
    """Simulate int16 samples of a Neuropixels probe; return them and the true spikes.

    Several durations make several segments.
    """
    durations = [duration_s] if isinstance(duration_s, int | float) else list(duration_s)
    recording, sorting = si.generate_ground_truth_recording(
        durations=durations,
        sampling_frequency=30000.0,
        num_units=n_units,
        probe=probe or neuropixels_probe(n_channels),
        seed=seed,
    )
    return quantize(recording, AP_GAIN_UV), sorting


def quantize(recording: BaseRecording, gain_uv: float) -> BaseRecording:
    """Convert a recording to int16 samples of `gain_uv` microvolts each, in memory."""
    traces = []
    for segment in range(recording.get_num_segments()):
        microvolts = recording.get_traces(segment_index=segment)
        traces.append(np.clip(np.round(microvolts / gain_uv), -32768, 32767).astype("int16"))
    quantized = NumpyRecording(
        traces, recording.sampling_frequency, channel_ids=recording.channel_ids
    )
    quantized.set_channel_gains(gain_uv)
    quantized.set_channel_offsets(0.0)
    quantized.set_probegroup(recording.get_probegroup())
    return quantized


# ----- SpikeGLX ----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class SpikeGlxRun:
    """The files of a run."""

    name: str = "mouse"
    gate: int = 0
    #: one AP and LF pair of files for each trigger of the run
    triggers: tuple[int, ...] = (0,)
    with_lf: bool = True
    with_nidq: bool = False
    #: `firstSample` of all files, or of each trigger
    first_sample: int | Sequence[int] = 0


def write_spikeglx(
    folder: Path, probes: BaseRecording | Sequence[BaseRecording], run: SpikeGlxRun | None = None
) -> Path:
    """Write a run with a folder for each probe, as SpikeGLX does; return the run's folder.

    `probes` are recordings on contacts of a Neuropixels 1.0 probe in order; a recording of
    several segments fills the run's triggers. A sync channel closes every imec file.
    """
    run = run or SpikeGlxRun()
    recordings = [probes] if isinstance(probes, BaseRecording) else list(probes)
    run_folder = folder / f"{run.name}_g{run.gate}"
    for number, recording in enumerate(recordings):
        probe_folder = run_folder / f"{run_folder.name}_imec{number}"
        probe_folder.mkdir(parents=True)
        for segment, trigger in enumerate(run.triggers):
            traces = _in_steps(recording, segment, AP_GAIN_UV)
            stem = probe_folder / f"{run_folder.name}_t{trigger}.imec{number}"
            rate = recording.sampling_frequency
            starts = run.first_sample
            first = starts if isinstance(starts, int) else starts[segment]
            _write_imec(stem, "ap", traces, rate, first)
            if run.with_lf:
                slow = np.ascontiguousarray(traces[::LF_RATE_DIVISOR])
                _write_imec(stem, "lf", slow, rate / LF_RATE_DIVISOR, first // LF_RATE_DIVISOR)
    if run.with_nidq:
        for trigger in run.triggers:
            _write_nidq(run_folder / f"{run_folder.name}_t{trigger}", seconds=1.0)
    return run_folder


def _in_steps(recording: BaseRecording, segment: int, gain_uv: float) -> np.ndarray:
    traces: np.ndarray = recording.get_traces(segment_index=segment)
    if traces.dtype == np.int16 and np.allclose(recording.get_channel_gains(), gain_uv):
        return traces
    scaled = recording.get_traces(segment_index=segment, return_in_uV=True) / gain_uv
    steps: np.ndarray = np.clip(np.round(scaled), -32768, 32767).astype("int16")
    return steps


def _write_imec(stem: Path, band: str, traces: np.ndarray, rate: float, first_sample: int) -> None:
    n_channels = traces.shape[1]
    n_saved = n_channels + 1
    file = stem.with_name(f"{stem.name}.{band}.bin")
    sync = np.zeros((len(traces), 1), dtype="int16")
    np.hstack([traces, sync]).tofile(file)
    kind = "AP" if band == "ap" else "LF"
    first_line = 0 if band == "ap" else 384
    counts = (n_channels, 0, 1) if band == "ap" else (0, n_channels, 1)
    channels = "".join(f"({kind}{c};{first_line + c}:{c})" for c in range(n_channels))
    imro = "".join(f"({c} 0 0 500 250 1)" for c in range(384))
    meta = {
        "appVersion": "20201103",
        "fileName": f"D:/data/{file.name}",
        "fileSizeBytes": file.stat().st_size,
        "fileTimeSecs": len(traces) / rate,
        "firstSample": first_sample,
        "imAiRangeMax": 0.6,
        "imAiRangeMin": -0.6,
        "imDatPrb_pn": "NP1000",
        "imDatPrb_port": 1,
        "imDatPrb_slot": 2,
        "imDatPrb_sn": 18194814141,
        "imDatPrb_type": 0,
        "imMaxInt": 512,
        "imSampRate": rate,
        "nSavedChans": n_saved,
        "snsApLfSy": ",".join(map(str, counts)),
        "snsSaveChanSubset": f"{first_line}:{first_line + n_channels - 1},768",
        "typeThis": "imec",
        "~imroTbl": f"(0,384){imro}",
        "~snsChanMap": f"(384,384,1){channels}(SY0;768:{n_channels})",
    }
    if band == "lf":  # the reader takes the probe from the AP band's meta file
        meta["snsSaveChanSubset"] = f"384:{384 + n_channels - 1},768"
    _write_meta(file, meta)


def _write_nidq(stem: Path, seconds: float) -> None:
    traces = np.zeros((int(seconds * NIDQ_RATE_HZ), 3), dtype="int16")
    file = stem.with_name(f"{stem.name}.nidq.bin")
    traces.tofile(file)
    _write_meta(
        file,
        {
            "fileName": f"D:/data/{file.name}",
            "fileSizeBytes": file.stat().st_size,
            "firstSample": 0,
            "nSavedChans": 3,
            "niAiRangeMax": 5,
            "niMAGain": 1,
            "niMNGain": 1,
            "niSampRate": NIDQ_RATE_HZ,
            "niXDChans1": "",
            "snsMnMaXaDw": "0,0,3,0",
            "snsSaveChanSubset": "0:2",
            "typeThis": "nidq",
            "~snsChanMap": "(0,0,1,3,0)(XA0;0:0)(XA1;1:1)(XA2;2:2)",
        },
    )


def _write_meta(file: Path, meta: Mapping[str, object]) -> None:
    text = "".join(f"{key}={value}\n" for key, value in meta.items())
    file.with_suffix(".meta").write_text(text)


# ----- Open Ephys --------------------------------------------------------------------------------


def write_open_ephys(folder: Path, recording: BaseRecording, n_adc: int = 2) -> Path:
    """Write the binary format of the Open Ephys GUI; return the session's folder.

    The neural channels share a stream with `n_adc` analog inputs, as on an acquisition board, and
    a slow NI-DAQ stream accompanies it. Segments become recordings of one experiment. There is no
    probe: the GUI knows none of an acquisition board.
    """
    session = folder / "2024-05-01_10-00-00"
    n_neural = recording.get_num_channels()
    names = [f"CH{c + 1}" for c in range(n_neural)] + [f"ADC{c + 1}" for c in range(n_adc)]
    scales = [AP_GAIN_UV] * n_neural + [0.00015] * n_adc
    for segment in range(recording.get_num_segments()):
        place = session / "Record Node 101" / "experiment1" / f"recording{segment + 1}"
        traces = _in_steps(recording, segment, AP_GAIN_UV)
        adc = np.zeros((len(traces), n_adc), dtype="int16")
        rate = recording.sampling_frequency
        streams = [
            _write_continuous(
                place,
                "Acquisition_Board-100.acquisition_board",
                np.hstack([traces, adc]),
                {"rate": rate, "names": names, "scales": scales},
            ),
            _write_continuous(
                place,
                "NI-DAQmx-103.PXIe-6341",
                np.zeros((len(traces), 2), dtype="int16"),
                {"rate": rate, "names": ["AI0", "AI1"], "scales": [0.00015] * 2},
            ),
        ]
        structure = {"GUI version": "0.6.6", "continuous": streams, "events": [], "spikes": []}
        (place / "structure.oebin").write_text(json.dumps(structure, indent=2))
    return session


def _write_continuous(
    place: Path, stream: str, traces: np.ndarray, channels: Mapping[str, Any]
) -> dict[str, object]:
    folder = place / "continuous" / stream
    folder.mkdir(parents=True)
    traces.tofile(folder / "continuous.dat")
    sample_numbers = np.arange(len(traces), dtype="int64")
    np.save(folder / "sample_numbers.npy", sample_numbers)
    np.save(folder / "timestamps.npy", sample_numbers / channels["rate"])
    pairs = zip(channels["names"], channels["scales"], strict=True)
    return {
        "folder_name": f"{stream}/",
        "sample_rate": channels["rate"],
        "source_processor_name": stream.partition("-")[0],
        "source_processor_id": 100,
        "stream_name": stream.partition(".")[2],
        "recorded_processor": "Record Node",
        "recorded_processor_id": 101,
        "num_channels": traces.shape[1],
        "channels": [
            {"channel_name": name, "bit_volts": scale, "units": ""} for name, scale in pairs
        ],
    }


# ----- SpikeInterface ----------------------------------------------------------------------------


def write_binary_folder(folder: Path, recording: BaseRecording) -> Path:
    """Save with `recording.save(format="binary")`; return the folder."""
    recording.save(folder=folder, format="binary", progress_bar=False)
    return folder


def write_zarr_folder(folder: Path, recording: BaseRecording) -> Path:
    """Save with `recording.save(format="zarr")` to a folder that ends in `.zarr`; return it."""
    recording.save(folder=folder, format="zarr", progress_bar=False)
    return folder


def write_probe(file: Path, recording: BaseRecording) -> Path:
    """Write the probe of `recording` as a PROBE_FILE; return the file."""
    write_probeinterface(file, recording.get_probegroup())
    return file
