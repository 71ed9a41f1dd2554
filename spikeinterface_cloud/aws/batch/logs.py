"""The log of a job: every attempt, every page, and the lines that are still to come."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from spikeinterface_cloud.aws.batch.jobs import JobState, look_up_one
from spikeinterface_cloud.aws.batch.wait import announce_changes, watch
from spikeinterface_cloud.aws.session import AwsSession
from spikeinterface_cloud.aws_errors import AwsError, error_code, translate_errors
from spikeinterface_cloud.errors import printable

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

#: the last lines of a container reach its log some seconds after its end
DELIVERY_S = 5


class LogStream:
    """One stream; each reading goes on where the last one ended."""

    def __init__(self, logs: CloudWatchLogsClient, group: str, name: str) -> None:
        self._logs = logs
        self._location = {"logGroupName": group, "logStreamName": name}
        self._token: str | None = None
        #: whether it existed at a reading, and had lines
        self.exists = False
        self.has_lines = False

    def read(self) -> Iterator[str]:
        """Yield the new lines; none while the stream does not exist yet."""
        while page := self._page():
            self.exists = True
            for event in page["events"]:
                self.has_lines = True
                yield _line(event)
            # a page may be empty in the middle: only the same token twice is the end
            if page["nextForwardToken"] == self._token:
                return
            self._token = page["nextForwardToken"]

    def _page(self) -> Any:
        arguments: Any = self._location | ({"nextToken": self._token} if self._token else {})
        with translate_errors("read the log"):
            try:
                return self._logs.get_log_events(startFromHead=True, **arguments)
            except ClientError as error:
                if error_code(error) != "ResourceNotFoundException":
                    raise
                return None


class JobLog:
    """The log of a job that is no array: the streams of its attempts, as they become known."""

    def __init__(self, session: AwsSession) -> None:
        self._session = session
        self._streams: dict[str, LogStream] = {}

    def read(self, job: JobState) -> Iterator[str]:
        """Yield the new lines, attempt by attempt."""
        if job.log_driver != "awslogs":
            return
        logs = self._session.client("logs", job.log_region)
        for name in job.log_streams:
            stream = self._streams.setdefault(name, LogStream(logs, job.log_group, name))
            try:
                yield from stream.read()
            except AwsError as error:
                if not error.retryable or job.is_over:
                    raise

    def why_empty(self, job: JobState) -> str | None:
        """Return why no line has been read; None if some have."""
        if any(stream.has_lines for stream in self._streams.values()):
            return None
        reason = f": {job.reason}" if job.reason else ""
        place = f"{job.log_group} of {job.log_region}" if job.log_region else job.log_group
        if job.foreign_kind and not job.log_streams:
            return (
                f"{job.job_id} {job.foreign_kind}, whose log this program does not find; the "
                "console of AWS Batch links to it"
            )
        if job.log_driver != "awslogs":
            return f"{job.job_id} logs by {job.log_driver}, which this program cannot read"
        if not job.is_over:
            return f"no log yet, {job.job_id} is {job.status}{reason}"
        if job.exit_code is None and job.status == "FAILED":
            return f"no log, as {job.job_id} never started{reason}"
        if any(stream.exists for stream in self._streams.values()):
            return (
                f"no lines left in {place}, which deletes them after its retention; "
                f"{job.job_id} is {job.status}{reason}"
            )
        return f"no log in {place}; {job.job_id} is {job.status}{reason}"


def show_log(session: AwsSession, job_id: str, show: Callable[[str], None]) -> str | None:
    """Show the log that a job has now, line by line; return why there is none, if there is none."""
    job = look_up_one(session.client("batch"), job_id)
    job.check_is_no_array("a log")
    log = JobLog(session)
    for line in log.read(job):
        show(line)
    return log.why_empty(job)


def follow_log(
    session: AwsSession,
    job_id: str,
    poll_interval_s: float,
    show: Callable[[str], None],
    echo: Callable[[str], None],
    *,
    is_known: bool,
) -> JobState:
    """Pass each line of a job's log to `show` until the job ends, and return its last state.

    Changes of the state go to `echo`, as does a log that cannot be read, which does not end the
    watching; an array has no log.
    """
    log = JobLog(session)
    problems: set[str] = set()

    def show_new_lines(state: JobState) -> None:
        try:
            for line in log.read(state):
                show(line)
        except AwsError as error:
            if str(error) not in problems:
                echo(f"note: {error}; the job is watched without its log")
            problems.add(str(error))

    states = watch(session.client("batch"), [job_id], poll_interval_s, are_known=is_known)
    for state in announce_changes(states, echo):
        show_new_lines(state)
    time.sleep(min(poll_interval_s, DELIVERY_S))
    show_new_lines(state)
    has_run = state.exit_code is not None and state.array_size is None
    if has_run and not problems and (why := log.why_empty(state)):
        echo(f"note: {why}")
    return state


def _line(event: Any) -> str:
    """Return a line with its time: the program's own have one, others get that of the log."""
    message = printable(str(event["message"]).rstrip("\r\n").expandtabs())
    logged = datetime.fromtimestamp(event["timestamp"] / 1000, UTC)
    stamp = logged.strftime("%Y-%m-%dT%H:%M:%SZ")
    return message if message[:11] == stamp[:11] else f"{stamp} {message}"
