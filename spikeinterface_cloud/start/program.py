"""The start of a job, before its imports, which take seconds: options, first log line, settings."""

import argparse
import logging
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from spikeinterface_cloud import __version__
from spikeinterface_cloud.array_job import read_settings
from spikeinterface_cloud.config.dotenv import load_env_file
from spikeinterface_cloud.config.settings import JobSettings
from spikeinterface_cloud.errors import CloudJobError, Interrupted
from spikeinterface_cloud.runtime.logging import configure_logging
from spikeinterface_cloud.runtime.numba_cache import enable_numba_cache, use_cache_of_image

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """What the program was asked for."""

    #: None if only the checks are to run, which read them themselves
    settings: JobSettings | None
    only_gather: bool
    part_of_session: bool


def start(description: str) -> Start:
    """Read the options and the settings, and prepare Numba.

    Wrong settings end the program, with their exit code.
    """
    options = _options(description)
    configure_logging()
    try:
        load_env_file(Path(".env"))
        if not options.check:
            logger.info("spikeinterface_cloud %s starts", __version__)
        settings = None if options.check else read_settings(os.environ)
    except CloudJobError as error:
        sys.exit(log_error(error))
    use_cache_of_image()
    enable_numba_cache()
    return Start(
        settings=settings,
        only_gather=options.gather,
        part_of_session=options.part_of_session,
    )


def log_error(error: CloudJobError | Interrupted) -> int:
    """Log the error that ends the job, and return its exit code."""
    for line in str(error).splitlines():
        logger.error("%s", line)
    return error.exit_code


def _options(description: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description)
    modes = parser.add_mutually_exclusive_group()
    modes.add_argument("--check", action="store_true", help="run only the checks")
    modes.add_argument(
        "--gather",
        action="store_true",
        help="gather the results of the streams of a session (STREAMS)",
    )
    modes.add_argument(
        "--part-of-session",
        action="store_true",
        help="sort one stream of a session in AWS Batch: exit with 0 even if it failed for good, "
        "once run.json is at the target, so that Batch starts the gathering job, which reports it",
    )
    return parser.parse_args()
