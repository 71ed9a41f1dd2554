"""Links of HDF5 files to other files: external links, external storage and virtual datasets.

Through them, any file of the host could be read, sorted and published as traces. So each name is
resolved as the HDF5 library resolves it, in every linked file too, before anything is read.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py

from spikeinterface_cloud.errors import RecordingError

#: groups within groups; SpikeInterface and HDF5 look each up from the root
DEEPEST = 100

#: variables with folders where HDF5 looks first
LINK_PREFIX, STORAGE_PREFIX = "HDF5_EXT_PREFIX", "HDF5_EXTFILE_PREFIX"
VIRTUAL_PREFIX = "HDF5_VDS_PREFIX"


def refuse_foreign_links(file: h5py.File, folder: Path | None) -> None:
    """Refuse an open file that keeps something in a file outside `folder`, or in a hidden file.

    With `folder` None (a streamed file), no link to another file is accepted.
    """
    if folder is not None:
        for _ in _follow(Path(file.filename), folder):
            pass
        return
    for item, name, _ in _links(file):
        raise _foreign(item, name)


def linked_files(path: Path) -> set[Path]:
    """Return the files beside or below an HDF5 file that it links to; none if it is damaged."""
    if not h5py.is_hdf5(path):
        return set()
    try:
        return set(_follow(path, path.parent))
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, RecordingError):
        return set()  # opening the file says why it cannot be read


def _follow(path: Path, folder: Path) -> Iterator[Path]:
    """Yield every file that is linked to, however indirectly; refuse those outside `folder`."""
    waiting, seen = [path], {_identity(path)}
    while waiting:
        opened = waiting.pop()
        with h5py.File(opened) as file:
            links = list(_links(file))
        for item, name, prefix in links:
            places = _places(opened, name, prefix)
            existing = [place for place in places if os.path.exists(place)]  # noqa: PTH110
            if "%" in name or not all(_is_inside(each, folder) for each in existing or places[:1]):
                raise _foreign(item, name)
            for place in existing:
                yield place.resolve()
                if _identity(place) not in seen and h5py.is_hdf5(place):
                    seen.add(_identity(place))
                    waiting.append(place)


def _foreign(item: str, name: str) -> RecordingError:
    return RecordingError(
        f"{item} is kept in another file, {name}, which is not part of the source; "
        "export the recording with its traces inside"
    )


def _places(file: Path, name: str, prefix: str) -> list[Path]:
    """Return the paths at which HDF5 looks for another file that is named in `file`.

    Names of external storage count from the working folder; other files are also looked for
    beside the file, and by the last part of their name alone.
    """
    prefixes = os.environ.get(prefix, "").replace("${ORIGIN}", str(file.parent))
    if prefix == STORAGE_PREFIX:
        return [Path(prefixes, name)] * bool(prefixes) + [Path.cwd() / name]
    searched = [Path(each) for each in prefixes.split(":") if each]
    folders = [file.parent, *searched, Path.cwd(), file.resolve().parent]
    return [each / part for part in (name, Path(name).name) for each in folders]


def _identity(file: Path) -> tuple[str, str]:
    """Return the file, and the folder that its own links count from."""
    return os.path.realpath(file), os.path.realpath(file.parent)


def _is_inside(file: Path, folder: Path) -> bool:
    resolved = Path(os.path.realpath(file))
    return resolved.is_relative_to(folder.resolve()) and not resolved.name.startswith(".")


def _links(file: h5py.File) -> Iterator[tuple[str, str, str]]:
    """Yield each linked item, the name of the file it is kept in, and its prefix variable."""
    for item, content in _walk(file):
        if isinstance(content, h5py.ExternalLink):
            yield item, content.filename, LINK_PREFIX
        elif isinstance(content, h5py.Dataset):
            for name, *_ in content.external or ():
                yield item, name, STORAGE_PREFIX
            sources = content.virtual_sources() if content.is_virtual else ()
            for name in {source.file_name for source in sources} - {"."}:
                yield item, name, VIRTUAL_PREFIX


def _walk(file: h5py.File) -> Iterator[tuple[str, Any]]:
    """Yield the path of each dataset and external link with it, in time linear in their number."""
    waiting, seen = [("", 0, file["/"])], set()
    while waiting:
        path, depth, group = waiting.pop()
        if depth > DEEPEST:
            raise RecordingError(
                f"groups are nested more than {DEEPEST} deep in it; export the recording again"
            )
        for name in group:
            item, link = f"{path}{name}", group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                yield item, link
                continue
            content = group[name]
            address = h5py.h5o.get_info(content.id).addr
            if address in seen:
                continue
            seen.add(address)
            if isinstance(content, h5py.Group):
                waiting.append((f"{item}/", depth + 1, content))
            else:
                yield item, content
