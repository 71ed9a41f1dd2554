"""Sessions that Intan's RHX split into several files: joined only if no samples are missing."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from spikeinterface.core import BaseRecording

from spikeinterface_cloud.errors import SettingsError


@dataclass(frozen=True, kw_only=True, slots=True)
class _Part:
    """One file, with the numbers of its first and its last sample."""

    name: str
    first: int
    last: int


def check_session(recording: Any, mode: str) -> None:
    """Compare the sample numbers of the files.

    Joined files (`concatenate`) have to continue each other. Segments (`append`) get their start
    times, where the clock runs through all files.

    Raises
    ------
    SettingsError
        joined files do not continue each other
    """
    parts = _parts(recording, mode)
    rate = float(recording.sampling_frequency)
    if mode == "concatenate":
        for before, after in pairwise(parts):
            if after.first != before.last + 1:
                raise SettingsError(_not_continuous(before, after, rate))
    elif all(after.first > before.last for before, after in pairwise(parts)):
        _set_starts(recording, parts, rate)


def _not_continuous(before: _Part, after: _Part, rate: float) -> str:
    missing = after.first - before.last - 1
    start = (
        f"{missing / rate:.6g} s ({missing} samples) after the end of {before.name}"
        if missing > 0
        else f"with a clock that does not continue {before.name}"
    )
    return (
        f"{after.name} starts {start}, so joining them would make its spike times wrong; "
        'keep the files as segments, READ_RECORDING_KWARGS={"mode": "append"}, or name '
        "the files of one session"
    )


def _set_starts(recording: BaseRecording, parts: Sequence[_Part], rate: float) -> None:
    for segment, part in enumerate(parts):
        start_s = part.first / rate - recording.get_start_time(segment_index=segment)
        if start_s:
            recording.shift_times(start_s, segment_index=segment)


def _parts(recording: Any, mode: str) -> list[_Part]:
    segments = recording.segments
    if mode == "concatenate":
        segments = segments[0].parent_segments
    else:
        segments = [getattr(segment, "parent_segment", segment) for segment in segments]
    parts = []
    for segment in segments:
        reader = segment.neo_reader
        numbers = reader.get_intan_timestamps()
        name = str(reader.filename).rpartition("/")[2]
        parts.append(_Part(name=name, first=int(numbers[0]), last=int(numbers[-1])))
    return parts
