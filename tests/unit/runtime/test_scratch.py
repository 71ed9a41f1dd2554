"""The folder of a job on scratch: who finds it again, and when it goes."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from spikeinterface_cloud.errors import Interrupted, RecordingError, TransferError
from spikeinterface_cloud.runtime.host import free_disk_bytes
from spikeinterface_cloud.runtime.scratch import KEPT_S, YOUNG_S, job_scratch, left_bytes, make_room

ROOT = Path(__file__).parents[3]

JOB = "0123456789abcdef0000"

#: holds the folder of a job until it is killed
HOLDER = """
import sys, time
from pathlib import Path
from spikeinterface_cloud.runtime.scratch import job_scratch

with job_scratch(Path(sys.argv[1]), sys.argv[2]) as folder:
    (folder / "file").write_bytes(b"kept")
    print(folder, flush=True)
    time.sleep(300)
"""


def end_with(error: BaseException, parent: Path | None, job: str = JOB) -> Path:
    """The folder of a job that ended so."""
    folder = Path()
    try:
        with job_scratch(parent, job) as folder:
            (folder / "file").write_bytes(b"kept")
            raise error
    except type(error):
        return folder


def left_by(parent: Path, job: str, age_s: float) -> Path:
    """The folder of a job that was interrupted so long ago."""
    folder = end_with(Interrupted(), parent, job)
    os.utime(folder, (time.time() - age_s, time.time() - age_s))
    return folder


@pytest.mark.parametrize("error", [Interrupted(), TransferError("read", "a", "b", "gone")])
def test_scratch_stays_for_the_next_attempt(tmp_path: Path, error: BaseException) -> None:
    end_with(error, tmp_path)
    with job_scratch(tmp_path, JOB) as again:
        assert (again / "file").read_bytes() == b"kept"
    assert list(tmp_path.iterdir()) == []


def test_scratch_is_removed_when_the_job_ends(tmp_path: Path) -> None:
    end_with(RecordingError(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_different_jobs_have_different_folders(tmp_path: Path) -> None:
    left = left_by(tmp_path, JOB, 0)
    with job_scratch(tmp_path, JOB[::-1]) as folder:
        assert folder != left
    assert left.exists()


def test_folder_is_used_by_one_process_at_a_time(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path), JOB]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            held = Path(process.stdout.readline().strip())
            with job_scratch(tmp_path, JOB) as folder:
                assert folder != held
                make_room(tmp_path, 10**18)
            assert (held / "file").exists()
        finally:
            process.kill()
    with job_scratch(tmp_path, JOB) as folder:
        assert folder == held
        assert (folder / "file").read_bytes() == b"kept"


def test_old_leftovers_are_removed_and_young_ones_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    old = left_by(tmp_path, "a" * 20, KEPT_S + 60)
    young = left_by(tmp_path, "b" * 20, 60)
    foreign = tmp_path / "of-somebody-else"
    foreign.mkdir()
    os.utime(foreign, (0, 0))
    with job_scratch(tmp_path, JOB):
        assert not old.exists()
        assert young.exists()
        assert foreign.exists()
    assert f"{old}, left by a killed job, is removed (4 Bytes)" in caplog.text
    assert f"{young} is left of a job that was interrupted or killed" in caplog.text


def test_oldest_leftovers_are_removed_first(tmp_path: Path) -> None:
    older, newer = (left_by(tmp_path, name * 20, age) for name, age in (("a", 900), ("b", 90)))
    make_room(tmp_path, 0)
    assert older.exists()
    free = free_disk_bytes(tmp_path)
    assert make_room(tmp_path, free * 1000) >= 0
    assert not older.exists()
    assert not newer.exists()


def test_reusable_leftovers_are_kept(tmp_path: Path) -> None:
    mine, another = (left_by(tmp_path, name * 20, 900) for name in ("a", "b"))
    assert left_bytes(tmp_path, "a" * 20) == 4
    assert left_bytes(tmp_path, "c" * 20) == 0
    make_room(tmp_path, 10**18, kept="a" * 20)
    assert mine.exists()
    assert not another.exists()


def test_young_unlocked_folder_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / f"spikeinterface-cloud-job-{JOB[:16]}"
    folder.mkdir()
    make_room(tmp_path, 10**18)
    assert folder.exists()
    os.utime(folder, (time.time() - YOUNG_S - 1,) * 2)
    make_room(tmp_path, 10**18)
    assert not folder.exists()


def shared_by_mode(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o777)


def link_to_another_folder(folder: Path) -> None:
    target = folder.parent / "of-a-victim"
    target.mkdir(mode=0o700)
    folder.symlink_to(target)


def of_another_user(folder: Path) -> None:
    if os.geteuid():
        pytest.skip("only root can give a folder to somebody else")
    folder.mkdir(mode=0o700)
    os.chown(folder, 65534, 65534)


@pytest.mark.parametrize("prepare", [shared_by_mode, link_to_another_folder, of_another_user])
def test_folder_that_others_can_prepare_is_not_used(
    tmp_path: Path, prepare: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    prepared = tmp_path / f"spikeinterface-cloud-job-{JOB[:16]}"
    prepare(prepared)
    (prepared / "planted").write_bytes(b"planted")
    assert left_bytes(tmp_path, JOB) == 0
    with job_scratch(tmp_path, JOB) as folder:
        assert [path.name for path in folder.iterdir()] == [".lock"]
        assert folder.stat().st_mode & 0o777 == 0o700
    assert "is not used, as it is no folder, or other users may write there" in caplog.text
    assert [path.name for path in prepared.iterdir()] == ["planted"]


@pytest.mark.parametrize(
    "prepare", [Path.touch, os.mkfifo, lambda path: path.symlink_to("missing")]
)
def test_name_that_is_taken_by_no_folder_is_left_alone(
    tmp_path: Path, prepare: Callable[[Path], None]
) -> None:
    prepared = tmp_path / f"spikeinterface-cloud-job-{JOB[:16]}"
    prepare(prepared)
    with job_scratch(tmp_path, JOB) as folder:
        assert folder.parent == tmp_path
        assert folder.stat().st_mode & 0o777 == 0o700
    assert list(tmp_path.iterdir()) == [prepared]


def test_folder_is_private(tmp_path: Path) -> None:
    with job_scratch(tmp_path, JOB) as folder:
        assert folder.stat().st_mode & 0o777 == 0o700


def test_old_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "of-a-victim"
    victim.mkdir()
    (victim / "file").write_bytes(b"kept")
    os.utime(victim, (0, 0))
    (tmp_path / f"spikeinterface-cloud-job-{JOB[:16]}").symlink_to(victim)
    make_room(tmp_path, 10**18)
    assert [path.name for path in victim.iterdir()] == ["file"]


def test_without_scratch_folder_a_temporary_one_is_used() -> None:
    folder = end_with(Interrupted(), None)
    assert folder.name.startswith("spikeinterface-cloud-job-")
    assert not folder.exists()
