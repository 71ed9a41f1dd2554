"""Submit from Python, without the command line: one recording, sorted with several thresholds.

    PYTHONPATH=. python examples/submit_from_python.py \
        s3://my-lab-data/raw/session1 s3://my-lab-results/thresholds

It takes what requirements/submit.txt installs, and prints the id of the array job.
"""

import json
import os
import sys

import boto3

from spikeinterface_cloud.batch.identity import job_identity
from spikeinterface_cloud.batch.request import JobOptions, build_request
from spikeinterface_cloud.location import S3Location, parse_s3
from spikeinterface_cloud.manifest import manifest_bytes, put_manifest
from spikeinterface_cloud.settings import JobSettings

THRESHOLDS = (7, 9, 11)

OPTIONS = JobOptions(
    job_queue=os.environ.get("SUBMIT_JOB_QUEUE", "spikeinterface-cloud"),
    job_definition=os.environ.get("SUBMIT_JOB_DEFINITION", "spikeinterface-cloud"),
    job_name="thresholds",
    timeout_s=12 * 3600,
)


def main(source: str, target: str) -> None:
    """Submit a job for each threshold, all of them as one array."""
    results = parse_s3(target, None)
    jobs = [settings_for(parse_s3(source, None), results, each) for each in THRESHOLDS]
    manifest = manifest_bytes([job.to_env() for job in jobs])
    environment = {"MANIFEST_URL": put_manifest(boto3.client("s3"), results, manifest)}
    request = build_request(
        environment,
        OPTIONS,
        identity=job_identity(environment, OPTIONS.job_definition),
        array_size=len(jobs),
    )
    print(boto3.client("batch").submit_job(**request)["jobId"])


def settings_for(source: S3Location, results: S3Location, threshold: int) -> JobSettings:
    """The variables of one job, checked here as the container checks them."""
    target = results.child(f"threshold-{threshold}")
    return JobSettings.from_env(
        {
            "AWS_S3_BUCKET": source.bucket,
            "AWS_S3_BUCKET_FOLDER": source.key,
            "DATA_TYPE": "spikeglx",
            "SORTERS": "kilosort4",
            "SORTERS_KWARGS": json.dumps({"kilosort4": {"Th_universal": threshold}}),
            "TARGET_AWS_S3_BUCKET": target.bucket,
            "TARGET_AWS_S3_BUCKET_FOLDER": target.key,
        }
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
