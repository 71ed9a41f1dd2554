"""The spikes of all units together, before any sorter: where they are, and how that drifts."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import spikeinterface as si

from spikeinterface_cloud.recording.excerpts import spread_excerpts
from spikeinterface_cloud.report.plot import thinned
from spikeinterface_cloud.sorting.spike_check import noise_levels

#: excerpts of the recording in which peaks are detected
N_EXCERPTS = 200
EXCERPT_S = 0.1

#: a peak is as many noise levels below zero
THRESHOLD = 6.0

#: in steps of the converter: where the noise is smaller, most samples of a channel are the same,
#: and the step that a few of them are apart is no measure of the others
LEAST_NOISE_STEPS = 0.5

#: how many are shown
MOST_PEAKS = 20_000

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Peaks:
    """Peaks in sampled slices of the recording, in order of time."""

    #: over all segments, one after the other
    time_s: Floats
    depth_um: Floats
    #: positive, in µV, or in counts where the recording has no gain
    amplitude: Floats
    unit: str
    #: total duration of the slices
    looked_at_s: float
    #: how many were found there; so many more than are kept here
    n_found: int


def find_peaks(recording: si.BaseRecording) -> Peaks:
    """Detect and localize peaks in slices of a high-pass filtered recording."""
    # imported here, as that takes seconds, which a job that is refused would wait for
    from spikeinterface.sortingcomponents.peak_detection import detect_peaks
    from spikeinterface.sortingcomponents.peak_localization import localize_peaks

    excerpts = spread_excerpts(recording, N_EXCERPTS, EXCERPT_S)
    pipeline = {"slices": excerpts}
    found = detect_peaks(
        recording,
        method="locally_exclusive",
        method_kwargs={"detect_threshold": THRESHOLD, "noise_levels": _noise_levels(recording)},
        pipeline_kwargs=pipeline,
    )
    kept = found[thinned(len(found), MOST_PEAKS)]
    depth_um = np.empty(0)
    if len(kept):  # of none the localization makes an error
        places = localize_peaks(
            recording, kept, method="center_of_mass", pipeline_kwargs=pipeline, seed=0
        )
        depth_um = np.asarray(places["y"], dtype="float64")
    in_uv = bool(recording.has_scaleable_traces())
    gains = recording.get_channel_gains() if in_uv else np.ones(recording.get_num_channels())
    return Peaks(
        time_s=_seconds(recording, kept),
        depth_um=depth_um,
        amplitude=np.abs(kept["amplitude"]) * gains[kept["channel_index"]],
        unit="µV" if in_uv else "counts",
        looked_at_s=sum(end - start for _, start, end in excerpts) / recording.sampling_frequency,
        n_found=len(found),
    )


def _noise_levels(recording: si.BaseRecording) -> Floats:
    """Return the noise level of each channel, infinite (no peaks) for a constant one."""
    levels = noise_levels(recording)
    if recording.get_dtype().kind == "i":
        levels = np.maximum(levels, LEAST_NOISE_STEPS)
    return np.where(levels > 0, levels, np.inf)


def _seconds(recording: si.BaseRecording, peaks: npt.NDArray[np.void]) -> Floats:
    """Return the times of the peaks, with the segments concatenated."""
    lengths = [recording.get_num_samples(index) for index in range(recording.get_num_segments())]
    offsets = np.cumsum([0, *lengths[:-1]])
    frames = peaks["sample_index"] + offsets[peaks["segment_index"]]
    return np.asarray(frames / recording.sampling_frequency, dtype="float64")
