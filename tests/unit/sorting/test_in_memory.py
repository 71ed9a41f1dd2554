"""Sortings in memory have the segments of their recording, also where no unit fires."""

import numpy as np
import pytest
import spikeinterface as si

from spikeinterface_cloud.sorting.cleanup import remove_impossible_spikes
from spikeinterface_cloud.sorting.in_memory import from_trains, in_memory

SILENT = np.array([], "int64")
TRAINS = [{"u": np.array([100, 900])}, {"u": SILENT}, {"u": SILENT}]


@pytest.mark.filterwarnings("ignore:The extractor is not serializable")
def test_silent_segments_at_the_end_are_kept(tmp_path: object) -> None:
    sorting = from_trains(TRAINS, 30_000.0)
    sorting.set_property("sorters", np.array(["a b"]))
    copy = in_memory(sorting, with_metadata=True)
    saved = sorting.save(folder=f"{tmp_path}/a", format="numpy_folder")
    for each in (sorting, copy, in_memory(saved), copy.select_units(["u"])):
        assert each.get_num_segments() == 3
        trains = [each.get_unit_spike_train("u", segment_index=n).tolist() for n in range(3)]
        assert trains == [[100, 900], [], []]
    assert copy.get_property("sorters").tolist() == ["a b"]


def test_segments_without_spikes_stay_when_spikes_are_removed() -> None:
    recording = si.NumpyRecording([np.zeros((1000, 2))] * 3, 30_000.0)
    sorting, n_removed = remove_impossible_spikes(from_trains(TRAINS, 30_000.0), recording)
    assert (sorting.get_num_segments(), n_removed) == (3, 0)
