"""One job at a time at a target, held against servers that can keep a claim and one that cannot."""

import json
import signal
import subprocess
import sys
import textwrap
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from spikeinterface_cloud.config.locations import S3Location
from spikeinterface_cloud.errors import ClaimLost, CloudJobError, TargetError
from spikeinterface_cloud.results.lock_owner import LockOwner, this_job
from spikeinterface_cloud.results.sorter_folder import SorterFolder
from spikeinterface_cloud.results.target_folder import TargetFolder
from spikeinterface_cloud.results.target_lock import STALE_S, TargetLock, exclusive_target
from spikeinterface_cloud.results.tree import results_trees
from spikeinterface_cloud.storage.s3 import ObjectDiffers
from spikeinterface_cloud.storage.session import Storage
from spikeinterface_cloud.storage.timeouts import NetworkTimeouts
from tests.support.fault_proxy import Fault, FaultProxy, Request, is_write
from tests.support.hosts import RUN, Host, write
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
    from tests.support.hosts import RUN, Host, write
    from tests.support.servers import S3Server
    from spikeinterface_cloud.storage.timeouts import NetworkTimeouts

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

#: a job that sends many small files, and whose requests time out while it is frozen
SENDING = HOLDING.replace("bucket).results", "bucket, NetworkTimeouts(stall_s=3)).results").replace(
    "time.sleep(300)",
    """files = [results.folder / str(number) for number in range(500)]
            for file in files:
                file.write_text("x")
            results.publish_files("many", files)""",
)


@pytest.fixture(params=["moto_s3", "seaweedfs_s3", "rgw_s3"])
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


def test_lock_that_another_job_took_over_and_released_is_lost(keeping: S3Server) -> None:
    """Its owner was frozen for longer than the lease, like a laptop that was closed."""
    place = new_place(keeping)
    frozen = claim_of(keeping, place, batch_job("a"))
    assert frozen.take()
    other = claim_of(keeping, place, batch_job("b"))
    assert other.take(lease_s=0.5)
    other.release()
    for _ in range(2):
        with pytest.raises(ObjectDiffers):
            frozen.renew()
    assert not Storage(keeping.access).object_exists(place)


@pytest.mark.parametrize("publish", ["record", "report", "log", "sorter"])
def test_nothing_is_written_to_a_target_that_another_job_has_had(
    moto_s3: S3Server, bucket: str, tmp_path: Path, publish: str
) -> None:
    host = Host(tmp_path, moto_s3, bucket)
    results = host.results
    results.log_file.write_text("log")
    (results.folder / "report.html").write_text("<html>")
    write(SorterFolder("simple", "a", results), raw_sorting__spikes="units")
    actions: dict[str, Callable[[], None]] = {
        "record": results.publish_record,
        "report": lambda: results.publish_files("report", [results.folder / "report.html"]),
        "log": results.publish_log,
        "sorter": lambda: SorterFolder("simple", "a", results).finish_sorting(RUN),
    }

    def publish_after_another_job() -> None:
        other = claim_of(moto_s3, results.target_location("claim.json"), batch_job("b"))
        assert other.take(lease_s=0.5)
        other.release()
        actions[publish]()

    with exclusive_target(results, {}), pytest.raises(ClaimLost):
        publish_after_another_job()
    assert "Contents" not in moto_s3.client.list_objects_v2(Bucket=bucket)
    assert results.storage is None, "nor later"


@pytest.mark.parametrize("remove", ["record", "files of a sorter", "results of another job"])
def test_nothing_is_removed_from_a_target_that_another_job_has_had(
    moto_s3: S3Server, bucket: str, tmp_path: Path, remove: str
) -> None:
    results = Host(tmp_path, moto_s3, bucket).results
    folder = TargetFolder("simple", results)
    actions: dict[str, Callable[[], None]] = {
        "record": results.clear_previous_run,
        "files of a sorter": lambda: folder.remove_others(set()),
        "results of another job": lambda: results_trees(results)[0].remove(["run.json"]),
    }
    theirs = {"results/run.json", "results/simple/completed.json"}

    def remove_after_another_job() -> None:
        other = claim_of(moto_s3, results.target_location("claim.json"), batch_job("b"))
        assert other.take(lease_s=0.5)
        for key in theirs:
            moto_s3.client.put_object(Bucket=bucket, Key=key, Body=b"{}")
        folder.list_objects()
        other.release()
        actions[remove]()

    with exclusive_target(results, {}), pytest.raises(ClaimLost):
        remove_after_another_job()
    listed = moto_s3.client.list_objects_v2(Bucket=bucket)
    assert {each["Key"] for each in listed["Contents"]} == theirs


