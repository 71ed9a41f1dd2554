"""The drift between joined recordings, as the report takes it from the detected peaks."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import spikeinterface as si

from spikeinterface_cloud.preprocessing.pipeline import preprocess
from spikeinterface_cloud.report.drift_between import (
    drift_between,
    joined_rows,
    with_drift,
)
from spikeinterface_cloud.report.peaks import Peaks
from spikeinterface_cloud.report.sample import RecordingSample, take_sample
from tests.support.recordings import neuropixels_probe, simulate
from tests.support.reports import contacts_of, sample_of

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:The extractor is not serializable to file"),
]

#: two rows of contacts
ROW_CHANNELS, ROW_UM = 4, 40.0
N_CHANNELS = 56


@pytest.fixture(scope="module")
def wide() -> si.BaseRecording:
    """Two recordings of the same neurons, on more contacts than are used."""
    n_wide = N_CHANNELS + ROW_CHANNELS
    recording, _ = simulate(duration_s=[8.0, 8.0], n_channels=n_wide, n_units=14, seed=4)
    return recording


def on_contacts(
    wide: si.BaseRecording, segment: int, first: int, scale: float = 1.0
) -> si.BaseRecording:
    """Return one recording as the first contacts see it, if the neurons moved along the probe."""
    traces = wide.get_traces(segment_index=segment)[:, first : first + N_CHANNELS]
    scaled = np.round(traces * scale).astype("int16")
    recording = si.NumpyRecording([scaled], wide.sampling_frequency)
    recording.set_channel_gains(wide.get_channel_gains()[0])
    recording.set_channel_offsets(0.0)
    recording.set_probe(neuropixels_probe(N_CHANNELS))
    return recording


def sampled(
    recordings: Sequence[si.BaseRecording], tmp_path_factory: pytest.TempPathFactory
) -> RecordingSample:
    joined = si.append_recordings(list(recordings))
    folder = tmp_path_factory.mktemp("scratch") / "preprocessed"
    sample = take_sample(joined, preprocess(joined, "default", {"simple": {}}, folder))
    assert sample is not None
    return sample


def test_planted_shifts_are_found(
    wide: si.BaseRecording, tmp_path_factory: pytest.TempPathFactory
) -> None:
    recordings = [
        on_contacts(wide, 0, 0),
        on_contacts(wide, 1, 0),
        on_contacts(wide, 0, ROW_CHANNELS, scale=0.8),  # neurons are 40 um lower, and smaller
    ]
    none, down = drift_between(sampled(recordings, tmp_path_factory), [8.0] * 3)
    assert none == pytest.approx(0.0, abs=4.0)
    assert down == pytest.approx(-ROW_UM, abs=6.0)


def with_peaks(depth_um: np.ndarray, time_s: np.ndarray) -> RecordingSample:
    order = np.argsort(time_s, kind="stable")
    peaks = Peaks(
        time_s=time_s[order],
        depth_um=depth_um[order],
        amplitude=np.random.default_rng(0).uniform(40, 200, len(order)),
        unit="µV",
        looked_at_s=20.0,
        n_found=len(order),
    )
    return replace(sample_of(contacts=contacts_of(np.linspace(0, 400, 32))), peaks=peaks)


def test_drift_of_few_peaks_is_not_told() -> None:
    rng = np.random.default_rng(1)
    sample = with_peaks(rng.uniform(0, 400, 1050), np.r_[np.full(1000, 1.0), np.full(50, 11.0)])
    assert drift_between(sample, [10.0, 10.0]) == [None]


def test_drift_between_other_neurons_is_not_told() -> None:
    rng = np.random.default_rng(1)
    first = rng.normal(np.repeat([40.0, 60.0, 330.0], 400), 6.0)
    second = rng.normal(np.repeat([150.0, 210.0, 250.0], 400), 25.0)
    time_s = np.r_[np.full(1200, 1.0), np.full(1200, 11.0)]
    sample = with_peaks(np.r_[first, second], time_s)
    assert drift_between(sample, [10.0, 10.0]) == [None]


def test_drift_is_added_to_the_record_with_a_note() -> None:
    entry = {
        "location": "s3://lab/run",
        "first_segment": 0,
        "n_segments": 1,
        "duration_s": 10.0,
        "start_time_s": 0.0,
        "started": "2024-05-01T10:00:00",
        "pause_s": None,
        "drift_um": None,
    }
    joined = [{**entry, "number": 1}, {**entry, "number": 2, "pause_s": 7200.0}]
    rng = np.random.default_rng(1)
    neurons = np.array([60.0, 75.0, 110.0, 160.0, 175.0, 230.0, 240.0, 250.0, 300.0])
    depth_um = rng.normal(np.repeat(neurons, 200), 8.0)
    time_s = np.r_[np.full(1800, 1.0), np.full(1800, 11.0)]
    sample = with_peaks(np.r_[depth_um, depth_um + 20], time_s)
    before = {"n_channels": 16, "notes": ["one"], "joined": joined}
    after = with_drift(before, sample)
    drift_um = after["joined"][1]["drift_um"]
    assert drift_um == pytest.approx(20.0, abs=4.0)
    assert after["joined"][0] == joined[0]
    assert after["notes"][0] == "one"
    assert (
        f"spikes moved by about {drift_um:+.0f} µm along the probe from recording 1"
        in after["notes"][1]
    )
    [_, row] = joined_rows(after["joined"])
    assert (row.drift, row.pause, row.started) == (
        f"{drift_um:+.0f}",
        "2h00m",
        "2024-05-01 10:00:00",
    )
    assert with_drift({"notes": [], "joined": []}, sample) == {"notes": [], "joined": []}
