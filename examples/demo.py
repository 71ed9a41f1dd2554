"""Sort a simulated recording from start to end on this machine, with an S3 server of its own.

Started by `make demo`. The job is the one that runs in the cloud: `run_script.py`, steered by the
same variables. Its results go to a bucket; the bucket is a folder in `demo-results`.
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
from contextlib import closing, contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUCKETS = ROOT / "demo-results"
BUCKET = "demo-bucket"
RUN = "run"


def main() -> int:
    """Run the job against the server, and tell what came of it."""
    shutil.rmtree(BUCKETS, ignore_errors=True)
    (BUCKETS / BUCKET).mkdir(parents=True)
    with s3_server(BUCKETS) as access:
        job = {
            "TEST_WITH_TOY_RECORDING": "true",
            "SORTERS": "spykingcircus2,tridesclous2",
            "TARGET_AWS_S3_BUCKET": BUCKET,
            "TARGET_AWS_S3_BUCKET_FOLDER": RUN,
            "RESULTS_FOLDER": str(BUCKETS / "results-folder"),
            "RUN_IDENTIFIER": "demo",
            **access,
        }
        print("The job:", *(f"{name}={value}" for name, value in job.items()), sep="\n  ")
        finished = subprocess.run(
            [sys.executable, str(ROOT / "run_script.py")],
            env={**os.environ, **job},
            cwd=BUCKETS,
            check=False,
        )
    published = BUCKETS / BUCKET / RUN
    if finished.returncode != 0:
        return finished.returncode
    tell(json.loads((published / "run.json").read_text()), published)
    return 0


def tell(run: dict[str, object], published: Path) -> None:
    """Print the units of each sorter, their accuracy, and where to look."""
    print("\nsorter             units  true units found  mean accuracy")
    for sorter in run["sorters"]:  # type: ignore[attr-defined]
        truth = run["ground_truth"][sorter["sorter"]]  # type: ignore[index]
        found = f"{truth['n_found']} of {truth['n_true_units']}"
        print(
            f"{sorter['sorter']:<18} {sorter['n_units']:>5}  {found:>16}  "
            f"{truth['mean_accuracy']:>13.2f}"
        )
    print(f"units found by both sorters: {run['n_consensus_units']}")
    print(f"results: s3://{BUCKET}/{RUN}, which is the folder {published}")
    for name in sorted(path.name for path in published.iterdir()):
        print(f"  {name}")


@contextmanager
def s3_server(folder: Path) -> Iterator[dict[str, str]]:
    """Serve the sub-folders of `folder` as S3 buckets; gives the variables that reach them."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    key, secret = secrets.token_hex(8), secrets.token_hex(16)
    rclone = Path(sys.executable).parent / "rclone"
    arguments = ["serve", "s3", "--addr", address, "--auth-key", f"{key},{secret}"]
    server = subprocess.Popen(
        [str(rclone), *arguments, "--vfs-cache-mode", "off", str(folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until_open(address)
        yield {
            "AWS_ENDPOINT_URL": f"http://{address}",
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_REGION_NAME": "us-east-1",
        }
    finally:
        if server.poll() is not None:
            print(
                f"the demo's S3 server ended by itself (code {server.returncode}), so that nothing "
                "could be published; start the demo again",
                file=sys.stderr,
            )
        server.terminate()
        server.wait()


def wait_until_open(address: str, patience_s: float = 30.0) -> None:
    """Return when something listens at the address."""
    host, port = address.split(":")
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        with closing(socket.socket()) as probe:
            if probe.connect_ex((host, int(port))) == 0:
                return
        time.sleep(0.1)
    raise SystemExit(f"the S3 server did not start at {address} within {patience_s:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
