"""Names of the files that this program writes into the results.

It may replace and remove these; all other files belong to the user and stay.
"""

import os
import re
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from spikeinterface_cloud.config.locations import ARCHIVE
from spikeinterface_cloud.errors import TargetError

RECORD = "run.json"
LOG = "run.log"
#: the edges of the stream's sync line
SYNC = "sync.json"
#: the log's name until it is clear that `run.log` of an earlier run may be replaced
NEW_LOG = ".run.log"
REPORT = "report.html"
#: of a session: the folder of what was gathered, beside those of its streams
SESSION = "session"
SESSION_RECORD = "session.json"
SESSION_PAGE = "session.html"
CLOCK_FILE = "clock.json"
EVENTS_FILE = "events.csv"
COMPARISON = "comparison"
#: in the folder of the archive, which is named in config.locations: identifies the recording, and
#: lists the files
ARCHIVED = "archive.json"
#: the lock of a target: names the job that writes to it
CLAIM = "claim.json"

#: written last into a sorter's folder
COMPLETED = "completed.json"

#: phy writes its user's decisions here
FOR_PEOPLE = "phy/"

#: in a sorter's folder: the sorting before the analysis, and after
RAW_SORTING = "raw_sorting"
SORTING = "sorting"
ANALYZER = "analyzer.zarr"

METRICS = "quality_metrics.csv"
LABELS = "unit_labels.csv"
UNITS = "units.nwb"
PHY = "phy"

#: of joined recordings: a folder for each, named by its number
RECORDINGS = "recordings"

#: what is gathered of a session: the record goes first where it is removed, and comes last
SESSION_FILES = (SESSION_RECORD, SESSION_PAGE, CLOCK_FILE, EVENTS_FILE, UNITS)

OWN_FOLDERS = (RAW_SORTING, SORTING, ANALYZER, PHY, RECORDINGS)
#: the logs of each try of a sorter, and of each group of channels
OWN_LOGS = re.compile(r"(try|group)-\d+")
SORTER_LOG = "sorter_log.json"
OWN_FILES = (UNITS, METRICS, LABELS, SORTER_LOG)

#: in the folder of the comparison: the sorting that two or more sorters agree on
CONSENSUS = "consensus"
#: one line per pair of matching units
AGREEMENT = "agreement.csv"
#: one row and one column per sorter
AGREEMENT_MATRIX = "agreement_matrix.csv"
#: one line per neuron that any sorter found, with the number of sorters
CONSENSUS_UNITS = "consensus_units.csv"
#: suffix of a sorter's name: one line per true unit, where the ground truth is known
ACCURACY = "_accuracy.csv"

#: what the results hold, by path: the reference lists it
CONTENTS: Mapping[str, str] = {
    RECORD: "status, settings (secrets masked), versions, seconds and bytes of each step, outcome "
    "of each sorter; written last",
    REPORT: "the recording, the units of each sorter, time and cost, on one page",
    LOG: "the log of the job",
    SYNC: "with `CLOCK`: the edges of the stream's sync line, in seconds on its own clock",
    f"<sorter>/{SORTING}/": 'the units: `spikeinterface.load("<sorter>/sorting")`',
    f"<sorter>/{ANALYZER}/": "waveforms, templates, metrics and more: "
    '`spikeinterface.load_sorting_analyzer("<sorter>/analyzer.zarr")`',
    f"<sorter>/{METRICS}": "quality metrics, a line for each unit",
    f"<sorter>/{LABELS}": "good, mua or noise by thresholds and by bombcell, and the metric that "
    "decided",
    f"<sorter>/{UNITS}": "with `EXPORTS=nwb`; opens with pynwb or "
    "`spikeinterface.extractors.read_nwb_sorting`",
    f"<sorter>/{PHY}/": "with `EXPORTS=phy`: `phy template-gui <sorter>/phy/params.py`",
    f"<sorter>/{RECORDINGS}/": "of several recordings that were joined: `1/sorting/` has the same "
    "units with the spikes of the first, and so on; with `EXPORTS=nwb`, `1/units.nwb` is on its "
    "own clock, and there is none for all",
    f"<sorter>/{SORTER_LOG}": "SpikeInterface's log of the sorter",
    "<sorter>/*.log": "the sorter's own logs; those of a try that ran out of memory are in "
    "`try-1/`, ..., those of a group of channels in `group-0/`, ...",
    f"<sorter>/{RAW_SORTING}/": "the units until their analysis ends",
    f"<sorter>/{COMPLETED}": "identifies the job and lists the files; written last into the folder",
    f"{COMPARISON}/{AGREEMENT}": "pairs of units of two sorters, and the fraction of spikes that "
    "they share",
    f"{COMPARISON}/{AGREEMENT_MATRIX}": "fraction of the units of the row's sorter that the "
    "column's also found",
    f"{COMPARISON}/{CONSENSUS_UNITS}": "every neuron, the number of sorters that found it, and its "
    "unit in each",
    f"{COMPARISON}/{CONSENSUS}/": "units that two or more sorters found: "
    '`spikeinterface.load("comparison/consensus")`',
    f"{COMPARISON}/<sorter>{ACCURACY}": "where the true units are known: the accuracy of each",
    f"{ARCHIVE}/": "with `ARCHIVE=zarr`: the recording as it was read, compressed without loss: "
    '`spikeinterface.load("recording.zarr")`',
    f"{ARCHIVE}/{ARCHIVED}": "identifies the recording and lists the files; written last",
    f"{SESSION}/{SESSION_RECORD}": "of a session, with the files above in a folder for each "
    "stream: how each ended, its sorters, clocks and events; written last",
    f"{SESSION}/{SESSION_PAGE}": "the streams side by side, on one page",
    f"{SESSION}/{CLOCK_FILE}": "how the clock of each stream is mapped to the reference",
    f"{SESSION}/{EVENTS_FILE}": "the pulses of the streams that are not sorted, in seconds",
    f"{SESSION}/{UNITS}": "with `EXPORTS=nwb`: the units of all streams and sorters",
    CLAIM: "the lock of the target while a job writes to it",
}


