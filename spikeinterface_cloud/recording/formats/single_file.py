"""A file that is named as the source: is it the recording that would be opened, and no other?

A reader of folders is given the folder of that file, and reads whatever recording is in there or
below. So the file has to be one by which its reader finds a recording, and the stream that is read
has to be the one that lives in it.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath, PurePosixPath
from typing import Any

from spikeinterface_cloud.errors import RecordingError, SettingsError
from spikeinterface_cloud.recording.formats.lfp_files import refuse_lfp_file
from spikeinterface_cloud.recording.formats.readers import Reader, likely_data_type
from spikeinterface_cloud.recording.formats.spikeglx import parse_name

#: Blackrock keeps each sampling rate in a file of its own, whose number is its stream
BLACKROCK = re.compile(r".+\.ns(?P<stream>\d)", re.IGNORECASE)

#: IBL's compression of SpikeGLX keeps each band in files of its own
IBL_BAND = re.compile(r".+\.(?P<stream>ap|lf|nidq)\.(?:[\w-]+\.)?(?:cbin|ch|meta)")


def with_its_stream(
    reader: Reader, file: PurePosixPath, names: Sequence[PurePosixPath], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """`kwargs`, with the stream named in them that lives in the `file` named as the source.

    Parameters
    ----------
    names
        the files that the reader would find, `file` among them

    Raises
    ------
    RecordingError
        the file is none of this reader's, or holds no spikes
    SettingsError
        READ_RECORDING_KWARGS names another stream, or more would be read than this file
    """
    refuse_lfp_file(file)
    if not reader.takes_a_file:
        refuse_foreign_file(reader, file)
        _refuse_one_of_several(reader, file, names)
    stream = stream_of(reader, file)
    if stream is None:
        return dict(kwargs)
    parameter, identifier = stream
    asked = [kwargs[name] for name in ("stream_id", "stream_name") if kwargs.get(name) is not None]
    if not asked:
        return {**kwargs, parameter: identifier}
    if reader.name != "blackrock" and asked[0] != identifier:
        raise SettingsError(
            f"READ_RECORDING_KWARGS names the stream {asked[0]!r}, and {file.name} is of "
            f"{identifier!r}; leave the stream out, or name the folder as the source"
        )
    return dict(kwargs)


def stream_of(reader: Reader, file: PurePath) -> tuple[str, str] | None:
    """The stream that a file's name tells of: the parameter that chooses it, and its value."""
    match reader.name:
        case "spikeglx":
            parsed = parse_name(PurePosixPath(file.name))
            return None if parsed is None else ("stream_id", parsed.stream)
        case "cbin_ibl":
            band = IBL_BAND.fullmatch(file.name)
            return None if band is None else ("stream_name", band["stream"])
        case "blackrock":
            number = BLACKROCK.fullmatch(file.name)
            return None if number is None else ("stream_id", number["stream"])
        case _:
            return None


def refuse_foreign_file(reader: Reader, file: PurePosixPath) -> None:
    """Raise `RecordingError` if a reader of folders finds no recording by a file of this name."""
    if file.name.lower().endswith(reader.extensions):
        return
    likely = likely_data_type([file])
    remedy = (
        "name the folder of the recording as the source"
        if likely in (None, reader.name)
        else f"it looks like {likely}: set DATA_TYPE={likely} if that is what it is"
    )
    endings = f" (it knows one by {', '.join(reader.extensions)})" if reader.extensions else ""
    raise RecordingError(
        f"{file.name} is no file by which DATA_TYPE={reader.name} finds a recording{endings}; "
        f"{remedy}"
    )


def _refuse_one_of_several(
    reader: Reader, file: PurePosixPath, names: Sequence[PurePosixPath]
) -> None:
    """Refuse a file that is read together with its like, so that more is sorted than was named."""
    like = [name for name in names if _kind(reader, name) == _kind(reader, file)]
    if len(like) > 1:
        raise SettingsError(
            f"{file.name} is one of {len(like)} such files there, all of which "
            f"DATA_TYPE={reader.name} reads together; name their folder as the source, or put the "
            "files of one recording in a folder of its own"
        )


def _kind(reader: Reader, file: PurePosixPath) -> tuple[str, str]:
    """What files have in common that are read together: their ending, and their stream if told."""
    lower = file.name.lower()
    ending = next((each for each in reader.extensions if lower.endswith(each)), file.suffix)
    _, stream = stream_of(reader, file) or ("", "")
    return ending, stream
