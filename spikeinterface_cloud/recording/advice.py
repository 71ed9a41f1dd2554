"""What a reader's error means to who reads it: its words on one line, and what to do."""

import re
import struct
import zlib

from spikeinterface_cloud.recording.formats.readers import Reader

#: a message longer than this is cut in its middle: its end often holds the reader's own advice
LONGEST_REASON = 600

#: how readers and HDF5 say that bytes are missing or wrong
DAMAGED = re.compile(
    r"truncat|unexpected end|end of file|\beof\b|greater than file size|checksum|corrupt|"
    r"signature|bad object header|(?:visitation|iteration) failed|link specific callback|FastRLock|"
    r"inflate|synchronously|unable to (?:synchronously )?open"
    r"|buffer is smaller|requires a buffer|wrong (?:fixed|version|header)|bad heap|bad symbol|"
    r"cannot be mapped|mmap",
    re.IGNORECASE,
)

#: how HDF5 says that a whole file does not have something
ABSENT = re.compile(r"unable to (?:synchronously )?open object \(object '.*' doesn't exist", re.I)

CHECK_THE_FILE = "check that the file is whole (compare its size and checksum with the original)"


def one_line(error: BaseException, hide: str = "") -> str:
    """The message of another library's error on one line, of bearable length, without `hide`."""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, KeyError):  # whose message is but the key
        text = f"{text} is missing"
    text = text.replace(hide, "...") if hide else text
    if len(text) <= LONGEST_REASON:
        return text
    half = LONGEST_REASON // 2
    return f"{text[:half].rsplit(' ', 1)[0]} ... {text[-half:].split(' ', 1)[-1]}"


def remedy(error: BaseException, reader: Reader, likely: str | None) -> str:
    """What to do about the error of a reader.

    Parameters
    ----------
    likely
        the DATA_TYPE that the names of the files look like
    """
    if likely is not None and likely != reader.name:
        return f"it looks like {likely}: set DATA_TYPE={likely} if that is what it is"
    if advised := named_parameters(error, reader.parameters):
        return f"{' and '.join(advised)} can be set in READ_RECORDING_KWARGS"
    if is_damage(error):
        return CHECK_THE_FILE
    if isinstance(error, FileNotFoundError):
        return "put the missing file beside the others, and name their folder as the source"
    return (
        f"check that it is what DATA_TYPE={reader.name} reads; if SpikeInterface opens it where "
        "it was recorded, save it there with recording.save(folder=...) and set DATA_TYPE=binary"
    )


def is_damage(error: BaseException) -> bool:
    """Whether an error says that the bytes of a file are missing or wrong."""
    if isinstance(error, EOFError | struct.error | zlib.error):
        return True
    if not isinstance(error, OSError | ValueError | RuntimeError | KeyError | SystemError):
        return False
    said = str(error)
    return DAMAGED.search(said) is not None and ABSENT.search(said) is None


def named_parameters(error: BaseException, parameters: tuple[str, ...]) -> list[str]:
    """Those of a reader's parameters that its error advises, in their order."""
    said = set(re.findall(r"\w+", str(error)))
    return [name for name in parameters if name in said]
