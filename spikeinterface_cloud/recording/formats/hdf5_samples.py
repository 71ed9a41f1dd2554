"""How many samples a remote NWB file in HDF5 holds, by its header, without fetching it."""

import logging
from collections.abc import Iterator
from typing import Any

import h5py

from spikeinterface_cloud.errors import CloudJobError
from spikeinterface_cloud.recording.formats.uncompressed import Samples
from spikeinterface_cloud.recording.messages import one_line
from spikeinterface_cloud.storage.range_reader import ObjectChanged
from spikeinterface_cloud.storage.remote_file import RemoteFile
from spikeinterface_cloud.storage.remote_io import RemoteIO
from spikeinterface_cloud.storage.thread_pool import in_a_thread

logger = logging.getLogger(__name__)


def find_hdf5_samples(file: RemoteFile, series: str | None) -> Samples | None:
    """Return the samples of a series, or of the largest acquired one; None if unknown.

    Parameters
    ----------
    series
        the path of the series in the file; None if it was not chosen
    """
    try:
        return in_a_thread(lambda: _read(file, series))
    except (CloudJobError, ObjectChanged):
        raise
    except Exception as error:  # for a damaged file, HDF5 raises anything; opening it says more
        logger.info("the size of the samples of %s is unknown: %s", file.url, one_line(error))
        return None


def _read(file: RemoteFile, series: str | None) -> Samples | None:
    with h5py.File(RemoteIO(file), "r") as opened:
        datasets = _datasets(opened, series)
        samples = [each for each in map(_describe, datasets) if each is not None]
    return max(samples, key=lambda each: each.size_bytes, default=None)


def _datasets(file: h5py.File, series: str | None) -> Iterator[h5py.Dataset]:
    if series is not None:
        paths = [f"{series}/data"]
    else:
        acquisition = _follow(file, "acquisition")
        names = acquisition if isinstance(acquisition, h5py.Group) else ()
        paths = [f"acquisition/{name}/data" for name in names]
    for path in paths:
        found = _follow(file, path)
        if isinstance(found, h5py.Dataset):
            yield found


def _follow(file: h5py.File, path: str) -> Any:
    """Return what is at a path without links, which may lead to files of this machine."""
    found: Any = file
    for name in path.strip("/").split("/"):
        if not isinstance(found, h5py.Group):
            return None
        if not isinstance(found.get(name, getlink=True), h5py.HardLink):
            return None
        found = found[name]
    return found


def _describe(dataset: h5py.Dataset) -> Samples | None:
    if dataset.ndim not in (1, 2) or dataset.dtype.kind not in "iuf" or not dataset.size:
        return None
    return Samples(
        n_frames=int(dataset.shape[0]),
        n_channels=int(dataset.shape[1]) if dataset.ndim == 2 else 1,
        sample_bytes=dataset.dtype.itemsize,
    )
