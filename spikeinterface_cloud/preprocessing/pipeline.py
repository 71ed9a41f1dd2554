"""Preprocess the recording, and write the one file that every sorter reads.

The steps are in the form of SpikeInterface's `PreprocessingPipeline`. The analysis reads the same
file, through a high-pass filter if it was written without one.
"""

import inspect
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import spikeinterface as si
import spikeinterface.preprocessing as spre
from spikeinterface.preprocessing.pipeline import pp_names_to_functions

from spikeinterface_cloud.config.catalog.parameters import boolean_parameters
from spikeinterface_cloud.config.catalog.step_bands import fitting_steps
from spikeinterface_cloud.config.catalog.validation import StepNames, as_steps, check_steps
from spikeinterface_cloud.errors import CloudJobError, RecordingError
from spikeinterface_cloud.preprocessing.bad_channels import (
    ChannelCheck,
    ChannelChecks,
    check_channels,
)
from spikeinterface_cloud.preprocessing.binary_cache import write_once
from spikeinterface_cloud.preprocessing.by_group import apply_by_group
from spikeinterface_cloud.preprocessing.reference import (
    common_reference,
    have_one_gain,
    lowers_noise,
    reference_notes,
)
from spikeinterface_cloud.preprocessing.sorter_needs import Need, greatest_need
from spikeinterface_cloud.preprocessing.step_effects import (
    around_zero,
    check_signals,
    check_steps_for,
)
from spikeinterface_cloud.preprocessing.steps import (
    apply_steps,
    as_int16,
    check_channel_names,
)
from spikeinterface_cloud.preprocessing.trial_run import check_values
from spikeinterface_cloud.recording.probe_layout import join_probes
from spikeinterface_cloud.recording.samples.units import remove_gains

logger = logging.getLogger(__name__)

Step = dict[str, Any]

#: what steps pass parameters on to, by the name under which they collect them
HANDED_ON = {
    "filter_kwargs": spre.filter,
    "random_chunk_kwargs": si.get_random_data_chunks,
    "noise_levels_kwargs": si.get_noise_levels,
}

#: at 300 Hz a spike of 0.5 ms would lose a fifth of its height, at 150 Hz a tenth
HIGH_PASS_HZ = 150.0

#: where SpikeInterface's filters begin if nothing is given
SPIKE_BAND_HZ = 300.0

#: below, a filter leaves so much of the slow signals that the analysis filters again
LOWEST_HIGH_PASS_HZ = 100.0

#: steps after which samples are no voltages, or gains are wrong
UNITLESS_STEPS = {
    "directional_derivative",
    "normalize_by_quantile",
    "scale",
    "scale_to_physical_units",
    "whiten",
    "zscore",
}

#: the sample types that every sorter takes
SORTER_DTYPES = (np.dtype("int16"), np.dtype("float32"))


@dataclass(frozen=True, kw_only=True, slots=True)
class PreprocessedRecording:
    """The recording for the sorters and for the analysis."""

    #: one segment in one binary file
    for_sorting: si.BaseRecording
    #: the same samples in the original segments, high-pass filtered
    filtered_recording: si.BaseRecording
    #: applied steps, in the form of SpikeInterface's `PreprocessingPipeline`
    steps: Sequence[Step]
    #: further steps of `filtered_recording`
    analysis_steps: Sequence[Step]
    #: labels of the removed channels, by channel id
    bad_channels: Mapping[str, str]
    #: by channel id; empty if channels were not checked
    channel_checks: Mapping[str, ChannelCheck]
    #: for the user, a sentence each
    notes: Sequence[str]
    #: bytes written to scratch; 0 if the sorters read the input itself
    size_bytes: int

    def describe_analyzed(self) -> str:
        """Return in words how the samples of the analysis were processed."""
        words = []
        for step in [*self.steps, *self.analysis_steps]:
            values = [
                f"{name}={value}"
                for name, value in step.get("params", {}).items()
                if isinstance(value, str | int | float)
            ]
            words.append(f"{step['name']}({', '.join(values)})")
        return ", ".join(words)

    def describe(self) -> dict[str, Any]:
        """Return the entries of `run.json`."""
        return {
            "steps": self.steps,
            "bad_channels": self.bad_channels,
            "channel_checks": {name: asdict(check) for name, check in self.channel_checks.items()},
            "notes": self.notes,
        }


def check_pipeline(choice: str | Sequence[Step] | Mapping[str, Any]) -> None:
    """Raise `SettingsError` for unknown steps or parameters, and for values that cannot work."""
    if isinstance(choice, str):
        return
    check_steps(choice, step_names())
    check_values(as_steps(choice))


def step_names() -> dict[str, StepNames]:
    """Return every step of SpikeInterface, with the parameters in its signature."""
    return {
        name: _step_parameters(list(inspect.signature(function).parameters.values()))
        for name, function in pp_names_to_functions.items()
    }


