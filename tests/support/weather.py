"""Bad weather between a client and a server: random faults that a seed repeats.

What happens to a request follows from the seed, from what is asked for, and from how often it was
asked for before, not from the order in which requests happen to arrive: so the same seed brings
the same weather to the same transfer.
"""

from __future__ import annotations

import math
import os
import random
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import parse_qs, urlsplit

from tests.support.fault_proxy import Fault, Kind, Request

#: set to the number that an earlier run printed, to repeat its weather
SEED_VARIABLE = "WEATHER_SEED"

#: relative frequency of each fault
KINDS: Mapping[Kind, int] = {
    "reset": 4,
    "truncate": 4,
    "status": 4,
    "drip": 2,
    "corrupt": 1,
    "damage": 1,
    "stall": 1,
}

WRONG_BYTES = frozenset({"corrupt", "damage"})

STATUSES = (500, 502, 503, 503, 504)

#: positions of a fault in a body: before it, in its first packets, far into a range
LONGEST_BEFORE = (0, 5_000, 6_000_000)

Result = TypeVar("Result")


def weather_seed() -> int:
    """Return the seed of this run: that of the environment, or a new one."""
    seed = os.environ.get(SEED_VARIABLE)
    return int(seed) if seed else random.SystemRandom().randrange(2**32)


@dataclass(frozen=True, kw_only=True)
class Climate:
    """How bad the weather is."""

    #: fraction of requests that meet a fault
    chance: float
    #: repetitions of a request that a busy server refuses
    storm: range = range(0)
    #: Requests meet no fault after this many repetitions, and wrong bytes only the first time, so
    #: that a job succeeds whatever the seed.
    clears_after: int | None = None


class Weather:
    """Chooses the fault of each request; the `weather` of a FaultProxy."""

    def __init__(self, seed: str, climate: Climate, kinds: Mapping[Kind, int] = KINDS) -> None:
        self._seed = seed
        self._climate = climate
        self._kinds = kinds
        self._n_requests: Counter[str] = Counter()

    def __call__(self, request: Request) -> Fault | None:
        """Return the fault of this request, or None; called by one thread at a time."""
        what = _request_key(request)
        before = self._n_requests[what]
        self._n_requests[what] += 1
        chosen = random.Random(f"{self._seed} {what} {before}")
        if before in self._climate.storm:
            return Fault(kind="status", status=chosen.choice(STATUSES))
        clears_after = self._climate.clears_after
        if chosen.random() >= self._climate.chance or before >= (clears_after or math.inf):
            return None
        [kind] = chosen.choices(list(self._kinds), list(self._kinds.values()))
        if clears_after and before and kind in WRONG_BYTES:
            return None
        return Fault(
            kind=kind,
            status=chosen.choice(STATUSES),
            after_bytes=chosen.randint(0, chosen.choice(LONGEST_BEFORE)),
            in_request=request.method in ("PUT", "POST") and chosen.random() < 0.5,
        )


def _request_key(request: Request) -> str:
    """Return the request without what differs between runs: bucket, ids, signatures."""
    parts = urlsplit(request.path)
    _, _, key = parts.path.lstrip("/").partition("/")
    query = parse_qs(parts.query, keep_blank_values=True)
    kept = [f"{name}={query[name]}" for name in ("partNumber", "uploads") if name in query]
    return " ".join([request.method, key, *kept, request.range or ""])


def within(seconds: float, action: Callable[[], Result], what: str) -> Result:
    """Run `action` in a thread; return its result, or fail if it takes longer than `seconds`."""
    given: list[Result] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            given.append(action())
        except BaseException as error:  # raised again in the waiting thread
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    assert not thread.is_alive(), f"{what} hangs: it has not ended after {seconds} s"
    if raised:
        raise raised[0]
    return given[0]
