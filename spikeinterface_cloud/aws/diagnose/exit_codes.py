"""What the exit code of a container means, and whether to try again."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping

#: the program's own codes (README, "Exit codes"), what each means and what to do about it
MEANINGS: Mapping[int, tuple[str, str]] = {
    os.EX_CONFIG: (
        "a variable is missing, malformed or contradictory, or names what does not exist",
        "mend it, and submit again",
    ),
    os.EX_NOINPUT: (
        "the source is missing or forbidden",
        "check the source, and that the job role may read it",
    ),
    os.EX_DATAERR: (
        "the source cannot be read as a recording, or cannot be preprocessed",
        "check DATA_TYPE, READ_RECORDING_KWARGS and PREPROCESSING",
    ),
    os.EX_UNAVAILABLE: (
        "a sorter, the GPU, disk or memory that the job needs is not on that machine",
        "use the image that has the sorter, --gpus 1 for Kilosort4, or a larger machine",
    ),
    os.EX_SOFTWARE: (
        "one or more sorters failed; the others' results are at the target",
        "look at the sorters' logs, and at run.json",
    ),
    os.EX_CANTCREAT: (
        "the target cannot be written",
        "let the job role s3:PutObject there",
    ),
    os.EX_TEMPFAIL: (
        "the network gave out, or the machine was taken back, in every attempt",
        "submit again, with more --attempts or to an On-Demand queue",
    ),
    1: ("a bug in this program, whose traceback is in the log", "please report it"),
}

#: codes that are Docker's or the shell's
OF_THE_SYSTEM: Mapping[int, tuple[str, str]] = {
    125: ("Docker could not run the container", "compare the job definition with its image"),
    126: ("the command is not one that can be run", "set it to `python run_script.py`"),
    127: ("there is no such command in the image", "set it to `python run_script.py`"),
    128 + signal.SIGKILL: (
        "it was killed: most often for using more memory than the job asked for, else at its "
        "timeout or with its machine",
        "submit with more --memory, or a lower N_JOBS",
    ),
    128 + signal.SIGSEGV: (
        "a library of a sorter crashed",
        "look at the end of the log; more --memory may help",
    ),
    128 + signal.SIGTERM: (
        "it was asked to end before the program had started: cancelled, at its timeout, or with "
        "its machine",
        "submit again",
    ),
}


def explain_exit_code(code: int) -> tuple[str, str]:
    """What an exit code means, and what to do.

    >>> explain_exit_code(66)[0]
    'the source is missing or forbidden'
    """
    unknown = ("no code of this program", "look at the log; is it this project's image?")
    return MEANINGS.get(code) or OF_THE_SYSTEM.get(code) or unknown
