"""Whether the log group of a job is there: no machine may make one."""

from __future__ import annotations

from collections.abc import Iterator

from spikeinterface_cloud.aws.diagnose.finding import Finding, Seen, Unavailable, failed, ok
from spikeinterface_cloud.aws.diagnose.query import ask_for
from spikeinterface_cloud.aws.session import AwsSession


def log_group_exists(session: AwsSession, name: str) -> Seen[bool]:
    """Whether CloudWatch Logs has this group."""
    logs = session.client("logs")
    found = ask_for(
        "logs:DescribeLogGroups",
        lambda: logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"],
    )
    if isinstance(found, Unavailable):
        return found
    return any(group["logGroupName"] == name for group in found)


def judge_log_group(exists: bool, name: str) -> Iterator[Finding]:
    """Whether the container's log can be opened."""
    if exists:
        yield ok(name)
    else:
        yield failed(
            f"there is no log group {name}, and no machine may make one: no container starts",
            "make it, or take logConfiguration out of the job definition",
            f"aws logs create-log-group --log-group-name {name}",
        )
