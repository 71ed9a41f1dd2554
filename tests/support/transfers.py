"""A folder on S3 and its download, for the tests of transfers."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
import textwrap
from pathlib import Path

from spikeinterface_cloud.config.locations import S3Location
from spikeinterface_cloud.storage.download import Downloaded, download
from spikeinterface_cloud.storage.remote_file import RemoteFile, s3_files
from spikeinterface_cloud.storage.session import Storage
from spikeinterface_cloud.storage.timeouts import NetworkTimeouts
from tests.support.fault_proxy import Request
from tests.support.servers import S3Server, access_to

MIB = 1024 * 1024

#: size of a range request; a file of four ranges
RANGE = 8 * MIB
LARGE = random.Random(3).randbytes(3 * RANGE + 1234)

#: gives up soon after failures, but allows for a busy host
STEADY = NetworkTimeouts(connect_s=10, stall_s=20, give_up_s=2, longest_wait_s=0.2)

#: for stalled connections
SHORT_TIMEOUTS = NetworkTimeouts(connect_s=1, stall_s=0.5, give_up_s=2, longest_wait_s=0.2)


#: the Range header of the last range
LAST_RANGE = f"bytes={3 * RANGE}-{len(LARGE) - 1}"


def is_last_range(request: Request) -> bool:
    """Return whether a request reads the last range, or the rest of it after a break."""
    return request.range is not None and request.range.endswith(f"-{len(LARGE) - 1}")


def md5(data: bytes) -> str:
    """Return the MD5 in hexadecimal."""
    return hashlib.md5(data).hexdigest()  # noqa: S324


def put(server: S3Server, bucket: str, name: str, data: bytes) -> None:
    """Store an object in the folder `raw`."""
    server.client.put_object(Bucket=bucket, Key=f"raw/{name}", Body=data)


def files_of(url: str, bucket: str, timeouts: NetworkTimeouts = STEADY) -> list[RemoteFile]:
    """Return the files of the folder `raw`."""
    storage = Storage(access_to(url), timeouts=timeouts)
    folder = S3Location(bucket=bucket, key="raw")
    return s3_files(storage, storage.list_objects(folder), folder)


def fetch(url: str, bucket: str, folder: Path, timeouts: NetworkTimeouts = STEADY) -> Downloaded:
    """Download the folder `raw`."""
    return download(files_of(url, bucket, timeouts), folder, timeouts=timeouts)


def leftovers(folder: Path) -> list[str]:
    """Return the names of unfinished files and their records."""
    return sorted(path.name for path in folder.rglob("*.part*"))


def tree(folder: Path) -> dict[str, bytes]:
    """Return the content of all files in a folder by relative path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def fetch_in_a_process(
    url: str, bucket: str, folder: Path, stderr: int | None = None
) -> subprocess.Popen[bytes]:
    """Download the folder `raw` in a process that can be killed."""
    code = f"""
        from pathlib import Path
        from tests.support.transfers import fetch
        fetch({url!r}, {bucket!r}, Path({str(folder)!r}))
    """
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stderr=stderr)
