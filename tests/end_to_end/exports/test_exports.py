"""Units leave as NWB, for phy, and to a draft dandiset, whole jobs at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import spikeinterface as si
from phylib.io.model import load_model
from pynwb import NWBHDF5IO

from tests.end_to_end.conftest import Simulated
from tests.support.dandi_stand_in import OWNER_KEY, STRANGER_KEY, DandiStandIn
from tests.support.job import (
    ONE_WORKER,
    TIMEOUT_S,
    Job,
    assert_refused,
    assert_succeeded,
    run_job,
    s3_access,
    start_job,
    wait_for_log,
)
from tests.support.nwb_files import NwbLayout, write_nwb
from tests.support.servers import S3Server
from tests.support.sorted_results import download_folder, files_with, keys_below

pytestmark = [pytest.mark.integration, pytest.mark.sorting]

SOURCE, TARGET, LOCKED, CLEARED = "000300", "000301", "000302", "000303"
PATH = "sub-M1/sub-M1_ses-day1_ecephys.nwb"
SORTERS = ["simple", "spykingcircus2"]
BUCKET = "export-results"
MOUSE = {"subject_id": "M1", "species": "Mus musculus", "sex": "F", "age": "P90D"}
DAY = {"session_id": "day1", "institution": "Institute", "experimenter": ["Doe, Jane"]}


@pytest.fixture(scope="module")
def dandi(tmp_path_factory: pytest.TempPathFactory, simulated: Simulated) -> Iterator[DandiStandIn]:
    """An archive with the session in one dandiset, and three drafts for its units."""
    layout = NwbLayout(starting_time=50.0, subject=MOUSE, session=DAY)
    file = tmp_path_factory.mktemp("nwb") / "recording.nwb"
    write_nwb(file, simulated.recording, layout)
    with DandiStandIn() as running:
        running.add_asset(SOURCE, PATH, file)
        running.add_dandiset(TARGET)
        running.add_dandiset(LOCKED)
        running.add_dandiset(CLEARED)
        yield running


def variables(dandi: DandiStandIn, target: str, key: str = OWNER_KEY) -> dict[str, str]:
    [source] = [asset for asset in dandi.assets if asset.dandiset == SOURCE]
    return {
        **ONE_WORKER,
        **dandi.variables(source),
        "EXPORTS": "nwb,phy",
        "TARGET_DANDISET": f"{dandi.api_url}/dandisets/{target}/",
        "DANDI_API_KEY": key,
    }


@pytest.fixture(scope="module")
def uploaded(
    tmp_path_factory: pytest.TempPathFactory, rclone_s3: S3Server, dandi: DandiStandIn
) -> Job:
    rclone_s3.client.create_bucket(Bucket=BUCKET)
    target = {
        "TARGET_AWS_S3_BUCKET": BUCKET,
        "SORTERS": ",".join(SORTERS),
        "ARCHIVE": "zarr",
        "N_JOBS": "2",  # workers write the archive, and compare it with the recording
    }
    settings = variables(dandi, TARGET) | s3_access(rclone_s3.url) | target
    return run_job(tmp_path_factory.mktemp("job"), settings)


def test_every_sorter_has_every_export(uploaded: Job) -> None:
    assert_succeeded(uploaded)
    exports = uploaded.record["exports"]
    assert [(run["sorter"], run["export"]) for run in exports] == [
        *((sorter, export) for sorter in SORTERS for export in ("nwb", "phy")),
        *((sorter, "dandi") for sorter in SORTERS),
    ]
    assert all(run["error"] is None and run["size_bytes"] > 0 for run in exports)


def test_exports_are_at_the_target(uploaded: Job, rclone_s3: S3Server) -> None:
    keys = keys_below(rclone_s3.client, BUCKET, "")
    for sorter in SORTERS:
        assert f"{sorter}/units.nwb" in keys
        assert f"{sorter}/phy/params.py" in keys


def test_compressed_recording_is_at_the_target(
    uploaded: Job, rclone_s3: S3Server, simulated: Simulated, tmp_path: Path
) -> None:
    folder = download_folder(
        rclone_s3.client, BUCKET, "recording.zarr", tmp_path / "recording.zarr"
    )
    archived = si.load(folder)
    np.testing.assert_array_equal(archived.get_traces(), simulated.recording.get_traces())
    np.testing.assert_allclose(archived.get_times()[[0, -1]], [50.0, 60.0 - 1 / 30000.0])
    np.testing.assert_allclose(
        archived.get_channel_gains(), simulated.recording.get_channel_gains()
    )
    np.testing.assert_array_equal(
        archived.get_channel_locations(), simulated.recording.get_channel_locations()
    )
    entry = uploaded.record["archive"]
    assert entry["codec"] == "wavpack"
    assert entry["uncompressed_bytes"] == 300_000 * 16 * 2
    assert len([file for file in folder.rglob("*") if file.is_file()]) == entry["n_files"] + 1
    assert entry["ratio"] == pytest.approx(entry["uncompressed_bytes"] / entry["size_bytes"], 0.05)


def test_archive_has_the_units_at_their_path(uploaded: Job, dandi: DandiStandIn) -> None:
    found = {asset.path: asset for asset in dandi.assets if asset.dandiset == TARGET}
    assert sorted(found) == [
        f"sub-M1/sub-M1_ses-day1_desc-{sorter}_ecephys.nwb" for sorter in SORTERS
    ]
    for sorter, asset in zip(SORTERS, found.values(), strict=True):
        assert asset.file is not None
        units = uploaded.results / sorter / "units.nwb"
        assert asset.file.read_bytes() == units.read_bytes()
        techniques = [each["name"] for each in asset.described["measurementTechnique"]]
        assert "spike sorting technique" in techniques


@pytest.mark.parametrize("sorter", SORTERS)
def test_uploaded_units_keep_session_times_and_labels(uploaded: Job, sorter: str) -> None:
    folder = uploaded.results / sorter
    sorting = si.load(folder / "sorting")
    with NWBHDF5IO(str(folder / "units.nwb"), "r") as io:
        nwbfile = io.read()
        assert nwbfile.subject.subject_id == "M1"
        [waveforms] = [each for each in nwbfile.units.columns if each.name == "waveform_mean"]
        assert waveforms.description.startswith("mean of waveforms after highpass_filter(freq_min=")
        assert set(nwbfile.units["label"][:]) <= {"good", "mua", "noise"}
        for row, name in enumerate(sorting.unit_ids):
            expected = 50.0 + sorting.get_unit_spike_train(name) / 30000.0
            np.testing.assert_allclose(nwbfile.units["spike_times"][row], expected, atol=1e-9)


@pytest.mark.parametrize("sorter", SORTERS)
def test_phylib_opens_the_published_folder(uploaded: Job, sorter: str) -> None:
    model = load_model(uploaded.results / sorter / "phy" / "params.py")
    run = next(run for run in uploaded.record["sorters"] if run["sorter"] == sorter)
    assert model.n_templates == run["n_units"]
    assert model.traces.shape == (300_000, 16)


@pytest.mark.parametrize("sorter", SORTERS)
def test_exports_take_less_time_than_the_sorter(uploaded: Job, sorter: str) -> None:
    run = next(run for run in uploaded.record["sorters"] if run["sorter"] == sorter)
    exports = [each for each in uploaded.record["exports"] if each["sorter"] == sorter]
    written = sum(each["seconds"] for each in exports if each["export"] != "dandi")
    assert written < run["seconds"]


def test_api_key_leaves_no_trace(uploaded: Job) -> None:
    assert files_with(uploaded.results, OWNER_KEY) == []
    assert OWNER_KEY not in uploaded.log + uploaded.output


def test_refused_upload_keeps_the_results(tmp_path: Path, dandi: DandiStandIn) -> None:
    with start_job(tmp_path, variables(dandi, LOCKED) | {"SORTERS": "simple"}) as process:
        log = wait_for_log(process, "sort with simple ...")
        dandi.locked.add(LOCKED)  # after the checks, which would have refused the job
        output, rest = process.communicate(timeout=TIMEOUT_S)
    job = Job(folder=tmp_path, exit_code=process.returncode, output=output, log=log + rest)
    assert job.exit_code == 73
    assert job.outcomes() == {"simple": "sorted"}
    assert (job.results / "simple" / "units.nwb").is_file()
    assert job.record["status"] == "failed"
    assert "released from its embargo" in job.record["error"]
    errors = {run["export"]: run["error"] for run in job.record["exports"]}
    assert errors["nwb"] is None
    assert "released from its embargo" in errors["dandi"]


@pytest.mark.parametrize(
    ("target", "key", "pattern"),
    [
        (
            TARGET,
            STRANGER_KEY,
            "john-roe, the owner of DANDI_API_KEY, does not own dandiset 000301",
        ),
        ("000399", OWNER_KEY, "there is no dandiset 000399 .*; create it there first"),
    ],
    ids=["another's", "missing"],
)
def test_unwritable_dandiset_is_refused_before_any_work(
    tmp_path: Path, dandi: DandiStandIn, target: str, key: str, pattern: str
) -> None:
    job = run_job(tmp_path, variables(dandi, target, key) | {"SORTERS": "simple"})
    assert_refused(job, 73, pattern)
    assert "fetch" not in [step["name"] for step in job.record["steps"]]


def test_units_that_are_gone_from_the_draft_are_uploaded_again(
    tmp_path: Path, dandi: DandiStandIn
) -> None:
    settings = variables(dandi, CLEARED) | {"SORTERS": "simple", "EXPORTS": "nwb"}
    assert_succeeded(run_job(tmp_path, settings))
    [gone] = [asset for asset in dandi.assets if asset.dandiset == CLEARED]
    dandi.assets.remove(gone)
    job = run_job(tmp_path, settings)
    assert_succeeded(job)
    steps = [step["name"] for step in job.record["steps"]]
    assert "upload to DANDI" in steps
    assert "sort with simple" not in steps
    assert [asset.path for asset in dandi.assets if asset.dandiset == CLEARED] == [gone.path]


def test_units_of_another_job_are_refused_before_sorting(
    tmp_path: Path, uploaded: Job, dandi: DandiStandIn
) -> None:
    assert_succeeded(uploaded)
    before = [asset.file for asset in dandi.assets]
    parameters = {"SORTERS": "simple", "SORTERS_KWARGS": '{"simple": {"detect_threshold": 6.5}}'}
    job = run_job(tmp_path, variables(dandi, TARGET) | parameters)
    assert_refused(job, 73, "which is not of this job; .* set OVERWRITE=true to replace it")
    assert "sort with simple" not in [step["name"] for step in job.record["steps"]]
    assert [asset.file for asset in dandi.assets] == before


def test_dandiset_being_unembargoed_is_refused_before_any_work(
    tmp_path: Path, dandi: DandiStandIn
) -> None:
    dandi.locked.add(LOCKED)
    job = run_job(tmp_path, variables(dandi, LOCKED) | {"SORTERS": "simple"})
    assert_refused(job, 73, "is being released from its embargo")
    assert "fetch" not in [step["name"] for step in job.record["steps"]]


def test_upload_without_key_is_refused(tmp_path: Path, dandi: DandiStandIn) -> None:
    settings = variables(dandi, TARGET) | {"SORTERS": "simple", "DANDI_API_KEY": ""}
    assert_refused(
        run_job(tmp_path, settings), 78, "DANDI_API_KEY: missing, though TARGET_DANDISET"
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """Variables that contradict a target on DANDI."""

    changed: dict[str, str]
    pattern: str


@pytest.mark.parametrize(
    "case",
    [
        Refused(changed={"EXPORTS": "phy"}, pattern="TARGET_DANDISET: .*set EXPORTS=nwb as well"),
        Refused(
            changed={"DANDISET_S3_FILE_URL": "", "TEST_WITH_TOY_RECORDING": "true"},
            pattern="TARGET_DANDISET: needs an NWB source",
        ),
        Refused(
            changed={"TARGET_DANDISET": "dandi://dandi/000301@0.230629.1955"},
            pattern="TARGET_DANDISET: .*names a publication",
        ),
        Refused(
            changed={"TEST_WITH_SUB_RECORDING": "true"},
            pattern="TARGET_DANDISET: units of the first frames only are not for an archive; leave",
        ),
    ],
    ids=["no NWB", "no session", "a publication", "first frames"],
)
def test_sources_that_dandi_cannot_accept_are_refused_early(
    tmp_path: Path, dandi: DandiStandIn, case: Refused
) -> None:
    settings = variables(dandi, TARGET) | {"SORTERS": "simple"} | case.changed
    assert_refused(run_job(tmp_path, settings), 78, case.pattern)


@pytest.mark.parametrize(
    ("subject", "pattern"),
    [
        (
            {"subject_id": "M1", "sex": "F"},
            "lacks the subject.s species, age or date_of_birth; complete",
        ),
        (MOUSE | {"subject_id": "Mäuschen"}, "the archive takes no ä in a path such as sub-Mä"),
    ],
    ids=["half a subject", "a name"],
)
def test_session_that_the_archive_refuses_is_refused_before_sorting(
    tmp_path: Path,
    dandi: DandiStandIn,
    simulated: Simulated,
    subject: dict[str, str],
    pattern: str,
) -> None:
    layout = NwbLayout(subject=subject, session=DAY)
    file = write_nwb(tmp_path / "source" / "recording.nwb", simulated.recording, layout)
    settings = variables(dandi, TARGET) | {
        "DANDISET_S3_FILE_URL": "",
        "SOURCE_FOLDER": str(file),
        "DATA_TYPE": "nwb",
        "SORTERS": "simple",
    }
    job = run_job(tmp_path / "job", settings)
    assert_refused(job, 73, pattern)
    assert "sort with simple" not in [step["name"] for step in job.record["steps"]]


def test_steps_that_make_channels_are_refused_for_nwb_before_sorting(
    tmp_path: Path, simulated: Simulated
) -> None:
    file = write_nwb(tmp_path / "source" / "recording.nwb", simulated.recording)
    settings = {
        **ONE_WORKER,
        "SOURCE_FOLDER": str(file),
        "DATA_TYPE": "nwb",
        "SORTERS": "simple",
        "EXPORTS": "nwb",
        "PREPROCESSING": '[{"name": "average_across_direction", "params": {"direction": "y"}}]',
    }
    job = run_job(tmp_path / "job", settings)
    assert_refused(job, 78, "EXPORTS=nwb: PREPROCESSING has made channels .*; remove the step")
    assert "sort with simple" not in [step["name"] for step in job.record["steps"]]
