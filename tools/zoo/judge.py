"""Whether the results of a job are those of the true recording."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import spikeinterface as si

from spikeinterface_cloud.config.locations import ARCHIVE
from tools.zoo.truth import Truth

#: matching spikes of a neuron and its unit, over all spikes of either
LEAST_ACCURACY = 0.7
#: largest distance of matching spikes
TOLERANCE_FRAMES = 10
#: of the amplitude of a unit, whose filter and offsets change it
AMPLITUDE_PART = 0.3
#: of rates and gains, which files may round
ROUNDED = 1e-4


def differences(results: Path, truth: Truth, sorter: str = "simple") -> list[str]:
    """Return what differs between the results and the truth, a sentence each."""
    record = json.loads((results / "run.json").read_text())
    found = [*_of_summary(record["recording"], truth)]
    if (results / ARCHIVE).exists():
        found += _of_samples(si.load(results / ARCHIVE), truth)
    [run] = record["sorters"]
    if run["n_units"] == 0:
        return [*found, f"no unit, of {len(truth.neurons)} neurons"]
    return [*found, *_of_units(results / sorter, truth)]


def is_shorter(results: Path, truth: Truth) -> bool:
    """Return whether the samples are those of the first part of the recording."""
    archived = si.load(results / ARCHIVE)
    samples = _microvolts(archived, truth)
    expected = truth.samples[: len(samples)] * (truth.gain_uv or 1.0)
    return (
        samples.shape == expected.shape
        and len(samples) < truth.n_frames
        and bool(np.allclose(samples, expected, rtol=0, atol=0.51 * (truth.gain_uv or 1.0)))
    )


def _of_summary(summary: dict[str, Any], truth: Truth) -> Iterator[str]:
    expected = {
        "n_channels": truth.n_channels,
        "sampling_frequency_hz": truth.rate_hz,
        "duration_s": truth.duration_s,
        "n_segments": len(truth.segments),
    }
    for name, value in expected.items():
        if not np.isclose(summary[name], value, rtol=ROUNDED, atol=0):
            yield f"{name} is {summary[name]} instead of {value}"
    step_uv = truth.file_gain_uv or truth.gain_uv
    gain = None if step_uv is None else [step_uv] * 2
    found = summary["gain_to_uv"]
    if (gain is None) != (found is None) or (
        gain is not None and not np.allclose(found, gain, rtol=ROUNDED, atol=0)
    ):
        # floats are in microvolts already
        if found is not None and list(found) == [1.0, 1.0] and summary["dtype"] == "float32":
            return
        yield f"gain_to_uv is {found} instead of {gain}"


def _of_samples(archived: si.BaseRecording, truth: Truth) -> Iterator[str]:
    samples = _microvolts(archived, truth)
    step_uv = truth.gain_uv or 1.0
    expected = truth.samples * step_uv
    if samples.shape != expected.shape:
        yield f"samples of shape {samples.shape} instead of {expected.shape}"
        return
    differ = np.abs(samples - expected) > 0.51 * step_uv
    if wrong := int(np.count_nonzero(differ)):
        yield f"{wrong} of {expected.size} samples differ"


def _microvolts(recording: si.BaseRecording, truth: Truth) -> np.ndarray:
    """Return the samples of all segments; around 0 if the file holds unsigned numbers."""
    scaled = recording.has_scaleable_traces() and truth.gain_uv is not None
    segments = [
        recording.get_traces(segment_index=number, return_in_uV=scaled).astype("float64")
        for number in range(recording.get_num_segments())
    ]
    samples: np.ndarray = np.concatenate(segments)
    if recording.get_dtype().kind == "u":
        samples -= np.round(np.median(samples) - np.median(truth.samples))
    return samples


def _of_units(folder: Path, truth: Truth) -> Iterator[str]:
    sorting = si.load(folder / "sorting")
    analyzer = si.load_sorting_analyzer(folder / "analyzer.zarr")
    templates = analyzer.get_extension("templates").get_data()
    places = analyzer.get_channel_locations()
    true_places = truth.probe.contact_positions if truth.places_um is None else truth.places_um
    trains = _joined_trains(sorting, truth)
    for number, neuron in enumerate(truth.neurons):
        agreements = [_agreement(neuron.frames, train) for train in trains]
        best = int(np.argmax(agreements))
        if agreements[best] < LEAST_ACCURACY:
            yield f"neuron {number} is found with an accuracy of {agreements[best]:.2f}"
            continue
        template = templates[list(analyzer.unit_ids).index(sorting.unit_ids[best])]
        channel = int(np.abs(template).max(axis=0).argmax())
        shift = (places[channel] - places.min(axis=0)) - (
            true_places[neuron.channel] - true_places.min(axis=0)
        )
        if np.abs(shift).max() > 1:
            yield f"neuron {number} is found {shift.round().tolist()} um from its place"
        amplitude = -float(template[:, channel].min())
        expected = truth.amplitude_uv(neuron)
        if abs(amplitude / expected - 1) > AMPLITUDE_PART:
            yield f"neuron {number} has an amplitude of {amplitude:.1f} instead of {expected:.1f}"


def _joined_trains(sorting: si.BaseSorting, truth: Truth) -> list[np.ndarray]:
    lengths = [len(segment) for segment in truth.segments]
    starts = np.concatenate([[0], np.cumsum(lengths)])[: sorting.get_num_segments()]
    return [
        np.concatenate(
            [
                sorting.get_unit_spike_train(unit, segment_index=number) + start
                for number, start in enumerate(starts)
            ]
        )
        for unit in sorting.unit_ids
    ]


def _agreement(true: np.ndarray, found: np.ndarray) -> float:
    if len(true) == 0 or len(found) == 0:
        return 0.0
    nearest = np.abs(np.subtract.outer(found, true)).min(axis=0)
    n_matching = int(np.count_nonzero(nearest <= TOLERANCE_FRAMES))
    return n_matching / (len(true) + len(found) - n_matching)
