"""Which files of a remote Zarr store a recording is read from, by its metadata and listing alone.

Only these are fetched, by the download that every source has, and the store is opened in the folder
that it is fetched to. So to read less of a store, return fewer of its files.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import PurePosixPath
from typing import Any

from spikeinterface_cloud.config.locations import S3Location
from spikeinterface_cloud.recording.formats import nwb_zarr, zarr_stores
from spikeinterface_cloud.recording.formats.readers import Reader
from spikeinterface_cloud.recording.formats.zarr_metadata import (
    ZarrArray,
    check_chunks_exist,
    metadata_files,
)
from spikeinterface_cloud.storage.archived import check_restored
from spikeinterface_cloud.storage.remote_file import RemoteFile, s3_files
from spikeinterface_cloud.storage.session import Storage
from spikeinterface_cloud.storage.small_objects import read_files
from spikeinterface_cloud.storage.stored_object import StoredObject

#: objects that one request lists where only the first frames are wanted
LISTED = 200

#: chunks that are looked up because they were not listed
MOST_LOOKED_UP = 1_000_000

#: in the order of names, a name after those of all chunks
AFTER_CHUNKS = "~"

#: returns those of some files of a store that exist
LookUp = Callable[[Sequence[PurePosixPath]], Sequence[RemoteFile]]


def choose_zarr_files(
    reader: Reader,
    files: Sequence[RemoteFile],
    kwargs: Mapping[str, Any],
    n_frames: int | None = None,
    look_up: LookUp | None = None,
) -> list[RemoteFile]:
    """Return the files to fetch of a store; raise `RecordingError` if it cannot be read.

    Parameters
    ----------
    reader
        of Zarr, or of NWB
    files
        those of the store, and of folders around it, if any
    kwargs
        READ_RECORDING_KWARGS
    n_frames
        number of frames that are wanted; None for all
    look_up
        finds chunks that are not among the files, which are `objects_without_chunks`
    """
    by_name = {file.name: file for file in files}
    names = list(by_name)
    metadata = metadata_files(names)
    contents = dict(zip(metadata, read_files([by_name[name] for name in metadata]), strict=True))

    def read(name: PurePosixPath) -> bytes:
        return contents[name] if name in contents else read_files([by_name[name]])[0]

    if reader.name == "nwb":
        arrays = nwb_zarr.needed_arrays(names, read, kwargs, n_frames)
    else:
        arrays = zarr_stores.needed_arrays(reader.name, names, read, kwargs, n_frames)
    if look_up is not None and n_frames is not None:
        unlisted = (name for name in _chunks(arrays) if name not in by_name)
        by_name |= {file.name: file for file in look_up([*islice(unlisted, MOST_LOOKED_UP)])}
    check_chunks_exist(arrays, by_name)  # before all are named: a shape may be damaged
    needed = {*metadata, *_chunks(arrays)}
    return [file for name, file in by_name.items() if name in needed]


def _chunks(arrays: Mapping[PurePosixPath, ZarrArray]) -> Iterator[PurePosixPath]:
    return (path / chunk for path, array in arrays.items() for chunk in array.chunk_names())


def objects_without_chunks(storage: Storage, folder: S3Location) -> list[StoredObject]:
    """Return the objects inside `folder`, but of an array with many chunks only the first ones.

    Nothing if they cannot be listed so.
    """
    found: list[StoredObject] = []
    arrays: set[str] = set()  # the starts of the names inside them
    after, is_truncated = "", True
    while is_truncated:
        objects, is_truncated = storage.objects_after(folder, after, LISTED)
        if not objects:  # and perhaps more names, of folders alone
            return [] if is_truncated else found
        found += objects
        keys = [each.location.key.removeprefix(f"{folder.key}/") for each in objects]
        arrays |= {key.removesuffix(".zarray") for key in keys if f"/{key}".endswith("/.zarray")}
        around = [start for start in arrays if keys[-1].startswith(start)]
        after = min(around) + AFTER_CHUNKS if around else keys[-1]
    return found


def look_up_chunks(
    storage: Storage, store: S3Location, names: Sequence[PurePosixPath]
) -> list[RemoteFile]:
    """Return those chunks of a store that exist, of the `names` inside it."""
    if len(names) <= LISTED:
        objects = storage.heads([store.child(str(name)) for name in names])
    else:
        arrays = {store.child(str(name.parent)) for name in names}
        objects = [each for array in arrays for each in storage.objects_below(array).values()]
    wanted = set(names)
    files = [file for file in s3_files(storage, objects, store) if file.name in wanted]
    urls = {file.url for file in files}
    check_restored(storage, [stored for stored in objects if str(stored.location) in urls])
    return files
