"""PURE: the calls that a gateway has in hand: whose they are, whether one more may come in, and when it may come again.

A call is in hand from its head to its answer. A relay waits for its far side for up to forty seconds: that takes
memory and no processor time, and a slow far side is no overload of this gateway. So once Kafka has its record it no
longer counts among the calls in hand, but among the relays that wait, which have a limit of their own.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import IntEnum
from typing import Final

from gateway.admission.limiter import ACKNOWLEDGED, VERDICT, WINDOW_S, Limiter
from gateway.admission.retry_after import LEAST_S, ReturnTimes
from gateway.admission.shares import Party, Shares
from gateway.admission.standstill import Standstill
from gateway.ports import Overloaded

RELAYS_MAX = 4_000
"""Relays that may wait for their far sides at once: a connection, a task and a future each, some 50 KiB. Increff's
usual budget answers 133 within the longest wait, so more would only be refused late."""
API_CALLS_MAX = 32
"""Calls of /api in hand at once, apart from those of channels: operators must get through while channels overload a
gateway, and are few."""
RELAYS_RETRY_AFTER_S = 5
"""A far side that lets so many relays wait has trouble that seconds do not mend."""
OTHERS = "-"
"""The party of calls that claim no known channel. It has a share like any channel: refused sooner, it would tell which
names are known."""


class Reason(IntEnum):
    """The bound that a refused call met."""

    CALLS = 0
    RELAYS = 1
    API = 2


# The stages of a Ticket; plain numbers, because a member of an enumeration takes longer to look up.
NONE: Final = 0
CLAIMED: Final = 1
IN_HAND: Final = 2
API: Final = 3
WAITING: Final = 4


class Ticket:
    """The place of one call among those in hand. A connection uses its ticket again for its next call.

    `proven`: the party that the last call of this connection was known to come from. `standstills`: how often this
    process had stood still when the head of the call came.
    """

    __slots__ = ("_calls", "_relay", "party", "proven", "stage", "standstills")

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._relay = False
        self.stage: int = NONE
        self.party: Party = calls.others
        self.proven: Party | None = None
        self.standstills = calls.standstill.count

    def begin(self, claimed: Party) -> None:
        """Takes a call in hand that claims to come from a party, as the one before on this connection may have."""
        self.party = claimed
        if self.proven is claimed:
            self._calls.shares.take(claimed)
            self.stage = IN_HAND
        else:
            self._calls.shares.claim(claimed)
            self.stage = CLAIMED

    def enter(self, channel: str, *, relay: bool = False) -> None:
        """Makes the call one of `channel`, which has been authenticated. Raises Overloaded for one relay too many."""
        calls = self._calls
        party = calls.party(channel)
        if self.stage == CLAIMED:
            calls.shares.prove(self.party, party)
        elif self.stage == IN_HAND:
            if self.party is not party:
                calls.shares.give_back(self.party)
                calls.shares.take(party)
        else:  # no hook has seen this call
            calls.shares.take(party)
        self.party = self.proven = party
        self.stage = IN_HAND
        if relay:
            waiting = calls.relay_party(channel)
            if not calls.relays.has_room(waiting):
                calls.relays.refuse(waiting)
                calls.count_refusal(channel, Reason.RELAYS)
                raise Overloaded(f"[calls: {waiting.held} wait for their far side]", RELAYS_RETRY_AFTER_S)
            calls.relays.take(waiting)
            self._relay = True

    def enter_api(self) -> None:
        """Makes the call one of /api. Raises Overloaded for one too many."""
        calls = self._calls
        if self.stage != API:
            self.leave()
            if not calls.has_api_room():
                raise Overloaded(f"[calls: {calls.api_calls} of /api are under way]")
            calls.api_calls += 1
            self.stage = API

    def acknowledged(self, seconds: float | None) -> None:
        """Notes the time to Kafka's acknowledgement. The call ends with it, or waits for a far side from now on."""
        if seconds is not None:
            self._calls.limiter.answered(ACKNOWLEDGED, seconds)
        if self._relay and self.stage == IN_HAND:
            self._calls.shares.give_back(self.party)
            self.stage = WAITING

    def decided(self, seconds: float) -> None:
        """Notes the time to the verdict."""
        self._calls.limiter.answered(VERDICT, seconds)

    def leave(self) -> None:
        """Gives the place back. It may be called again for the same call."""
        stage = self.stage
        if stage == NONE:
            return
        self.stage = NONE
        if stage == IN_HAND:
            self._calls.shares.give_back(self.party)
        elif stage == CLAIMED:
            self._calls.shares.withdraw(self.party)
        elif stage == API:
            self._calls.api_calls -= 1
        if self._relay:
            self._relay = False
            self._calls.relays.give_back(self._calls.relay_party(self.party.name))


