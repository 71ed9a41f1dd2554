"""NWB in Zarr, as hdmf-zarr writes it: the arrays that its chosen series is read from.

References between its tables are pickled Python objects, which could run any program when loaded.
They are neither fetched nor decoded: the electrodes have the name of their group beside them.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, Never

import numcodecs
import zarr
from zarr.storage import KVStore

from spikeinterface_cloud.errors import CloudJobError, RecordingError, SettingsError
from spikeinterface_cloud.recording.formats.stream_choice import (
    Stream,
    choose_stream,
    requested_stream,
)
from spikeinterface_cloud.recording.formats.streams import electrical_series, refuse_zarr_3
from spikeinterface_cloud.recording.formats.zarr_metadata import (
    COPY_AGAIN,
    ReadFile,
    ZarrArray,
    metadata_files,
    readable_arrays,
)
from spikeinterface_cloud.recording.formats.zarr_stores import (
    refuse_undescribed_chunks,
    store_roots,
)
from spikeinterface_cloud.recording.messages import one_line

ELECTRODES = PurePosixPath("general/extracellular_ephys/electrodes")

#: more than any array has
ALL_ROWS = 2**62

#: timestamps from which the rate of a series is found
RATE_ROWS = 1000

#: what the names of a link's or reference's file are when it is the store itself
SAME_FILE = (".", "", None)


class RefusedPickle(numcodecs.Pickle):  # type: ignore[misc]
    """Numcodecs' codec of Python objects, without decoding."""

    def decode(self, *_: Any, **__: Any) -> Never:
        """Raise `RecordingError`."""
        raise RecordingError(
            "an array holds pickled Python objects, which could run any program when loaded; "
            "save the recording without them"
        )


numcodecs.register_codec(RefusedPickle)


class _Files(Mapping[str, bytes]):
    """The files of a store as zarr reads them; its chunks are read, but not listed."""

    def __init__(self, root: PurePosixPath, names: Sequence[PurePosixPath], read: ReadFile) -> None:
        self._root, self._names, self._read = root, frozenset(names), read
        self._listed = [
            name.relative_to(root).as_posix()
            for name in metadata_files(names)
            if name.is_relative_to(root)
        ]

    def __getitem__(self, key: str) -> bytes:
        name = self._root / key
        if name not in self._names:
            raise KeyError(key)
        return self._read(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._listed)

    def __len__(self) -> int:
        return len(self._listed)


def find_store(names: Sequence[PurePosixPath]) -> PurePosixPath | None:
    """Return the folder of the one NWB-Zarr among some files; None if there is none.

    >>> find_store([PurePosixPath("a.nwb.zarr/.zgroup"), PurePosixPath("a.nwb.zarr/x/.zgroup")])
    PurePosixPath('a.nwb.zarr')
    """
    refuse_zarr_3(names)
    roots = store_roots(names)
    if not roots:
        return None
    files = [name for name in names if name.suffix == ".nwb"]
    found = sorted(str(each) for each in [*roots, *files])
    if len(found) > 1:
        raise SettingsError(
            f"there are {len(found)} NWB files here: {', '.join(found[:10])}; name one of them as "
            "the source"
        )
    return roots[0]