def test_lock_that_cannot_be_replaced_ends_the_wait(
    moto_s3: S3Server, proxied_s3: FaultProxy
) -> None:
    """Conditional writes work elsewhere, but not on this one object."""
    place = new_place(moto_s3)
    assert claim_of(moto_s3, place, batch_job("a")).take()

    def is_replacement(request: Request) -> bool:
        replaces = is_write(request) and "if-match" in request.headers
        return replaces and request.path.endswith("/claim.json")

    refused = Fault(kind="status", status=412, code="PreconditionFailed", times=1000)
    proxied_s3.inject(replace(refused, matches=is_replacement))
    proxied = replace(moto_s3, url=proxied_s3.url)
    with pytest.raises(TargetError, match=r"claim\.json.* delete it"):
        claim_of(proxied, place, batch_job("b")).take(lease_s=0.5)


@pytest.mark.parametrize("answer", ["create", "replace"])
def test_server_that_ignores_one_condition_is_recognized(
    moto_s3: S3Server, answer: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A lock that is only created conditionally cannot be taken over, nor renewed."""
    place = new_place(moto_s3)
    ignored = {"create": "if-none-match", "replace": "if-match"}[answer]
    with FaultProxy(moto_s3.url) as proxy:
        proxy.drop_headers = frozenset({ignored})
        server = replace(moto_s3, url=proxy.url)
        assert not claim_of(server, place, batch_job("a")).take()
    assert "has no conditional writes" in caplog.text
    keys = moto_s3.client.list_objects_v2(Bucket=BUCKET, Prefix=place.key.partition("/")[0])
    assert "Contents" not in keys


def test_server_that_states_no_etag_is_recognized(
    moto_s3: S3Server, caplog: pytest.LogCaptureFixture
) -> None:
    place = new_place(moto_s3)
    with FaultProxy(moto_s3.url) as proxy:
        proxy.left_out = frozenset({"etag"})
        server = replace(moto_s3, url=proxy.url)
        assert not claim_of(server, place, batch_job("a")).take()
    assert "has no conditional writes" in caplog.text


def test_unreadable_lock_is_taken_over_after_the_lease(moto_s3: S3Server) -> None:
    place = new_place(moto_s3)
    moto_s3.client.put_object(Bucket=place.bucket, Key=place.key, Body=b"{}")
    assert claim_of(moto_s3, place, batch_job("a")).take(lease_s=0.5)


@pytest.mark.parametrize("header", ["if-none-match", "if-match"])
@pytest.mark.parametrize(
    ("status", "code"), [(501, "NotImplemented"), (400, "InvalidArgument"), (403, "AccessDenied")]
)
def test_server_that_rejects_conditions_is_recognized(
    moto_s3: S3Server, header: str, status: int, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    place = new_place(moto_s3)

    def reject(request: Request) -> Fault | None:
        rejected = is_write(request) and header in request.headers
        return Fault(kind="status", status=status, code=code) if rejected else None

    with FaultProxy(moto_s3.url) as proxy:
        proxy.weather = reject
        assert not claim_of(replace(moto_s3, url=proxy.url), place, batch_job("a")).take()
    assert "has no conditional writes" in caplog.text
    keys = moto_s3.client.list_objects_v2(Bucket=BUCKET, Prefix=place.key.partition("/")[0])
    assert "Contents" not in keys


HOSTILE_OWNERS: dict[str, object] = {
    "a path": "../self/environ\0",
    "a long text": "1" * 5000,
    "a float": 0.5,
    "a list": [1],
    "nothing": None,
    "no number": float("nan"),
    "a number that no process has": 10**300,
}


@pytest.mark.parametrize("process", HOSTILE_OWNERS.values(), ids=HOSTILE_OWNERS)
def test_lock_with_a_hostile_owner_is_taken_over_after_the_lease(
    moto_s3: S3Server, process: object
) -> None:
    """It says that it is of a process on this host, which is looked up in /proc."""
    place = new_place(moto_s3)
    owner = asdict(this_job({})) | {"process": process}
    body = json.dumps({"owner": owner, "renewals": 0, "released": False}).encode()
    moto_s3.client.put_object(Bucket=place.bucket, Key=place.key, Body=body)
    assert claim_of(moto_s3, place, this_job({})).take(lease_s=0.5)


@pytest.mark.parametrize(
    "body",
    [b"[" * 100_000, b'{"owner": "\\ud800"}', b"\xff", b"", b"null", b'{"owner": null}'],
    ids=["brackets", "surrogate", "bytes", "empty", "null", "no owner"],
)
def test_hostile_lock_is_taken_over_after_the_lease(moto_s3: S3Server, body: bytes) -> None:
    place = new_place(moto_s3)
    moto_s3.client.put_object(Bucket=place.bucket, Key=place.key, Body=body)
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
    def is_lock(request: Request) -> bool:
        return is_write(request) and request.path.endswith("/claim.json")

    proxied_s3.inject(Fault(kind="reset", matches=is_lock))
    server = replace(moto_s3, url=proxied_s3.url)
    host = Host(tmp_path, server, bucket, timeouts=NetworkTimeouts(attempts=1))
    with pytest.raises(CloudJobError), exclusive_target(host.results, {}):
        pytest.fail("the target is not this job's")
    assert proxied_s3.counts.faults == {"reset": 1}
    assert not Storage(moto_s3.access).object_exists(host.results.target_location("claim.json"))


@pytest.mark.parametrize(("times", "is_removed"), [(2, True), (1000, False)])
def test_lock_is_removed_through_a_failing_network_or_said_to_stay(
    moto_s3: S3Server,
    proxied_s3: FaultProxy,
    caplog: pytest.LogCaptureFixture,
    times: int,
    is_removed: bool,
) -> None:
    place = new_place(moto_s3)
    storage = Storage(
        replace(moto_s3, url=proxied_s3.url).access, timeouts=NetworkTimeouts(attempts=1)
    )
    lock = TargetLock(storage, place, batch_job("a"))
    assert lock.take()
    removal = Fault(kind="status", times=times, matches=lambda each: each.method == "DELETE")
    proxied_s3.inject(removal)
    lock.release()
    assert Storage(moto_s3.access).object_exists(place) is not is_removed
    assert ("could not be removed, so another job waits" in caplog.text) is not is_removed


def start_holding(
    server: S3Server, bucket: str, folder: Path, program: str = HOLDING
) -> subprocess.Popen[str]:
    """Start a job that has locked its target."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), server.url, bucket, folder],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_frozen_job_stops_when_it_goes_on_after_another_job(
    moto_s3: S3Server, bucket: str, tmp_path: Path
) -> None:
    with start_holding(moto_s3, bucket, tmp_path) as process:
        process.send_signal(signal.SIGSTOP)
        other = claim_of(moto_s3, S3Location(bucket=bucket, key="results/claim.json"), this_job({}))
        assert other.take(lease_s=1.0)
        other.release()
        process.send_signal(signal.SIGCONT)
        output, _ = process.communicate(timeout=60)
    assert output.startswith(f"left s3://{bucket}/results is written by another attempt")
    assert process.returncode == 73
    assert "Contents" not in moto_s3.client.list_objects_v2(Bucket=bucket)


