"""The size of a recording, from its bytes or its duration."""

from __future__ import annotations

from dataclasses import dataclass

from spikeinterface_cloud.aws.estimate.interval import Interval, exactly
from spikeinterface_cloud.aws.estimate.rates import COMPRESSION
from spikeinterface_cloud.runtime.memory_estimate import SAMPLE_BYTES

GB = 1e9

#: files that are usually compressed, though some are not
COMPRESSED = (".nwb", ".cbin", ".h5", ".hdf5", ".zarr")


@dataclass(frozen=True, kw_only=True, slots=True)
class Workload:
    """The size of one recording."""

    #: its name in messages
    label: str
    #: to download and to keep on scratch
    fetched_gb: float
    #: of its samples at 16 bits, uncompressed
    samples_gb: Interval
    channels: int
    sampling_rate_hz: float

    @property
    def duration_s(self) -> Interval:
        """The recorded time, given the number of channels."""
        return self.samples_gb * (GB / (self.channels * self.sampling_rate_hz * SAMPLE_BYTES))

    @classmethod
    def from_duration(cls, duration_s: float, channels: int, sampling_rate_hz: float) -> Workload:
        """Return a recording of this duration, in uncompressed 16-bit samples."""
        size_bytes = duration_s * channels * sampling_rate_hz * SAMPLE_BYTES
        return cls.from_bytes(size_bytes, channels, sampling_rate_hz)

    @classmethod
    def from_bytes(
        cls,
        size_bytes: float,
        channels: int,
        sampling_rate_hz: float,
        name: str = "",
        label: str = "",
        n_values: int | None = None,
    ) -> Workload:
        """Return a recording of this size; a file's extension tells if it may be compressed.

        How much it is then is only known if its metadata say how many samples of all channels
        (`n_values`) there are.
        """
        size_gb = size_bytes / GB
        compressed = name.rstrip("/").lower().endswith(COMPRESSED)
        samples_gb = COMPRESSION.value * size_gb if compressed else exactly(size_gb)
        if n_values is not None:
            samples_gb = exactly(n_values * SAMPLE_BYTES / GB)
        return cls(
            label=label or name or "the recording",
            fetched_gb=size_gb,
            samples_gb=samples_gb,
            channels=channels,
            sampling_rate_hz=sampling_rate_hz,
        )
