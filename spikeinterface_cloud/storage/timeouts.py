"""Network timeouts, in one place for boto3, obstore and our own retries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkTimeouts:
    """Seconds that a transfer waits for a network in trouble before it gives up."""

    #: to open a connection
    connect_s: float = 10
    #: without a byte on an open connection, before it counts as stalled
    stall_s: float = 30
    #: of failures of one request, counted from its first attempt, before the transfer ends
    give_up_s: float = 180
    #: at most between two attempts
    longest_wait_s: float = 20
    #: of a request of boto3, the first one included
    attempts: int = 5


#: while a job shuts down with seconds left, or has lost its network already
SHUTDOWN_TIMEOUTS = NetworkTimeouts(
    connect_s=2, stall_s=4, give_up_s=4, longest_wait_s=1, attempts=2
)

#: A request that has begun moving is bounded by its stalls, never by its whole length: obstore
#: would cut it at 30 s.
WHOLE_REQUEST = timedelta(days=7)

#: obstore repeats a failed request this often by itself; what outlives that is repeated by the
#: transfer, with a log line.
QUICK_RETRIES = 2


def client_options(timeouts: NetworkTimeouts, *, allow_http: bool) -> ClientConfig:
    """Return the HTTP options of an obstore store."""
    return {
        "allow_http": allow_http,
        "connect_timeout": timedelta(seconds=timeouts.connect_s),
        "read_timeout": timedelta(seconds=timeouts.stall_s),
        "timeout": WHOLE_REQUEST,
    }


def retry_config(timeouts: NetworkTimeouts, *, retries: bool = True) -> RetryConfig:
    """Return the retries that an obstore store makes by itself, if any."""
    return {
        "max_retries": QUICK_RETRIES if retries else 0,
        "retry_timeout": timedelta(seconds=timeouts.give_up_s),
        "backoff": {
            "init_backoff": timedelta(milliseconds=100),
            "max_backoff": timedelta(seconds=min(2.0, timeouts.longest_wait_s)),
            "base": 2,
        },
    }
