"""The file or folder of a source that a reader opens, chosen by file names alone.

A reader of folders that is given a file opens the folder around it, and would read whatever
recording is in there or below. So that file has to be one by which its reader finds a recording,
and the stream that is read has to be the one in that file.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, TypeVar

from spikeinterface_cloud.errors import RecordingError, SettingsError
from spikeinterface_cloud.recording.formats import nwb_zarr, zarr_stores
from spikeinterface_cloud.recording.formats.lfp_files import refuse_lfp_file
from spikeinterface_cloud.recording.formats.readers import Reader, likely_data_type
from spikeinterface_cloud.recording.formats.saved_folder import saved_folders
from spikeinterface_cloud.recording.formats.spikeglx import APPLE_DOUBLE, parse_name
from spikeinterface_cloud.recording.formats.streams import needed_files
from spikeinterface_cloud.recording.formats.tdt_blocks import tank_of
from spikeinterface_cloud.recording.formats.zarr_metadata import METADATA, check_chunks_exist

P = TypeVar("P", bound=PurePath)

#: Blackrock keeps each sampling rate in a file of its own, whose number is its stream
BLACKROCK = re.compile(r".+\.ns(?P<stream>\d)", re.IGNORECASE)

#: of a PROBE_FILE in the source, which is no recording
PROBE_ENDING = ".json"

#: IBL's compression of SpikeGLX keeps each band in files of its own
IBL_BAND = re.compile(r".+\.(?P<stream>ap|lf|nidq)\.(?:[\w-]+\.)?(?:cbin|ch|meta)")


def locate(
    reader: Reader, path: Path, kwargs: Mapping[str, Any], n_frames: int | None = None
) -> tuple[Path, dict[str, Any]]:
    """Return what `reader` opens of the source at `path`, and `kwargs` that name the stream.

    Of Zarr, the chunks of the first `n_frames` have to be there; all, if it is None.
    """
    location = _find_path(reader, path)
    names = list_files(location) if location.is_dir() else [PurePosixPath(path.name)]
    kwargs = dict(kwargs)
    if path.is_file():
        kwargs = with_file_stream(reader, PurePosixPath(path.name), names, kwargs)
        if reader.name == "spikeglx":  # which leaves out what is not whole of other files
            names = [name for name in names if name.with_suffix("").name == path.stem]
    if not location.is_dir():
        refuse_lfp_file(location)
        siblings = sorted(each for each in location.parent.iterdir() if each.is_file())
        names = [PurePosixPath(each.name) for each in siblings]
    needed_files(reader.name, names, kwargs)
    if location.is_dir():
        _check_zarr(reader, location, names, kwargs, n_frames)
    return location, kwargs


def _check_zarr(
    reader: Reader,
    folder: Path,
    names: Sequence[PurePosixPath],
    kwargs: Mapping[str, Any],
    n_frames: int | None,
) -> None:
    def read(name: PurePosixPath) -> bytes:
        return (folder / name).read_bytes()

    if reader.reads_zarr:
        arrays = zarr_stores.needed_arrays(reader.name, names, read, kwargs, n_frames)
    elif reader.name == "nwb":
        arrays = nwb_zarr.needed_arrays(names, read, kwargs, n_frames)
    else:
        return
    check_chunks_exist(arrays, names)


def list_files(folder: Path) -> list[PurePosixPath]:
    """Return the files in a folder and below it, by their paths inside it."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return [PurePosixPath(file.relative_to(folder).as_posix()) for file in files]


def pick_file(reader: Reader, names: Sequence[PurePosixPath]) -> PurePosixPath:
    """Return the one of several files that a reader of files opens."""
    names = [name for name in names if not name.name.startswith(APPLE_DOUBLE)]
    for extension in reader.extensions:
        matches = [name for name in names if name.name.lower().endswith(extension)]
        if matches:
            if reader.name == "blackrock":  # one recording in files of several rates
                _only([n for n in names if n.name.lower().endswith(reader.extensions)], reader)
                return matches[0]
            return _only(matches, reader)
    if len(names) > 1 and reader.extensions:
        raise RecordingError(
            f"DATA_TYPE={reader.name} reads none of the {len(names)} files; it reads "
            f"{', '.join(reader.extensions[:4])}; check DATA_TYPE and the source"
        )
    others = [name for name in names if name.suffix.lower() != PROBE_ENDING]
    if not others:
        raise RecordingError(
            f"there is no file of samples beside {', '.join(map(str, names[:3]))}; check the source"
        )
    return _only(others, reader)


def _find_path(reader: Reader, path: Path) -> Path:
    if not path.exists():
        raise RecordingError(f"{path} does not exist; check the source")
    if reader.name == "binary" and path.is_dir() and (saved := saved_folders(path)):
        return _only(saved, reader)
    if path.is_file():
        if reader.takes_a_file:
            return path
        _refuse_foreign_file(reader, PurePosixPath(path.name))
        return tank_of(path.parent) if reader.name == "tdt" else path.parent
    if not reader.takes_a_file or reader.reads_zarr:
        return _folder_inside(reader, path)
    names = list_files(path)
    if not names:
        raise RecordingError(f"{path} holds no file; check the source")
    if reader.name == "nwb" and (store := nwb_zarr.find_store(names)) is not None:
        return path / store
    return path / pick_file(reader, names)


