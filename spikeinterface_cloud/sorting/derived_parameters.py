"""The parameters of a sorter that the recording decides, where the user gave none.

They follow from the sampling rate and the layout of the channels alone, so that a job that is run
again with the same settings, on the same recording, chooses the same.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import spikeinterface as si
import spikeinterface.sorters as ss

from spikeinterface_cloud.config.catalog.frequency_bands import Chosen
from spikeinterface_cloud.config.catalog.sorter_bands import fitting_bands, sorter_band_problems
from spikeinterface_cloud.config.catalog.step_bands import final_rate_hz, step_band_problems
from spikeinterface_cloud.config.catalog.validation import as_steps
from spikeinterface_cloud.errors import SettingsError
from spikeinterface_cloud.recording.formats.stream_choice import LOWEST_SAMPLING_FREQUENCY_HZ
from spikeinterface_cloud.sorting.availability import complete_parameters
from spikeinterface_cloud.sorting.kilosort4_parameters import Layout, kilosort4_parameters

logger = logging.getLogger(__name__)


def check_rate(
    rate_hz: float,
    preprocessing: str | Sequence[Mapping[str, Any]] | Mapping[str, Any],
    sorters: Mapping[str, Mapping[str, Any]],
) -> None:
    """Refuse frequencies that the sampling rate of the recording cannot hold (78).

    Parameters
    ----------
    rate_hz
        of the recording before preprocessing
    sorters
        the given parameters by name, of sorters that are installed
    """
    steps = as_steps(preprocessing)
    problems = [*step_band_problems("PREPROCESSING: ", steps, rate_hz)]
    sorted_at_hz = final_rate_hz(steps, rate_hz)
    if steps and sorted_at_hz < LOWEST_SAMPLING_FREQUENCY_HZ <= rate_hz:
        problems.append(
            f"PREPROCESSING: its steps leave {sorted_at_hz:g} Hz of {rate_hz:g} Hz, too slow for "
            f"spikes; keep {LOWEST_SAMPLING_FREQUENCY_HZ:g} Hz at least"
        )
    for sorter, given in sorters.items():
        defaults = ss.get_default_sorter_params(sorter)
        problems += sorter_band_problems(sorter, given, defaults, sorted_at_hz)
    if problems:
        raise SettingsError("; ".join(problems))


def run_parameters(
    sorter: str, given: Mapping[str, Any], recording: si.BaseRecording
) -> dict[str, Any]:
    """Return the parameters for `run_sorter` on this recording, and log the derived ones.

    Parameters
    ----------
    given
        by the user
    recording
        as the sorter reads it
    """
    chosen = choose_parameters(sorter, given, recording)
    for name, each in chosen.items():
        logger.info("%s: %s=%s, %s", sorter, name, each.value, each.reason)
    return complete_parameters(sorter, merged(given, chosen))


def choose_parameters(
    sorter: str, given: Mapping[str, Any], recording: si.BaseRecording
) -> dict[str, Chosen]:
    """Return the parameters that the recording decides, by name, without those that were given."""
    rate_hz = float(recording.sampling_frequency)
    chosen = fitting_bands(given, ss.get_default_sorter_params(sorter), rate_hz)
    if sorter == "kilosort4":
        layout = Layout(
            positions_um=recording.get_channel_locations()[:, :2],
            groups=recording.get_channel_groups(),
        )
        chosen |= kilosort4_parameters(layout, rate_hz, given)
    return chosen


def merged(given: Mapping[str, Any], chosen: Mapping[str, Chosen]) -> dict[str, Any]:
    """Return the given parameters and the chosen ones.

    >>> lowered = {"filtering.freq_max": Chosen(value=4500.0, reason="")}
    >>> merged({"filtering": {"freq_min": 300}}, lowered)
    {'filtering': {'freq_min': 300, 'freq_max': 4500.0}}
    """
    parameters = dict(given)
    for name, each in chosen.items():
        first, _, rest = name.partition(".")
        value = {**parameters.get(first, {}), rest: each.value} if rest else each.value
        parameters[first] = value
    return parameters
