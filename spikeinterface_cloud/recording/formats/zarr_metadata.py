"""The metadata of a Zarr store of format 2, checked before anything else of it is fetched or read.

zarr itself fills missing chunks with zeros, believes consolidated metadata that contradict the
arrays, and unpickles arrays of Python objects.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import PurePath, PurePosixPath
from typing import Annotated, Any, Literal

import numcodecs
from numcodecs.errors import UnknownCodecError
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from zarr.meta import Metadata2

from spikeinterface_cloud.errors import RecordingError

#: files that hold metadata
METADATA = (".zarray", ".zattrs", ".zgroup", ".zmetadata")

#: packages that have the codecs that numcodecs lacks, by the start of their names
PACKAGES = {
    "wavpack": "wavpack-numcodecs",
    "imagecodecs_": "imagecodecs-numcodecs",
    "pcodec": "pcodec",
    "zfpy": "zfpy",
    "msgpack2": "msgpack",
    "crc32c": "crc32c",
}

#: how the build of the package above finds its library
WAVPACK = (
    "`apt-get install wavpack libwavpack-dev gcc python3.11-dev`, then `pip install -r "
    "requirements/wavpack.txt` (the images have both)"
)

#: codecs that turn Python objects into texts or numbers, not into pickles
SAFE_OBJECT_CODECS = ("vlen-utf8", "vlen-bytes", "vlen-array", "json2", "msgpack2", "categorize")

COPY_AGAIN = "copy the folder again, with everything in it"
SAVE_AGAIN = "save the recording again with recording.save(folder=...)"

#: returns the content of a file by its name
ReadFile = Callable[[PurePosixPath], bytes]

Extent = Annotated[int, Field(ge=0)]


class ZarrArray(BaseModel):
    """A `.zarray`, as far as it is relied on."""

    model_config = ConfigDict(strict=True)

    zarr_format: Literal[2]
    shape: list[Extent]
    chunks: list[Extent]
    dtype: str | list[Any]
    compressor: dict[str, Any] | None = None
    filters: list[dict[str, Any]] | None = None
    dimension_separator: Literal[".", "/"] = "."

    @property
    def codecs(self) -> list[dict[str, Any]]:
        """Filters and compressor."""
        return [*(self.filters or ()), *([self.compressor] if self.compressor else ())]

    @property
    def grid(self) -> list[int]:
        """How many chunks there are along each axis."""
        sizes = zip(self.shape, self.chunks, strict=True)
        return [math.ceil(extent / max(chunk, 1)) for extent, chunk in sizes]

    def first_rows(self, n_rows: int) -> "ZarrArray":
        """Return the array without the rows after the first `n_rows`."""
        shape = [min(n_rows, self.shape[0]), *self.shape[1:]] if self.shape else []
        return self.model_copy(update={"shape": shape})

    def chunk_names(self) -> Iterator[str]:
        """Return the file name of each chunk, in order."""
        if not self.shape:
            yield "0"
            return
        for place in _places(self.grid):
            yield self.dimension_separator.join(map(str, place))


def _places(grid: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Return the indices of a grid, which may be too large for `itertools.product`."""
    if not grid:
        yield ()
        return
    for index in range(grid[0]):
        for rest in _places(grid[1:]):
            yield (index, *rest)


def metadata_files(names: Iterable[PurePosixPath]) -> list[PurePosixPath]:
    """Return the files of metadata among those of a store."""
    return [name for name in names if name.name in METADATA]


def arrays_without_pickles(
    names: Sequence[PurePosixPath], read: ReadFile
) -> dict[PurePosixPath, ZarrArray]:
    """Return the arrays of a store by their paths; refuse one that declares pickled objects.

    Parameters
    ----------
    names
        the files of the store, and of folders around it, if any
    read
        returns the content of a file of metadata
    """
    for name in metadata_files(names):
        refuse_pickled(name, _parse(name, read(name)))
    return readable_arrays(names, read)


def readable_arrays(
    names: Sequence[PurePosixPath], read: ReadFile
) -> dict[PurePosixPath, ZarrArray]:
    """Return the arrays of a store but those of pickled objects; the metadata have to agree.

    The parameters are those of `arrays_without_pickles`.
    """
    metadata = {name: _parse(name, read(name)) for name in metadata_files(names)}
    described = {name: each for name, each in metadata.items() if name.name == ".zarray"}
    for name, content in metadata.items():
        if name.name == ".zmetadata":
            described |= _check_consolidated(name, content, metadata)
    return {
        name.parent: _check_array(name, each)
        for name, each in described.items()
        if not _names_pickle(each)
    }


def check_chunks_exist(
    arrays: Mapping[PurePosixPath, ZarrArray], names: Iterable[PurePosixPath]
) -> None:
    """Raise `RecordingError` if a chunk of the arrays is not among the files of their store."""
    present = set(names)
    for path, array in arrays.items():
        _check_chunks(path, array, present)


def _parse(name: PurePosixPath, content: bytes) -> Any:
    try:
        parsed = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise RecordingError(f"{name} is not JSON; {COPY_AGAIN}") from error
    if not isinstance(parsed, dict):
        raise RecordingError(f"{name} is not a JSON object, as Zarr's are; {COPY_AGAIN}")
    return parsed


def refuse_pickled(name: PurePath, metadata: object) -> None:
    """Raise `RecordingError` if the metadata in a file declare pickled objects."""
    if _names_pickle(metadata):
        raise RecordingError(
            f"{name} declares pickled Python objects, which could run any program when loaded; "
            "save the recording without them (NWB: as HDF5)"
        )


