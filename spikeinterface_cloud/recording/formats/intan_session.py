"""Sessions that Intan's RHX split into several files: joined only if no samples are missing."""

from itertools import pairwise
from typing import Any

from spikeinterface_cloud.errors import SettingsError


def check_session(recording: Any, mode: str) -> None:
    """Compare the sample numbers of the files.

    Joined files (`concatenate`) have to continue each other. Segments (`append`) get their start
    times, where the clock runs through all files.

    Joined files that do not continue each other raise `SettingsError`.
    """
    segments = recording.segments
    if mode == "concatenate":
        segments = segments[0].parent_segments
    readers = [getattr(segment, "parent_segment", segment).neo_reader for segment in segments]
    numbers = [reader.get_intan_timestamps() for reader in readers]
    missing = [int(after[0]) - int(before[-1]) - 1 for before, after in pairwise(numbers)]
    rate_hz = float(recording.sampling_frequency)
    if mode == "concatenate":
        names = [str(reader.filename).rpartition("/")[2] for reader in readers]
        part = next((part for part, n_missing in enumerate(missing) if n_missing), None)
        if part is not None:
            raise SettingsError(_not_continuous(names[part : part + 2], missing[part], rate_hz))
    elif all(n >= 0 for n in missing):
        for segment, of_file in enumerate(numbers):
            shift_s = int(of_file[0]) / rate_hz - recording.get_start_time(segment_index=segment)
            if shift_s:
                recording.shift_times(shift_s, segment_index=segment)


def _not_continuous(names: list[str], n_missing: int, rate_hz: float) -> str:
    before, after = names
    start = (
        f"{n_missing / rate_hz:.6g} s ({n_missing} samples) after the end of {before}"
        if n_missing > 0
        else f"with a clock that does not continue {before}"
    )
    return (
        f"{after} starts {start}, so joining them would make its spike times wrong; "
        'keep the files as segments, READ_RECORDING_KWARGS={"mode": "append"}, or name '
        "the files of one session"
    )
