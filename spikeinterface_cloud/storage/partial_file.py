"""The unfinished file of a download, and the record beside it of which ranges are in it.

The record is appended to after each range is written, one short line each, so that whatever kills
the job, the next one finds at most a range too few in it. Its first line says what object the
ranges are of.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from spikeinterface_cloud.runtime.disk import disk_errors
from spikeinterface_cloud.storage.remote_file import PART_SUFFIX, RECORD_SUFFIX


class PartFile:
    """A file under its temporary name, written in ranges by any number of threads."""

    def __init__(self, final: Path, *, size_bytes: int, range_bytes: int) -> None:
        self.final = final
        self.path = final.with_name(final.name + PART_SUFFIX)
        self._record_path = final.with_name(final.name + RECORD_SUFFIX)
        self._size_bytes = size_bytes
        self._range_bytes = range_bytes
        self._data: int | None = None
        self._record: int | None = None
        self._recording = False
        self.finished = False

    def open(self, identity: str | None) -> list[int]:
        """Open for writing; return the ranges that an earlier download of the same object left.

        Without an identity nothing of an earlier download is used.
        """
        done = self._recorded(identity) if identity else []
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        with disk_errors(self.final):
            self._data = os.open(self.path, flags | (0 if done else os.O_TRUNC), 0o644)
            os.ftruncate(self._data, self._size_bytes)
            self._record = os.open(
                self._record_path, flags | os.O_APPEND | (0 if done else os.O_TRUNC), 0o644
            )
            self._recording = True
            if not done:
                os.write(self._record, self._header(identity))
        return done

    def write(self, start: int, block: bytes) -> None:
        """Write bytes at their place. Raises UnavailableError when the disk is full."""
        assert self._data is not None
        with disk_errors(self.final):
            data = memoryview(block)
            while data:
                written = os.pwrite(self._data, data, start)
                data = data[written:]
                start += written

    def range_written(self, index: int) -> None:
        """Record that all of range `index` is in the file."""
        assert self._record is not None
        with disk_errors(self.final):
            os.write(self._record, f"{index}\n".encode())

    def write_whole(self, data: memoryview) -> None:
        """Write all of a small file at once, without a record."""
        with disk_errors(self.final):
            self.path.write_bytes(data)

    def finish(self) -> None:
        """Give the file its final name, if it has not got it yet."""
        if self.finished:
            return
        self.close()
        with disk_errors(self.final):
            self.path.replace(self.final)
            if self._recording:
                self._record_path.unlink()
        self.finished = True

    def close(self) -> None:
        """Close, and leave what was written for the next attempt."""
        for descriptor in (self._data, self._record):
            if descriptor is not None:
                os.close(descriptor)
        self._data = self._record = None

    def discard(self) -> None:
        """Close, and delete what was written."""
        self.close()
        self._record_path.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def _header(self, identity: str | None) -> bytes:
        header = {
            "object": identity,
            "size_bytes": self._size_bytes,
            "range_bytes": self._range_bytes,
        }
        return json.dumps(header, sort_keys=True).encode() + b"\n"

    def _recorded(self, identity: str) -> list[int]:
        try:
            lines = self._record_path.read_bytes().split(b"\n")[
                :-1
            ]  # the last line may be cut short
            if self.path.stat().st_size != self._size_bytes:
                return []
        except FileNotFoundError:
            return []
        if not lines or lines[0] + b"\n" != self._header(identity):
            return []
        return sorted({int(line) for line in lines[1:] if line.isdigit()})
