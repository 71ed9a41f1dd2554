"""Read many small objects at once, such as the metadata of a Zarr store."""

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from spikeinterface_cloud.config.locations import S3Location
from spikeinterface_cloud.storage.range_reader import ObjectReader
from spikeinterface_cloud.storage.remote_file import RemoteFile
from spikeinterface_cloud.storage.session import Storage
from spikeinterface_cloud.storage.thread_pool import Threads, wait_for_all
from spikeinterface_cloud.storage.timeouts import NetworkTimeouts

Content = TypeVar("Content")

PARALLEL_READS = 8


def read_objects(storage: Storage, locations: Sequence[S3Location]) -> list[bytes]:
    """Return the content of each object, in order; raise `SourceError` for one that is missing."""
    return _read_all([partial(storage.read_object, location) for location in locations])


def read_files(files: Sequence[RemoteFile]) -> list[bytes]:
    """Return the content of each file, on S3 or behind a URL, in order.

    Raises ObjectChanged for one that is no longer what was listed.
    """
    timeouts = NetworkTimeouts()
    readers = [ObjectReader(file, "the metadata", timeouts) for file in files]
    return [bytes(content) for content in _read_all([reader.read_whole for reader in readers])]


def _read_all(reads: Sequence[Callable[[], Content]]) -> list[Content]:
    threads = Threads(PARALLEL_READS, "metadata")
    futures = [threads.submit(read) for read in reads]
    threads.end()
    wait_for_all(futures, threading.Event())
    return [future.result() for future in futures]
