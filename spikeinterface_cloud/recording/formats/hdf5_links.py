"""Links of an HDF5 file to other files: through one, a source could have any file of the machine
read, sorted and published as its traces."""

from pathlib import Path
from typing import Any

import h5py

from spikeinterface_cloud.errors import RecordingError


def refuse_foreign_links(file: h5py.File, folder: Path | None) -> None:
    """Raise `RecordingError` if something in an open file is kept in a file outside of `folder`.

    A file that is streamed has no folder, and may link to no other file at all.
    """
    for name, other in _links(file):
        if folder is None or not (folder / other).resolve().is_relative_to(folder.resolve()):
            raise RecordingError(
                f"{name} is kept in another file, {other}, which is not part of the source; "
                "export the recording with its traces inside"
            )


def linked_files(path: Path) -> set[Path]:
    """The other files that an HDF5 file keeps something in; none of a file that is none or broken.

    What is broken is told of when it is opened to be sorted.
    """
    try:
        with h5py.File(path) as file:
            return {path.parent / other for _, other in _links(file)}
    except (OSError, RuntimeError, KeyError, ValueError):
        return set()


def _links(file: h5py.File) -> list[tuple[str, str]]:
    """What is kept in other files: its name, and the name of the other file."""
    found: list[tuple[str, str]] = []  # h5py garbles what is raised while it visits

    def note_link(name: str, link: Any) -> None:
        if isinstance(link, h5py.ExternalLink):
            found.append((name, link.filename))

    def note_storage(name: str, item: Any) -> None:
        if not isinstance(item, h5py.Dataset):
            return
        found.extend((name, other) for other, *_ in item.external or ())
        sources = item.virtual_sources() if item.is_virtual else ()
        found.extend((name, source.file_name) for source in sources if source.file_name != ".")

    file.visititems_links(note_link)
    file.visititems(note_storage)
    return found
