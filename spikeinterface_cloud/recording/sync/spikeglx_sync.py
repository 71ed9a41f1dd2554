"""The sync line of a SpikeGLX stream.

Probes and OneBoxes record it as a bit of their sync word; for NI-DAQ, the meta file names a line,
or an analog input and its threshold.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
from probeinterface.neuropixels_tools import parse_spikeglx_meta
from spikeinterface.core import BaseRecording
from spikeinterface.extractors.neoextractors.neobaseextractor import NeoRecordingSegment

from spikeinterface_cloud.config.event_lines import DEFAULT_HYSTERESIS, Threshold
from spikeinterface_cloud.recording.clock.clock import clock_of
from spikeinterface_cloud.recording.clock.overlaps import without_repeated_samples
from spikeinterface_cloud.recording.clock.segment_times import source_frames
from spikeinterface_cloud.recording.formats.imec import channel_numbers, header_files
from spikeinterface_cloud.recording.formats.spikeglx import parse_name
from spikeinterface_cloud.recording.sync.digital_lines import digital_line_names, read_lines
from spikeinterface_cloud.recording.sync.edges import NO_EDGES, find_edges
from spikeinterface_cloud.recording.sync.sync_line import SyncLine

#: the bit of the sync word that the sync connector sets
SYNC_BIT = 6

#: numbers of channels in the file by kind, the sync words last: of probes, and of OneBoxes
SYNC_COUNTS = ("snsApLfSy", "snsXaDwSy")

#: frames that are read at a time
CHUNK_FRAMES = 100_000

Words = npt.NDArray[np.uint16]


def spikeglx_sync(
    recording: BaseRecording, base: SyncLine, line: str | None, threshold: Threshold | None
) -> SyncLine:
    """Return the edges of a stream's sync line.

    Parameters
    ----------
    recording
        the stream, as its reader returned it
    base
        all but the edges
    line
        of an NI-DAQ, instead of the one that the meta file names
    threshold
        of such a line, if it is an analog input
    """
    meta_file = header_files(recording)[0]
    meta = parse_spikeglx_meta(meta_file)
    name = parse_name(PurePosixPath(meta_file.name))
    base = replace(
        base,
        period_s=_positive(meta.get("syncSourcePeriod")),
        started=meta.get("fileCreateTime"),
        starts_with=None
        if name is None or name.gate is None
        else f"{name.run}_g{name.gate}_t{name.trigger}",
    )
    if meta.get("typeThis") == "nidq":
        return _of_nidq(recording, base, meta, line, threshold)
    if line is not None:
        return replace(
            base,
            why=f"CLOCK_LINE names {line}, but the sync line of a probe and of a OneBox is always "
            f"bit {SYNC_BIT} of its sync word; leave {base.stream} out of it",
        )
    return _of_sync_word(recording, base, meta)


def _positive(text: str | None) -> float | None:
    try:
        value = float(text or 0)
    except ValueError:
        return None
    return value if 0 < value < np.inf else None


# ----- probes and OneBoxes ----------------------------------------------------------------------


def _of_sync_word(recording: BaseRecording, base: SyncLine, meta: Mapping[str, str]) -> SyncLine:
    counts = next((meta[key] for key in SYNC_COUNTS if key in meta), "0")
    n_sync = int(counts.split(",")[-1])
    if not n_sync:
        return replace(base, why="its sync words (SY) were not saved with its channels")
    recording, _ = without_repeated_samples(recording)
    clock = clock_of(recording)
    rising, falling = [], []
    for number, segment in enumerate(recording.segments):
        edges, too_many = find_edges(
            _sync_words(_Column.of(segment, n_sync), segment.get_num_samples())
        )
        if SYNC_BIT in too_many:
            return replace(base, why=f"SY bit {SYNC_BIT} changes all the time, like noise")
        found = edges.get(SYNC_BIT, NO_EDGES)
        rising.append(clock.times_s(number, found.rising, clock.sampling_frequency_hz))
        falling.append(clock.times_s(number, found.falling, clock.sampling_frequency_hz))
    return _with_edges(base, f"SY bit {SYNC_BIT}", np.concatenate(rising), np.concatenate(falling))


@dataclass(frozen=True, slots=True)
class _Column:
    """The first sync word of a segment."""

    #: takes the first frame and the end frame
    read: Callable[[int, int], npt.NDArray[np.int16]]

    @classmethod
    def of(cls, segment: Any, n_sync: int) -> "_Column":
        source, first = source_frames(segment)
        if isinstance(source, NeoRecordingSegment):  # whose stream lacks the sync word
            reader = source.neo_reader
            stream = str(reader.header["signal_streams"]["id"][source.stream_index])
            info = reader.signals_info_dict[source.segment_index, stream]
            n_columns = int(info["num_chan"])
            samples: npt.NDArray[np.int16] = np.memmap(Path(info["bin_file"]), "int16", mode="r")
            samples = samples[: len(samples) // n_columns * n_columns].reshape(-1, n_columns)
            column = n_columns - n_sync
            return cls(lambda start, stop: samples[first + start : first + stop, column])
        column = source.get_traces(first, first + 1).shape[1] - n_sync
        return cls(
            lambda start, stop: source.get_traces(first + start, first + stop, [column])[:, 0]
        )


def _sync_words(column: _Column, n_frames: int) -> Iterator[Words]:
    for start in range(0, n_frames, CHUNK_FRAMES):
        words = column.read(start, min(start + CHUNK_FRAMES, n_frames))
        yield np.ascontiguousarray(words).view("uint16")[:, None]


# ----- NI-DAQ -----------------------------------------------------------------------------------


def _of_nidq(
    recording: BaseRecording,
    base: SyncLine,
    meta: Mapping[str, str],
    line: str | None,
    threshold: Threshold | None,
) -> SyncLine:
    if line is None:
        if meta.get("syncSourceIdx", "0") == "0" or "syncNiChan" not in meta:
            return replace(
                base,
                why="its meta file names no sync line; name it, like "
                f"CLOCK_LINE={base.stream}:line3",
            )
        channel = int(meta["syncNiChan"])
        if meta.get("syncNiChanType", "0") == "0":
            line = f"line{channel}"
        else:
            line = _analog_name(recording, meta, channel)
            if line is None:
                return replace(
                    base, why=f"the analog input of its sync line, {channel}, was not saved"
                )
            volts = float(meta.get("syncNiThresh", "1.1"))
            threshold = Threshold(volts, abs(volts) * DEFAULT_HYSTERESIS)
    if threshold is None and line not in digital_line_names(recording):
        listing = ", ".join(digital_line_names(recording)[:20]) or "no digital lines"
        return replace(
            base,
            why=f"{line} is not among its digital lines ({listing}); an analog input needs a "
            "threshold in EVENTS",
        )
    found = read_lines(recording, {} if threshold is None else {line: threshold})
    if line not in found.lines:
        noisy = [note for note in found.notes if note.startswith(f"{line} ")]
        return replace(base, line=line, why="; ".join(noisy) or f"{line} never changes")
    edges = found.lines[line]
    return _with_edges(base, line, edges.rising_s, edges.falling_s)


def _analog_name(recording: BaseRecording, meta: Mapping[str, str], channel: int) -> str | None:
    """Return the name of an analog input by its number among the channels that were acquired."""
    saved = meta.get("snsSaveChanSubset", "all")
    n_channels = recording.get_num_channels()
    columns = list(range(n_channels)) if saved == "all" else channel_numbers(saved)
    names = recording.get_property("channel_name")
    if channel not in columns or names is None:
        return None
    return str(names[columns.index(channel)])


def _with_edges(
    base: SyncLine, line: str, rising_s: npt.NDArray[np.float64], falling_s: npt.NDArray[np.float64]
) -> SyncLine:
    if not len(rising_s):
        return replace(base, line=line, why=f"{line} never rises")
    return replace(base, line=line, rising_s=np.sort(rising_s), falling_s=np.sort(falling_s))
