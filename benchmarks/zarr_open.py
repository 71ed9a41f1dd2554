"""Opening a Zarr store on S3 to its first trace: this project and zarr with s3fs, side by side.

    python benchmarks/zarr_open.py [--chunks 10000] [--latency-ms 0] [--rounds 5]

Ours does what a job does that wants the first frames: it lists the store, checks it, fetches its
metadata and the chunks of these frames, verifies and opens them. The other one opens the store by
`zarr.open_consolidated` over s3fs and reads the same frames, and checks nothing. Both are processes
of their own that take turns; the seconds leave out imports. s3fs does not get along with the pinned
boto3, so it is installed into an environment of its own, which is deleted with everything else.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from table import print_head, print_milliseconds  # noqa: E402

from tests.support.fault_proxy import FaultProxy  # noqa: E402
from tests.support.servers import (  # noqa: E402
    ACCESS_KEY,
    REGION,
    SECRET_KEY,
    seaweedfs_server,
    upload_folder,
)

S3FS = ("s3fs==2026.9.0", "zarr==2.18.7", "numcodecs==0.15.2")
BUCKET = "recordings"
#: a job sorts one second at least, which is ten of them
FRAMES_PER_CHUNK = 3_000
N_CHANNELS = 4


@click.command()
@click.option("--chunks", default=10_000, show_default=True, help="chunks of the traces")
@click.option("--latency-ms", default=0, show_default=True, help="added to each request by a proxy")
@click.option("--rounds", default=5, show_default=True, help="rounds, of which medians are taken")
def main(chunks: int, latency_ms: int, rounds: int) -> None:
    """Print how long each takes, and the ratio."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        write_store(work / "store" / "recording.zarr", chunks)
        python = environment_with_s3fs(work / "s3fs")
        (work / "seaweedfs").mkdir()
        with seaweedfs_server(work / "seaweedfs") as server, FaultProxy(server.url) as proxy:
            upload_folder(server, work / "store", BUCKET)
            proxy.on_request = lambda _: time.sleep(latency_ms / 1000)
            url = proxy.url if latency_ms else server.url
            commands = {"ours": sys.executable, "s3fs": python}
            taken: dict[str, list[tuple[float, float]]] = {client: [] for client in commands}
            for number in range(rounds + 1):
                for client in sorted(commands, reverse=number % 2 == 1):
                    measured = open_store(commands[client], client, url)
                    if number:  # the first round warms the server
                        taken[client].append(measured)
            check_same_traces(commands, url)
        print_head(f"{chunks:,} chunks, {latency_ms} ms added to a request", "ours", "s3fs")
        for place, label in enumerate(("to the first trace, by the clock", "of it CPU")):
            seconds = {client: [each[place] for each in taken[client]] for client in commands}
            print_milliseconds(label, seconds["ours"], seconds["s3fs"], "1.20")


def write_store(folder: Path, chunks: int) -> None:
    """Write a recording of noise as SpikeInterface saves it."""
    import zarr
    from spikeinterface.core import generate_recording

    rate = 30_000
    recording = generate_recording(
        num_channels=N_CHANNELS,
        durations=[chunks * FRAMES_PER_CHUNK / rate],
        sampling_frequency=rate,
        seed=1,
    )
    recording.save(format="zarr", folder=folder, chunk_size=FRAMES_PER_CHUNK, progress_bar=False)
    zarr.consolidate_metadata(str(folder))


def environment_with_s3fs(folder: Path) -> str:
    """Return the Python of a new environment that has s3fs."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = str(folder / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", *S3FS], check=True)
    return python


def open_store(python: str, client: str, url: str) -> tuple[float, float]:
    """Return the seconds that a client took, by the clock and of CPU."""
    wall_s, cpu_s, _ = run_client(python, client, url)
    return float(wall_s), float(cpu_s)


def check_same_traces(commands: dict[str, str], url: str) -> None:
    """Make sure that both read the same samples."""
    digests = {run_client(python, client, url)[2] for client, python in commands.items()}
    assert len(digests) == 1, "the clients read different samples"


def run_client(python: str, client: str, url: str) -> list[str]:
    """Let one client open the store; return what it prints."""
    program = ROOT / "benchmarks" / "zarr_open_clients.py"
    with tempfile.TemporaryDirectory() as folder:
        finished = subprocess.run(
            [python, program, client, url, f"{BUCKET}/recording.zarr", folder],
            env=os.environ
            | {
                "AWS_ACCESS_KEY_ID": ACCESS_KEY,
                "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
                "AWS_DEFAULT_REGION": REGION,
            },
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    return finished.stdout.split()


if __name__ == "__main__":
    main()
