"""Which steps are chosen, what is written, and how the analysis sees it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spikeinterface as si
import spikeinterface.preprocessing as spre

from spikeinterface_cloud.errors import RecordingError, SettingsError
from spikeinterface_cloud.preprocessing.pipeline import (
    check_pipeline,
    default_steps,
    high_pass,
    preprocess,
)
from spikeinterface_cloud.preprocessing.sorter_needs import Need, greatest_need

# recordings in memory leave no provenance behind, which SpikeInterface remarks
pytestmark = pytest.mark.filterwarnings("ignore:The extractor is not serializable:UserWarning")

HIGH_PASS_300 = {"name": "highpass_filter", "params": {"freq_min": 300.0}}
DEEP = {"margin_ms": 90.0, "ignore_low_freq_error": True}
SELF_FILTERING: dict[str, dict[str, Any]] = {"kilosort4": {}, "spykingcircus2": {}}


def recording(durations: tuple[float, ...] = (2.0,), n_channels: int = 8) -> si.BaseRecording:
    floats, _ = si.generate_ground_truth_recording(
        durations=list(durations), num_channels=n_channels, sampling_frequency=30000.0, seed=0
    )
    integers = spre.scale(floats, gain=5.0, dtype="int16")
    integers.set_channel_gains(0.2)
    integers.set_channel_offsets(0.0)
    return integers


def names(steps: Sequence[Mapping[str, object]]) -> list[object]:
    return [step["name"] for step in steps]


@pytest.mark.parametrize(
    ("sorter", "parameters", "expected"),
    [
        ("kilosort4", {}, Need.NOTHING),
        ("kilosort4", {"skip_kilosort_preprocessing": True}, Need.HIGH_PASS),
        ("spykingcircus2", {"apply_preprocessing": False}, Need.HIGH_PASS),
        ("tridesclous2", {}, Need.NOTHING),
        ("kilosort2_5", {}, Need.NOTHING),
        ("herdingspikes", {}, Need.HIGH_PASS),
        ("simple", {}, Need.REFERENCE),
        ("simple", {"apply_preprocessing": False}, Need.HIGH_PASS),
    ],
)
def test_what_sorters_do_not_do_themselves_is_known(
    sorter: str, parameters: dict[str, object], expected: Need
) -> None:
    assert greatest_need({**SELF_FILTERING, sorter: parameters}) == expected


def test_no_step_duplicates_what_sorters_do() -> None:
    steps, checks = default_steps(recording(), SELF_FILTERING)
    assert steps == []
    assert checks.bad == {}


def test_a_sorter_without_its_own_filter_gets_one() -> None:
    steps, _ = default_steps(recording(), {**SELF_FILTERING, "herdingspikes": {}})
    assert names(steps) == ["highpass_filter"]
    apart = recording()
    apart.set_dummy_probe_from_locations(np.array([[0.0, 200.0 * depth] for depth in range(8)]))
    steps, _ = default_steps(apart, {"herdingspikes": {}})
    assert names(steps) == ["highpass_filter", "common_reference"]


def test_a_multiplexed_probe_is_phase_shifted() -> None:
    shifted = recording()
    shifted.set_property("inter_sample_shift", np.arange(8) / 8)
    steps, _ = default_steps(shifted, SELF_FILTERING)
    assert names(steps) == ["phase_shift"]


@pytest.fixture
def _chunks_of_a_job() -> Iterator[None]:
    si.set_global_job_kwargs(n_jobs=1, chunk_duration="1s", progress_bar=False)
    yield
    si.reset_global_job_kwargs()


@pytest.mark.usefixtures("_chunks_of_a_job")
@pytest.mark.parametrize(
    ("step", "high_passes"),
    [
        ({"name": "notch_filter", "params": {"freq": 50.0}}, False),
        ({"name": "gaussian_filter", "params": {"freq_min": None, "freq_max": 5000.0}}, False),
        ({"name": "common_reference"}, False),
        ({"name": "gaussian_filter", "params": {"freq_min": 300.0}}, True),
        ({"name": "bandpass_filter"}, True),
        ({"name": "filter", "params": {"margin_ms": 5.0}}, True),
        ({"name": "filter", "params": {"margin_ms": 5.0, "band": [300.0, 5000.0]}}, True),
        ({"name": "filter", "params": {"margin_ms": 5.0, "band": [20.0, 5000.0]}}, False),
        ({"name": "highpass_filter", "params": {"freq_min": 60.0, **DEEP}}, False),
    ],
)
def test_the_analysis_filters_what_no_step_has_high_passed(
    tmp_path: Path, step: dict[str, object], high_passes: bool
) -> None:
    """SpikeInterface calls a recording filtered after any filter."""
    broadband = recording()
    broadband.annotate(is_filtered=True)  # whatever it says of itself
    done = preprocess(broadband, [step], SELF_FILTERING, tmp_path / "p")
    assert ("highpass_filter" in names(done.analysis_steps)) != high_passes


def test_samples_behind_a_header_are_copied(tmp_path: Path) -> None:
    """Kilosort4 reads files from their first byte."""
    samples = (recording().get_traces() / 0.1).round().astype("int16")
    (tmp_path / "a.bin").write_bytes(bytes(16) + samples.tobytes())
    behind = si.BinaryRecordingExtractor(
        [tmp_path / "a.bin"], 30000.0, "int16", num_channels=8, file_offset=16
    )
    behind.set_probe(recording().get_probe())
    done = preprocess(behind, "none", SELF_FILTERING, tmp_path / "p")
    assert done.size_bytes == samples.nbytes
    assert done.for_sorting.get_binary_description()["file_offset"] == 0
    np.testing.assert_array_equal(done.for_sorting.get_traces(), samples)


def test_a_dead_channel_is_found_and_removed(tmp_path: Path) -> None:
    traces = recording().get_traces().copy()
    traces[:, 3] = 0
    dead = si.NumpyRecording(traces, 30000.0)
    dead.set_probe(recording().get_probe())
    done = preprocess(dead, "default", SELF_FILTERING, tmp_path / "p")
    assert list(done.bad_channels) == ["3"]
    assert done.for_sorting.get_num_channels() == 7
    assert done.filtered_recording.get_num_channels() == 7


def test_sorters_get_one_segment_and_the_analysis_gets_all(
    tmp_path: Path,
) -> None:
    original = recording(durations=(2.0, 1.0, 1.5))
    done = preprocess(original, "default", SELF_FILTERING, tmp_path / "p")
    assert done.for_sorting.get_num_segments() == 1
    assert done.for_sorting.binary_compatible_with(time_axis=0, file_paths_length=1)
    assert done.size_bytes == original.get_total_memory_size()
    lengths = [done.filtered_recording.get_num_samples(index) for index in range(3)]
    assert lengths == [60000, 30000, 45000]
    second = original.get_traces(segment_index=1)
    assert np.array_equal(done.for_sorting.get_traces(start_frame=60000, end_frame=90000), second)


def test_the_analysis_always_gets_filtered_samples(tmp_path: Path) -> None:
    slow = recording()
    traces = slow.get_traces() + 1000
    lifted = si.NumpyRecording(traces.astype("int16"), 30000.0)
    lifted.set_probe(slow.get_probe())
    done = preprocess(lifted, "none", SELF_FILTERING, tmp_path / "p")
    assert done.for_sorting.get_traces().mean() > 900
    assert abs(done.filtered_recording.get_traces().mean()) < 10
    filtered = preprocess(lifted, {"highpass_filter": {}}, SELF_FILTERING, tmp_path / "q")
    assert filtered.filtered_recording is filtered.for_sorting


@pytest.mark.parametrize("choice", ["default", "none", [HIGH_PASS_300]])
def test_processing_of_the_waveforms_is_that_of_the_analyzed_samples(
    tmp_path: Path, choice: str | list[dict[str, Any]]
) -> None:
    probe = recording(n_channels=32)
    probe.annotate(is_filtered=False)
    processed = preprocess(probe, choice, SELF_FILTERING, tmp_path / "preprocessed")
    described = re.findall(r"(\w+)\(", processed.describe_analyzed())
    step: si.BaseRecording | None = processed.filtered_recording
    applied = []
    while step is not None:
        applied.append(type(step).__name__.removesuffix("Recording"))
        step = step.get_parent()
    steps = {"HighpassFilter": "highpass_filter", "CommonReference": "common_reference"}
    of_the_analysis = [steps[name] for name in reversed(applied) if name in steps]
    assert described == names(list(processed.steps)) + of_the_analysis
    assert "highpass_filter" in described
    frequency = "300.0" if isinstance(choice, list) else "150.0"
    assert f"freq_min={frequency}" in processed.describe_analyzed()


def test_input_that_sorters_can_read_is_not_copied(tmp_path: Path) -> None:
    saved = recording().save(folder=tmp_path / "saved", verbose=False)
    done = preprocess(saved, "none", SELF_FILTERING, tmp_path / "p")
    assert done.size_bytes == 0
    assert not (tmp_path / "p").exists()
    assert (
        done.for_sorting.get_binary_description()["file_paths"]
        == (saved.get_binary_description()["file_paths"])
    )


@pytest.mark.parametrize("dtype", ["float64", "int32"])
def test_other_dtypes_are_converted_for_sorters(tmp_path: Path, dtype: str) -> None:
    other = spre.astype(recording(), dtype=dtype)
    done = preprocess(other, "none", SELF_FILTERING, tmp_path / "p")
    assert done.for_sorting.get_dtype() == np.dtype("float32")
    assert np.allclose(done.for_sorting.get_traces(), other.get_traces())


def test_a_list_of_steps_and_an_object_of_steps_are_the_same(tmp_path: Path) -> None:
    as_object = {"bandpass_filter": {"freq_min": 400.0}, "common_reference": {}}
    as_list: list[dict[str, Any]] = [
        {"name": "bandpass_filter", "params": {"freq_min": 400.0}},
        {"name": "common_reference"},
    ]
    one = preprocess(recording(), as_object, SELF_FILTERING, tmp_path / "p")
    other = preprocess(recording(), as_list, SELF_FILTERING, tmp_path / "q")
    assert one.steps == other.steps
    assert np.array_equal(one.for_sorting.get_traces(), other.for_sorting.get_traces())


@pytest.mark.parametrize(
    "groups", [[0], [0, 0], [0, 0, 0, 1], [0, 1, 2, 3]], ids=lambda groups: str(groups)
)
def test_no_channel_is_erased_by_a_reference_to_itself(tmp_path: Path, groups: list[int]) -> None:
    few = recording().select_channels(recording().channel_ids[: len(groups)])
    few.set_property("group", groups)
    assert names(high_pass(few)) == ["highpass_filter"]
    done = preprocess(few, "default", {"some_sorter": {}}, tmp_path / "p")
    for traces in (done.for_sorting.get_traces(), done.filtered_recording.get_traces()):
        assert (traces.std(axis=0) > 0.5 * few.get_traces().std(axis=0)).all()


@pytest.mark.parametrize("n_short", [1, 3, 20])
def test_a_segment_shorter_than_the_filter_is_kept(tmp_path: Path, n_short: int) -> None:
    traces = recording().get_traces()
    pieces = [traces[:30_000], traces[30_000 : 30_000 + n_short], traces[30_000 + n_short :]]
    segments = si.NumpyRecording(pieces, 30000.0)
    segments.set_probe(recording().get_probe())
    done = preprocess(segments, "default", {"herdingspikes": {}}, tmp_path / "p")
    view = preprocess(segments, "none", SELF_FILTERING, tmp_path / "q").filtered_recording
    for analyzed in (done.filtered_recording, view):
        lengths = [len(analyzed.get_traces(segment_index=index)) for index in range(3)]
        assert lengths == [len(piece) for piece in pieces]


def test_a_step_that_fails_on_a_short_segment_is_refused(tmp_path: Path) -> None:
    traces = recording().get_traces()
    segments = si.NumpyRecording([traces[:30_000], traces[:3]], 30000.0)
    segments.set_probe(recording().get_probe())
    with pytest.raises(RecordingError, match="PREPROCESSING: bandpass_filter cannot be applied"):
        preprocess(segments, {"bandpass_filter": {}}, SELF_FILTERING, tmp_path / "p")


def test_an_unknown_step_is_refused_with_a_suggestion() -> None:
    with pytest.raises(SettingsError, match="did you mean bandpass_filter"):
        check_pipeline({"bandpas_filter": {}})


@pytest.mark.parametrize(
    ("step", "params", "message"),
    [
        ("bandpass_filter", {"freq_min": "300"}, "freq_min is '300', a text; write the number"),
        ("bandpass_filter", {"freq_min": 6000, "freq_max": 300}, "cannot be applied to any .*Wn"),
        ("bandpass_filter", {"margin_ms": "lots"}, "cannot be applied to any recording with marg"),
        ("highpass_filter", {"freq_min": 0}, "cannot be applied to any recording with freq_min=0"),
        ("highpass_filter", {"ftype": "buter"}, "'buter' is not a valid basic IIR filter"),
        ("notch_filter", {"freq": -50}, "cannot be applied to any recording with freq=-50"),
        ("filter", {}, "cannot be applied to any recording with its defaults"),
        ("scale", {"gain": "2"}, "gain is '2', a text; write the number without quotes: 2"),
        ("common_reference", {"reference": "globl"}, "it takes global or single or local"),
    ],
    ids=str,
)
def test_invalid_step_values_are_refused(
    step: str, params: dict[str, object], message: str
) -> None:
    with pytest.raises(SettingsError, match=f"^PREPROCESSING: {step}.*{message}") as raised:
        check_pipeline([{"name": "common_reference"}, {"name": step, "params": params}])
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (
            {"decimate": {"decimation_factor": 3, "decimation_offset": 2}},
            "decimation_offset of decimate leaves out the first samples",
        ),
        (
            {"resample": {"resample_rate": 15_000}, "bandpass_filter": {}, "phase_shift": {}},
            "phase_shift is after resample, .*; put phase_shift before resample",
        ),
        (
            {"decimate": {"decimation_factor": 3}, "phase_shift": {}},
            "phase_shift is after decimate, .*; put phase_shift before decimate",
        ),
        (
            {"resample": {"resample_rate": 15_000, "gap_tolerance_ms": 1.0}},
            "gap_tolerance_ms of resample moves the spikes after each gap; leave it out",
        ),
        (
            {"depth_order": {"channel_ids": [3, 1]}},
            "channel_ids of depth_order keeps other channels than those that it names",
        ),
        (
            {"remove_artifacts": {"list_triggers": [[100, 1.5]]}},
            "list_triggers of remove_artifacts has 1.5, but takes frames, .*: multiply seconds by",
        ),
        (
            {"remove_artifacts": {"list_triggers": [-3]}},
            "list_triggers of remove_artifacts has -3, but takes frames",
        ),
        (
            {"silence_periods": {"list_periods": [[[1.0, 1.002]]]}},
            "list_periods of silence_periods has 1.002, but takes frames",
        ),
    ],
    ids=str,
)
def test_steps_with_wrong_results_are_refused(choice: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=f"^PREPROCESSING: {message}") as raised:
        check_pipeline(choice)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "choice",
    [
        {"bandpass_filter": {"freq_min": 300, "freq_max": 12_000.0, "filter_order": 8}},
        {"bandpass_filter": {"freq_max": 40_000.0}},  # of a recording at 100 kHz
        {"highpass_filter": {"freq_min": 1, "ignore_low_freq_error": True}},
        {"filter": {"margin_ms": 5, "filter_mode": "ba", "direction": "forward"}},
        {"notch_filter": {"freq": 50, "q": 10}, "gaussian_filter": {"freq_min": None}},
        {"phase_shift": {}, "common_reference": {"ref_channel_ids": ["AP17"]}},
        {"common_reference": {"groups": [[0, 1], [2, 99]], "operator": "average"}},
        {"detect_and_remove_bad_channels": {"bad_channel_ids": ["AP300"]}},
        {"scale": {"gain": [1.0, 2.0]}, "zero_channel_pad": {"num_channels": 1}},
        {"remove_artifacts": {"list_triggers": [[10**9]]}, "highpass_spatial_filter": {}},
        {"silence_periods": {"list_periods": [[[0, 300.0]]]}, "depth_order": {"channel_ids": None}},
        {"decimate": {"decimation_factor": 3, "decimation_offset": 0}},
        {"phase_shift": {}, "resample": {"resample_rate": 15_000}},
    ],
    ids=str,
)
def test_values_that_depend_on_the_recording_are_accepted(choice: dict[str, object]) -> None:
    check_pipeline(choice)


def test_a_step_that_does_not_fit_the_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"PREPROCESSING: phase_shift cannot be applied"):
        preprocess(recording(), {"phase_shift": {}}, SELF_FILTERING, tmp_path / "p")
