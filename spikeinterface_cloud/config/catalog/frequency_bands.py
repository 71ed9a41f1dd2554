"""Filter frequencies and the sampling rate: a recording holds frequencies below half of its rate.

A default that does not fit the rate is lowered; a frequency that was given and does not fit is a
problem. Needs no SpikeInterface: defaults are handed in.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

#: a default is lowered to this part of the sampling rate; at half of it no filter exists
HIGHEST_PART_OF_RATE = 0.45

#: the names of the two ends of a band, in any sorter or step; `highpass_cutoff` is Kilosort4's
BANDS = (
    ("freq_min", "freq_max"),
    ("detect_filter_fmin", "detect_filter_fmax"),
    ("sort_filter_fmin", "sort_filter_fmax"),
    ("fshigh", "fslow"),
    ("highpass_cutoff", ""),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Chosen:
    """A value that the recording decides for a parameter that was not given."""

    value: Any
    reason: str


def highest_default_hz(rate_hz: float) -> float:
    """Return the highest frequency to choose for a filter by default.

    >>> highest_default_hz(10_000.0)
    4500.0
    """
    return round(HIGHEST_PART_OF_RATE * rate_hz, 3)


def lowered_bands(
    given: Mapping[str, Any], defaults: Mapping[str, Any], rate_hz: float
) -> dict[str, Chosen]:
    """Return the upper band ends that are not given and whose default does not fit the rate."""
    return {
        high: Chosen(
            value=highest_default_hz(rate_hz),
            reason=f"instead of {defaults[high]:g} Hz, for a sampling rate of {rate_hz:g} Hz",
        )
        for low, high in BANDS
        if high in defaults
        and high not in given
        and _are_in_hz(defaults, low, high)
        and is_number(defaults[high])
        and defaults[high] > highest_default_hz(rate_hz)
    }


def band_problems(
    where: str, given: Mapping[str, Any], defaults: Mapping[str, Any], rate_hz: float | None
) -> Iterator[str]:
    """Yield a line, which begins with `where`, for each problem with given band ends.

    If the sampling rate is unknown (None), only a band that fits no recording is a problem.
    """
    if rate_hz is not None:
        lowered = lowered_bands(given, defaults, rate_hz)
        defaults = {**defaults, **{name: chosen.value for name, chosen in lowered.items()}}
    for low, high in BANDS:
        names = [name for name in (low, high) if name in defaults and name in given]
        if not names or not _are_in_hz(defaults, low, high):
            continue
        problems = [
            problem
            for name in names
            for problem in frequency_problems(where, name, given[name], rate_hz)
        ]
        yield from problems or _upside_down(where, {**defaults, **given}, low, high)


def frequency_problems(where: str, name: str, value: Any, rate_hz: float | None) -> Iterator[str]:
    """Yield the problem with one frequency; a value that is not a number is skipped."""
    if not is_number(value):
        return
    if value <= 0:
        yield f"{where}{name} is {value:g}; a frequency is above 0 Hz"
    elif rate_hz is not None and value >= rate_hz / 2:
        yield (
            f"{where}{name} is {value:g} Hz, and a recording sampled at {rate_hz:g} Hz holds "
            f"frequencies below {rate_hz / 2:g} Hz only; give less than {rate_hz / 2:g}, "
            "or leave it out"
        )


def is_number(value: object) -> TypeGuard[int | float]:
    """Return whether a value is a number; booleans are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _are_in_hz(defaults: Mapping[str, Any], low: str, high: str) -> bool:
    """Return whether a band is in Hz; yass gives the upper end as a fraction of the rate."""
    lower, upper = defaults.get(low), defaults.get(high)
    return upper >= 1 if is_number(lower) and is_number(upper) else True


def _upside_down(where: str, values: Mapping[str, Any], low: str, high: str) -> Iterator[str]:
    lower, upper = values.get(low), values.get(high)
    if is_number(lower) and is_number(upper) and lower >= upper:
        yield (
            f"{where}{low} is {lower:g} Hz and {high} is {upper:g} Hz, so that nothing passes; "
            f"give a {low} below {high}"
        )
