"""Simulated recordings of known truth: the scenarios and sizes of `accuracy.py`."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import spikeinterface as si
from probeinterface import Probe
from probeinterface.neuropixels_tools import build_neuropixels_probe
from spikeinterface.generation import generate_drifting_recording

RATE_HZ = 30_000.0
GAIN_UV = 0.195

#: made by `tools/make_cell_models.py`
CELL_MODELS = Path(__file__).with_name("cell_models.npz")

#: names in the folder of a recording
RECORDING = "recording"
TRUTH = "truth"
ABOUT = "about.json"

#: of the scenario with bad channels
N_NOISY, N_DEAD = 3, 2
NOISY_UV, DEAD_UV, LINE_UV = 60.0, 0.3, 30.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Scenario:
    """What is simulated."""

    #: static, drifting, bad channels or cell models, of which the last has its own 64 channels
    name: str
    n_channels: int
    n_units: int
    duration_s: float
    seed: int

    @property
    def key(self) -> str:
        """Its name in the cache: all that it depends on."""
        name = self.name.replace(" ", "-")
        size = f"{self.n_channels}-{self.n_units}-{self.duration_s:g}"
        program = hashlib.sha256(Path(__file__).read_bytes() + CELL_MODELS.read_bytes()).hexdigest()
        return f"{name}-{size}-{self.seed}-{program[:8]}"


@dataclass(frozen=True, kw_only=True, slots=True)
class About:
    """The truth of a recording, besides its spikes."""

    #: in multiples of the noise, in the order of the true units
    snr: list[float]
    noisy: list[str]
    dead: list[str]


def write_recording(scenario: Scenario, folder: Path) -> None:
    """Write the int16 recording, its true spikes, and what else is known of it.

    The folder of the recording has SpikeInterface's own format.
    """
    recording, truth = _simulate(scenario)
    noisy: list[int] = []
    dead: list[int] = []
    if scenario.name == "bad channels":
        recording, noisy, dead = _with_bad_channels(recording, scenario.seed)
    samples = si.NumpyRecording([_steps(recording)], RATE_HZ, channel_ids=recording.channel_ids)
    samples.set_channel_gains(GAIN_UV)
    samples.set_channel_offsets(0.0)
    samples.set_probegroup(recording.get_probegroup())
    written = samples.save(folder=folder / RECORDING, n_jobs=1, verbose=False, progress_bar=False)
    truth.save(folder=folder / TRUTH, format="numpy_folder")
    names = [str(name) for name in recording.channel_ids]
    about = About(
        snr=_snr(truth, written),
        noisy=[names[index] for index in noisy],
        dead=[names[index] for index in dead],
    )
    (folder / ABOUT).write_text(json.dumps(asdict(about)))


def _simulate(scenario: Scenario) -> tuple[si.BaseRecording, si.BaseSorting]:
    if scenario.name == "cell models":
        return _cell_models(scenario)
    probe = _neuropixels(scenario.n_channels)
    values: dict[str, Any] = {
        "sampling_frequency": RATE_HZ,
        "num_units": scenario.n_units,
        "probe": probe,
        "seed": scenario.seed,
    }
    if scenario.name == "drifting":
        _, drifting, truth = generate_drifting_recording(
            duration=scenario.duration_s,
            generate_displacement_vector_kwargs=_drift(scenario.duration_s),
            **values,
        )
        return drifting, truth
    static, truth = si.generate_ground_truth_recording(durations=[scenario.duration_s], **values)
    return static, truth


def _drift(duration_s: float) -> dict[str, Any]:
    """Return SpikeInterface's own drift, 20 um in 50 s up and down, from the first tenth on."""
    zigzag = {"drift_mode": "zigzag", "t_start_drift": duration_s / 10, "period_s": 200}
    return {
        "displacement_sampling_frequency": 5.0,
        "drift_start_um": [0, 20],
        "drift_stop_um": [0, -20],
        "drift_step_um": 1,
        "motion_list": [zigzag],
    }


