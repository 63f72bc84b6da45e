"""The brake on guessing: wrong credentials are counted by the address that they come from, and by the name that they
claim to be.

An address that has sent too many for one name, or for all names together, is refused before its secret is looked at: a
right guess is refused like a wrong one. One exception keeps guesses from locking anybody out: an address from which a
name was rightly authenticated of late is always heard for that name. So a caller that shares its address with a
channel's own callers can go on guessing that channel's secret; from anywhere else nobody can, and a channel in use is
never refused. A wrong guess is answered in the same way, whether it was looked at or not.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from enum import StrEnum

from gateway.access.token_bucket import TokenBucket
from topics.configuration.networks import peer_of

ALL_NAMES = 10
"""How many times as much an address may get wrong for all names together: one program with an outdated password must
not use up what the others behind its address have."""
TRUSTED_S = 86_400.0
"""How long an address is trusted for a name after it was right: a channel calls at least once a day."""
REFRESH_S = 60.0
"""How old a note of trust may grow before it is written anew: a busy channel costs one look-up a call."""
ENTRIES_MAX = 10_000
"""Addresses, and pairs of address and name, that are remembered in each table: some 3 MB. The one that was idle for
longest goes first; whoever has so many addresses can guess that much faster."""
NAME_CHARS = 96
"""Characters of a claimed name that are compared."""


class State(StrEnum):
    """The effect of the brake on a caller that was not let in."""

    OFF = "off"
    ON = "on"
    """Its credentials were not looked at."""
    SPARED = "spared"
    """It was over the bound, and heard all the same, because its address is trusted for this name."""


class Brake:
    """`burst` and `per_minute`: for one address and one name. `clock`: seconds."""

    def __init__(self, burst: int, per_minute: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pairs = _Buckets(burst, per_minute / 60)
        self._addresses = _Buckets(burst * ALL_NAMES, per_minute * ALL_NAMES / 60)
        self._trusted: OrderedDict[tuple[str, str], float] = OrderedDict()

    def wait_s(self, address: str, name: str) -> float:
        """For how long the credentials of this caller are not looked at; 0: they are."""
        if not self._addresses:
            return 0.0
        pair = (peer_of(address), name[:NAME_CHARS])
        now = self._clock()
        wait_s = self._over_s(pair, now)
        return wait_s if wait_s > 0 and not self._is_trusted(pair, now) else 0.0

    def failed(self, address: str, name: str) -> float:
        """Counts wrong credentials that were looked at. Returns for how long they would not have been, but for trust:
        the caller must not learn that it was spared, because that tells which names are in use."""
        pair = (peer_of(address), name[:NAME_CHARS])
        now = self._clock()
        over_s = self._over_s(pair, now)
        if over_s == 0:
            self._pairs.take(pair, now)
            self._addresses.take((pair[0], ""), now)
        return over_s

    def _over_s(self, pair: tuple[str, str], now: float) -> float:
        return max(self._pairs.wait_s(pair, now), self._addresses.wait_s((pair[0], ""), now))

    def succeeded(self, address: str, name: str) -> None:
        """Trusts the address for this name from now on."""
        pair = (peer_of(address), name[:NAME_CHARS])
        now = self._clock()
        if now - self._trusted.get(pair, -REFRESH_S) >= REFRESH_S:
            self._trusted[pair] = now
            self._trusted.move_to_end(pair)
            if len(self._trusted) > ENTRIES_MAX:
                self._trusted.popitem(last=False)

    def _is_trusted(self, pair: tuple[str, str], now: float) -> bool:
        return now - self._trusted.get(pair, -TRUSTED_S) < TRUSTED_S


class _Buckets:
    """One bucket for each key that took something of late."""

    def __init__(self, burst: float, per_s: float) -> None:
        self._burst = burst
        self._per_s = per_s
        self._buckets: OrderedDict[tuple[str, str], TokenBucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def wait_s(self, key: tuple[str, str], now: float) -> float:
        bucket = self._buckets.get(key)
        if bucket is None:
            return 0.0
        if bucket.is_full(now):
            del self._buckets[key]
            return 0.0
        return bucket.wait_s(1, now)

    def take(self, key: tuple[str, str], now: float) -> None:
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = TokenBucket(self._burst, self._per_s, now)
            if len(self._buckets) > ENTRIES_MAX:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(key)
        bucket.take(1, now)
