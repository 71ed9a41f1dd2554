"""Notes made while a recording is opened, kept on the recording until it is checked.

The functions that open a recording return it alone; `check_recording` collects the notes.
"""

from spikeinterface.core import BaseRecording

ANNOTATION = "opening_notes"


def add_note(recording: BaseRecording, note: str) -> None:
    """Add a sentence to the notes that `recording`, and every recording made from it, carries."""
    recording.annotate(**{ANNOTATION: [*notes_of(recording), note]})


def notes_of(recording: BaseRecording) -> list[str]:
    """The notes made while `recording` was opened, in order."""
    return list(recording.get_annotation(ANNOTATION) or [])
