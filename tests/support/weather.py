"""Bad weather between a client and a server: faults at random, which a seed repeats.

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

#: repeats the weather of an earlier run, which printed this number
SEED_VARIABLE = "WEATHER_SEED"

#: how often each fault comes, compared with the others
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

#: where in a body something happens: before it, in its first packets, far into a range
LONGEST_BEFORE = (0, 5_000, 6_000_000)

Result = TypeVar("Result")


def weather_seed() -> int:
    """The seed of this run: the one that is asked for, or a new one."""
    given = os.environ.get(SEED_VARIABLE)
    return int(given) if given else random.SystemRandom().randrange(2**32)


@dataclass(frozen=True, kw_only=True)
class Climate:
    """How bad it is."""

    #: how many of all requests meet a fault
    chance: float
    #: in a storm every request that was asked this often before is answered by a busy server
    storm: range = range(0)
    #: A request that was asked this often before meets no fault any more, and wrong bytes only what
    #: is asked for the first time: a job has to end right in this, whatever the seed.
    clears_after: int | None = None


class Weather:
    """What is to happen to each request; the `weather` of a FaultProxy."""

    def __init__(self, seed: str, climate: Climate, kinds: Mapping[Kind, int] = KINDS) -> None:
        self._seed = seed
        self._climate = climate
        self._kinds = kinds
        self._asked: Counter[str] = Counter()

    def __call__(self, request: Request) -> Fault | None:
        """The fault of this request, or None; called by one thread at a time."""
        what = _what_is_asked(request)
        before = self._asked[what]
        self._asked[what] += 1
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


def _what_is_asked(request: Request) -> str:
    """A request without what differs from run to run: the bucket, identifiers, signatures."""
    parts = urlsplit(request.path)
    _, _, key = parts.path.lstrip("/").partition("/")
    query = parse_qs(parts.query, keep_blank_values=True)
    kept = [f"{name}={query[name]}" for name in ("partNumber", "uploads") if name in query]
    return " ".join([request.method, key, *kept, request.range or ""])


def within(seconds: float, action: Callable[[], Result], what: str) -> Result:
    """Do `action` in a thread and give what it gives or raises; one that takes longer hangs."""
    given: list[Result] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            given.append(action())
        except BaseException as error:  # handed on to the thread that waits
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    assert not thread.is_alive(), f"{what} hangs: it has not ended after {seconds} s"
    if raised:
        raise raised[0]
    return given[0]
