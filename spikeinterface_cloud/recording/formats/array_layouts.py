"""Which electrodes the samples of Maxwell's and 3Brain's arrays are of.

The readers count on the usual order of channels, and compare it with nothing.
"""

import math
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.recording.messages import add_note

#: the last of Maxwell's versions with the samples of all amplifiers in a file
LAST_OLD_VERSION = 20160704


def check_maxwell(recording: Any, has_probe_file: bool) -> None:
    """Refuse a file of Maxwell whose samples are not in the order of its mapping.

    A `PROBE_FILE` may give the order of the newer layout. In the older one, of which the reader
    takes the first rows, nothing helps.
    """
    well, name = recording.stream_id, recording.neo_reader.rec_name
    with h5py.File(Path(recording._kwargs["file_path"])) as file:
        if "mapping" in file:
            mapped, n_rows = _channels(file["mapping"]), file["sig"].shape[0]
            if not np.array_equal(mapped, np.arange(n_rows)):
                raise RecordingError(
                    f"the file (of MaxLab's layout of {LAST_OLD_VERSION}) has {n_rows} rows of "
                    f"samples, of which {len(mapped)} are mapped to electrodes: the reader (neo) "
                    "would take the first rows for these; write the rows that `mapping` names to a "
                    "raw file, and sort it with DATA_TYPE=binary and a PROBE_FILE"
                )
            return
        recorded = file["wells"][well][name]
        if "channels" not in recorded["groups/routed"]:
            return
        routed = recorded["groups/routed/channels"][:]
        mapped = _channels(recorded["settings/mapping"])
    if np.array_equal(routed, mapped):
        return
    if not has_probe_file or len(routed) != len(mapped):
        raise RecordingError(
            f"the {len(routed)} rows of samples in {well} are not those of the {len(mapped)} "
            "channels in its settings/mapping, in this order, so positions would be wrong; give "
            "the probe as PROBE_FILE, wired by the rows (groups/routed/channels names the channel "
            "of each), or write them to a raw file, and set DATA_TYPE=binary"
        )
    add_note(
        recording,
        "the ids of channels are those of settings/mapping, and the rows of samples are in "
        "another order (groups/routed/channels): PROBE_FILE is wired by the rows",
    )


def check_biocam(file: h5py.File, has_probe_file: bool) -> None:
    """Refuse a BRW file of version 4 with several wells, a pause or a part of the electrodes.

    A `PROBE_FILE` may say which electrodes these are.
    """
    wells = [name for name in file if name.startswith("Well_")]
    if len(wells) > 1:
        raise RecordingError(
            f"the file holds {len(wells)} wells ({', '.join(wells)}), of which only the first can "
            "be read; export each well to a file of its own, and sort them one by one"
        )
    table = file["TOC"][:] if "TOC" in file else np.empty((0, 2))
    # a table may count the last frame, or the one after it
    if np.any(table[1:, 0] > table[:-1, 1] + 1):
        raise RecordingError(
            "the recording was paused, by the TOC of the file, and the reader (neo) would join its "
            "parts without the pause; export each part to a file of its own"
        )
    for well in wells:
        stored = file[well].get("StoredChIdxs", np.empty(0))[:]
        is_square = math.isqrt(len(stored)) ** 2 == len(stored)  # else the reader refuses them
        is_whole = np.array_equal(stored, np.arange(len(stored)))
        if not is_square or not (is_whole or has_probe_file):
            first = (
                "" if is_square else "write the samples to a raw file, set DATA_TYPE=binary, and "
            )
            raise RecordingError(
                f"{well} holds {len(stored)} electrodes of an array (StoredChIdxs), which the "
                f"reader (probeinterface) would place as a whole one; {first}give the probe as "
                "PROBE_FILE, wired in the order of StoredChIdxs"
            )


def _channels(mapping: h5py.Dataset) -> npt.NDArray[np.int64]:
    channels = np.asarray(mapping["channel"], dtype="int64")
    return channels[channels >= 0]
