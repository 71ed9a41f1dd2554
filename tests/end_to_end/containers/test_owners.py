"""Whoever owns the mounted folders, the job can write there, and what it writes has that owner."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.end_to_end.containers.containers import run_container

pytestmark = [
    pytest.mark.integration,
    pytest.mark.docker,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can give folders away"),
]

#: nobody on the host or in the image has this number
STRANGER = 4321

#: the image's own user
OWN = 1000

WRITE = (
    'mkdir "$RESULTS/run" && touch "$RESULTS/run/file" /scratch/file &&'
    ' stat --format=%u:%g "$RESULTS/run" "$RESULTS/run/file"'
)


def write(image: str, mounts: list[str], results: str = "/results", *options: str) -> list[str]:
    """The owners of a folder and a file that the job makes in its results."""
    done = run_container(
        image,
        "sh",
        "-c",
        WRITE,
        variables={"RESULTS": results, "RESULTS_FOLDER": results},
        options=[*(f"--volume={mount}" for mount in mounts), *options],
    )
    assert done.exit_code == 0, done.log
    assert done.log == ""
    return done.output.split()


@pytest.fixture(params=[0, STRANGER], ids=["root's scratch", "a stranger's scratch"])
def scratch(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir(mode=0o755)
    os.chown(folder, request.param, request.param)
    return folder


def test_a_user_s_folder_fills_with_files_of_that_user(
    image: str, tmp_path: Path, scratch: Path
) -> None:
    folder = tmp_path / "results"
    folder.mkdir(mode=0o700)
    os.chown(folder, STRANGER, STRANGER)
    owners = write(image, [f"{folder}:/results", f"{scratch}:/scratch"])
    assert owners == [f"{STRANGER}:{STRANGER}"] * 2
    assert (folder.stat().st_uid, folder.stat().st_mode & 0o777) == (STRANGER, 0o700)


def test_a_folder_that_the_engine_made_is_given_to_the_image_s_user(
    image: str, tmp_path: Path, scratch: Path
) -> None:
    folder = tmp_path / "new"
    owners = write(image, [f"{folder}:/results", f"{scratch}:/scratch"])
    assert owners == [f"{OWN}:{OWN}"] * 2
    assert folder.stat().st_uid == OWN


def test_root_s_open_folder_stays_root_s(image: str, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    folder.chmod(0o777)
    assert write(image, [f"{folder}:/results"]) == [f"{OWN}:{OWN}"] * 2
    assert folder.stat().st_uid == 0


def test_a_results_folder_within_a_mount_has_the_mount_s_owner(image: str, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    os.chown(folder, STRANGER, STRANGER)
    owners = write(image, [f"{folder}:/data"], "/data/runs/first")
    assert owners == [f"{STRANGER}:{STRANGER}"] * 2
    assert (folder / "runs" / "first").stat().st_uid == STRANGER


def test_the_user_that_is_asked_for_is_kept(image: str, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    os.chown(folder, STRANGER + 1, STRANGER + 1)
    folder.chmod(0o777)
    owners = write(image, [f"{folder}:/results"], "/results", f"--user={STRANGER}:{STRANGER}")
    assert owners == [f"{STRANGER}:{STRANGER}"] * 2


def test_a_read_only_folder_is_the_job_s_refusal(image: str, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    done = run_container(
        image,
        variables={"TEST_WITH_TOY_RECORDING": "yes", "SORTERS": "simple"},
        options=[f"--volume={folder}:/results:ro"],
    )
    assert done.exit_code == os.EX_CANTCREAT
    assert "RESULTS_FOLDER: /results cannot be written" in done.log
