"""The entities: Order, Return, Manifest. Their state is compact JSON; decoding an encoded entity gives an equal one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import msgspec
from msgspec import Struct, field

from streams.order.model import limits
from streams.order.model.canonical import id_digest
from streams.order.model.parts import (
    Claim,
    DeferredCall,
    Delivery,
    EarlyEvent,
    Line,
    NotedFact,
    Question,
    Relay,
    ReturnItem,
    Shipment,
)
from streams.order.model.states import ManifestState, OrderState, ReturnState
from streams.order.model.touched import Touched
from topics.records.deliveries import Outcome, OutcomeKind
from topics.records.json_text import float_of, raw_of
from topics.records.keys import manifest_key, order_key, return_key


class StateError(ValueError):
    """A value on orders.state is not an entity's state."""


_DIGEST = 3
"""Place of a call's digest in an entry of `seen`."""


def request_id(event: str) -> str:
    """An event makes one request at a time, so the same event decided again makes the same request."""
    return f"{event}.0"


def event_of(request: str) -> str:
    """The event that made a request; see `request_id`."""
    return request.removesuffix(".0")


class Entity(Struct, kw_only=True, omit_defaults=True, tag_field="kind", dict=True):
    """The members of every entity. Those that have their default are not encoded: most entities have few others.

    An entry of a list that changes in place is noted, by the methods here: see `touched`.
    """

    KIND: ClassVar[str] = ""

    due_ms: int = field(default_factory=int, name="due")
    """When a tick must look at it next; 0: never. First in the encoded form and never left out, see `due_of`."""
    stuck: dict[str, int] = field(default_factory=dict)
    """The waits that were reported as too long, of an order. Second in the encoded form, see `is_stuck`."""
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
        """What changed of the lists since the entity was read. No member: it is not encoded."""
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
        return next((delivery for delivery in reversed(self.deliveries) if delivery.id == request), None)

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
        """List a delivery; when the list is full, the oldest settled one gives way, else the oldest given up."""
        if len(self.deliveries) >= limits.DELIVERIES_MAX:
            oldest = self._expendable()
            if oldest is not None:
                self.touched.gone.add(self.deliveries.pop(oldest).id)
        self.deliveries.append(delivery)
        self.touch_delivery(delivery)

    def touch_delivery(self, delivery: Delivery) -> None:
        """Note that a listed request changed."""
        self.touched.deliveries.add(delivery.id)

    def _expendable(self) -> int | None:
        known = [(n, one) for n, one in enumerate(self.deliveries) if not self.is_awaited(one.id)]
        settled = next((n for n, one in known if one.settled), None)
        if settled is not None:
            return settled
        # A dead delivery that holds its lane must stay: an operator finds it here.
        return next((n for n, one in known if one.given_up), None)


class Order(Entity, kw_only=True, omit_defaults=True, tag="order"):
    """`properties`: the last values of what Update Order Properties may change, as Increff has them or will have them.
    A value that is not known is left out, so that an update which names it is a change.

    `shipments` in order of packing. `acknowledged`: locations. `milestones`: name -> epoch ms. `held`: on hold by the
    marketplace. `holds`: [request, held] of each update in flight, in their order, behind what Increff took last (under
    no request).
    """

    KIND: ClassVar[str] = "order"

    state: OrderState
    lines: list[Line] = field(default_factory=list)
    shipments: list[Shipment] = field(default_factory=list)
    properties: dict[str, Any] = field(default_factory=dict)
    held: bool = False
    holds: list[list[Any]] = field(default_factory=list)
    hold_crossed: bool = field(default=False, name="holdCrossed")
    """An acknowledgement came after a hold and ended it. It is not known whether Increff has the hold, until the next
    update."""
    said: dict[str, int] = field(default_factory=dict)
    """By the name of a property: from when the word is that set it, where an update did (epoch ms)."""
    split: bool = False
    acknowledged: list[str] = field(default_factory=list)
    milestones: dict[str, int] = field(default_factory=dict)
    deferred: list[DeferredCall] = field(default_factory=list, name="waiting")
    early: list[EarlyEvent] = field(default_factory=list, name="parked")
    returns: list[Claim] = field(default_factory=list)
    adopted: bool = False
    """First met midway: its lines are those that calls named, until a Create comes."""
    expected_ms: int = field(default=0, name="expected")
    """When it became EXPECTED, 0 if it never was: the count of its facts began then."""
    waits: dict[str, int] = field(default_factory=dict)
    """Steps it waits in and since when: a step's name, with the shipment's id where the step is a shipment's."""

    @property
    def incarnation_ms(self) -> int:
        return self.expected_ms or self.created_ms

    def begin(self, now_ms: int) -> None:
        """An EXPECTED order is a real one from now on."""
        if self.created_ms != now_ms:
            self.expected_ms, self.created_ms = self.created_ms, now_ms

    @property
    def open_ended(self) -> bool:
        """Whether it may have more than is known of it."""
        return self.adopted and not self.digest

    @property
    def key(self) -> bytes:
        return order_key(self.channel, self.code)

    def touch_line(self, line: Line) -> None:
        """Note that a line changed in place. Call it for each; a line that is appended needs no note."""
        if not self.touched.lines_anew:
            self.touched.lines.add(self._place_of(line))

    def _place_of(self, line: Line) -> int:
        places: dict[str, int] = self.__dict__.get("places", {})
        place = places.get(line.code, len(self.lines))
        if place < len(self.lines) and self.lines[place] is line:
            return place
        # The first time, or the lines changed since.
        self.__dict__["places"] = {one.code: place for place, one in enumerate(self.lines)}
        return next(place for place, one in enumerate(self.lines) if one is line)

    def touch_all_lines(self) -> None:
        """Note that `lines` is another list, or that lines went or changed places. Then none needs a note."""
        self.touched.lines_anew = True

    def touch_shipment(self, shipment: Shipment) -> None:
        """Note that a shipment changed in place, or was appended."""
        self.touched.shipments.add(shipment.id)

    def add_shipment(self, shipment: Shipment) -> None:
        self.shipments.append(shipment)
        self.touch_shipment(shipment)

    def remove_shipment(self, shipment: Shipment) -> None:
        self.shipments.remove(shipment)
        self.touched.gone.add(shipment.id)

    def lines_by_code(self) -> dict[str, Line]:
        """For walks over many items: an order may have 2,500 lines."""
        return {line.code: line for line in self.lines}

    def shipment(self, shipment_id: int) -> Shipment | None:
        return next((shipment for shipment in self.shipments if shipment.id == shipment_id), None)


