"""Join opened recordings of one probe, in order, as segments of one."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import spikeinterface as si

from spikeinterface_cloud.recording.clock.clock import Clock, clock_of
from spikeinterface_cloud.recording.clock.notes import describe_clock
from spikeinterface_cloud.recording.joined_headers import (
    RATE_TOLERANCE,
    about_recording,
    rates_differ,
    refusal,
    twice,
)
from spikeinterface_cloud.recording.messages import list_channels
from spikeinterface_cloud.recording.start_date import find_start
from spikeinterface_cloud.runtime.logging import format_seconds

#: after a longer pause neurons and the probe are not where they were
LONG_PAUSE_S = 3600.0

#: of the dates in metadata, which are often whole seconds
DATE_TOLERANCE_S = 2.0

#: how far apart contacts and gains of the same probe are due to rounding
SAME_PLACE_UM = 0.1
SAME_GAIN = 1e-6

#: of each recording, to find out whether it is there twice
COMPARED_FRAMES = 30_000


@dataclass(frozen=True, kw_only=True, slots=True)
class JoinedPart:
    """One of the recordings that are sorted as one."""

    #: from 1
    number: int
    location: str
    #: as its files have it, with their metadata
    opened: si.BaseRecording
    #: its segments among those of all
    segments: range
    #: of its own segments, for frames at the rate of the first recording
    clock: Clock
    duration_s: float
    #: when its first sample was taken, if the files say it
    started: datetime | None

    @property
    def ended(self) -> datetime | None:
        """When its last sample was taken, if the files say it."""
        if self.started is None:
            return None
        length_s = max(end for _, end in self.clock.intervals_s()) - self.clock.begin_s
        return self.started + timedelta(seconds=length_s)

    def describe(self, before: "JoinedPart | None") -> dict[str, Any]:
        """Return the entry of `run.json`."""
        return {
            "number": self.number,
            "location": self.location,
            "first_segment": self.segments.start,
            "n_segments": len(self.segments),
            "duration_s": self.duration_s,
            "start_time_s": self.clock.begin_s,
            "started": None if self.started is None else self.started.isoformat(),
            "pause_s": None if before is None else pause_s(before, self),
            "drift_um": None,
        }


def join_recordings(
    opened: Sequence[si.BaseRecording],
    prepared: Sequence[tuple[si.BaseRecording, Sequence[str]]],
    locations: Sequence[str],
) -> tuple[si.BaseRecording, list[JoinedPart], list[str]]:
    """Return one recording with the segments of all, its parts, and notes for the user.

    Parameters
    ----------
    opened
        as their files have them; they have passed `check_same_probe`
    prepared
        the samples of each to sort, and notes on it
    """
    recordings = [each for each, _ in prepared]
    for number, recording in enumerate(recordings[1:], 2):  # earlier processing may tell
        if difference := find_difference(recording, recordings[0]):
            raise refusal(number, locations[number - 1], difference)
    rate_hz = float(recordings[0].sampling_frequency)
    with warnings.catch_warnings():  # each recording keeps its own times
        warnings.filterwarnings("ignore", "Inconsistent sampling frequency")
        joined = si.append_recordings(
            recordings, sampling_frequency_max_diff=rate_hz * RATE_TOLERANCE
        )
    parts: list[JoinedPart] = []
    notes: list[str] = []
    for number, (recording, of_it) in enumerate(prepared, 1):
        first = parts[-1].segments.stop if parts else 0
        clock = clock_of(recording)
        parts.append(
            JoinedPart(
                number=number,
                location=locations[number - 1],
                opened=opened[number - 1],
                segments=range(first, first + recording.get_num_segments()),
                clock=replace(clock, sampling_frequency_hz=rate_hz),
                duration_s=recording.get_total_samples() / float(recording.sampling_frequency),
                started=find_start(opened[number - 1], locations[number - 1]),
            )
        )
        notes += [f"recording {number}: {note}" for note in [*of_it, *describe_clock(clock)]]
    return joined, parts, [_describe(parts), *_describe_pauses(parts), *notes]


def pause_s(before: JoinedPart, after: JoinedPart) -> float | None:
    """Return the seconds between two recordings; negative if they overlap, None if unknown."""
    end, start = before.ended, after.started
    if end is None or start is None or (end.tzinfo is None) != (start.tzinfo is None):
        return None
    return (start - end).total_seconds()


def _describe(parts: Sequence[JoinedPart]) -> str:
    return (
        f"{len(parts)} recordings are sorted as one, with the same units in each: "
        + ", ".join(f"{each.number} is {each.location}" for each in parts)
        + "; the results are split again by recording"
    )


def _describe_pauses(parts: Sequence[JoinedPart]) -> list[str]:
    notes = []
    pauses = [(after, pause_s(before, after)) for before, after in pairwise(parts)]
    for after, pause in pauses:
        earlier = f"recording {after.number - 1}"
        if pause is not None and pause < -DATE_TOLERANCE_S:
            notes.append(
                f"recording {after.number} began {format_seconds(-pause)} before {earlier} ended, "
                "by their metadata; they are sorted in the given order: check it"
            )
        elif pause is not None and pause >= LONG_PAUSE_S:
            notes.append(
                f"recording {after.number} began {format_seconds(pause)} after {earlier} ended: "
                "the probe may have moved, and neurons may be others; the report shows the drift "
                "between them"
            )
    unknown = [str(after.number) for after, pause in pauses if pause is None]
    if unknown:
        notes.append(
            f"the files do not say how long the pause before recording {', '.join(unknown)} was"
        )
    return notes


def check_same_probe(opened: Sequence[si.BaseRecording], locations: Sequence[str]) -> None:
    """Refuse a recording that differs from the first one, or is the same as one before it."""
    samples: list[tuple[int, np.ndarray]] = []
    for number, recording in enumerate(opened, 1):
        location = locations[number - 1]
        if number > 1 and (difference := find_difference(recording, opened[0])):
            raise refusal(number, location, difference)
        with about_recording(number, location):
            excerpt = _excerpt(recording)
        for earlier, other in enumerate(samples, 1):
            if _is_same(excerpt, other):
                raise twice(number, location, earlier)
        samples.append(excerpt)


def find_difference(recording: si.BaseRecording, first: si.BaseRecording) -> str | None:
    """Return in words what differs from the first recording; None if they can be joined."""
    n_channels, expected = recording.get_num_channels(), first.get_num_channels()
    if n_channels != expected:
        return f"it has {n_channels} channels instead of {expected}"
    other = recording.channel_ids.astype(str) != first.channel_ids.astype(str)
    if other.any():
        return (
            f"its channels have other names: {list_channels(recording.channel_ids[other])} instead "
            f"of {list_channels(first.channel_ids[other])}"
        )
    if recording.get_dtype() != first.get_dtype():
        return f"its samples are of type {recording.get_dtype()} instead of {first.get_dtype()}"
    rate_hz, first_hz = float(recording.sampling_frequency), float(first.sampling_frequency)
    if rates_differ(rate_hz, first_hz):
        return f"it is sampled at {rate_hz:g} Hz instead of {first_hz:g} Hz"
    for name in ("gain", "offset"):
        if difference := _compare_scale(recording, first, name):
            return difference
    return _compare_contacts(recording, first) or _compare_processing(recording, first)


def _compare_scale(recording: si.BaseRecording, first: si.BaseRecording, name: str) -> str | None:
    values, expected = (each.get_property(f"{name}_to_uV") for each in (recording, first))
    if values is None or expected is None:
        if values is expected:
            return None
        return f"its {name}s are {'unknown' if values is None else 'known'}, unlike those there"
    other = ~np.isclose(values, expected, rtol=SAME_GAIN, atol=0, equal_nan=True)
    if not other.any():
        return None
    index = int(np.flatnonzero(other)[0])
    return (
        f"{np.count_nonzero(other)} channels have other {name}s: {recording.channel_ids[index]} "
        f"has {values[index]:g} µV instead of {expected[index]:g} µV"
    )


def _compare_contacts(recording: si.BaseRecording, first: si.BaseRecording) -> str | None:
    if recording.has_probe() != first.has_probe():
        return f"it has {'a' if recording.has_probe() else 'no'} probe, unlike the first"
    if not recording.has_probe():
        return None
    places, expected = (each.get_channel_locations() for each in (recording, first))
    if places.shape != expected.shape:
        return "its contacts have other dimensions"
    other = np.abs(places - expected).max(axis=1) > SAME_PLACE_UM
    if other.any():
        return (
            f"{np.count_nonzero(other)} channels are at other contacts: "
            f"{list_channels(recording.channel_ids[other])}"
        )
    if not np.array_equal(recording.get_channel_groups(), first.get_channel_groups()):
        return "its channels are in other groups or on other shanks"
    serials, known = _serial_numbers(recording), _serial_numbers(first)
    if serials != known and all(serials) and all(known):
        return f"it is of the probe {', '.join(serials)} instead of {', '.join(known)}"
    return None


def _compare_processing(recording: si.BaseRecording, first: si.BaseRecording) -> str | None:
    shifts, expected = (each.get_property("inter_sample_shift") for each in (recording, first))
    both = shifts is not None and expected is not None
    if (both and not np.allclose(shifts, expected)) or (not both and shifts is not expected):
        return "its channels are aligned, or the channels of the first one are"
    if recording.is_filtered() != first.is_filtered():
        return f"it {'was' if recording.is_filtered() else 'was not'} filtered, unlike the first"
    return None


def _serial_numbers(recording: si.BaseRecording) -> list[str]:
    probes = recording.get_probegroup().probes
    return [str(probe.annotations.get("serial_number") or "") for probe in probes]


def _excerpt(recording: si.BaseRecording) -> tuple[int, np.ndarray]:
    """Return the length of a recording and samples from the middle of its first segment."""
    n_frames = recording.get_num_samples(0)
    start = max(0, (n_frames - COMPARED_FRAMES) // 2)
    traces = recording.get_traces(
        segment_index=0, start_frame=start, end_frame=min(start + COMPARED_FRAMES, n_frames)
    )
    return recording.get_total_samples(), np.asarray(traces)


def _is_same(excerpt: tuple[int, np.ndarray], other: tuple[int, np.ndarray]) -> bool:
    (length, traces), (other_length, other_traces) = excerpt, other
    is_flat = traces.size == 0 or np.ptp(traces) == 0
    return not is_flat and length == other_length and np.array_equal(traces, other_traces)
