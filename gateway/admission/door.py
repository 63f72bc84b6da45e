"""The decision at the head of each request: it takes its way, or is answered 503 before anything is parsed.

At ten times what a gateway can serve, nine requests of ten end here. So nothing is parsed that is not needed: while
there is room for anybody, nobody is asked who it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from gateway.admission.calls import Calls, Ticket
from gateway.admission.retry_after import LEAST_S, MOST_S
from gateway.admission.shares import Party
from gateway.connections.framing import HEAD_END, body_length, can_go_on
from gateway.connections.limits import DISCARD_BYTES_MAX
from gateway.connections.refusal import Caller, Refusal, path_at, shape_for
from gateway.http.answers import overloaded, stood_still
from topics.api.routes import PROBES
from topics.paths.bases import API_BASE, CHANNELS_BASE

_CHANNELS = f"{CHANNELS_BASE}/".encode()
_API = f"{API_BASE}/".encode()
_PROBES = tuple(probe.path.encode() for probe in PROBES)
_USERNAME = b"\r\nauthusername:"
KNOWN_MAX = 1_000
"""Refused heads that are known again. A client sends the same head again and again, save for the length of the body."""
KNOWN_BYTES_MAX = 4 << 10
"""Longer heads are not kept: usual ones have some hundred bytes, and all that are kept then have 4 MB at most."""
REASON = "[calls: more are in hand than can be answered in time]"


class _Known(NamedTuple):
    """A refused head: the length of its body, the party that it claims, the shape of its answer."""

    length: int
    claimed: Party
    prefix: bytes


class Door:
    """Implements gateway.connections.refusal.Admission for the port of marketplaces and Increff. `channel_of`: the
    channel with a marketplace's username."""

    def __init__(self, calls: Calls, channel_of: Callable[[str], str | None]) -> None:
        self._calls = calls
        self._shares = calls.shares
        self._channel_of = channel_of
        self._known: dict[bytes, _Known] = {}
        self._refusals = {prefix: _refusals(prefix) for prefix in (_CHANNELS, b"/")}
        self._standstill = calls.standstill
        self._stood_still = {
            prefix: Refusal.of(shape_for(_head(prefix), stood_still()), closes=True) for prefix in self._refusals
        }

    def admit(self, head: bytes, lowered: bytes, connection: Caller) -> Refusal | None:
        ticket = _ticket(connection, self._calls)
        standstill = self._standstill
        if standstill.refuses(connection.made) and not head.startswith(_PROBES, path_at(head)):
            standstill.refused += 1
            return self._stood_still[_prefix(head)]
        ticket.standstills = standstill.count
        if self._shares.is_open:
            self._known.clear()
            self._calls.take_unseen(ticket)
            return None
        path = path_at(head)
        if head.startswith(_CHANNELS, path):
            start = path + len(_CHANNELS)
            claimed = self._calls.claimed(head[start : head.find(b"/", start)].decode("latin-1"))
            return self._decided(ticket, claimed, head, lowered, _CHANNELS)
        if head.startswith(_PROBES, path):
            return None
        claimed = self._claimed(head, lowered)
        return self._decided(ticket, claimed, head, lowered, b"/")

    def again(self, data: bytes, connection: Caller) -> Refusal | None:
        end = data.find(HEAD_END) + len(HEAD_END)
        known = self._known.get(data[:end])
        if known is None or len(data) != end + known.length or self._shares.is_open:
            return None
        if self._standstill.refuses(connection.made):
            return None
        ticket = connection.ticket
        proven = isinstance(ticket, Ticket) and ticket.proven is known.claimed
        if self._shares.has_room(known.claimed, proven=proven):
            return None
        self._calls.refuse(known.claimed)
        return self._refusal(known.prefix, known.claimed)

    def _decided(self, ticket: Ticket, claimed: Party, head: bytes, lowered: bytes, prefix: bytes) -> Refusal | None:
        if not self._calls.is_refused(ticket, claimed):
            return None
        length = body_length(lowered)
        if len(head) <= KNOWN_BYTES_MAX and 0 <= length <= DISCARD_BYTES_MAX and can_go_on(lowered):
            if len(self._known) >= KNOWN_MAX:
                self._known.clear()
            self._known[head] = _Known(length, claimed, prefix)
        return self._refusal(prefix, claimed)

    def ended(self, connection: Caller) -> None:
        _leave(connection)

    def _claimed(self, head: bytes, lowered: bytes) -> Party:
        at = lowered.find(_USERNAME)
        if at < 0:
            return self._calls.others
        at += len(_USERNAME)
        username = head[at : head.find(b"\r", at)].strip().decode("utf-8", "replace")
        return self._calls.claimed(self._channel_of(username) or "")

    def _refusal(self, prefix: bytes, party: Party) -> Refusal:
        return self._refusals[prefix][self._calls.retry_after_s(self._calls.blamed(party).name)]


class AdminDoor:
    """Implements Admission for the admin port: only calls of /api have a bound, which is their own, so that operators
    get through while channels overload a gateway."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._refusals = _refusals(_API)
        self._stood_still = Refusal.of(shape_for(_head(_API), stood_still()), closes=True)

    def admit(self, head: bytes, _lowered: bytes, connection: Caller) -> Refusal | None:
        ticket = _ticket(connection, self._calls)
        if not head.startswith(_API, path_at(head)):
            return None
        standstill = self._calls.standstill
        if standstill.refuses(connection.made):
            standstill.refused += 1
            return self._stood_still
        ticket.standstills = standstill.count
        if not self._calls.has_api_room():
            return self._refusals[self._calls.retry_after_s(self._calls.others.name)]
        ticket.enter_api()
        return None

    def again(self, _data: bytes, _connection: Caller) -> Refusal | None:
        """No head is known again: refusals are rare."""
        return None

    def ended(self, connection: Caller) -> None:
        _leave(connection)


def _ticket(connection: Caller, calls: Calls) -> Ticket:
    ticket = connection.ticket
    if not isinstance(ticket, Ticket):
        connection.ticket = ticket = Ticket(calls)
    return ticket


def _leave(connection: Caller) -> None:
    ticket = connection.ticket
    if isinstance(ticket, Ticket):
        ticket.leave()


def _refusals(prefix: bytes) -> dict[int, Refusal]:
    """Ready-made answers in the shape of this path's callers, by the seconds after which they are to come again."""
    head = _head(prefix)
    return {seconds: Refusal.of(shape_for(head, overloaded(REASON, seconds))) for seconds in range(LEAST_S, MOST_S + 1)}


def _head(prefix: bytes) -> bytes:
    return b"GET %b HTTP/1.1\r\n\r\n" % prefix


def _prefix(head: bytes) -> bytes:
    path = path_at(head)
    return _CHANNELS if head.startswith(_CHANNELS, path) else b"/"
