"""Which Zarr store of a source is the recording, and whether DATA_TYPE reads its kind.

Names and metadata are enough to decide that, before any sample is fetched.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import PurePosixPath

from spikeinterface_cloud.errors import RecordingError, SettingsError
from spikeinterface_cloud.recording.formats.zarr_metadata import (
    METADATA,
    ReadFile,
    ZarrArray,
    arrays_without_pickles,
)
from spikeinterface_cloud.recording.messages import list_first

#: the arrays that have a row for each frame
SEGMENT_ROWS = re.compile(r"(?:traces|times)_seg(?P<number>\d+)")

#: the name of a chunk, or the end of one in folders
CHUNK = re.compile(r"\d+(?:\.\d+)*")

#: stores that are named in a message
SHOWN = 6

PLAIN_ARRAY = (
    'DATA_TYPE=zarr_array, READ_RECORDING_KWARGS={"sampling_frequency": 30000.0, "gain_to_uV": '
    '0.195, "offset_to_uV": 0.0} with your values, and PROBE_FILE'
)


def store_roots(names: Sequence[PurePosixPath]) -> list[PurePosixPath]:
    """Return the outermost folders with Zarr's metadata.

    >>> names = ["a.zarr/.zgroup", "a.zarr/traces_seg0/.zarray", "b.zarr/.zarray"]
    >>> [root.name for root in store_roots([PurePosixPath(name) for name in names])]
    ['a.zarr', 'b.zarr']
    """
    folders = {name.parent for name in names if name.name in METADATA}
    return sorted(each for each in folders if folders.isdisjoint(each.parents))


def store_files(data_type: str, names: Sequence[PurePosixPath]) -> list[PurePosixPath]:
    """Return the files of the one store among `names`."""
    roots = store_roots(names)
    if not roots:
        return list(names)
    if len(roots) > 1:
        raise SettingsError(
            f"there are {len(roots)} Zarr folders here: {list_first(roots, SHOWN)}; name the one "
            "to sort (an AP band, not an LFP) as the source"
        )
    [root] = roots
    inside = [name for name in names if name.is_relative_to(root)]
    _check_kind(data_type, {name.relative_to(root).as_posix() for name in inside})
    return inside


def _check_kind(data_type: str, inside: set[str]) -> None:
    """Refuse a plain array for DATA_TYPE=zarr, and a group for DATA_TYPE=zarr_array."""
    is_array = ".zarray" in inside
    if data_type == "zarr" and is_array:
        raise SettingsError(
            "this is a plain Zarr array, not a recording that SpikeInterface saved; set "
            f"{PLAIN_ARRAY}"
        )
    if is_array or (data_type == "zarr" and "traces_seg0/.zarray" in inside):
        return
    arrays = sorted(name.removesuffix("/.zarray") for name in inside if name.endswith("/.zarray"))
    found = f"it holds the arrays {list_first(arrays, SHOWN)}" if arrays else "it holds no array"
    if "traces_seg0" in arrays:
        raise SettingsError(
            "this is a Zarr group that SpikeInterface saved, not a plain array: set DATA_TYPE=zarr"
        )
    raise RecordingError(
        f"this is a Zarr group, but not a recording that SpikeInterface saved: {found}; if one of "
        f"them has the samples, name its folder as the source, and set {PLAIN_ARRAY}; for NWB, set "
        "DATA_TYPE=nwb"
    )


def needed_arrays(
    data_type: str,
    names: Sequence[PurePosixPath],
    read: ReadFile,
    kwargs: Mapping[str, object],
    n_frames: int | None = None,
) -> Mapping[PurePosixPath, ZarrArray]:
    """Return the arrays that a recording is read from, by their paths, with the rows needed.

    Parameters
    ----------
    data_type
        `zarr` or `zarr_array`
    names
        the files of the store, and of folders around it, if any
    read
        returns the content of a file of metadata
    kwargs
        READ_RECORDING_KWARGS
    n_frames
        number of frames that are wanted; None for all

    Raises
    ------
    RecordingError
        if the store cannot be read
    """
    arrays = arrays_without_pickles(names, read)
    refuse_undescribed_chunks(arrays, names)
    _check_plain_array(data_type, arrays, kwargs)
    if n_frames is None:
        return arrays
    return {path: _first(data_type, path, each, n_frames) for path, each in arrays.items()}


def refuse_undescribed_chunks(
    described: Collection[PurePosixPath], names: Sequence[PurePosixPath]
) -> None:
    """Refuse chunks outside of the described arrays, which would be taken for absent."""
    roots = set(store_roots(names))
    for folder in sorted({name.parent for name in names if CHUNK.fullmatch(name.name)}):
        above = {folder, *folder.parents}
        if above.isdisjoint(described) and not above.isdisjoint(roots):
            raise RecordingError(
                f"{folder} has chunks, but no .zarray that describes them; copy the folder again "
                "from where it was written"
            )


def _first(data_type: str, path: PurePosixPath, array: ZarrArray, n_frames: int) -> ZarrArray:
    """Return the array with the rows of the first frames, which are in the first segment."""
    segment = SEGMENT_ROWS.fullmatch(path.name)
    if segment is not None:
        return array.first_rows(n_frames if segment["number"] == "0" else 0)
    return array.first_rows(n_frames) if data_type == "zarr_array" else array


def _check_plain_array(
    data_type: str, arrays: Mapping[PurePosixPath, ZarrArray], kwargs: Mapping[str, object]
) -> None:
    """Raise an error if the array of DATA_TYPE=zarr_array is not samples by channels."""
    if data_type != "zarr_array" or len(arrays) != 1:
        return
    [(path, array)] = arrays.items()
    name, shape = path.name or "the array", " x ".join(map(str, array.shape))
    if len(array.shape) != 2:
        raise RecordingError(
            f"{name} has {len(array.shape)} axes ({shape}), and DATA_TYPE=zarr_array reads samples "
            "x channels; save it again with 2 axes"
        )
    n_samples, n_channels = array.shape
    if n_channels > n_samples:
        raise RecordingError(
            f"{name} has the shape {shape}, and DATA_TYPE=zarr_array reads samples x channels: it "
            "seems to be transposed; save it again with the samples first"
        )
    for key in ("gain_to_uV", "offset_to_uV"):
        value = kwargs.get(key)
        if isinstance(value, list) and len(value) != n_channels:
            raise SettingsError(
                f"READ_RECORDING_KWARGS: {key} has {len(value)} values, and {name} has "
                f"{n_channels} channels; give one value, or one for each channel"
            )
