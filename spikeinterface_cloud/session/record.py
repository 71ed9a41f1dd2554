"""`session.json`: what a session was, and what the job of each stream found; and its schema.

python -m spikeinterface_cloud.session.record    print it as JSON Schema

`SCHEMA_VERSION` goes up with every change; a field that is there keeps its name and its meaning.
"""

import json
import sys
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = 1


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SortedEntry(_Entry):
    """How one sorter of a stream ended."""

    sorter: str = Field(description="SpikeInterface's name of the sorter")
    outcome: Literal["sorted", "no_units", "failed", "resumed"] = Field(
        description="as in `run.json`"
    )
    n_units: int = Field(description="number of units in its results")
    reason: str | None = Field(description="why it failed or found nothing; null: it sorted")


class StreamEntry(_Entry):
    """One stream, and how its job ended."""

    name: str = Field(description="the stream, as its files name it")
    folder: str = Field(description="of its results, beside that of the session")
    status: Literal["succeeded", "failed", "interrupted", "missing"] = Field(
        description="as in its `run.json`; `missing`: it has none of this session"
    )
    exit_code: int | None = Field(description="of its job; null: unknown")
    error: str | None = Field(description="why it did not succeed, on one line")
    sorters: list[SortedEntry] = Field(description="the sorters that have run, in order")
    seconds: float | None = Field(description="wall-clock time of its job")
    usd: float | None = Field(description="cost of its job; null: unknown")
    usd_at_most: float | None = Field(description="upper limit of that; null: unknown")


class ClockEntry(_Entry):
    """How the clock of one stream relates to the reference; `clock.json` has the mapping."""

    status: Literal["reference", "aligned", "own"] = Field(
        description="`reference`: its clock is the session's; `aligned`: its times are mapped to "
        "it; `own`: they stay on its own clock"
    )
    why: str | None = Field(description="why it stays on its own clock")
    drift_ppm: float | None = Field(
        description="how much faster the reference runs, in parts per million"
    )
    offset_s: float | None = Field(description="reference time minus own time at its start")
    n_pulses: int = Field(description="number of pulses on its sync line")
    n_used: int = Field(description="number of them that the mapping is made from")
    n_jumps: int = Field(description="number of places where one of the clocks jumped")
    residual_ms_median: float | None = Field(
        description="median distance of these pulses from the mapping, in ms"
    )
    residual_ms_max: float | None = Field(description="the greatest distance, in ms")


class LineEntry(_Entry):
    """One line with events."""

    stream: str = Field(description="the stream that recorded it")
    line: str = Field(description="the digital or analog line")
    n: int = Field(description="number of its events")


class EventsEntry(_Entry):
    """The events in `events.csv`."""

    n: int = Field(description="number of events")
    lines: list[LineEntry] = Field(description="the lines with events")
    notes: list[str] = Field(description="what you should know, a sentence each")


class SessionJson(_Entry):
    """One session: its streams, how their jobs ended, and what was gathered from their results."""

    schema_version: Literal[1] = Field(default=1, description="version of this schema")
    status: Literal["succeeded", "failed"] = Field(
        description="`failed`: a stream has not succeeded, or something could not be gathered"
    )
    exit_code: int = Field(description="of the gathering job: see the reference of exit codes")
    error: str | None = Field(description="why the session did not succeed, on one line")
    run_identifier: str | None = Field(description="`RUN_IDENTIFIER`; null: not given")
    source: str = Field(description="`s3://...`, `dandi://...`, or a folder")
    data_type: str = Field(description="the SpikeInterface reader")
    started: datetime = Field(description="start of gathering, in UTC")
    ended: datetime = Field(description="its end, in UTC")
    settings: dict[str, str] = Field(
        description="the variables that were given; secrets and signatures are masked"
    )
    versions: dict[str, str] = Field(
        description="versions of this program, Python, and the packages it uses"
    )
    streams: list[StreamEntry] = Field(description="the streams, in order")
    reference: str | None = Field(
        description="the stream whose clock the others are aligned to; null: each keeps its own"
    )
    clocks: dict[str, ClockEntry] = Field(
        description="clock of each stream; empty: none was aligned"
    )
    events: EventsEntry | None = Field(description="null: no events were read")
    files: list[str] = Field(description="what was gathered, beside this file")
    notes: list[str] = Field(description="what you should know, a sentence each")
    seconds: float = Field(description="wall-clock time of all jobs together")
    usd: float | None = Field(
        description="cost of the jobs of all streams; null: that of one is unknown"
    )
    usd_at_most: float | None = Field(description="upper limit of that; null: unknown")


def parse_session(content: bytes) -> SessionJson:
    """Read the content of a `session.json`. ValueError if it is none of this version."""
    return SessionJson.model_validate_json(content)


def total(values: list[float | None]) -> float | None:
    """Return the sum; None if there are none, or one is unknown.

    >>> total([1.5, 2.0]), total([1.5, None]), total([])
    (3.5, None, None)
    """
    known = [value for value in values if value is not None]
    return round(sum(known), 6) if known and len(known) == len(values) else None


def json_schema() -> str:
    """Return the schema as JSON Schema, as it is in the repository."""
    schema: dict[str, Any] = SessionJson.model_json_schema()
    return json.dumps(schema, indent=2) + "\n"


if __name__ == "__main__":
    sys.stdout.write(json_schema())
