"""Summary of a recording for `run.json` and the report."""

from dataclasses import dataclass

import numpy as np
from probeinterface import Probe
from spikeinterface.core import BaseRecording

from spikeinterface_cloud.recording.clock.clock import clock_of


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordingSummary:
    """Figures of a recording; `dataclasses.asdict` makes them JSON."""

    n_channels: int
    sampling_frequency_hz: float
    duration_s: float
    n_segments: int
    segment_durations_s: list[float]
    dtype: str
    #: of all traces in memory
    size_bytes: int
    #: lowest and highest of all channels; None if the file gives no gains
    gain_to_uv: tuple[float, float] | None
    #: of the first sample, on the recording's own clock
    start_time_s: float
    #: the stream or electrical series, if the format has any
    stream_name: str | None
    has_probe: bool
    #: manufacturer and model or name of each probe
    probes: list[str]
    #: of all probes; one without shank ids counts as one
    n_shanks: int
    #: number of channels in each shank or group
    groups: dict[str, int]


def summarize(recording: BaseRecording) -> RecordingSummary:
    """Summarize `recording` without reading traces."""
    durations = [
        recording.get_num_samples(segment) / recording.sampling_frequency
        for segment in range(recording.get_num_segments())
    ]
    gains = recording.get_channel_gains() if recording.has_scaleable_traces() else None
    probes = recording.get_probegroup().probes if recording.has_probe() else []
    stream_name = recording.get_annotation("stream_name")
    return RecordingSummary(
        n_channels=recording.get_num_channels(),
        sampling_frequency_hz=float(recording.sampling_frequency),
        duration_s=sum(durations),
        n_segments=len(durations),
        segment_durations_s=durations,
        dtype=str(recording.dtype),
        size_bytes=int(recording.get_total_memory_size()),
        gain_to_uv=None if gains is None else (float(np.min(gains)), float(np.max(gains))),
        start_time_s=clock_of(recording).begin_s,
        stream_name=None if stream_name is None else str(stream_name),
        has_probe=recording.has_probe(),
        probes=[_name(probe) for probe in probes],
        n_shanks=sum(1 if p.shank_ids is None else len(np.unique(p.shank_ids)) for p in probes),
        groups=_count_groups(recording),
    )


def _name(probe: Probe) -> str:
    parts = (probe.manufacturer, probe.model_name or probe.name)
    return " ".join(str(part) for part in parts if part) or "unnamed"


def _count_groups(recording: BaseRecording) -> dict[str, int]:
    groups = recording.get_property("group")
    if groups is None:
        return {}
    names, counts = np.unique(groups, return_counts=True)
    return {str(name): int(count) for name, count in zip(names, counts, strict=True)}
