"""Simulated recordings: their parameters, and the drift of the drifting one."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from spikeinterface.core import BaseRecording

from spikeinterface_cloud.errors import SettingsError
from spikeinterface_cloud.recording.simulated import DRIFTING_CONTACTS, check_simulation, simulate

pytestmark = pytest.mark.integration

Spikes = npt.NDArray[np.int64]

#: enough spikes for an average
FAST = {"firing_rates": (80.0, 80.0), "refractory_period_ms": 4.0}

#: so short that a test can look at it
SHORT: dict[str, Any] = {
    "drifting": True,
    "duration": 2.0,
    "num_units": 2,
    "generate_displacement_vector_kwargs": {
        "displacement_sampling_frequency": 5.0,
        "drift_start_um": [0, 20],
        "drift_stop_um": [0, -20],
        "drift_step_um": 5,
        "motion_list": [
            {
                "drift_mode": "zigzag",
                "non_rigid_gradient": None,
                "t_start_drift": 1.0,
                "t_end_drift": None,
                "period_s": 2,
            }
        ],
    },
}


def test_a_drifting_probe_is_simulated_without_a_download() -> None:
    recording, truth = simulate(SHORT)
    assert recording.get_num_channels() == DRIFTING_CONTACTS >= 96
    assert recording.get_probe().model_name == "NP1000"
    assert recording.get_dtype() == np.dtype("int16")
    assert recording.get_total_duration() == 2.0
    assert truth.get_num_units() == 2


def test_unknown_generator_parameters_are_refused() -> None:
    check_simulation(SHORT)
    check_simulation({"drifting": False, "durations": [1.0], "generate_probe_kwargs": {}})
    with pytest.raises(SettingsError, match="no parameter durations; did you mean duration"):
        check_simulation({"drifting": True, "durations": [1.0]})
    with pytest.raises(SettingsError, match="no parameter probe_name"):
        check_simulation({"drifting": True, "probe_name": "Neuropixels1-128"})
    with pytest.raises(SettingsError, match=r"no parameter duration; .*drifting"):
        check_simulation({"duration": 1.0})


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        (
            {"durations": "ten"},
            r"durations is 'ten'; it takes a list of seconds, .* like \[60\.0\]",
        ),
        ({"durations": []}, r"durations is \[\]; it takes a list"),
        ({"durations": [5, -1]}, "it takes a list of seconds"),
        ({"durations": [5], "seed": "abc"}, "seed is 'abc'; it takes a whole number, 0 or above"),
        ({"num_channels": 0}, "num_channels is 0; it takes a whole number above 0"),
        ({"num_units": True}, "num_units is True; it takes a whole number above 0"),
        ({"sampling_frequency": 1e400}, "sampling_frequency is inf; it takes a number above 0"),
        ({"noise_kwargs": 5}, "noise_kwargs is 5; it takes an object"),
        ({"probe": "abc"}, "the simulated recording has no parameter probe"),
        ({"drifting": "no"}, "drifting is 'no'; it takes true or false"),
        ({"drifting": True, "duration": [5]}, r"duration is \[5\]; it takes a number above 0"),
        ({"drifting": True, "extra_outputs": True}, "no parameter extra_outputs"),
    ],
    ids=str,
)
def test_invalid_generator_values_are_refused_before_the_job(
    kwargs: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError, match=f"^READ_RECORDING_KWARGS: .*{message}"):
        check_simulation(kwargs)


@pytest.mark.parametrize(
    "kwargs",
    [
        {"noise_kwargs": {"noise_levels": "loud"}},
        {"generate_sorting_kwargs": {"firing_rates": "many"}},
        {"generate_probe_kwargs": {"num_columns": "two"}},
        {"dtype": "int16"},
        {"num_units": 10**12},
    ],
    ids=str,
)
def test_generator_errors_are_settings_errors(kwargs: dict[str, Any]) -> None:
    parameters = {"durations": [1.0], **kwargs}
    check_simulation(parameters)
    with pytest.raises(SettingsError) as raised:
        simulate(parameters)
    assert str(raised.value).startswith(
        "READ_RECORDING_KWARGS: no recording can be simulated with these values of durations, "
        f"{next(iter(kwargs))}"
    )
    assert "\n" not in str(raised.value)


def test_the_probe_drifts() -> None:
    """Where the largest spike of a unit is seen moves along the probe with the second half."""
    recording, truth = simulate({**SHORT, "num_units": 1, "generate_sorting_kwargs": FAST})
    spikes = truth.get_unit_spike_train(truth.unit_ids[0])
    still = spikes[spikes < 30_000]
    turned = spikes[(spikes > 43_000) & (spikes < 47_000)]  # 20 um away, before it comes back
    assert _distance_um(recording, still, turned) > 8.0
    assert _distance_um(recording, still[::2], still[1::2]) < 4.0


def _distance_um(recording: BaseRecording, first: Spikes, second: Spikes) -> float:
    """How far apart, along the probe, two groups of spikes have their centers."""
    return float(abs(_center_um(recording, first) - _center_um(recording, second)))


def _center_um(recording: BaseRecording, frames: Spikes) -> float:
    traces = recording.get_traces(return_in_uV=True)
    average = np.mean([traces[frame - 30 : frame + 60] for frame in frames if frame > 30], axis=0)
    sizes = np.ptp(average, axis=0)
    weights = np.where(sizes > sizes.max() / 3, sizes, 0.0)
    return float(np.average(recording.get_channel_locations()[:, 1], weights=weights))