class Return(Entity, kw_only=True, omit_defaults=True, tag="return"):
    """`items` by itemCode. `courier`: tracking and dates, under the names of its document.

    `version` numbers what the return claims of its forward order, so that the order knows the newest claim; `question`
    is what it asked and has no answer to. `forward_known`: whether its forward order was one that Sluice knows.
    """

    KIND: ClassVar[str] = "return"

    state: ReturnState
    forward: str = ""
    forward_known: bool = field(default=True, name="forwardKnown")
    items: dict[str, ReturnItem] = field(default_factory=dict)
    courier: dict[str, str] = field(default_factory=dict)
    properties: str = ""
    """Digest of the last Update Returns."""
    said: dict[str, int] = field(default_factory=dict)
    """By the name of a member of Update Returns: from when the newest word on it is (epoch ms)."""
    version: int = 0
    question: Question | None = None
    adopted: bool = False
    """First met midway: its items are those that calls named, and there may be more."""
    rejected_ms: int = field(default=0, name="rejected")
    """When Increff refused it last, epoch milliseconds."""
    former: str = ""
    """The request that Increff refused, while the forward order is asked about its call once more."""

    @property
    def key(self) -> bytes:
        return return_key(self.channel, self.code)

    def is_awaited(self, request: str) -> bool:
        return Entity.is_awaited(self, request) or any(request == item.cancelled for item in self.items.values())


class Manifest(Entity, kw_only=True, omit_defaults=True, tag="manifest"):
    """`items`: (orderCode, shipmentCode, awbNumber)."""

    KIND: ClassVar[str] = "manifest"

    state: ManifestState
    transporter: str = ""
    manifest_code: str | None = field(default=None, name="manifestCode")
    items: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def key(self) -> bytes:
        return manifest_key(self.channel, self.code)


_ENCODER = msgspec.json.Encoder(enc_hook=raw_of)
_DECODER: msgspec.json.Decoder[Order | Return | Manifest] = msgspec.json.Decoder(
    Order | Return | Manifest, float_hook=float_of
)
_HEAD = 64
"""Bytes of an encoded entity in which its kind, its due time and `stuck` begin: `{"kind":"order","due":0,"stuck":`."""
_DUE = b'"due":'
_STUCK = b',"stuck":'
AT_ONCE = 1
"""A due time that is over."""


def encode_entity(entity: Entity) -> bytes:
    return _ENCODER.encode(entity)


def decode_entity(raw: bytes) -> Entity:
    """The entity of an encoded state. Raises StateError."""
    try:
        return _DECODER.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise StateError(f"not the state of an order, return or manifest: {error}") from error


def due_of(raw: bytes) -> int:
    """`due_ms` of an encoded entity, without decoding it. A state without one is to be looked at once: the tick that
    looks finds out whether it can be read."""
    start = raw.find(_DUE, 0, _HEAD)
    if start < 0:
        return AT_ONCE
    start += len(_DUE)
    try:
        return max(0, int(raw[start : raw.index(b",", start)]))
    except ValueError:
        return AT_ONCE


def is_stuck(raw: bytes) -> bool:
    """Whether an encoded entity is an order with waits that were reported as too long, without decoding it."""
    return raw.find(_STUCK, 0, _HEAD) >= 0
