"""Whether a recording can be sorted, and what is odd about it: checked before a sorter starts.

What would make the results wrong, or the sorter fail an hour later, is refused. What can be put
right without a guess is put right, and said. Everything else is a warning.
"""

import math
import re
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt
from spikeinterface.core import BaseRecording
from spikeinterface.preprocessing import unsigned_to_signed

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.recording.channel_positions import check_positions, some
from spikeinterface_cloud.recording.clock import clock_of
from spikeinterface_cloud.recording.clock_notes import describe_clock
from spikeinterface_cloud.recording.overlaps import without_repeated_samples
from spikeinterface_cloud.recording.plexon import readable_part
from spikeinterface_cloud.recording.reading import one_line
from spikeinterface_cloud.recording.sampling_rate import at_rate_of_timestamps
from spikeinterface_cloud.recording.streams import LOWEST_SAMPLING_FREQUENCY_HZ

SHORTEST_RECORDING_S = 1.0

#: chunks that are looked at, evenly spread over each segment, and their length
N_SAMPLED_CHUNKS = 10
SAMPLED_CHUNK_S = 0.1

#: extracellular signals stay well inside: amplifiers saturate at some 10 mV, and no amplifier's
#: noise is a hundredth of a microvolt
LARGEST_NOISE_UV = 2.0e4
SMALLEST_NOISE_UV = 1.0e-2

#: names that acquisition systems give to channels that are not neural
NOT_NEURAL = re.compile(r"(aux|adc|ain|vdd)[-_]?\d+", re.IGNORECASE)


Chunk = npt.NDArray[Any]


def check_recording(recording: BaseRecording) -> tuple[BaseRecording, list[str]]:
    """The recording as it can be sorted, and what the user should know of it, a line each.

    Unsigned samples become signed, channels named as analog inputs are left out, gains that
    cannot be true are removed, probes that share positions are set apart, and samples that are in
    two segments are cut off one of them. Raises
    `RecordingError` when the recording cannot be sorted, with what to do about it.
    """
    recording = at_rate_of_timestamps(recording)
    _check_shape(recording)
    recording, unreadable = readable_part(recording)
    recording, repeated = without_repeated_samples(recording)
    notes = [*unreadable, *repeated]
    recording = _without_analog_channels(recording, notes)
    chunks = _sample(recording)
    _check_values(recording, chunks, notes)
    recording = _signed(recording, chunks, notes)
    _check_gains(recording, chunks, notes)
    check_positions(recording, notes)
    _note_structure(recording, notes)
    notes += describe_clock(clock_of(recording))
    return recording, notes


def _check_shape(recording: BaseRecording) -> None:
    if recording.get_num_channels() == 0 or recording.get_total_samples() == 0:
        raise RecordingError(
            f"the recording is empty: {recording.get_num_channels()} channels, "
            f"{recording.get_total_samples()} samples; check that the right files were given"
        )
    names = [str(name) for name in recording.channel_ids]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise RecordingError(
            f"several channels have one name ({', '.join(repeated[:5])}), so that nobody can tell "
            "which of them a unit is on; give each channel a name of its own in the file"
        )
    if not math.isfinite(recording.sampling_frequency):
        raise RecordingError(
            f"the file says that it was sampled at {recording.sampling_frequency} Hz, which is no "
            "rate; mend its header, or export the recording again"
        )
    if recording.sampling_frequency < LOWEST_SAMPLING_FREQUENCY_HZ:
        raise RecordingError(
            f"the recording is sampled at {recording.sampling_frequency:g} Hz, too slow for "
            f"spikes (at least {LOWEST_SAMPLING_FREQUENCY_HZ:g} Hz): it is an LFP or other slow "
            "signal; name the wideband or AP stream in READ_RECORDING_KWARGS"
        )
    if recording.dtype.kind not in "iuf":
        raise RecordingError(
            f"the samples are of type {recording.dtype}, which are no numbers to sort; check that "
            "the right data are read, and export them as integers or floats"
        )
    for segment in range(recording.get_num_segments()):
        start_s = recording.get_start_time(segment_index=segment)
        if np.ndim(start_s) or not isinstance(start_s, Real) or not math.isfinite(start_s):
            raise RecordingError(
                f"the file says that segment {segment} starts at {start_s!r}, which is no time in "
                "seconds; mend its header, or export the recording again"
            )
    duration_s = recording.get_total_samples() / recording.sampling_frequency
    if duration_s < SHORTEST_RECORDING_S:
        raise RecordingError(
            f"the recording lasts {duration_s:.3f} s, too short to sort (at least "
            f"{SHORTEST_RECORDING_S:g} s); raise TEST_SUB_RECORDING_N_FRAMES if it was cut short"
        )


def _without_analog_channels(recording: BaseRecording, notes: list[str]) -> BaseRecording:
    names = recording.get_property("channel_name")
    labels = recording.channel_ids if names is None else names
    analog = [
        channel
        for channel, label in zip(recording.channel_ids, labels, strict=True)
        if NOT_NEURAL.fullmatch(str(label))
    ]
    if not analog or len(analog) == len(labels):
        return recording
    notes.append(f"left out {len(analog)} channels that are analog inputs: {some(analog)}")
    return recording.remove_channels(analog)


