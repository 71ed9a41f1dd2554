"""Whether files that consist of records, or that an index divides into them, are undamaged.

Readers of neo look at the first file of a recording, or at its index, and trust the others.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from neo.rawio import NeuralynxRawIO
from neo.rawio.tdtrawio import EVTYPE_MASK, EVTYPE_STREAM, tsq_dtype

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.runtime.logging import format_bytes

#: Neuralynx's header and records
NCS_HEADER_BYTES = 16384
NCS_RECORD = np.dtype(NeuralynxRawIO._ncs_dtype)

#: TDT's sizes are in words, and count the ten words of the header of a piece
TDT_WORD_BYTES = 4
TDT_HEADER_WORDS = 10


def check_neuralynx_records(folder: Path, excluded: str | Sequence[str] | None = None) -> None:
    """Refuse .ncs files whose timestamps go back where those of the other files do not.

    Parameters
    ----------
    excluded
        name or names of files that are not read
    """
    left_out = [excluded] if isinstance(excluded, str) else list(excluded or ())
    files = [file for file in folder.glob("*.[nN][cC][sS]") if file.name not in left_out]
    places = {file: _places_of_return(file) for file in sorted(files)}
    if not places:
        return
    least = min(places.values(), key=len)
    for file, found in places.items():
        if len(found) > len(least):
            other = next(iter(np.setdiff1d(found, least)))
            raise RecordingError(
                f"{file.name} is damaged: the timestamps of its records go back at record {other}, "
                "those of other files do not; copy it again, or leave it out with "
                'READ_RECORDING_KWARGS={"exclude_filename": [...]}'
            )


def _places_of_return(file: Path) -> npt.NDArray[np.int64]:
    n_records = max(file.stat().st_size - NCS_HEADER_BYTES, 0) // NCS_RECORD.itemsize
    if n_records < 2:
        return np.zeros(0, dtype="int64")
    records = np.memmap(file, NCS_RECORD, mode="r", offset=NCS_HEADER_BYTES, shape=(n_records,))
    times = records["timestamp"]
    return np.flatnonzero(times[1:] <= times[:-1]) + 1


def check_tdt_files(folder: Path) -> None:
    """Refuse a .tev file that is shorter than its index says: neo reads what it lacks as zeros."""
    for index in sorted(folder.rglob("*.[tT][sS][qQ]")):
        events = np.fromfile(index, dtype=tsq_dtype)
        streams = events[(events["evtype"] & EVTYPE_MASK) == EVTYPE_STREAM]
        file = next((each for each in index.parent.glob(f"{index.stem}.[tT][eE][vV]")), None)
        if not len(streams) or file is None:
            continue
        sizes = (streams["size"].astype("int64") - TDT_HEADER_WORDS) * TDT_WORD_BYTES
        expected = int((streams["offset"].astype("int64") + sizes).max())
        if (size := file.stat().st_size) < expected:
            raise RecordingError(
                f"{file.name} is truncated: it has {format_bytes(size)} ({size} bytes), and "
                f"{index.name} names samples up to {format_bytes(expected)} ({expected} bytes); "
                "copy it again from the acquisition computer"
            )
