"""What is in the way of the results, before a job has spent anything."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from spikeinterface_cloud.errors import TargetError
from spikeinterface_cloud.results.layout import check_replaceable

#: a user who is not root, and owns nothing
NOBODY = 65534

READ_ONLY = stat.S_IRUSR | stat.S_IXUSR | stat.S_IROTH | stat.S_IXOTH


@pytest.fixture
def folder() -> Iterator[Path]:
    """A results folder that every user finds, with an earlier run in it."""
    with TemporaryDirectory() as parent:
        Path(parent).chmod(0o755)
        results = Path(parent) / "results"
        for name in ("simple/sorting", "simple/analyzer.zarr/templates", "comparison/consensus"):
            (results / name).mkdir(parents=True)
        for name in ("run.json", "run.log", "report.html", "simple/output.log"):
            (results / name).touch()
        for path in (results, *results.rglob("*")):
            path.chmod(0o777)
        yield results


@pytest.fixture
def as_another_user() -> Iterator[None]:
    """Root may write everywhere, so that the test has to be somebody else."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.usefixtures("as_another_user")
def test_folder_of_an_earlier_run_is_replaceable(folder: Path) -> None:
    check_replaceable(folder, ["simple", "spykingcircus2"])


@pytest.mark.parametrize(
    "name", ["simple", "simple/sorting", "simple/analyzer.zarr/templates", "comparison"]
)
def test_results_of_another_user_are_refused(
    folder: Path, name: str, request: pytest.FixtureRequest
) -> None:
    (folder / name).chmod(READ_ONLY)
    request.getfixturevalue("as_another_user")
    with pytest.raises(TargetError) as refused:
        check_replaceable(folder, ["simple"])
    assert str(refused.value) == (
        f"RESULTS_FOLDER: {folder / name} is of an earlier run and cannot be written by this user; "
        "give this user write permission, or give the job a folder of its own"
    )


@pytest.mark.usefixtures("as_another_user")
def test_folder_of_a_sorter_that_does_not_run_is_not_checked(folder: Path) -> None:
    (folder / "tridesclous2").mkdir(mode=READ_ONLY)
    check_replaceable(folder, ["simple"])


@pytest.mark.parametrize("name", ["run.json", "run.log", "report.html"])
def test_folder_in_place_of_a_file_is_refused(folder: Path, name: str) -> None:
    (folder / name).unlink()
    (folder / name).mkdir()
    with pytest.raises(TargetError, match=rf"{name} is a folder, where the job has to write"):
        check_replaceable(folder, ["simple"])


@pytest.mark.parametrize("name", ["spykingcircus2", "comparison"])
def test_file_in_place_of_a_folder_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(
        TargetError, match=rf"{name} is not a folder, where the job has to make one"
    ):
        check_replaceable(tmp_path, ["simple", "spykingcircus2"])


@pytest.mark.parametrize("target", ["missing", "simple"])
def test_broken_link_in_place_of_a_folder_is_refused(tmp_path: Path, target: str) -> None:
    """As one to a disk that is not mounted, or to itself."""
    (tmp_path / "simple").symlink_to(target)
    with pytest.raises(TargetError, match="simple is not a folder, where the job has to make one"):
        check_replaceable(tmp_path, ["simple"])
