"""Plots as SVG: lines, points, bars and bands between two axes.

The coordinates are rounded to tenths of a unit and points that fall on the same place are drawn
once, so that a plot of many thousand points stays small.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from markupsafe import Markup, escape

from spikeinterface_cloud.report.axis import Axis, number
from spikeinterface_cloud.report.colors import GREY

Values = npt.ArrayLike

#: of the drawing, in its own units; the page scales it to its column
WIDTH, HEIGHT = 560, 350
LEFT, RIGHT, TOP, BOTTOM = 76, 14, 12, 56

#: the marks of single points, as paths around (0, 0)
MARKS = {
    "circle": "m-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0",
    "triangle": "m0 -5l5 9h-10z",
    "square": "m-4 -4h8v8h-8z",
    "cross": "m-4 -4l8 8m0 -8l-8 8",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class LegendEntry:
    """A mark of a plot and its meaning."""

    text: str
    mark: Markup


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """A plot with its caption; if `plot` is None, the caption gives the reason."""

    title: str
    caption: str
    plot: Markup | None = None
    legend: tuple[LegendEntry, ...] = ()


class Plot:
    """An SVG drawing."""

    def __init__(self, x: Axis, y: Axis, height: int = HEIGHT) -> None:
        self.x = x
        self.y = y
        self._height = height
        self._drawn: list[str] = []

    def line(self, x: Values, y: Values, color: str, width: float = 1.0) -> None:
        """Add a line through the points (x, y)."""
        path = "L".join(f"{a:g} {b:g}" for a, b in self._places(x, y))
        self._drawn.append(
            f'<path d="M{path}" fill="none" stroke="{color}" stroke-width="{width:g}"/>'
        )

    def band(self, x: Values, lower: Values, upper: Values, color: str) -> None:
        """Fill what lies between two lines."""
        places = [*self._places(x, lower), *reversed(self._places(x, upper))]
        path = "L".join(f"{a:g} {b:g}" for a, b in places)
        self._drawn.append(f'<path d="M{path}z" fill="{color}" fill-opacity="0.2"/>')

    def dots(self, x: Values, y: Values, color: str, diameter: float = 2.0) -> None:
        """Add small dots as one path, without duplicates."""
        places = dict.fromkeys(self._places(x, y))
        path = "".join(f"M{a:g} {b:g}h0" for a, b in places)
        self._drawn.append(
            f'<path d="{path}" stroke="{color}" stroke-width="{diameter:g}" '
            'stroke-linecap="round" fill="none"/>'
        )

    def marks(self, x: Values, y: Values, style: tuple[str, str], names: list[str]) -> None:
        """Add marks of a color and shape, each with a tooltip."""
        color, shape = style
        self._drawn += [
            f'<path d="M{a:g} {b:g}{MARKS[shape]}"{_paint(color, shape)}>'
            f"<title>{escape(name)}</title></path>"
            for (a, b), name in zip(self._places(x, y), names, strict=True)
        ]

    def bars(self, edges: Values, lengths: Values, color: str) -> None:
        """Add horizontal bars between `edges` along the y axis."""
        borders = np.asarray(edges, dtype="float64")
        zero = np.full(len(borders) - 1, max(self.x.lower, 0.0))
        lower = self._places(zero, borders[:-1])
        upper = self._places(lengths, borders[1:])
        path = "".join(
            f"M{x0:g} {y0:g}H{x1:g}V{y1:g}H{x0:g}z"
            for (x0, y0), (x1, y1) in zip(lower, upper, strict=True)
            if x1 > x0
        )
        self._drawn.append(f'<path d="{path}" fill="{color}"/>')

    def verticals(self, x: Values, color: str = GREY) -> None:
        """Add dashed lines over the whole height."""
        top, bottom = TOP, self._height - BOTTOM
        path = "".join(f"M{a:g} {top}V{bottom}" for a in self._across(x))
        self._drawn.append(f'<path d="{path}" stroke="{color}" stroke-dasharray="4 4"/>')

    def draw(self, description: str) -> Markup:
        """Return the SVG; screen readers read `description`."""
        clip = f"M{LEFT} {TOP}H{WIDTH - RIGHT}V{self._height - BOTTOM}H{LEFT}z"
        return Markup(  # noqa: S704 -- numbers, constants, and texts that are escaped
            f'<svg class="plot" viewBox="0 0 {WIDTH} {self._height}" role="img" '
            f'aria-label="{escape(description)}">'
            f'<path d="{clip}" class="frame"/>{"".join(self._drawn)}'
            f"{self._x_axis()}{self._y_axis()}</svg>"
        )

    def _x_axis(self) -> str:
        bottom = self._height - BOTTOM
        middle = (LEFT + WIDTH - RIGHT) / 2
        ticks = self.x.ticks()
        texts = [
            f'<text x="{a:g}" y="{bottom + 19}" text-anchor="middle">{number(tick)}</text>'
            for a, tick in zip(self._across(ticks), ticks, strict=True)
        ]
        path = "".join(f"M{a:g} {bottom}v5" for a in self._across(ticks))
        return (
            f'<path d="{path}" class="ticks"/>{"".join(texts)}'
            f'<text class="label" x="{middle:g}" y="{self._height - 10}" text-anchor="middle">'
            f"{escape(self.x.label)}</text>"
        )

    def _y_axis(self) -> str:
        middle = (TOP + self._height - BOTTOM) / 2
        ticks = self.y.ticks()
        texts = [
            f'<text x="{LEFT - 8}" y="{b:g}" dy="0.35em" text-anchor="end">{number(tick)}</text>'
            for b, tick in zip(self._up(ticks), ticks, strict=True)
        ]
        path = "".join(f"M{LEFT} {b:g}h-5" for b in self._up(ticks))
        return (
            f'<path d="{path}" class="ticks"/>{"".join(texts)}'
            f'<text class="label" transform="translate(16 {middle:g}) rotate(-90)" '
            f'text-anchor="middle">{escape(self.y.label)}</text>'
        )

    def _across(self, x: Values) -> list[float]:
        span = WIDTH - LEFT - RIGHT
        places = LEFT + span * np.clip(self.x.fraction(x), 0.0, 1.0)
        return [float(place) for place in np.round(places, 1)]

    def _up(self, y: Values) -> list[float]:
        span = self._height - TOP - BOTTOM
        places = self._height - BOTTOM - span * np.clip(self.y.fraction(y), 0.0, 1.0)
        return [float(place) for place in np.round(places, 1)]

    def _places(self, x: Values, y: Values) -> list[tuple[float, float]]:
        return list(zip(self._across(x), self._up(y), strict=True))


def legend(text: str, style: tuple[str, str]) -> LegendEntry:
    """Return the legend entry of a mark."""
    color, shape = style
    mark = Markup(  # noqa: S704 -- constants
        '<svg class="mark" viewBox="-8 -8 16 16" aria-hidden="true">'
        f'<path d="M0 0{MARKS[shape]}"{_paint(color, shape)}/></svg>'
    )
    return LegendEntry(text=text, mark=mark)


def missing(title: str, reason: str) -> Figure:
    """Return a figure without a plot."""
    return Figure(title=title, caption=reason)


def thinned(n: int, most: int, seed: int = 0) -> npt.NDArray[np.int64]:
    """Return at most `most` of the indices of `n` items, drawn at random, in order."""
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, size=most, replace=False))


def _paint(color: str, shape: str) -> str:
    if shape == "cross":
        return f' stroke="{color}" stroke-width="2" fill="none"'
    return f' fill="{color}" fill-opacity="0.85" stroke="#fff" stroke-width="0.6"'
