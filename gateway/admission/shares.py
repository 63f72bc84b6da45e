"""PURE: the same share of a limit for each party that has demand, and all of it for one that is alone.

A party is a channel. It is within its share while it holds fewer than the limit divided by the number of active
parties; then it gets one more in any case, so the sum may exceed the limit until the others have drained: never by more
than the harmonic number of the parties times the limit, and seldom by more than a half. A party beyond its share gets
what others leave, up to the level of max-min fairness.

Few calls are in hand as long as each is answered soon. When all answers stall for a moment, even a slow party exceeds
its share of places. So a party whose rate is below its share may hold what it brings in that time, too.

Some calls only claim to come from a party. A claim has to find room beside what the party holds and other claims; what
is known to come from the party does not look at claims.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import exp, inf

STALL_S = 1.0
"""For so long a party may go on at its usual rate while nothing is answered: Kafka elects a leader, a process waits for
a processor. That is no overload as long as the rate is one that can be served."""
FAIR_RATE = 0.8
"""Such a rate is below this part of an equal share of what is answered, so that measuring it need not be exact."""
SLOW_S, FAST_S = 5.0, 1.0
"""Times over which a party's usual rate, and its rate now, are measured. A flood shows in the second at once."""
UNSEEN_SHARE = 0.25
"""While less of the limit is in hand, nobody is asked who it is. It is less than a whole limit, as who was not asked
does not count in any share: a party that floods an idle gateway would get so many places twice."""
ACTIVE_S = 1.0
"""A party counts as active so long after its last call: longer than callers pause between two calls of a burst."""


class Party:
    """One channel. `held`: calls that are known to be its own; `claims`: calls that only say so; `most`: the most that
    it held in this window; `came`, `refused`, `drained`: in this window; `usual_per_s`, `now_per_s`: its rate."""

    __slots__ = (
        "active",
        "came",
        "claims",
        "drained",
        "held",
        "most",
        "name",
        "now_per_s",
        "refused",
        "seen_at",
        "usual_per_s",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.held = 0
        self.claims = 0
        self.most = 0
        self.came = 0
        self.usual_per_s = 0.0
        self.now_per_s = 0.0
        self.refused = 0
        self.drained = 0
        self.active = False
        self.seen_at = -inf

    def __repr__(self) -> str:
        return f"Party({self.name!r}, held={self.held}, claims={self.claims})"


class Shares:
    """The calls that parties hold of `limit`. Ask `has_room` before each `take`. `held_max`: most that they hold while
    answers stall."""

    def __init__(self, limit: int, held_max: int | None = None) -> None:
        self.limit = limit
        self.held_max = limit if held_max is None else held_max
        self.drained_per_s = 0.0
        self.held = 0
        """All calls, claims among them."""
        self.most = 0
        self.contended = False
        """Whether a party was refused of late. Only then are parties beyond their share kept to the level."""
        self.level = float(limit)
        self.share = limit
        """Calls that each active party may hold in any case."""
        self.active: list[Party] = []
        """Parties that have demand, or had it a moment ago."""

    @property
    def is_open(self) -> bool:
        """Whether anybody may take one more, without a look at who it is."""
        return not self.contended and self.held < UNSEEN_SHARE * self.limit

    def has_room(self, party: Party, *, proven: bool = True) -> bool:
        """Whether `party` may hold one more. It is active from now on, unless this is only a claim: that is judged as
        if it was."""
        share = self.share
        if not party.active:
            if proven:
                self._activate(party)
                share = self.share
            else:
                share = self._share_of(len(self.active) + 1)
        holds = party.held if proven else party.held + party.claims
        if holds < share:
            return True
        if self.held >= self.limit:
            return self.held < self.held_max and holds < share + self._stalled(party)
        return not self.contended or holds < self.level

    def _stalled(self, party: Party) -> float:
        """The calls that `party` may hold beyond its share while answers stall."""
        fair_per_s = FAIR_RATE * self.drained_per_s / max(1, len(self.active))
        if self.contended and party.now_per_s > fair_per_s:
            return 0.0
        return STALL_S * max(party.usual_per_s, party.now_per_s)

    def take(self, party: Party) -> None:
        self._hold(party)
        self._count()

    def claim(self, party: Party) -> None:
        """Takes a call that is not known to be the party's."""
        party.claims += 1
        self._count()

    def prove(self, claimed: Party, party: Party) -> None:
        """Makes a claim a call of `party`, whose it is known to be now."""
        claimed.claims -= 1
        self._hold(party)

    def withdraw(self, claimed: Party) -> None:
        """Ends a call that never was more than a claim."""
        claimed.claims -= 1
        self.held -= 1

    def give_back(self, party: Party) -> None:
        party.held -= 1
        party.drained += 1
        self.held -= 1

    def refuse(self, party: Party) -> None:
        if not party.active:
            self._activate(party)
        party.refused += 1
        party.came += 1
        self.contended = True

    def adjust(self, limit: int, now: float, seconds: float) -> list[Party]:
        """Begins a window, and shares `limit` anew. Returns the parties that had no demand for a while. `seconds`: the
        length of the window that is over."""
        self._measure(seconds)
        gone: list[Party] = []
        for party in self.active:
            if party.held or party.refused or party.drained:
                party.seen_at = now
            elif now - party.seen_at > ACTIVE_S:
                party.active = False
                party.usual_per_s = party.now_per_s = 0.0
                gone.append(party)
        if gone:
            self.active = [party for party in self.active if party.active]
        self.limit = limit
        self._divide()
        self.contended = any(party.refused for party in self.active)
        self.level = fair_level(limit, (inf if party.refused else party.most for party in self.active))
        for party in self.active:
            party.most, party.came, party.refused, party.drained = party.held, 0, 0, 0
        self.most = self.held
        return gone

    def _measure(self, seconds: float) -> None:
        slow, fast = exp(-seconds / SLOW_S), exp(-seconds / FAST_S)
        drained = 0
        for party in self.active:
            drained += party.drained
            per_s = party.came / seconds
            party.usual_per_s += (1.0 - slow) * (per_s - party.usual_per_s)
            party.now_per_s += (1.0 - fast) * (per_s - party.now_per_s)
        self.drained_per_s += (1.0 - slow) * (drained / seconds - self.drained_per_s)

    def _hold(self, party: Party) -> None:
        if not party.active:
            self._activate(party)
        party.came += 1
        party.held = held = party.held + 1
        party.most = max(party.most, held)

    def _count(self) -> None:
        self.held = held = self.held + 1
        self.most = max(self.most, held)

    def _activate(self, party: Party) -> None:
        party.active = True
        self.active.append(party)
        self._divide()

    def _divide(self) -> None:
        self.share = self._share_of(len(self.active))

    def _share_of(self, parties: int) -> int:
        return max(1, self.limit // max(1, parties))


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
