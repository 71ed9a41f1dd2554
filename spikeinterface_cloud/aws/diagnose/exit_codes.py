"""The meaning of a container's exit code, and what to do about it."""

from __future__ import annotations

import signal
from collections.abc import Mapping

from spikeinterface_cloud.errors import EXIT_CODES, ExitCode

#: the exit codes of Docker and the shell
SYSTEM_EXIT_CODES: Mapping[int, ExitCode] = {
    125: ExitCode("Docker could not run the container", "compare the job definition to its image"),
    126: ExitCode("the command cannot be executed", "set it to `python run_script.py`"),
    127: ExitCode("the image has no such command", "set it to `python run_script.py`"),
    128 + signal.SIGKILL: ExitCode(
        "it was killed: usually for using more memory than the job requested, otherwise at its "
        "timeout or with its instance",
        "submit with more --memory, or a lower N_JOBS",
    ),
    128 + signal.SIGSEGV: ExitCode(
        "a library of a sorter crashed", "read the end of the log; more --memory may help"
    ),
    128 + signal.SIGTERM: ExitCode(
        "it was stopped before the program had started: canceled, at its timeout, or with its "
        "instance",
        "submit again",
    ),
}


def explain_exit_code(code: int) -> ExitCode:
    """Return the meaning of an exit code, and what to do.

    >>> explain_exit_code(66).meaning
    'the source is missing or forbidden'
    """
    unknown = ExitCode(
        "not an exit code of this program", "read the log; is it this project's image?"
    )
    return EXIT_CODES.get(code) or SYSTEM_EXIT_CODES.get(code) or unknown
