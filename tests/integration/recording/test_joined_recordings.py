"""Recordings of one probe are opened as the segments of one, each with its own times."""

import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from spikeinterface.core import BaseRecording, NumpyRecording

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.recording.open import OpenedRecording, open_source
from spikeinterface_cloud.recording.source import FetchedSource
from tests.support.joined import DURATIONS, FIRST_SAMPLES, add_to_header, write_runs
from tests.support.nwb_files import write_nwb
from tests.support.recordings import AP_GAIN_UV, quantize, simulate, write_binary_folder
from tests.support.sources import refusal

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:The extractor is not serializable to file"),
]


def opened(
    paths: Sequence[Path], data_type: str = "spikeglx", n_frames: int | None = None
) -> OpenedRecording:
    joined = tuple(FetchedSource(path=path, location=os.fspath(path)) for path in paths)
    return open_source(FetchedSource(joined=joined), data_type, {}, n_frames)


def test_segments_follow_in_order_with_their_own_times(tmp_path: Path) -> None:
    folders, _ = write_runs(tmp_path)
    recording, _ = simulate(duration_s=list(DURATIONS), n_channels=16, n_units=3, seed=1)
    source = opened(folders)
    assert source.recording.get_num_segments() == 3
    for segment in range(3):
        np.testing.assert_array_equal(
            source.recording.get_traces(segment_index=segment),
            recording.get_traces(segment_index=segment),
        )
    assert [list(part.segments) for part in source.parts] == [[0], [1], [2]]
    for part, first, duration_s in zip(source.parts, FIRST_SAMPLES, DURATIONS, strict=True):
        times_s = part.clock.times_s(0, np.array([0, 3000]), 30_000.0)
        np.testing.assert_allclose(times_s, [first / 30_000, first / 30_000 + 0.1])
        assert part.duration_s == duration_s
    described = source.summary["joined"]
    assert [each["location"] for each in described] == [os.fspath(path) for path in folders]
    assert [each["start_time_s"] for each in described] == [1.0, 3.0, 100.0]
    assert source.notes[0].startswith("3 recordings are sorted as one")
    assert "recording 2: the recording's clock starts at 3 s" in " ".join(source.notes)


def test_order_is_that_of_the_source(tmp_path: Path) -> None:
    folders, _ = write_runs(tmp_path)
    there, back = opened(folders).recording, opened(folders[::-1]).recording
    np.testing.assert_array_equal(
        there.get_traces(segment_index=0), back.get_traces(segment_index=2)
    )


def test_first_frames_are_taken_of_each_recording(tmp_path: Path) -> None:
    folders, _ = write_runs(tmp_path)
    recording = opened(folders, n_frames=40_000).recording
    assert [recording.get_num_samples(segment) for segment in range(3)] == [40_000] * 3


def test_times_stay_right_if_a_clock_was_calibrated_again(tmp_path: Path) -> None:
    folders, _ = write_runs(tmp_path)
    add_to_header(folders[1], "imSampRate=30000.6")
    second = opened(folders).parts[1]
    frames = np.array([0, 140_000])
    np.testing.assert_allclose(
        second.clock.times_s(0, frames, 30_000.0), (frames + FIRST_SAMPLES[1]) / 30_000.6, rtol=1e-9
    )


@pytest.mark.parametrize(
    ("started", "words"),
    [
        ("2024-05-01T10:00:09", None),
        ("2024-05-01T12:00:07", "recording 2 began 2h00m after recording 1 ended"),
        ("2024-05-02T10:00:07", "recording 2 began 24h00m after recording 1 ended"),
        ("2024-05-01T09:00:00", "recording 2 began 1h00m before recording 1 ended"),
    ],
)
def test_long_pause_is_noted(started: str, words: str | None, tmp_path: Path) -> None:
    first = "2024-05-01T10:00:00"
    folders, _ = write_runs(tmp_path, durations_s=(7.0, 2.0), dates=(first, started))
    source = opened(folders)
    pause = datetime.fromisoformat(started) - datetime.fromisoformat(first) - timedelta(seconds=7)
    assert source.summary["joined"][1]["pause_s"] == pause.total_seconds()
    assert source.summary["joined"][0]["started"] == first
    began = [note for note in source.notes if "began" in note]
    assert len(began) == (words is not None)
    assert words is None or began[0].startswith(words)


