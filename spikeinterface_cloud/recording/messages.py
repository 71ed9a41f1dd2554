"""Wording of notes and refusals: errors on one line, lists of channels, notes made while opening.

The functions that open a recording return it alone, so their notes are kept as an annotation of
the recording until `check_recording` collects them.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from spikeinterface.core import BaseRecording

OPENING_NOTES = "opening_notes"

#: a message longer than this is cut in its middle: its end often holds the reader's own advice
LONGEST_REASON = 600

#: items that are listed before "and N more"
SHOWN = 3
SHOWN_CHANNELS = 8

#: at least as many neighboring channels are named by the first and last of them
SHORTEST_RANGE = 5


def add_note(recording: BaseRecording, note: str) -> None:
    """Add a sentence to the notes of `recording`, and of every recording made from it."""
    recording.annotate(**{OPENING_NOTES: [*opening_notes(recording), note]})


def opening_notes(recording: BaseRecording) -> list[str]:
    """Return the notes made while `recording` was opened, in order."""
    return list(recording.get_annotation(OPENING_NOTES) or [])


def one_line(error: BaseException, hide: str = "") -> str:
    """Return the message of another library's error on one line, shortened, without `hide`."""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, KeyError):  # its message is only the key
        text = f"{text} is missing"
    text = text.replace(hide, "...") if hide else text
    if len(text) <= LONGEST_REASON:
        return text
    half = LONGEST_REASON // 2
    return f"{text[:half].rsplit(' ', 1)[0]} ... {text[-half:].split(' ', 1)[-1]}"


def list_first(items: Iterable[object], n_shown: int = SHOWN) -> str:
    """Return the first few items, and how many more there are.

    >>> list_first(["AP0", "AP1", "AP2"], n_shown=2)
    'AP0, AP1 and 1 more'
    """
    texts = [str(item) for item in items]
    more = f" and {len(texts) - n_shown} more" if len(texts) > n_shown else ""
    return ", ".join(texts[:n_shown]) + more


def list_channels(channels: Sequence[object] | npt.NDArray[Any]) -> str:
    """Return the first few channels by name, and how many more there are."""
    return list_first(channels, SHOWN_CHANNELS)


def channel_ranges(recording: BaseRecording, mask: npt.NDArray[np.bool_]) -> str:
    """Return the names of the channels in `mask`, neighbors in the file as `first to last`."""
    indices = np.flatnonzero(mask)
    names = []
    for run in np.split(indices, np.flatnonzero(np.diff(indices) > 1) + 1):
        labels = [_label(recording, index) for index in run]
        names += labels if len(labels) < SHORTEST_RANGE else [f"{labels[0]} to {labels[-1]}"]
    return ", ".join(names)


def _label(recording: BaseRecording, index: int) -> str:
    """Return the id of a channel, with its name where the id does not contain it."""
    identifier, names = str(recording.channel_ids[index]), recording.get_property("channel_name")
    if names is None or str(names[index]) in identifier:
        return identifier
    return f"{identifier} ({names[index]})"
