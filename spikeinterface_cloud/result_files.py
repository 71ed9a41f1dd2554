"""What this program writes into the results, and so may replace or remove; whatever else lies there
is somebody's own, and stays."""

import os
from collections.abc import Sequence
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
        if file.is_file() and is_own(path := file.relative_to(folder).as_posix())
    }


def is_own(path: str) -> bool:
    """Whether this program writes such a file into a sorter's folder.

    >>> is_own("analyzer.zarr/zarr.json"), is_own("output.log"), is_own("my_notes.txt")
    (True, True, False)
    """
    first, _, rest = path.partition("/")
    if rest:
        return first in OWN_FOLDERS
    return path in OWN_FILES or path.endswith(".log")


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
        inner = OWN_FOLDERS if name != COMPARISON else (CONSENSUS,)
        for found in (folder, *(below for each in inner for below in _folders(folder / each))):
            if found.is_dir() and not os.access(found, os.W_OK | os.X_OK, effective_ids=True):
                raise TargetError(
                    f"RESULTS_FOLDER: {found} is of an earlier run and cannot be written by this "
                    "user; give this user the right to, or give the job a folder of its own"
                )


def _folders(folder: Path) -> list[Path]:
    """The folder and all folders below it, those that cannot be read included."""
    return [folder, *(Path(path) / name for path, names, _ in os.walk(folder) for name in names)]
