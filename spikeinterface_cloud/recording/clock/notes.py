"""What should be known of a recording's clock before it is sorted: gaps, jumps, overlaps."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from spikeinterface_cloud.recording.clock.clock import Clock
from spikeinterface_cloud.recording.clock.sample_times import Gap, SampleTimes

Thing = TypeVar("Thing")

SHOWN = 3

LAID_IN_TURN = "spike times are written as if each began where the one before it ended"


def describe_clock(clock: Clock) -> list[str]:
    """A line for each thing that is not as a single even stretch from 0 s on would be."""
    notes = _describe_segments(clock)
    if clock.begin_s:
        notes.append(
            f"the recording's clock starts at {_seconds(clock.begin_s)}: spike times count from it"
        )
    odd = [number for number, each in enumerate(clock.segments) if each.gaps or each.remarks]
    for number in odd[:SHOWN]:
        segment = clock.segments[number]
        notes += _describe_gaps(number, segment)
        notes += [f"segment {number}: {remark}" for remark in segment.remarks]
    if len(odd) > SHOWN:
        notes.append(
            f"the times of {len(odd) - SHOWN} more segments have gaps or other notes like these"
        )
    return notes


def _describe_segments(clock: Clock) -> list[str]:
    segments = clock.segments
    if len(segments) == 1:
        return []
    split = f"{len(segments)} segments: sorted as one, and split again in the results"
    if all(segment.origin is None for segment in segments):
        return [f"{split}; they have no times of their own, so that {LAID_IN_TURN}"]
    notes = [split]
    if missing := _between(clock):
        places = _enumerate(
            missing, lambda gap: f"{_seconds(gap.length_s)} before segment {gap.frame}"
        )
        total_s = sum(gap.length_s for gap in missing)
        notes.append(f"{_seconds(total_s)} is missing between segments: {places}")
    if any(clock.shifts_s):
        moved = [number for number, shift in enumerate(clock.shifts_s) if shift]
        places = _enumerate(moved, lambda number: _moved(clock, number))
        notes.append(
            f"the clocks of {len(moved)} segments overlap those before them: {places}; "
            f"{LAID_IN_TURN}"
        )
    return notes


def _between(clock: Clock) -> list[Gap]:
    """What is missing before each segment, which stands in place of the frame."""
    gaps = []
    for number in range(1, len(clock.segments)):
        end_s = clock.segments[number - 1].end_s + clock.shifts_s[number - 1]
        length_s = clock.segments[number].begin_s + clock.shifts_s[number] - end_s
        if length_s > 0.5 / clock.sampling_frequency_hz:
            gaps.append(Gap(frame=number, begin_s=end_s, length_s=length_s))
    return gaps


def _moved(clock: Clock, number: int) -> str:
    begin_s, shift_s = clock.segments[number].begin_s, clock.shifts_s[number]
    return f"segment {number} begins at {_seconds(begin_s)} and is moved by {_seconds(shift_s)}"


def _describe_gaps(number: int, segment: SampleTimes) -> list[str]:
    notes = []
    missing = [gap for gap in segment.gaps if gap.length_s > 0]
    if missing:
        total_s = sum(gap.length_s for gap in missing)
        places = _enumerate(missing, lambda gap: _place(gap, segment))
        filled = "; the reader gives zeros for what is missing" if missing[0].is_filled else ""
        notes.append(
            f"the times of segment {number} have {_count(len(missing), 'gap')}, "
            f"{_seconds(total_s)} in all: {places}{filled}; spike times follow the file's own "
            f"times ({segment.origin})"
        )
    if backward := [gap for gap in segment.gaps if gap.length_s <= 0]:
        back = [replace(gap, length_s=-gap.length_s) for gap in backward]
        places = _enumerate(back, lambda gap: f"by {_place(gap, segment)}")
        notes.append(
            f"the clock of segment {number} runs backwards {_count(len(backward), 'time')}: "
            f"{places}; spike times follow the file's own times ({segment.origin}), so that "
            "those after a jump mix with those before it"
        )
    return notes


def _place(gap: Gap, segment: SampleTimes) -> str:
    """Its length, and the time of the last sample before it."""
    return f"{_seconds(gap.length_s)} at {_seconds(gap.begin_s - segment.interval_s)}"


def _seconds(time_s: float) -> str:
    """As short as it can be without losing milliseconds."""
    return f"{time_s:.6g} s" if abs(time_s) < 1e3 else f"{time_s:.3f} s"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _enumerate(things: Sequence[Thing], describe: Callable[[Thing], str]) -> str:
    shown = ", ".join(describe(each) for each in things[:SHOWN])
    return f"{shown} and {len(things) - SHOWN} more" if len(things) > SHOWN else shown
