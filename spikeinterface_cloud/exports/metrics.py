"""The metrics of an analyzer's units, as both exports write them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import spikeinterface as si

#: the column of both exports with the group of channels that a unit was found in
CHANNEL_GROUP = "channel_group"

#: extensions of the analyzer that have a column of numbers for each metric
METRIC_EXTENSIONS = ("quality_metrics", "template_metrics")


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """One number for each unit."""

    name: str
    description: str
    values: npt.NDArray[np.float64]


def metrics_of(analyzer: si.SortingAnalyzer) -> Iterator[Metric]:
    """Yield every metric that was computed for at least one unit."""
    for name in METRIC_EXTENSIONS:
        extension: Any = analyzer.get_extension(name)
        if extension is None:
            continue
        described = extension.get_metric_column_descriptions()
        for column, values in extension.get_data().items():
            numbers = pd.to_numeric(values, errors="coerce").astype("float64").to_numpy()
            if not np.isnan(numbers).all():
                text = described.get(column, "no description")
                yield Metric(
                    name=str(column),
                    description=f"{name.replace('_', ' ')}: {text}",
                    values=numbers,
                )
