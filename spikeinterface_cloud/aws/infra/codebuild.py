"""A build of CodeBuild: started, watched with its log until its end, or stopped."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from spikeinterface_cloud.aws.batch.logs import DELIVERY_S, LogStream
from spikeinterface_cloud.aws.batch.wait import WatchError
from spikeinterface_cloud.aws.session import AwsSession
from spikeinterface_cloud.aws_errors import AwsError, Hints, one_line, translate_errors
from spikeinterface_cloud.errors import printable

if TYPE_CHECKING:
    from mypy_boto3_codebuild import CodeBuildClient
    from mypy_boto3_codebuild.type_defs import BuildTypeDef

logger = logging.getLogger(__name__)

HINTS: Hints = (
    (
        ("project cannot be found", "project does not exist"),
        "run `infra up` with the same --stack, which creates it",
    ),
    (
        ("cannot have more than", "limit", "quota"),
        "ask AWS for a higher quota of concurrent builds (Service Quotas, AWS CodeBuild), or wait "
        "until another build ends; `make push` needs neither",
    ),
    (("build id",), "check the id and --region"),
)

#: what each status of a build that failed means, and what to do
FAILURES: Mapping[str, tuple[str, str]] = {
    "FAILED": ("failed", "correct what its last lines name, then run the same command again"),
    "FAULT": ("ended by a fault of CodeBuild", "run the same command again"),
    "STOPPED": ("was stopped", "run the same command again to build the image"),
    "TIMED_OUT": (
        "was ended by its time limit",
        "run the same command again, as the network may have been slow",
    ),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildState:
    """CodeBuild's description of a build."""

    build_id: str
    #: IN_PROGRESS until the end, then SUCCEEDED or one of FAILURES
    status: str
    phase: str
    #: in CodeBuild's words, why a phase failed; empty if none did
    reason: str
    #: empty until the build has a log
    log_group: str
    log_stream: str
    #: like BUILD_GENERAL1_MEDIUM
    compute_type: str
    started: datetime | None
    ended: datetime | None

    @property
    def is_over(self) -> bool:
        """Whether the build has ended."""
        return self.status != "IN_PROGRESS"

    @property
    def seconds(self) -> float:
        """The time from the start to the end; 0 before the end."""
        if self.started is None or self.ended is None:
            return 0.0
        return (self.ended - self.started).total_seconds()

    @property
    def billed_minutes(self) -> int:
        """The time that AWS charges for: every minute that has begun."""
        return math.ceil(self.seconds / 60)


def start(session: AwsSession, project: str, source: str, variables: Mapping[str, str]) -> str:
    """Start a build of a context on S3 (`bucket/key`); return its id.

    Raises AwsError (there is no such project, or AWS refuses).
    """
    client: CodeBuildClient = session.client("codebuild")
    with translate_errors(f"start a build of the project {project}", hints=HINTS):
        reply = client.start_build(
            projectName=project,
            sourceTypeOverride="S3",
            sourceLocationOverride=source,
            environmentVariablesOverride=[
                {"name": name, "value": value, "type": "PLAINTEXT"}
                for name, value in variables.items()
            ],
        )
    return reply["build"]["id"]


def stop(session: AwsSession, build_id: str) -> None:
    """Stop a build; one that has ended stays as it is."""
    client: CodeBuildClient = session.client("codebuild")
    with translate_errors(f"stop the build {build_id}", hints=HINTS):
        client.stop_build(id=build_id)


def look_up(session: AwsSession, build_id: str) -> BuildState:
    """Return the state of a build; AwsError if there is none of this id."""
    client: CodeBuildClient = session.client("codebuild")
    with translate_errors(f"look up the build {build_id}", hints=HINTS):
        builds = client.batch_get_builds(ids=[build_id])["builds"]
    if not builds:
        raise AwsError(
            f"there is no build {printable(build_id)} in {client.meta.region_name}; "
            "check the id and --region"
        )
    return _state(builds[0])


def follow(
    session: AwsSession, build_id: str, interval_s: float, echo: Callable[[str], None]
) -> BuildState:
    """Pass each phase of a build and each line of its log to `echo`; return the last state.

    A log that cannot be read does not end the watching. Raises WatchError (AWS refuses to say how
    the build is; it goes on).
    """
    log, phase = BuildLog(session, echo), ""
    while True:
        state = _query(session, build_id, interval_s)
        if state.phase != phase and not state.is_over:
            phase = state.phase
            echo(f"build {build_id}: {phase}")
        for line in log.read(state):
            echo(line)
        if state.is_over:
            break
        time.sleep(interval_s)
    time.sleep(min(interval_s, DELIVERY_S))
    for line in log.read(state):
        echo(line)
    return state


class BuildLog:
    """The log of one build, which begins some time after the build."""

    def __init__(self, session: AwsSession, echo: Callable[[str], None]) -> None:
        self._session = session
        self._echo = echo
        self._stream: LogStream | None = None
        self._problems: set[str] = set()

    def read(self, state: BuildState) -> Iterator[str]:
        """Yield the new lines; say once why there are none."""
        if not state.log_group or not state.log_stream:
            return
        if self._stream is None:
            client = self._session.client("logs")
            self._stream = LogStream(client, state.log_group, state.log_stream)
        try:
            yield from self._stream.read()
        except AwsError as error:
            if str(error) not in self._problems and not error.retryable:
                self._echo(f"note: {error}; the build is watched without its log")
            self._problems.add(str(error))


def check_outcome(state: BuildState) -> None:
    """Refuse a build that did not succeed; AwsError, with CodeBuild's reason and the remedy."""
    if state.status == "SUCCEEDED":
        return
    what, remedy = FAILURES.get(state.status, (f"ended as {state.status}", "look at its log"))
    reason = f": {state.reason}" if state.reason else ""
    raise AwsError(f"the build {state.build_id} {what}{reason}; {remedy}")


def _query(session: AwsSession, build_id: str, interval_s: float) -> BuildState:
    """Return the state, however long the network or AWS fails for a while."""
    while True:
        try:
            return look_up(session, build_id)
        except AwsError as error:
            if not error.retryable:
                raise WatchError(str(error)) from error
            logger.warning("%s; the build goes on, and is still watched", error)
            time.sleep(interval_s)


def _state(build: BuildTypeDef) -> BuildState:
    phase = build.get("currentPhase", "")
    failed = [each for each in build.get("phases", ()) if each.get("phaseStatus", "") in FAILURES]
    reasons = [
        f"{each['phaseType']}: {one_line(context.get('message') or context.get('statusCode'))}"
        for each in failed
        for context in each.get("contexts", ())
        if context.get("message") or context.get("statusCode")
    ]
    logs = build.get("logs", {})
    return BuildState(
        build_id=build["id"],
        status=build["buildStatus"],
        phase=phase,
        reason=printable(reasons[0]) if reasons else "",
        log_group=logs.get("groupName", ""),
        log_stream=logs.get("streamName", ""),
        compute_type=build.get("environment", {}).get("computeType", ""),
        started=build.get("startTime"),
        ended=build.get("endTime"),
    )
