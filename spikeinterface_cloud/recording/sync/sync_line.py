"""The sync line of a stream: the pulses that other streams of the session recorded as well."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from spikeinterface_cloud.errors import SourceError
from spikeinterface_cloud.recording.sync.pulses import Seconds

SCHEMA_VERSION = 1


def _no_times() -> Seconds:
    return np.empty(0)


@dataclass(frozen=True, kw_only=True, slots=True)
class SyncLine:
    """The edges of a stream's sync line, in seconds on the stream's own clock.

    A stream without a usable sync line has no edges, and `why` says so.
    """

    #: `imec0.ap`
    stream: str
    sampling_frequency_hz: float
    #: start and end of the recording
    start_s: float
    end_s: float
    #: the line, as a person finds it: `SY bit 6`
    line: str | None = None
    #: from one pulse to the next, where the file says it
    period_s: float | None = None
    #: when the recording began, in ISO format
    started: str | None = None
    #: names the moment of the start: streams with the same text began together, to 0.2 s
    starts_with: str | None = None
    #: names the clock, where several streams are on one: the NWB file
    shared_clock: str | None = None
    #: why there are no edges
    why: str | None = None
    rising_s: Seconds = field(default_factory=_no_times)
    falling_s: Seconds = field(default_factory=_no_times)

    def write(self, file: Path) -> None:
        """Write `sync.json`."""
        content = {"schema_version": SCHEMA_VERSION, **asdict(self)}
        content |= {"rising_s": self.rising_s.tolist(), "falling_s": self.falling_s.tolist()}
        _SyncJson.model_validate(content)
        file.write_text(f"{json.dumps(content)}\n")


def read_sync_line(content: str | bytes, name: str) -> SyncLine:
    """Parse a `sync.json`.

    Parameters
    ----------
    name
        of the file, for the message

    Raises
    ------
    SourceError
        if it is not one that this program wrote
    """
    try:
        parsed = _SyncJson.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"][:1])) or "the content"
        raise SourceError(
            f"{name} is not a sync.json of this version: {place}: {first['msg']}; run the job of "
            "that stream again with OVERWRITE=true"
        ) from error
    fields = parsed.model_dump(exclude={"schema_version"})
    fields |= {"rising_s": np.array(parsed.rising_s), "falling_s": np.array(parsed.falling_s)}
    return SyncLine(**fields)


def _check_ascending(times_s: list[float]) -> list[float]:
    if np.any(np.diff(times_s) < 0):
        raise ValueError("the times are not in order")
    return times_s


_Times = Annotated[list[FiniteFloat], AfterValidator(_check_ascending)]


class _SyncJson(BaseModel):
    model_config = ConfigDict(extra="forbid")

    schema_version: Literal[1]
    stream: str
    sampling_frequency_hz: Annotated[FiniteFloat, Field(gt=0)]
    start_s: FiniteFloat
    end_s: FiniteFloat
    line: str | None
    period_s: Annotated[FiniteFloat, Field(gt=0)] | None
    started: str | None
    starts_with: str | None
    shared_clock: str | None
    why: str | None
    rising_s: _Times
    falling_s: _Times
