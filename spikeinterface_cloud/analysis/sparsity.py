"""The channels of each unit: those near its largest one, and none of another group.

Units of one group of channels that was sorted by itself have no channels of another, however near.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import spikeinterface as si

#: SpikeInterface's defaults: the window of the templates that a main channel is found by, and the
#: distance of the farthest channel from it
TEMPLATE_S = 3.5e-3
RADIUS_UM = 100.0

Indices = npt.NDArray[np.int64]


def unit_channels(
    sorting: si.BaseSorting,
    recording: si.BaseRecording,
    split_by: str | None,
    shared_memory_bytes: int,
) -> tuple[Indices, si.ChannelSparsity]:
    """Return the index of the main channel of each unit, and the channels of each unit.

    Parameters
    ----------
    split_by
        property of the units with the group of channels that they were found in, which is the
        property `group` of `recording`; None if all channels were sorted together
    shared_memory_bytes
        free in `/dev/shm`
    """
    main = np.zeros(sorting.get_num_units(), dtype="int64")
    mask = np.zeros((len(main), recording.get_num_channels()), dtype=bool)
    for units, channels in _groups(sorting, recording, split_by):
        whole = len(channels) == recording.get_num_channels()
        part = recording if whole else recording.select_channels(recording.channel_ids[channels])
        own = sorting if whole else sorting.select_units(sorting.unit_ids[units])
        found = main_channels(own, part, shared_memory_bytes)
        sparsity = si.ChannelSparsity.from_radius_and_main_channel(
            own.unit_ids, part.channel_ids, found, part.get_channel_locations(), RADIUS_UM
        )
        main[units] = channels[found]
        mask[np.ix_(units, channels)] = sparsity.mask
    return main, si.ChannelSparsity(mask, sorting.unit_ids, recording.channel_ids)


def _groups(
    sorting: si.BaseSorting, recording: si.BaseRecording, split_by: str | None
) -> Iterator[tuple[Indices, Indices]]:
    """Yield the indices of the units and of the channels of each group that has units."""
    if split_by is None:
        yield np.arange(sorting.get_num_units()), np.arange(recording.get_num_channels())
        return
    of_units, of_channels = sorting.get_property(split_by), recording.get_channel_groups()
    for group in np.unique(of_units):
        yield np.flatnonzero(of_units == group), np.flatnonzero(of_channels == group)


def main_channels(
    sorting: si.BaseSorting, recording: si.BaseRecording, shared_memory_bytes: int
) -> Indices:
    """Return the index of the channel where each unit is largest.

    SpikeInterface averages templates in `/dev/shm`, and is killed by SIGBUS when it writes beyond
    its size, so that only as many units as fit are averaged at once.
    """
    n_workers = si.get_global_job_kwargs()["n_jobs"]
    n_values = recording.get_num_channels() * TEMPLATE_S * recording.sampling_frequency
    bytes_per_unit = n_workers * n_values * np.dtype("float32").itemsize
    size = max(1, int(shared_memory_bytes / bytes_per_unit))
    batches = [sorting.unit_ids[i : i + size] for i in range(0, sorting.get_num_units(), size)]
    analyzers = (
        si.create_sorting_analyzer(
            sorting.select_units(batch), recording, sparse=False, return_in_uV=False, seed=0
        )
        for batch in batches
    )
    return np.concatenate(
        [each.get_main_channels(outputs="index", with_dict=False) for each in analyzers]
    )
