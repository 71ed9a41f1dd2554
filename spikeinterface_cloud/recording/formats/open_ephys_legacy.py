"""Whether the .continuous files of Open Ephys' legacy format are whole, and belong together.

neo keeps what all files have, takes the `_2` of a second recording for the number of a channel, and
misreads what follows a gap, depending on where a read begins and ends.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from neo.rawio import OpenEphysRawIO
from neo.rawio.openephysrawio import HEADER_SIZE, RECORD_SIZE, continuous_dtype

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.recording.messages import list_first

RECORD = np.dtype(continuous_dtype)


def check_legacy(reader: OpenEphysRawIO, rate_hz: float, n_frames: int | None) -> None:
    """Refuse .continuous files that differ in span or channels, or lack samples.

    Gaps after the first `n_frames` do not matter, if not all frames are wanted.
    """
    recordings = [files for _, files in sorted(reader._info["continuous"].items())]
    for files in recordings:
        _check_lengths(files)
    _check_channels(reader)
    for files in recordings if n_frames is None else recordings[:1]:
        for file in files:
            _refuse_gaps(file, rate_hz, n_frames, is_first=files is recordings[0])


def _check_lengths(files: Sequence[Path]) -> None:
    spans = {file: _span(file) for file in files}
    begin, end = (sorted(each)[len(spans) // 2] for each in zip(*spans.values(), strict=True))
    for file, span in spans.items():
        if span != (begin, end):
            raise RecordingError(
                f"{file.name} has the samples {span[0]} to {span[1]}, and other files have "
                f"{begin} to {end}; copy it again from the acquisition computer, or move it "
                "out of the folder to leave its channel out"
            )


def _span(file: Path) -> tuple[int, int]:
    """Return the first sample of a file and the one after its last."""
    timestamps = _timestamps(file)
    if not len(timestamps):
        return 0, 0
    return int(timestamps[0]), int(timestamps[-1]) + RECORD_SIZE


def _timestamps(file: Path) -> npt.NDArray[np.int64]:
    n_records = max(file.stat().st_size - HEADER_SIZE, 0) // RECORD.itemsize
    if not n_records:
        return np.empty(0, "int64")
    records = np.memmap(file, RECORD, mode="r", offset=HEADER_SIZE, shape=(n_records,))
    return np.asarray(records["timestamp"], "int64")


def _check_channels(reader: OpenEphysRawIO) -> None:
    """Refuse recordings whose files are in another order than those of the first one."""
    channels = {
        number: [file.stem.removesuffix(f"_{number + 1}" if number else "") for file in files]
        for number, files in reader._info["continuous"].items()
    }
    for number, found in sorted(channels.items()):
        if found != channels.get(0):
            raise RecordingError(
                f"the folder has the files of recording {number + 1} (such as {found[0]}_"
                f"{number + 1}.continuous), whose channels the reader (neo) confuses; put the "
                "files of each recording into a folder of its own, without this ending "
                f"({found[0]}.continuous), and sort the folders one by one or joined"
            )


def _refuse_gaps(file: Path, rate_hz: float, n_frames: int | None, *, is_first: bool) -> None:
    """Refuse a file that lacks samples before frame `n_frames`."""
    timestamps = _timestamps(file)
    frames = timestamps - timestamps[0]
    before = np.flatnonzero(np.diff(frames) != RECORD_SIZE)
    begins, ends = frames[before] + RECORD_SIZE, frames[before + 1]
    if not len(begins) or (n_frames is not None and n_frames <= begins[0]):
        return
    missing = list_first(f"{begin} to {end}" for begin, end in zip(begins, ends, strict=True))
    lost_s = float((ends - begins).sum()) / rate_hz
    only_first = (
        f", or set TEST_WITH_SUB_RECORDING=true and TEST_SUB_RECORDING_N_FRAMES={begins[0]} to "
        "sort the part before the first gap alone"
    )
    raise RecordingError(
        f"{file.name} lacks the frames {missing} ({lost_s:.6g} s in all), around which the reader "
        "(neo) loses samples; save each part between them with SpikeInterface (recording."
        "frame_slice(first, end).save(folder=...)) and sort the parts with DATA_TYPE=binary"
        + (only_first if is_first else "")
    )
