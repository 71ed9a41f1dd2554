"""Noise of each channel, robust and plain, from one look at the same samples.

SpikeInterface filters them once for its extension `noise_levels` (median absolute deviation) and
again for the metric `sd_ratio` (standard deviation). It keeps each as a property of the recording,
where its metric finds what is computed here.

Blank frames are left out. Samples that were rounded after filtering get back what rounding took,
evenly drawn: the median of integers is an integer, by which noise of two steps of the converter
would be off by a third.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import spikeinterface as si
from spikeinterface.core.job_tools import TimeSeriesChunkExecutor
from spikeinterface.core.time_series_tools import get_random_sample_slices

from spikeinterface_cloud.analysis.add_extension import add_extension
from spikeinterface_cloud.recording.samples.blanks import read_signal

Array = npt.NDArray[Any]

#: of a normal distribution, in standard deviations
MEDIAN_ABSOLUTE_DEVIATION = 0.6744897501960817


def compute_noise_levels(
    analyzer: si.SortingAnalyzer, random_slices_kwargs: Mapping[str, Any]
) -> None:
    """Add the extension, and both deviations of each channel as properties of the recording.

    Parameters
    ----------
    random_slices_kwargs
        of SpikeInterface's `get_random_sample_slices`
    """
    recording = analyzer.recording
    suffix = "scaled" if analyzer.return_in_uV else "raw"
    robust, plain = f"noise_level_mad_{suffix}", f"noise_level_std_{suffix}"
    if not {robust, plain} <= set(recording.get_property_keys()):
        levels = _estimate(recording, analyzer.return_in_uV, random_slices_kwargs)
        recording.set_property(robust, levels[0])
        recording.set_property(plain, levels[1])
    parameters = {"random_slices_kwargs": dict(random_slices_kwargs)}
    data = {"noise_levels": recording.get_property(robust)}
    add_extension(analyzer, "noise_levels", parameters, data)


def _estimate(recording: si.BaseRecording, in_uv: bool, slices_kwargs: Mapping[str, Any]) -> Array:
    """Return the robust and the plain deviation of each channel, 2 x channels."""
    found: list[tuple[Array, int]] = []
    executor = TimeSeriesChunkExecutor(
        recording,
        _noise,
        _worker,
        (recording, in_uv),
        gather_func=found.append,
        job_name="noise levels",
        **si.get_global_job_kwargs(),
    )
    executor.run(slices=get_random_sample_slices(recording, **slices_kwargs))
    levels, sizes = zip(*found, strict=True)
    weights = sizes if any(sizes) else None
    return np.asarray(np.average(levels, axis=0, weights=weights), dtype=levels[0].dtype)


def _worker(recording: si.BaseRecording, in_uv: bool) -> dict[str, Any]:
    return {"recording": recording, "in_uv": in_uv}


def _noise(segment: int, start: int, end: int, worker: dict[str, Any]) -> tuple[Array, int]:
    """Return the robust and the plain deviation of each channel, 2 x channels, and the frames."""
    recording = worker["recording"]
    traces = read_signal(recording, segment, start, end, in_uv=worker["in_uv"])
    if not len(traces):
        return np.zeros((2, recording.get_num_channels())), 0
    plain, changes = np.std(traces, axis=0), np.ptp(traces, axis=0) > 0
    if recording.get_dtype().kind == "i":
        step = recording.get_channel_gains() if worker["in_uv"] else 1
        rng = np.random.default_rng((segment, start))
        traces = traces + (rng.random(traces.shape, dtype="float32") - 0.5) * np.float32(step)
    median = np.median(traces, axis=0, keepdims=True)
    robust = np.median(np.abs(traces - median), axis=0) / MEDIAN_ABSOLUTE_DEVIATION
    return np.stack([np.where(changes, robust, 0.0), plain]), len(traces)