def _names_pickle(metadata: object) -> bool:
    if isinstance(metadata, dict):
        return metadata.get("id") == "pickle" or any(map(_names_pickle, metadata.values()))
    return isinstance(metadata, list) and any(map(_names_pickle, metadata))


def _check_consolidated(
    name: PurePosixPath, content: Mapping[str, Any], own: Mapping[PurePosixPath, Any]
) -> dict[PurePosixPath, Any]:
    """Compare `.zmetadata` with the arrays' own files; return the arrays that it describes."""
    consolidated = content.get("metadata")
    if not isinstance(consolidated, dict):
        raise RecordingError(f"{name} has no 'metadata'; {COPY_AGAIN}")
    listed = {name.parent / key: each for key, each in consolidated.items()}
    for key, each in listed.items():
        if key in own and json.dumps(own[key], sort_keys=True) != json.dumps(each, sort_keys=True):
            raise RecordingError(
                f"{name} contradicts {key}; run zarr.consolidate_metadata on the original, and "
                "copy it again with everything in it"
            )
    for key in own:
        if key.name == ".zarray" and key.is_relative_to(name.parent) and key not in listed:
            raise RecordingError(
                f"{name} does not list {key}, so that zarr would not see this array; run "
                "zarr.consolidate_metadata on the original, and copy it again"
            )
    return {key: each for key, each in listed.items() if key.name == ".zarray"}


def _check_array(name: PurePosixPath, content: Any) -> ZarrArray:
    try:
        array = ZarrArray.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"][:3])) or "the content"
        raise RecordingError(f"{name}: {place}: {first['msg']}; {SAVE_AGAIN}") from error
    if len(array.shape) != len(array.chunks):
        raise RecordingError(
            f"{name}: the shape {array.shape} and the chunks {array.chunks} differ in their number "
            f"of axes; {SAVE_AGAIN}"
        )
    for codec in array.codecs:
        _check_codec(name.parent, codec)
    try:
        dtype = Metadata2.decode_dtype(array.dtype)
    except Exception as error:  # numpy raises various errors for what is no type
        raise RecordingError(f"{name}: {array.dtype!r:.100} is no type; {SAVE_AGAIN}") from error
    safe = array.filters and array.filters[0].get("id") in SAFE_OBJECT_CODECS
    if dtype.hasobject and not safe:
        raise RecordingError(
            f"{name}: the array holds Python objects ({array.dtype!r:.100}) without a codec for "
            "texts; save the recording without them"
        )
    return array


def _check_codec(array: PurePosixPath, config: Mapping[str, Any]) -> None:
    codec = config.get("id")
    if codec == "flac":  # even where the package is installed
        raise RecordingError(
            f"{array.name or 'the array'} is compressed by the codec 'flac', whose package "
            "flac-numcodecs decodes damaged chunks to other samples without an error; where it is "
            'installed, save the recording with recording.save(folder=..., format="binary"), '
            "compare it with the original, and set DATA_TYPE=binary"
        )
    package = next(
        (package for start, package in PACKAGES.items() if str(codec).startswith(start)), None
    )
    if package is None:
        remedy = (
            "where it can be read, save it with recording.save(folder=..., "
            'format="binary"), and set DATA_TYPE=binary'
        )
    elif package == "wavpack-numcodecs":
        remedy = f"install it: {WAVPACK}"
    else:
        remedy = (
            f"where {package} is installed, save the recording with recording.save(folder=..., "
            'format="binary"), and set DATA_TYPE=binary; or use an image of your own that has it'
        )
    what = f"{array.name or 'the array'} is compressed by the codec {codec!r:.60}"
    try:
        numcodecs.get_codec(dict(config))
    except UnknownCodecError as error:
        needs = (
            f", which needs the package {package}, not installed here"
            if package
            else (", which numcodecs does not know")
        )
        raise RecordingError(f"{what}{needs}; {remedy}") from error
    except ImportError as error:  # the package without its library
        raise RecordingError(
            f"{what}, whose package {package} cannot be loaded ({error}); {remedy}"
        ) from error
    except Exception as error:  # codecs raise various errors for wrong parameters
        reason = " ".join(str(error).split())[:200]
        raise RecordingError(
            f"{what}, with parameters it does not take ({reason}); {SAVE_AGAIN}"
        ) from error


def _check_chunks(path: PurePosixPath, array: ZarrArray, present: set[PurePosixPath]) -> None:
    missing = (name for name in array.chunk_names() if path / name not in present)
    first = next(missing, None)
    if first is None:
        return
    n_chunks = math.prod(array.grid)
    n_found = sum(
        _is_chunk(name.relative_to(path).as_posix(), array)
        for name in present
        if name.is_relative_to(path)
    )
    raise RecordingError(
        f"{n_chunks - n_found} of {n_chunks} chunks of {path.name or 'the array'} are missing "
        f"(the first is {path / first}), and would be read as zeros; {COPY_AGAIN} (chunks that "
        "hold only the fill value have to be stored, too: write_empty_chunks=True)"
    )


def _is_chunk(name: str, array: ZarrArray) -> bool:
    """Return whether a file inside an array's folder is one of its chunks."""
    numbers = name.split(array.dimension_separator)
    if not array.shape:
        return name == "0"
    return len(numbers) == len(array.grid) and all(
        number.isdecimal() and int(number) < extent
        for number, extent in zip(numbers, array.grid, strict=True)
    )
