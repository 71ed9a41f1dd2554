"""The errors that end a job, with the exit codes that the retry rules use.

A message is one line: what happened, why, and what to do about it. Anything that is not a
`CloudJobError` is a bug in this program: it ends the job with code 1 and a traceback.
"""

from collections.abc import Mapping
from typing import NamedTuple


class ExitCode(NamedTuple):
    """The meaning of an exit code, and what to do about it."""

    meaning: str
    remedy: str


#: the exit codes of the container: `diagnose` explains them so, and the reference lists them. They
#: are those of sysexits.h, written as numbers because Windows lacks their names
EXIT_CODES: Mapping[int, ExitCode] = {
    0: ExitCode("every sorter finished; the report names those that found no units", ""),
    78: ExitCode(
        "a variable is missing, malformed or contradictory, or names something that does not exist",
        "correct it and submit again",
    ),
    66: ExitCode(
        "the source is missing or forbidden", "check the source and the job role's access to it"
    ),
    65: ExitCode(
        "the source cannot be read as a recording, or cannot be preprocessed",
        "check DATA_TYPE, READ_RECORDING_KWARGS and PREPROCESSING",
    ),
    69: ExitCode(
        "the host lacks a sorter, the GPU, disk space or memory that the job needs",
        "use the image that has the sorter, `--gpus 1` for Kilosort4, or a larger instance",
    ),
    70: ExitCode(
        "one or more sorters failed; the results of the others are at the target. Or streams of a "
        "session failed, which session.json names. Or the archive of the recording differed from "
        "it when it was read back, and was deleted",
        "read the sorters' logs and run.json",
    ),
    73: ExitCode(
        "the target cannot be written, another job is writing to it, or it holds another job's "
        "results",
        "allow the job role s3:PutObject there, or choose another target",
    ),
    75: ExitCode(
        "the network failed after all retries, AWS reclaimed the instance, or the job was canceled "
        "or reached its timeout",
        "submit again, with more `--attempts` or to an On-Demand queue; after a timeout, with a "
        "longer `--timeout`",
    ),
    1: ExitCode("a bug in this program; the log has the traceback", "report it"),
}

#: the exit code of a command that Ctrl-C ended, as shells have it
INTERRUPTED = 130

#: the exit codes of `spikeinterface-cloud`; `--follow` and `wait` add the container's
COMMAND_EXIT_CODES: Mapping[int, str] = {
    0: "done; `--follow`, `wait`: the container exited with 0",
    1: "AWS refused the request, or there is no such job or bucket; `diagnose`: a check failed; "
    "`results`: no `run.json`; you answered no; `--follow`, `wait`: the job ended without an exit "
    "code of its container, or an array failed",
    2: "a wrong option or variable of an option, or a limit of AWS Batch",
    65: "a session has no stream to sort",
    66: "the list of recordings, a session, or the source of an estimate is empty, missing or "
    "forbidden",
    69: "DANDI's client, which lists a dandiset, is not installed or too old",
    75: "the network failed while a dandiset was listed; try again",
    77: "`--follow`, `wait`: the login expired, or AWS refused to say more about the job, which "
    "goes on",
    78: "a setting is missing, malformed or contradictory, as in the container",
    INTERRUPTED: "Ctrl-C; jobs on AWS go on",
}


def printable(text: str) -> str:
    r"""Return a text from outside with its control characters escaped, for a log or a terminal.

    Line ends would forge lines, and escape sequences would control the terminal.

    >>> printable("µV\n\x1b[31m")
    'µV\\n\\x1b[31m'
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


class CloudJobError(Exception):
    """The base of all errors that a user or a retry can resolve."""

    exit_code: int = 70


class SettingsError(CloudJobError, ValueError):
    """A variable is missing, malformed, contradictory, or names something unknown (78)."""

    exit_code = 78


class SourceError(CloudJobError):
    """The source, or a file it needs, is missing or forbidden (66)."""

    exit_code = 66


class KeyNeeded(SourceError):
    """The source can be read with a key only, and none is given (66)."""


class RecordingError(CloudJobError):
    """The source cannot be read as a recording, or cannot be preprocessed (65)."""

    exit_code = 65


class UnavailableError(CloudJobError):
    """The host lacks a sorter, the GPU, disk space or memory that the job needs (69)."""

    exit_code = 69


class SortingError(CloudJobError):
    """One or more sorters or streams failed; the others' results are published (70)."""

    exit_code = 70


class ArchiveError(CloudJobError):
    """The archive of the recording differs from it (70)."""

    exit_code = 70


class TargetError(CloudJobError):
    """The target cannot be written (73)."""

    exit_code = 73


class TransferError(CloudJobError, OSError):
    """The network failed after all retries (75); Batch runs the job again."""

    exit_code = 75

    def __init__(self, operation: str, source: str, destination: str, reason: str) -> None:
        super().__init__(
            f"{operation} {source} -> {destination}: {reason}; "
            "the network gave out after its retries, so run the job again"
        )
        self.operation = operation
        self.source = source
        self.destination = destination


class Interrupted(KeyboardInterrupt):
    """The job was told to stop, or its instance is being reclaimed (75); Batch runs it again.

    A `KeyboardInterrupt`, so that no library that catches every `Exception` can swallow it.
    """

    exit_code = 75


class ClaimLost(Interrupted):
    """Another attempt writes to the target now, so that this one must not (73)."""

    exit_code = 73
