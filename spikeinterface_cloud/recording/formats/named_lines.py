"""Whether the lines that settings name belong to streams of the session."""

from collections.abc import Sequence

from spikeinterface_cloud.config.catalog.validation import trigger_streams
from spikeinterface_cloud.config.event_lines import clock_line_of, parse_line, thresholds
from spikeinterface_cloud.config.parsing import nearest
from spikeinterface_cloud.config.settings import JobSettings
from spikeinterface_cloud.errors import SettingsError
from spikeinterface_cloud.recording.formats.session_streams import SessionStream


def check_line_streams(settings: JobSettings, streams: Sequence[SessionStream]) -> None:
    """Refuse streams in EVENTS, CLOCK_LINE and of triggers that are not in the session.

    Parameters
    ----------
    streams
        all of the session
    """
    of_events = [(line.stream, "EVENTS") for line in thresholds(settings.events)]
    of_triggers = [(name, "PREPROCESSING") for name in trigger_streams(settings.preprocessing)]
    known = [stream.folder for stream in streams]
    for name, variable in (*of_events, *of_triggers):
        if not any(stream.is_named(name) for stream in streams):
            raise _unknown(variable, name, known)
    identifiers = [stream.identifier for stream in streams]
    for line in settings.clock_line:
        if not any(clock_line_of([line], identifier) for identifier in identifiers):
            raise _unknown("CLOCK_LINE", parse_line(line).stream, identifiers)


def _unknown(variable: str, name: str, known: Sequence[str]) -> SettingsError:
    return SettingsError(
        f"{variable}: {name!r} is not a stream of the session{nearest(name, known)}; there are "
        f"{', '.join(known)}"
    )
