"""The digital lines of a stream, and analog inputs with a threshold: when they rose and fell.

Times are those of the stream's own clock, as spike times of a job that sorts the stream are.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from neo import rawio
from spikeinterface.core import BaseRecording

from spikeinterface_cloud.config.event_lines import Threshold
from spikeinterface_cloud.config.parsing import nearest
from spikeinterface_cloud.errors import SettingsError
from spikeinterface_cloud.recording.clock.clock import Clock, clock_of
from spikeinterface_cloud.recording.clock.overlaps import without_repeated_samples
from spikeinterface_cloud.recording.sync.edges import (
    NO_EDGES,
    WORD_BITS,
    Edges,
    HysteresisThreshold,
    find_edges,
)
from spikeinterface_cloud.recording.sync.open_ephys_ttl import ttl_lines
from spikeinterface_cloud.recording.sync.pulses import LineEdges, Seconds, SegmentEdges, StreamLines

#: frames that are read at a time
CHUNK_FRAMES = 500_000

#: SpikeGLX's name of a channel of digital words, and the number of the word
WORD = re.compile(r"XD(\d+)")

#: of SpikeGLX's other channels that hold bits: the sync word
SYNC_WORD = re.compile(r"SY\d+")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Channels:
    """Channels that lines are read from."""

    #: of digital words, then of thresholded signals
    ids: Sequence[Any]
    #: number of each word in the words that were acquired
    words: Sequence[int]
    #: name, and threshold in the steps of the file
    thresholds: Sequence[tuple[str, float, float]]

    def name_of(self, line: int) -> str:
        """Return the name of a line of `find_edges`."""
        column, bit = divmod(line, WORD_BITS)
        if column < len(self.words):
            return f"line{self.words[column] * WORD_BITS + bit}"
        return self.thresholds[column - len(self.words)][0]


def read_lines(recording: BaseRecording, thresholds: Mapping[str, Threshold]) -> StreamLines:
    """Return the edges of the digital lines of a stream, and of signals with a threshold.

    Samples that are in two files are read once, and files without a gap between them are read as
    one.

    Parameters
    ----------
    recording
        the stream, as SpikeInterface's reader of SpikeGLX or Open Ephys returned it
    thresholds
        by name of the channel: `XA2`

    Raises
    ------
    SettingsError
        for a channel that is not there, and a threshold that it cannot reach
    """
    is_open_ephys = isinstance(getattr(recording, "neo_reader", None), rawio.OpenEphysBinaryRawIO)
    ttl = ttl_lines(recording) if is_open_ephys else StreamLines(lines={})
    recording, _ = without_repeated_samples(recording)
    lines, notes = _edges_by_name(recording, _channels(recording, thresholds))
    return StreamLines(lines={**ttl.lines, **lines}, notes=[*ttl.notes, *notes])


def digital_line_names(recording: BaseRecording) -> list[str]:
    """Return every digital line of a stream of SpikeGLX, whether it changes or not."""
    return [
        f"line{word * WORD_BITS + bit}"
        for word in _words(recording).values()
        for bit in range(WORD_BITS)
    ]


def _names(recording: BaseRecording) -> dict[str, Any]:
    """Return the id of each channel by the name that the acquisition system gave it."""
    names = recording.get_property("channel_name")
    ids = recording.channel_ids.tolist()
    return dict(zip(ids if names is None else map(str, names), ids, strict=True))


def _words(recording: BaseRecording) -> dict[Any, int]:
    """Return the number of each digital word by the id of its channel."""
    matches = {each: WORD.fullmatch(name) for name, each in _names(recording).items()}
    return {each: int(match[1]) for each, match in matches.items() if match}


def _channels(recording: BaseRecording, thresholds: Mapping[str, Threshold]) -> _Channels:
    words, names = _words(recording), _names(recording)
    analog = [
        name for name, each in names.items() if each not in words and not SYNC_WORD.fullmatch(name)
    ]
    in_steps = []
    for name, threshold in thresholds.items():
        if name not in analog:
            raise SettingsError(
                f"EVENTS: the stream has no analog channel {name}{nearest(name, analog)} "
                f"(it has {', '.join(analog[:20]) or 'none'})"
            )
        in_steps.append((name, *_in_steps(recording, name, names[name], threshold)))
    ids = [*words, *(names[name] for name in thresholds)]
    return _Channels(ids=ids, words=list(words.values()), thresholds=in_steps)


def _in_steps(
    recording: BaseRecording, name: str, channel: Any, threshold: Threshold
) -> tuple[float, float]:
    """Return where the line rises and falls, in the integers of the file."""
    index = recording.channel_ids.tolist().index(channel)
    if recording.get_property("physical_unit")[index] != "V":
        raise SettingsError(
            f"EVENTS: the file does not say that {name} is in volts, so that no threshold can be "
            "set; leave it out"
        )
    gain_v = float(recording.get_property("gain_to_physical_unit")[index])
    limits = np.iinfo(recording.get_dtype())
    rise_at, fall_at = threshold.threshold_v / gain_v, threshold.fall_v / gain_v
    if not (rise_at <= limits.max and fall_at >= limits.min):
        raise SettingsError(
            f"EVENTS: {name} cannot rise at {threshold.threshold_v:g} V and fall at "
            f"{threshold.fall_v:g} V: it is recorded from {limits.min * gain_v:.4g} to "
            f"{limits.max * gain_v:.4g} V; correct threshold_v and hysteresis_v"
        )
    return rise_at, fall_at


def _edges_by_name(
    recording: BaseRecording, channels: _Channels
) -> tuple[dict[str, LineEdges], list[str]]:
    if not channels.ids:
        return {}, []
    stretches = _continuous_stretches(clock_of(recording))
    found: list[dict[str, Edges]] = []
    left_out: set[str] = set()
    for stretch in stretches:
        edges, too_many = find_edges(_read_words(recording, stretch, channels))
        found.append({channels.name_of(line): each for line, each in edges.items()})
        left_out |= {channels.name_of(line) for line in too_many}
    notes = [
        f"{name} changes too often for events, as a line does that nothing is connected to; it is "
        "left out"
        for name in sorted(left_out)
    ]
    names = [*dict.fromkeys(name for each in found for name in each if name not in left_out)]
    lines = {
        name: LineEdges(
            line=name,
            segments=[
                _in_seconds(recording, stretch, each.get(name, NO_EDGES))
                for stretch, each in zip(stretches, found, strict=True)
            ],
        )
        for name in names
    }
    return lines, notes


def _continuous_stretches(clock: Clock) -> list[list[int]]:
    """Return segments, together where no time passes between them."""
    stretches = [[0]]
    for number, (before, after) in enumerate(pairwise(clock.segments), start=1):
        pause_s = after.begin_s + clock.shifts_s[number] - before.end_s - clock.shifts_s[number - 1]
        if abs(pause_s) < before.interval_s / 2:
            stretches[-1].append(number)
        else:
            stretches.append([number])
    return stretches


def _in_seconds(recording: BaseRecording, stretch: Sequence[int], edges: Edges) -> SegmentEdges:
    clock, rate_hz = clock_of(recording), float(recording.sampling_frequency)
    starts = np.cumsum([0, *(recording.get_num_samples(segment) for segment in stretch)])

    def times_s(frames: npt.NDArray[np.int64]) -> Seconds:
        bounds = np.searchsorted(frames, starts)
        parts = [
            clock.times_s(segment, frames[first:stop] - start, rate_hz)
            for segment, start, (first, stop) in zip(
                stretch, starts, pairwise(bounds), strict=False
            )
        ]
        return np.concatenate(parts)

    return SegmentEdges(
        rising_s=times_s(edges.rising),
        falling_s=times_s(edges.falling),
        high_at_start=edges.high_at_start,
    )


def _read_words(
    recording: BaseRecording, stretch: Sequence[int], channels: _Channels
) -> Iterator[npt.NDArray[np.uint16]]:
    """Yield the digital words, and a word for each thresholded signal."""
    thresholds = [HysteresisThreshold(*limits) for _, *limits in channels.thresholds]
    n_words = len(channels.words)
    for segment in stretch:
        n_frames = recording.get_num_samples(segment)
        for start in range(0, n_frames, CHUNK_FRAMES):
            stop = min(start + CHUNK_FRAMES, n_frames)
            traces = recording.get_traces(segment, start, stop, channel_ids=channels.ids)
            words = traces.astype("uint16")  # keeps the bits
            for column, threshold in enumerate(thresholds, start=n_words):
                words[:, column] = threshold(traces[:, column])
            yield words
