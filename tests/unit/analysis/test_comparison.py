"""How sorters agree: tables of two, three and five of them, held against what was put in."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import spikeinterface as si

from spikeinterface_cloud.analysis.comparison import compare
from spikeinterface_cloud.sorting.in_memory import from_trains

#: a sorting in memory comes from no file
pytestmark = pytest.mark.filterwarnings("ignore:The extractor is not serializable:UserWarning")

RATE = 30_000.0


def neuron(seed: int, n_spikes: int = 200, segment: int = 0) -> np.ndarray:
    """Spike times of one neuron, in samples of a minute, no two alike."""
    generator = np.random.default_rng([seed, segment])
    return np.sort(generator.choice(np.arange(100, 1_800_000, 60), n_spikes, replace=False))


def sorting(*neurons: int, jitter: int = 0, n_segments: int = 1) -> si.NumpySorting:
    """A sorting with one unit for each neuron, named after it, some samples late."""
    segments = [
        {f"u{seed}": neuron(seed, segment=segment) + jitter for seed in neurons}
        for segment in range(n_segments)
    ]
    return si.NumpySorting.from_unit_dict(segments, RATE)


def tables(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Pairs, matrix and consensus, as a user reads them."""
    return (
        pd.read_csv(folder / "agreement.csv"),
        pd.read_csv(folder / "agreement_matrix.csv", index_col="sorter"),
        pd.read_csv(folder / "consensus_units.csv", index_col="consensus_unit_id"),
    )


SORTINGS = {
    "a": sorting(1, 2, 3, 4),
    "b": sorting(1, 2, jitter=3),
    "c": sorting(2, 3, 9, jitter=-2),
    "d": sorting(2, jitter=1),
    "e": sorting(7, 8),
}

#: how many sorters found each neuron, by how many sorters there are
FOUND_BY = {
    2: {1: 2, 2: 2, 3: 1, 4: 1},
    3: {1: 2, 2: 3, 3: 2, 4: 1, 9: 1},
    5: {1: 2, 2: 4, 3: 2, 4: 1, 9: 1, 7: 1, 8: 1},
}


@pytest.mark.parametrize("n_sorters", FOUND_BY)
def test_each_neuron_is_one_line_with_the_sorters_that_found_it(
    tmp_path: Path, n_sorters: int
) -> None:
    chosen = dict(list(SORTINGS.items())[:n_sorters])
    n_consensus = compare(chosen, tmp_path)
    consensus = tables(tmp_path)[2]
    found_by: dict[int, int] = {}
    for _, row in consensus.iterrows():
        names = {row[sorter] for sorter in chosen if isinstance(row[sorter], str)}
        assert len(names) == 1, "units of several neurons were joined"
        assert sum(isinstance(row[sorter], str) for sorter in chosen) == row["n_sorters"]
        found_by[int(names.pop().removeprefix("u"))] = row["n_sorters"]
    assert found_by == FOUND_BY[n_sorters]
    assert n_consensus == sum(count >= 2 for count in found_by.values())


@pytest.mark.parametrize("n_sorters", FOUND_BY)
def test_the_consensus_sorting_has_the_lines_of_two_sorters_and_more(
    tmp_path: Path, n_sorters: int
) -> None:
    compare(dict(list(SORTINGS.items())[:n_sorters]), tmp_path)
    table = tables(tmp_path)[2]
    consensus = si.load(tmp_path / "consensus")
    agreed = table[table["n_sorters"] >= 2]
    assert list(consensus.unit_ids) == list(agreed.index)
    assert list(consensus.get_property("n_sorters")) == list(agreed["n_sorters"])
    for unit, sorters in zip(consensus.unit_ids, consensus.get_property("sorters"), strict=True):
        assert sorters.split() == [
            name for name in agreed.columns[2:] if agreed[name].notna()[unit]
        ]
        (name,) = set(agreed.loc[unit].iloc[2:].dropna())
        spikes = consensus.get_unit_spike_train(unit)
        assert np.abs(spikes - neuron(int(name.removeprefix("u")))).max() <= 3


def test_the_matrix_has_the_part_of_the_rows_units(tmp_path: Path) -> None:
    compare(SORTINGS, tmp_path)
    matrix = tables(tmp_path)[1]
    assert list(matrix.index) == list(matrix.columns) == list(SORTINGS)
    assert matrix.loc["a", "b"] == 0.5, "two of four"
    assert matrix.loc["b", "a"] == 1.0, "both of two"
    assert matrix.loc["c", "a"] == pytest.approx(2 / 3)
    assert (matrix.loc["e", ["a", "b", "c", "d"]] == 0.0).all()
    assert (np.diag(matrix) == 1.0).all()


