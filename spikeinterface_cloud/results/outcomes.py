"""How each sorter and each export ended: values, because the others have to go on all the same."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Outcome = Literal["sorted", "no_units", "failed", "resumed"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SorterTry:
    """One try of a sorter that needed several; `run.json` has all of them in order."""

    #: what it was run with, besides its own defaults
    parameters: Mapping[str, Any]
    #: whether each shank, or group of channels, was sorted by itself
    by_group: bool
    #: wall-clock seconds
    seconds: float
    #: why it failed; None where it did not
    reason: str | None
    peak_memory_bytes: int | None
    peak_gpu_memory_bytes: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class SorterRun:
    """How one sorter ended, and what it took; `run.json` has one of these a sorter."""

    sorter: str
    outcome: Outcome
    n_units: int = 0
    #: `n_units` by label: good, mua, noise; empty where there was no analysis
    labels: Mapping[str, int] = field(default_factory=dict)
    #: units left out because another one has the same spikes; not counted in `n_units`
    n_redundant_units: int = 0
    #: spikes left out because they are outside of the recording, or a spike found twice
    n_removed_spikes: int = 0
    #: why it failed, or why no units were found; None where it sorted
    reason: str | None = None
    #: wall-clock seconds of the sorter alone
    seconds: float = 0.0
    #: what it was run with, besides its own defaults
    parameters: Mapping[str, Any]
    version: str | None = None
    peak_memory_bytes: int | None = None
    peak_gpu_memory_bytes: int | None = None
    #: where it ran out of memory and was tried again: every try, in order; else empty
    tries: Sequence[SorterTry] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportRun:
    """One export of one sorter; `run.json` has one of these for each."""

    sorter: str
    #: `nwb`, `phy`, or `dandi` for the upload
    export: str
    #: its place in the results, or in the dandiset
    path: str
    seconds: float = 0.0
    size_bytes: int = 0
    #: why it failed, on one line
    error: str | None = None
