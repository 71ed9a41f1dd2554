"""Add results that were computed here to an analyzer, as one of SpikeInterface's extensions."""

from collections.abc import Mapping
from typing import Any

import spikeinterface as si
from spikeinterface.core.sortinganalyzer import get_extension_class


def add_extension(
    analyzer: si.SortingAnalyzer, name: str, parameters: Mapping[str, Any], data: Mapping[str, Any]
) -> None:
    """Add and save an extension that was computed outside of SpikeInterface.

    Parameters
    ----------
    parameters
        that SpikeInterface would have been given; its defaults fill the rest
    data
        the arrays and tables of the extension, by SpikeInterface's names
    """
    extension = get_extension_class(name)(analyzer)
    extension.set_params(save=False, **parameters)
    for key, values in data.items():
        extension.set_data(key, values)
    extension.run_info["run_completed"] = True
    extension.save()
    analyzer.extensions[name] = extension
