"""What makes two jobs the same, and what does not."""

import os
from dataclasses import replace
from pathlib import Path

import h5py
import pytest

from spikeinterface_cloud.config.locations import JoinedRecordings, LocalFolder, S3Location
from spikeinterface_cloud.config.settings import JobSettings
from spikeinterface_cloud.fingerprint import fingerprints
from spikeinterface_cloud.recording.source import FoundSource
from spikeinterface_cloud.results.resume import Fingerprints
from spikeinterface_cloud.sorting.task import sorting_tasks

VARIABLES = {
    "AWS_S3_BUCKET": "lab",
    "AWS_S3_BUCKET_FOLDER": "day-1",
    "DATA_TYPE": "spikeglx",
    "SORTERS": "simple,tridesclous2",
}

SOURCE = FoundSource(
    location=S3Location(bucket="lab", key="day-1"),
    provenance={"location": "s3://lab/day-1", "n_files": 2, "sha256_of_listing": "0f"},
)


def of(source: FoundSource = SOURCE, /, **changed: str) -> Fingerprints:
    settings = JobSettings.from_env(VARIABLES | changed)
    return fingerprints(settings, sorting_tasks(settings), source)


@pytest.mark.parametrize(
    "changed",
    [
        {"N_JOBS": "1"},
        {"RUN_IDENTIFIER": "again"},
        {"TARGET_AWS_S3_BUCKET": "elsewhere"},
        {"RESULTS_FOLDER": "/elsewhere"},
        {"SCRATCH_FOLDER": "/elsewhere"},
        {"AWS_REGION_NAME": "eu-west-1"},
        {"SORTERS_KWARGS": "{}"},
    ],
    ids=str,
)
def test_what_decides_no_result_makes_no_other_job(changed: dict[str, str]) -> None:
    assert of(**changed) == of()


def test_archive_makes_another_job_with_the_same_sorters_and_recording() -> None:
    with_archive = of(ARCHIVE="zarr")
    assert with_archive.job != of().job
    assert with_archive.sorters == of().sorters
    assert with_archive.recording == of().recording
    assert with_archive.archive
    assert not of(ARCHIVE="none").archive
    assert of(PREPROCESSING="none", SORTERS="simple").recording == of().recording
    assert of(PROBE_FILE="probe.json").recording != of().recording


@pytest.mark.parametrize(
    "changed",
    [
        {"DATA_TYPE": "openephys"},
        {"READ_RECORDING_KWARGS": '{"stream_id": "imec1.ap"}'},
        {"PREPROCESSING": "none"},
        {"PREPROCESSING": '[{"name": "highpass_filter", "params": {"freq_min": 300}}]'},
        {"PROBE_FILE": "probe.json"},
        {"TEST_WITH_SUB_RECORDING": "true"},
        {"SORTERS_KWARGS": '{"simple": {"seed": 1}, "tridesclous2": {"seed": 1}}'},
    ],
    ids=str,
)
def test_what_decides_the_result_makes_another_job(changed: dict[str, str]) -> None:
    before, after = of(), of(**changed)
    assert before.job != after.job
    for sorter in before.sorters:
        assert before.sorters[sorter] != after.sorters[sorter], sorter


def test_the_parameters_of_one_sorter_are_not_those_of_another() -> None:
    before, after = of(), of(SORTERS_KWARGS='{"simple": {"seed": 1}}')
    assert before.sorters["simple"] != after.sorters["simple"]
    assert before.sorters["tridesclous2"] == after.sorters["tridesclous2"]


def test_another_sorter_changes_the_job_alone() -> None:
    before, after = of(), of(SORTERS="simple")
    assert before.sorters["simple"] == after.sorters["simple"]
    assert before.job != after.job


def test_exports_change_the_job_alone() -> None:
    before, after = of(), of(EXPORTS="phy")
    assert before.sorters == after.sorters
    assert before.job != after.job


@pytest.mark.parametrize(
    "changed",
    [
        {"SORTERS": "spykingcircus2, simple"},
        {"SORTERS_KWARGS": '{"tridesclous2": {"apply_preprocessing": false}}'},
    ],
    ids=str,
)
def test_a_sorter_without_a_filter_changes_what_the_others_read(changed: dict[str, str]) -> None:
    """As the steps that are chosen by default then have one."""
    sorters = {"SORTERS": "spykingcircus2, tridesclous2"}
    before, after = of(**sorters), of(**sorters | changed)
    assert before.sorters["spykingcircus2"] != after.sorters["spykingcircus2"]


def test_other_bytes_are_another_job() -> None:
    other = replace(SOURCE, provenance={**SOURCE.provenance, "sha256_of_listing": "1f"})
    assert of(other).sorters["simple"] != of().sorters["simple"]


def test_files_of_a_folder_are_told_apart_by_size_and_time(tmp_path: Path) -> None:
    file = tmp_path / "recording.raw"
    file.write_bytes(b"1234")
    source = FoundSource(location=LocalFolder(path=tmp_path), path=tmp_path)
    os.utime(file, (1e9, 1e9))
    before = of(source)
    assert of(source) == before
    os.utime(file, (1e9, 1e9 + 1))
    touched = of(source)
    assert touched != before
    file.write_bytes(b"12345")
    os.utime(file, (1e9, 1e9 + 1))
    assert of(source) not in (before, touched)


