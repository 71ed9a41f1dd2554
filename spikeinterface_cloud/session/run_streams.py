"""The jobs of a session's streams on this host, one after the other, each a process of its own."""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from spikeinterface_cloud.config.conflicts import SYNONYMS
from spikeinterface_cloud.config.settings import variable_names
from spikeinterface_cloud.errors import Interrupted
from spikeinterface_cloud.runtime.signals import acknowledge
from spikeinterface_cloud.session.streams import Session

logger = logging.getLogger(__name__)


def run_streams(
    session: Session, program: Path, results_folder: Path, secrets: Mapping[str, str]
) -> dict[str, int]:
    """Run the job of each stream; return their exit codes by folder.

    A stream that fails does not affect the others. One that has to be run again ends this job, too.

    Parameters
    ----------
    program
        `run_script.py`
    results_folder
        of the session
    secrets
        the variables that settings do not write

    Raises
    ------
    Interrupted
        as soon as a job ends with 75, or this one is told to stop
    """
    own = {*variable_names(), *SYNONYMS}
    surroundings = {name: text for name, text in os.environ.items() if name not in own}
    exit_codes: dict[str, int] = {}
    for number, stream in enumerate(session.streams, 1):
        logger.info("stream %d of %d: %s", number, len(session.streams), stream.folder)
        variables = session.variables_of(stream, results_folder)
        code = _run([sys.executable, str(program)], {**surroundings, **secrets, **variables})
        if code == os.EX_TEMPFAIL:
            raise Interrupted(
                f"{stream.folder} ended with exit code {code}, its log says why; run the session "
                "again, which resumes"
            )
        logger.info("stream %s ended with exit code %d", stream.folder, code)
        exit_codes[stream.folder] = code
    return exit_codes


def _run(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a job to its end; one that is told to stop publishes what it has before."""
    process = subprocess.Popen(command, env=environment)
    try:
        code = process.wait()
    except Interrupted:
        acknowledge()
        process.send_signal(signal.SIGTERM)
        process.wait()
        raise
    return code if code >= 0 else 128 - code  # as shells have it
