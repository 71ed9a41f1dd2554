"""The triggers of remove_artifacts: pulses of a line, as frames of the recording that is sorted."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from spikeinterface.core import BaseRecording

from spikeinterface_cloud.config.artifact_triggers import (
    STEP,
    trigger_line,
    trigger_lines,
    with_frames,
)
from spikeinterface_cloud.config.catalog.step_bands import rate_after
from spikeinterface_cloud.config.catalog.validation import as_steps
from spikeinterface_cloud.config.event_lines import Line, Threshold, thresholds
from spikeinterface_cloud.config.settings import JobSettings
from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.recording.clock.clock import clock_of
from spikeinterface_cloud.recording.formats.event_streams import find_stream
from spikeinterface_cloud.recording.formats.session_streams import SessionStream
from spikeinterface_cloud.recording.formats.source_files import list_files
from spikeinterface_cloud.recording.load import open_recording
from spikeinterface_cloud.recording.open import OpenedRecording
from spikeinterface_cloud.recording.sync.digital_lines import read_lines
from spikeinterface_cloud.recording.sync.find_sync import find_sync
from spikeinterface_cloud.recording.sync.pulses import Seconds, StreamLines
from spikeinterface_cloud.recording.sync.sync_line import SyncLine
from spikeinterface_cloud.session.clock import StreamClock, align

logger = logging.getLogger(__name__)

#: PREPROCESSING
Pipeline = str | Sequence[dict[str, Any]] | Mapping[str, Any]

#: what to do without triggers
REMEDY = "name another line, or leave remove_artifacts out of PREPROCESSING"


@dataclass(frozen=True, kw_only=True, slots=True)
class TriggerSource:
    """The files of the recording and of the streams beside it."""

    path: Path
    data_type: str
    #: READ_RECORDING_KWARGS of the recording
    kwargs: Mapping[str, Any]
    #: of the analog inputs that count as lines
    thresholds: Mapping[Line, Threshold]
    #: CLOCK_LINE
    clock_lines: Sequence[str] = ()

    def read(self, stream: SessionStream, lines: Collection[Line]) -> StreamLines:
        """Return the lines of another stream, with those of the analog inputs among `lines`."""
        recording = open_recording(self.path, self.data_type, stream.kwargs)
        of_inputs = {each.line: self.thresholds[each] for each in lines if each in self.thresholds}
        return read_lines(recording, of_inputs)

    def find(self, stream: str) -> SessionStream:
        """Return the stream that a line belongs to."""
        folder = self.path if self.path.is_dir() else self.path.parent
        names = list_files(folder)
        return find_stream(self.data_type, names, self.kwargs, stream, folder.name)

    def clock_of(self, stream: SessionStream) -> StreamClock:
        """Return the clock of another stream, as that of the recording tells it."""
        own = open_recording(self.path, self.data_type, self.kwargs)
        if own.get_annotation("stream_name") == stream.identifier:
            return StreamClock(status="reference")
        return on_clock_of(self._sync(self.kwargs), self._sync(stream.kwargs))

    def _sync(self, kwargs: Mapping[str, Any]) -> SyncLine:
        return find_sync(self.path, self.data_type, kwargs, self.clock_lines, self.thresholds)


def trigger_source(settings: JobSettings, opened: OpenedRecording) -> TriggerSource | None:
    """Return where the pulses are read from that PREPROCESSING names, if it names some."""
    if opened.path is None:
        return None
    return TriggerSource(
        path=opened.path,
        data_type=settings.reader,
        kwargs=settings.read_recording_kwargs,
        thresholds=thresholds(settings.events),
        clock_lines=settings.clock_line,
    )


def resolve_triggers(
    choice: Pipeline, recording: BaseRecording, source: TriggerSource | None
) -> tuple[Pipeline, list[str]]:
    """Return PREPROCESSING with frames of the recording instead of lines, and notes for the user.

    Parameters
    ----------
    choice
        PREPROCESSING
    recording
        as it is preprocessed
    source
        None where it is not read from files

    Raises
    ------
    RecordingError
        if pulses are missing, or cannot be placed in the recording
    """
    lines = trigger_lines(as_steps(choice))
    if isinstance(choice, str) or not lines:
        return choice, []
    assert source is not None, "the preflight refuses it"
    triggers_s: dict[Line, Seconds] = {}
    for name in dict.fromkeys(line.stream for line in lines):
        stream = source.find(name)
        named = [line for line in lines if line.stream == name]
        read = source.read(stream, named)
        rising = {line: rising_s(line, read) for line in named}
        clock = source.clock_of(stream)
        triggers_s |= {line: clock.to_reference(times_s) for line, times_s in rising.items()}
    return place_triggers(choice, recording, triggers_s)


def place_triggers(
    choice: Sequence[Mapping[str, Any]] | Mapping[str, Any],
    recording: BaseRecording,
    triggers_s: Mapping[Line, Seconds],
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the steps with frames instead of lines, and notes for the user.

    Parameters
    ----------
    choice
        the steps of PREPROCESSING
    recording
        as it is preprocessed
    triggers_s
        when each line rose, on the clock of the recording

    Raises
    ------
    RecordingError
        if a line did not rise during the recording
    """
    steps, notes = [], []
    clock, rate_hz = clock_of(recording), float(recording.sampling_frequency)
    rate_now_hz = rate_hz
    for step in as_steps(choice):
        line = trigger_line(step)
        if line is not None:
            frames = clock.frames(triggers_s[line])
            notes += _outside(line, len(triggers_s[line]), sum(map(len, frames)))
            frames = [np.round(each * rate_now_hz / rate_hz).astype("int64") for each in frames]
            step = with_frames(step, [each.tolist() for each in frames])
        steps.append(step)
        rate_now_hz = rate_after(step, rate_now_hz)
    for note in notes:
        logger.warning("%s", note)
    return steps, notes


