"""Every way a job can end badly, each with the exit code that the retry rules use.

A message is one line: what happened, why, and what to do about it. Anything that is not a
`CloudJobError` is a bug of this program and leaves with code 1 and its traceback.
"""

import os


class CloudJobError(Exception):
    """The root of the errors that a user, or a retry, can mend."""

    exit_code: int = os.EX_SOFTWARE


class SettingsError(CloudJobError, ValueError):
    """A variable is missing, malformed, contradictory, or names what does not exist (78)."""

    exit_code = os.EX_CONFIG


class SourceError(CloudJobError):
    """The source, or a file it needs, is missing or forbidden (66)."""

    exit_code = os.EX_NOINPUT


class RecordingError(CloudJobError):
    """What was fetched cannot be read as a recording, or cannot be preprocessed (65)."""

    exit_code = os.EX_DATAERR


class UnavailableError(CloudJobError):
    """A sorter, the GPU, disk or memory that the job needs is not on this machine (69)."""

    exit_code = os.EX_UNAVAILABLE


class SortingError(CloudJobError):
    """One or more sorters failed; what the others found is published (70)."""

    exit_code = os.EX_SOFTWARE


class TargetError(CloudJobError):
    """The target cannot be written (73)."""

    exit_code = os.EX_CANTCREAT


class TransferError(CloudJobError, OSError):
    """The network gave out after its retries (75); Batch tries the job again."""

    exit_code = os.EX_TEMPFAIL

    def __init__(self, operation: str, source: str, destination: str, reason: str) -> None:
        super().__init__(
            f"{operation} {source} -> {destination}: {reason}; "
            "the network gave out after its retries, so run the job again"
        )
        self.operation = operation
        self.source = source
        self.destination = destination


class Interrupted(KeyboardInterrupt):
    """The machine is being taken back (75); Batch tries the job again elsewhere.

    Rooted in `KeyboardInterrupt`, as no library that catches every `Exception` may swallow it.
    """

    exit_code = os.EX_TEMPFAIL


class ClaimLost(Interrupted):
    """Another attempt writes to the target now, so that this one must not (73)."""

    exit_code = os.EX_CANTCREAT
