"""Settings that cannot work are refused before anything is fetched, with the remedy on one line."""

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.end_to_end.conftest import UNSAVED_PROVENANCE
from tests.support.job import Job, assert_refused, run_job
from tests.support.recordings import simulate, write_binary_folder

pytestmark = [pytest.mark.integration, UNSAVED_PROVENANCE]

#: what a job on a machine without a GPU sees of one
NO_GPU = {"CUDA_VISIBLE_DEVICES": ""}


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """What is changed in a job that would succeed, and what is said of it."""

    changes: Mapping[str, str]
    exit_code: int = 78
    #: a line each
    messages: tuple[str, ...] = field(default=())


REFUSALS = {
    "unknown sorter": Refusal(
        changes={"SORTERS": "kilosort44"},
        messages=(
            r"SORTERS: kilosort44 is not a sorter of SpikeInterface; did you mean kilosort4\?; "
            r"this image has .*simple",
        ),
    ),
    "sorter of another image": Refusal(
        changes={"SORTERS": "mountainsort5"},
        exit_code=69,
        messages=(
            "SORTERS: mountainsort5 not installed in this image, which has .*simple.*; "
            "use one of those, or an image with the sorter",
        ),
    ),
    "unknown parameter": Refusal(
        changes={"SORTERS_KWARGS": '{"simple": {"detect_treshold": 5}}'},
        messages=(
            r"SORTERS_KWARGS: simple has no parameter detect_treshold; "
            r"did you mean detect_threshold\? \(it has .*freq_min",
        ),
    ),
    "mistyped parameter": Refusal(
        changes={"SORTERS_KWARGS": '{"simple": {"detect_threshold": "five"}}'},
        messages=('simple: detect_threshold is "five"; it takes a number, like 5.0',),
    ),
    "unknown parameter in an object": Refusal(
        changes={
            "SORTERS": "spykingcircus2",
            "SORTERS_KWARGS": '{"spykingcircus2": {"general": {"ms_befor": 1}}}',
        },
        messages=(
            r"SORTERS_KWARGS: spykingcircus2: general has no ms_befor; did you mean ms_before\? "
            r"\(it has ms_after, ms_before, radius_um\)",
        ),
    ),
    "a server without its scheme, and no region": Refusal(
        changes={"AWS_ENDPOINT_URL": "localhost:9000", "AWS_REGION_NAME": "us_east_1"},
        messages=(
            "AWS_REGION_NAME: 'us_east_1' is not the name of a region; write it like us-east-1",
            "AWS_ENDPOINT_URL: 'localhost:9000' is not the URL of a server; "
            "write http://localhost:9000",
        ),
    ),
    "a probe in no bucket": Refusal(
        changes={"PROBE_FILE": "s3://Bad_Bucket/p.json"},
        messages=("PROBE_FILE: 's3://Bad_Bucket/p.json' is not the name of an S3 bucket",),
    ),
    "bytes that are no text": Refusal(
        changes={"RUN_IDENTIFIER": os.fsdecode(b"M\xfcller")},
        messages=("RUN_IDENTIFIER: is not UTF-8 text; write it in UTF-8, or with plain letters",),
    ),
    "parameters of a sorter that is not listed": Refusal(
        changes={"SORTERS_KWARGS": '{"simpel": {}}'},
        messages=(
            r"SORTERS_KWARGS: has parameters for simpel, which SORTERS does not list; "
            r"did you mean simple\?",
        ),
    ),
    "single quotes": Refusal(
        changes={"SORTERS_KWARGS": "{'simple': {'apply_preprocessing': True}}"},
        messages=(r'SORTERS_KWARGS: not JSON .*; write {"simple": {"apply_preprocessing": true}}',),
    ),
    "Kilosort4 without a GPU": Refusal(
        changes={"SORTERS": "kilosort4", **NO_GPU},
        exit_code=69,
        messages=(
            r"kilosort4: no CUDA device here, .*; run the GPU image on a GPU instance .*"
            r'set SORTERS_KWARGS={"kilosort4": {"torch_device": "cpu"}}',
        ),
    ),
    "Kilosort4 without whitening": Refusal(
        changes={
            "SORTERS": "kilosort4",
            "SORTERS_KWARGS": '{"kilosort4": {"torch_device": "cpu", '
            '"skip_kilosort_preprocessing": true}}',
        },
        messages=(
            "SORTERS_KWARGS: kilosort4: skip_kilosort_preprocessing leaves out the whitening, .*; "
            "leave it out, or whiten instead: PREPROCESSING=",
        ),
    ),
    "misspelt variable": Refusal(
        changes={"SORTER_KWARGS": "{}"},
        messages=(r"SORTER_KWARGS: not a variable of this program; did you mean SORTERS_KWARGS\?",),
    ),
    "two sources": Refusal(
        changes={"AWS_S3_BUCKET": "lab-data"},
        messages=("AWS_S3_BUCKET: also SOURCE_FOLDER; give one source only",),
    ),
    "no source": Refusal(
        changes={"SOURCE_FOLDER": ""},
        messages=("no source given; set one of AWS_S3_BUCKET, DANDISET_S3_FILE_URL",),
    ),
    "unknown reader": Refusal(
        changes={"DATA_TYPE": "spikegl"},
        messages=(r"DATA_TYPE=spikegl is not a reader of SpikeInterface; did you mean spikeglx",),
    ),
    "unknown preprocessing step": Refusal(
        changes={"PREPROCESSING": '{"highpas_filter": {}}'},
        messages=(
            r"PREPROCESSING: highpas_filter is not a step of SpikeInterface; "
            r"did you mean highpass_filter\?",
        ),
    ),
    "unknown parameter of a step": Refusal(
        changes={"PREPROCESSING": '{"highpass_filter": {"freq_mn": 200}}'},
        messages=(
            r"PREPROCESSING: highpass_filter has no parameter freq_mn; did you mean freq_min\?",
        ),
    ),
    "parameters of a step that are none": Refusal(
        changes={"PREPROCESSING": '{"highpass_filter": 200}'},
        messages=(
            r"PREPROCESSING: highpass_filter has 200 for parameters; "
            r'write {"highpass_filter": {"parameter": value}}',
        ),
    ),
    "several problems of the variables": Refusal(
        changes={"TEST_WITH_SUB_RECORDING": "maybe", "N_JOBS": "0", "PREPROCESSNG": "none"},
        messages=(
            r"PREPROCESSNG: not a variable of this program; did you mean PREPROCESSING\?",
            "TEST_WITH_SUB_RECORDING: 'maybe' is neither true nor false; write true or false",
            "N_JOBS: '0' is not a whole number of 1 or more; write one like 4",
        ),
    ),
    "several problems of the job": Refusal(
        changes={
            "SORTERS": "simpel,kilosort4",
            "DATA_TYPE": "binry",
            "SOURCE_FOLDER": "/no/such/folder",
            **NO_GPU,
        },
        messages=(
            r"SORTERS: simpel is not a sorter of SpikeInterface; did you mean simple\?",
            r"DATA_TYPE=binry is not a reader of SpikeInterface; did you mean binary\?",
            "kilosort4: no CUDA device here",
            "SOURCE_FOLDER: /no/such/folder does not exist; correct the path, or in Docker",
        ),
    ),
}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of eight channels, which could be sorted."""
    recording, _ = simulate(duration_s=1.0, n_channels=8, n_units=2)
    return write_binary_folder(tmp_path_factory.mktemp("settings") / "source", recording)


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory, source: Path) -> dict[str, Job]:
    """The jobs of `REFUSALS`, which were run two at a time."""

    def run(refusal: Refusal) -> Job:
        return run_job(tmp_path_factory.mktemp("job"), {**sound(source), **refusal.changes})

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(REFUSALS, pool.map(run, REFUSALS.values()), strict=True))


def sound(source: Path) -> dict[str, str]:
    """The variables of a job that would succeed."""
    return {"SOURCE_FOLDER": str(source), "DATA_TYPE": "binary", "SORTERS": "simple"}


@pytest.mark.parametrize("name", REFUSALS)
def test_job_is_refused_with_remedy(jobs: dict[str, Job], name: str) -> None:
    assert_refused(jobs[name], REFUSALS[name].exit_code, *REFUSALS[name].messages)
    assert "fetch ..." not in jobs[name].log


def test_env_file_variables_are_used(tmp_path: Path, source: Path) -> None:
    (tmp_path / ".env").write_text("SORTERS=simpel\n")
    job = run_job(tmp_path, {"SOURCE_FOLDER": str(source), "DATA_TYPE": "binary"})
    assert_refused(job, 78, r"SORTERS: simpel is not a sorter .*did you mean simple\?")


def test_unreadable_env_file_line_is_refused(tmp_path: Path, source: Path) -> None:
    (tmp_path / ".env").write_text('N_JOBS=1\nSORTERS_KWARGS="{"simple": {}}"\n')
    job = run_job(tmp_path, sound(source))
    assert_refused(job, 78, ".env: line 2 cannot be read; write NAME=value, and JSON in single")


def test_env_file_that_is_not_utf_8_is_refused(tmp_path: Path, source: Path) -> None:
    (tmp_path / ".env").write_text("RUN_IDENTIFIER=Müller\n", encoding="utf-16")
    job = run_job(tmp_path, sound(source))
    assert_refused(job, 78, ".env is not UTF-8; save it as UTF-8")


def test_false_is_false(tmp_path: Path, source: Path) -> None:
    job = run_job(tmp_path, sound(source) | {"TEST_WITH_TOY_RECORDING": "False"}, "--check")
    assert job.exit_code == 0, job.output


def test_unwritable_results_folder_is_refused(tmp_path: Path, source: Path) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "results"
    job = run_job(tmp_path / "job", sound(source) | {"RESULTS_FOLDER": str(folder)})
    assert_refused(
        job,
        73,
        rf"RESULTS_FOLDER: {folder} cannot be written \(Not a directory\); name another folder, "
        "or give this user the right to write there",
    )


def test_irreplaceable_results_are_refused(tmp_path: Path, source: Path) -> None:
    (tmp_path / "results" / "run.log").mkdir(parents=True)
    job = run_job(tmp_path, sound(source))
    assert_refused(job, 73, "RESULTS_FOLDER: .*run.log is a folder, where the job has to write")
