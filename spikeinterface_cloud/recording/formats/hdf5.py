"""The compression filters of HDF5 that this image reads."""

import math
import os
from typing import Any

import h5py
import hdf5plugin
from neo.rawio.maxwellrawio import auto_install_maxwell_hdf5_compression_plugin

from spikeinterface_cloud.errors import RecordingError, UnavailableError

#: importing hdf5plugin adds these filters to HDF5
CODECS = tuple(sorted(hdf5plugin.FILTERS))

#: registered filters that hdf5plugin lacks
OTHER_FILTERS = {
    305: "LZO, of PyTables",
    32003: "Snappy",
    32009: "SPDP",
    32012: "JPEG-LS",
    32016: "B3D",
    32019: "JPEG",
    32020: "VBZ, of Oxford Nanopore",
    32025: "Delta-Rice",
    32027: "FLAC",
    32030: "FFMPEG",
}


def install_maxwell_plugin() -> None:
    """Download Maxwell's own filter, which nobody else may distribute."""
    try:
        auto_install_maxwell_hdf5_compression_plugin(force_download=False)
    except OSError as error:
        raise UnavailableError(
            f"Maxwell's HDF5 filter cannot be downloaded ({error}); use an image that has its "
            "libcompression.so in the folder that HDF5_PLUGIN_PATH names"
        ) from error
    h5py.h5pl.append(os.environ["HDF5_PLUGIN_PATH"].encode())


def check_codecs(file: h5py.File, name: str, group: str | None = None) -> None:
    """Raise `UnavailableError` if a file is compressed by a filter that this image lacks.

    HDF5's own message names folders that do not exist.

    Parameters
    ----------
    name
        of the file, for the message
    group
        path of the group or dataset that is read; None for the whole file
    """
    missing: list[str] = []  # h5py garbles exceptions raised in a visitor

    def note_filters(_: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and (unknown := _missing_filter(item)):
            missing.append(f"{item.name.lstrip('/')} is compressed by {unknown}")

    target = file if group is None else file.get(group)
    if isinstance(target, h5py.Group):
        target.visititems(note_filters)
    if missing:
        raise UnavailableError(
            f"{name}: {missing[0]}, which this image cannot read (it reads gzip, szip, lzf, "
            f"{', '.join(CODECS)}); write the file again with one of these, or {_remedy(file)}"
        )


def check_all_written(dataset: h5py.Dataset, name: str) -> None:
    """Raise `RecordingError` if pieces of a dataset were never written: HDF5 reads them as zeros.

    Parameters
    ----------
    name
        of the file, for the message
    """
    if dataset.chunks is None or not dataset.size:
        return
    sizes = zip(dataset.shape, dataset.chunks, strict=True)
    n_expected = math.prod(-(-length // chunk) for length, chunk in sizes)
    n_written = dataset.id.get_num_chunks()
    if n_written < n_expected:
        raise RecordingError(
            f"{name}: {n_expected - n_written} of the {n_expected} chunks of "
            f"{dataset.name.lstrip('/')} were never written, and would be read as zeros; copy the "
            "file again, or export the recording again"
        )


def largest_dataset(file: h5py.File) -> h5py.Dataset | None:
    """Return the dataset with the most numbers, which are the samples of a recording."""
    found: list[h5py.Dataset] = []

    def note_datasets(_: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.shape is not None:
            found.append(item)

    file.visititems(note_datasets)
    return max(found, key=lambda dataset: dataset.size, default=None)


def _missing_filter(dataset: h5py.Dataset) -> str | None:
    properties = dataset.id.get_create_plist()
    for index in range(properties.get_nfilters()):
        number, _, _, label = properties.get_filter(index)
        if not h5py.h5z.filter_avail(number):
            known = OTHER_FILTERS.get(number) or label.decode("utf-8", "replace")[:60]
            return f"the HDF5 filter {number}" + (f" ({known})" if known else "")
    return None


def _remedy(file: h5py.File) -> str:
    if "wells" in file or "mapping" in file:  # Maxwell's two layouts
        return (
            "use an image that has the libcompression.so that Maxwell offers for download in the "
            "folder that its HDF5_PLUGIN_PATH names "
            '(READ_RECORDING_KWARGS={"install_maxwell_plugin": true} downloads it in the job)'
        )
    return "use an image that has the filter's plugin in the folder that HDF5_PLUGIN_PATH names"