def test_a_file_is_told_apart_by_those_beside_it(tmp_path: Path) -> None:
    """Many formats are named by their header and have their samples in a file beside it."""
    header, samples = tmp_path / "info.rhd", tmp_path / "amplifier.dat"
    header.write_bytes(b"header")
    samples.write_bytes(b"half")
    source = FoundSource(location=LocalFolder(path=header), path=header)
    before = of(source)
    assert of(source) == before
    samples.write_bytes(b"half and half")
    assert of(source) != before


@pytest.mark.parametrize(
    ("data_type", "is_another"),
    [("spikeglx", True), ("intan", False)],
)
def test_a_reader_of_folders_looks_below_the_file(
    tmp_path: Path, data_type: str, is_another: bool
) -> None:
    """Where a reader of one file does not: what lies there may be another recording, or many."""
    meta, samples = tmp_path / "run.meta", tmp_path / "below" / "run.bin"
    samples.parent.mkdir()
    meta.write_bytes(b"meta")
    samples.write_bytes(b"half")
    source = FoundSource(location=LocalFolder(path=meta), path=meta)
    before = of(source, DATA_TYPE=data_type)
    assert of(source, DATA_TYPE=data_type) == before
    samples.write_bytes(b"half and half")
    assert (of(source, DATA_TYPE=data_type) != before) is is_another


def test_a_file_is_told_apart_by_those_that_it_links_to(tmp_path: Path) -> None:
    """HDF5 may keep samples in files further below."""
    file, samples = tmp_path / "a.nwb", tmp_path / "below" / "samples.h5"
    samples.parent.mkdir()
    samples.write_bytes(b"half")
    with h5py.File(file, "w") as opened:
        opened["data"] = h5py.ExternalLink("below/samples.h5", "/data")
    source = FoundSource(location=LocalFolder(path=file), path=file)
    before = of(source, DATA_TYPE="nwb")
    samples.write_bytes(b"half and half")
    assert of(source, DATA_TYPE="nwb") != before
    file.write_bytes(b"broken")
    assert of(source, DATA_TYPE="nwb") != before


def joined(*names: str) -> FoundSource:
    """Return recordings of one probe, found in this order."""
    locations = tuple(S3Location(bucket="lab", key=name) for name in names)
    found = [
        FoundSource(
            location=each, provenance={"location": str(each), "sha256_of_listing": each.key}
        )
        for each in locations
    ]
    return FoundSource(location=JoinedRecordings(locations=locations), joined=tuple(found))


def test_another_order_of_joined_recordings_is_another_job() -> None:
    jobs = [of(joined(*names)) for names in (("a", "b"), ("b", "a"), ("a", "b", "c"))]
    assert of(joined("a", "b")) == jobs[0]
    assert len({each.job for each in jobs}) == 3
    assert len({each.sorters["simple"] for each in jobs}) == 3


def test_changed_file_of_a_later_recording_makes_another_job(tmp_path: Path) -> None:
    folders = [tmp_path / "run1", tmp_path / "run2"]
    for folder in folders:
        folder.mkdir()
        (folder / "traces.bin").write_bytes(bytes(10))
    found = [FoundSource(location=LocalFolder(path=each), path=each) for each in folders]
    source = replace(SOURCE, joined=tuple(found))
    before = of(source)
    (folders[1] / "traces.bin").write_bytes(bytes(12))
    assert of(source).job != before.job


@pytest.mark.parametrize(
    "changed",
    [{"EVENTS": '{"nidq:XA0": {"threshold_v": 3.0}}'}, {"CLOCK_LINE": "nidq:line5"}],
    ids=str,
)
def test_what_decides_the_triggers_of_artifacts_makes_other_units(changed: dict[str, str]) -> None:
    given = {
        "PREPROCESSING": '{"remove_artifacts": {"triggers": "nidq:XA0"}}',
        "EVENTS": '{"nidq:XA0": {"threshold_v": 1.5}}',
        "CLOCK": "nidq",
    }
    before, after = of(**given), of(**given | changed)
    assert before.job != after.job
    assert before.sorters["simple"] != after.sorters["simple"]


def test_another_threshold_of_the_sync_line_makes_another_job_of_the_same_units() -> None:
    given = {"CLOCK": "nidq", "CLOCK_LINE": "nidq:XA2"}
    before, after = (
        of(**given, EVENTS=f'{{"nidq:XA2": {{"threshold_v": {volts}}}}}') for volts in (1.5, 3.5)
    )
    assert before.job != after.job
    assert before.sorters == after.sorters


def test_a_corrected_probe_file_makes_another_job(tmp_path: Path) -> None:
    """It may lie outside of the source."""
    recording = tmp_path / "day1"
    recording.mkdir()
    probe = tmp_path / "probe.json"
    source = FoundSource(
        location=LocalFolder(path=recording), path=recording, probe_path=probe, provenance={}
    )
    digests = []
    for content in ("{}", "[]"):
        probe.write_text(content)
        digests.append(of(source).job)
    assert digests[0] != digests[1]
