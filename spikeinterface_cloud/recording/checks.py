"""Check a recording before a sorter starts.

What would make the results wrong, or the sorter fail an hour later, is refused. What can be
corrected without a guess is corrected, with a note. Everything else is only noted.
"""

import math
from collections.abc import Sequence
from numbers import Real

import numpy as np
import numpy.typing as npt
from spikeinterface.core import BaseRecording

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.recording.clock.clock import clock_of
from spikeinterface_cloud.recording.clock.notes import describe_clock
from spikeinterface_cloud.recording.clock.overlaps import without_repeated_samples
from spikeinterface_cloud.recording.formats.plexon import readable_part
from spikeinterface_cloud.recording.formats.stream_choice import LOWEST_SAMPLING_FREQUENCY_HZ
from spikeinterface_cloud.recording.messages import (
    channel_ranges,
    list_channels,
    list_first,
    opening_notes,
)
from spikeinterface_cloud.recording.probe_layout import check_positions
from spikeinterface_cloud.recording.samples.analog_inputs import (
    all_named_as_inputs,
    analog_inputs,
    mixed_units,
)
from spikeinterface_cloud.recording.samples.chunks import (
    Chunk,
    Traces,
    constant_channels,
    map_all_chunks,
    sample_chunks,
)
from spikeinterface_cloud.recording.samples.earlier_processing import check_earlier_processing
from spikeinterface_cloud.recording.samples.integers import as_signed, note_saturation
from spikeinterface_cloud.recording.samples.number_type import check_number_type
from spikeinterface_cloud.recording.samples.odd_places import note_odd_places
from spikeinterface_cloud.recording.samples.units import (
    check_gains,
    in_sortable_unit,
    with_positive_gains,
)
from spikeinterface_cloud.recording.sampling_rate import at_rate_of_timestamps
from spikeinterface_cloud.runtime.logging import counted

SHORTEST_RECORDING_S = 1.0


def check_recording(recording: BaseRecording) -> tuple[BaseRecording, list[str]]:
    """Return the recording as it can be sorted, and notes for the user.

    Unsigned samples become signed, floating-point samples microvolts, channels named as analog
    inputs are left out, impossible gains are removed, probes that share positions are moved apart,
    and samples that are in two segments are cut off one of them.
    """
    recording, notes = prepare_segments(recording)
    recording, of_samples = check_samples(recording)
    return recording, [*notes, *of_samples, *describe_clock(clock_of(recording))]


def prepare_segments(recording: BaseRecording) -> tuple[BaseRecording, list[str]]:
    """Return the segments without samples that cannot be read or are there twice, and notes.

    Segments without any samples are left out.
    """
    recording = check_header(recording)
    recording, notes = _without_empty_segments(recording)
    notes = [*opening_notes(recording), *notes]
    check_earlier_processing(recording, notes)
    recording, unreadable = readable_part(recording)
    recording, repeated = without_repeated_samples(recording)
    return recording, [*notes, *unreadable, *repeated]


def _without_empty_segments(recording: BaseRecording) -> tuple[BaseRecording, list[str]]:
    lengths = [recording.get_num_samples(n) for n in range(recording.get_num_segments())]
    empty = [str(segment) for segment, length in enumerate(lengths) if not length]
    if not empty:
        return recording, []
    note = (
        f"{counted(len(empty), 'segment')} of {len(lengths)} without samples left out: "
        f"{list_first(empty)}; the others are numbered from 0"
    )
    return recording.select_segments(np.flatnonzero(lengths).tolist()), [note]


def check_samples(recording: BaseRecording) -> tuple[BaseRecording, list[str]]:
    """Return the channels and samples as they can be sorted, and notes."""
    notes: list[str] = []
    recording = _without_analog_channels(recording, notes)
    sampled = sample_chunks(recording)
    chunks = [chunk.traces for chunk in sampled]
    _check_values(recording, chunks, notes)
    chunks = [chunk for chunk in chunks if not constant_channels(chunk).all()]  # blank: no noise
    check_number_type(recording, chunks)
    _check_finite(recording)
    note_odd_places(recording, sampled, notes)
    note_saturation(recording, sampled, notes)
    check_gains(recording, chunks, notes)
    recording = with_positive_gains(recording, notes)
    recording = as_signed(recording, chunks, notes)
    recording = in_sortable_unit(recording, chunks, notes)
    check_positions(recording, notes)
    _note_structure(recording, notes)
    return recording, notes


def check_header(recording: BaseRecording) -> BaseRecording:
    """Return the recording at the rate of its timestamps; refuse what cannot be a recording."""
    _check_not_empty(recording)
    recording = at_rate_of_timestamps(recording)
    _check_shape(recording)
    return recording


def _check_not_empty(recording: BaseRecording) -> None:
    if recording.get_num_channels() == 0 or recording.get_total_samples() == 0:
        raise RecordingError(
            f"the recording is empty: {recording.get_num_channels()} channels, "
            f"{recording.get_total_samples()} samples; check that the source is the right one"
        )


