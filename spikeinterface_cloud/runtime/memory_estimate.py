"""How much memory a job will need, from its sorters and the extent of its recording.

Estimates that are right within `ERROR_FACTOR`: a job is warned from the estimate on, and refused
only where even the lowest that it may mean is more than there is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from spikeinterface_cloud.errors import UnavailableError
from spikeinterface_cloud.runtime.host import BASE_MEMORY_BYTES, WORKER_MEMORY_BYTES
from spikeinterface_cloud.runtime.logging import format_bytes

HOUR_S = 3600.0

#: channels of a Neuropixels probe, which the figures below are for
PROBE_CHANNELS = 384

#: Kilosort's documentation of its hardware gives 300 GB of memory for a recording of 13 hours; the
#: probe is taken to be a Neuropixels one
KILOSORT4_BYTES_PER_CHANNEL_HOUR = 300e9 / 13 / PROBE_CHANNELS

#: torch and CUDA on the side of the host, and the first arrays for spikes
KILOSORT4_BASE_BYTES = 3 * 1024**3

#: measured with 400 units on 384 channels, whose waveforms are sampled (benchmarks/README.md)
ANALYSIS_BYTES_PER_CHANNEL = 2.8 * 1024**3 / PROBE_CHANNELS

#: reckoned there for an hour of these units at 10 Hz
ANALYSIS_BYTES_PER_CHANNEL_HOUR = 2 * 1024**3 / PROBE_CHANNELS

#: what is needed is between a fourth and four times the estimate: it follows the spikes and the
#: units, which nobody knows before sorting
ERROR_FACTOR = 4.0

#: the same where only the size of the files is known, which may be compressed or have wide samples
SIZE_ERROR_FACTOR = 2 * ERROR_FACTOR

#: of the most common samples, and the rate of the most common probes
SAMPLE_BYTES = 2
SAMPLE_RATE_HZ = 30_000.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Extent:
    """How much there is to sort."""

    #: the channels of the recording times its hours
    channel_hours: float
    #: 0 where it is not known yet
    n_channels: int
    #: how many times too high, or too low, an estimate from this may be
    error_factor: float


def extent_of_files(size_bytes: int) -> Extent:
    """What files of so many bytes hold, if their samples are 16-bit integers at 30 kHz."""
    seconds = size_bytes / SAMPLE_BYTES / SAMPLE_RATE_HZ
    return Extent(channel_hours=seconds / HOUR_S, n_channels=0, error_factor=SIZE_ERROR_FACTOR)


def extent_of_recording(n_channels: int, duration_s: float, sampling_frequency_hz: float) -> Extent:
    """What an open recording holds; faster samples count for more, at 30 kHz each for one."""
    hours = duration_s / HOUR_S * sampling_frequency_hz / SAMPLE_RATE_HZ
    return Extent(
        channel_hours=n_channels * hours, n_channels=n_channels, error_factor=ERROR_FACTOR
    )


def sorting_bytes(sorter: str, extent: Extent) -> int | None:
    """The memory that the sorter's process needs; None: nothing is known of this sorter.

    Kilosort4 keeps the features of all spikes of the recording, so that its memory grows with
    channels and hours: by 23 GB for an hour of a Neuropixels probe, as published for 13 hours.
    Users report 80 to 120 GB for long recordings, and 32 to 64 GB are advised. An estimate from one
    published figure: right within `extent.error_factor`.
    """
    if sorter != "kilosort4":
        return None
    growth = KILOSORT4_BYTES_PER_CHANNEL_HOUR * extent.channel_hours
    return int(KILOSORT4_BASE_BYTES + growth)


def analysis_bytes(extent: Extent, n_workers: int) -> int:
    """The memory that the analysis of what a sorter found needs, workers included.

    From 2.8 GiB that were measured for 400 units on 384 channels, and 2 GiB an hour that are
    reckoned for their spikes (benchmarks/README.md); right within `extent.error_factor`.
    """
    waveforms = ANALYSIS_BYTES_PER_CHANNEL * extent.n_channels
    spikes = ANALYSIS_BYTES_PER_CHANNEL_HOUR * extent.channel_hours
    return int(BASE_MEMORY_BYTES + n_workers * WORKER_MEMORY_BYTES + waveforms + spikes)


def check_memory(
    sorters: Sequence[str], extent: Extent, n_workers: int, usable_bytes: int
) -> list[str]:
    """What is likely to need more memory than there is, a sentence each.

    Raises
    ------
    UnavailableError
        something needs more, however wrong the estimate is
    """
    more = "take an instance with more, and ask for it (submit_job.py --memory)"
    needs = [
        (sorter, needed, more)
        for sorter in sorters
        if (needed := sorting_bytes(sorter, extent)) is not None
    ]
    fewer = f"{more}, or set N_JOBS lower than {n_workers}" if n_workers > 1 else more
    needs.append(("the analysis", analysis_bytes(extent, n_workers), fewer))
    concerns = []
    for who, needed, remedy in needs:
        if needed <= usable_bytes:
            continue
        told = (
            f"{who} needs about {format_bytes(needed)} of memory for "
            f"{extent.channel_hours:,.1f} channel-hours (an estimate, right within a factor of "
            f"{extent.error_factor:g}), and {format_bytes(usable_bytes)} are here"
        )
        if needed > extent.error_factor * usable_bytes:
            raise UnavailableError(f"{told}, too little in any case; {remedy}")
        concerns.append(f"{told}; should it be killed, {remedy}")
    return concerns