class Calls:
    """All calls in hand. Call `adjust` every WINDOW_S."""

    def __init__(self, channels: Collection[str], limiter: Limiter, relays_max: int = RELAYS_MAX) -> None:
        self.limiter = limiter
        self.shares = Shares(limiter.limit, limiter.ceiling)
        self.relays = Shares(relays_max)
        self.api_calls = 0
        self.others = Party(OTHERS)
        self.standstill = Standstill()
        self.refusals: dict[tuple[str, Reason], int] = {}
        """All refusals so far, by channel and bound."""
        self._parties = {name: Party(name) for name in channels}
        self._relaying: dict[str, Party] = {}
        self._returns: dict[str, ReturnTimes] = {}

    def party(self, channel: str) -> Party:
        """The party of a configured channel."""
        party = self._parties.get(channel)
        if party is None:
            party = self._parties[channel] = Party(channel)
        return party

    def claimed(self, channel: str) -> Party:
        """The party that a call claims to come from; `others` if there is no such channel."""
        return self._parties.get(channel, self.others)

    def relay_party(self, channel: str) -> Party:
        party = self._relaying.get(channel)
        if party is None:
            party = self._relaying[channel] = Party(channel)
        return party

    def retry_after_s(self, channel: str) -> int:
        """When the next refused caller of a channel should come again."""
        returns = self._returns.get(channel)
        return LEAST_S if returns is None else returns.next()

    def is_refused(self, ticket: Ticket, claimed: Party) -> bool:
        """Whether a call meets the limit. If not, it is in hand from now on."""
        if self.shares.has_room(claimed, proven=ticket.proven is claimed):
            ticket.begin(claimed)
            return False
        self.refuse(claimed)
        return True

    def refuse(self, claimed: Party) -> None:
        """Counts a call that meets the limit."""
        self.shares.refuse(self.blamed(claimed))
        self.count_refusal(claimed.name, Reason.CALLS)

    def blamed(self, claimed: Party) -> Party:
        """The party that a refused call counts for. A name of which no call was proven of late has no demand because
        somebody claims it: otherwise a stranger could claim all names, and make the shares of those in use small."""
        return claimed if claimed.active else self.others

    def has_api_room(self) -> bool:
        """Whether one more call of /api may be in hand. If not, it counts as refused."""
        if self.api_calls < API_CALLS_MAX:
            return True
        self.count_refusal(OTHERS, Reason.API)
        return False

    def ticket_of(self, connection: object) -> Ticket:
        """The ticket of the call that a connection brings; a new one where no Door has seen the call."""
        ticket = getattr(connection, "ticket", None)
        return ticket if isinstance(ticket, Ticket) else Ticket(self)

    def take_unseen(self, ticket: Ticket) -> None:
        """Takes a call in hand without a look at whose it is. Only while `shares.is_open`."""
        ticket.party = others = self.others
        ticket.stage = CLAIMED
        self.shares.claim(others)

    def count_refusal(self, channel: str, reason: Reason) -> None:
        key = (channel, reason)
        self.refusals[key] = self.refusals.get(key, 0) + 1

    def adjust(self, now: float, seconds: float = WINDOW_S) -> None:
        """Begins a window. `seconds`: the length of the one that is over, about WINDOW_S."""
        for party in self.shares.active:
            if party.refused or party.name in self._returns:
                returns = self._returns.setdefault(party.name, ReturnTimes())
                returns.window(party.refused, party.drained, seconds)
        for party in self.shares.adjust(self.limiter.adjust(self.shares.most), now, seconds):
            self._returns.pop(party.name, None)
        self.relays.adjust(self.relays.limit, now, seconds)
