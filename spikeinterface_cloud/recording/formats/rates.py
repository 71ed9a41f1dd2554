"""Whether two sampling rates are of the same clock."""

#: clocks differ by far less; the header of another band or probe by far more
RATE_TOLERANCE = 0.01


def rates_differ(rate_hz: float, expected_hz: float) -> bool:
    """Return whether two rates differ by more than clocks do."""
    return abs(rate_hz / expected_hz - 1) > RATE_TOLERANCE