def _check_shape(recording: BaseRecording) -> None:
    names = [str(name) for name in recording.channel_ids]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise RecordingError(
            f"channel names are not unique ({', '.join(repeated[:5])}), so the channel of a unit "
            "would be ambiguous; give each channel a unique name in the file"
        )
    if not math.isfinite(recording.sampling_frequency):
        raise RecordingError(
            f"the sampling rate in the file is {recording.sampling_frequency} Hz; correct its "
            "header, or export the recording again"
        )
    if recording.sampling_frequency < LOWEST_SAMPLING_FREQUENCY_HZ:
        raise RecordingError(
            f"the recording is sampled at {recording.sampling_frequency:g} Hz, too slow for "
            f"spikes (at least {LOWEST_SAMPLING_FREQUENCY_HZ:g} Hz): it is an LFP or other slow "
            "signal, or its rate is not in Hz; read the wideband or AP band, or correct the rate"
        )
    if recording.dtype.kind not in "iuf":
        raise RecordingError(
            f"the samples are of type {recording.dtype}, which cannot be sorted; check that the "
            "right data are read, and export them as integers or floats"
        )
    for segment in range(recording.get_num_segments()):
        start_s = recording.get_start_time(segment_index=segment)
        if np.ndim(start_s) or not isinstance(start_s, Real) or not math.isfinite(start_s):
            raise RecordingError(
                f"segment {segment} starts at {start_s!r} according to the file, which is not a "
                "time in seconds; correct its header, or export the recording again"
            )
    duration_s = recording.get_total_samples() / recording.sampling_frequency
    if duration_s < SHORTEST_RECORDING_S:
        raise RecordingError(
            f"the recording lasts {duration_s:.3f} s, too short to sort (at least "
            f"{SHORTEST_RECORDING_S:g} s); raise TEST_SUB_RECORDING_N_FRAMES if it was cut short"
        )


def _without_analog_channels(recording: BaseRecording, notes: list[str]) -> BaseRecording:
    analog = analog_inputs(recording)
    if analog.any():
        names = channel_ranges(recording, analog)
        notes.append(
            f"left out {np.count_nonzero(analog)} channels that are analog inputs: {names}"
        )
        recording = recording.select_channels(recording.channel_ids[~analog])
    elif all_named_as_inputs(recording):
        notes.append(
            f"every channel is named as an analog input ({list_channels(recording.channel_ids)}) "
            "and treated as an electrode: check that this is the stream to sort"
        )
    if (units := mixed_units(recording)) is not None:
        notes.append(
            f"the channels have different units ({units}), and all are treated as electrodes: to "
            "leave some out, give a PROBE_FILE that wires only the electrodes"
        )
    return recording


def _check_finite(recording: BaseRecording) -> None:
    """Refuse NaN and infinity: a sorter loses all spikes around them."""
    if recording.dtype.kind != "f":
        return
    results = map_all_chunks(recording, _find_broken, "NaN or infinity")
    places = [place for place in results if place is not None]
    if not places:
        return
    broken = np.any([channels for _, _, channels in places], axis=0)
    segment, frame, _ = places[0]
    first_s = frame / recording.sampling_frequency
    raise RecordingError(
        f"{np.count_nonzero(broken)} of {broken.size} channels hold NaN or infinity: "
        f"{list_channels(recording.channel_ids[broken])}; the first is "
        f"{first_s:.6g} s after the start of segment {segment}; correct those values in "
        "the file, or save the recording without these channels"
    )


def _find_broken(chunk: Chunk) -> tuple[int, int, npt.NDArray[np.bool_]] | None:
    """Return segment and frame of the first NaN or infinity, and a mask of all its channels."""
    broken = ~np.isfinite(chunk.traces)
    if not broken.any():
        return None
    frame = chunk.start_frame + int(np.flatnonzero(broken.any(axis=1))[0])
    return chunk.segment, frame, np.asarray(broken.any(axis=0), dtype=bool)


def _check_values(recording: BaseRecording, chunks: Sequence[Traces], notes: list[str]) -> None:
    flat = np.all([constant_channels(chunk) for chunk in chunks], axis=0)
    if flat.all():
        raise RecordingError(
            "every channel is constant wherever it was sampled; check that the electrodes were "
            "connected, and that the right stream is read"
        )
    if flat.any():
        channels = list_channels(recording.channel_ids[flat])
        notes.append(f"{np.count_nonzero(flat)} of {flat.size} channels are constant: {channels}")


def _note_structure(recording: BaseRecording, notes: list[str]) -> None:
    groups = recording.get_property("group")
    if groups is not None and len(np.unique(groups)) > 1:
        names, counts = np.unique(groups, return_counts=True)
        sizes = ", ".join(f"{name}: {count}" for name, count in zip(names, counts, strict=True))
        notes.append(f"{len(names)} shanks or groups of channels ({sizes})")