def test_pairs_have_the_part_of_the_spikes_they_share(tmp_path: Path) -> None:
    half = si.NumpySorting.from_unit_dict([{"half": neuron(1)[:150], "other": neuron(5)}], RATE)
    compare({"a": SORTINGS["a"], "half": half}, tmp_path)
    (pair,) = tables(tmp_path)[0].to_dict("records")
    assert pair == {
        "sorter_1": "a",
        "unit_1": "u1",
        "sorter_2": "half",
        "unit_2": "half",
        "agreement": 0.75,
    }


def parts_of_neuron(*parts: slice) -> si.NumpySorting:
    """A sorting with one unit for each part of the spikes of one neuron."""
    whole = neuron(1, n_spikes=400)
    units = {f"u{number}": whole[part] for number, part in enumerate(parts)}
    return si.NumpySorting.from_unit_dict([units], RATE)


def test_units_that_sorters_split_differently_are_all_in_the_table(tmp_path: Path) -> None:
    """One chain of agreement joins two units of one sorter."""
    sortings = {
        "a": parts_of_neuron(slice(102), slice(70, 168), slice(91, 400)),
        "b": parts_of_neuron(slice(10, 218), slice(166, 400)),
        "c": parts_of_neuron(slice(5, 400)),
        "d": parts_of_neuron(slice(10, 346), slice(300, 400)),
    }
    n_consensus = compare(sortings, tmp_path)
    consensus = tables(tmp_path)[2]
    for sorter, each in sortings.items():
        assert sorted(consensus[sorter].dropna()) == list(each.unit_ids)
    assert list(consensus.index) == list(range(len(consensus)))
    assert list(consensus["n_sorters"]) == list(consensus[list(sortings)].notna().sum(axis=1))
    agreed = consensus.index[consensus["n_sorters"] >= 2]
    assert n_consensus == len(agreed)
    assert list(si.load(tmp_path / "consensus").unit_ids) == list(agreed)


def test_sorters_that_agree_on_nothing_have_an_empty_consensus(tmp_path: Path) -> None:
    assert compare({"a": sorting(1), "e": sorting(7)}, tmp_path) == 0
    pairs, matrix, consensus = tables(tmp_path)
    assert pairs.empty
    assert matrix.loc["a", "e"] == 0.0
    assert list(consensus["n_sorters"]) == [1, 1]
    assert si.load(tmp_path / "consensus").get_num_units() == 0


def test_segments_stay_apart(tmp_path: Path) -> None:
    both: Mapping[str, si.BaseSorting] = {
        "a": sorting(1, 2, n_segments=2),
        "b": sorting(2, jitter=2, n_segments=2),
    }
    assert compare(both, tmp_path) == 1
    consensus = si.load(tmp_path / "consensus")
    assert consensus.get_num_segments() == 2
    for segment in range(2):
        spikes = consensus.get_unit_spike_train(consensus.unit_ids[0], segment_index=segment)
        assert np.abs(spikes - neuron(2, segment=segment)).max() <= 2


def test_one_sorter_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    assert compare({"a": SORTINGS["a"]}, tmp_path / "comparison") is None
    assert not (tmp_path / "comparison").exists()


@pytest.mark.parametrize("late", [0, 3, 8, 11, 12, -12])
def test_no_spike_of_the_consensus_is_counted_twice(tmp_path: Path, late: int) -> None:
    """Two sorters place the same spikes up to 0.4 ms apart."""
    assert compare({"a": sorting(1), "b": sorting(1, jitter=late)}, tmp_path) == 1
    consensus = si.load(tmp_path / "consensus")
    np.testing.assert_array_equal(consensus.get_unit_spike_train(consensus.unit_ids[0]), neuron(1))


def test_the_consensus_has_the_spikes_that_one_sorter_missed(tmp_path: Path) -> None:
    whole = neuron(1)
    parts = [
        si.NumpySorting.from_unit_dict([{"u": np.delete(whole + late, missed)}], RATE)
        for late, missed in ((0, np.s_[::10]), (7, np.s_[5::10]))
    ]
    compare(dict(zip("ab", parts, strict=True)), tmp_path)
    consensus = si.load(tmp_path / "consensus")
    found = consensus.get_unit_spike_train(consensus.unit_ids[0])
    assert len(found) == len(whole)
    assert np.abs(found - whole).max() <= 7


def test_segments_in_which_one_sorter_is_silent_are_compared(tmp_path: Path) -> None:
    silent = from_trains([{"u1": neuron(1)}, {"u1": np.array([], "int64")}], RATE)
    assert compare({"a": sorting(1, n_segments=2), "b": silent}, tmp_path) == 1
    consensus = si.load(tmp_path / "consensus")
    assert consensus.get_num_segments() == 2
    counts = [
        len(consensus.get_unit_spike_train(consensus.unit_ids[0], segment_index=n)) for n in (0, 1)
    ]
    assert counts == [200, 200]
