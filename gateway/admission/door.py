"""The decision at the head of each request: it takes its way, or is answered 503 before anything is parsed.

At ten times what a gateway can serve, nine requests of ten end here. So nothing is parsed that is not needed: while
there is room for anybody, nobody is asked who it is.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.admission.calls import Calls, Ticket
from gateway.admission.retry_after import LEAST_S, MOST_S
from gateway.admission.shares import Party
from gateway.connections.refusal import Caller, Refusal, shape_for
from gateway.http.answers import overloaded, stood_still
from topics.api.routes import INCREFF_PREFIX, PROBES

_CHANNELS = INCREFF_PREFIX.partition("{")[0].encode()
_API = b"/api/"
_PROBES = tuple(probe.path.encode() for probe in PROBES)
_USERNAME = b"\r\nauthusername:"
REASON = "[calls: more are in hand than can be answered in time]"


class Door:
    """Implements gateway.connections.refusal.Admission. `channel_of`: the channel with a marketplace's username."""

    def __init__(self, calls: Calls, channel_of: Callable[[str], str | None]) -> None:
        self._calls = calls
        self._shares = calls.shares
        self._channel_of = channel_of
        self._refusals = {prefix: _refusals(prefix) for prefix in (_CHANNELS, _API, b"/")}
        self._standstill = calls.standstill
        self._stood_still = {prefix: Refusal.of(shape_for(_head(prefix), stood_still())) for prefix in self._refusals}

    def admit(self, head: bytes, lowered: bytes, connection: Caller) -> Refusal | None:
        ticket = connection.ticket
        if not isinstance(ticket, Ticket):
            connection.ticket = ticket = Ticket(self._calls)
        standstill = self._standstill
        if standstill.refuses(connection.made) and not head.startswith(_PROBES, head.find(b" ") + 1):
            standstill.refused += 1
            return self._stood_still[_prefix(head)]
        ticket.standstills = standstill.count
        if self._shares.is_open:
            self._calls.take_unseen(ticket)
            return None
        path = head.find(b" ") + 1
        if head.startswith(_API, path):
            if not self._calls.has_api_room():
                return self._refusal(_API, self._calls.others)
            ticket.enter_api()
            return None
        if head.startswith(_CHANNELS, path):
            start = path + len(_CHANNELS)
            claimed = self._calls.claimed(head[start : head.find(b"/", start)].decode("latin-1"))
            return self._refusal(_CHANNELS, claimed) if self._calls.is_refused(ticket, claimed) else None
        if head.startswith(_PROBES, path):
            return None
        claimed = self._claimed(head, lowered)
        return self._refusal(b"/", claimed) if self._calls.is_refused(ticket, claimed) else None

    def ended(self, connection: Caller) -> None:
        ticket = connection.ticket
        if isinstance(ticket, Ticket):
            ticket.leave()

    def _claimed(self, head: bytes, lowered: bytes) -> Party:
        at = lowered.find(_USERNAME)
        if at < 0:
            return self._calls.others
        at += len(_USERNAME)
        username = head[at : head.find(b"\r", at)].strip().decode("utf-8", "replace")
        return self._calls.claimed(self._channel_of(username) or "")

    def _refusal(self, prefix: bytes, party: Party) -> Refusal:
        return self._refusals[prefix][self._calls.retry_after_s(party.name)]


def _refusals(prefix: bytes) -> dict[int, Refusal]:
    """Ready-made answers in the shape of this path's callers, by the seconds after which they are to come again."""
    head = _head(prefix)
    return {seconds: Refusal.of(shape_for(head, overloaded(REASON, seconds))) for seconds in range(LEAST_S, MOST_S + 1)}


def _head(prefix: bytes) -> bytes:
    return b"GET %b HTTP/1.1\r\n\r\n" % prefix


def _prefix(head: bytes) -> bytes:
    path = head.find(b" ") + 1
    return _CHANNELS if head.startswith(_CHANNELS, path) else _API if head.startswith(_API, path) else b"/"
