"""Downloads: what arrives, what is resumed, and what is shown meanwhile."""

from __future__ import annotations

import io
import logging
import os
import re
import signal
import subprocess
import termios
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import obstore
import obstore.store
import pytest

from spikeinterface_cloud.config.locations import S3Location
from spikeinterface_cloud.errors import RecordingError, TransferError, UnavailableError
from spikeinterface_cloud.runtime.host import boot_id
from spikeinterface_cloud.runtime.logging import step
from spikeinterface_cloud.storage.download import download
from spikeinterface_cloud.storage.partial_file import PartFile
from spikeinterface_cloud.storage.session import Storage
from spikeinterface_cloud.storage.timeouts import NetworkTimeouts
from tests.support.fault_proxy import Fault, FaultProxy
from tests.support.servers import S3Server
from tests.support.transfers import (
    LARGE,
    LAST_RANGE,
    MIB,
    RANGE,
    SHORT_TIMEOUTS,
    STEADY,
    fetch,
    fetch_in_a_process,
    files_of,
    is_last_range,
    leftovers,
    put,
    tree,
)

pytestmark = pytest.mark.integration


def test_a_folder_arrives_with_its_tree(moto_s3: S3Server, bucket: str, tmp_path: Path) -> None:
    expected = {
        "session_g0_t0.imec0.ap.bin": LARGE,
        "exactly two ranges.bin": LARGE[: 2 * RANGE],
        "sub/deeper/é x+#%&=.meta": b"fileTimeSecs=1",
        "sub/empty": b"",
    }
    for name, data in expected.items():
        put(moto_s3, bucket, name, data)
    got = fetch(moto_s3.url, bucket, tmp_path / "new" / "source")
    assert tree(tmp_path / "new" / "source") == expected
    assert got.size_bytes == got.moved_bytes == sum(map(len, expected.values()))
    assert {path.name for path in got.files} == {name.rpartition("/")[2] for name in expected}


def test_large_file_is_fetched_in_parallel_ranges(
    moto_s3: S3Server, bucket: str, proxied_s3: FaultProxy, tmp_path: Path
) -> None:
    put(moto_s3, bucket, "large.bin", LARGE)
    fetch(proxied_s3.url, bucket, tmp_path)
    starts = [range(0, len(LARGE), RANGE)[number] for number in range(4)]
    assert {request.range for request in proxied_s3.reads()} == {
        f"bytes={start}-{min(start + RANGE, len(LARGE)) - 1}" for start in starts
    }
    assert proxied_s3.counts.sent_bytes - len(LARGE) < 10_000


def test_many_small_files_need_one_request_each(
    moto_s3: S3Server, bucket: str, proxied_s3: FaultProxy, tmp_path: Path
) -> None:
    for number in range(200):
        put(moto_s3, bucket, f"{number % 7}/{number}", str(number).encode())
    download(files_of(proxied_s3.url, bucket, NetworkTimeouts()), tmp_path)
    assert len(tree(tmp_path)) == 200
    assert len(proxied_s3.reads()) == 200
    assert not [request for request in proxied_s3.counts.requests if request.method == "HEAD"]


def upload_with_checksum(server: S3Server, data: bytes) -> str:
    """Store `raw/parts.bin` in parts, with a checksum of the whole as SDKs send today; return the
    bucket."""
    bucket = f"test-{uuid.uuid4()}"
    server.client.create_bucket(Bucket=bucket)
    server.client.upload_fileobj(
        io.BytesIO(data), bucket, "raw/parts.bin", ExtraArgs={"ChecksumAlgorithm": "CRC64NVME"}
    )
    return bucket


