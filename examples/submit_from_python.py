"""Submit from Python, without the command line: one recording, sorted with several thresholds.

    PYTHONPATH=. python examples/submit_from_python.py \
        s3://my-lab-data/raw/session1 s3://my-lab-results/thresholds

It takes what requirements/submit.txt installs, credentials and a region as boto3 finds them, and
SPIKEINTERFACE_CLOUD_JOB_QUEUE and SPIKEINTERFACE_CLOUD_JOB_DEFINITION from the environment. It
prints the id of the array job.
"""

import json
import os
import sys
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from spikeinterface_cloud.aws.batch.job_hash import job_identity
from spikeinterface_cloud.aws.batch.request import build_request
from spikeinterface_cloud.aws.cli.values import JobOptions
from spikeinterface_cloud.config.locations import S3Location, parse_s3
from spikeinterface_cloud.config.manifest import manifest_bytes, manifest_location
from spikeinterface_cloud.config.settings import JobSettings
from spikeinterface_cloud.errors import CloudJobError, SettingsError

THRESHOLDS = (7, 9, 11)


def main(source: str, target: str) -> None:
    """Submit a job for each threshold, all of them as one array."""
    options = options_from_environment()
    results = parse_s3(target, None)
    jobs = [settings_for(parse_s3(source, None), results, each) for each in THRESHOLDS]
    batch = boto3.client("batch")
    check_definition(batch, str(options.job_definition))  # before anything is stored
    manifest = manifest_bytes([job.to_env() for job in jobs])
    location = manifest_location(results, manifest)
    boto3.client("s3").put_object(Bucket=location.bucket, Key=location.key, Body=manifest)
    environment = {"MANIFEST_URL": str(location)}
    request = build_request(
        environment,
        options,
        identity=job_identity(environment, options.job_definition),
        array_size=len(jobs),
    )
    print(batch.submit_job(**request)["jobId"])


def options_from_environment() -> JobOptions:
    """How the jobs are to run, on the queue and with the definition of the environment."""
    names = ("SPIKEINTERFACE_CLOUD_JOB_QUEUE", "SPIKEINTERFACE_CLOUD_JOB_DEFINITION")
    missing = [name for name in names if not os.environ.get(name)]
    if missing:
        raise SettingsError(f"{' and '.join(missing)}: missing; name your queue and definition")
    queue, definition = (os.environ[name] for name in names)
    return JobOptions(
        job_queue=queue, job_definition=definition, job_name="thresholds", timeout=12 * 3600
    )


def check_definition(batch: Any, definition: str) -> None:
    """Refuse a job definition that is not there."""
    wanted = (
        {"jobDefinitions": [definition]} if ":" in definition else {"jobDefinitionName": definition}
    )
    if not batch.describe_job_definitions(status="ACTIVE", **wanted)["jobDefinitions"]:
        raise SettingsError(
            f"SPIKEINTERFACE_CLOUD_JOB_DEFINITION: there is no {definition}; register it first"
        )


def settings_for(source: S3Location, results: S3Location, threshold: int) -> JobSettings:
    """Return the variables of one job, checked here as the container checks them."""
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
    if len(sys.argv) != 3:
        sys.exit("usage: submit_from_python.py s3://bucket/recording s3://bucket/results")
    try:
        main(*sys.argv[1:])
    except (CloudJobError, BotoCoreError, ClientError, ValueError) as error:
        sys.exit(f"Error: {error}")
