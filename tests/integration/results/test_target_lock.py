"""One job at a time at a target, held against servers that can keep a claim and one that cannot."""

import json
import subprocess
import sys
import textwrap
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from spikeinterface_cloud.config.locations import S3Location
from spikeinterface_cloud.errors import ClaimLost, CloudJobError, TargetError
from spikeinterface_cloud.results.lock_owner import LockOwner, this_job
from spikeinterface_cloud.results.target_lock import TargetLock, exclusive_target
from spikeinterface_cloud.storage.s3 import ObjectDiffers
from spikeinterface_cloud.storage.session import Storage
from spikeinterface_cloud.storage.timeouts import NetworkTimeouts
from tests.support.fault_proxy import Fault, FaultProxy, Request, is_write
from tests.support.hosts import Host
from tests.support.servers import S3Server

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]
BUCKET = "claims"

#: a job that has a target until it is told to stop
HOLDING = """
    import sys, time
    from pathlib import Path
    from spikeinterface_cloud.results.target_lock import exclusive_target
    from spikeinterface_cloud.errors import Interrupted
    from spikeinterface_cloud.runtime.signals import interruptible
    from tests.support.hosts import Host
    from tests.support.servers import S3Server

    url, bucket, folder = sys.argv[1:]
    results = Host(Path(folder), S3Server(url=url), bucket).results
    try:
        with interruptible(), exclusive_target(results, {}):
            print("ready", flush=True)
            time.sleep(300)
    except Interrupted as error:
        print("reachable" if results.storage else "left", error)
        sys.exit(error.exit_code)
"""


@pytest.fixture(params=["moto_s3", "seaweedfs_s3"])
def keeping(request: pytest.FixtureRequest) -> S3Server:
    """A server that has conditional writes."""
    server: S3Server = request.getfixturevalue(request.param)
    return server


def new_place(server: S3Server) -> S3Location:
    """In one bucket, as SeaweedFS has the space for a few buckets only."""
    with suppress(server.client.exceptions.BucketAlreadyOwnedByYou):
        server.client.create_bucket(Bucket=BUCKET)
    return S3Location(bucket=BUCKET, key=f"{uuid.uuid4()}/claim.json")


def batch_job(name: str, attempt: str = "1") -> LockOwner:
    """A job on another host."""
    return replace(
        this_job({"AWS_BATCH_JOB_ID": name, "AWS_BATCH_JOB_ATTEMPT": attempt}),
        host="elsewhere",
        processes="of another machine",
    )


def claim_of(server: S3Server, place: S3Location, owner: LockOwner) -> TargetLock:
    return TargetLock(Storage(server.access), place, owner)


def renew_until(claim: TargetLock, ended: threading.Event) -> None:
    """Renew a claim twice a second."""
    while not ended.wait(0.5):
        claim.renew()


def test_lock_is_kept_until_it_is_released(keeping: S3Server) -> None:
    place = new_place(keeping)
    first = claim_of(keeping, place, batch_job("a"))
    assert first.take()
    first.renew()
    body = keeping.client.get_object(Bucket=place.bucket, Key=place.key)["Body"].read()
    assert json.loads(body)["owner"]["batch_job"] == "a"
    first.release()
    assert not Storage(keeping.access).object_exists(place)
    assert claim_of(keeping, place, batch_job("b")).take()


def test_renewed_lock_refuses_another_job(keeping: S3Server) -> None:
    place = new_place(keeping)
    first = claim_of(keeping, place, batch_job("a"))
    assert first.take()
    ended = threading.Event()
    renewing = threading.Thread(target=renew_until, args=(first, ended))
    renewing.start()
    with pytest.raises(TargetError, match="is being written by attempt 1 of Batch job a"):
        claim_of(keeping, place, batch_job("b")).take(lease_s=30)
    ended.set()
    renewing.join()
    first.renew()


def test_next_attempt_of_the_same_batch_job_takes_over_at_once(keeping: S3Server) -> None:
    place = new_place(keeping)
    killed = claim_of(keeping, place, batch_job("a", "1"))
    assert killed.take()
    assert claim_of(keeping, place, batch_job("a", "2")).take(lease_s=1e6)
    with pytest.raises(ObjectDiffers):
        killed.renew()


def test_expired_lock_is_taken_over(keeping: S3Server) -> None:
    place = new_place(keeping)
    killed = claim_of(keeping, place, batch_job("a"))
    assert killed.take()
    assert claim_of(keeping, place, batch_job("b")).take(lease_s=1.0)
    killed.release()
    assert Storage(keeping.access).object_exists(place), "the claim of another was removed"


