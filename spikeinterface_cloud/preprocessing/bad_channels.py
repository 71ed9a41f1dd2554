"""Which channels carry no usable signal: dead, noisy, or outside the brain.

Each channel is judged within its own group (probe, shank or tetrode), from excerpts spread over the
whole recording. A channel that is removed by mistake takes its neurons with it, so a label needs
clear evidence, and where most of a group would be bad, it is the detector that is wrong.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import spikeinterface as si
import spikeinterface.preprocessing as spre
from spikeinterface.preprocessing.detect_bad_channels import detect_bad_channels_ibl

from spikeinterface_cloud.recording.excerpts import spread_excerpts

logger = logging.getLogger(__name__)

Floats = npt.NDArray[np.floating[Any]]
Label = Literal["good", "dead", "noise", "out"]
Method = Literal["noise level", "noise beside the common signal", "coherence"]

HIGH_PASS_HZ = 300.0

#: how much of the recording is looked at
N_EXCERPTS = 40
EXCERPT_S = 0.3

#: dead below this part of the noise of a quiet channel of the group: that of the quarter of its
#: channels with the least. With the median channel, a majority of noisy ones would make the others
#: look dead.
DEAD_FACTOR = 0.25
QUIET_QUANTILE = 0.25

#: noisy above so many times the noise of the group's median channel
NOISY_FACTOR = 5.0

#: a channel that has a peak so many times its noise below 0 in this part of the excerpts sees
#: neurons: it is neither dead nor outside the brain
SPIKE_FACTOR = 6.0
SPIKING_PART = 0.2
#: and so many times that of the median channel: single steps of a converter are no spikes
SPIKE_FACTOR_OF_MEDIAN = 3.0

#: a smaller group has too few channels to tell what is usual: it is compared with all groups
LARGE_GROUP = 8
#: a still smaller group has no common signal
SMALLEST_GROUP = 4

#: above this part of a group, it is the detector that is wrong
LARGEST_BAD_PART = 0.5

#: coherence is for linear probes in tissue: so many channels, so much longer than wide ...
COHERENCE_CHANNELS = 64
COHERENCE_ASPECT = 5.0
#: ... and so much correlation of the median channel with the signal that all share
COHERENCE_CORRELATION = 0.4
#: a channel that coherence calls noisy has at least this many times the noise of the median channel
COHERENCE_NOISY_FACTOR = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ChannelCheck:
    """How one channel was judged."""

    label: Label
    method: Method
    #: noise: times that of a quiet channel (level) or of the median channel; coherence: part of the
    #: excerpts with `label`
    value: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ChannelChecks:
    """How every channel was judged, and what could not be judged."""

    #: by channel id, as text
    by_channel: Mapping[str, ChannelCheck] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @property
    def bad(self) -> dict[str, str]:
        """The labels of the bad channels, by channel id."""
        return {
            channel: check.label
            for channel, check in self.by_channel.items()
            if check.label != "good"
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class _Features:
    """What the excerpts show of the channels of one group; each array has one value a channel."""

    #: noise above the high-pass, as it is
    level: Floats
    #: the same, without the signal that all channels of the group share
    residual: Floats
    #: correlation with the group's median
    correlation: Floats
    #: part of the excerpts with a spike
    spiking: Floats
    #: along the probe, in um
    depth: Floats
    #: part of the excerpts with each label of the coherence method: labels x channels; or None
    votes: Floats | None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Typical:
    """The noise that is usual in a group."""

    #: of a quiet channel, common signal and all
    level: float
    #: of the median channel, beside the common signal
    residual: float


def check_channels(recording: si.BaseRecording) -> ChannelChecks:
    """Judge every channel; an error leaves all channels in, with a note.

    Channels are compared by their noise, as it is and beside the common signal of their group. On
    long probes in tissue that share a common signal, the method of the International Brain
    Laboratory (coherence and power at high frequencies) is asked as well, as it also finds channels
    outside the brain.
    """
    try:
        checks = _check(recording)
    except Exception as error:  # the recording may still be sorted with all of its channels
        logger.debug("bad channels", exc_info=True)
        reason = " ".join(str(error).split()) or type(error).__name__
        note = f"bad channels could not be detected ({reason}): all channels are kept"
        logger.warning("%s", note)
        return ChannelChecks(notes=[note])
    _log(checks)
    return checks


def _check(recording: si.BaseRecording) -> ChannelChecks:
    groups = recording.get_channel_groups()
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    locations = recording.get_channel_locations()
    features = _look(recording, members, locations)
    of_all = _typical(
        np.concatenate([each.level for each in features]),
        np.concatenate([each.residual for each in features]),
    )
    by_index: dict[int, ChannelCheck] = {}
    notes = []
    for name, channels, found in zip(np.unique(groups), members, features, strict=True):
        checks = _judge(found, of_all)
        n_bad = sum(check.label != "good" for check in checks)
        if n_bad > LARGEST_BAD_PART * len(channels):
            notes.append(
                f"{n_bad} of {len(channels)} channels of group {name} look bad, which is taken for "
                "an error of the detection: all are kept; if they are bad, name them in "
                'PREPROCESSING, {"detect_and_remove_bad_channels": {"bad_channel_ids": [...]}}'
            )
            checks = [ChannelCheck(label="good", method=c.method, value=c.value) for c in checks]
        by_index.update(zip(channels.tolist(), checks, strict=True))
    for note in notes:
        logger.warning("%s", note)
    names = [str(channel) for channel in recording.channel_ids]
    return ChannelChecks(
        by_channel={names[index]: by_index[index] for index in sorted(by_index)}, notes=notes
    )


def _look(
    recording: si.BaseRecording, members: Sequence[npt.NDArray[np.int64]], locations: Floats
) -> list[_Features]:
    filtered = recording
    if not recording.is_filtered():
        filtered = spre.highpass_filter(recording, freq_min=HIGH_PASS_HZ, add_reflect_padding=True)
    in_uv = bool(recording.has_scaleable_traces())
    with_coherence = [in_uv and _is_linear_probe(locations[channels]) for channels in members]
    seen: list[list[_Features]] = [[] for _ in members]
    for segment, start, end in spread_excerpts(recording, N_EXCERPTS, EXCERPT_S):
        traces = filtered.get_traces(
            segment_index=segment, start_frame=start, end_frame=end, return_in_uV=in_uv
        ).astype("float32")
        for index, channels in enumerate(members):
            rate = recording.sampling_frequency if with_coherence[index] else None
            seen[index].append(_features(traces[:, channels], locations[channels], rate))
    return [_combine(excerpts) for excerpts in seen]


def _is_linear_probe(locations: Floats) -> bool:
    """Whether contacts lie along one line: many, and much longer than wide."""
    width, height = np.ptp(locations[:, 0]), np.ptp(locations[:, 1])
    return len(locations) >= COHERENCE_CHANNELS and bool(height >= COHERENCE_ASPECT * width)


def _features(traces: Floats, locations: Floats, rate: float | None) -> _Features:
    """The features of one excerpt of one group: samples x channels; with the sampling rate, the
    votes of the coherence method too."""
    centered = traces - np.median(traces, axis=0)
    common = np.median(centered, axis=1)
    residual = centered
    if traces.shape[1] >= SMALLEST_GROUP:
        residual = centered - common[:, np.newaxis]
    norms = np.linalg.norm(centered, axis=0) * np.linalg.norm(common)
    products = common @ centered
    votes = None
    if rate is not None:
        order = np.lexsort((locations[:, 0], locations[:, 1]))
        labels = np.empty(len(order), dtype="int64")
        labels[order] = detect_bad_channels_ibl(traces[:, order], rate, psd_hf_threshold=0.02)
        votes = np.stack([labels == code for code in range(len(get_args(Label)))]).astype("float32")
    level = _noise(centered)
    smallest_spike = np.maximum(SPIKE_FACTOR * level, SPIKE_FACTOR_OF_MEDIAN * np.median(level))
    return _Features(
        level=level,
        residual=_noise(residual),
        spiking=(centered.min(axis=0) < -smallest_spike).astype("float32"),
        depth=locations[:, 1],
        correlation=np.divide(products, norms, out=np.zeros_like(products), where=norms > 0),
        votes=votes,
    )


def _noise(centered: Floats) -> Floats:
    """The standard deviation of each channel, estimated so that spikes count little.

    Not by the median deviation: with a coarse converter that is a whole number of steps, or none.
    """
    return np.asarray(np.abs(centered).mean(axis=0) * np.sqrt(np.pi / 2))


def _combine(excerpts: Sequence[_Features]) -> _Features:
    votes = [each.votes for each in excerpts if each.votes is not None]
    return _Features(
        level=np.median([each.level for each in excerpts], axis=0),
        spiking=np.mean([each.spiking for each in excerpts], axis=0),
        depth=excerpts[0].depth,
        residual=np.median([each.residual for each in excerpts], axis=0),
        correlation=np.median([each.correlation for each in excerpts], axis=0),
        votes=np.mean(votes, axis=0) if votes else None,
    )


def _judge(features: _Features, of_all: _Typical) -> list[ChannelCheck]:
    typical = _typical(features.level, features.residual)
    if len(features.level) < LARGE_GROUP:
        typical = of_all
    # a channel that sees neurons is not dead, however loud the others are
    levels = np.where(_sees_neurons(features), 1.0, _ratio(features.level, typical.level))
    residuals = _ratio(features.residual, typical.residual)
    checks = [_by_noise(*pair) for pair in zip(levels.tolist(), residuals.tolist(), strict=True)]
    correlated = float(np.median(features.correlation)) >= COHERENCE_CORRELATION
    if features.votes is None or not correlated:
        return checks
    return [
        _by_coherence(features, index) if check.label == "good" else check
        for index, check in enumerate(checks)
    ]


def _typical(levels: Floats, residuals: Floats) -> _Typical:
    alive = levels[levels > 0]
    quiet = np.quantile(alive, QUIET_QUANTILE, method="lower") if alive.size else 0.0
    return _Typical(level=float(quiet), residual=float(np.median(residuals)))


def _sees_neurons(features: _Features) -> npt.NDArray[np.bool_]:
    return np.asarray(features.spiking >= SPIKING_PART)


def _by_noise(level: float, residual: float) -> ChannelCheck:
    """Judge one channel by its noise, in multiples of that of the typical channel."""
    if level < DEAD_FACTOR:
        return ChannelCheck(label="dead", method="noise level", value=level)
    return ChannelCheck(
        label="noise" if residual > NOISY_FACTOR else "good",
        method="noise beside the common signal",
        value=residual,
    )


def _by_coherence(features: _Features, index: int) -> ChannelCheck:
    """Judge one channel by the votes of the excerpts, where other evidence agrees."""
    assert features.votes is not None
    votes = features.votes[:, index]
    code = int(np.argmax(votes))
    label: Label = get_args(Label)[code]
    typical_residual = float(np.median(features.residual))
    typical_correlation = float(np.median(features.correlation))
    agrees = {
        "good": True,
        "dead": features.correlation[index] < typical_correlation / 2,
        "noise": features.residual[index] > COHERENCE_NOISY_FACTOR * typical_residual,
        "out": features.depth[index] > _top_of_brain(features),
    }[label]
    if not agrees:
        return ChannelCheck(label="good", method="coherence", value=float(votes[0]))
    return ChannelCheck(label=label, method="coherence", value=float(votes[code]))


def _top_of_brain(features: _Features) -> float:
    """The depth of the topmost channel that sees neurons, in um."""
    return float(np.max(features.depth[_sees_neurons(features)], initial=-np.inf))


def _ratio(values: Floats, typical: float) -> Floats:
    return values / typical if typical > 0 else np.ones_like(values)


def _log(checks: ChannelChecks) -> None:
    for method in get_args(Method):
        values = [
            c.value for c in checks.by_channel.values() if (c.label, c.method) == ("good", method)
        ]
        if values:
            logger.info(
                "%d good channels by %s: %.2g to %.2g",
                len(values),
                method,
                min(values),
                max(values),
            )
    for channel, check in checks.by_channel.items():
        if check.label != "good":
            logger.info(
                "bad channel removed: %s, %s by %s %.2g",
                channel,
                check.label,
                check.method,
                check.value,
            )
