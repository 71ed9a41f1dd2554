"""Retries after failures of the network and of overloaded servers, by obstore's errors."""

from __future__ import annotations

import html
import logging
import re
import threading
from collections.abc import Callable
from typing import TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_after_delay,
    stop_all,
    wait_random_exponential,
)

from spikeinterface_cloud.storage.thread_pool import Stopped
from spikeinterface_cloud.storage.timeouts import NetworkTimeouts

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

#: A request is tried at least this often, however long its attempts take.
LEAST_ATTEMPTS = 4

#: seconds that the first wait is below
FIRST_WAIT_S = 0.5

STATUS = re.compile(r"status code: (?P<status>\d{3})")
SIGNED_QUERY = re.compile(r"\?\S+")

#: answers below 500 that are worth a retry: a busy server, and one that noticed by itself
#: that a body did not arrive as it was sent
RETRYABLE = re.compile(
    r"status code: (408|429)|RequestTimeout|SlowDown"
    r"|BadDigest|IncompleteBody|XAmzContentSHA256Mismatch|XAmzContentChecksumMismatch"
)

#: credentials that could not be fetched this time; their service may only be late
NO_CREDENTIALS = "External AWS credential provider"

#: the name of S3's error in the answer's body, for messages
CODE = re.compile(r"<Code>(?P<code>[\w.]+)</Code>")
MESSAGE = re.compile(r"<Message>(?P<message>[^<]*)</Message>")


class TransientError(Exception):
    """A failure of the network or of an overloaded server; another attempt may succeed."""


def retry(
    action: Callable[[], Result], timeouts: NetworkTimeouts, url: str, stop: threading.Event
) -> Result:
    """Do `action` until it succeeds, waiting longer and longer in between; `url` is for the log.

    Raises the last TransientError after `give_up_s`, Stopped when `stop` is set while it waits, and
    any other error at once.
    """
    try:
        return action()  # nearly always enough, and 1,500 times cheaper than setting up more
    except TransientError as error:
        failures = [error]

    def again() -> Result:
        if failures:
            raise failures.pop()
        return action()

    def sleep(seconds: float) -> None:
        if stop.wait(seconds):
            raise Stopped

    def log_retry(state: RetryCallState) -> None:
        assert state.outcome is not None
        wait_s = state.next_action.sleep if state.next_action else 0
        logger.info("%s: %s; trying again in %.1f s", url, state.outcome.exception(), wait_s)

    return Retrying(
        sleep=sleep,
        retry=retry_if_exception_type(TransientError),
        stop=stop_all(stop_after_attempt(LEAST_ATTEMPTS), stop_after_delay(timeouts.give_up_s)),
        wait=wait_random_exponential(multiplier=FIRST_WAIT_S, max=timeouts.longest_wait_s),
        before_sleep=log_retry,
        reraise=True,
    )(again)


def final_status(error: Exception) -> int | None:
    """Return the HTTP status of an answer that a retry would only repeat; None otherwise."""
    text = str(error)
    found = STATUS.search(text)
    if found is None or int(found["status"]) >= 500 or RETRYABLE.search(text):
        return None
    return int(found["status"])


def error_name(error: Exception) -> str:
    """Return S3's own name of an error, or its HTTP status."""
    code, status = CODE.search(str(error)), STATUS.search(str(error))
    return code["code"] if code else status["status"] if status else type(error).__name__


def error_message(error: Exception) -> str:
    """Return S3's own words about an error; empty where it said none."""
    found = MESSAGE.search(str(error))
    return html.unescape(found["message"]) if found else ""


def first_line(error: Exception) -> str:
    """Return an error's own words on one line, without the signed part of a URL."""
    words = " ".join(str(error).partition("\n\nDebug source")[0].split())
    return SIGNED_QUERY.sub("", words).rstrip(": ")
