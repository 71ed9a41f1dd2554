"""Kilosort4 finds the neurons of tetrodes, with what is chosen where the user gives nothing."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from probeinterface import ProbeGroup, generate_tetrode
from spikeinterface.comparison import compare_sorter_to_ground_truth
from spikeinterface.core import BaseRecording, NumpyRecording, NumpySorting
from spikeinterface.sorters import run_sorter

from spikeinterface_cloud.config.catalog.kilosort4 import WHITENED
from spikeinterface_cloud.preprocessing.pipeline import preprocess
from spikeinterface_cloud.sorting.derived_parameters import run_parameters

pytestmark = [
    pytest.mark.integration,
    pytest.mark.sorting,
    pytest.mark.kilosort,
    pytest.mark.filterwarnings("ignore"),  # Kilosort4's own, and torch's
]

#: in um
TETRODE_SPACING = 300.0
SECONDS = 15.0
SPIKES_PER_SECOND = 45.0
GAIN_UV = 0.195


def tetrode_recording(n_tetrodes: int, rate_hz: float) -> tuple[BaseRecording, NumpySorting]:
    """Two neurons of 260 and 170 uV on each tetrode, which all of its wires see nearly alike."""
    generator = np.random.default_rng(0)
    probes = ProbeGroup()
    for index in range(n_tetrodes):
        tetrode = generate_tetrode(r=15)
        tetrode.move([index * TETRODE_SPACING, 0.0])
        probes.add_probe(tetrode)
    probes.set_global_device_channel_indices(np.arange(4 * n_tetrodes))
    traces = generator.normal(0.0, 6.0, (int(SECONDS * rate_hz), 4 * n_tetrodes))
    before, after = int(0.001 * rate_hz), int(0.002 * rate_hz)
    time_ms = np.arange(-before, after) / rate_hz * 1000
    spikes = {}
    for unit in range(2 * n_tetrodes):
        wires = slice(4 * (unit // 2), 4 * (unit // 2) + 4)
        seen = generator.uniform(0.75, 1.0, 4)
        wave = -np.exp(-((time_ms / (0.12, 0.22)[unit % 2]) ** 2))
        wave += 0.35 * np.exp(-(((time_ms - 0.5) / 0.3) ** 2))
        gaps_s = generator.exponential(1 / SPIKES_PER_SECOND, int(SECONDS * SPIKES_PER_SECOND))
        frames = (np.cumsum(gaps_s + 0.003) * rate_hz).astype(int)
        spikes[str(unit)] = frames[(frames > before) & (frames < len(traces) - after)]
        for frame in spikes[str(unit)]:
            spike = np.outer(wave, (260.0, 170.0)[unit % 2] * seen / seen.max())
            traces[frame - before : frame + after, wires] += spike
    recording = NumpyRecording([np.round(traces / GAIN_UV).astype("int16")], rate_hz)
    recording.set_channel_gains(GAIN_UV)
    recording.set_channel_offsets(0.0)
    recording.set_probegroup(probes)
    return recording, NumpySorting.from_unit_dict([spikes], rate_hz)


SKIPS: dict[str, object] = {"skip_kilosort_preprocessing": True}


@pytest.mark.parametrize(
    ("n_tetrodes", "rate_hz", "asked", "chosen"),
    [
        (3, 30_000.0, {}, {"nblocks": 0}),
        (1, 10_000.0, {}, {"nblocks": 0, "do_CAR": False, "nt": 21}),
        (1, 30_000.0, SKIPS, {"nblocks": 0, "do_CAR": False}),
    ],
)
def test_all_neurons_on_tetrodes_are_found(
    tmp_path: Path,
    n_tetrodes: int,
    rate_hz: float,
    asked: dict[str, object],
    chosen: dict[str, object],
) -> None:
    if not os.environ.get("CI"):
        pytest.importorskip("kilosort", reason="Kilosort4 is not installed", exc_type=ImportError)
    recording, truth = tetrode_recording(n_tetrodes, rate_hz)
    saved = recording.save(folder=tmp_path / "recording", verbose=False)
    given = {"torch_device": "cpu", **asked}
    if asked == SKIPS:  # with the steps that its refusal advises
        steps = json.loads(WHITENED)
        saved = preprocess(saved, steps, {"kilosort4": given}, tmp_path).for_sorting
    parameters = run_parameters("kilosort4", given, saved)
    assert parameters == given | chosen
    sorting = run_sorter("kilosort4", saved, folder=tmp_path / "sorter", **parameters)
    comparison = compare_sorter_to_ground_truth(truth, sorting, exhaustive_gt=True)
    accuracy = comparison.get_performance(method="by_unit", output="pandas")["accuracy"]
    assert accuracy.astype(float).min() > 0.8, accuracy
