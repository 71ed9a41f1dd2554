"""How an export ended: a value, as the other exports and sorters have to go on all the same."""

from dataclasses import dataclass


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
