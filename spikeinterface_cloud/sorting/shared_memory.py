"""Shared memory of SpikeInterface's own sorters, kept within the size of `/dev/shm`.

These sorters keep the filtered recording in shared memory, and average templates there, with a copy
for each worker. A process that writes beyond the size of `/dev/shm`, which is 64 MiB in a container
without `docker run --shm-size`, is killed by SIGBUS.
"""

import logging
import multiprocessing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import spikeinterface as si
from scipy.spatial import KDTree

from spikeinterface_cloud.errors import UnavailableError
from spikeinterface_cloud.runtime.host import (
    SHARED_MEMORY,
    free_disk_bytes,
    physical_memory_bytes,
    shared_memory_bytes,
    usable_memory_bytes,
)
from spikeinterface_cloud.runtime.logging import format_bytes

logger = logging.getLogger(__name__)

#: of the machine's memory: Linux gives `/dev/shm` a half, and SpikeInterface shares no more than
#: that, whatever the limit of the container, which counts it
SUFFICIENT_FRACTION = 0.45

#: of the machine's memory: with less, the container's limit may be met by what is shared
UNLIMITED_FRACTION = 0.9

#: free space by the size of the filtered recording, as a sorter writes other files beside it
CACHE_FACTOR = 1.2

#: the parameter of each sorter for the place of the filtered recording
CACHE_PARAMETERS = {
    "spykingcircus2": "cache_preprocessing",
    "tridesclous2": "cache_preprocessing_mode",
    "lupin": "cache_preprocessing_mode",
}

#: templates that a worker averages, as tridesclous2 and lupin do: more units than they find in
#: dense probes, and their default window and radius
UNITS_PER_CHANNEL = 2
TEMPLATE_S = 3.5e-3
TEMPLATE_RADIUS_UM = 100.0
VALUE_BYTES = 4

#: waveforms of some thousand peaks, each on one channel
BASE_BYTES = 16 * 1024**2

#: lupin's matching convolves each two units that overlap, shifted within a sample in 8 ways
LUPIN_SHIFTS = 8


def check_shared_memory_is_writable() -> None:
    """Refuse a machine whose processes cannot share memory (69)."""
    try:
        multiprocessing.get_context("fork").Lock()
    except OSError as error:
        raise UnavailableError(
            f"{SHARED_MEMORY}, where workers share memory, cannot be written ({error.strerror}); "
            f"mount it writable (docker run --tmpfs {SHARED_MEMORY}:rw,size=4g)"
        ) from error


def shared_memory_suffices() -> bool:
    """Return whether `/dev/shm` holds whatever a sorter may share on this machine."""
    return suffices(shared_memory_bytes(), physical_memory_bytes(), usable_memory_bytes())


def suffices(shared_bytes: int, physical_bytes: int, usable_bytes: int) -> bool:
    """Return whether a `/dev/shm` of this size does.

    Parameters
    ----------
    physical_bytes
        the memory of the machine
    usable_bytes
        that of the container, which counts what is shared
    """
    is_large = shared_bytes >= SUFFICIENT_FRACTION * physical_bytes
    return is_large and usable_bytes >= UNLIMITED_FRACTION * physical_bytes


def uses_shared_memory(sorter: str) -> bool:
    """Return whether the sorter may fill `/dev/shm`."""
    return sorter in CACHE_PARAMETERS


def fitting_workers(sorter: str, recording: si.BaseRecording, size_bytes: int) -> float:
    """Return how many workers of the sorter fit into a `/dev/shm` of this size; below 1: none."""
    if not uses_shared_memory(sorter):
        return float("inf")
    positions_um = recording.get_channel_locations()
    near = KDTree(positions_um).query_ball_point(
        positions_um, TEMPLATE_RADIUS_UM, return_length=True
    )
    n_units = UNITS_PER_CHANNEL * len(positions_um)
    template_bytes = TEMPLATE_S * recording.sampling_frequency * VALUE_BYTES
    fixed_bytes = BASE_BYTES
    if sorter == "lupin":
        n_overlapping = min(n_units, 2 * UNITS_PER_CHANNEL * int(near.max()))
        fixed_bytes += int(LUPIN_SHIFTS * n_units * n_overlapping * 2 * template_bytes)
    return float((size_bytes - fixed_bytes) / (n_units * int(near.max()) * template_bytes))


def check_shared_memory(sorters: Sequence[str], recording: si.BaseRecording) -> None:
    """Refuse sorters of which not even one worker fits into `/dev/shm` (69)."""
    size = shared_memory_bytes()
    too_large = [sorter for sorter in sorters if fitting_workers(sorter, recording, size) < 1]
    if too_large and not shared_memory_suffices():
        raise UnavailableError(
            f"{', '.join(too_large)}: /dev/shm has {format_bytes(size)}, too little for "
            f"{recording.get_num_channels()} channels; start the container with more (docker run "
            "--shm-size 4g, or sharedMemorySize in the job definition), or choose another sorter"
        )


def limit_workers(sorter: str, recording: si.BaseRecording, n_workers: int) -> int:
    """Return the number of workers to run the sorter with, and log when it is lowered."""
    size = shared_memory_bytes()
    fitting = max(1, int(min(n_workers, fitting_workers(sorter, recording, size))))
    if fitting == n_workers or shared_memory_suffices():
        return n_workers
    logger.warning(
        "%s runs %d of %d workers, because /dev/shm has only %s (docker run --shm-size sets it)",
        sorter,
        fitting,
        n_workers,
        format_bytes(size),
    )
    return fitting


def place_cache(
    sorter: str, parameters: Mapping[str, Any], recording: si.BaseRecording, folder: Path
) -> dict[str, Any]:
    """Return the parameters with a place for the filtered recording that holds it.

    It is shared memory where that suffices, else `folder`, else none: the sorter then filters the
    recording in each of its steps. A place that the user chose is kept.

    Parameters
    ----------
    folder
        on scratch
    """
    name = CACHE_PARAMETERS.get(sorter)
    if name is None or name in parameters:
        return dict(parameters)
    n_values = recording.get_total_samples() * recording.get_num_channels()
    is_short = free_disk_bytes(folder) < CACHE_FACTOR * n_values * VALUE_BYTES
    place = {"mode": "folder", "folder": str(folder)}
    if shared_memory_suffices():
        if not is_short:
            return dict(parameters)  # the sorter's own choice
        place = {"mode": "memory"}  # nowhere, if the recording is too large
    elif is_short:
        place = {"mode": "no-cache"}
        logger.warning(
            "%s filters the recording in each of its steps, which takes longer: neither /dev/shm "
            "nor scratch has %s for a filtered copy",
            sorter,
            format_bytes(n_values * VALUE_BYTES),
        )
    return {**parameters, name: place if sorter == "spykingcircus2" else place["mode"]}
