"""Remedies for the errors that SpikeInterface's readers raise."""

import re
import struct
import zlib

from spikeinterface_cloud.recording.formats.readers import Reader

#: words by which readers and HDF5 report missing or wrong bytes
DAMAGED = re.compile(
    r"truncat|unexpected end|end of file|\beof\b|greater than file size|checksum|corrupt|"
    r"signature|bad object header|(?:visitation|iteration) failed|link specific callback|FastRLock|"
    r"inflate|synchronously|unable to (?:synchronously )?open"
    r"|buffer is smaller|requires a buffer|wrong (?:fixed|version|header)|bad heap|bad symbol|"
    r"cannot be mapped|mmap",
    re.IGNORECASE,
)

#: HDF5's message where an undamaged file lacks an object
ABSENT = re.compile(r"unable to (?:synchronously )?open object \(object '.*' doesn't exist", re.I)

CHECK_THE_FILE = "check that the file is whole (compare its size and checksum with the original)"


def remedy(error: BaseException, reader: Reader, likely: str | None) -> str:
    """Return what to do about the error of a reader.

    Parameters
    ----------
    likely
        the DATA_TYPE that the file names suggest
    """
    if likely is not None and likely != reader.name:
        return f"it looks like {likely}: if it is, set DATA_TYPE={likely}"
    words = set(re.findall(r"\w+", str(error)))
    if advised := [name for name in reader.parameters if name in words]:
        return f"{' and '.join(advised)} can be set in READ_RECORDING_KWARGS"
    if is_damage(error):
        return CHECK_THE_FILE
    if reader.name == "openephys" and "probe" in words:
        return (
            "if the record node is whole, its settings.xml describes other channels (those of "
            "another node, say): rename that file, and give the probe as PROBE_FILE"
        )
    if isinstance(error, FileNotFoundError):
        return "put the missing file beside the others, and name their folder as the source"
    return (
        f"check that it is what DATA_TYPE={reader.name} reads; if SpikeInterface opens it on the "
        "computer where it was recorded, save it there with recording.save(folder=...) and set "
        "DATA_TYPE=binary"
    )


def is_damage(error: BaseException) -> bool:
    """Return whether an error reports missing or wrong bytes in a file."""
    if isinstance(error, EOFError | struct.error | zlib.error):
        return True
    if not isinstance(error, OSError | ValueError | RuntimeError | KeyError | SystemError):
        return False
    message = str(error)
    return DAMAGED.search(message) is not None and ABSENT.search(message) is None
