"""Features of channels by which bad ones are recognized, from excerpts of the whole recording."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import spikeinterface as si
import spikeinterface.preprocessing as spre
from spikeinterface.preprocessing.detect_bad_channels import detect_bad_channels_ibl

from spikeinterface_cloud.recording.excerpts import spread_excerpts
from spikeinterface_cloud.recording.samples.blanks import are_blank

Floats = npt.NDArray[np.floating[Any]]
Indices = npt.NDArray[np.int64]

#: in the order of the codes of `detect_bad_channels_ibl`
Label = Literal["good", "dead", "noise", "out"]

HIGH_PASS_HZ = 300.0
N_EXCERPTS = 40
EXCERPT_S = 0.3

#: an excerpt does not count if so much of it is blank
MOSTLY = 0.5

#: a spike is a peak below 0 of this many times the noise of its channel ...
SPIKE_FACTOR = 6.0
#: ... and of the median channel: single steps of a converter are no spikes
SPIKE_FACTOR_OF_MEDIAN = 3.0

#: a smaller group has no common signal
SMALLEST_GROUP = 4

#: coherence is for linear probes in tissue: at least this many channels, and height over width
COHERENCE_CHANNELS = 64
COHERENCE_ASPECT = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Features:
    """Features of the channels of one group; each array has one value for each channel."""

    #: noise above the high-pass filter
    level: Floats
    #: the same, without the common signal of the group
    residual: Floats
    #: with the group's median
    correlation: Floats
    #: fraction of the excerpts with a spike
    spiking: Floats
    #: along the probe, in um
    depth: Floats
    #: fraction of the excerpts with each label of the coherence method: labels x channels
    votes: Floats | None


def measure_features(recording: si.BaseRecording, groups: Sequence[Indices]) -> list[Features]:
    """Measure the features of each group of channels, given by their indices.

    Excerpts that are mostly blank do not count, unless all are.
    """
    filtered = spre.highpass_filter(recording, freq_min=HIGH_PASS_HZ, add_reflect_padding=True)
    in_uv = bool(recording.has_scaleable_traces())
    places = [recording.get_channel_locations()[channels] for channels in groups]
    rates = [recording.sampling_frequency if in_uv and _is_linear(p) else None for p in places]
    excerpts: list[list[Features]] = [[] for _ in groups]
    spans = spread_excerpts(recording, N_EXCERPTS, EXCERPT_S)
    signals = [span for span in spans if are_blank(recording, *span).mean() <= MOSTLY]
    for segment, start, end in signals or spans:
        traces = filtered.get_traces(
            segment_index=segment, start_frame=start, end_frame=end, return_in_uV=in_uv
        ).astype("float32")
        for index, channels in enumerate(groups):
            excerpts[index].append(_measure(traces[:, channels], places[index], rates[index]))
    return [_combine(each) for each in excerpts]


def _is_linear(locations: Floats) -> bool:
    width, height = np.ptp(locations[:, 0]), np.ptp(locations[:, 1])
    return len(locations) >= COHERENCE_CHANNELS and bool(height >= COHERENCE_ASPECT * width)


def _measure(traces: Floats, locations: Floats, rate_hz: float | None) -> Features:
    """Measure one excerpt (samples x channels); votes of coherence need the sampling rate."""
    centered = traces - np.median(traces, axis=0)
    common = np.median(centered, axis=1)
    residual = centered
    if traces.shape[1] >= SMALLEST_GROUP:
        residual = centered - common[:, np.newaxis]
    norms = np.linalg.norm(centered, axis=0) * np.linalg.norm(common)
    products = common @ centered
    votes = None
    if rate_hz is not None:
        order = np.lexsort((locations[:, 0], locations[:, 1]))
        labels = np.empty(len(order), dtype="int64")
        labels[order] = detect_bad_channels_ibl(traces[:, order], rate_hz, psd_hf_threshold=0.02)
        votes = np.stack([labels == code for code in range(len(get_args(Label)))]).astype("float32")
    level = _noise(centered)
    smallest_spike = np.maximum(SPIKE_FACTOR * level, SPIKE_FACTOR_OF_MEDIAN * np.median(level))
    return Features(
        level=level,
        residual=_noise(residual),
        correlation=np.divide(products, norms, out=np.zeros_like(products), where=norms > 0),
        spiking=(centered.min(axis=0) < -smallest_spike).astype("float32"),
        depth=locations[:, 1],
        votes=votes,
    )


def _noise(centered: Floats) -> Floats:
    """Estimate the standard deviation of each channel from its mean deviation.

    With a coarse converter, the median deviation would be a whole number of steps, or 0.
    """
    return np.asarray(np.abs(centered).mean(axis=0) * np.sqrt(np.pi / 2))


def _combine(excerpts: Sequence[Features]) -> Features:
    votes = [each.votes for each in excerpts if each.votes is not None]
    return Features(
        level=np.median([each.level for each in excerpts], axis=0),
        residual=np.median([each.residual for each in excerpts], axis=0),
        correlation=np.median([each.correlation for each in excerpts], axis=0),
        spiking=np.mean([each.spiking for each in excerpts], axis=0),
        depth=excerpts[0].depth,
        votes=np.mean(votes, axis=0) if votes else None,
    )