def _cell_models(scenario: Scenario) -> tuple[si.BaseRecording, si.BaseSorting]:
    """Simulate neurons that are none of SpikeInterface's, on which its sorters were tuned."""
    with np.load(CELL_MODELS) as file:
        templates = file["steps"] * file["step_uv"]
        positions, (ms_before, ms_after) = file["positions_um"], file["ms"]
    chosen = np.random.default_rng(scenario.seed).permutation(len(templates))[: scenario.n_units]
    probe = Probe(ndim=2)
    probe.set_contacts(positions, shapes="square", shape_params={"width": 12.0})
    probe.set_device_channel_indices(np.arange(len(positions)))
    recording, truth = si.generate_ground_truth_recording(
        durations=[scenario.duration_s],
        sampling_frequency=RATE_HZ,
        num_units=len(chosen),
        probe=probe,
        templates=templates[chosen].astype("float32"),
        ms_before=float(ms_before),
        ms_after=float(ms_after),
        seed=scenario.seed,
    )
    return recording, truth


def _neuropixels(n_channels: int) -> Probe:
    probe = build_neuropixels_probe("NP1000").get_slice(np.arange(n_channels))
    probe.set_device_channel_indices(np.arange(n_channels))
    return probe


def _with_bad_channels(
    recording: si.BaseRecording, seed: int
) -> tuple[si.BaseRecording, list[int], list[int]]:
    """Return the recording with line noise, and with noisy and dead channels side by side."""
    rng = np.random.default_rng(seed)
    traces = recording.get_traces().astype("float32")
    n_samples, n_channels = traces.shape
    seconds = np.arange(n_samples) / RATE_HZ
    line = sum(np.sin(2 * np.pi * 50 * n * seconds) / n for n in (1, 3, 5, 7, 9))
    for index, share in enumerate(rng.uniform(0.5, 1.5, n_channels)):
        traces[:, index] += LINE_UV * share * line
    first = int(rng.integers(n_channels - N_NOISY - N_DEAD - 2))
    chosen = first + rng.permutation(N_NOISY + N_DEAD + 2)
    noisy, dead = chosen[:N_NOISY].tolist(), chosen[N_NOISY : N_NOISY + N_DEAD].tolist()
    for index in noisy:
        traces[:, index] += rng.normal(0, NOISY_UV, n_samples)
    for index in dead:
        traces[:, index] = rng.normal(0, DEAD_UV, n_samples)
    changed = si.NumpyRecording([traces], RATE_HZ, channel_ids=recording.channel_ids)
    changed.set_probegroup(recording.get_probegroup())
    return changed, noisy, dead


def _steps(recording: si.BaseRecording) -> np.ndarray:
    """Return the samples in steps of the converter; chunks, as their noise is made when read."""
    n_samples = recording.get_num_samples(0)
    steps = np.empty((n_samples, recording.get_num_channels()), dtype="int16")
    for start in range(0, n_samples, int(RATE_HZ)):
        end = min(start + int(RATE_HZ), n_samples)
        chunk = recording.get_traces(start_frame=start, end_frame=end) / GAIN_UV
        steps[start:end] = np.clip(np.round(chunk), -32768, 32767)
    return steps


def _snr(truth: si.BaseSorting, recording: si.BaseRecording) -> list[float]:
    analyzer = si.create_sorting_analyzer(truth, recording, sparse=False, return_in_uV=True)
    analyzer.compute(
        {
            "random_spikes": {"max_spikes_per_unit": 100},
            "templates": {},
            "noise_levels": {},
            "quality_metrics": {"metric_names": ["snr"]},
        },
        n_jobs=1,
        progress_bar=False,
    )
    values = analyzer.get_extension("quality_metrics").get_data()["snr"]
    return [float(value) for value in np.nan_to_num(values.to_numpy(dtype="float64"))]