def _sample(recording: BaseRecording) -> list[Chunk]:
    """Short chunks over the whole recording, so that no check reads all of it."""
    chunks = []
    n_frames = int(SAMPLED_CHUNK_S * recording.sampling_frequency)
    for segment in range(recording.get_num_segments()):
        last = max(recording.get_num_samples(segment) - n_frames, 0)
        for start in np.unique(np.linspace(0, last, N_SAMPLED_CHUNKS).astype(int)):
            chunks.append(_read(recording, segment, int(start), int(start) + n_frames))
    return chunks


def _read(recording: BaseRecording, segment: int, start_frame: int, end_frame: int) -> Chunk:
    try:
        traces: Chunk = recording.get_traces(
            segment_index=segment, start_frame=start_frame, end_frame=end_frame
        )
    except Exception as error:  # of a damaged file, readers and HDF5 raise anything here too
        raise RecordingError(
            f"the traces of segment {segment} cannot be read from frame {start_frame} on: "
            f"{one_line(error)}; check that the file is whole (compare its size and checksum with "
            "the original)"
        ) from error
    if traces.shape[1] != recording.get_num_channels():
        raise RecordingError(
            f"the header tells of {recording.get_num_channels()} channels and the samples of "
            f"{traces.shape[1]}; check that the header is whole and of this recording"
        )
    return traces


def _check_values(recording: BaseRecording, chunks: Sequence[Chunk], notes: list[str]) -> None:
    if recording.dtype.kind == "f":
        broken = np.any([~np.isfinite(chunk).all(axis=0) for chunk in chunks], axis=0)
        if broken.any():
            raise RecordingError(
                f"{np.count_nonzero(broken)} of {broken.size} channels hold NaN or infinity: "
                f"{some(recording.channel_ids[broken])}; mend those values in the file, or "
                "save the recording without these channels"
            )
    flat = np.all([np.ptp(chunk, axis=0) == 0 for chunk in chunks if len(chunk)], axis=0)
    if flat.all():
        raise RecordingError(
            "every channel is constant wherever it was sampled; check that the recording was "
            "connected, and that the right stream is read"
        )
    if flat.any():
        channels = some(recording.channel_ids[flat])
        notes.append(f"{np.count_nonzero(flat)} of {flat.size} channels are constant: {channels}")


def _signed(recording: BaseRecording, chunks: Sequence[Chunk], notes: list[str]) -> BaseRecording:
    if recording.dtype.kind != "u":
        return recording
    n_bits = recording.dtype.itemsize * 8
    if n_bits == 64:
        raise RecordingError("samples of 64 unsigned bits cannot be made signed; save as int32")
    # an ADC of fewer bits than the type swings around half of its own range, not of the type's
    middle = float(np.median([np.median(chunk) for chunk in chunks]))
    bit_depth = min(max(round(np.log2(max(middle, 1.0))) + 1, 8), n_bits)
    notes.append(
        f"the samples are {recording.dtype}: read as {bit_depth} bits around {2 ** (bit_depth - 1)}"
        f", which becomes 0 in int{n_bits}"
    )
    signed = unsigned_to_signed(recording, bit_depth=bit_depth)
    if signed.has_scaleable_traces():  # what was taken off the samples belongs to the offset
        gains, offsets = signed.get_channel_gains(), signed.get_channel_offsets()
        signed.set_channel_offsets(offsets + gains * 2 ** (bit_depth - 1))
    return signed


def _check_gains(recording: BaseRecording, chunks: Sequence[Chunk], notes: list[str]) -> None:
    """Warn of missing gains, and take away gains that turn the noise into what it cannot be.

    No sorter needs them, and without them amplitudes are honestly in ADC units. NWB takes a
    missing `conversion` for 1.0, a million microvolts a step.
    """
    if not recording.has_scaleable_traces():
        notes.append("there are no gains to microvolts: amplitudes are in the units of the file")
        return
    gains = recording.get_channel_gains()
    noise_uv = float(np.median([np.median(_noise(chunk)) for chunk in chunks]) * np.median(gains))
    if noise_uv == 0 or SMALLEST_NOISE_UV <= abs(noise_uv) <= LARGEST_NOISE_UV:
        return
    recording.delete_property("gain_to_uV")
    recording.delete_property("offset_to_uV")
    notes.append(
        f"the gain of {np.median(gains):g} uV per step would make the noise {noise_uv:.3g} uV, "
        "which cannot be (in NWB, the series lacks its conversion to volts): it is not used, and "
        "amplitudes are in the units of the file"
    )


def _noise(chunk: Chunk) -> npt.NDArray[np.float64]:
    """Each channel's standard deviation, estimated so that spikes and artefacts do not count."""
    values = chunk.astype("float64")
    deviation = np.abs(values - np.median(values, axis=0))
    noise: npt.NDArray[np.float64] = np.median(deviation, axis=0) / 0.6745
    return noise


def _note_structure(recording: BaseRecording, notes: list[str]) -> None:
    groups = recording.get_property("group")
    if groups is not None and len(np.unique(groups)) > 1:
        names, counts = np.unique(groups, return_counts=True)
        sizes = ", ".join(f"{name}: {count}" for name, count in zip(names, counts, strict=True))
        notes.append(f"{len(names)} shanks or groups of channels ({sizes})")
