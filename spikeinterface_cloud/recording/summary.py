"""What a recording is, in figures: for `run.json`, the report and the log."""

from dataclasses import dataclass

import numpy as np
from spikeinterface.core import BaseRecording

from spikeinterface_cloud.recording.clock.clock import clock_of


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordingFacts:
    """A recording in figures; `dataclasses.asdict` gives what JSON can hold."""

    n_channels: int
    sampling_frequency_hz: float
    duration_s: float
    n_segments: int
    segment_durations_s: list[float]
    #: numpy's name of the type of the samples
    dtype: str
    #: what all traces take in memory
    size_bytes: int
    #: lowest and highest of all channels; None when the file gives no gains
    gain_to_uv: tuple[float, float] | None
    #: of the first sample, on the recording's own clock
    start_time_s: float
    #: the stream or electrical series it was read from, where there was one to choose
    stream_name: str | None
    has_probe: bool
    #: model or name of each probe, and its manufacturer, as far as the file says
    probes: list[str]
    n_shanks: int
    #: number of channels in each shank or group
    groups: dict[str, int]


def describe(recording: BaseRecording) -> RecordingFacts:
    """The figures of `recording`; reads no traces."""
    durations = [
        recording.get_num_samples(segment) / recording.sampling_frequency
        for segment in range(recording.get_num_segments())
    ]
    gains = recording.get_channel_gains() if recording.has_scaleable_traces() else None
    stream_name = recording.get_annotation("stream_name")
    return RecordingFacts(
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
        probes=_name_probes(recording),
        n_shanks=_count_shanks(recording),
        groups=_count_groups(recording),
    )


def _name_probes(recording: BaseRecording) -> list[str]:
    if not recording.has_probe():
        return []
    names = []
    for probe in recording.get_probegroup().probes:
        said = (probe.manufacturer, probe.model_name or probe.name)
        names.append(" ".join(str(part) for part in said if part) or "unnamed")
    return names


def _count_shanks(recording: BaseRecording) -> int:
    """Shanks of all probes together; a probe that says nothing of shanks has one."""
    if not recording.has_probe():
        return 0
    probes = recording.get_probegroup().probes
    return sum(1 if p.shank_ids is None else len(np.unique(p.shank_ids)) for p in probes)


def _count_groups(recording: BaseRecording) -> dict[str, int]:
    groups = recording.get_property("group")
    if groups is None:
        return {}
    names, counts = np.unique(groups, return_counts=True)
    return {str(name): int(count) for name, count in zip(names, counts, strict=True)}
