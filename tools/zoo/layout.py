"""A layout: files that a recording system writes, which a reader of SpikeInterface opens."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tools.zoo.truth import Truth

#: What files say of their samples, so that damage can be noticed.
#: length: how many samples there are; counter: the number or time of samples; digest: of all bytes;
#: structure: where each piece of a file begins, as in HDF5; rate: the sampling rate in two ways;
#: shape: the number of channels.
Fact = Literal["length", "counter", "digest", "structure", "rate", "shape"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """Files that were written, and how a job finds and reads them."""

    #: the source, relative to the folder that was written to
    source: str
    truth: Truth
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    #: whether the files lack positions, so that the job needs a PROBE_FILE
    needs_probe: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """Files of one format."""

    name: str
    #: DATA_TYPE of the job
    data_type: str
    #: writes a recording into a folder
    write: Callable[[Path, Truth], Written]
    #: pattern of the files that hold the samples that are sorted
    data: str
    #: what the files say of their samples
    holds: frozenset[Fact] = frozenset()
    #: bytes of the smallest piece of a data file that is whole in itself; None: it has none
    piece_bytes: int | None = None
    #: whether the samples may be, or are always, floating-point numbers
    floats: Literal["never", "also", "always"] = "never"
