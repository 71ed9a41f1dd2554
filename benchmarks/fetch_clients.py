"""The clients of fetch.py that are written in Python, each in a process that imports nothing else.

python benchmarks/fetch_clients.py ours|boto3 ENDPOINT BUCKET PREFIX FOLDER

Each prints the seconds that the fetch took, without the imports.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path


def fetch_by_ours(url: str, bucket: str, prefix: str, folder: Path) -> float:
    """What a job does to fetch a folder from S3."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from spikeinterface_cloud.config.locations import S3Location
    from spikeinterface_cloud.config.settings import AwsSettings
    from spikeinterface_cloud.storage.download import download
    from spikeinterface_cloud.storage.remote_file import s3_files
    from spikeinterface_cloud.storage.session import Storage

    started = time.monotonic()
    storage = Storage(AwsSettings(endpoint_url=url))
    location = S3Location(bucket=bucket, key=prefix)
    download(s3_files(storage, storage.list_objects(location), location), folder)
    return time.monotonic() - started


def fetch_by_boto3(url: str, bucket: str, prefix: str, folder: Path) -> float:
    """The loop that one writes with boto3."""
    import boto3

    started = time.monotonic()
    client = boto3.client("s3", endpoint_url=url)
    paginator = client.get_paginator("list_objects_v2")
    for page in paginator.paginate(Bucket=bucket, Prefix=f"{prefix}/"):
        for entry in page["Contents"]:
            name = entry["Key"].rpartition("/")[2]
            client.download_file(bucket, entry["Key"], str(folder / name))
    return time.monotonic() - started


def main(client: str, url: str, bucket: str, prefix: str, folder: str) -> None:
    """Let one client fetch."""
    fetch = fetch_by_ours if client == "ours" else fetch_by_boto3
    sys.stdout.write(f"{fetch(url, bucket, prefix, Path(folder)):.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
