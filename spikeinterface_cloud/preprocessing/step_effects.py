"""Chosen steps meet a recording: thresholds in its numbers, and refusals of what would be wrong."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import spikeinterface as si

from spikeinterface_cloud.errors import RecordingError, SettingsError
from spikeinterface_cloud.recording.clock.clock import clock_of
from spikeinterface_cloud.recording.excerpts import spread_excerpts
from spikeinterface_cloud.recording.messages import list_channels
from spikeinterface_cloud.recording.samples.chunks import constant_channels
from spikeinterface_cloud.recording.samples.integers import ZeroedRecording

N_EXCERPTS = 10
EXCERPT_S = 0.1

#: parameters of steps that are compared with samples
THRESHOLDS = {
    "blank_saturation": ("abs_threshold", "fill_value"),
    "clip": ("a_min", "a_max"),
}

#: steps after which samples are still around the zero level of the file
KEEPING_THE_LEVEL = {
    *THRESHOLDS,
    "depth_order",
    "detect_and_interpolate_bad_channels",
    "detect_and_remove_bad_channels",
    "interpolate_bad_channels",
    "phase_shift",
    "remove_artifacts",
    "silence_periods",
}

Steps = Sequence[Mapping[str, Any]]


def around_zero(recording: si.BaseRecording, steps: Steps) -> list[dict[str, Any]]:
    """Return the steps with thresholds less the zero level that was subtracted from the samples.

    Raises
    ------
    SettingsError
        for thresholds that hold on both sides of 0, or for channels of several levels
    """
    lowest, highest = _zero_levels(recording)
    changed = []
    for step in steps:
        params = dict(step.get("params", {}))
        names = [name for name in THRESHOLDS.get(step["name"], ()) if params.get(name) is not None]
        if names and lowest != highest:
            raise SettingsError(
                f"PREPROCESSING: {step['name']} has one threshold for all channels, but their "
                f"samples are around {lowest} to {highest}; filter before it, or leave it out"
            )
        is_upper = params.get("direction", "upper") == "upper"
        if lowest and "abs_threshold" in names and not is_upper:
            raise SettingsError(
                f"PREPROCESSING: direction of {step['name']} takes -abs_threshold for its lower "
                f"limit, but the samples are around {lowest}; use clip, or leave direction out"
            )
        params |= {name: params[name] - lowest for name in names if lowest}
        changed.append({**step, "params": params})
        if step["name"] not in KEEPING_THE_LEVEL:
            lowest = highest = 0
    return changed


def _zero_levels(recording: si.BaseRecording | None) -> tuple[int, int]:
    """Return the lowest and highest of what was subtracted from the channels."""
    while recording is not None:
        if isinstance(recording, ZeroedRecording):
            return min(recording.zero_levels), max(recording.zero_levels)
        recording = recording.get_parent()
    return 0, 0


def check_steps_for(recording: si.BaseRecording, steps: Steps) -> list[str]:
    """Return notes on steps that do less than they say to this recording.

    Raises
    ------
    RecordingError
        if a step would give wrong samples or times
    """
    notes = []
    for step in steps:
        params = step.get("params", {})
        match step["name"]:
            case "resample":
                _check_gaps(recording)
            case "decimate":
                _check_length(recording, params)
            case "remove_artifacts" | "silence_periods":
                notes += _beyond_the_end(recording, step["name"], params)
            case _:
                pass
    return notes


def _check_gaps(recording: si.BaseRecording) -> None:
    for index, segment in enumerate(clock_of(recording).segments):
        if recording.has_time_vector(index) and len(segment.intervals_s()) > 1:
            raise RecordingError(
                f"PREPROCESSING: resample cannot be applied, as the times of segment {index} have "
                "gaps, after which spikes would be moved; leave it out"
            )


def _check_length(recording: si.BaseRecording, params: Mapping[str, Any]) -> None:
    factor = params.get("decimation_factor")
    if not isinstance(factor, int) or factor < 1 or params.get("antialias"):
        return
    if any(length % factor for length in _lengths(recording)):
        raise RecordingError(
            f"PREPROCESSING: decimate reads beyond the end of a segment whose samples are no "
            f'multiple of {factor}; add "antialias": true, which filters first and reads none'
        )


def _beyond_the_end(recording: si.BaseRecording, step: str, params: Mapping[str, Any]) -> list[str]:
    """Return a note on frames that no segment has."""
    listed = params.get("list_triggers") or params.get("list_periods") or ()
    last = max((int(np.max(each)) for each in listed if np.size(each)), default=0)
    longest = max(_lengths(recording))
    if last <= longest:
        return []
    return [
        f"{step} lists frames up to {last}, but the longest segment has {longest}: those beyond "
        "the end do nothing"
    ]


def _lengths(recording: si.BaseRecording) -> list[int]:
    return [recording.get_num_samples(n) for n in range(recording.get_num_segments())]


def check_signals(before: si.BaseRecording, after: si.BaseRecording) -> None:
    """Raise `RecordingError` if channels of `after` are constant that were not so before."""
    ids = [name for name in after.channel_ids.tolist() if name in before.channel_ids]
    if not ids:
        return
    lost = _constant(after, ids) & ~_constant(before, ids)
    if lost.any():
        names = np.array(ids, dtype=object)[lost]
        raise RecordingError(
            f"PREPROCESSING leaves {len(names)} of {len(ids)} channels without a signal: "
            f"{list_channels(names)}; correct the channels and groups that its steps name"
        )


def _constant(recording: si.BaseRecording, ids: Sequence[Any]) -> npt.NDArray[np.bool_]:
    found = [
        constant_channels(recording.get_traces(segment, start, end, channel_ids=ids))
        for segment, start, end in spread_excerpts(recording, N_EXCERPTS, EXCERPT_S)
    ]
    constant: npt.NDArray[np.bool_] = np.all(found, axis=0)
    return constant