def _only(paths: list[P], reader: Reader) -> P:
    """Return the only one of `paths`; Blackrock's files of one name are one recording."""
    n_recordings = len(paths)
    if reader.name == "blackrock":
        n_recordings = len({path.with_suffix("") for path in paths})
    if n_recordings > 1:
        names = ", ".join(sorted(path.name for path in paths)[:10])
        one_session = (
            "; if they are one session that was split, set DATA_TYPE=split_intan_files, which "
            'joins the files of their folder (READ_RECORDING_KWARGS={"mode": "append"} keeps each '
            "a segment)"
        )
        raise SettingsError(
            f"there are {n_recordings} recordings of DATA_TYPE={reader.name} here: {names}; "
            "name one of them as the source (it can be a single file)"
            + (one_session if reader.name == "intan" else "")
        )
    return paths[0]


def _folder_inside(reader: Reader, path: Path) -> Path:
    """Return the folder at or below `path` that a reader of folders opens."""
    match reader.name:
        case "openephys" if not any(path.rglob("structure.oebin")):
            folders = sorted({file.parent for file in path.rglob("*.continuous")})
        case "neuralynx":
            folders = sorted({file.parent for file in path.rglob("*.[nN][cC][sS]")})
        case "tdt":
            return tank_of(path)
        case "cbin_ibl":
            folders = sorted({file.parent for file in path.rglob("*.ap.*cbin")})
            folders = folders if len(folders) == 1 else []  # ibl_files names several
        case _ if reader.neo_classes or any((path / name).is_file() for name in METADATA):
            folders = []
        case _ if reader.reads_zarr:
            folders = [path / root for root in zarr_stores.store_roots(list_files(path))]
            folders = folders if len(folders) == 1 else []  # store_files names several
        case _:
            return _descend(path)
    return _only(folders, reader) if folders else path


def _descend(folder: Path) -> Path:
    """Skip folders that hold only another folder, as copies often do."""
    content = list(folder.iterdir())
    while len(content) == 1 and content[0].is_dir():
        folder = content[0]
        content = list(folder.iterdir())
    return folder


# ----- a file that is named as the source --------------------------------------------------------


def with_file_stream(
    reader: Reader, file: PurePosixPath, names: Sequence[PurePosixPath], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """Return `kwargs` that name the stream in `file`, which is the source.

    Another stream in READ_RECORDING_KWARGS, and a file that is read with others, are refused.

    Parameters
    ----------
    names
        the files that the reader would find, `file` among them
    """
    refuse_lfp_file(file)
    if not reader.takes_a_file:
        _refuse_foreign_file(reader, file)
        _refuse_one_of_several(reader, file, names)
    stream = _stream_of(reader, file)
    if stream is None:
        return dict(kwargs)
    parameter, identifier = stream
    requested = kwargs.get("stream_id")
    if requested is None:
        requested = kwargs.get("stream_name")
    if requested is None:
        return {**kwargs, parameter: identifier}
    if reader.name != "blackrock" and requested != identifier:
        raise SettingsError(
            f"READ_RECORDING_KWARGS names the stream {requested!r}, and {file.name} is of "
            f"{identifier!r}; leave the stream out, or name the folder as the source"
        )
    return dict(kwargs)


def check_spikeglx_file_name(recording: Any, file: Path) -> None:
    """Raise `RecordingError` if another SpikeGLX file than `file` was opened.

    The reader goes by the meta files, which contradict the name of a renamed file.
    """
    stream = str(recording.stream_id)
    opened = {
        Path(info["bin_file"]).name
        for info in recording.neo_reader.signals_info_list
        if info["stream_name"] == stream
    }
    if opened != {file.with_suffix(".bin").name}:
        raise RecordingError(
            f"{file.name} was named as the source, but according to the meta files {stream} is in "
            f"{', '.join(sorted(opened))}; give the files back the names that SpikeGLX gave them, "
            "or put the ones to sort in a folder of their own"
        )


def _stream_of(reader: Reader, file: PurePath) -> tuple[str, str] | None:
    """Return the parameter that chooses the stream in a file, and its value."""
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


def _refuse_foreign_file(reader: Reader, file: PurePosixPath) -> None:
    if file.name.lower().endswith(reader.extensions):
        return
    likely = likely_data_type([file])
    remedy = (
        "name the folder of the recording as the source"
        if likely in (None, reader.name)
        else f"it looks like {likely}: if it is, set DATA_TYPE={likely}"
    )
    endings = f" (it looks for {', '.join(reader.extensions)})" if reader.extensions else ""
    raise RecordingError(
        f"{file.name} is not a file by which DATA_TYPE={reader.name} finds a recording{endings}; "
        f"{remedy}"
    )


def _refuse_one_of_several(
    reader: Reader, file: PurePosixPath, names: Sequence[PurePosixPath]
) -> None:
    """Refuse a file that is read together with others of its kind: more would be sorted."""
    kind = _kind(reader, file)
    n_alike = sum(_kind(reader, name) == kind for name in names)
    if n_alike > 1:
        raise SettingsError(
            f"{file.name} is one of {n_alike} such files there, all of which "
            f"DATA_TYPE={reader.name} reads together; name their folder as the source, or put the "
            "files of one recording in a folder of its own"
        )


def _kind(reader: Reader, file: PurePosixPath) -> tuple[str, str]:
    """Return ending and stream, which files that are read together share."""
    lower = file.name.lower()
    ending = next((each for each in reader.extensions if lower.endswith(each)), file.suffix)
    _, stream = _stream_of(reader, file) or ("", "")
    return ending, stream