def test_frozen_job_sends_no_further_file_over_those_of_another_job(
    moto_s3: S3Server, bucket: str, tmp_path: Path
) -> None:
    """Requests that were on their way when it was frozen may still arrive."""
    with FaultProxy(moto_s3.url) as proxy:
        proxy.weather = lambda _: Fault(kind="drip", in_request=True)
        with start_holding(S3Server(url=proxy.url), bucket, tmp_path, SENDING) as process:
            while moto_s3.client.list_objects_v2(Bucket=bucket)["KeyCount"] < 40:
                time.sleep(0.1)
            process.send_signal(signal.SIGSTOP)
            place = S3Location(bucket=bucket, key="results/claim.json")
            other = claim_of(moto_s3, place, this_job({}))
            assert other.take(lease_s=1.0)
            time.sleep(STALE_S)
            storage = Storage(moto_s3.access)
            sent = storage.objects_below(S3Location(bucket=bucket, key="results"))
            storage.remove_objects([sent[name].location for name in sent if name.isdigit()])
            other.release()
            process.send_signal(signal.SIGCONT)
            output, _ = process.communicate(timeout=60)
    assert output.startswith(f"left s3://{bucket}/results is written by another attempt")
    assert process.returncode == 73
    written = moto_s3.client.list_objects_v2(Bucket=bucket)["KeyCount"]
    assert written < 10


def test_job_that_lost_its_lock_stops_writing_to_the_target(
    moto_s3: S3Server, bucket: str, tmp_path: Path
) -> None:
    place = S3Location(bucket=bucket, key="results/claim.json")
    with start_holding(moto_s3, bucket, tmp_path) as process:
        content = {"owner": asdict(batch_job("b")), "renewals": 0, "released": False}
        body = json.dumps(content).encode()
        moto_s3.client.put_object(Bucket=place.bucket, Key=place.key, Body=body)
        output, _ = process.communicate(timeout=60)
    assert output.startswith(f"left s3://{bucket}/results is written by another attempt")
    assert process.returncode == ClaimLost.exit_code == 73
    kept = moto_s3.client.get_object(Bucket=place.bucket, Key=place.key)["Body"].read()
    assert kept == body
