"""Estimates of the host memory (RAM) that a job needs, for the job itself and for the laptop.

The spikes and units that decide it are unknown before sorting, so a job needs between a quarter of
an estimate and four times as much (`ERROR_FACTOR`). The job warns if the estimate exceeds its
memory, and refuses only if a quarter of it does.

All figures are memory of the host. None is known for GPU memory: Kilosort4 works through it batch
by batch, and the job lowers the batch size where it runs out (`sorting/oom_fallback.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from spikeinterface_cloud.errors import UnavailableError
from spikeinterface_cloud.runtime.host import BASE_MEMORY_BYTES, WORKER_MEMORY_BYTES
from spikeinterface_cloud.runtime.logging import format_bytes

HOUR_S = 3600.0

#: channels of a Neuropixels probe, which the figures below are for
PROBE_CHANNELS = 384

#: Kilosort4 keeps the features of all spikes in host memory, so its need grows with channels and
#: hours. Its documentation (docs/hardware.rst) gives the only measured figure: two Neuropixels
#: recordings of about 13 hours from different labs took around 300 GB each, 23 GB an hour. The
#: lower bound, a quarter of it, is 5.8 GB an hour: the features of 14.4 million spikes (400 units
#: at 10 Hz) alone take 3.5 GB, and the documentation advises 32 GB or more for up to 3 hours
KILOSORT4_BYTES_PER_CHANNEL_HOUR = 300e9 / 13 / PROBE_CHANNELS

#: torch and CUDA on the host, and the first arrays for spikes; assumed
KILOSORT4_BASE_BYTES = 3 * 1024**3

#: measured with 400 units on 384 channels, whose waveforms are sampled (benchmarks/README.md)
ANALYSIS_BYTES_PER_CHANNEL = 2.8 * 1024**3 / PROBE_CHANNELS

#: computed there for an hour of these units at 10 Hz
ANALYSIS_BYTES_PER_CHANNEL_HOUR = 2 * 1024**3 / PROBE_CHANNELS

#: of the memory, for a sorter without figures: SpikeInterface's keep the recording in memory where
#: it takes less than that, and read it from the disk where it takes more
UNKNOWN_SORTER_PART = 0.5

ERROR_FACTOR = 4.0

#: where only the size of the files is known, which may be compressed or have wide samples
SIZE_ERROR_FACTOR = 2 * ERROR_FACTOR

#: of 16-bit samples, and the rate of the most common probes
SAMPLE_BYTES = 2
SAMPLE_RATE_HZ = 30_000.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Extent:
    """How much there is to sort."""

    #: the channels of the recording times its hours, at 30 kHz
    channel_hours: float
    #: 0 if not known yet
    n_channels: int
    #: how many times too high or too low an estimate from this may be
    error_factor: float
    #: fraction of the channels that a sorter gets at once
    sorted_fraction: float = 1.0


def extent_of_files(size_bytes: int) -> Extent:
    """Return the extent of files of this size, taken to hold 16-bit samples at 30 kHz."""
    seconds = size_bytes / SAMPLE_BYTES / SAMPLE_RATE_HZ
    return Extent(channel_hours=seconds / HOUR_S, n_channels=0, error_factor=SIZE_ERROR_FACTOR)


def extent_of_recording(n_channels: int, duration_s: float, sampling_frequency_hz: float) -> Extent:
    """Return the extent of an open recording; time counts in proportion to the sampling rate."""
    hours = duration_s / HOUR_S * sampling_frequency_hz / SAMPLE_RATE_HZ
    return Extent(
        channel_hours=n_channels * hours, n_channels=n_channels, error_factor=ERROR_FACTOR
    )


def sorting_bytes(sorter: str, extent: Extent) -> int | None:
    """Return the memory that the sorter's process needs; None for a sorter without figures."""
    if sorter != "kilosort4":
        return None
    growth = KILOSORT4_BYTES_PER_CHANNEL_HOUR * extent.channel_hours * extent.sorted_fraction
    return int(KILOSORT4_BASE_BYTES + growth)


def analysis_bytes(extent: Extent, n_workers: int) -> int:
    """Return the memory that the analysis of one sorter's units needs, workers included."""
    waveforms = ANALYSIS_BYTES_PER_CHANNEL * extent.n_channels
    spikes = ANALYSIS_BYTES_PER_CHANNEL_HOUR * extent.channel_hours
    return int(BASE_MEMORY_BYTES + n_workers * WORKER_MEMORY_BYTES + waveforms + spikes)


def job_bytes(sorters: Sequence[str], extent: Extent, n_workers: int) -> int:
    """Return the memory that the job's most demanding part needs."""
    needs = [sorting_bytes(sorter, extent) or 0 for sorter in sorters]
    return max(analysis_bytes(extent, n_workers), *needs)


def fits_beside_analysis(sorter: str, extent: Extent, n_workers: int, usable_bytes: int) -> bool:
    """Return whether the sorter and the analysis of another's units fit into memory at once."""
    sorting = sorting_bytes(sorter, extent)
    if sorting is None:
        sorting = int(UNKNOWN_SORTER_PART * usable_bytes)
    return sorting + analysis_bytes(extent, n_workers) <= usable_bytes


def check_memory(
    sorters: Sequence[str], extent: Extent, n_workers: int, usable_bytes: int
) -> list[str]:
    """Return a warning for each part of the job that is likely to need more memory.

    A part that needs more however wrong the estimate is, is refused (69).
    """
    larger = "use an instance with more memory and request it (spikeinterface-cloud --memory)"
    needs = [
        (sorter, needed, larger)
        for sorter in sorters
        if (needed := sorting_bytes(sorter, extent)) is not None
    ]
    fewer = f"{larger}, or set N_JOBS below {n_workers}" if n_workers > 1 else larger
    needs.append(("the analysis", analysis_bytes(extent, n_workers), fewer))
    warnings = []
    for part, needed, remedy in needs:
        if needed <= usable_bytes:
            continue
        estimate = (
            f"{part} needs about {format_bytes(needed)} of memory for "
            f"{extent.channel_hours:,.1f} channel-hours (estimated to within a factor of "
            f"{extent.error_factor:g}), but only {format_bytes(usable_bytes)} are available"
        )
        if needed > extent.error_factor * usable_bytes:
            raise UnavailableError(f"{estimate}, too little in any case; {remedy}")
        warnings.append(f"{estimate}; if it is killed, {remedy}")
    return warnings
