"""Whether the chunks of a Zarr array hold as many samples as they should, and undamaged ones.

WavPack's codec decodes an empty, foreign or damaged chunk without an error, to other samples. So
each of its blocks is compared with its own checksum, which takes much less time than decoding.
"""

import ctypes
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import islice
from math import prod
from pathlib import Path
from typing import Any

import zarr

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.recording.formats.zarr_metadata import ZarrArray
from spikeinterface_cloud.runtime.host import usable_cpus

#: of a block of WavPack: signature, size without its first 8 bytes, ..., number of samples in all,
#: index of the first, number of samples, flags, ...
BLOCK = struct.Struct("<4sI4xIIII4x")
#: of a chunk of Blosc: numbers of bytes as decoded and as encoded
BLOSC = struct.Struct("<4xI4xI")

MONO, LAST_OF_FRAME, HAS_CHECKSUM = 0x4, 0x1000, 0x10000000

#: files that are checked before the first failure is looked at
BATCH = 32


class _WrongChunk(Exception):
    """Why the bytes of a chunk are not those that were written."""


def check_chunks(array: zarr.Array, n_rows: int | None = None) -> None:
    """Raise `RecordingError` for the first chunk of a local array whose bytes are wrong.

    With `n_rows`, only the chunks that hold the first rows are looked at.
    """
    folder = Path(array.chunk_store.dir_path(array.path))
    metadata = ZarrArray(
        zarr_format=2,
        shape=list(array.shape),
        chunks=list(array.chunks),
        dtype=array.dtype.str,
        dimension_separator=array._dimension_separator or ".",
    )
    # filters may change the size of what is compressed
    n_bytes = None if array.filters else prod(array.chunks) * array.dtype.itemsize
    check = _check_of(array.compressor, n_bytes)

    def problem(name: str) -> str | None:
        try:
            check((folder / name).read_bytes())
        except _WrongChunk as error:
            return str(error)
        return None

    names = (metadata if n_rows is None else metadata.first_rows(n_rows)).chunk_names()
    with ThreadPoolExecutor(usable_cpus()) as threads:
        while batch := list(islice(names, BATCH)):
            for name, reason in zip(batch, threads.map(problem, batch), strict=True):
                if reason is not None:
                    raise RecordingError(
                        f"the chunk {name} of {folder.name} is damaged: {reason}; copy it again "
                        "from where it was written"
                    )


def _check_of(codec: Any, n_bytes: int | None) -> Callable[[bytes], None]:
    """Return the check of a chunk that decodes to `n_bytes`."""
    match None if codec is None else codec.codec_id:
        case None:
            return lambda content: _compare(len(content), n_bytes)
        case "wavpack":
            return lambda content: _check_wavpack(content, n_bytes)
        case "blosc":
            return lambda content: _check_blosc(codec, content, n_bytes)
        case _:
            return lambda content: _check_decoded(codec, content, n_bytes)


def _check_decoded(codec: Any, content: bytes, n_bytes: int | None) -> None:
    try:
        decoded = codec.decode(content)
    except Exception as error:  # codecs raise various errors
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise _WrongChunk(f"{codec.codec_id} cannot decode it ({reason})") from error
    _compare(memoryview(decoded).nbytes, n_bytes)


def _compare(n_bytes: int, expected: int | None) -> None:
    if expected is not None and n_bytes != expected:
        raise _WrongChunk(f"it holds {n_bytes} bytes of samples, not {expected}")


def _check_blosc(codec: Any, content: bytes, n_bytes: int | None) -> None:
    if len(content) < BLOSC.size:
        raise _WrongChunk(f"it has only {len(content)} bytes")
    _, n_encoded = BLOSC.unpack_from(content)
    if n_encoded != len(content):
        raise _WrongChunk(f"it has {len(content)} bytes, not {n_encoded} as its header says")
    _check_decoded(codec, content, n_bytes)


def _check_wavpack(content: bytes, n_bytes: int | None) -> None:
    position = n_values = n_channels = total = flags = 0
    while position < len(content):
        if position + BLOCK.size > len(content):
            raise _WrongChunk("it ends in the middle of a block of WavPack")
        signature, size, total, index, block_samples, flags = BLOCK.unpack_from(content, position)
        if signature != b"wvpk":
            raise _WrongChunk(
                "it is not WavPack" if position == 0 else "it is no WavPack in between"
            )
        end = position + size + 8
        if end > len(content) or size + 8 < BLOCK.size:
            raise _WrongChunk("it ends in the middle of a block of WavPack")
        block = content[position:end]
        if not flags & HAS_CHECKSUM or not _verifier()(block, 1):
            raise _WrongChunk("a block of WavPack differs from its checksum")
        channels = 1 if flags & MONO else 2
        n_values += block_samples * channels
        n_channels += channels if index == 0 else 0
        position = end
    if position == 0:
        raise _WrongChunk("it is empty")
    if n_values != total * n_channels or not flags & LAST_OF_FRAME:
        raise _WrongChunk("a block of WavPack is missing")
    _compare(n_values * ((flags & 3) + 1), n_bytes)


@cache
def _verifier() -> Callable[[bytes, int], int]:
    """Return libwavpack's own check of a block, from the library that the codec is linked to."""
    from wavpack_numcodecs import wavpack

    verify: Any = ctypes.CDLL(wavpack.__file__).WavpackVerifySingleBlock
    verify.argtypes, verify.restype = (ctypes.c_char_p, ctypes.c_int), ctypes.c_int
    return verify  # type: ignore[no-any-return]
