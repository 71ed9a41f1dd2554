"""Which file or folder of a source a reader is given: known by the names of the files alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, TypeVar

from spikeinterface_cloud.errors import RecordingError, SettingsError
from spikeinterface_cloud.recording.formats.lfp_files import refuse_lfp_file
from spikeinterface_cloud.recording.formats.readers import Reader
from spikeinterface_cloud.recording.formats.saved_folder import saved_folders
from spikeinterface_cloud.recording.formats.single_file import refuse_foreign_file, with_its_stream
from spikeinterface_cloud.recording.formats.streams import needed_files

P = TypeVar("P", bound=PurePath)


def locate(reader: Reader, path: Path, kwargs: Mapping[str, Any]) -> tuple[Path, dict[str, Any]]:
    """What `reader` is to be given of the source at `path`, and `kwargs` with the named stream.

    Nothing is read: the names of the files tell. Raises `RecordingError` when they are none of
    this reader's, and `SettingsError` when a recording or a stream is not there or has to be
    chosen.
    """
    location = find_path(reader, path)
    names = list_files(location) if location.is_dir() else [PurePosixPath(path.name)]
    asked = dict(kwargs)
    if path.is_file():
        asked = with_its_stream(reader, PurePosixPath(path.name), names, kwargs)
    if location.is_dir():
        needed_files(reader.name, names, asked)
    else:
        refuse_lfp_file(location)
        needed_files(reader.name, _beside(location), asked)
    return location, asked


def list_files(folder: Path) -> list[PurePosixPath]:
    """The files in a folder and below it, by their paths inside it."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return [PurePosixPath(file.relative_to(folder).as_posix()) for file in files]


def find_path(reader: Reader, path: Path) -> Path:
    """The file or folder inside `path`, or the folder around it, that `reader` is to be given.

    Raises `RecordingError` when there is no such file, `SettingsError` when there are several.
    """
    if not path.exists():
        raise RecordingError(f"{path} is not there")
    if reader.name == "binary" and path.is_dir() and (saved := saved_folders(path)):
        return _only(saved, reader)
    if path.is_file() and not reader.takes_a_file:
        refuse_foreign_file(reader, PurePosixPath(path.name))
        return path.parent
    if path.is_file():
        return path
    if reader.name == "nwb" and any(path.glob("**/.zgroup")):
        raise RecordingError(
            f"{path.name} is NWB in Zarr, whose texts are pickled Python objects that could run "
            "any program when loaded; export it as HDF5 (.nwb)"
        )
    if not reader.takes_a_file or reader.name == "zarr_array":
        return _folder_inside(reader, path)
    names = list_files(path)
    if not names:
        raise RecordingError(f"{path} holds no file")
    return path / pick_file(reader, names)


def pick_file(reader: Reader, names: Sequence[PurePosixPath]) -> PurePosixPath:
    """That of the files in a folder which a reader of files is to be given.

    Raises `RecordingError` when there is no such file, `SettingsError` when there are several.
    """
    for extension in reader.extensions:
        matches = [name for name in names if name.name.lower().endswith(extension)]
        if matches:
            if reader.name == "blackrock":  # one recording in files of several rates
                _only([n for n in names if n.name.lower().endswith(reader.extensions)], reader)
            return matches[0] if reader.name == "blackrock" else _only(matches, reader)
    if len(names) > 1 and reader.extensions:
        raise RecordingError(
            f"none of the {len(names)} files is one that DATA_TYPE={reader.name} reads "
            f"({', '.join(reader.extensions[:4])})"
        )
    return _only(list(names), reader)


def _only(paths: list[P], reader: Reader) -> P:
    """The only one of `paths`; Blackrock's files of one name are one recording."""
    n_recordings = len(paths)
    if reader.name == "blackrock":
        n_recordings = len({path.with_suffix("") for path in paths})
    if n_recordings > 1:
        names = ", ".join(sorted(path.name for path in paths)[:10])
        raise SettingsError(
            f"there are {n_recordings} recordings of DATA_TYPE={reader.name} here: {names}; "
            "name one of them as the source (it can be a single file)" + _if_one_session(reader)
        )
    return paths[0]


def _if_one_session(reader: Reader) -> str:
    if reader.name != "intan":
        return ""
    return (
        "; if they are one session that was split, set DATA_TYPE=split_intan_files, which joins "
        'the files of their folder (READ_RECORDING_KWARGS={"mode": "append"} keeps each a segment)'
    )


def _beside(file: Path) -> list[PurePosixPath]:
    """The files in the folder of a file."""
    return [PurePosixPath(each.name) for each in sorted(file.parent.iterdir()) if each.is_file()]


def _folder_inside(reader: Reader, path: Path) -> Path:
    """The folder at or below `path` that a reader of folders is to be given."""
    match reader.name:
        case "openephys" if not any(path.rglob("structure.oebin")):
            folders = sorted({file.parent for file in path.rglob("*.continuous")})
        case "neuralynx":
            folders = sorted({file.parent for file in path.rglob("*.[nN][cC][sS]")})
        case "cbin_ibl":
            folders = sorted({file.parent for file in path.rglob("*.ap.*cbin")})
            folders = folders if len(folders) == 1 else []  # several are for their check to name
        case _ if reader.neo_classes:
            folders = []
        case _:
            return _descend(path)
    return _only(folders, reader) if folders else path


def _descend(folder: Path) -> Path:
    """The folder that holds something: a copied folder often comes inside another."""
    content = list(folder.iterdir())
    while len(content) == 1 and content[0].is_dir():
        folder = content[0]
        content = list(folder.iterdir())
    return folder