def _outside(line: Line, n_triggers: int, n_inside: int) -> list[str]:
    if not n_inside:
        raise RecordingError(
            f"PREPROCESSING: {STEP}: none of the {n_triggers} pulses of {line} is within the "
            f"recording; {REMEDY}"
        )
    if n_inside == n_triggers:
        logger.info("%s: %d pulses of %s", STEP, n_triggers, line)
        return []
    return [
        f"{STEP}: {n_triggers - n_inside} of {n_triggers} pulses of {line} are not within the "
        "recording, and are left out"
    ]


def rising_s(line: Line, lines: StreamLines) -> Seconds:
    """Return when a line rose, on the clock of its stream; `lines` are the stream's.

    Raises
    ------
    RecordingError
        if it never did, or too often
    """
    found = lines.lines.get(line.line)
    if found is None or not len(found.rising_s):
        active = ", ".join(each.line for each in lines.lines.values() if len(each.rising_s))
        why = "".join(f"; {note}" for note in lines.notes if note.startswith(f"{line.line} "))
        raise RecordingError(
            f"PREPROCESSING: {STEP}: there is no pulse on {line}{why}; lines of {line.stream} with "
            f"pulses: {active or 'none'}; {REMEDY}"
        )
    return found.rising_s


def on_clock_of(recording: SyncLine, events: SyncLine) -> StreamClock:
    """Return the clock of the stream of the events, as that of the recording tells it.

    Raises
    ------
    RecordingError
        if the clock cannot be trusted
    """
    clock = align(recording, [events]).streams[events.stream]
    if clock.status == "own":
        raise RecordingError(
            f"PREPROCESSING: {STEP}: the pulses of {events.stream} cannot be placed in "
            f"{recording.stream}, as their clocks cannot be aligned: {clock.why}; leave {STEP} "
            "out, or give the frames of the artifacts in list_triggers"
        )
    return clock
