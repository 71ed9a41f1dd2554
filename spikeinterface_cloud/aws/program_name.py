"""The program's name in messages: the installed command, or the script that was run instead."""

from __future__ import annotations

import shlex
import sys
from pathlib import PurePath

#: the installed command
COMMAND = "spikeinterface-cloud"

#: the stack that `infra up` makes, unless another name is given
DEFAULT_STACK = "spikeinterface-cloud"

#: the script that does the same without an installation
SCRIPT = "submit_job.py"


def command_line(*words: str) -> str:
    """Return a command of this program that works where this one was called, for a shell.

    Examples
    --------
    >>> command_line("infra", "up")
    'spikeinterface-cloud infra up'
    """
    called = sys.argv[0]
    program = ["python", called] if PurePath(called).name == SCRIPT else [COMMAND]
    return shlex.join([*program, *words])