def test_unknown_pause_is_noted(tmp_path: Path) -> None:
    notes = opened(write_runs(tmp_path, durations_s=(2.0, 2.0))[0]).notes
    assert "the files do not say how long the pause before recording 2 was" in notes


def test_nwb_files_are_joined_with_the_start_of_their_sessions(tmp_path: Path) -> None:
    recording, _ = simulate(duration_s=[2.0, 3.0], n_channels=8, n_units=2)
    files = [
        write_nwb(tmp_path / f"{segment}.nwb", recording.select_segments([segment]))
        for segment in range(2)
    ]
    source = opened(files, "nwb")
    assert [part.duration_s for part in source.parts] == [2.0, 3.0]
    assert all(part.started is not None and part.started.tzinfo for part in source.parts)


def changed_recording(name: str) -> BaseRecording:
    """Return a recording that differs from the others in one thing."""
    n_channels = 12 if name == "channels" else 16
    recording, _ = simulate(duration_s=2.0, n_channels=n_channels, n_units=2, seed=5)
    match name:
        case "gain":
            recording = quantize(recording, 4.0)
        case "offset":
            recording.set_channel_offsets(7.0)
        case "contacts":
            probe = recording.get_probe()
            probe.move([0.0, 500.0])
            recording.set_probe(probe)
        case "probe":
            recording = NumpyRecording(
                [recording.get_traces()], 30_000.0, channel_ids=recording.channel_ids
            )
            recording.set_channel_gains(AP_GAIN_UV)
            recording.set_channel_offsets(0.0)
        case "names":
            recording = recording.rename_channels([f"CH{n}" for n in range(16)])
        case "rate":
            recording._sampling_frequency = 30_010.0
        case "dtype":
            recording = quantize(recording, 1.0).astype("float32")
    return recording


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("channels", "it has 12 channels instead of 16"),
        ("names", "its channels have other names: CH0, CH1"),
        ("dtype", "its samples are of type float32 instead of int16"),
        ("rate", "it is sampled at 30010 Hz instead of 30000 Hz"),
        ("gain", "16 channels have other gains: "),
        ("offset", "16 channels have other offsets: "),
        ("contacts", "16 channels are at other contacts: "),
        ("probe", "it has no probe, unlike the first"),
    ],
)
def test_other_recording_is_refused(name: str, words: str, tmp_path: Path) -> None:
    first, _ = simulate(duration_s=2.0, n_channels=16, n_units=2, seed=5)
    other = changed_recording(name)
    paths = [
        write_binary_folder(tmp_path / str(number), recording)
        for number, recording in enumerate([first, other])
    ]
    message = refusal(RecordingError, lambda: opened(paths, "binary"))
    assert message.startswith(f"recording 2 ({paths[1]}) cannot be joined with the first: {words}")


def test_other_probe_with_the_same_contacts_is_refused(tmp_path: Path) -> None:
    folders, _ = write_runs(tmp_path, durations_s=(2.0, 2.0))
    add_to_header(folders[0], "imDatPrb_sn=18005106831")
    add_to_header(folders[1], "imDatPrb_sn=19122516761")
    message = refusal(RecordingError, lambda: opened(folders))
    assert "it is of the probe 19122516761 instead of 18005106831" in message


def test_copy_of_a_recording_is_refused(tmp_path: Path) -> None:
    folders, _ = write_runs(tmp_path / "a", durations_s=(2.0, 2.0))
    copies, _ = write_runs(tmp_path / "b", durations_s=(2.0, 2.0))
    message = refusal(RecordingError, lambda: opened([*folders, copies[0]]))
    assert message.startswith(f"recording 3 ({copies[0]}) is the same as recording 1")


def test_damaged_recording_is_named(tmp_path: Path) -> None:
    folders, _ = write_runs(tmp_path, durations_s=(2.0, 2.0))
    add_to_header(folders[1], "nSavedChans=7")
    assert refusal(RecordingError, lambda: opened(folders)).startswith("recording 2")
