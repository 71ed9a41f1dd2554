"""Detect channels without a usable signal: dead, noisy, or outside the brain.

Each channel is compared with its own group (probe, shank or tetrode). A channel that is removed by
mistake takes its neurons with it, so a label needs clear evidence, and where most of a group looks
bad, the detection is assumed to be wrong.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import spikeinterface as si

from spikeinterface_cloud.preprocessing.channel_features import (
    Features,
    Floats,
    Label,
    measure_features,
)
from spikeinterface_cloud.recording.messages import one_line

logger = logging.getLogger(__name__)

Method = Literal["noise level", "noise beside the common signal", "coherence"]

#: dead below this fraction of the noise of a quiet channel of the group, at this quantile of its
#: channels: compared with the median, others would look dead beside a noisy majority
DEAD_FACTOR = 0.25
QUIET_QUANTILE = 0.25

#: noisy above this many times the noise of the group's median channel
NOISY_FACTOR = 5.0

#: fraction of the excerpts with a spike from which on a channel is neither dead nor outside
SPIKING_FRACTION = 0.2

#: smaller groups are too small to show what is usual, and compared with all groups
LARGE_GROUP = 8

#: above this fraction of bad channels in a group, the detection is wrong
LARGEST_BAD_FRACTION = 0.5

#: coherence counts from this correlation of the median channel with the common signal on
COHERENCE_CORRELATION = 0.4
#: dead by coherence only below this fraction of the median channel's correlation: a channel that
#: has half of it is healthy, but quieter, or beside large neurons
COHERENCE_DEAD_FACTOR = 0.2
#: noisy by coherence only above this many times the noise of the median channel
COHERENCE_NOISY_FACTOR = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ChannelCheck:
    """The label of one channel, and its reason."""

    label: Label
    method: Method
    #: noise: times that of a quiet channel (level) or of the median channel; coherence: fraction of
    #: the excerpts with `label`
    value: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ChannelChecks:
    """The labels of all channels, and notes for the user."""

    #: by channel id, as text
    by_channel: Mapping[str, ChannelCheck] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @property
    def bad(self) -> dict[str, str]:
        """The labels of the bad channels, by channel id."""
        return {name: c.label for name, c in self.by_channel.items() if c.label != "good"}


@dataclass(frozen=True, kw_only=True, slots=True)
class _UsualNoise:
    """The noise that is usual in a group."""

    #: of a quiet channel, with the common signal
    level: float
    #: of the median channel, without the common signal
    residual: float


def check_channels(recording: si.BaseRecording) -> ChannelChecks:
    """Label every channel; after an error all channels are kept, with a note.

    Channels are compared by their noise, with and without the common signal of their group. On long
    probes in tissue that share a common signal, the method of the International Brain Laboratory
    (coherence and power at high frequencies) is used too, which also finds channels outside the
    brain.
    """
    try:
        checks = _check(recording)
    except Exception as error:  # the recording may still be sorted with all of its channels
        logger.debug("bad channels", exc_info=True)
        note = f"bad channels could not be detected ({one_line(error)}): all channels are kept"
        checks = ChannelChecks(notes=[note])
    _log(checks)
    return checks


def _check(recording: si.BaseRecording) -> ChannelChecks:
    groups = recording.get_channel_groups()
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    features = measure_features(recording, members)
    usual = _usual_noise(
        np.concatenate([each.level for each in features]),
        np.concatenate([each.residual for each in features]),
    )
    by_index: dict[int, ChannelCheck] = {}
    notes = []
    for name, channels, group in zip(np.unique(groups), members, features, strict=True):
        checks = _check_group(group, usual)
        n_bad = sum(check.label != "good" for check in checks)
        if n_bad > LARGEST_BAD_FRACTION * len(channels):
            notes.append(
                f"{n_bad} of {len(channels)} channels of group {name} look bad, which is probably "
                "an error of the detection: all are kept; if they are bad, name them in "
                'PREPROCESSING, {"detect_and_remove_bad_channels": {"bad_channel_ids": [...]}}'
            )
            checks = [replace(check, label="good") for check in checks]
        by_index.update(zip(channels.tolist(), checks, strict=True))
    names = [str(channel) for channel in recording.channel_ids]
    return ChannelChecks(
        by_channel={names[index]: by_index[index] for index in sorted(by_index)}, notes=notes
    )


def _check_group(features: Features, usual_in_all: _UsualNoise) -> list[ChannelCheck]:
    usual = _usual_noise(features.level, features.residual)
    if len(features.level) < LARGE_GROUP:
        usual = usual_in_all
    # a channel with spikes is not dead, however loud the others are
    levels = np.where(_has_spikes(features), 1.0, _ratio(features.level, usual.level))
    residuals = _ratio(features.residual, usual.residual)
    checks = [_by_noise(*pair) for pair in zip(levels.tolist(), residuals.tolist(), strict=True)]
    correlated = float(np.median(features.correlation)) >= COHERENCE_CORRELATION
    if features.votes is None or not correlated:
        return checks
    return [
        _by_coherence(features, features.votes[:, index], index) if check.label == "good" else check
        for index, check in enumerate(checks)
    ]


def _usual_noise(levels: Floats, residuals: Floats) -> _UsualNoise:
    alive = levels[levels > 0]
    quiet = np.quantile(alive, QUIET_QUANTILE, method="lower") if alive.size else 0.0
    return _UsualNoise(level=float(quiet), residual=float(np.median(residuals)))


def _has_spikes(features: Features) -> npt.NDArray[np.bool_]:
    return np.asarray(features.spiking >= SPIKING_FRACTION)


def _ratio(values: Floats, usual: float) -> Floats:
    return values / usual if usual > 0 else np.ones_like(values)


def _by_noise(level: float, residual: float) -> ChannelCheck:
    """Label one channel by its noise, in multiples of the usual one."""
    if level < DEAD_FACTOR:
        return ChannelCheck(label="dead", method="noise level", value=level)
    return ChannelCheck(
        label="noise" if residual > NOISY_FACTOR else "good",
        method="noise beside the common signal",
        value=residual,
    )


def _by_coherence(features: Features, votes: Floats, index: int) -> ChannelCheck:
    """Label one channel by the votes of the excerpts, if other evidence agrees."""
    code = int(np.argmax(votes))
    label: Label = get_args(Label)[code]
    usual_residual = float(np.median(features.residual))
    usual_correlation = float(np.median(features.correlation))
    spiking = _has_spikes(features)
    top_of_brain = np.max(features.depth[spiking], initial=-np.inf)
    unrelated = features.correlation[index] < COHERENCE_DEAD_FACTOR * usual_correlation
    agrees = {
        "good": True,
        "dead": unrelated and not spiking[index],
        "noise": features.residual[index] > COHERENCE_NOISY_FACTOR * usual_residual,
        "out": features.depth[index] > top_of_brain,
    }[label]
    if not agrees:
        return ChannelCheck(label="good", method="coherence", value=float(votes[0]))
    return ChannelCheck(label=label, method="coherence", value=float(votes[code]))


def _log(checks: ChannelChecks) -> None:
    for note in checks.notes:
        logger.warning("%s", note)
    for method in get_args(Method):
        chosen = [check for check in checks.by_channel.values() if check.method == method]
        good = [check.value for check in chosen if check.label == "good"]
        if good:
            span = (min(good), max(good))
            logger.info("%d good channels by %s: %.2g to %.2g", len(good), method, *span)
    for channel, check in checks.by_channel.items():
        if check.label != "good":
            reason = (check.label, check.method, check.value)
            logger.info("bad channel removed: %s, %s by %s %.2g", channel, *reason)
