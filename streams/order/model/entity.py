"""The members that every entity has: an order, a return, a manifest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from msgspec import Struct, field

from streams.order.model import limits
from streams.order.model.canonical import id_digest
from streams.order.model.parts import Delivery, NotedFact, Relay
from streams.order.model.touched import Touched
from topics.records.deliveries import Outcome, OutcomeKind, event_of

_DIGEST = 3
"""Place of a call's digest in an entry of `seen`."""


class Entity(Struct, kw_only=True, array_like=True, dict=True):
    """The members of every entity. They are encoded by position: a new member goes last in each kind of entity, has a
    default, and belongs to a section of it (streams/order/storage). The names are those of states of earlier versions.

    An entry of a list that changes in place is noted, by the methods here: see `touched`.
    """

    KIND: ClassVar[str] = ""

    due_ms: int = field(default_factory=int, name="due")
    """When a tick must look at it next; 0: never. First in the encoded form, see `due_of`."""
    stuck: dict[str, int] = field(default_factory=dict)
    """The waits that were reported as too long, of an order. Second in the encoded form: see
    streams/order/storage/glance.py."""
    channel: str
    code: str
    state: str
    created_ms: int = field(name="created")
    updated_ms: int = field(name="updated")
    location: str | None = None
    digest: str = ""
    """Digest of the payload that made it, in canonical form."""
    request: str = ""
    """Id of the request that creates it at the far side; that request's outcome decides."""
    reason: str | None = None
    fact_sequence: int = field(default=0, name="factSequence")
    facts: list[NotedFact] = field(default_factory=list)
    seen: list[list[str]] = field(default_factory=list)
    """Recent events: [short digest of the id, verdict, message], oldest first, with the digest of the call behind where
    a repeat is known by that. Without an id: a call that a fact reported as not applied."""
    sequences: dict[str, int] = field(default_factory=dict)
    """The count of requests per destination, by which an old request is known from a new one."""
    deliveries: list[Delivery] = field(default_factory=list)
    relays: list[Relay] = field(default_factory=list)

    @property
    def key(self) -> bytes:
        raise NotImplementedError

    @property
    def touched(self) -> Touched:
        """Changes of the lists since the entity was written. No member: it is not encoded."""
        found: Touched | None = self.__dict__.get("touched")
        if found is None:
            found = self.__dict__["touched"] = Touched()
        return found

    def note_seen(self, entry: list[str]) -> None:
        """List an event with its verdict; the oldest gives way."""
        self.seen.append(entry)
        del self.seen[: -limits.SEEN_MAX]
        self.touched.seen += 1

    def calls(self) -> Iterator[tuple[str, str]]:
        """The verdict and the digest of each recent call whose repeat is known by its digest."""
        return ((entry[1], entry[3]) for entry in self.seen if len(entry) > _DIGEST and entry[_DIGEST])

    def forget_calls(self, call: str = "") -> None:
        """Decide repeats of this call, or of every one, anew from now on."""
        for entry in self.seen:
            if len(entry) > _DIGEST and (not call or entry[_DIGEST] == call):
                entry[_DIGEST] = ""
                self.touched.calls_forgotten = True

    def forget_call_of(self, request: str) -> None:
        """The far side refused what a call asked for: a repeat of the call is decided anew."""
        event = id_digest(event_of(request))
        found = next((entry for entry in self.seen if entry[0] == event), None)
        if found is not None and len(found) > _DIGEST and found[_DIGEST]:
            self.forget_calls(found[_DIGEST])

    @property
    def incarnation_ms(self) -> int:
        """When the count of its facts and requests began; the same as long as the entity is known."""
        return self.created_ms

    def delivery(self, request: str) -> Delivery | None:
        for delivery in reversed(self.deliveries):  # a generator takes three times as long
            if delivery.id == request:
                return delivery
        return None

    def may_have_been_carried_out(self, touchpoint: str, asks: str = "") -> bool:
        """Whether a listed request for the same may have been carried out without a known success. `asks`: of a relay,
        what it asks for: another shipment is not the same."""
        return any(
            one.touchpoint == touchpoint and one.asks in ("", asks) and one.is_in_doubt for one in self.deliveries
        )

    def is_awaited(self, request: str) -> bool:
        """Whether something depends on a request's outcome: the present Create, or a relay."""
        return request == self.request or any(request in (relay.request, relay.former) for relay in self.relays)

    def relay(self, touchpoint: str, key: str) -> Relay | None:
        """The request in flight that a caller with this key joins."""
        for relay in self.relays:
            if relay.touchpoint == touchpoint and relay.key == key and not relay.dead:
                return relay
        return None

    def pop_relay(self, outcome: Outcome) -> Relay | None:
        """Remove the relay of the request that this is the outcome of.

        A success of the request before the present one counts as well; its failure does not, as it was asked again.
        """
        succeeded = outcome.kind is OutcomeKind.DELIVERED
        for index, relay in enumerate(self.relays):
            if relay.request == outcome.request or (succeeded and relay.former == outcome.request):
                return self.relays.pop(index)
        return None

    def has_room(self) -> bool:
        """Whether another delivery can be listed. A delivery with an awaited outcome never gives way."""
        return len(self.deliveries) < limits.DELIVERIES_MAX or self._expendable() is not None

    def keep_delivery(self, delivery: Delivery) -> None:
        """List a delivery; when the list is full, the oldest settled one gives way, else the oldest given up.

        An event that comes again when no verdict is known of it any more makes a request with an id that may be listed.
        """
        touched = self.touched
        if len(self.deliveries) >= limits.DELIVERIES_MAX:
            oldest = self._expendable()
            if oldest is not None:
                gone = self.deliveries.pop(oldest).id
                touched.gone.add(gone)
                touched.anew |= self.delivery(gone) is not None
        touched.anew |= self.delivery(delivery.id) is not None
        self.deliveries.append(delivery)
        self.touch_delivery(delivery)

    def touch_delivery(self, delivery: Delivery) -> None:
        """Note that a listed request changed."""
        self.touched.deliveries.add(delivery.id)

    def _expendable(self) -> int | None:
        for n, one in enumerate(self.deliveries):
            if one.settled and not self.is_awaited(one.id):
                return n
        # A dead delivery that holds its lane must stay: an operator finds it here.
        for n, one in enumerate(self.deliveries):
            if one.given_up and not self.is_awaited(one.id):
                return n
        return None
