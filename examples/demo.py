"""Sort a simulated recording from start to end on this machine, with an S3 server of its own.

Started by `make demo`. The job is the one that runs in the cloud: `run_script.py`, steered by the
same variables. Its results go to a bucket of the server, and to a folder in `demo-results`.
"""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "demo-results"
RESULTS = FOLDER / "results"
BUCKET = "demo-bucket"
RUN = "run"

START_TIMEOUT_S = 60.0


def main() -> int:
    """Run the job against the server, and print the outcome."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    (FOLDER / "server").mkdir(parents=True)
    with s3_server(FOLDER / "server") as (access, s3):
        job = {
            "TEST_WITH_TOY_RECORDING": "true",
            "SORTERS": "spykingcircus2,tridesclous2",
            "TARGET_AWS_S3_BUCKET": BUCKET,
            "TARGET_AWS_S3_BUCKET_FOLDER": RUN,
            "RESULTS_FOLDER": str(RESULTS),
            "RUN_IDENTIFIER": "demo",
            **access,
        }
        print("The job:", *(f"{name}={value}" for name, value in job.items()), sep="\n  ")
        finished = subprocess.run(
            [sys.executable, str(ROOT / "run_script.py")],
            env={**os.environ, **job},
            cwd=FOLDER,
            check=False,
        )
        if finished.returncode != 0:
            return finished.returncode
        record = s3.get_object(Bucket=BUCKET, Key=f"{RUN}/run.json")["Body"].read()
        listing = s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{RUN}/", Delimiter="/")
    show(json.loads(record))
    names = [each["Prefix"] for each in listing.get("CommonPrefixes", [])]
    names += [each["Key"] for each in listing["Contents"]]
    print(f"results: s3://{BUCKET}/{RUN}, and the same in the folder {RESULTS}")
    print(*(f"  {name.removeprefix(f'{RUN}/')}" for name in sorted(names)), sep="\n")
    return 0


def show(run: dict[str, Any]) -> None:
    """Print the units of each sorter and their accuracy."""
    print("\nsorter             units  true units found  mean accuracy")
    for sorter in run["sorters"]:
        truth = run["ground_truth"][sorter["sorter"]]
        found = f"{truth['n_found']} of {truth['n_true_units']}"
        print(
            f"{sorter['sorter']:<18} {sorter['n_units']:>5}  {found:>16}  "
            f"{truth['mean_accuracy']:>13.2f}"
        )
    print(f"units found by both sorters: {run['n_consensus_units']}")


@contextmanager
def s3_server(folder: Path) -> Iterator[tuple[dict[str, str], Any]]:
    """Run SeaweedFS over `folder`; yields the variables that reach it, and a client of it."""
    key, secret = secrets.token_hex(8), secrets.token_hex(16)
    identity = {
        "name": "demo",
        "credentials": [{"accessKey": key, "secretKey": secret}],
        "actions": ["Admin"],
    }
    (folder / "identities.json").write_text(json.dumps({"identities": [identity]}))
    parts = ("master", "volume", "filer", "s3")
    ports = {f"{part}.port{kind}": free_port() for part in parts for kind in ("", ".grpc")}
    url = f"http://127.0.0.1:{ports['s3.port']}"
    server = subprocess.Popen(
        [
            Path(sys.executable).parent / "weed",
            *("server", "-ip=127.0.0.1", f"-dir={folder}", "-s3", "-master.telemetry=false"),
            *(f"-{name}={port}" for name, port in ports.items()),
            *("-volume.max=100", "-master.volumeSizeLimitMB=1024"),
            # services with ports of their own, which another server may have taken
            *("-s3.port.iceberg=0", "-s3.port.lance=0"),
            f"-s3.config={folder / 'identities.json'}",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    client = boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
    )
    try:
        create_bucket(client)
        yield (
            {
                "AWS_ENDPOINT_URL": url,
                "AWS_ACCESS_KEY_ID": key,
                "AWS_SECRET_ACCESS_KEY": secret,
                "AWS_REGION_NAME": "us-east-1",
            },
            client,
        )
    finally:
        if server.poll() is not None:
            print(
                f"the demo's S3 server ended by itself (code {server.returncode}), so that nothing "
                "could be published; start the demo again",
                file=sys.stderr,
            )
        server.kill()  # a request to stop takes half a minute, and its data is thrown away
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)


def create_bucket(client: Any) -> None:
    """Create the bucket as soon as the server is ready to store something in it."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            client.create_bucket(Bucket=BUCKET)
            client.put_object(Bucket=BUCKET, Key="ready")
            return
        except (ClientError, BotoCoreError) as error:
            if time.monotonic() > deadline:
                raise SystemExit(
                    f"the S3 server did not start within {START_TIMEOUT_S:.0f} s: {error}"
                ) from error
            time.sleep(0.2)


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
