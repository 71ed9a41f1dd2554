"""How builds of CodeBuild end, and how AWS refuses them, in one line with the remedy."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from botocore.stub import Stubber

from spikeinterface_cloud.aws.infra import codebuild
from spikeinterface_cloud.aws.infra.build import describe_cost
from spikeinterface_cloud.aws.infra.codebuild import BuildState, check_outcome
from spikeinterface_cloud.aws.session import AwsSession
from spikeinterface_cloud.aws_errors import AwsError

STARTED = datetime(2026, 11, 28, tzinfo=UTC)

ENDED = BuildState(
    build_id="lab-image:1",
    status="SUCCEEDED",
    phase="COMPLETED",
    reason="",
    log_group="",
    log_stream="",
    compute_type="BUILD_GENERAL1_MEDIUM",
    started=STARTED,
    ended=STARTED + timedelta(seconds=60.5),
)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        ("FAILED", "failed: no disk; correct what its last lines name, then run the same command"),
        ("TIMED_OUT", "was ended by its time limit: no disk; run the same command again"),
        ("STOPPED", "was stopped: no disk; run the same command again to build the image"),
        ("FAULT", "ended by a fault of CodeBuild: no disk; run the same command again"),
        ("NEW_STATUS", "ended as NEW_STATUS: no disk; look at its log"),
    ],
)
def test_a_build_that_did_not_succeed_is_an_error(status: str, message: str) -> None:
    check_outcome(ENDED)
    with pytest.raises(AwsError) as refused:
        check_outcome(replace(ENDED, status=status, reason="no disk"))
    assert str(refused.value).startswith(f"the build lab-image:1 {message}")
    assert refused.value.exit_code == 1


def test_every_minute_that_has_begun_is_paid_for() -> None:
    assert describe_cost(ENDED, "us-east-1").startswith(
        "the build took 60 s: 0.02 USD (list prices"
    )
    assert describe_cost(ENDED, "mars-1") == (
        "the build took 60 s: USD unknown, as the price table has no BUILD_GENERAL1_MEDIUM in "
        "mars-1"
    )


@pytest.mark.parametrize(
    ("code", "said", "remedy"),
    [
        (
            "AccessDeniedException",
            "User: me is not authorized to perform: codebuild:StartBuild on resource: x",
            "ask the account's owner to allow you codebuild:StartBuild, or use another --profile",
        ),
        (
            "ResourceNotFoundException",
            "Project cannot be found: arn:aws:codebuild:us-east-1:123456789012:project/gone",
            "run `infra up` with the same --stack, which creates it",
        ),
        (
            "AccountLimitExceededException",
            "Cannot have more than 0 builds in queue for the account",
            "ask AWS for a higher quota of concurrent builds (Service Quotas, AWS CodeBuild), or",
        ),
    ],
)
def test_a_refusal_has_its_remedy(
    monkeypatch: pytest.MonkeyPatch, code: str, said: str, remedy: str
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "planted")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted")
    session = AwsSession(region="us-east-1")
    with Stubber(session.client("codebuild")) as answers:
        answers.add_client_error("start_build", code, said)
        with pytest.raises(AwsError) as refused:
            codebuild.start(session, "lab-image", "bucket/key", {})
    assert str(refused.value).startswith("cannot start a build of the project lab-image: ")
    assert remedy in str(refused.value)
