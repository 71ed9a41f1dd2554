"""What sorters need from the preprocessing, as they do not do it themselves."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any


class Need(IntEnum):
    """What a recording needs for a sorter; each value includes those below."""

    NOTHING = 0
    #: a common reference, where channels share noise
    REFERENCE = 1
    HIGH_PASS = 2


#: what is left to do for a sorter with filters of its own, with the parameter and value that
#: disable them
WITH_OWN_FILTERS: Mapping[str, tuple[Need, str | None, object]] = {
    "kilosort": (Need.NOTHING, None, None),
    "kilosort2": (Need.NOTHING, None, None),
    "kilosort2_5": (Need.NOTHING, None, None),
    "kilosort3": (Need.NOTHING, None, None),
    "kilosort4": (Need.NOTHING, "skip_kilosort_preprocessing", True),
    "lupin": (Need.NOTHING, "apply_preprocessing", False),
    "simple": (Need.REFERENCE, "apply_preprocessing", False),
    "spykingcircus2": (Need.NOTHING, "apply_preprocessing", False),
    "tridesclous2": (Need.NOTHING, "apply_preprocessing", False),
}


def greatest_need(sorters: Mapping[str, Mapping[str, Any]]) -> Need:
    """Return what one recording needs for all of these sorters.

    Parameters
    ----------
    sorters
        the parameters of each, by its name

    Examples
    --------
    >>> greatest_need({"kilosort4": {}, "simple": {}}).name
    'REFERENCE'
    >>> greatest_need({"kilosort4": {"skip_kilosort_preprocessing": True}}).name
    'HIGH_PASS'
    """
    return max((_need(name, given) for name, given in sorters.items()), default=Need.NOTHING)


def _need(sorter: str, parameters: Mapping[str, Any]) -> Need:
    if sorter not in WITH_OWN_FILTERS:
        return Need.HIGH_PASS
    need, switch, off = WITH_OWN_FILTERS[sorter]
    return Need.HIGH_PASS if switch is not None and parameters.get(switch) == off else need
