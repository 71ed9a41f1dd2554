"""Check that a remote file starts like HDF5, as NWB does, before a long download."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spikeinterface_cloud.errors import RecordingError
from spikeinterface_cloud.storage.range_reader import ObjectChanged, ObjectReader
from spikeinterface_cloud.storage.thread_pool import in_a_thread
from spikeinterface_cloud.storage.timeouts import NetworkTimeouts

if TYPE_CHECKING:
    from spikeinterface_cloud.storage.remote_file import RemoteFile

SIGNATURE = b"\x89HDF\r\n\x1a\n"

#: HDF5 may stand behind a block of the user's, of 512 bytes or of a power of two times that
USER_BLOCK_BYTES = (0, 512, 1024, 2048)

#: read of a file's start; longer user blocks are not known of NWB
START_BYTES = 2048 + len(SIGNATURE)


def check_remote_hdf5(file: RemoteFile, timeouts: NetworkTimeouts | None = None) -> None:
    """Read the start of `file`, on S3 or DANDI, by one request, and check that it is HDF5."""
    reader = ObjectReader(file, "the start of the file", timeouts or NetworkTimeouts())
    start = bytearray(min(START_BYTES, file.size_bytes))

    def keep(position: int, block: bytes) -> None:
        start[position : position + len(block)] = block

    try:
        in_a_thread(lambda: reader.read_range(0, len(start), keep))
    except ObjectChanged:
        return  # the download says so
    check_hdf5(bytes(start), file.url)


def check_hdf5(start: bytes, name: str) -> None:
    """Raise RecordingError when a file that starts like that is not HDF5.

    >>> check_hdf5(b"<!DOCTYPE html>", "a.nwb")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    spikeinterface_cloud.errors.RecordingError: a.nwb is a web page, not an NWB file; ...
    """
    if any(start[offset:].startswith(SIGNATURE) for offset in USER_BLOCK_BYTES):
        return
    beginning = start.lstrip()[:5].lower()
    if beginning.startswith((b"<!doc", b"<html", b"<?xml")):
        raise RecordingError(
            f"{name} is a web page, not an NWB file; give the address of the file itself"
        )
    raise RecordingError(
        f"{name} is not an NWB file: it does not begin like HDF5; check the name and DATA_TYPE"
    )
