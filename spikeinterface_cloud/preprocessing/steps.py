"""Apply SpikeInterface's preprocessing steps so that no sample wraps around.

SpikeInterface gives the result of most steps the type of the samples: what is beyond the range of
int16 comes out at its other end.
"""

import warnings
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

import numpy as np
import spikeinterface as si
import spikeinterface.preprocessing as spre

from spikeinterface_cloud.errors import SettingsError
from spikeinterface_cloud.preprocessing.single_pass import in_single_pass, takes_all_steps

INT16 = np.iinfo("int16")

#: a parameter that lists channels; SpikeInterface ignores those that there are not
BAD_CHANNELS = "bad_channel_ids"

Steps = Sequence[Mapping[str, Any]]


def apply_steps(recording: si.BaseRecording, steps: Steps) -> si.BaseRecording:
    """Return the recording after the steps, in one pass where that is possible.

    Where it is not, integers become 32-bit floats before the steps, and are rounded once after
    them. What is beyond the range of int16 is limited to it.

    Parameters
    ----------
    recording
        of floats or signed integers; integers of 16 bits or fewer come out as int16, unless a
        step makes wider ones of them, which come out as floats
    steps
        in the form of SpikeInterface's `PreprocessingPipeline`

    Raises
    ------
    Exception
        of any type: whatever a step raises
    """
    if not steps:
        return recording
    dtype = recording.get_dtype()
    recording = as_int16(recording)
    applied = _apply(recording, steps)
    if dtype.kind == "f" or takes_all_steps(applied, recording):
        return applied
    as_floats = _apply(spre.astype(recording, "float32"), steps)
    if applied.get_dtype().kind == "f" or max(dtype.itemsize, applied.get_dtype().itemsize) > 2:
        return as_floats
    return spre.astype(spre.clip(as_floats, a_min=INT16.min, a_max=INT16.max), "int16")


def as_int16(recording: si.BaseRecording) -> si.BaseRecording:
    """Return a recording with int16 for swapped or 8-bit integers, else the recording itself."""
    dtype = recording.get_dtype()
    fits = dtype.kind == "i" and dtype.itemsize <= 2
    return spre.astype(recording, "int16") if fits and dtype != INT16.dtype else recording


def _apply(recording: si.BaseRecording, steps: Steps) -> si.BaseRecording:
    with warnings.catch_warnings():
        # a notch at 50 Hz reads as much around a chunk as in it; no variable changes the chunks
        warnings.filterwarnings("ignore", message="The margin size")
        return in_single_pass(spre.apply_preprocessing_pipeline(recording, list(steps)))


def check_channel_names(recording: si.BaseRecording, steps: Steps) -> None:
    """Raise `SettingsError` for bad channels that the recording does not have."""
    known = recording.channel_ids.tolist()
    for step in steps:
        for name in step.get("params", {}).get(BAD_CHANNELS) or ():
            if name not in known:
                raise SettingsError(
                    f"PREPROCESSING: {step['name']}: {BAD_CHANNELS} has {name!r}, and no channel "
                    f"has this name; write it like {_nearest(name, known)!r}"
                )


def _nearest(name: object, known: Sequence[Any]) -> Any:
    """Return the channel whose name is the most alike, ends of names first."""
    text = str(name)

    def likeness(each: object) -> tuple[bool, bool, float, str]:
        other = str(each)
        return (
            other == text,
            other.endswith(text),
            SequenceMatcher(None, other, text).ratio(),
            other,
        )

    return max(known, key=likeness)