def test_whole_checksum_is_combined_from_ranges(
    seaweedfs_s3: S3Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bucket = upload_with_checksum(seaweedfs_s3, LARGE)
    location = S3Location(bucket=bucket, key="raw/parts.bin")
    digest = Storage(seaweedfs_s3.access).stored_digest(location)
    assert digest is not None
    assert digest.algorithm == "crc64nvme"
    with FaultProxy(seaweedfs_s3.url) as proxy:
        fetch(proxy.url, bucket, tmp_path)
        ranges = [request.range for request in proxy.reads()]
    assert LAST_RANGE in ranges
    assert len(ranges) == len(set(ranges)) == 4, "no range is fetched twice"
    assert (tmp_path / "parts.bin").read_bytes() == LARGE
    assert "size only" not in caplog.text


@pytest.mark.parametrize("times", [1, 1000])
def test_combined_checksum_detects_a_wrong_byte(
    seaweedfs_s3: S3Server, tmp_path: Path, times: int
) -> None:
    bucket = upload_with_checksum(seaweedfs_s3, LARGE)
    with FaultProxy(seaweedfs_s3.url) as proxy:
        proxy.inject(Fault(kind="corrupt", after_bytes=777, times=times))
        if times == 1:
            fetch(proxy.url, bucket, tmp_path)
            assert tree(tmp_path) == {"parts.bin": LARGE}
        else:
            with pytest.raises(RecordingError, match=r"does not match: .* instead of crc64nvme"):
                fetch(proxy.url, bucket, tmp_path)
            assert tree(tmp_path) == {}


def test_an_upload_in_parts_is_verified_by_its_parts(
    moto_s3: S3Server, bucket: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Storage(moto_s3.access).object_store(bucket)
    obstore.put(store, "raw/parts.bin", LARGE, chunk_size=5 * MIB, use_multipart=True)
    [file] = files_of(moto_s3.url, bucket)
    assert file.digest is None
    fetch(moto_s3.url, bucket, tmp_path)
    assert (tmp_path / "parts.bin").read_bytes() == LARGE
    assert "size only" not in caplog.text


def test_server_that_ignores_ranges_is_refused(
    moto_s3: S3Server, bucket: str, proxied_s3: FaultProxy, tmp_path: Path
) -> None:
    put(moto_s3, bucket, "large.bin", LARGE)
    proxied_s3.knows_ranges = False
    with pytest.raises(UnavailableError, match="ignores the Range of a request; fetch") as caught:
        fetch(proxied_s3.url, bucket, tmp_path)
    assert caught.value.exit_code == 69
    assert "\n" not in str(caught.value)


def test_small_file_needs_no_ranges(
    moto_s3: S3Server, bucket: str, proxied_s3: FaultProxy, tmp_path: Path
) -> None:
    put(moto_s3, bucket, "one range.bin", LARGE[:RANGE])
    proxied_s3.knows_ranges = False
    fetch(proxied_s3.url, bucket, tmp_path)
    assert tree(tmp_path) == {"one range.bin": LARGE[:RANGE]}


def test_complete_file_is_not_fetched_again(
    moto_s3: S3Server, bucket: str, proxied_s3: FaultProxy, tmp_path: Path
) -> None:
    put(moto_s3, bucket, "large.bin", LARGE)
    put(moto_s3, bucket, "small.bin", b"small")
    fetch(proxied_s3.url, bucket, tmp_path)
    (tmp_path / "small.bin").write_bytes(b"SMALL")
    proxied_s3.clear()
    got = fetch(proxied_s3.url, bucket, tmp_path)
    assert [request.path for request in proxied_s3.reads()] == [f"/{bucket}/raw/small.bin"]
    assert (got.moved_bytes, got.size_bytes) == (5, 5 + len(LARGE))
    assert tree(tmp_path)["small.bin"] == b"small"


def test_a_broken_transfer_continues_with_the_missing_ranges(
    moto_s3: S3Server, bucket: str, proxied_s3: FaultProxy, tmp_path: Path
) -> None:
    put(moto_s3, bucket, "large.bin", LARGE)
    proxied_s3.inject(Fault(kind="reset", after_bytes=100, times=1000, matches=is_last_range))
    with pytest.raises(TransferError):
        fetch(proxied_s3.url, bucket, tmp_path)
    assert leftovers(tmp_path) == ["large.bin.part", "large.bin.part.ranges"]
    proxied_s3.clear()
    got = fetch(proxied_s3.url, bucket, tmp_path)
    assert [request.range for request in proxied_s3.reads()] == [LAST_RANGE]
    assert got.moved_bytes == 1234
    assert tree(tmp_path) == {"large.bin": LARGE}


def test_a_killed_transfer_continues_in_the_next_process(
    moto_s3: S3Server, bucket: str, proxied_s3: FaultProxy, tmp_path: Path
) -> None:
    put(moto_s3, bucket, "large.bin", LARGE)
    proxied_s3.inject(Fault(kind="stall", after_bytes=100, matches=is_last_range))
    process = fetch_in_a_process(proxied_s3.url, bucket, tmp_path)
    try:
        _wait_for(lambda: _recorded_ranges(tmp_path / "large.bin.part.ranges") == 3, process)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    proxied_s3.clear()
    fetch(proxied_s3.url, bucket, tmp_path)
    assert [request.range for request in proxied_s3.reads()] == [LAST_RANGE]
    assert tree(tmp_path) == {"large.bin": LARGE}


def _recorded_ranges(record: Path) -> int:
    return record.read_bytes().count(b"\n") - 1 if record.exists() else 0


def _wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"not json\n0\n1\n",
        b'{"object": "another", "range_bytes": 8388608, "size_bytes": 25167058}\n0\n',
    ],
)
def test_record_of_another_object_is_ignored(
    moto_s3: S3Server, bucket: str, tmp_path: Path, record: bytes
) -> None:
    put(moto_s3, bucket, "large.bin", LARGE)
    (tmp_path / "large.bin.part").write_bytes(bytes(len(LARGE)))
    (tmp_path / "large.bin.part.ranges").write_bytes(record)
    assert fetch(moto_s3.url, bucket, tmp_path).moved_bytes == len(LARGE)
    assert tree(tmp_path) == {"large.bin": LARGE}


