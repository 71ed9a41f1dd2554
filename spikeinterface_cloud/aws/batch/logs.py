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
        #: whether it existed at a reading
        self.exists = False

    def read(self) -> Iterator[str]:
        """Yield the new lines; none while the stream does not exist yet."""
        while page := self._page():
            self.exists = True
            for event in page["events"]:
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

    def __init__(self, logs: CloudWatchLogsClient) -> None:
        self._logs = logs
        self._streams: dict[str, LogStream] = {}

    def read(self, job: JobState) -> Iterator[str]:
        """Yield the new lines, attempt by attempt."""
        for name in job.log_streams:
            stream = self._streams.setdefault(name, LogStream(self._logs, job.log_group, name))
            try:
                yield from stream.read()
            except AwsError as error:
                if not error.retryable or job.is_over:
                    raise

    @property
    def is_empty(self) -> bool:
        """Whether no stream has existed yet."""
        return not any(stream.exists for stream in self._streams.values())


def show_log(session: AwsSession, job_id: str, show: Callable[[str], None]) -> str | None:
    """Show the log that a job has now, line by line; return why there is none, if there is none."""
    job = look_up_one(session.client("batch"), job_id)
    job.check_is_no_array("a log")
    log = JobLog(session.client("logs"))
    for line in log.read(job):
        show(line)
    return why_empty(job) if log.is_empty else None


def follow_log(
    session: AwsSession,
    job_id: str,
    poll_interval_s: float,
    show: Callable[[str], None],
    echo: Callable[[str], None],
) -> JobState:
    """Pass each line of a job's log to `show` until the job ends, and return its last state.

    Changes of the state go to `echo`; an array has no log, only these.
    """
    log = JobLog(session.client("logs"))
    for state in announce_changes(watch(session.client("batch"), job_id, poll_interval_s), echo):
        for line in log.read(state):
            show(line)
    time.sleep(min(poll_interval_s, DELIVERY_S))
    for line in log.read(state):
        show(line)
    return state


def why_empty(job: JobState) -> str:
    """Return why a job has no log."""
    reason = f": {job.reason}" if job.reason else ""
    if not job.is_over:
        return f"no log yet, {job.job_id} is {job.status}{reason}"
    if job.exit_code is None and job.status == "FAILED":
        return f"no log, as {job.job_id} never started{reason}"
    return f"no log in {job.log_group}; {job.job_id} is {job.status}{reason}"


def _line(event: Any) -> str:
    """Return a line with its time: the program's own have one, others get that of the log."""
    message = str(event["message"]).rstrip("\n")
    logged = datetime.fromtimestamp(event["timestamp"] / 1000, UTC)
    stamp = logged.strftime("%Y-%m-%dT%H:%M:%SZ")
    return message if message[:11] == stamp[:11] else f"{stamp} {message}"
