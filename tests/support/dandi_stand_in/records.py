"""The data that the stand-in and its two servers share."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import Any, Literal

#: keys of three users: the first owns every dandiset, the second none, the third is not approved
OWNER_KEY = "0123456789abcdef0123456789abcdef01234567"
STRANGER_KEY = "76543210fedcba9876543210fedcba9876543210"
PENDING_KEY = "00112233445566778899aabbccddeeff00112233"

USERS = {OWNER_KEY: "jane-doe", STRANGER_KEY: "john-roe", PENDING_KEY: "jim-poe"}

BUCKET = "dandiarchive"

ServerName = Literal["api", "store"]


class Fault(Enum):
    """A fault of a request."""

    #: 503, with Retry-After
    UNAVAILABLE = auto()
    #: no answer until the archive is closed, while the connection stays open
    STALL = auto()
    #: the connection ends without an answer
    BROKEN = auto()
    #: the request is done, and its answer is 502
    LOST_ANSWER = auto()
    #: the connection ends in the middle of the body
    SHORT_BODY = auto()
    #: the last byte of the body is wrong
    WRONG_BYTES = auto()
    #: the signature has expired, as after six hours; unsigned URLs are unaffected
    EXPIRED_SIGNATURE = auto()


@dataclass(frozen=True, kw_only=True)
class Asset:
    """A file, or a Zarr, in a version of a dandiset."""

    dandiset: str
    version: str
    path: str
    #: None for a Zarr
    file: Path | None
    size_bytes: int
    #: that of a Zarr is None until the archive has computed it
    digests: dict[str, Any]
    #: that a Zarr is; None if only its name is there
    folder: Path | None = None
    identifier: str = field(default_factory=lambda: str(uuid.uuid4()))
    #: id of its blob or Zarr folder
    content: str = field(default_factory=lambda: str(uuid.uuid4()))
    #: the metadata of an upload
    described: Mapping[str, Any] = field(default_factory=dict)

    @property
    def etag(self) -> str:
        """DANDI's digest, which is also the ETag of the blob."""
        return str(self.digests["dandi:dandi-etag"])

    @property
    def is_zarr(self) -> bool:
        """Whether it is a Zarr, not a blob."""
        return self.file is None

    @property
    def key(self) -> str:
        """The key of its blob in the bucket, or the prefix of its entries without a slash."""
        if self.is_zarr:
            return f"zarr/{self.content}"
        return f"blobs/{self.content[:3]}/{self.content[3:6]}/{self.content}"


@dataclass(frozen=True, kw_only=True)
class Request:
    """An answered request, without its secrets."""

    server: ServerName
    method: str
    path: str
    status: int
    #: the Range header
    range: str | None
    #: whether it had a key or a signature
    authorised: bool
