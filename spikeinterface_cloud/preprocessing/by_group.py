"""Apply the steps that a user chose to each group of channels by itself."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import spikeinterface as si

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.preprocessing.steps import BAD_CHANNELS, apply_steps
from spikeinterface_cloud.recording.channel_groups import split_groups
from spikeinterface_cloud.recording.messages import one_line

logger = logging.getLogger(__name__)


def apply_by_group(
    recording: si.BaseRecording, steps: Sequence[Mapping[str, Any]], split_by: str
) -> tuple[si.BaseRecording, list[str]]:
    """Return all groups after the steps, one after the other, and notes for the user.

    Parameters
    ----------
    recording
        whose property `group` is that of `split_by`
    """
    processed: dict[int | str, si.BaseRecording] = {}
    notes = []
    for group, part in split_groups(recording).items():
        own = [_within(part, step) for step in steps]
        named = {name for step in own for name in step.get("params", {}).get(BAD_CHANNELS) or ()}
        if _removes(own) and named.issuperset(part.channel_ids.tolist()):
            notes.append(f"{split_by} {group} is not sorted: PREPROCESSING removes its channels")
            continue
        try:
            processed[group] = apply_steps(part, own)
        except Exception as error:  # steps raise anything
            names = " -> ".join(step["name"] for step in steps)
            raise RecordingError(
                f"PREPROCESSING: {names} cannot be applied to the {part.get_num_channels()} "
                f"channels of {split_by} {group}: {one_line(error)}; change the steps, or leave "
                "SPLIT_BY out"
            ) from error
    if not processed:
        raise RecordingError("PREPROCESSING removes every channel; correct its bad_channel_ids")
    for note in notes:
        logger.warning("%s", note)
    counts = [each.get_num_channels() for each in processed.values()]
    joined = si.aggregate_channels(list(processed.values()))
    for name in {"group", split_by}:  # joining the probes has numbered the groups again
        joined.set_property(name, np.repeat(list(processed), counts))
    return joined, notes


def _within(part: si.BaseRecording, step: Mapping[str, Any]) -> dict[str, Any]:
    """Return the step with the bad channels of this group alone."""
    params = dict(step.get("params", {}))
    if params.get(BAD_CHANNELS) is not None:
        params[BAD_CHANNELS] = [name for name in params[BAD_CHANNELS] if name in part.channel_ids]
    return {**step, "params": params}


def _removes(steps: Sequence[Mapping[str, Any]]) -> bool:
    return any(step["name"] == "detect_and_remove_bad_channels" for step in steps)