def managed_files(folder: Path) -> dict[str, Path]:
    """Return this program's files in a sorter's folder, without `completed.json`, by path."""
    return {path: file for path, file in files_below(folder).items() if is_managed(path)}


def is_managed(path: str) -> bool:
    """Return whether this program writes such a file into a sorter's folder.

    >>> is_managed("analyzer.zarr/zarr.json"), is_managed("output.log"), is_managed("my_notes.txt")
    (True, True, False)
    """
    first, _, rest = path.partition("/")
    if rest:
        return is_own_folder(first)
    return path in OWN_FILES or path.endswith(".log")


def is_own_folder(name: str) -> bool:
    """Return whether this program makes such a folder in a sorter's folder.

    >>> is_own_folder("sorting"), is_own_folder("try-1"), is_own_folder("figures")
    (True, True, False)
    """
    return name in OWN_FOLDERS or OWN_LOGS.fullmatch(name) is not None


def _own_entries(folder: Path) -> list[Path]:
    return [
        path
        for path in (folder.iterdir() if folder.is_dir() else ())
        if (is_own_folder(path.name) if path.is_dir() else is_managed(path.name))
    ]


def remove_managed(folder: Path, keep: Collection[str] = ()) -> None:
    """Remove this program's files and folders from a sorter's folder.

    `completed.json` and the names in `keep` stay.
    """
    for path in _own_entries(folder):
        if path.name in keep:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def is_comparison(path: str) -> bool:
    """Return whether this program writes such a file into the folder of the comparison.

    >>> is_comparison("consensus/spikes.npy"), is_comparison("simple_accuracy.csv")
    (True, True)
    >>> is_comparison("by_hand.xlsx"), is_comparison("mine/agreement.csv")
    (False, False)
    """
    first, _, rest = path.partition("/")
    if rest:
        return first == CONSENSUS
    return path in (AGREEMENT, AGREEMENT_MATRIX, CONSENSUS_UNITS) or path.endswith(ACCURACY)


def comparison_files(results_folder: Path) -> dict[str, Path]:
    """Return this program's files in the folder of the comparison, by path."""
    below = files_below(results_folder / COMPARISON)
    return {path: file for path, file in below.items() if is_comparison(path)}


def files_below(folder: Path) -> dict[str, Path]:
    """Return all files in a folder, at any depth, by path."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): file for file in files}


def check_replaceable(results_folder: Path, sorters: Sequence[str]) -> None:
    """Make sure that the job can write its results over those of an earlier run."""
    for name in (RECORD, LOG, REPORT, SYNC):
        if (results_folder / name).is_dir():
            raise TargetError(
                f"RESULTS_FOLDER: {results_folder / name} is a folder, where the job has to write "
                "a file; move it away, or give the job a folder of its own"
            )
    for name in (*sorters, COMPARISON, ARCHIVE):
        folder = results_folder / name
        if os.path.lexists(folder) and not folder.is_dir():  # a link to an unmounted disk, too
            raise TargetError(
                f"RESULTS_FOLDER: {folder} is not a folder, where the job has to make one; move it "
                "away, or give the job a folder of its own"
            )
        _check_writable(folder)
        own = [folder / CONSENSUS] if name == COMPARISON else _own_entries(folder)
        for below in (below for entry in own for below in _folders(entry)):
            _check_writable(below)


def _check_writable(folder: Path) -> None:
    if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
        raise TargetError(
            f"RESULTS_FOLDER: {folder} is of an earlier run and cannot be written by this user; "
            "give this user write permission, or give the job a folder of its own"
        )


def _folders(folder: Path) -> list[Path]:
    """Return the folder and all folders below it, including those that cannot be read."""
    return [folder, *(Path(path) / name for path, names, _ in os.walk(folder) for name in names)]
