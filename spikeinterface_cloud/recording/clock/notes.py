"""Notes on a recording's clock: gaps, jumps and overlaps."""

from dataclasses import replace

from spikeinterface_cloud.recording.clock.clock import Clock
from spikeinterface_cloud.recording.clock.sample_times import Gap, SampleTimes
from spikeinterface_cloud.recording.messages import SHOWN, list_first
from spikeinterface_cloud.runtime.logging import counted

CONSECUTIVE = "spike times are written as if each segment began where the one before it ended"


def describe_clock(clock: Clock) -> list[str]:
    """Return a note for each deviation from one continuous stretch that starts at 0 s."""
    notes = _describe_segments(clock)
    if clock.begin_s:
        notes.append(
            f"the recording's clock starts at {_seconds(clock.begin_s)}: spike times count from it"
        )
    noted = [number for number, each in enumerate(clock.segments) if each.gaps or each.notes]
    for number in noted[:SHOWN]:
        segment = clock.segments[number]
        notes += _describe_gaps(number, segment)
        notes += [f"segment {number}: {note}" for note in segment.notes]
    if len(noted) > SHOWN:
        notes.append(f"{len(noted) - SHOWN} more segments have gaps in their times or other notes")
    return notes


def _describe_segments(clock: Clock) -> list[str]:
    segments = clock.segments
    if len(segments) == 1:
        return []
    split = f"{len(segments)} segments: sorted as one, and split again in the results"
    if all(segment.origin is None for segment in segments):
        return [f"{split}; they have no times of their own: {CONSECUTIVE}"]
    notes = [split]
    if missing := _between_segments(clock):
        places = list_first(
            f"{_seconds(gap.length_s)} before segment {gap.frame}" for gap in missing
        )
        total_s = sum(gap.length_s for gap in missing)
        notes.append(f"{_seconds(total_s)} is missing between segments: {places}")
    if moved := [number for number, shift in enumerate(clock.shifts_s) if shift]:
        places = list_first(
            f"segment {number} begins at {_seconds(segments[number].begin_s)} and is moved by "
            f"{_seconds(clock.shifts_s[number])}"
            for number in moved
        )
        notes.append(
            f"the clocks of {counted(len(moved), 'segment')} overlap earlier segments: {places}; "
            f"{CONSECUTIVE}"
        )
    return notes


def _between_segments(clock: Clock) -> list[Gap]:
    """Return the gap before each segment, whose number takes the place of the frame."""
    gaps = []
    for number in range(1, len(clock.segments)):
        end_s = clock.segments[number - 1].end_s + clock.shifts_s[number - 1]
        length_s = clock.segments[number].begin_s + clock.shifts_s[number] - end_s
        if length_s > 0.5 / clock.sampling_frequency_hz:
            gaps.append(Gap(frame=number, begin_s=end_s, length_s=length_s))
    return gaps


def _describe_gaps(number: int, segment: SampleTimes) -> list[str]:
    notes = []
    if missing := [gap for gap in segment.gaps if gap.length_s > 0]:
        total_s = sum(gap.length_s for gap in missing)
        places = list_first(_place(gap, segment) for gap in missing)
        notes.append(
            f"the times of segment {number} have {counted(len(missing), 'gap')}, "
            f"{_seconds(total_s)} in all: {places}; spike times follow the file's own "
            f"times ({segment.origin})"
        )
    if backward := [gap for gap in segment.gaps if gap.length_s <= 0]:
        places = list_first(
            f"by {_place(replace(gap, length_s=-gap.length_s), segment)}" for gap in backward
        )
        notes.append(
            f"the clock of segment {number} runs backwards {counted(len(backward), 'time')}: "
            f"{places}; spike times follow the file's own times ({segment.origin}), so spikes "
            "after a jump may get the same times as spikes before it"
        )
    return notes


def _place(gap: Gap, segment: SampleTimes) -> str:
    """Return its length, and the time of the last sample before it."""
    return f"{_seconds(gap.length_s)} at {_seconds(gap.begin_s - segment.interval_s)}"


def _seconds(time_s: float) -> str:
    return f"{time_s:.6g} s" if abs(time_s) < 1e3 else f"{time_s:.3f} s"
