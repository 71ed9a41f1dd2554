"""A little of the recording, kept for the report: the recording itself does not outlive the job.

Gathered once, right after preprocessing, in bounded memory: a few seconds of traces, and the peaks
of a few hundred short slices.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import spikeinterface as si

from spikeinterface_cloud.preprocessing.pipeline import PreprocessedRecording
from spikeinterface_cloud.recording.messages import one_line
from spikeinterface_cloud.report.peaks import Peaks, find_peaks

logger = logging.getLogger(__name__)

#: how much of the traces is shown
EXCERPT_S = 0.05
EXCERPT_CHANNELS = 20

#: what the spectrum is computed from
SPECTRUM_CHANNELS = 96
SPECTRUM_CHUNKS = 4
SPECTRUM_CHUNK_S = 1.0
SPECTRUM_BIN_HZ = 8.0

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class Contacts:
    """The positions of the channels, and which of them are bad."""

    channel_ids: tuple[str, ...]
    x_um: npt.NDArray[np.float64]
    y_um: npt.NDArray[np.float64]
    #: label by channel id, of those that were removed
    bad: Mapping[str, str]

    @property
    def has_depth(self) -> bool:
        """Return whether the channels lie at different depths."""
        return bool(np.ptp(self.y_um) > 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Signal:
    """The signal before or after preprocessing."""

    sampling_frequency_hz: float
    #: `µV`, or `counts` where the recording has no gain
    unit: str
    #: of the channels in `traces`, the deepest first
    channel_ids: tuple[str, ...]
    #: samples x channels, without their medians
    traces: Floats
    #: of the power spectral density over channels: the frequencies, and three quantiles
    frequency_hz: Floats
    power_low: Floats
    power_median: Floats
    power_high: Floats


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordingSample:
    """The report's data of the recording."""

    #: each segment's, in seconds; the report puts them one after the other
    segment_durations_s: tuple[float, ...]
    #: when the excerpt begins, on that common axis
    excerpt_start_s: float
    #: None where the recording has no probe
    contacts: Contacts | None
    before: Signal
    after: Signal
    #: None where they could not be found
    peaks: Peaks | None


def take_sample(
    recording: si.BaseRecording, preprocessed: PreprocessedRecording
) -> RecordingSample | None:
    """Sample the recording before and after preprocessing; None if that fails."""
    try:
        return _take(recording, preprocessed)
    except Exception as error:  # whatever a reader raises, the sorters have to run
        logger.warning(
            "the report will show nothing of the recording, which cannot be sampled: %s",
            one_line(error),
        )
        return None


def _take(recording: si.BaseRecording, preprocessed: PreprocessedRecording) -> RecordingSample:
    processed = preprocessed.filtered_recording
    durations = [
        processed.get_num_samples(index) / processed.sampling_frequency
        for index in range(processed.get_num_segments())
    ]
    segment = int(np.argmax(durations))
    start_s = max(0.0, durations[segment] / 2 - EXCERPT_S / 2)
    shown = _spread(recording, EXCERPT_CHANNELS, keep=preprocessed.bad_channels)
    kept = set(processed.channel_ids)
    return RecordingSample(
        segment_durations_s=tuple(durations),
        excerpt_start_s=sum(durations[:segment]) + start_s,
        contacts=_contacts(recording, preprocessed.bad_channels),
        before=_look_at(recording, segment, start_s, shown),
        after=_look_at(processed, segment, start_s, [name for name in shown if name in kept]),
        peaks=_peaks(processed),
    )


def _contacts(recording: si.BaseRecording, bad: Mapping[str, str]) -> Contacts | None:
    if not recording.has_probe():
        return None
    locations = recording.get_channel_locations()
    return Contacts(
        channel_ids=tuple(str(name) for name in recording.channel_ids),
        x_um=locations[:, 0],
        y_um=locations[:, 1],
        bad=dict(bad),
    )


def _spread(recording: si.BaseRecording, most: int, keep: Mapping[str, str]) -> list[object]:
    """Choose channels evenly over the depth, the deepest first, with a few bad ones."""
    names = list(recording.channel_ids)
    if recording.has_probe():
        depth = recording.get_channel_locations()[:, 1]
        names = [names[index] for index in np.argsort(depth, kind="stable")]
    bad = [name for name in names if str(name) in keep][: most // 4]
    good = [name for name in names if str(name) not in keep]
    places = np.linspace(0, len(good) - 1, min(most - len(bad), len(good))).astype(int)
    chosen = {*bad, *(good[place] for place in places)}
    return [name for name in names if name in chosen]


def _look_at(
    recording: si.BaseRecording, segment: int, start_s: float, channel_ids: list[object]
) -> Signal:
    rate = recording.sampling_frequency
    in_uv = bool(recording.has_scaleable_traces())
    first = int(start_s * rate)
    traces = recording.get_traces(
        segment_index=segment,
        start_frame=first,
        end_frame=min(first + int(EXCERPT_S * rate), recording.get_num_samples(segment)),
        channel_ids=channel_ids,
        return_in_uV=in_uv,
    ).astype("float32")
    frequency_hz, power = _spectrum(recording, segment, in_uv)
    low, median, high = np.quantile(power, [0.1, 0.5, 0.9], axis=1)
    return Signal(
        sampling_frequency_hz=float(rate),
        unit="µV" if in_uv else "counts",
        channel_ids=tuple(str(name) for name in channel_ids),
        traces=traces - np.median(traces, axis=0),
        frequency_hz=frequency_hz,
        power_low=low,
        power_median=median,
        power_high=high,
    )


def _spectrum(recording: si.BaseRecording, segment: int, in_uv: bool) -> tuple[Floats, Floats]:
    """Return frequencies above 0 Hz, and the power density (frequencies x channels)."""
    # imported here, as that takes half a second, which a job that is refused would wait for
    from scipy.signal import welch

    rate = recording.sampling_frequency
    n_samples = recording.get_num_samples(segment)
    length = min(int(SPECTRUM_CHUNK_S * rate), n_samples)
    starts = np.linspace(0, n_samples - length, SPECTRUM_CHUNKS).astype(int)
    channel_ids = _spread(recording, SPECTRUM_CHANNELS, keep={})
    powers = []
    for start in dict.fromkeys(starts.tolist()):
        traces = recording.get_traces(
            segment_index=segment,
            start_frame=start,
            end_frame=start + length,
            channel_ids=channel_ids,
            return_in_uV=in_uv,
        )
        frequency_hz, power = welch(
            traces.astype("float32"), rate, nperseg=min(int(rate / SPECTRUM_BIN_HZ), length), axis=0
        )
        powers.append(power[1:])
    return frequency_hz[1:].astype("float32"), np.mean(powers, axis=0)


def _peaks(recording: si.BaseRecording) -> Peaks | None:
    if not recording.has_probe():
        return None
    try:
        return find_peaks(recording)
    except Exception as error:  # as above: the report then has no drift map
        logger.warning(
            "the report will have no drift map, as the peaks could not be found: %s",
            one_line(error),
        )
        return None
