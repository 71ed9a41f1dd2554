"""The TTL lines of a stream that the Open Ephys GUI recorded in its binary format."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from spikeinterface.core import BaseRecording

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.recording.clock.clock import Clock, clock_of
from spikeinterface_cloud.recording.clock.format_timestamps import neo_buffer
from spikeinterface_cloud.recording.messages import one_line
from spikeinterface_cloud.recording.sync.pulses import LineEdges, Seconds, SegmentEdges, StreamLines

#: since GUI 0.6, and before
STATES = ("states.npy", "channel_states.npy")
SAMPLE_NUMBERS = ("sample_numbers.npy", "timestamps.npy")

TTL_FOLDER = re.compile(r"TTL(?:_\d+)?")

Integers = npt.NDArray[np.int64]


def ttl_lines(recording: BaseRecording) -> StreamLines:
    """Return the TTL lines of a stream, `line1` and up as the GUI numbers them.

    Lines that another processor, not the stream's own, added to the stream have its name before
    theirs: `Network_Events-105 line1`.
    """
    clock = clock_of(recording)
    found: list[dict[str, SegmentEdges]] = []
    notes: list[str] = []
    for number, segment in enumerate(recording.segments):
        continuous = Path(neo_buffer(segment)["file_path"]).parent
        in_segment: dict[str, SegmentEdges] = {}
        for prefix, folder in _ttl_folders(continuous):
            times_s, states = _read_ttl(folder, continuous, clock, number)
            for line in np.unique(np.abs(states)).tolist():
                name = f"{prefix}line{line}"
                in_segment[name], n_repeated = _edges(times_s, states, line)
                if n_repeated:
                    notes.append(
                        f"{name}: {n_repeated} of its events repeat the state before, and are left "
                        "out"
                    )
        found.append(in_segment)
    names = dict.fromkeys(name for each in found for name in each)
    empty = SegmentEdges(rising_s=np.empty(0), falling_s=np.empty(0))
    lines = {
        name: LineEdges(line=name, segments=[each.get(name, empty) for each in found])
        for name in names
    }
    return StreamLines(lines=lines, notes=notes)


def _ttl_folders(continuous: Path) -> Iterator[tuple[str, Path]]:
    """Yield folders of TTL events of the stream, and what to write before the names of lines."""
    events = continuous.parents[1] / "events"
    if not events.is_dir():
        return
    stream = continuous.name.partition(".")[2]
    for processor in sorted(events.iterdir()):
        own = processor.name == continuous.name
        if not own and (stream.isdigit() or processor.name.partition(".")[2] != stream):
            continue  # before GUI 0.6, streams had numbers, which say nothing about the stream
        prefix = "" if own else f"{processor.name.partition('.')[0]} "
        folders = [each for each in sorted(processor.iterdir()) if TTL_FOLDER.fullmatch(each.name)]
        for folder in folders:
            yield (f"{prefix}{folder.name} " if len(folders) > 1 else prefix), folder


def _read_ttl(
    folder: Path, continuous: Path, clock: Clock, segment: int
) -> tuple[Seconds, Integers]:
    """Return the time of each event, and its line, negative where the line fell."""
    try:
        states = np.load(_first(folder, STATES)).astype("int64")
        numbers = np.load(_first(folder, SAMPLE_NUMBERS))
        recorded = np.load(_first(continuous, SAMPLE_NUMBERS), mmap_mode="r")
    except (OSError, ValueError) as error:
        raise RecordingError(
            f"the TTL events in {folder.parent.name}/{folder.name} cannot be read: "
            f"{one_line(error)}; copy the recording again"
        ) from error
    if not (len(states) == len(numbers) and {numbers.dtype.kind, recorded.dtype.kind} <= {*"iu"}):
        raise RecordingError(
            f"the TTL events in {folder.parent.name}/{folder.name} have no sample numbers that fit "
            "those of the stream; copy the recording again"
        )
    return _times_s(numbers.astype(recorded.dtype), recorded, clock, segment), states


def _first(folder: Path, names: tuple[str, ...]) -> Path:
    return next((folder / name for name in names if (folder / name).is_file()), folder / names[0])


def _times_s(numbers: Integers, recorded: Integers, clock: Clock, segment: int) -> Seconds:
    """Return the times of sample numbers on the clock of the recorded samples.

    A number between recorded samples counts from the one before it.
    """
    rate_hz = clock.sampling_frequency_hz
    frames = np.searchsorted(recorded, numbers, side="right") - 1
    frames = np.clip(frames, 0, len(recorded) - 1)
    beyond = numbers.astype("int64") - np.asarray(recorded[frames]).astype("int64")
    return np.asarray(clock.times_s(segment, frames, rate_hz) + beyond / rate_hz)


def _edges(times_s: Seconds, states: Integers, line: int) -> tuple[SegmentEdges, int]:
    """Return the edges of a line, and the number of events that change nothing."""
    own = np.abs(states) == line
    times_s, high = times_s[own], states[own] > 0
    changes = np.concatenate([[True], high[1:] != high[:-1]])
    edges = SegmentEdges(
        rising_s=times_s[changes & high],
        falling_s=times_s[changes & ~high],
        high_at_start=not high[0],
    )
    return edges, int(np.count_nonzero(~changes))
