"""Transfers in bad weather: each ends right, or with a code that says why not."""

from __future__ import annotations

import random
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from spikeinterface_cloud.config.locations import S3Location
from spikeinterface_cloud.errors import CloudJobError
from spikeinterface_cloud.storage.session import Storage
from spikeinterface_cloud.storage.timeouts import NetworkTimeouts
from spikeinterface_cloud.storage.upload import upload
from tests.support.fault_proxy import Fault, FaultProxy, is_read, is_write
from tests.support.servers import S3Server, access_to
from tests.support.transfers import MIB, RANGE, fetch, leftovers, put, tree
from tests.support.weather import KINDS, SEED_VARIABLE, Climate, Weather, weather_seed, within

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

#: of each direction with each server
RUNS = 30

#: a run that takes longer hangs, whatever else this machine has to do
LONGEST_RUN_S = 90

#: enough for a machine that is busy with other tests, not for a connection that stands still
TIMEOUTS = NetworkTimeouts(connect_s=10, stall_s=0.7, give_up_s=2, longest_wait_s=0.1)

#: design.md: the source is damaged, missing; the target refuses; the network gave out
CLEAR_CODES = {65, 66, 73, 75}

#: one range, two, and three; a byte more than a block; small files of which there are several
SIZES = (1, 1000, MIB, MIB + 1, RANGE + 1, 2 * RANGE + 12_345)

#: random bytes that every file is a piece of
BYTES = random.Random(5).randbytes(3 * RANGE)


#: so many runs at once, as most of the time of each is waiting
LANES = 2


@dataclass(kw_only=True)
class Tally:
    """What all runs together have met."""

    seed: int
    faults: Counter[str] = field(default_factory=Counter)
    #: exit code 0 for a run that ended right
    ends: Counter[int] = field(default_factory=Counter)

    def __str__(self) -> str:
        faults = ", ".join(f"{count} {kind}" for kind, count in sorted(self.faults.items()))
        ends = ", ".join(f"{count} with code {code}" for code, count in sorted(self.ends.items()))
        return (
            f"{self.ends.total()} transfers ({ends}) met {self.faults.total()} faults ({faults}); "
            f"{SEED_VARIABLE}={self.seed} repeats them"
        )


@pytest.fixture(scope="module")
def seed() -> int:
    return weather_seed()


@pytest.fixture
def server(request: pytest.FixtureRequest) -> S3Server:
    """The server that a test's parameter names."""
    found: S3Server = request.getfixturevalue(f"{request.param}_s3")
    return found


def climate_of(run: int) -> Climate:
    """Most runs meet showers, every fifth a storm, and every tenth one that does not end."""
    if run % 10 == 9:
        return Climate(chance=0.2, storm=range(1, 1000))
    return Climate(chance=0.35, storm=range(1, 4) if run % 5 == 0 else range(0))


def files_of_run(chosen: random.Random) -> dict[str, bytes]:
    """A few files, of which at most one is large."""
    sizes = [chosen.choice(SIZES), *chosen.choices(SIZES[:2], k=chosen.randint(0, 4))]
    files = {}
    for number, size in enumerate(sizes):
        start = chosen.randrange(len(BYTES) - size)
        files[f"folder {number % 2}/file{number}.bin"] = BYTES[start : start + size]
    return files


def in_weather(
    tally: Tally, server: S3Server, name: str, run: int, transfer: Callable[[str], object]
) -> bool:
    """Whether a transfer through a proxy in the weather of this run ended right.

    Whatever the seed, the runs take turns in what their first bytes meet.
    """
    what = f"{name} of run {run}, {SEED_VARIABLE}={tally.seed}"
    with FaultProxy(server.url) as proxy:
        first = list(KINDS)[run % len(KINDS)]
        proxy.inject(Fault(kind=first, matches=is_read if name == "download" else is_write))
        proxy.weather = Weather(f"{tally.seed} {name} {run}", climate_of(run))
        try:
            within(LONGEST_RUN_S, lambda: transfer(proxy.url), what)
            code, said = 0, ""
        except CloudJobError as error:
            code, said = error.exit_code, str(error)
        finally:
            tally.faults += proxy.counts.faults
    assert code == 0 or (code in CLEAR_CODES and "\n" not in said), f"{what}: {code} {said}"
    tally.ends[code] += 1
    return code == 0


