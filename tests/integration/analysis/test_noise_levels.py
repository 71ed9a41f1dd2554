"""The noise that amplitudes of units are divided by, whatever else is in the recording."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import spikeinterface as si

from spikeinterface_cloud.analysis.noise_levels import compute_noise_levels
from spikeinterface_cloud.preprocessing.pipeline import preprocess
from tests.support.layouts import linear

pytestmark = [
    pytest.mark.integration,
    # traces and sortings in memory come from no file
    pytest.mark.filterwarnings("ignore:The extractor is not serializable"),
    pytest.mark.filterwarnings("ignore:The Recording is not serializable"),
]

RATE_HZ = 30_000.0

Samples = npt.NDArray[np.int16]


def record(samples: Samples, gain_uv: float) -> si.BaseRecording:
    recording = si.NumpyRecording(samples, RATE_HZ)
    recording.set_channel_gains(gain_uv)
    recording.set_channel_offsets(0.0)
    recording.set_dummy_probe_from_locations(linear(samples.shape[1]))
    return recording


def noise_uv(recording: si.BaseRecording) -> npt.NDArray[np.float64]:
    units = si.NumpySorting.from_unit_dict([{"0": np.array([30_000])}], RATE_HZ)
    analyzer = si.create_sorting_analyzer(units, recording, sparse=False)
    compute_noise_levels(analyzer, {"seed": 0})
    levels: npt.NDArray[np.float64] = analyzer.get_extension("noise_levels").get_data()
    return levels


@pytest.mark.parametrize("n_steps", [1.5, 2.1, 3.4])
@pytest.mark.parametrize("n_channels", [1, 4])
@pytest.mark.parametrize("blank_s", [0.0, 0.3, 0.7, 1.0])
def test_noise_of_few_steps_of_the_converter_has_its_true_height(
    n_steps: float, n_channels: int, blank_s: float
) -> None:
    """The median of integers would be off by up to 30 %, and blank frames are no noise."""
    rng = np.random.default_rng(0)
    samples = np.round(rng.normal(0.0, n_steps, (120_000, n_channels))).astype("int16")
    for start in (0, 60_000):
        samples[start : start + int(30_000 * blank_s)] = 0
    np.testing.assert_allclose(noise_uv(record(samples, 2.34)), n_steps * 2.34, rtol=0.08)


@pytest.mark.parametrize(
    ("blank_s", "every_s"), [(0.033, 0.1), (0.5, 1.0), (0.9, 2.0), (6.0, 10.0)]
)
@pytest.mark.parametrize("sorter", ["kilosort4", "simple"])
def test_blank_frames_of_a_job_are_no_noise(
    tmp_path: Path, sorter: str, blank_s: float, every_s: float
) -> None:
    """A filter rings in them, so that they are not blank any more."""
    rng = np.random.default_rng(0)
    samples = np.round(rng.normal(0.0, 25.0, (600_000, 8))).astype("int16")
    samples[np.arange(len(samples)) / RATE_HZ % every_s < blank_s] = 7
    prepared = preprocess(record(samples, 0.2), "default", {sorter: {}}, tmp_path / "prepared")
    np.testing.assert_allclose(noise_uv(prepared.filtered_recording), 5.0, rtol=0.05)


def test_a_constant_channel_has_no_noise() -> None:
    samples = np.random.default_rng(0).normal(0.0, 25.0, (120_000, 2)).astype("int16")
    samples[:, 1] = 3
    assert noise_uv(record(samples, 0.2))[1] == 0.0


def test_artifacts_of_stimulation_do_not_make_noise_blank() -> None:
    rng = np.random.default_rng(0)
    samples = rng.normal(0.0, 25.0, (600_000, 8))
    time_s = np.arange(len(samples)) / RATE_HZ
    pulses = 20_000.0 * np.sign(np.sin(2 * np.pi * 1000.0 * time_s))
    samples += np.where(time_s % 0.1 < 0.03, pulses, 0.0)[:, np.newaxis]
    levels = noise_uv(record(np.round(samples).astype("int16"), 0.2))
    assert levels.min() > 5.0
    assert levels.max() < 9.0
