"""Read many small objects at once, such as the metadata of a Zarr store."""

import threading
from collections.abc import Sequence
from functools import partial

from spikeinterface_cloud.config.locations import S3Location
from spikeinterface_cloud.storage.session import Storage
from spikeinterface_cloud.storage.thread_pool import Threads, wait_for_all

PARALLEL_READS = 8


def read_objects(storage: Storage, locations: Sequence[S3Location]) -> list[bytes]:
    """Return the content of each object, in order; raise `SourceError` for one that is missing."""
    threads = Threads(PARALLEL_READS, "metadata")
    futures = [threads.submit(partial(storage.read_object, location)) for location in locations]
    threads.end()
    wait_for_all(futures, threading.Event())
    return [future.result() for future in futures]
