"""Okabe and Ito's colors, which people with any color vision can distinguish.

Color is never the only cue: labels are written, and their marks differ in shape.
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
