"""A remote file as Python's file object, for libraries that read a few places of a large file."""

from __future__ import annotations

import io
from collections import OrderedDict
from typing import TYPE_CHECKING

from spikeinterface_cloud.storage.range_reader import ObjectReader
from spikeinterface_cloud.storage.timeouts import NetworkTimeouts

if TYPE_CHECKING:
    from spikeinterface_cloud.storage.remote_file import RemoteFile

#: what is read at once
BLOCK_BYTES = 256 * 1024

#: blocks that are kept
KEPT_BLOCKS = 64


class RemoteIO(io.RawIOBase):
    """Reads a file, on S3 or behind a URL, block by block.

    Reading raises ObjectChanged if the file is no longer what was listed, else as a download does.
    """

    def __init__(self, file: RemoteFile) -> None:
        super().__init__()
        self._size = file.size_bytes
        self._reader = ObjectReader(file, "the metadata", NetworkTimeouts())
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._position = 0

    def readable(self) -> bool:
        """Return whether it can be read."""
        return True

    def seekable(self) -> bool:
        """Return whether other places than the next can be read."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position, and return it."""
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}
        self._position = origin[whence] + offset
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill a buffer, but for the end of the file; return the number of bytes."""
        view = memoryview(buffer).cast("B")
        n_bytes = max(0, min(len(view), self._size - self._position))
        filled = 0
        while filled < n_bytes:
            number, start = divmod(self._position, BLOCK_BYTES)
            part = self._block(number)[start : start + n_bytes - filled]
            view[filled : filled + len(part)] = part
            filled += len(part)
            self._position += len(part)
        return n_bytes

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            start = number * BLOCK_BYTES
            end = min(start + BLOCK_BYTES, self._size)
            block = bytearray(end - start)

            def keep(position: int, content: bytes) -> None:
                block[position - start : position - start + len(content)] = content

            self._reader.read_range(start, end, keep)
            self._blocks[number] = bytes(block)
            if len(self._blocks) > KEPT_BLOCKS:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(number)
        return self._blocks[number]