def _step_parameters(parameters: Sequence[inspect.Parameter]) -> StepNames:
    handed_on = [
        inner
        for each in parameters
        if each.name in HANDED_ON
        for inner in inspect.signature(HANDED_ON[each.name]).parameters.values()
    ]
    return StepNames(
        parameters=tuple(
            each.name
            for each in parameters
            if each.kind is not each.VAR_KEYWORD
            and each.name != "recording"
            and not each.name.startswith("_")
        ),
        passes_on=any(each.kind is each.VAR_KEYWORD for each in parameters),
        booleans=boolean_parameters(
            [each for each in (*handed_on, *parameters) if not each.name.startswith("_")]
        ),
    )


def preprocess(
    recording: si.BaseRecording,
    choice: str | Sequence[Step] | Mapping[str, Any],
    sorters: Mapping[str, Mapping[str, Any]],
    folder: Path,
    split_by: str | None = None,
) -> PreprocessedRecording:
    """Apply the chosen steps, and write the result to `folder` if necessary.

    Parameters
    ----------
    recording
        as opened and checked, with one or more segments
    choice
        `default`, `none`, or the steps of a `PreprocessingPipeline`
    sorters
        parameters of each sorter that will read the result, by its name
    folder
        for the binary file, on scratch
    split_by
        the property whose groups are preprocessed by themselves; the default steps always are
    """
    recording, notes = _in_one_unit(recording)
    checks = ChannelChecks()
    if choice == "default":
        steps, checks = default_steps(recording, sorters)
    else:
        steps, lowered = fitting_steps(as_steps(choice), float(recording.sampling_frequency))
        with _applying(steps):
            steps = around_zero(recording, steps)
        for name, limit in lowered.items():
            logger.info("preprocessing: %s=%s, %s", name, limit.value, limit.reason)
    logger.info(
        "preprocessing %s: %s", choice if isinstance(choice, str) else "steps", _describe(steps)
    )
    check_channel_names(recording, steps)
    with _applying(steps):
        if not isinstance(choice, str):
            notes += check_steps_for(recording, steps)
        notes += [*checks.notes, *reference_notes(recording, steps, split_by)]
    if split_by is None or not steps or choice == "default":
        processed = _apply(recording, steps)
    else:
        processed, of_groups = apply_by_group(recording, steps, split_by)
        notes += of_groups
    if not isinstance(choice, str):
        with _applying(steps):
            check_signals(recording, processed)
    _remove_wrong_gains(processed, steps)
    n_samples = [processed.get_num_samples(n) for n in range(processed.get_num_segments())]
    join_probes(processed)
    for_sorting, size_bytes = _in_one_file(processed, steps, folder)
    is_high_passed = any(map(_high_passes, steps))
    filtered, analysis_steps = _view_for_analysis(for_sorting, n_samples, is_high_passed)
    return PreprocessedRecording(
        for_sorting=for_sorting,
        filtered_recording=filtered,
        steps=steps,
        analysis_steps=analysis_steps,
        bad_channels=checks.bad or _removed(recording, processed),
        channel_checks=checks.by_channel,
        notes=notes,
        size_bytes=size_bytes,
    )


def _in_one_unit(recording: si.BaseRecording) -> tuple[si.BaseRecording, list[str]]:
    """Return the recording with one gain for all channels, and a note if it had several.

    Sorters and steps compare the samples of channels as they are.
    """
    if have_one_gain(recording):
        return recording, []
    note = "the channels have different gains: they are sorted in microvolts, as 32-bit floats"
    logger.info("%s", note)
    return spre.scale_to_uV(recording), [note]


def default_steps(
    recording: si.BaseRecording, sorters: Mapping[str, Mapping[str, Any]]
) -> tuple[list[Step], ChannelChecks]:
    """Return the steps that this probe and these sorters need, and the checks of the channels.

    The steps are a phase shift if the probe samples its channels one after the other, the removal
    of bad channels, and for sorters that lack it a high-pass filter and common reference. A sorter
    that lacks the reference alone gets both, if channels share much noise.
    """
    steps: list[Step] = []
    shifts = recording.get_property("inter_sample_shift")
    if shifts is not None and np.ptp(shifts) > 0:
        steps.append({"name": "phase_shift", "params": {}})
    checks = check_channels(_apply(recording, steps))
    names = [name for name in recording.channel_ids.tolist() if str(name) in checks.bad]
    if names:
        steps.append(
            {"name": "detect_and_remove_bad_channels", "params": {"bad_channel_ids": names}}
        )
    need = greatest_need(sorters)
    if need > Need.NOTHING:
        filtering, *referencing = high_pass(_apply(recording, steps))
        filtered = _apply(recording, [*steps, filtering])
        if need == Need.HIGH_PASS or any(lowers_noise(filtered, each) for each in referencing):
            steps += [filtering, *referencing]
    return steps, checks


