"""The table of accuracy tells a job that is worse than the bare sorter."""

import json
from pathlib import Path

import numpy as np
import pytest
import spikeinterface as si
from accuracy_recordings import ABOUT, GAIN_UV, RECORDING, TRUTH, About, Scenario, write_recording
from accuracy_table import BARE, Row, judge_channels, losses, markdown, score, verdict

pytestmark = pytest.mark.integration

RATE_HZ = 30_000.0
N_UNITS = 10
ABOUT_UNITS = About(snr=[3.0, *[7.0] * 4, *[20.0] * 5], noisy=["3", "4"], dead=["9"])

Trains = dict[str, np.ndarray]


def trains() -> Trains:
    """Return 200 true spikes of each unit, at least 2 ms apart."""
    rng = np.random.default_rng(0)
    return {
        f"unit{n}": np.cumsum(rng.integers(60, 3000, 200)).astype("int64") for n in range(N_UNITS)
    }


def row(sorted_trains: Trains, way: str) -> Row:
    """Score these trains as a row."""
    truth = si.NumpySorting.from_unit_dict([trains()], RATE_HZ)
    sorting = si.NumpySorting.from_unit_dict([sorted_trains], RATE_HZ)
    mean, n_found, n_false, by_snr = score(truth, sorting, ABOUT_UNITS)
    return Row(
        scenario="static",
        seed=0,
        sorter="simple",
        way=way,
        mean_accuracy=mean,
        n_true=N_UNITS,
        n_found=n_found,
        n_false=n_false,
        by_snr=by_snr,
        false_removals=None,
        missed_bad=None,
        cpu_s=36.0,
    )


def without(fraction: float, unit: str) -> Trains:
    """Return the true trains, where one unit lacks this fraction of its spikes."""
    changed = trains()
    changed[unit] = changed[unit][int(fraction * 200) :]
    return changed


def simulated(scenario: Scenario, folder: Path) -> tuple[si.BaseRecording, si.BaseSorting]:
    write_recording(scenario, folder)
    return si.load(folder / RECORDING), si.load(folder / TRUTH)


def test_scores_follow_from_the_planted_spikes() -> None:
    half = without(0.5, "unit7")
    half["stranger"] = trains()["unit0"] + 100
    del half["unit2"]
    scored = row(half, "none")
    assert scored.mean_accuracy == pytest.approx((8 + 0.5) / N_UNITS, abs=1e-9)
    assert scored.n_found == 8
    assert scored.n_false == 1
    assert scored.by_snr == [(1, 1), (3, 4), (4, 5)]


def test_an_equal_job_keeps_the_promise() -> None:
    rows = [row(trains(), BARE), row(trains(), "none")]
    assert losses(rows) == []
    assert verdict(rows).startswith("Verdict: kept")


def test_a_job_that_loses_two_units_breaks_it() -> None:
    lost = {name: train for name, train in trains().items() if name not in ("unit1", "unit2")}
    rows = [row(trains(), BARE), row(trains(), "none"), row(lost, "default")]
    [loss] = losses(rows)
    assert loss.way == "default"
    expected = "PREPROCESSING=default: mean accuracy 0.800 beside 1.000, 8 units found beside 10"
    assert expected in loss.text
    assert verdict(rows).startswith("Verdict: broken by 1 of 2 jobs")


@pytest.mark.parametrize(("fraction", "n_losses"), [(0.04, 0), (0.06, 1)])
def test_the_accuracy_allowed_is_half_a_percent(fraction: float, n_losses: int) -> None:
    """Of ten units one loses 4 % or 6 % of its spikes, and all stay found."""
    rows = [row(trains(), BARE), row(without(fraction, "unit5"), "none")]
    assert len(losses(rows)) == n_losses


@pytest.mark.parametrize(("second", "n_losses"), [(0.06, 1), (0.0, 0)])
def test_the_means_of_equal_sortings_count(second: float, n_losses: int) -> None:
    rows = [row(trains(), BARE), row(without(0.06, "unit5"), "none")]
    rows += [row(trains(), BARE), row(without(second, "unit5"), "none")]
    assert len(losses(rows)) == n_losses
    assert ("broken by 1 of 1 jobs" if n_losses else "Each of 1 jobs") in verdict(rows)


