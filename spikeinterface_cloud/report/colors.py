"""The colors of the report: Okabe and Ito's, which people with any color vision tell apart.

Nothing is told by color alone: labels are written, and their marks have shapes of their own.
"""

BLUE = "#0072b2"
VERMILLION = "#d55e00"
GREEN = "#009e73"
ORANGE = "#e69f00"
SKY_BLUE = "#56b4e9"
GREY = "#8a8a8a"
DARK = "#222222"

#: the color and the mark of each label of a unit, in the order in which they are shown
LABELS = {"good": (GREEN, "circle"), "mua": (ORANGE, "triangle"), "noise": (GREY, "cross")}

#: of a unit without one of these labels
OTHER = (BLUE, "square")


def label_style(label: str) -> tuple[str, str]:
    """Return the color and the mark of a unit with this label."""
    return LABELS.get(label, OTHER)
