"""What is in an open NWB file, whether HDF5 or Zarr: texts, and what its links point to.

Groups, attributes and numbers are the same in h5py and zarr. hdmf-zarr keeps links and references
as attributes of JSON.
"""

from typing import Any

import h5py
import numpy as np
import zarr


def is_array(item: Any) -> bool:
    """Return whether an item is a dataset, not a group."""
    return isinstance(item, h5py.Dataset | zarr.Array)


def is_text(array: Any) -> bool:
    """Return whether a dataset holds texts."""
    if isinstance(array, h5py.Dataset):
        return h5py.check_string_dtype(array.dtype) is not None
    filters = [codec.codec_id for codec in array.filters or ()]
    return array.dtype.kind in "US" or bool({"vlen-utf8", "vlen-bytes"} & set(filters))


def read_texts(array: Any) -> np.ndarray:
    """Return the texts of a dataset, in at least one dimension."""
    if isinstance(array, h5py.Dataset):
        return np.atleast_1d(array.asstr()[()])
    texts = [each.decode() if isinstance(each, bytes) else str(each) for each in array[:].flat]
    return np.array(texts, dtype=object).reshape(array.shape)


def linked(file: Any, group: Any, name: str) -> Any:
    """Return an item of a group, or what its link of this name points to; None if there is none."""
    if name in group or isinstance(group, h5py.Group):
        return group.get(name)
    links = group.attrs.get("zarr_link", ())
    return next((file[link["path"]] for link in links if link["name"] == name), None)


def referenced(file: Any, reference: Any) -> Any:
    """Return what a reference in an attribute points to."""
    return file[reference["value"]["path"] if isinstance(reference, dict) else reference]