def test_what_equal_sortings_differ_by_is_no_verdict() -> None:
    """A job that is below on average, and above in one of its sortings, is not judged."""
    spread = [row(without(part, "unit0"), "none") for part in (0.0, 0.4)]
    alike = [row(without(part, "unit0"), "none") for part in (0.2, 0.21)]
    bare = [row(trains(), BARE)]
    assert verdict([*bare, *spread]).startswith("Verdict: broken by 0 of 1 jobs, undecided for 1")
    assert verdict([*bare, *alike]).startswith("Verdict: broken by 1 of 1 jobs, undecided for 0")


def test_the_table_sums_the_seeds() -> None:
    line = markdown([row(trains(), BARE), row(trains(), BARE)]).splitlines()[-1]
    assert line == (
        "| static | simple | bare | 2 | 1.000 | 20 of 20 | 0 | 2 of 2 | 8 of 8 | 10 of 10 "
        "| - | - | 0.020 |"
    )


def test_channels_are_judged_by_the_planted_ones() -> None:
    assert judge_channels(["3", "7", "9"], ABOUT_UNITS) == (1, 1)
    assert judge_channels([], ABOUT_UNITS) == (0, 3)


@pytest.mark.filterwarnings("ignore")  # SpikeInterface's own, of a recording of seconds
def test_the_recording_has_the_planted_channels(tmp_path: Path) -> None:
    scenario = Scenario(name="bad channels", n_channels=16, n_units=4, duration_s=2.0, seed=1)
    write_recording(scenario, tmp_path / "a")
    about = About(**json.loads((tmp_path / "a" / ABOUT).read_text()))
    recording = si.load(tmp_path / "a" / RECORDING)
    fast = np.diff(recording.get_traces().astype("float64") * GAIN_UV, axis=0).std(axis=0)
    names = [str(name) for name in recording.channel_ids]
    spread = dict(zip(names, fast.tolist(), strict=True))
    assert len(about.noisy) == 3
    assert len(about.dead) == 2
    assert all(spread[name] > 70 for name in about.noisy)
    assert all(spread[name] < 1 for name in about.dead)
    healthy = [value for name, value in spread.items() if name not in about.noisy + about.dead]
    assert all(2 < value < 40 for value in healthy)
    assert si.load(tmp_path / "a" / TRUTH).get_num_units() == len(about.snr) == 4


@pytest.mark.filterwarnings("ignore")  # SpikeInterface's own, of a recording of seconds
def test_cell_models_stand_where_the_true_spikes_are(tmp_path: Path) -> None:
    scenario = Scenario(name="cell models", n_channels=64, n_units=6, duration_s=5.0, seed=1)
    recording, truth = simulated(scenario, tmp_path / "a")
    assert truth.get_num_units() == 6
    assert recording.get_num_channels() == 64
    traces = recording.get_traces().astype("float64") * GAIN_UV
    for unit in truth.unit_ids:
        spikes = truth.get_unit_spike_train(unit)
        spikes = spikes[(spikes > 30) & (spikes < len(traces) - 30)]
        mean = np.mean([traces[spike - 30 : spike + 30] for spike in spikes], axis=0)
        channel = abs(mean).max(axis=0).argmax()
        assert mean[:, channel].min() < -20.0
        assert abs(int(mean[:, channel].argmin()) - 30) <= 3


@pytest.mark.filterwarnings("ignore")  # SpikeInterface's own, of a recording of seconds
def test_neurons_drift_in_less_than_a_minute(tmp_path: Path) -> None:
    """As the drift of SpikeInterface's own default does not: it begins after a minute."""
    scenario = Scenario(name="drifting", n_channels=16, n_units=4, duration_s=15.0, seed=1)
    recording, truth = simulated(scenario, tmp_path / "a")
    traces = recording.get_traces().astype("float64")
    depths_um = recording.get_channel_locations()[:, 1]

    def depth_um(spikes: np.ndarray) -> float:
        mean = np.mean([traces[spike - 30 : spike + 30] for spike in spikes], axis=0)
        heights = np.ptp(mean, axis=0) ** 2
        return float(np.average(depths_um, weights=heights))

    moved_um = []
    for unit in truth.unit_ids:
        spikes = truth.get_unit_spike_train(unit)
        spikes = spikes[(spikes > 30) & (spikes < len(traces) - 30)]
        before, after = spikes[spikes < 2 * RATE_HZ], spikes[spikes > 13 * RATE_HZ]
        moved_um.append(depth_um(after) - depth_um(before))
    assert np.median(np.abs(moved_um)) > 2.0, moved_um
