"""How many workers of a sorter fit into `/dev/shm`."""

import numpy as np
import pytest
import spikeinterface as si

from spikeinterface_cloud.sorting.shared_memory import fitting_workers, suffices

MIB = 1024**2


def recording_of(n_channels: int, pitch_um: float) -> si.BaseRecording:
    """Channels in one column."""
    recording = si.NumpyRecording([np.zeros((10, n_channels), dtype="int16")], 30_000.0)
    locations = np.column_stack([np.zeros(n_channels), np.arange(n_channels) * pitch_um])
    recording.set_dummy_probe_from_locations(locations)
    return recording


@pytest.mark.parametrize(
    ("n_channels", "pitch_um", "size_mib", "least", "most"),
    [
        (4, 25.0, 64, 1_000, np.inf),  # a tetrode
        (384, 10.0, 64, 4, 16),  # a Neuropixels probe
        (384, 10.0, 4096, 100, np.inf),
        (384, 0.5, 64, 0, 0.9),  # every channel is near every other one
        (4, 25.0, 8, -np.inf, 0.9),
    ],
)
def test_workers_fit_by_channels_and_density(
    n_channels: int, pitch_um: float, size_mib: int, least: float, most: float
) -> None:
    recording = recording_of(n_channels, pitch_um)
    assert least <= fitting_workers("tridesclous2", recording, size_mib * MIB) <= most


def test_lupin_needs_more_for_a_neuropixels_probe() -> None:
    recording = recording_of(384, 10.0)
    assert fitting_workers("lupin", recording, 64 * MIB) < 1
    assert fitting_workers("lupin", recording, 4096 * MIB) > 16


def test_a_sorter_without_shared_memory_is_not_limited() -> None:
    assert fitting_workers("kilosort4", recording_of(384, 10.0), 0) == np.inf


@pytest.mark.parametrize(
    ("shared_gib", "usable_gib", "expected"),
    [
        (32, 64, True),  # a machine without containers
        (4, 64, False),
        (4, 8, False),  # half of the container's, which SpikeInterface does not look at
        (32, 8, False),  # what is shared would meet the container's limit
        (32, 60, True),
    ],
)
def test_shared_memory_is_judged_by_that_of_the_machine(
    shared_gib: int, usable_gib: int, expected: bool
) -> None:
    assert suffices(shared_gib * 1024 * MIB, 64 * 1024 * MIB, usable_gib * 1024 * MIB) is expected
