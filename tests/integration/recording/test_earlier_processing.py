"""What was done to a recording before is not done again, where its files say so."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import spikeinterface.preprocessing as spre
from spikeinterface.core import BaseRecording

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.preprocessing.pipeline import default_steps, preprocess
from spikeinterface_cloud.recording.checks import check_recording
from spikeinterface_cloud.recording.load import open_recording
from tests.support.nwb_files import write_nwb
from tests.support.recordings import SpikeGlxRun, simulate, write_spikeglx

pytestmark = [
    pytest.mark.integration,
    # recordings in memory leave no provenance behind, which SpikeInterface remarks
    pytest.mark.filterwarnings("ignore:The extractor is not serializable:UserWarning"),
]

N_CHANNELS = 16
OPTIONS = "-dir=/data -run=mouse -g=0 -t=0 -prb_fld -ap -prb=0 -dest=/out -out_prb_fld"


@pytest.fixture(scope="module")
def simulated() -> BaseRecording:
    return simulate(duration_s=1.5, n_channels=N_CHANNELS, n_units=2)[0]


def write_catgt(
    folder: Path, recording: BaseRecording, *lines: str, trigger: str = "cat"
) -> BaseRecording:
    """Open a run with these lines of CatGT in its header."""
    run = write_spikeglx(folder, recording, SpikeGlxRun(with_lf=False))
    for file in sorted(run.rglob("*_t0.*")):
        file.rename(file.with_name(file.name.replace("_t0.", f"_t{trigger}.")))
    for meta in run.rglob("*.meta"):
        meta.write_text("".join(f"{line}\n" for line in lines) + meta.read_text())
    return open_recording(run, "spikeglx", {})


def is_shifted(recording: BaseRecording) -> bool:
    """Whether preprocessing shifts the channels in time."""
    steps, _ = default_steps(recording, {"kilosort4": {}})
    return "phase_shift" in [step["name"] for step in steps]


@pytest.mark.parametrize(
    ("lines", "aligned"),
    [
        ((f"catGTCmdline0=<CatGT {OPTIONS} -gblcar>",), True),
        ((f"catGTCmdline0=<CatGT {OPTIONS}>",), True),
        ((f"catGTCmdline0=<CatGT {OPTIONS} -no_tshift>",), False),
        ((f"catGTCmdline0=<CatGT {OPTIONS} -no_tshift -gblcar>",), False),
        # a second pass takes out events, and always has -no_tshift
        (
            (
                f"catGTCmdline0=<CatGT {OPTIONS} -apfilter=butter,12,300,9000>",
                f"catGTCmdline1=<CatGT {OPTIONS.replace('-t=0', '-t=cat')} -no_tshift>",
            ),
            True,
        ),
        (
            (
                f"catGTCmdline0=<CatGT {OPTIONS} -no_tshift>",
                f"catGTCmdline1=<CatGT {OPTIONS.replace('-t=0', '-t=cat')}>",
            ),
            False,
        ),
        # before CatGT 2.2
        ((f"catGTCmdline0=<CatGT {OPTIONS} -aphipass=300 -gbldmx>",), False),
        ((f"catGTCmdline0=<CatGT {OPTIONS} -aphipass=300 -tshift>",), True),
        # joined runs
        (("catGTCmdline=<CatGT -supercat={/a,catgt_mouse_g0}{/b,catgt_mouse_g1} -ap>",), True),
        # SpikeGLX itself
        ((), False),
    ],
)
def test_channels_that_catgt_has_aligned_are_not_shifted_again(
    tmp_path: Path, simulated: BaseRecording, lines: tuple[str, ...], aligned: bool
) -> None:
    """CatGT does so by default, and writes its command lines into the header."""
    recording = write_catgt(tmp_path, simulated, *lines)
    assert recording.get_property("inter_sample_shift") is not None
    checked, notes = check_recording(recording)
    assert is_shifted(checked) is not aligned
    assert any("not shifted again" in note for note in notes) is aligned


def test_the_samples_of_catgt_reach_the_sorter_unchanged(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    """Those of a recording that was not aligned do not."""
    aligned = write_catgt(tmp_path / "a", simulated, f"catGTCmdline0=<CatGT {OPTIONS}>")
    done = preprocess(check_recording(aligned)[0], "default", {"kilosort4": {}}, tmp_path / "p")
    np.testing.assert_array_equal(done.for_sorting.get_traces(), simulated.get_traces())
    raw = write_catgt(tmp_path / "b", simulated, trigger="0")
    done = preprocess(check_recording(raw)[0], "default", {"kilosort4": {}}, tmp_path / "q")
    assert not np.array_equal(done.for_sorting.get_traces(), simulated.get_traces())


def test_a_requested_shift_of_aligned_channels_is_refused(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    """It would misalign the channels."""
    recording = write_catgt(tmp_path, simulated, f"catGTCmdline0=<CatGT {OPTIONS}>")
    checked, _ = check_recording(recording)
    with pytest.raises(RecordingError, match="phase_shift cannot be applied"):
        preprocess(checked, [{"name": "phase_shift"}], {"kilosort4": {}}, tmp_path / "p")


def test_filters_and_references_of_catgt_are_noted(
    tmp_path: Path, simulated: BaseRecording
) -> None:
    """With their values."""
    filters = "-apfilter=butter,12,300,10000 -gblcar -gfix=0.40,0.10,0.02"
    recording = write_catgt(tmp_path, simulated, f"catGTCmdline0=<CatGT {OPTIONS} {filters}>")
    _, notes = check_recording(recording)
    assert f"filtered, referenced or cleaned this recording ({filters})" in notes[0]


def test_partly_aligned_files_are_refused(tmp_path: Path) -> None:
    """They cannot be preprocessed as one."""
    two = simulate(duration_s=[1.0, 1.0], n_channels=N_CHANNELS, n_units=2)[0]
    run = write_spikeglx(tmp_path, two, SpikeGlxRun(with_lf=False, triggers=(0, 1)))
    (meta,) = run.rglob("*_t1.imec0.ap.meta")
    meta.write_text(f"catGTCmdline0=<CatGT {OPTIONS}>\n{meta.read_text()}")
    with pytest.raises(RecordingError, match="of some files in time, and not of others"):
        check_recording(open_recording(run, "spikeglx", {}))


# ----- SpikeInterface ----------------------------------------------------------------------------


def save(recording: BaseRecording, folder: Path, kind: str) -> BaseRecording:
    """Save a recording with SpikeInterface, and open it."""
    place = folder / ("saved.zarr" if kind == "zarr" else "saved")
    recording.save(folder=place, format=kind)
    return open_recording(place, kind, {})


def on_disk(recording: BaseRecording, folder: Path) -> BaseRecording:
    """Add sample shifts, and make the recording one that SpikeInterface can serialize."""
    shifted = recording.clone()
    shifted.set_property("inter_sample_shift", np.arange(N_CHANNELS) % 12 / 13)
    return shifted.save(folder=folder / "source")


@pytest.mark.parametrize("kind", ["binary", "zarr"])
def test_channels_that_spikeinterface_has_aligned_are_not_shifted_again(
    tmp_path: Path, simulated: BaseRecording, kind: str
) -> None:
    """The saved folder still has their shifts as a property."""
    steps = spre.highpass_filter(spre.phase_shift(on_disk(simulated, tmp_path)))
    opened = save(steps, tmp_path, kind)
    assert opened.get_property("inter_sample_shift") is not None
    checked, notes = check_recording(opened)
    assert not is_shifted(checked)
    assert notes[0].endswith(
        "processed this recording before: PhaseShiftRecording, HighpassFilterRecording"
    )
    assert "not shifted again" in notes[1]


@pytest.mark.parametrize("kind", ["binary", "zarr"])
def test_channels_that_were_only_filtered_are_shifted(
    tmp_path: Path, simulated: BaseRecording, kind: str
) -> None:
    """As they were saved as they were sampled."""
    opened = save(spre.highpass_filter(on_disk(simulated, tmp_path)), tmp_path, kind)
    assert is_shifted(check_recording(opened)[0])


@pytest.mark.parametrize("kind", ["binary", "zarr"])
def test_a_folder_without_provenance_is_noted(
    tmp_path: Path, simulated: BaseRecording, kind: str
) -> None:
    """Of a recording in memory no record is kept: the doubt is noted."""
    in_memory = simulated.clone()
    in_memory.set_property("inter_sample_shift", np.arange(N_CHANNELS) % 12 / 13)
    checked, notes = check_recording(save(spre.phase_shift(in_memory), tmp_path, kind))
    assert "does not say whether they were aligned since" in notes[0]
    assert is_shifted(checked)


@pytest.mark.parametrize("step", [spre.zscore, spre.whiten])
def test_normalized_samples_have_no_gain(
    tmp_path: Path, simulated: BaseRecording, step: type
) -> None:
    """SpikeInterface says that they are microvolts."""
    source = spre.astype(on_disk(simulated, tmp_path), "float32")
    opened = save(step(source), tmp_path, "binary")
    assert opened.has_scaleable_traces()
    checked, notes = check_recording(opened)
    assert not checked.has_scaleable_traces()
    assert any("the samples are not in microvolts" in note for note in notes)


@pytest.mark.parametrize("place", ["acquisition", "processing"])
def test_a_processed_nwb_series_is_noted(
    tmp_path: Path, simulated: BaseRecording, place: str
) -> None:
    """What was acquired is as it was sampled; of what was processed the file does not say."""
    file = write_nwb(tmp_path / "a.nwb", simulated)
    with h5py.File(file, "a") as hdf5:
        electrodes = hdf5["general/extracellular_ephys/electrodes"]
        column = electrodes.create_dataset(
            "inter_sample_shift", data=np.arange(N_CHANNELS) % 12 / 13
        )
        column.attrs.update(electrodes["rel_x"].attrs)
        electrodes.attrs["colnames"] = [*electrodes.attrs["colnames"], "inter_sample_shift"]
        series = f"{place}/ElectricalSeries"
        if place == "processing":
            hdf5.move("acquisition/ElectricalSeries", series)
    recording = open_recording(file, "nwb", {"electrical_series_path": series})
    checked, notes = check_recording(recording)
    assert is_shifted(checked)
    assert any("does not say" in note for note in notes) is (place == "processing")