@pytest.mark.parametrize("same_start", [True, False], ids=["running", "started over"])
def test_record_without_a_digest_is_ignored_after_a_reboot(
    moto_s3: S3Server, bucket: str, tmp_path: Path, same_start: bool
) -> None:
    """What is recorded may never have reached the disk, and no digest would tell."""
    put(moto_s3, bucket, "large.bin", LARGE)
    [listed] = files_of(moto_s3.url, bucket)
    file = replace(listed, digest=None, reload_metadata=None)
    part = PartFile(tmp_path / "large.bin", size_bytes=len(LARGE), range_bytes=RANGE)
    part.open(f"{file.etag} {boot_id() if same_start else 'an earlier start'}")
    part.range_written(0)
    part.close()
    got = download([file], tmp_path, timeouts=STEADY)
    assert got.moved_bytes == len(LARGE) - (RANGE if same_start else 0)
    if not same_start:
        assert tree(tmp_path) == {"large.bin": LARGE}


def test_wrong_bytes_of_an_earlier_transfer_are_fetched_again(
    moto_s3: S3Server, bucket: str, proxied_s3: FaultProxy, tmp_path: Path
) -> None:
    put(moto_s3, bucket, "large.bin", LARGE)
    proxied_s3.inject(Fault(kind="status", times=1000, matches=is_last_range))
    with pytest.raises(TransferError):
        fetch(proxied_s3.url, bucket, tmp_path)
    proxied_s3.clear()
    with (tmp_path / "large.bin.part").open("r+b") as part:
        part.write(b"damaged")
    fetch(proxied_s3.url, bucket, tmp_path)
    assert tree(tmp_path) == {"large.bin": LARGE}


class Stop(Exception):
    """What the signal handler of a test raises."""


def test_signal_ends_the_transfer_and_keeps_finished_ranges(
    moto_s3: S3Server, bucket: str, proxied_s3: FaultProxy, tmp_path: Path
) -> None:
    put(moto_s3, bucket, "a.bin", LARGE)
    proxied_s3.inject(Fault(kind="stall", matches=is_last_range))

    def stop(_number: int, _frame: object) -> None:
        raise Stop

    def interrupt() -> None:
        while _recorded_ranges(tmp_path / "a.bin.part.ranges") < 3:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGALRM)

    files = files_of(proxied_s3.url, bucket)
    before = signal.signal(signal.SIGALRM, stop)
    try:
        threading.Thread(target=interrupt, daemon=True).start()
        with pytest.raises(Stop):
            download(files, tmp_path, timeouts=NetworkTimeouts(stall_s=60))
    finally:
        signal.signal(signal.SIGALRM, before)
    proxied_s3.clear()
    fetch(proxied_s3.url, bucket, tmp_path)
    assert [request.range for request in proxied_s3.reads()] == [LAST_RANGE]


def test_progress_is_in_the_heartbeat_of_the_step(
    moto_s3: S3Server,
    bucket: str,
    proxied_s3: FaultProxy,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    put(moto_s3, bucket, "a.bin", LARGE)
    proxied_s3.inject(Fault(kind="stall", matches=is_last_range))
    files = files_of(proxied_s3.url, bucket, SHORT_TIMEOUTS)
    with caplog.at_level(logging.INFO), step("fetch", [], heartbeat_s=0.2):
        download(files, tmp_path, timeouts=SHORT_TIMEOUTS)
    assert re.search(
        r"fetch: running for \d s, download for \d s "
        r"\(24.0 MiB of 24.0 MiB, 100%, [0-9.]+ [KM]iB/s, (a moment|a second|\d seconds) left",
        caplog.text,
    )


def test_a_terminal_shows_a_bar(moto_s3: S3Server, bucket: str, tmp_path: Path) -> None:
    put(moto_s3, bucket, "a.bin", LARGE)
    terminal, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    try:
        process = fetch_in_a_process(moto_s3.url, bucket, tmp_path, stderr=theirs)
        assert process.wait(timeout=60) == 0
        os.set_blocking(terminal, False)
        shown = os.read(terminal, 100_000).decode()
    finally:
        os.close(theirs)
        os.close(terminal)
    assert "download: " in shown
    assert "24.0M" in shown