def needed_arrays(
    names: Sequence[PurePosixPath],
    read: ReadFile,
    kwargs: Mapping[str, Any],
    n_frames: int | None = None,
) -> Mapping[PurePosixPath, ZarrArray]:
    """Return the arrays that the chosen series is read from, by their paths, with the rows needed.

    These are the series itself, the metadata of the session, and what else is as small.

    Parameters
    ----------
    names
        the files of the store, and of folders around it, if any
    read
        returns the content of a file; of chunks, it is asked for the first timestamps at most
    kwargs
        READ_RECORDING_KWARGS, which may choose the series
    n_frames
        number of frames that are wanted; None for all

    Raises
    ------
    RecordingError
        if the store cannot be read
    SettingsError
        if several series could be the recording
    """
    root = find_store(names)
    if root is None:
        raise RecordingError(f"there is no Zarr among {len(names)} files; {COPY_AGAIN}")
    arrays = readable_arrays(names, read)
    _refuse_lost_descriptions(arrays, names)
    try:
        file = zarr.open_group(KVStore(_Files(root, names, read)), mode="r")
        _check_kind(file)
        _check_links(file)
        _check_electrodes(file, arrays, root)
        series = electrical_series(file)
    except CloudJobError:
        raise
    except Exception as error:  # what is where NWB has something else raises anything
        raise RecordingError(
            f"{root.name or 'the folder'} cannot be read as NWB ({one_line(error)}); {COPY_AGAIN}"
        ) from error
    chosen = choose_stream(series, requested_stream(kwargs))
    return {
        path: array.first_rows(n_rows)
        for path, array in arrays.items()
        if (n_rows := _needed_rows(path.relative_to(root), chosen, series, n_frames))
    }


def _refuse_lost_descriptions(
    arrays: Mapping[PurePosixPath, ZarrArray], names: Sequence[PurePosixPath]
) -> None:
    """Refuse arrays without their own `.zarray`: the reader ignores the consolidated metadata."""
    own = {name.parent for name in names if name.name == ".zarray"}
    if lost := sorted(set(arrays) - own):
        raise RecordingError(f"{lost[0]}/.zarray is missing; {COPY_AGAIN}")
    refuse_undescribed_chunks(own, names)


def _needed_rows(
    path: PurePosixPath, chosen: Stream, series: Sequence[Stream], n_frames: int | None
) -> int:
    """Return how many rows of an array are needed: all, those of the first frames, or none."""
    if len(path.parts) == 1 or path.parts[0] == "general":
        return ALL_ROWS
    if not any(path.is_relative_to(each.identifier) for each in series):
        return 0
    if path.name not in ("data", "timestamps"):  # one series may use the electrodes of another
        return ALL_ROWS
    if path.is_relative_to(chosen.identifier):
        return ALL_ROWS if n_frames is None else max(n_frames, RATE_ROWS)
    return RATE_ROWS if path.name == "timestamps" else 0


def _check_kind(file: zarr.Group) -> None:
    if file.attrs.get("neurodata_type") == "NWBFile":
        return
    if "traces_seg0" in file:
        raise RecordingError("this is Zarr that SpikeInterface saved, not NWB; set DATA_TYPE=zarr")
    raise RecordingError("this Zarr is not NWB; check DATA_TYPE and the source")


def _check_links(file: zarr.Group) -> None:
    """Refuse links to other files, and samples that are somewhere else."""

    def check(name: str, item: Any) -> None:
        attributes = item.attrs.asdict()
        for link in [*attributes.get("zarr_link", ()), attributes.get("table", {}).get("value")]:
            source = None if link is None else link.get("source")
            if source not in SAME_FILE:
                raise RecordingError(
                    f"{name} is kept in another file, {source}, which is not part of the source; "
                    "export the recording with its traces inside"
                )
        is_series = attributes.get("neurodata_type") == "ElectricalSeries"
        if is_series and ("data" not in item or isinstance(item["data"], zarr.Group)):
            raise RecordingError(
                f"the data of {name} are not in it, but in another series; name that series, "
                'READ_RECORDING_KWARGS={"electrical_series_path": ...}, or export it again'
            )

    check("the file", file)
    file.visititems(check)


def _check_electrodes(
    file: zarr.Group, arrays: Mapping[PurePosixPath, ZarrArray], root: PurePosixPath
) -> None:
    """Refuse columns of pickled objects, but for the references to the groups."""
    table = file.get(str(ELECTRODES))
    if table is None:
        return
    readable = {path.name for path in arrays if path.parent == root / ELECTRODES}
    pickled = sorted(set(table.array_keys()) - readable - {"group"})
    if pickled:
        raise RecordingError(
            f"the column {pickled[0]} of the electrodes holds pickled Python objects, which could "
            "run any program when loaded; export the recording without it"
        )