def high_pass(recording: si.BaseRecording, dtype: str | None = None) -> list[Step]:
    """Return a high-pass filter, and the common reference that suits the layout of the channels.

    Parameters
    ----------
    dtype
        of the filtered samples; None keeps that of the recording
    """
    # padded, as a segment may be shorter than the filter
    parameters: dict[str, Any] = {"freq_min": HIGH_PASS_HZ, "add_reflect_padding": True}
    if dtype is not None:
        parameters["dtype"] = dtype
    steps: list[Step] = [{"name": "highpass_filter", "params": parameters}]
    reference = common_reference(_apply(recording, steps))
    if reference is not None:
        steps.append({"name": "common_reference", "params": reference})
    return steps


def _apply(recording: si.BaseRecording, steps: Sequence[Step]) -> si.BaseRecording:
    with _applying(steps):
        return apply_steps(recording, steps)


@contextmanager
def _applying(steps: Sequence[Step]) -> Iterator[None]:
    try:
        yield
    except (CloudJobError, OSError):
        raise
    except Exception as error:  # steps raise anything
        raise RecordingError(
            f"PREPROCESSING: {_describe(steps)} cannot be applied: {error}; change the steps, "
            "or set PREPROCESSING=none"
        ) from error


def _remove_wrong_gains(recording: si.BaseRecording, steps: Sequence[Step]) -> None:
    unitless = [step["name"] for step in steps if step["name"] in UNITLESS_STEPS]
    if unitless and recording.has_scaleable_traces():
        remove_gains(recording)
        logger.warning("after %s, amplitudes are not in microvolts", ", ".join(unitless))


def _removed(before: si.BaseRecording, after: si.BaseRecording) -> dict[str, str]:
    kept = set(after.channel_ids)
    return {str(name): "removed" for name in before.channel_ids if name not in kept}


def _in_one_file(
    recording: si.BaseRecording, steps: Sequence[Step], folder: Path
) -> tuple[si.BaseRecording, int]:
    """Return the recording as one segment in one binary file, and the bytes written for it."""
    whole = recording
    if recording.get_num_segments() > 1:
        whole = si.concatenate_recordings([recording], ignore_times=True)
    # Kilosort's readers take no offset
    if whole.get_dtype() in SORTER_DTYPES and whole.binary_compatible_with(
        time_axis=0, file_paths_length=1, file_offset=0
    ):
        logger.info("the sorters read the input itself; nothing is copied")
        return whole, 0
    whole = as_int16(whole)
    if whole.get_dtype() not in SORTER_DTYPES:
        whole = spre.astype(whole, dtype="float32")
    with _applying(steps):
        return write_once(whole, steps, folder), whole.get_total_memory_size()


def _high_passes(step: Step) -> bool:
    """Return whether a step removes what is slower than spikes: a notch or low-pass does not.

    What a recording says of itself does not count: SpikeInterface calls it filtered after a notch.
    """
    params = step.get("params", {})
    match step["name"]:
        case "bandpass_filter" | "highpass_filter" | "gaussian_filter":
            lowest = params.get("freq_min", SPIKE_BAND_HZ)
        case "filter" | "causal_filter" if params.get("coeff") is None:
            lowest = np.ravel(params.get("band", SPIKE_BAND_HZ))[0]
        case _:
            return False
    return lowest is not None and lowest >= LOWEST_HIGH_PASS_HZ


def _view_for_analysis(
    written: si.BaseRecording, n_samples: Sequence[int], is_high_passed: bool
) -> tuple[si.BaseRecording, list[Step]]:
    """Return the written samples in their original segments, high-pass filtered, and the steps."""
    view = written
    if len(n_samples) > 1:
        edges = pairwise([0, *np.cumsum(n_samples).tolist()])
        view = si.append_recordings([written.frame_slice(start, end) for start, end in edges])
    if is_high_passed:
        return _around_zero(view), []
    # as floats: rounding again would change the median of noise of two or three steps
    steps = high_pass(view, "float32")
    return _apply(view, steps), steps


def _around_zero(recording: si.BaseRecording) -> si.BaseRecording:
    """Return a high-passed recording without the offsets to microvolts that its source has.

    SpikeInterface's filters set them to 0 themselves, but for `gaussian_filter`.
    """
    if not recording.has_scaleable_traces() or not np.any(recording.get_channel_offsets()):
        return recording
    view = recording.select_channels(recording.channel_ids)
    view.set_channel_offsets(0.0)
    return view


def _describe(steps: Sequence[Step]) -> str:
    return " -> ".join(step["name"] for step in steps) or "no steps"
