"""Artifacts that PREPROCESSING removes at the pulses of a line, instead of at given frames.

`{"remove_artifacts": {"triggers": "nidq:line3", "ms_after": 2.0}}`: SpikeInterface's step takes
frames of the recording in `list_triggers`, which the job finds out from the events of the line.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from spikeinterface_cloud.config.event_lines import Line, parse_line
from spikeinterface_cloud.config.locations import SimulatedRecording, Source
from spikeinterface_cloud.config.parsing import nearest
from spikeinterface_cloud.errors import SettingsError

#: the step of SpikeInterface, our parameter, and the one that it stands for
STEP, TRIGGERS, FRAMES = "remove_artifacts", "triggers", "list_triggers"

#: SpikeGLX's names of analog inputs
ANALOG = re.compile(r"(?:MN|MA|XA)\d+")

#: the formats whose lines are read
FORMATS = ("spikeglx", "openephys")

Step = Mapping[str, Any]


def trigger_line(step: Step) -> Line | None:
    """Return the line whose pulses are the triggers of a step; None if it names none.

    >>> trigger_line({"name": "remove_artifacts", "params": {"triggers": "nidq:line3"}})
    Line(stream='nidq', line='line3')
    """
    params = step.get("params") or {}
    if step["name"] != STEP or not isinstance(params, Mapping) or TRIGGERS not in params:
        return None
    text = params[TRIGGERS]
    if FRAMES in params:
        raise SettingsError(
            f"PREPROCESSING: {STEP} has both {TRIGGERS} and {FRAMES}; give one of them"
        )
    if not isinstance(text, str):
        raise SettingsError(
            f"PREPROCESSING: {STEP}: {TRIGGERS} is {text!r}; name one line, like "
            f'"nidq:line3", or give frames in {FRAMES}'
        )
    try:
        return parse_line(text)
    except ValueError as error:
        raise SettingsError(f"PREPROCESSING: {STEP}: {TRIGGERS}: {error}") from error


def trigger_lines(steps: Sequence[Step]) -> list[Line]:
    """Return the lines that steps name as triggers."""
    return [line for step in steps if (line := trigger_line(step)) is not None]


def with_frames(step: Step, frames: Sequence[Sequence[int]]) -> dict[str, Any]:
    """Return the step with the frames of each segment instead of the line."""
    params = {name: value for name, value in step["params"].items() if name != TRIGGERS}
    return {"name": step["name"], "params": {FRAMES: frames, **params}}


def as_known_step(step: Step) -> Step:
    """Return the step as SpikeInterface has it; SettingsError for triggers that it cannot have."""
    return step if trigger_line(step) is None else with_frames(step, [])


def check_triggers(
    steps: Sequence[Step], source: Source, data_type: str, events: Mapping[str, object]
) -> None:
    """Refuse triggers that no job could find.

    Parameters
    ----------
    data_type
        the reader
    events
        EVENTS
    """
    lines = trigger_lines(steps)
    if lines and (data_type not in FORMATS or isinstance(source, SimulatedRecording)):
        raise SettingsError(
            f"PREPROCESSING: {STEP}: {TRIGGERS} are read from {' and '.join(FORMATS)} only; give "
            f"the frames of the artifacts in {FRAMES}"
        )
    for line in lines:
        if ANALOG.fullmatch(line.line) and str(line) not in events:
            raise SettingsError(
                f"PREPROCESSING: {STEP}: {line} is an analog input; give its threshold as well, "
                f'EVENTS={{"{line}": {{"threshold_v": 1.5}}}}'
            )


def unknown_stream(stream: str, known: Sequence[str]) -> SettingsError:
    """Return the error for triggers of a stream that is not there."""
    return SettingsError(
        f"PREPROCESSING: {STEP}: there is no stream {stream!r}{nearest(stream, known)} "
        f"(there are {', '.join(known)}); if the source is one file, name its folder"
    )
