"""How much there is to sort, as bytes or as time say it."""

from __future__ import annotations

from dataclasses import dataclass

from spikeinterface_cloud.aws.estimate.interval import Interval, exactly
from spikeinterface_cloud.aws.estimate.rates import COMPRESSION, SAMPLE_BYTES

GB = 1e9

#: files that are usually compressed, though some are not
COMPRESSED = (".nwb", ".cbin", ".h5", ".hdf5", ".zarr")


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """The size of one recording."""

    #: what messages call it
    label: str
    #: to fetch and to keep on scratch
    fetched_gb: float
    #: of its samples at 16 bits, uncompressed
    samples_gb: Interval
    channels: int
    sampling_rate_hz: float

    @property
    def duration_s(self) -> Interval:
        """The recorded time, if it has so many channels."""
        return self.samples_gb * (GB / (self.channels * self.sampling_rate_hz * SAMPLE_BYTES))


def from_duration(duration_s: float, channels: int, sampling_rate_hz: float) -> Recorded:
    """A recording of so many seconds, in uncompressed 16-bit samples."""
    size_gb = duration_s * channels * sampling_rate_hz * SAMPLE_BYTES / GB
    return Recorded(
        label="the recording",
        fetched_gb=size_gb,
        samples_gb=exactly(size_gb),
        channels=channels,
        sampling_rate_hz=sampling_rate_hz,
    )


def from_bytes(
    size_bytes: float, channels: int, sampling_rate_hz: float, name: str = "", label: str = ""
) -> Recorded:
    """A recording of so many bytes.

    Parameters
    ----------
    name
        of the file or folder: its ending tells whether the samples may be compressed
    """
    size_gb = size_bytes / GB
    compressed = name.rstrip("/").lower().endswith(COMPRESSED)
    return Recorded(
        label=label or name or "the recording",
        fetched_gb=size_gb,
        samples_gb=COMPRESSION.value * size_gb if compressed else exactly(size_gb),
        channels=channels,
        sampling_rate_hz=sampling_rate_hz,
    )
