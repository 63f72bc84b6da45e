"""PURE: the same share of a limit for each party that has demand, and all of it for one that is alone.

A party is a channel. It is within its share while it holds fewer than the limit divided by the number of active
parties; then it gets one more in any case, so the sum may exceed the limit until the others have drained: never by more
than the harmonic number of the parties times the limit, and seldom by more than a half. A party beyond its share gets
what others leave, up to the level of max-min fairness. Calls do not come evenly, and after a pause of the process they
come all at once: a party that usually holds less than its share may hold several times as much for a moment.

Some calls only claim to come from a party. A claim has to find room beside what the party holds and other claims; what
is known to come from the party does not look at claims.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

BURST = 4
"""How many times its share a party may hold for a moment, if it usually holds less than half of it."""
BURST_LIMIT = 2
"""Up to how many times the limit the sum may grow by bursts."""
USUAL_WEIGHT = 0.05
"""Weight of one window in what a party usually holds: a burst counts after a second or two."""
ACTIVE_S = 1.0
"""A party counts as active so long after its last call: longer than callers pause between two calls of a burst."""


class Party:
    """One channel. `held`: calls that are known to be its own; `claims`: calls that only say so; `most`: the most that
    it held in this window; `usual`: the mean of that; `refused`, `drained`: in this window."""

    __slots__ = ("active", "claims", "drained", "held", "most", "name", "refused", "seen_at", "usual")

    def __init__(self, name: str) -> None:
        self.name = name
        self.held = 0
        self.claims = 0
        self.most = 0
        self.usual = 0.0
        self.refused = 0
        self.drained = 0
        self.active = False
        self.seen_at = -inf

    def __repr__(self) -> str:
        return f"Party({self.name!r}, held={self.held}, claims={self.claims})"


class Shares:
    """The calls that parties hold of `limit`. Ask `has_room` before each `take`."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0
        """All calls, claims among them."""
        self.most = 0
        self.contended = False
        """Whether a party was refused of late. Only then are parties beyond their share kept to the level."""
        self.level: float = limit
        self.share = limit
        """Calls that each active party may hold in any case."""
        self.active: list[Party] = []
        """Parties that have demand, or had it a moment ago."""

    @property
    def is_open(self) -> bool:
        """Whether anybody may take one more, without a look at who it is."""
        return not self.contended and self.held < self.limit

    def has_room(self, party: Party, *, proven: bool = True) -> bool:
        """Whether `party` may hold one more. It is active from now on."""
        if not party.active:
            self._activate(party)
        holds = party.held if proven else party.held + party.claims
        if holds < self.share or self._may_burst(party, holds):
            return True
        return self.held < self.limit and (not self.contended or holds < self.level)

    def _may_burst(self, party: Party, holds: int) -> bool:
        return (
            len(self.active) > 1
            and party.usual * 2 < self.share
            and holds < BURST * self.share
            and self.held < BURST_LIMIT * self.limit
        )

    def take(self, party: Party) -> None:
        if not party.active:
            self._activate(party)
        party.held += 1
        party.most = max(party.most, party.held)
        self._count()

    def claim(self, party: Party) -> None:
        """Takes a call that is not known to be the party's."""
        party.claims += 1
        self._count()

    def prove(self, claimed: Party, party: Party) -> None:
        """Makes a claim a call of `party`, whose it is known to be now."""
        claimed.claims -= 1
        self.held -= 1
        self.take(party)

    def withdraw(self, claimed: Party) -> None:
        """Ends a call that never was more than a claim."""
        claimed.claims -= 1
        self.held -= 1

    def give_back(self, party: Party) -> None:
        party.held -= 1
        party.drained += 1
        self.held -= 1

    def refuse(self, party: Party) -> None:
        party.refused += 1
        self.contended = True

    def adjust(self, limit: int, now: float) -> list[Party]:
        """Begins a window, and shares `limit` anew. Returns the parties that had no demand for a while."""
        gone: list[Party] = []
        for party in self.active:
            if party.held or party.refused or party.drained:
                party.seen_at = now
            elif now - party.seen_at > ACTIVE_S:
                party.active = False
                gone.append(party)
        if gone:
            self.active = [party for party in self.active if party.active]
        self.limit = limit
        self._divide()
        self.contended = any(party.refused for party in self.active)
        self.level = fair_level(limit, (inf if party.refused else party.most for party in self.active))
        for party in self.active:
            party.usual += USUAL_WEIGHT * (party.most - party.usual)
            party.most, party.refused, party.drained = party.held, 0, 0
        self.most = self.held
        return gone

    def _count(self) -> None:
        self.held += 1
        self.most = max(self.most, self.held)

    def _activate(self, party: Party) -> None:
        party.active = True
        self.active.append(party)
        self._divide()

    def _divide(self) -> None:
        self.share = max(1, self.limit // max(1, len(self.active)))


def fair_level(limit: float, demands: Iterable[float]) -> float:
    """The max-min fair level: who demands less than it gets all, the others get it, and nothing is left over."""
    waiting = sorted(demands)
    left = limit
    for index, demand in enumerate(waiting):
        level = left / (len(waiting) - index)
        if demand >= level:
            return level
        left -= demand
    return limit
