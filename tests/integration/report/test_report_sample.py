"""What the report keeps of a recording: traces, spectrum, and where the spikes are."""

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from spikeinterface.core import BaseRecording, NumpyRecording, append_recordings

from spikeinterface_cloud.preprocessing.pipeline import preprocess
from spikeinterface_cloud.report.peaks import EXCERPT_S, N_EXCERPTS, find_peaks
from spikeinterface_cloud.report.recording import recorded_figures
from spikeinterface_cloud.report.sample import RecordingSample, take_sample
from tests.support.recordings import neuropixels_probe, simulate

pytestmark = [
    pytest.mark.integration,
    # SpikeInterface cannot save where simulated traces come from, and need not
    pytest.mark.filterwarnings("ignore:The extractor is not serializable"),
]

HUM_HZ, HUM_UV = 50.0, 300.0


def humming(gain_uv: float | None = 1.0) -> BaseRecording:
    """Two segments with the hum of the mains, and a spike on one contact every 10 ms."""
    traces = []
    for seconds in (3.0, 1.0):
        time_s = np.arange(int(seconds * 30_000)) / 30_000
        noise = np.random.default_rng(0).normal(0, 5, (len(time_s), 16))
        hum = HUM_UV * np.sin(2 * np.pi * HUM_HZ * time_s)[:, None]
        spikes = np.zeros_like(noise)
        for offset, height in zip(range(5), (60.0, 180.0, 300.0, 180.0, 60.0), strict=True):
            spikes[150 + offset :: 300, 9] -= height
        traces.append((noise + hum + spikes).round().astype("int16"))
    recording = NumpyRecording(traces, 30_000.0)
    recording.set_probe(neuropixels_probe(16))
    if gain_uv is not None:
        recording.set_channel_gains(gain_uv)
        recording.set_channel_offsets(0.0)
    return recording


def sampled(
    recording: BaseRecording, folder: Path, steps: str | list[dict[str, Any]] = "default"
) -> RecordingSample:
    preprocessed = preprocess(recording, steps, {"simple": {}}, folder / "preprocessed")
    sample = take_sample(recording, preprocessed)
    assert sample is not None
    return sample


def test_spectrum_shows_the_filtered_band(tmp_path: Path) -> None:
    sample = sampled(humming(), tmp_path)
    at_hum = int(np.argmin(np.abs(sample.before.frequency_hz - HUM_HZ)))
    assert sample.before.power_median[at_hum] > 1000 * sample.after.power_median[at_hum]
    assert np.ptp(sample.before.traces) > 2 * HUM_UV * 0.9
    assert sample.segment_durations_s == (3.0, 1.0)
    assert sample.excerpt_start_s == pytest.approx(1.475)


def test_traces_are_drawn_at_the_rate_before_and_after_resampling(tmp_path: Path) -> None:
    steps: list[dict[str, Any]] = [
        {"name": "resample", "params": {"resample_rate": 15_000}},
        {"name": "highpass_filter", "params": {}},
    ]
    sample = sampled(humming(), tmp_path, steps)
    assert [signal.traces.shape[0] for signal in (sample.before, sample.after)] == [1500, 750]
    figures = {figure.title: figure for figure in recorded_figures(sample)}
    for title in ("Traces before preprocessing", "Traces after preprocessing"):
        figure = figures[title]
        assert figure.caption.startswith("50 ms at 1.5 s; ")
        assert figure.plot is not None
        ticks = [int(text) for text in re.findall(r">(\d+)<", figure.plot)]
        assert max(ticks) == 40  # of 50 ms, less one sample


def test_peaks_match_spikes_in_time_and_depth(tmp_path: Path) -> None:
    recording = humming()
    peaks = sampled(recording, tmp_path).peaks
    assert peaks is not None
    depth = recording.get_channel_locations()[9, 1]
    assert peaks.n_found == pytest.approx(400, abs=20)
    assert np.median(peaks.depth_um) == pytest.approx(depth, abs=20)
    assert peaks.time_s.max() > 3.5  # the second segment comes after the first
    assert peaks.looked_at_s == pytest.approx(4.0, abs=0.1)
    assert peaks.unit == "µV"


def test_recording_without_gain_is_in_counts(tmp_path: Path) -> None:
    sample = sampled(humming(gain_uv=None), tmp_path)
    assert sample.peaks is not None
    assert {sample.before.unit, sample.after.unit, sample.peaks.unit} == {"counts"}


def test_noise_has_no_peaks() -> None:
    noise = np.random.default_rng(0).normal(0, 10, (30_000, 8)).astype("float32")
    recording = NumpyRecording([noise], 30_000.0)
    recording.set_probe(neuropixels_probe(8))
    peaks = find_peaks(recording)
    assert (peaks.n_found, len(peaks.time_s), len(peaks.depth_um)) == (0, 0, 0)


@pytest.mark.parametrize("rate_hz", [10_000.0, 12_500.0, 20_000.0, 25_000.0, 40_000.0])
def test_constant_channels_are_tolerated(rate_hz: float) -> None:
    """Constant channels, and noise that is mostly below one step of the converter."""
    samples = np.random.default_rng(0).normal(0, 0.4, (int(3 * rate_hz), 16))
    samples[:, 5] = 0
    samples[100::200, 10] -= 60
    samples[100::200, 5] = -1
    recording = NumpyRecording([samples.round().astype("int16")], rate_hz)
    recording.set_probe(neuropixels_probe(16))
    peaks = find_peaks(recording)
    n_spikes = len(samples[100::200])
    assert peaks.n_found == pytest.approx(n_spikes, abs=0.05 * n_spikes)
    depth = recording.get_channel_locations()[10, 1]
    assert np.median(peaks.depth_um) == pytest.approx(depth, abs=20)


def test_segments_of_a_few_samples_are_sampled() -> None:
    whole = simulate(duration_s=2.0, n_channels=8, n_units=2)[0]
    stub = whole.frame_slice(start_frame=0, end_frame=3)
    together, alone = find_peaks(append_recordings([stub, whole, stub])), find_peaks(whole)
    assert together.n_found == pytest.approx(alone.n_found, rel=0.1)


def test_long_recording_is_sampled_in_slices() -> None:
    quick = simulate(duration_s=2.0, n_channels=8, n_units=2)[0]
    long = NumpyRecording([np.tile(quick.get_traces(), (60, 1))], 30_000.0)
    long.set_probegroup(quick.get_probegroup())
    long.annotate(is_filtered=True)
    peaks = find_peaks(long)
    assert peaks.looked_at_s == pytest.approx(N_EXCERPTS * EXCERPT_S)
    assert np.histogram(peaks.time_s, bins=10, range=(0, 120))[0].min() > 0


def test_unreadable_recording_is_tolerated(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recording = humming()
    preprocessed = preprocess(recording, "default", {"simple": {}}, tmp_path / "preprocessed")
    [file] = (tmp_path / "preprocessed").glob("*.raw")
    os.truncate(file, 0)
    assert take_sample(recording, preprocessed) is None
    assert "cannot be sampled" in caplog.text
