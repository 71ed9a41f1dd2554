"""Samples that mtscomp compressed, as IBL publishes SpikeGLX: a `.cbin` and its index, the `.ch`.

mtscomp believes its index: it validates no value of it, and compares no checksum.
"""

import hashlib
import json
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError
from spikeinterface.core import BaseRecording, BaseRecordingSegment

from spikeinterface_cloud.errors import RecordingError

#: decoded chunks that each process keeps: that of a block of samples, and those of its margins
CACHED_CHUNKS = 3

COPY_AGAIN = "copy the .cbin and .ch again from where they were compressed"

Count = Annotated[int, Field(ge=0)]


class Index(BaseModel):
    """A `.ch` file, as far as it is relied on."""

    model_config = ConfigDict(strict=True)

    version: Literal["1.0"]
    algorithm: Literal["zlib"]
    dtype: Literal["int16"]
    n_channels: Annotated[int, Field(gt=0)]
    sample_rate: Annotated[FiniteFloat, Field(gt=0)]
    #: first sample of each chunk, and the end of the last one
    chunk_bounds: list[Count] = Field(min_length=2)
    #: first byte of each chunk, and the end of the last one
    chunk_offsets: list[Count] = Field(min_length=2)
    chunk_order: Literal["C", "F"]
    do_time_diff: bool
    do_spatial_diff: bool
    #: None where mtscomp cut the file
    sha1_compressed: str | None = None
    sha1_uncompressed: str | None = None

    @property
    def n_samples(self) -> int:
        """The number of samples of each channel."""
        return self.chunk_bounds[-1]


def read_index(file: Path) -> Index:
    """Read a `.ch` file; raise `RecordingError` if mtscomp would not understand it."""
    return parse_index(file, file.read_bytes())


def parse_index(file: PurePath, content: bytes) -> Index:
    """Parse the content of a `.ch` file."""
    try:
        index = Index.model_validate(json.loads(content))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"][:2])) or "the content"
        found = f" (it is {first['input']!r:.40})" if first["type"] == "literal_error" else ""
        raise RecordingError(
            f"{file.name}: {place}: {first['msg']}{found}; {COPY_AGAIN}, or decompress them with "
            "the program that wrote them, and set DATA_TYPE=spikeglx"
        ) from error
    except (ValueError, RecursionError) as error:
        raise RecordingError(f"{file.name} is not JSON; {COPY_AGAIN}") from error
    for edges in (index.chunk_bounds, index.chunk_offsets):
        if edges[0] != 0 or np.any(np.diff(edges) <= 0):
            raise RecordingError(
                f"the chunks in {file.name} do not follow each other; {COPY_AGAIN}"
            )
    if len(index.chunk_bounds) != len(index.chunk_offsets):
        raise RecordingError(
            f"{file.name} has {len(index.chunk_bounds) - 1} chunks of samples, and "
            f"{len(index.chunk_offsets) - 1} chunks of bytes; {COPY_AGAIN}"
        )
    return index


def check_size(file: PurePath, size: int, index_file: PurePath, index: Index) -> None:
    """Raise `RecordingError` if a `.cbin` is not as long as its index says."""
    expected = index.chunk_offsets[-1]
    if size != expected:
        what = "is truncated" if size < expected else "is too long"
        raise RecordingError(
            f"{file.name} {what}: it has {size} bytes, and {index_file.name} says {expected}; "
            f"{COPY_AGAIN}"
        )


def check_samples(file: Path, index_file: Path, index: Index) -> None:
    """Raise `RecordingError` if a `.cbin` is not the one that its index describes."""
    check_size(file, file.stat().st_size, index_file, index)
    if index.sha1_compressed is None:
        return
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, lambda: hashlib.sha1(usedforsecurity=False))
    if digest.hexdigest() != index.sha1_compressed.lower():
        raise RecordingError(
            f"{file.name} has the SHA-1 {digest.hexdigest()}, and {index_file.name} says "
            f"{index.sha1_compressed:.40}: it is damaged, or they are not of the same recording; "
            f"{COPY_AGAIN}"
        )


class MtscompRecording(BaseRecording):  # type: ignore[misc]
    """All columns of a `.cbin`, the sync words of SpikeGLX included.

    Parameters
    ----------
    meta_path
        the header that SpikeGLX wrote
    """

    def __init__(
        self,
        file_path: str,
        index_path: str,
        meta_path: str,
        channel_ids: list[str],
        sampling_frequency: float,
        t_start: float,
    ) -> None:
        super().__init__(sampling_frequency, channel_ids, np.dtype("int16"))
        self.add_recording_segment(
            MtscompSegment(file_path, index_path, meta_path, sampling_frequency, t_start)
        )
        self.extra_requirements.append("mtscomp")
        self._kwargs = {
            "file_path": file_path,
            "index_path": index_path,
            "meta_path": meta_path,
            "channel_ids": channel_ids,
            "sampling_frequency": sampling_frequency,
            "t_start": t_start,
        }


class MtscompSegment(BaseRecordingSegment):  # type: ignore[misc]
    """The samples of a `.cbin`."""

    def __init__(
        self,
        file_path: str,
        index_path: str,
        meta_path: str,
        sampling_frequency: float,
        t_start: float,
    ) -> None:
        import mtscomp  # an image of one's own may lack it; `check_packages` says so

        super().__init__(sampling_frequency=sampling_frequency, t_start=t_start)
        self.meta_path = Path(meta_path)
        self._reader = mtscomp.Reader(cache_size=CACHED_CHUNKS)
        self._reader.open(file_path, index_path)

    def get_num_samples(self) -> int:
        """Return the number of samples of each channel."""
        return int(self._reader.n_samples)

    def get_traces(
        self,
        start_frame: int | None = None,
        end_frame: int | None = None,
        channel_indices: Any = None,
    ) -> npt.NDArray[np.int16]:
        """Decode the chunks that hold the frames, and return them."""
        traces: npt.NDArray[np.int16] = self._reader[start_frame:end_frame]
        return traces if channel_indices is None else traces[:, channel_indices]
