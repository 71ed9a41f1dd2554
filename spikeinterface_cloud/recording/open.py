"""Open a fetched source as a recording that can be preprocessed and sorted."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import spikeinterface as si

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.recording.channel_groups import group_by
from spikeinterface_cloud.recording.checks import (
    check_header,
    check_recording,
    check_samples,
    prepare_segments,
)
from spikeinterface_cloud.recording.formats.plexon import readable_part
from spikeinterface_cloud.recording.joined_headers import about_recording
from spikeinterface_cloud.recording.joined_recordings import (
    JoinedPart,
    check_same_probe,
    join_recordings,
)
from spikeinterface_cloud.recording.load import first_frames, open_recording, open_streamed_nwb
from spikeinterface_cloud.recording.messages import one_line
from spikeinterface_cloud.recording.probe_file import attach_probe
from spikeinterface_cloud.recording.simulated import simulate
from spikeinterface_cloud.recording.source import FetchedSource
from spikeinterface_cloud.recording.summary import summarize

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenedRecording:
    """A recording that passed all checks."""

    recording: si.BaseRecording
    #: as the file holds it, before anything was corrected, if asked for
    as_read: si.BaseRecording | None = None
    #: channels, rate, duration, gain, probe, ... for `run.json`
    summary: Mapping[str, Any]
    #: corrections and doubts, a sentence each
    notes: Sequence[str]
    #: the true spikes of a simulated recording
    ground_truth: si.BaseSorting | None = None
    #: the recordings that were joined; empty if there is only one
    parts: Sequence[JoinedPart] = ()
    #: its file or folder; None if it is streamed or simulated
    path: Path | None = None


def open_source(
    source: FetchedSource,
    data_type: str,
    kwargs: Mapping[str, Any],
    n_frames: int | None,
    *,
    keep_as_read: bool = False,
    split_by: str | None = None,
) -> OpenedRecording:
    """Open the source with the reader `data_type`, check it, and cut it to its first frames.

    Parameters
    ----------
    kwargs
        for the reader, or for the generator of a simulated recording
    n_frames
        number of frames to keep of each recording; None for all
    keep_as_read
        whether to keep the recording without corrections, too
    split_by
        the property of the channels that becomes their group; None keeps the groups
    """
    ground_truth: si.BaseSorting | None = None
    as_read: si.BaseRecording | None = None
    parts: list[JoinedPart] = []
    if source.joined:
        recording, parts, notes = _open_joined(source, data_type, kwargs, n_frames)
    else:
        recording, ground_truth = _open(source, data_type, kwargs, n_frames)
        recording = check_header(recording)
        as_read = _copy(readable_part(recording)[0]) if keep_as_read else None
        recording, notes = check_recording(recording)
    if split_by is not None:
        notes += group_by(recording, split_by)
    for note in notes:
        logger.warning("%s", note)
    logger.info("recording: %s", " ".join(str(recording).split()))
    return OpenedRecording(
        recording=recording,
        as_read=as_read,
        summary=asdict(summarize(recording)) | {"joined": _describe(parts)},
        notes=notes,
        ground_truth=ground_truth,
        parts=parts,
        path=source.path,
    )


def _describe(parts: Sequence[JoinedPart]) -> list[dict[str, Any]]:
    befores = [None, *parts][: len(parts)]
    return [each.describe(before) for each, before in zip(parts, befores, strict=True)]


def _copy(recording: si.BaseRecording) -> si.BaseRecording:
    """Return the same recording, with gains and a probe that the checks do not replace."""
    try:
        return recording.select_channels(recording.channel_ids)
    except Exception as error:  # for the probe or property of a damaged file it raises anything
        raise RecordingError(
            f"ARCHIVE: the recording cannot be copied: {one_line(error)}; correct its probe and "
            "the properties of its channels, or leave ARCHIVE out"
        ) from error


def _open_joined(
    source: FetchedSource, data_type: str, kwargs: Mapping[str, Any], n_frames: int | None
) -> tuple[si.BaseRecording, list[JoinedPart], list[str]]:
    """Open each recording, make sure that they are of one probe, and join them."""
    opened, prepared = [], []
    locations = [each.location for each in source.joined]
    for number, each in enumerate(source.joined, 1):
        with about_recording(number, each.location):
            recording, _ = _open(each, data_type, kwargs, n_frames)
            opened.append(check_header(recording))
    check_same_probe(opened, locations)
    for number, recording in enumerate(opened, 1):
        with about_recording(number, locations[number - 1]):
            prepared.append(prepare_segments(recording))
    joined, parts, notes = join_recordings(opened, prepared, locations)
    joined, of_samples = check_samples(joined)
    return joined, parts, [*notes, *of_samples]


def _open(
    source: FetchedSource, data_type: str, kwargs: Mapping[str, Any], n_frames: int | None
) -> tuple[si.BaseRecording, si.BaseSorting | None]:
    """Open one recording and cut it to its first frames."""
    recording, ground_truth = _read(source, data_type, kwargs, n_frames)
    if n_frames is not None:
        recording = first_frames(recording, n_frames)
        if ground_truth is not None:
            ground_truth = ground_truth.frame_slice(0, recording.get_num_samples(0))
    return recording, ground_truth


def _read(
    source: FetchedSource, data_type: str, kwargs: Mapping[str, Any], n_frames: int | None
) -> tuple[si.BaseRecording, si.BaseSorting | None]:
    if source.stream is not None:
        recording = open_streamed_nwb(source.stream(), kwargs, source.probe_file is not None)
        if source.probe_file is not None:
            recording = attach_probe(recording, source.probe_file)
        return recording, None
    if source.path is None:
        return simulate(kwargs)
    recording = open_recording(source.path, data_type, kwargs, source.probe_file, n_frames)
    return recording, None
