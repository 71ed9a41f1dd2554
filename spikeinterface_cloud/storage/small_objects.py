"""Read many small objects at once, such as the metadata of a Zarr store."""

import threading
from collections.abc import Callable, Sequence
from functools import partial

from spikeinterface_cloud.errors import RecordingError, SourceError
from spikeinterface_cloud.storage.digests import Digest, digest_of_bytes
from spikeinterface_cloud.storage.range_reader import ObjectChanged, ObjectReader
from spikeinterface_cloud.storage.remote_file import RemoteFile
from spikeinterface_cloud.storage.thread_pool import Threads, wait_for_all
from spikeinterface_cloud.storage.timeouts import NetworkTimeouts

PARALLEL_READS = 8


def read_files(files: Sequence[RemoteFile], timeouts: NetworkTimeouts | None = None) -> list[bytes]:
    """Return the content of each file, in order, verified by the digests that they have.

    Raises SourceError for one that is missing or has changed, RecordingError for wrong bytes.
    """
    waits = timeouts or NetworkTimeouts()
    return _read_all([partial(_read_verified, file, waits) for file in files])


def _read_verified(file: RemoteFile, timeouts: NetworkTimeouts) -> bytes:
    if not file.size_bytes:
        return b""
    try:
        content = bytes(ObjectReader(file, "memory", timeouts).read_whole())
    except ObjectChanged as error:
        raise SourceError(
            f"{file.url} changed since it was listed; run the job again when its upload is finished"
        ) from error
    if _has(content, file.digest):
        return content
    # the ETag of a listing may be no digest at all
    digest = file.reload_metadata().digest if file.reload_metadata is not None else file.digest
    if _has(content, digest):
        return content
    raise RecordingError(
        f"checksum of {file.url} does not match {digest}; the stored file is damaged, or the "
        "network changes bytes: run the job again, and upload the file again if that does not help"
    )


def _has(content: bytes, digest: Digest | None) -> bool:
    return digest is None or digest_of_bytes(content, digest) == digest.value


def _read_all(reads: Sequence[Callable[[], bytes]]) -> list[bytes]:
    threads = Threads(PARALLEL_READS, "metadata")
    futures = [threads.submit(read) for read in reads]
    threads.end()
    wait_for_all(futures, threading.Event())
    return [future.result() for future in futures]
