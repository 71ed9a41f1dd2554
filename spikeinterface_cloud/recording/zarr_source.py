"""Which files of a remote Zarr store a recording is read from, by its metadata and listing alone.

Only these are fetched, by the download that every source has, and the store is opened in the folder
that it is fetched to. So to read less of a store, return fewer of its files.
"""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from spikeinterface_cloud.recording.formats import nwb_zarr, zarr_stores
from spikeinterface_cloud.recording.formats.readers import Reader
from spikeinterface_cloud.recording.formats.zarr_metadata import METADATA, metadata_files
from spikeinterface_cloud.storage.remote_file import RemoteFile
from spikeinterface_cloud.storage.small_objects import read_files


def choose_zarr_files(
    reader: Reader,
    files: Sequence[RemoteFile],
    kwargs: Mapping[str, Any],
    n_frames: int | None = None,
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
    chunks = {path / chunk for path, array in arrays.items() for chunk in array.chunk_names()}
    return [file for file in files if file.name.name in METADATA or file.name in chunks]
