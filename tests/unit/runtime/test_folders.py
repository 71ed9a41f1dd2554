"""Where results may not be: among the files of the source."""

import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from spikeinterface_cloud.config.locations import LocalFolder, S3Location
from spikeinterface_cloud.errors import SettingsError, TargetError
from spikeinterface_cloud.runtime.folders import check_apart, for_one_job, open_results_folder

#: enters a folder again and again, and counts how often it was alone there and how often not
ENTERING = """
    import sys, time
    from pathlib import Path
    from spikeinterface_cloud.errors import TargetError
    from spikeinterface_cloud.runtime.folders import for_one_job

    folder = Path(sys.argv[1])
    alone = together = 0
    end = time.monotonic() + 4
    while time.monotonic() < end:
        try:
            with for_one_job(folder):
                try:
                    (folder / "inside").touch(exist_ok=False)
                except FileExistsError:
                    together += 1
                    continue
                alone += 1
                time.sleep(0.0002)
                (folder / "inside").unlink()
        except TargetError:
            pass
    print(alone, together)
"""


def test_results_folder_is_locked_by_one_job_at_a_time(tmp_path: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(ENTERING), str(tmp_path)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    counts = [process.communicate(timeout=60)[0].split() for process in processes]
    assert sum(int(alone) for alone, _ in counts) > 100
    assert [together for _, together in counts] == ["0", "0", "0"]
    assert list(tmp_path.iterdir()) == [], "nor is the lock left behind"


@pytest.mark.parametrize(
    "prepare", [Path.mkdir, lambda path: path.symlink_to("a/b"), lambda path: path.symlink_to(path)]
)
def test_lock_that_is_no_file_is_refused(tmp_path: Path, prepare: Callable[[Path], None]) -> None:
    prepare(tmp_path / ".lock")
    refused = pytest.raises(TargetError, match=r"\.lock cannot be opened \(.*remove it")
    with refused, for_one_job(tmp_path):
        pytest.fail("the folder is not this job's")


@pytest.fixture
def session(tmp_path: Path) -> Path:
    """A folder with a recording in it."""
    folder = tmp_path / "session"
    folder.mkdir()
    (folder / "recording.nwb").touch()
    return folder


@pytest.mark.parametrize("results", ["session", "session/results", "session/../session/a/b"])
def test_results_in_the_source_are_refused(tmp_path: Path, session: Path, results: str) -> None:
    """Also where nobody has chosen the folder, as in a source that is the working folder."""
    with pytest.raises(SettingsError, match=r"RESULTS_FOLDER: .* is in the source itself"):
        check_apart(tmp_path / results, LocalFolder(path=session))


def test_results_beside_the_source_file_are_refused(session: Path) -> None:
    source = LocalFolder(path=session / "recording.nwb")
    with pytest.raises(SettingsError, match="is in the source itself"):
        check_apart(session, source)
    check_apart(session / "results", source)


@pytest.mark.parametrize("source", ["recording.zarr", "recording.zarr/deeper"])
def test_results_whose_archive_is_the_source_are_refused(tmp_path: Path, source: str) -> None:
    (tmp_path / source).mkdir(parents=True)
    with pytest.raises(SettingsError, match=r"holds the source as its recording\.zarr"):
        check_apart(tmp_path, LocalFolder(path=tmp_path / source))
    check_apart(tmp_path / "results", LocalFolder(path=tmp_path / source))


@pytest.mark.parametrize("name", ["session-results", "other"])
def test_results_outside_source_are_accepted(tmp_path: Path, session: Path, name: str) -> None:
    assert open_results_folder(tmp_path / name).is_dir()
    check_apart(tmp_path / name, LocalFolder(path=session))
    check_apart(session, S3Location(bucket="lab", key="raw"))