def in_lanes(server: S3Server, seed: int, run: Callable[[Tally, str, int], None]) -> Tally:
    """Do all runs, a few at a time, each lane in a bucket of its own; what they have met."""

    def lane(number: int) -> Tally:
        tally = Tally(seed=seed)
        bucket = f"weather-{uuid.uuid4()}"
        server.client.create_bucket(Bucket=bucket)
        for index in range(number, RUNS, LANES):
            run(tally, bucket, index)
            empty(server, bucket)
        return tally

    together = Tally(seed=seed)
    with ThreadPoolExecutor(LANES) as pool:
        for tally in pool.map(lane, range(LANES)):
            together.faults += tally.faults
            together.ends += tally.ends
    return together


def assert_weathered(tally: Tally, spared: str) -> None:
    """The weather was bad, in every way but the one that cannot be, and most transfers ended right
    all the same."""
    print(tally)
    assert tally.ends.total() == RUNS, str(tally)
    assert set(tally.faults) >= set(KINDS) - {spared}, str(tally)
    assert tally.faults.total() > 2 * RUNS, str(tally)
    assert tally.ends[0] > RUNS * 0.7, str(tally)


#: one of the two states checksums and answers ranges as S3 does, or keeps what is uploaded as files
SERVERS_TO_READ = pytest.mark.parametrize("server", ["moto", "seaweedfs"], indirect=True)
SERVERS_TO_WRITE = pytest.mark.parametrize("server", ["moto", "rclone"], indirect=True)


@SERVERS_TO_READ
def test_no_download_is_corrupt_or_hangs(server: S3Server, seed: int, tmp_path: Path) -> None:
    def download(tally: Tally, bucket: str, run: int) -> None:
        folder = tmp_path / str(run)
        files = files_of_run(random.Random(f"{seed} {run}"))
        for name, data in files.items():
            put(server, bucket, name, data)
        where = f"run {run}, {SEED_VARIABLE}={seed}"
        if not in_weather(tally, server, "download", run, partial(download_from, bucket, folder)):
            finished = {name: data for name, data in tree(folder).items() if ".part" not in name}
            assert finished.items() <= files.items(), where
            fetch(server.url, bucket, folder)  # the weather is over, and the job is tried again
        assert tree(folder) == files, where
        assert leftovers(folder) == [], where

    assert_weathered(in_lanes(server, seed, download), spared="damage")


@SERVERS_TO_WRITE
def test_no_upload_is_corrupt_or_hangs(server: S3Server, seed: int, tmp_path: Path) -> None:
    def send(tally: Tally, bucket: str, run: int) -> None:
        folder = tmp_path / str(run)
        files = files_of_run(random.Random(f"{seed} {run}"))
        pairs = written(folder, bucket, files)
        if not in_weather(tally, server, "upload", run, partial(upload_to, pairs)):
            upload(pairs, storage_at(server.url))
        assert stored(server, bucket) == files, f"run {run}, {SEED_VARIABLE}={seed}"

    assert_weathered(in_lanes(server, seed, send), spared="corrupt")


def download_from(bucket: str, folder: Path, url: str) -> None:
    fetch(url, bucket, folder, TIMEOUTS)


def upload_to(pairs: list[tuple[Path, S3Location]], url: str) -> None:
    upload(pairs, storage_at(url, TIMEOUTS))


def written(folder: Path, bucket: str, files: dict[str, bytes]) -> list[tuple[Path, S3Location]]:
    """The files in a folder, each with the place it is to go to."""
    pairs = []
    for name, data in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        pairs.append((file, S3Location(bucket=bucket, key=f"results/{name}")))
    return pairs


def storage_at(url: str, timeouts: NetworkTimeouts | None = None) -> Storage:
    """The storage behind a URL."""
    return Storage(access_to(url), timeouts=timeouts)


def stored(server: S3Server, bucket: str) -> dict[str, bytes]:
    """What the bucket holds below `results`, by relative key."""
    listing = server.client.list_objects_v2(Bucket=bucket, Prefix="results/")
    return {
        entry["Key"].removeprefix("results/"): server.client.get_object(
            Bucket=bucket, Key=entry["Key"]
        )["Body"].read()
        for entry in listing.get("Contents", [])
    }


def empty(server: S3Server, bucket: str) -> None:
    """Free what the server keeps of a bucket."""
    for entry in server.client.list_objects_v2(Bucket=bucket).get("Contents", []):
        server.client.delete_object(Bucket=bucket, Key=entry["Key"])
