"""The small pictures in the table of units: a template and an autocorrelogram."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from spikeinterface_cloud.report.colors import BLUE, DARK

WIDTH, HEIGHT = 100, 40

#: of the neighbors' lines every so many samples are drawn
NEIGHBOR_STEP = 3


def waveforms(main: npt.NDArray[np.floating], others: Sequence[npt.NDArray[np.floating]]) -> Markup:
    """Draw a template on its main channel, and lightly on the neighbors."""
    shown = np.stack([main, *others])
    lower, upper = float(shown.min()), float(shown.max())
    x = np.linspace(1, WIDTH - 1, len(main))
    y = HEIGHT - 2 - (shown - lower) / ((upper - lower) or 1.0) * (HEIGHT - 4)
    neighbors = "".join(_path(x[::NEIGHBOR_STEP], line[::NEIGHBOR_STEP]) for line in y[1:])
    return _drawing(
        "template",
        f'<path d="{neighbors}" fill="none" stroke="#b9c4cc"/>'
        f'<path d="{_path(x, y[0])}" fill="none" stroke="{DARK}" stroke-width="1.5"/>',
    )


def histogram(counts: npt.NDArray[np.integer]) -> Markup:
    """Draw an autocorrelogram."""
    heights = np.round(counts / max(1, int(counts.max(initial=0))) * (HEIGHT - 2), 1)
    width = WIDTH / len(counts)
    steps = np.round(np.diff(heights, prepend=0.0), 1)
    path = "".join(f"v{-step:g}h{width:g}" if step else f"h{width:g}" for step in steps)
    return _drawing("autocorrelogram", f'<path d="M0 {HEIGHT}{path}V{HEIGHT}z" fill="{BLUE}"/>')


def _path(x: npt.NDArray[np.floating], y: npt.NDArray[np.floating]) -> str:
    return "M" + " ".join(
        f"{a:g} {b:g}" for a, b in zip(np.round(x, 1), np.round(y, 1), strict=True)
    )


def _drawing(description: str, content: str) -> Markup:
    return Markup(  # noqa: S704 -- numbers and constants
        f'<svg class="spark" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{description}">{content}</svg>'
    )
