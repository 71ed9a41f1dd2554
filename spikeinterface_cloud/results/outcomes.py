"""How each sorter and each export ended: values, because the others have to go on all the same.

The fields are those of `run.json`, which run_schema.py describes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Outcome = Literal["sorted", "no_units", "failed", "resumed"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SorterTry:
    """One try of a sorter that needed several."""

    parameters: Mapping[str, Any]
    by_group: bool
    seconds: float
    reason: str | None
    peak_memory_bytes: int | None
    peak_gpu_memory_bytes: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupRun:
    """How one group of channels, sorted by itself, ended."""

    #: the value of the property
    group: int | str
    outcome: Outcome
    n_channels: int
    n_units: int
    reason: str | None
    seconds: float
    parameters: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class SorterRun:
    """How one sorter ended, and what it took."""

    sorter: str
    outcome: Outcome
    n_units: int = 0
    labels: Mapping[str, int] = field(default_factory=dict)
    n_redundant_units: int = 0
    n_removed_spikes: int = 0
    reason: str | None = None
    seconds: float = 0.0
    parameters: Mapping[str, Any]
    version: str | None = None
    peak_memory_bytes: int | None = None
    peak_gpu_memory_bytes: int | None = None
    tries: Sequence[SorterTry] = ()
    split_by: str | None = None
    groups: Sequence[GroupRun] = ()

    @property
    def has_failed(self) -> bool:
        """Return whether the sorter failed, or did for one of its groups."""
        return self.outcome == "failed" or any(each.outcome == "failed" for each in self.groups)


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportRun:
    """One export of one sorter."""

    sorter: str
    export: str
    path: str
    seconds: float = 0.0
    size_bytes: int = 0
    error: str | None = None
