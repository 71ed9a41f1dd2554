"""What this program writes into the results, and so may replace or remove; whatever else lies there
is somebody's own, and stays."""

import os
import re
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path

from spikeinterface_cloud.errors import TargetError

RECORD = "run.json"
LOG = "run.log"
REPORT = "report.html"
COMPARISON = "comparison"
#: says which job writes to the target
CLAIM = "claim.json"

#: for people to change: phy writes its user's decisions there
FOR_PEOPLE = "phy/"

#: in the folder of a sorter: what it found, before the analysis and after
RAW_SORTING = "raw_sorting"
SORTING = "sorting"
ANALYZER = "analyzer.zarr"

#: where the logs of a sorter that failed lie, beside what an earlier run found with it
FAILED = "failed"

#: what this program writes into the folder, and may remove; a user's own files stay
OWN_FOLDERS = (RAW_SORTING, SORTING, ANALYZER, "phy", FAILED)
#: the logs of each try of a sorter, and of each group of channels by itself
OWN_LOGS = re.compile(r"(try|group)-\d+")
OWN_FILES = ("units.nwb", "quality_metrics.csv", "unit_labels.csv", "sorter_log.json")

#: in the folder of the comparison: the sorting that two or more sorters agree on
CONSENSUS = "consensus"
#: a line a pair of matching units
AGREEMENT = "agreement.csv"
#: a line and a column a sorter
AGREEMENT_MATRIX = "agreement_matrix.csv"
#: a line a neuron that one or more sorters found, with their number
CONSENSUS_UNITS = "consensus_units.csv"
#: behind a sorter's name: a line a true unit, where the truth is known
ACCURACY = "_accuracy.csv"


def files_of(folder: Path) -> dict[str, Path]:
    """This program's files in a sorter's folder by their path in there, the record aside."""
    return {
        path: file
        for file in sorted(folder.rglob("*"))
        if file.is_file() and is_managed(path := file.relative_to(folder).as_posix())
    }


def is_managed(path: str) -> bool:
    """Whether this program writes such a file into a sorter's folder.

    >>> is_managed("analyzer.zarr/zarr.json"), is_managed("output.log"), is_managed("my_notes.txt")
    (True, True, False)
    """
    first, _, rest = path.partition("/")
    if rest:
        return is_own_folder(first)
    return path in OWN_FILES or path.endswith(".log")


def is_own_folder(name: str) -> bool:
    """Whether this program makes such a folder in that of a sorter.

    >>> is_own_folder("sorting"), is_own_folder("try-1"), is_own_folder("figures")
    (True, True, False)
    """
    return name in OWN_FOLDERS or OWN_LOGS.fullmatch(name) is not None


def own_entries(folder: Path) -> list[Path]:
    """The files and folders that this program has written into the folder of a sorter, the record
    of what is finished aside."""
    return [
        path
        for path in (folder.iterdir() if folder.is_dir() else ())
        if (is_own_folder(path.name) if path.is_dir() else is_managed(path.name))
    ]


def move_managed(source: Path, destination: Path, but: Collection[str] = ()) -> None:
    """Move what this program has written into the folder of a sorter, over what is there of the
    same name, but for what is named in `but`; `destination` is made."""
    destination.mkdir(parents=True, exist_ok=True)
    for path in own_entries(source):
        if path.name in but:
            continue
        place = destination / path.name
        if place.is_dir():
            shutil.rmtree(place)
        path.replace(place)


def remove_own(folder: Path, but: Collection[str] = ()) -> None:
    """Remove what this program has written into the folder of a sorter, but for what is named in
    `but`."""
    for path in own_entries(folder):
        if path.name in but:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def is_comparison(path: str) -> bool:
    """Whether this program writes such a file into the folder of the comparison.

    >>> is_comparison("consensus/spikes.npy"), is_comparison("simple_accuracy.csv")
    (True, True)
    >>> is_comparison("by_hand.xlsx"), is_comparison("mine/agreement.csv")
    (False, False)
    """
    first, _, rest = path.partition("/")
    if rest:
        return first == CONSENSUS
    return path in (AGREEMENT, AGREEMENT_MATRIX, CONSENSUS_UNITS) or path.endswith(ACCURACY)


def check_replaceable(results_folder: Path, sorters: Sequence[str]) -> None:
    """Make sure that what a run will write can take the place of what an earlier one has left.

    Raises
    ------
    TargetError
        a folder is where a file has to be, or the other way round, or it is another user's
    """
    for name in (RECORD, LOG, REPORT):
        if (results_folder / name).is_dir():
            raise TargetError(
                f"RESULTS_FOLDER: {results_folder / name} is a folder, where the job has to write "
                "a file; move it away, or give the job a folder of its own"
            )
    for name in (*sorters, COMPARISON):
        folder = results_folder / name
        if folder.exists() and not folder.is_dir():
            raise TargetError(
                f"RESULTS_FOLDER: {folder} is no folder, where the job has to make one; move it "
                "away, or give the job a folder of its own"
            )
        _check_writable(folder)
        for each in [folder / CONSENSUS] if name == COMPARISON else own_entries(folder):
            for found in _folders(each):
                _check_writable(found)


def _check_writable(folder: Path) -> None:
    if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
        raise TargetError(
            f"RESULTS_FOLDER: {folder} is of an earlier run and cannot be written by this user; "
            "give this user the right to, or give the job a folder of its own"
        )


def _folders(folder: Path) -> list[Path]:
    """The folder and all folders below it, those that cannot be read included."""
    return [folder, *(Path(path) / name for path, names, _ in os.walk(folder) for name in names)]
