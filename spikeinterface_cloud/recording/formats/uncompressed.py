"""How many samples compressed files hold, by their metadata: known before anything is fetched.

The metadata are JSON, so that the laptop reads them without SpikeInterface, numpy or zarr. What
they do not say, or say wrongly, is None here; opening the recording says why.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from spikeinterface_cloud.errors import CloudJobError, RecordingError
from spikeinterface_cloud.recording.formats.spikeglx import without_uuid
from spikeinterface_cloud.recording.formats.stream_choice import Stream, pick_stream

#: more samples than any recording has
MOST_SAMPLES = 2**50

#: of numpy, as in Zarr and mtscomp: `<i2`, `int16`
DTYPE = re.compile(r"[<>|=]?[iuf](?P<bytes>[1248])|u?(?:int|float)(?P<bits>8|16|32|64)")

#: the file of a Zarr that repeats the metadata of all its arrays and groups
CONSOLIDATED = ".zmetadata"

ReadFiles = Callable[[Sequence[PurePosixPath]], Sequence[bytes]]

#: what consolidated metadata hold, by the names of the files that they repeat
Metadata = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Samples:
    """The samples of a recording, all segments together."""

    n_frames: int
    n_channels: int
    sample_bytes: int

    @property
    def n_values(self) -> int:
        """The number of samples of all channels."""
        return self.n_frames * self.n_channels

    @property
    def size_bytes(self) -> int:
        """The size of the samples in memory."""
        return self.n_values * self.sample_bytes


def find_samples(
    names: Iterable[PurePosixPath], read: ReadFiles, series: str | None = None
) -> Samples | None:
    """Return the samples of the recording in Zarr or mtscomp among some files; None if unknown.

    Parameters
    ----------
    names
        the files that the recording is read from
    read
        returns the contents of some of them, in order
    series
        the path of the electrical series in NWB; None if it was not chosen
    """
    names = list(names)
    headers = [name for name in names if name.suffix == ".ch"]
    if headers:
        compressed = [name for name in names if name.suffix == ".cbin"]
        headers = [each for each in headers if _stem(each) in set(map(_stem, compressed))]
        return _of_mtscomp(_parse(read(headers)[0])) if len(headers) == 1 else None
    with_chunks = {folder for name in names if name.name[:1] != "." for folder in name.parents}
    consolidated = [name for name in names if name.name == CONSOLIDATED]
    if len(consolidated) == 1:
        root, metadata = consolidated[0].parent, _parse_consolidated(read(consolidated)[0])
        if _is_nwb(metadata):
            with suppress(CloudJobError):
                chosen = _choose_series(metadata, series)
                if root / chosen / "data" in with_chunks:
                    return _of_series(metadata, chosen)
            return None  # opening the recording says why
        arrays = _listed(root, metadata)
    else:
        own = [name for name in names if name.name == ".zarray" and _may_hold_traces(name)]
        arrays = dict(zip(own, map(_parse, read(own)) if own else (), strict=True))
    return _of_arrays({name: each for name, each in arrays.items() if name.parent in with_chunks})


def find_nwb_samples(read: Callable[[PurePosixPath], bytes], series: str | None = None) -> Samples:
    """Return the samples of the series that a job sorts of an NWB-Zarr, by two of its files.

    Parameters
    ----------
    read
        returns the content of a file of the store
    series
        the path of the electrical series; None if it was not chosen

    Raises
    ------
    RecordingError
        if the metadata are not those of an NWB file with such a series
    SettingsError
        if several series could be the recording, or the chosen one is not there
    """
    metadata = _parse_consolidated(read(PurePosixPath(CONSOLIDATED)))
    if not _is_nwb(metadata):
        raise RecordingError(f"its {CONSOLIDATED} does not describe an NWB file")
    chosen = _choose_series(metadata, series)
    array = f"{chosen}/data/.zarray"
    own = _parse(read(PurePosixPath(array)))
    if json.dumps(own, sort_keys=True) != json.dumps(metadata.get(array), sort_keys=True):
        raise RecordingError(f"its {CONSOLIDATED} contradicts {array}")
    samples = _of_series(metadata, chosen)
    if samples is None:
        raise RecordingError(f"{array} does not describe samples")
    return samples


def _stem(name: PurePosixPath) -> str:
    return str(without_uuid(name).with_suffix(""))


def _may_hold_traces(name: PurePosixPath) -> bool:
    folder = name.parent.name
    return folder.startswith("traces_seg") or folder == "data" or len(name.parts) <= 2


def _parse(content: bytes) -> Mapping[str, Any]:
    try:
        parsed = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _parse_consolidated(content: bytes) -> Metadata:
    metadata = _parse(content).get("metadata")
    return metadata if isinstance(metadata, dict) else {}


def _listed(folder: PurePosixPath, metadata: Metadata) -> dict[PurePosixPath, Any]:
    names = {folder / key: each for key, each in metadata.items() if key.endswith(".zarray")}
    return {name: each for name, each in names.items() if _may_hold_traces(name)}


def _of_arrays(arrays: Mapping[PurePosixPath, Any]) -> Samples | None:
    """Add up the segments of SpikeInterface; of other arrays, take the largest."""
    found = {name: samples for name, each in arrays.items() for samples in _of_array(each)}
    segments = [each for name, each in found.items() if name.parent.name.startswith("traces_seg")]
    if segments:
        if len({(each.n_channels, each.sample_bytes) for each in segments}) > 1:
            return None
        n_frames = sum(each.n_frames for each in segments)
        first = segments[0]
        return _checked(n_frames, first.n_channels, first.sample_bytes)
    return max(found.values(), key=lambda each: each.size_bytes, default=None)


def _of_array(described: Any) -> Iterator[Samples]:
    """Yield the samples of an array of frames by channels."""
    shape = described.get("shape") if isinstance(described, dict) else None
    if isinstance(shape, list) and len(shape) == 2:
        n_frames, n_channels = shape
        samples = _checked(n_frames, n_channels, _sample_bytes(described.get("dtype")))
        if samples is not None:
            yield samples


def _is_nwb(metadata: Metadata) -> bool:
    return _attributes(metadata, "").get("neurodata_type") == "NWBFile"


def _attributes(metadata: Metadata, path: str) -> Mapping[str, Any]:
    attributes = metadata.get(f"{path}/.zattrs".lstrip("/"))
    return attributes if isinstance(attributes, dict) else {}


def _choose_series(metadata: Metadata, requested: str | None) -> str:
    """Return the path of the electrical series that is requested, or else can be sorted."""
    paths = [key.removesuffix("/.zattrs") for key in metadata if key.endswith("/.zattrs")]
    series = [
        _describe_series(metadata, path)
        for path in paths
        if _attributes(metadata, path).get("neurodata_type") == "ElectricalSeries"
    ]
    by_path = {} if requested is None else {"electrical_series_path": requested}
    return pick_stream(series, by_path).identifier


def _describe_series(metadata: Metadata, path: str) -> Stream:
    """Describe a series; of one with timestamps, only these tell the rate."""
    samples = _of_series(metadata, path)
    rate = _attributes(metadata, f"{path}/starting_time").get("rate")
    groups = [_attributes(metadata, str(each)) for each in PurePosixPath(path).parents if each.name]
    return Stream(
        identifier=path,
        name=path,
        n_channels=samples.n_channels if samples else 0,
        sampling_frequency_hz=round(rate, 3) if isinstance(rate, int | float) else math.nan,
        in_lfp_container=any(each.get("neurodata_type") == "LFP" for each in groups),
    )


def _of_series(metadata: Metadata, path: str) -> Samples | None:
    array = metadata.get(f"{path}/data/.zarray")
    if not isinstance(array, dict) or not isinstance(array.get("shape"), list):
        return None
    n_frames, *n_channels = array["shape"] or [0]
    of_one_channel = {**array, "shape": [n_frames, 1]}
    return next(_of_array(array if n_channels else of_one_channel), None)


def _of_mtscomp(described: Mapping[str, Any]) -> Samples | None:
    bounds = described.get("chunk_bounds")
    if not isinstance(bounds, list) or not bounds:
        return None
    return _checked(bounds[-1], described.get("n_channels"), _sample_bytes(described.get("dtype")))


def _sample_bytes(dtype: object) -> int:
    found = DTYPE.fullmatch(dtype) if isinstance(dtype, str) else None
    if found is None:
        return 0
    return int(found["bytes"]) if found["bytes"] else int(found["bits"]) // 8


def _checked(n_frames: object, n_channels: object, sample_bytes: int) -> Samples | None:
    if type(n_frames) is not int or type(n_channels) is not int or not sample_bytes:
        return None
    if min(n_frames, n_channels) <= 0 or math.prod((n_frames, n_channels)) > MOST_SAMPLES:
        return None
    return Samples(n_frames=n_frames, n_channels=n_channels, sample_bytes=sample_bytes)
