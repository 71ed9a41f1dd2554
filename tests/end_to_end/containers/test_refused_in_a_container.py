"""What cannot end well is refused with the code that the retry rules of Batch use."""

from __future__ import annotations

import os

import pytest

from tests.end_to_end.containers.cloud import Cloud, open_cloud
from tests.end_to_end.containers.conftest import SOURCE_BUCKET, TARGET_BUCKET, Source
from tests.end_to_end.containers.containers import run_container
from tests.support.servers import check_permissions

pytestmark = [pytest.mark.integration, pytest.mark.docker]


@pytest.mark.parametrize(
    ("changes", "exit_code", "words"),
    [
        (
            {"SOURCE_AWS_S3_BUCKET": "no-such-bucket"},
            os.EX_NOINPUT,
            "there is no bucket no-such-bucket",
        ),
        (
            {"TARGET_AWS_S3_BUCKET": "no-such-bucket"},
            os.EX_CANTCREAT,
            "cannot write s3://no-such-bucket/results: there is no bucket no-such-bucket",
        ),
        (
            {"SORTERS": "kilosort4"},
            os.EX_UNAVAILABLE,
            "kilosort4 is in the GPU image (make image-gpu)",
        ),
        (
            {"SORTERS": "kilosort2_5"},
            os.EX_UNAVAILABLE,
            "docker build --build-arg BASE=spikeinterface/kilosort2_5-compiled-base",
        ),
        ({"SORTERS": "simpel"}, os.EX_CONFIG, "did you mean simple?"),
    ],
    ids=["source", "target", "kilosort4", "compiled sorter", "misspelt"],
)
def test_a_hopeless_job_is_refused(
    image: str, cloud: Cloud, source: Source, changes: dict[str, str], exit_code: int, words: str
) -> None:
    variables = (
        cloud.variables
        | source.variables
        | {
            "SORTERS": "simple",
            "TARGET_AWS_S3_BUCKET": TARGET_BUCKET,
            "TARGET_AWS_S3_BUCKET_FOLDER": "results",
        }
        | changes
    )
    finished = run_container(image, variables=variables)
    assert finished.exit_code == exit_code, finished.log
    assert words in finished.log
    assert "fetch ..." not in finished.log
    assert "Traceback" not in finished.log


def test_the_wrong_credentials_are_refused(image: str) -> None:
    with open_cloud() as guarded:
        guarded.server.client.create_bucket(Bucket=SOURCE_BUCKET)
        check_permissions(guarded.server)
        finished = run_container(
            image,
            variables=guarded.variables
            | {
                "AWS_S3_BUCKET": SOURCE_BUCKET,
                "AWS_S3_BUCKET_FOLDER": "raw",
                "DATA_TYPE": "spikeglx",
                "SORTERS": "simple",
            },
        )
    assert finished.exit_code == os.EX_NOINPUT, finished.log
    assert f"cannot list s3://{SOURCE_BUCKET}/raw" in finished.log
    assert "AWS_ACCESS_KEY_ID" in finished.log.rpartition("ERROR")[2]
