"""Values of preprocessing steps by which spikes, samples or channels would silently be wrong."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from spikeinterface_cloud.errors import SettingsError

#: parameters that SpikeInterface takes, and what would be wrong with the results
WRONG_RESULTS = {
    ("decimate", "decimation_offset"): (
        "leaves out the first samples, and all spikes would be early by their time"
    ),
    ("depth_order", "channel_ids"): "keeps other channels than those that it names",
    ("resample", "gap_tolerance_ms"): "moves the spikes after each gap",
}

#: lists of frames: numbers of samples, counted from the start of the segment
FRAMES = {("remove_artifacts", "list_triggers"), ("silence_periods", "list_periods")}


def check_step_values(steps: Sequence[Mapping[str, Any]]) -> None:
    """Raise `SettingsError` for values by which the results would be wrong for any recording."""
    for step in steps:
        for name, value in step["params"].items():
            key = (step["name"], name)
            if key in WRONG_RESULTS and value:
                raise SettingsError(
                    f"PREPROCESSING: {name} of {step['name']} {WRONG_RESULTS[key]}; leave it out"
                )
            if key in FRAMES:
                _check_frames(*key, value)


def _check_frames(step: str, name: str, frames: object) -> None:
    for frame in _numbers(frames):
        if frame < 0 or not float(frame).is_integer():
            raise SettingsError(
                f"PREPROCESSING: {name} of {step} has {frame!r}, but takes frames, which are whole "
                "numbers from 0: multiply seconds by the sampling rate"
            )


def _numbers(values: object) -> Iterator[int | float]:
    """Yield every number of nested lists."""
    if isinstance(values, Sequence) and not isinstance(values, str):
        for value in values:
            yield from _numbers(value)
    elif isinstance(values, int | float):
        yield values