def test_one_of_many_jobs_gets_the_lock(keeping: S3Server) -> None:
    place = new_place(keeping)
    claims = [claim_of(keeping, place, batch_job(f"job-{number}")) for number in range(8)]
    taken: list[int] = []
    refused: list[int] = []
    together = threading.Barrier(len(claims))

    def take(number: int) -> None:
        together.wait()
        try:
            claims[number].take(lease_s=30)
        except TargetError:
            refused.append(number)
            return
        taken.append(number)
        renew_until(claims[number], ended)

    ended = threading.Event()
    threads = [threading.Thread(target=take, args=(number,)) for number in range(len(claims))]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 60
    while len(refused) < len(claims) - 1 and time.monotonic() < deadline:
        time.sleep(0.1)
    ended.set()
    for thread in threads:
        thread.join()
    assert len(taken) == 1
    assert len(refused) == len(claims) - 1


def test_lock_of_an_ended_process_is_taken_over_at_once(moto_s3: S3Server) -> None:
    place = new_place(moto_s3)
    gone = replace(this_job({}), process=2**22 + 1)  # no process has so high a number
    assert claim_of(moto_s3, place, gone).take()
    assert claim_of(moto_s3, place, this_job({})).take(lease_s=1e6)


def test_running_process_keeps_its_lock_whatever_the_clock_says() -> None:
    one, other = this_job({}), this_job({})
    assert not one.may_be_replaced_by(other)
    assert one.started == other.started == ticks_of_this_process()
    assert replace(one, started=one.started - 1).may_be_replaced_by(other), "its number was reused"


def ticks_of_this_process() -> int:
    """Its start, by the kernel's own count."""
    return int(Path("/proc/self/stat").read_text().rpartition(") ")[2].split()[19])


def test_removed_lock_is_written_again(moto_s3: S3Server) -> None:
    place = new_place(moto_s3)
    claim = claim_of(moto_s3, place, batch_job("a"))
    assert claim.take()
    moto_s3.client.delete_object(Bucket=place.bucket, Key=place.key)
    claim.renew()
    assert Storage(moto_s3.access).object_exists(place)


def test_unreadable_lock_is_taken_over_after_the_lease(moto_s3: S3Server) -> None:
    place = new_place(moto_s3)
    moto_s3.client.put_object(Bucket=place.bucket, Key=place.key, Body=b"{}")
    assert claim_of(moto_s3, place, batch_job("a")).take(lease_s=0.5)


def test_server_that_ignores_conditions_is_recognized(
    rclone_s3: S3Server, caplog: pytest.LogCaptureFixture
) -> None:
    place = new_place(rclone_s3)
    assert not claim_of(rclone_s3, place, batch_job("a")).take()
    assert "has no conditional writes" in caplog.text
    assert not Storage(rclone_s3.access).object_exists(place)


def test_failed_locking_leaves_no_lock_behind(
    moto_s3: S3Server, bucket: str, proxied_s3: FaultProxy, tmp_path: Path
) -> None:
    claims: list[Request] = []

    def is_second_write(request: Request) -> bool:
        if is_write(request) and "claim.json" in request.path:
            claims.append(request)
        return len(claims) == 2 and is_write(request)

    proxied_s3.inject(Fault(kind="status", status=500, matches=is_second_write))
    server = replace(moto_s3, url=proxied_s3.url)
    host = Host(tmp_path, server, bucket, timeouts=NetworkTimeouts(attempts=1))
    with pytest.raises(CloudJobError), exclusive_target(host.results, {}):
        pytest.fail("the target is not this job's")
    assert len(claims) == 2
    assert not Storage(moto_s3.access).object_exists(host.results.target_location("claim.json"))


def test_job_that_lost_its_lock_stops_writing_to_the_target(
    moto_s3: S3Server, bucket: str, tmp_path: Path
) -> None:
    place = S3Location(bucket=bucket, key="results/claim.json")
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLDING), moto_s3.url, bucket, tmp_path],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process:
        assert process.stdout.readline() == "ready\n"
        content = {"owner": asdict(batch_job("b")), "renewals": 0, "released": False}
        body = json.dumps(content).encode()
        moto_s3.client.put_object(Bucket=place.bucket, Key=place.key, Body=body)
        output, _ = process.communicate(timeout=60)
    assert output.startswith(f"left s3://{bucket}/results is written by another attempt")
    assert process.returncode == ClaimLost.exit_code == 73
    kept = moto_s3.client.get_object(Bucket=place.bucket, Key=place.key)["Body"].read()
    assert kept == body
