"""Which results of a session's streams are those of this session."""

from pathlib import Path

import pytest

from spikeinterface_cloud.config.settings import JobSettings
from spikeinterface_cloud.recording.formats.session_streams import SessionStream
from spikeinterface_cloud.results.folder import Results
from spikeinterface_cloud.results.run_record import RunRecord
from spikeinterface_cloud.results.tree import place_of
from spikeinterface_cloud.session.results import StreamResult, read_results
from spikeinterface_cloud.session.streams import Session

STREAM = SessionStream(
    identifier="imec0.ap", folder="imec0.ap", kwargs={"stream_id": "imec0.ap"}, size_bytes=1
)


def session(**variables: str) -> Session:
    given = {
        "SOURCE_FOLDER": "/data/run_g0",
        "DATA_TYPE": "spikeglx",
        "SORTERS": "simple",
        "STREAMS": "all",
    }
    settings = JobSettings.from_env(given | variables)
    return Session(settings=settings, streams=(STREAM,), auxiliary=(), reference=STREAM)


def write_record(folder: Path, of: Session, exit_code: int = 0) -> None:
    settings = JobSettings.from_env(of.variables_of(STREAM, folder))
    record = RunRecord(settings=settings.masked(), run_identifier=None)
    record.status = "failed" if exit_code else "succeeded"
    record.exit_code = exit_code
    (folder / STREAM.folder).mkdir()
    record.write(folder / STREAM.folder / "run.json")


def result(folder: Path, of: Session, exit_codes: dict[str, int] | None = None) -> StreamResult:
    record = RunRecord(settings={}, run_identifier=None)
    tree = place_of(Results(folder / "session", None, None, record), folder, None)
    [only] = read_results(of, tree, folder, exit_codes or {})
    return only


def test_results_of_the_session_are_taken(tmp_path: Path) -> None:
    write_record(tmp_path, session())
    found = result(tmp_path, session(), {"imec0.ap": 0})
    assert (found.status, found.exit_code, found.error) == ("succeeded", 0, None)


def test_stream_without_results_is_missing(tmp_path: Path) -> None:
    found = result(tmp_path, session())
    assert found.status == "missing"
    assert "there is no" in str(found.error)


def test_unreadable_record_is_missing(tmp_path: Path) -> None:
    (tmp_path / "imec0.ap").mkdir()
    (tmp_path / "imec0.ap" / "run.json").write_text('{"status": "succeeded"}')
    assert result(tmp_path, session()).status == "missing"


def test_record_of_an_earlier_job_is_not_that_of_one_that_just_failed(tmp_path: Path) -> None:
    write_record(tmp_path, session())
    found = result(tmp_path, session(), {"imec0.ap": 73})
    assert (found.status, found.exit_code) == ("missing", 73)
    assert "is of an earlier one" in str(found.error)


@pytest.mark.parametrize(
    ("name", "value"),
    [("SOURCE_FOLDER", "/data/other_g0"), ("SORTERS", "lupin"), ("SPLIT_BY", "group")],
)
def test_results_of_another_job_are_not_taken(tmp_path: Path, name: str, value: str) -> None:
    write_record(tmp_path, session(**{name: value}))
    found = result(tmp_path, session())
    assert found.status == "missing"
    assert f"another {name}" in str(found.error)


@pytest.mark.parametrize(
    ("name", "value"), [("N_JOBS", "1"), ("OVERWRITE", "true"), ("RUN_IDENTIFIER", "mouse")]
)
def test_settings_that_decide_nothing_may_differ(tmp_path: Path, name: str, value: str) -> None:
    write_record(tmp_path, session(**{name: value}))
    assert result(tmp_path, session()).status == "succeeded"
