"""The log of a job: every attempt, every page, and what is still to come."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from spikeinterface_cloud.aws.batch.jobs import JobState, look_up_one
from spikeinterface_cloud.aws.batch.wait import announce_changes, watch
from spikeinterface_cloud.aws.session import AwsSession
from spikeinterface_cloud.aws_errors import AwsError, error_code, translate_errors

#: what a container writes last is in its log some seconds after its end
DELIVERY_S = 5


class LogStream:
    """One stream, read from its start; each reading goes on where the last one ended."""

    def __init__(self, logs: Any, group: str, name: str) -> None:
        self._logs = logs
        self._where = {"logGroupName": group, "logStreamName": name}
        self._token: str | None = None
        #: whether it has been there yet
        self.exists = False

    def read(self) -> Iterator[str]:
        """The lines that have come since; none while the stream does not exist yet."""
        while True:
            page = self._page()
            if page is None:
                return
            self.exists = True
            for event in page["events"]:
                yield _line(event)
            # a page may be empty in the middle: only the same token twice is the end
            if page["nextForwardToken"] == self._token:
                return
            self._token = page["nextForwardToken"]

    def _page(self) -> Any:
        token = {} if self._token is None else {"nextToken": self._token}
        with translate_errors("read the log"):
            try:
                return self._logs.get_log_events(startFromHead=True, **self._where, **token)
            except ClientError as error:
                if error_code(error) != "ResourceNotFoundException":
                    raise
                return None


class JobLog:
    """The log of a job that is no array: the streams of its attempts, as they become known."""

    def __init__(self, logs: Any) -> None:
        self._logs = logs
        self._streams: dict[str, LogStream] = {}

    def read(self, job: JobState) -> Iterator[str]:
        """The lines that are new in this state of the job, attempt by attempt.

        Raises
        ------
        AwsError
            The log may not be read.
        """
        for name in job.log_streams:
            stream = self._streams.setdefault(name, LogStream(self._logs, job.log_group, name))
            try:
                yield from stream.read()
            except AwsError as refusal:
                if not refusal.retryable or job.is_over:
                    raise

    @property
    def is_empty(self) -> bool:
        """Whether no stream has been there."""
        return not any(stream.exists for stream in self._streams.values())


def show_log(session: AwsSession, job_id: str, show: Callable[[str], None]) -> str | None:
    """Show what the log of a job has now, line by line; why there is none, where that is so.

    Raises
    ------
    AwsError
        There is no such job, it is an array, or AWS does not tell.
    """
    job = look_up_one(session.client("batch"), job_id)
    if job.array_size is not None:
        raise AwsError(
            f"{job.job_id} is an array, whose {job.array_size} jobs have a log each; "
            f"name one, from {job.job_id}:0 to {job.job_id}:{job.array_size - 1}"
        )
    log = JobLog(session.client("logs"))
    for line in log.read(job):
        show(line)
    return why_empty(job) if log.is_empty else None


def follow_log(
    session: AwsSession,
    job_id: str,
    interval_s: float,
    show: Callable[[str], None],
    tell: Callable[[str], None],
) -> JobState:
    """Show the log of a job as it comes, line by line; the state in which the job ended.

    Each change of its state is told besides. Of an array, which has no log of its own, there is
    nothing else.

    Raises
    ------
    AwsError
        There is no such job, or AWS refuses for good.
    """
    log = JobLog(session.client("logs"))
    for state in announce_changes(watch(session.client("batch"), job_id, interval_s), tell):
        for line in log.read(state):
            show(line)
    time.sleep(min(interval_s, DELIVERY_S))  # for what is still on its way to the log
    for line in log.read(state):
        show(line)
    return state


def why_empty(job: JobState) -> str:
    """Why a job has no log."""
    reason = f": {job.reason}" if job.reason else ""
    if not job.is_over:
        return f"no log yet, {job.job_id} is {job.status}{reason}"
    if job.exit_code is None and not job.has_succeeded:
        return f"no log, as {job.job_id} never started{reason}"
    return f"no log in {job.log_group}; {job.job_id} is {job.status}{reason}"


def _line(event: Any) -> str:
    """The program's own lines have their time; what others wrote gets that of the log."""
    message = str(event["message"]).rstrip("\n")
    logged = datetime.fromtimestamp(event["timestamp"] / 1000, UTC)
    stamp = logged.strftime("%Y-%m-%dT%H:%M:%SZ")
    return message if message[:11] == stamp[:11] else f"{stamp} {message}"
