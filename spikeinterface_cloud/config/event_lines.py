"""EVENTS: which analog inputs become events, and at which voltage."""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from spikeinterface_cloud.config.parsing import listed, nearest

#: a stream and a channel or line of it, like `nidq:XA2`
LINE = re.compile(r"(?P<stream>[^:]*[^:\s]):(?P<line>[^:\s][^:]*)")

#: the names of digital lines
DIGITAL = re.compile(r"line\d+")

#: of the threshold, where hysteresis_v is not given
DEFAULT_HYSTERESIS = 0.1

PARAMETERS = ("threshold_v", "hysteresis_v")

EXAMPLE = '{"nidq:XA2": {"threshold_v": 1.5}}'


class Line(NamedTuple):
    """A line of a stream."""

    stream: str
    line: str

    def __str__(self) -> str:
        """Return it as it is written."""
        return f"{self.stream}:{self.line}"


class Threshold(NamedTuple):
    """When an analog input counts as high."""

    #: it rises where the signal reaches this
    threshold_v: float
    #: it falls where the signal is this far below the threshold
    hysteresis_v: float

    @property
    def fall_v(self) -> float:
        """Where the line falls."""
        return self.threshold_v - self.hysteresis_v


def parse_line(text: str) -> Line:
    """Parse the name of a line.

    >>> parse_line("nidq:line3")
    Line(stream='nidq', line='line3')
    """
    match = LINE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a line of a stream; write it like nidq:line3")
    return Line(**match.groupdict())


def parse_clock_lines(value: object) -> object:
    """Read CLOCK_LINE, one line for each of several streams.

    >>> parse_clock_lines("nidq:line3, Record Node 101#NI-DAQmx-103.PXIe-6341:line1")
    ('nidq:line3', 'Record Node 101#NI-DAQmx-103.PXIe-6341:line1')
    """
    if not isinstance(value, str):
        return value
    names = listed(value)
    streams = [parse_line(name).stream for name in names]
    if twice := {name for name in streams if streams.count(name) > 1}:
        raise ValueError(f"names two lines of {', '.join(sorted(twice))}; name one")
    return names


def clock_line_of(lines: Iterable[str], stream: str) -> str | None:
    """Return the line of a stream among those of CLOCK_LINE.

    Streams of Open Ephys may be named as the folders of their results are.

    >>> clock_line_of(["nidq:line3"], "nidq")
    'line3'
    >>> clock_line_of(["ProbeA-AP:line1"], "Record Node 101#Neuropix-PXI-100.ProbeA-AP")
    'line1'
    >>> clock_line_of(["nidq:line3"], "imec0.ap") is None
    True
    """
    return next(
        (
            each.line
            for each in map(parse_line, lines)
            if each.stream == stream or stream.endswith((f"#{each.stream}", f".{each.stream}"))
        ),
        None,
    )


def check_events(events: dict[str, Any]) -> dict[str, Any]:
    """Refuse thresholds that are not understood."""
    for name, parameters in events.items():
        if DIGITAL.fullmatch(parse_line(name).line):
            raise ValueError(
                f"{name} is digital, and its pulses are events without a threshold; leave it out"
            )
        if not isinstance(parameters, dict) or "threshold_v" not in parameters:
            raise ValueError(f"{name} has no threshold; write {EXAMPLE}")
        for parameter, value in parameters.items():
            if parameter not in PARAMETERS:
                raise ValueError(
                    f"{name} has no parameter {parameter}{nearest(parameter, PARAMETERS)} (it has "
                    f"{', '.join(PARAMETERS)})"
                )
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ValueError(f"{name}: {parameter} is {value!r}, not a number of volts")
        if parameters.get("hysteresis_v", 0) < 0:
            raise ValueError(f"{name}: hysteresis_v is negative; give 0 or more")
    return events


def thresholds(events: Mapping[str, Mapping[str, float]]) -> dict[Line, Threshold]:
    """Return the threshold of each analog input of EVENTS."""
    return {
        parse_line(name): Threshold(
            threshold_v=float(parameters["threshold_v"]),
            hysteresis_v=float(
                parameters.get(
                    "hysteresis_v", math.fabs(parameters["threshold_v"]) * DEFAULT_HYSTERESIS
                )
            ),
        )
        for name, parameters in events.items()
    }
