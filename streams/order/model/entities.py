"""The entities: Order, Return, Manifest. Their state is compact JSON, and decoding what was encoded gives the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import orjson

from streams.order.model import limits
from streams.order.model.parts import (
    Claim,
    Delivery,
    Line,
    NotedFact,
    Parked,
    Question,
    Relay,
    ReturnItem,
    Shipment,
    Waiter,
    Waiting,
)
from streams.order.model.states import ManifestState, OrderState, ReturnState
from topics.records.deliveries import Outcome, OutcomeKind
from topics.records.keys import manifest_key, order_key, return_key


class StateError(ValueError):
    """A value on orders.state is not an entity's state."""


@dataclass(slots=True, kw_only=True)
class Entity:
    """What orders, returns and manifests share: identity, numbering, what left and what is known."""

    KIND: ClassVar[str] = ""

    channel: str
    code: str
    state: str
    created_ms: int
    updated_ms: int
    due_ms: int = 0
    """When a tick must look at it next; 0: never. First in the encoded form, see `due_of`."""
    location: str | None = None
    digest: str = ""
    """Of the payload that made it, in canonical form."""
    request: str = ""
    """Id of the request that creates it at the far side; its outcome decides."""
    reason: str | None = None
    fact_sequence: int = 0
    facts: list[NotedFact] = field(default_factory=list)
    seen: list[list[str]] = field(default_factory=list)
    """Recent events: [short digest of the id, verdict, message], oldest first."""
    sequences: dict[str, int] = field(default_factory=dict)
    """Requests per destination, so that an old one is told from a new one."""
    deliveries: list[Delivery] = field(default_factory=list)
    relays: list[Relay] = field(default_factory=list)

    @property
    def key(self) -> bytes:
        raise NotImplementedError

    @property
    def story_ms(self) -> int:
        """When its facts and requests began to be counted; the same as long as it is known."""
        return self.created_ms

    def delivery(self, request: str) -> Delivery | None:
        return next((delivery for delivery in reversed(self.deliveries) if delivery.id == request), None)

    def is_awaited(self, request: str) -> bool:
        """Whether something depends on a request's outcome: the present Create, or a relay."""
        return request == self.request or any(request in (relay.request, relay.former) for relay in self.relays)

    def relay(self, touchpoint: str, key: str) -> Relay | None:
        """The request in flight that a caller with this key joins."""
        for relay in self.relays:
            if relay.touchpoint == touchpoint and relay.key == key and not relay.dead:
                return relay
        return None

    def take_relay(self, outcome: Outcome) -> Relay | None:
        """Remove the relay of a request whose outcome is in.

        A success of the request before the present one counts as well; its failure does not, as it was asked again.
        """
        succeeded = outcome.kind is OutcomeKind.DELIVERED
        for index, relay in enumerate(self.relays):
            if relay.request == outcome.request or (succeeded and relay.former == outcome.request):
                return self.relays.pop(index)
        return None

    def has_room(self) -> bool:
        """Whether another delivery can be listed. None gives way whose outcome would be missed."""
        return len(self.deliveries) < limits.DELIVERIES_MAX or self._expendable() is not None

    def keep_delivery(self, delivery: Delivery) -> None:
        """List a delivery; when the list is full, the oldest settled one gives way, else the oldest given up."""
        if len(self.deliveries) >= limits.DELIVERIES_MAX:
            oldest = self._expendable()
            if oldest is not None:
                del self.deliveries[oldest]
        self.deliveries.append(delivery)

    def _expendable(self) -> int | None:
        known = [(n, one) for n, one in enumerate(self.deliveries) if not self.is_awaited(one.id)]
        settled = next((n for n, one in known if one.settled), None)
        if settled is not None:
            return settled
        # A dead one that holds its lane must stay: an operator finds it here.
        return next((n for n, one in known if one.given_up), None)

    def encode(self) -> bytes:
        return orjson.dumps(self._data())

    def _data(self) -> dict[str, Any]:
        """Empty members are left out: most orders have few of them."""
        data: dict[str, Any] = {
            "due": self.due_ms,
            "kind": self.KIND,
            "channel": self.channel,
            "code": self.code,
            "state": self.state,
            "created": self.created_ms,
            "updated": self.updated_ms,
            "digest": self.digest,
            "request": self.request,
            "factSequence": self.fact_sequence,
        }
        if self.location is not None:
            data["location"] = self.location
        if self.reason is not None:
            data["reason"] = self.reason
        if self.sequences:
            data["sequences"] = self.sequences
        if self.seen:
            data["seen"] = self.seen
        if self.facts:
            data["facts"] = [fact.row() for fact in self.facts]
        if self.deliveries:
            data["deliveries"] = [delivery.row() for delivery in self.deliveries]
        if self.relays:
            data["relays"] = [relay.row() for relay in self.relays]
        return data


@dataclass(slots=True, kw_only=True)
class Order(Entity):
    """`properties`: the last values of what Update Order Properties may change. `shipments` in order of packing.

    `acknowledged`: locations. `milestones`: name -> epoch ms. `held`: parked by the marketplace. `holds`: what the
    updates in flight say about it, [request, held] in their order, after what Increff took last (under no request).
    """

    KIND: ClassVar[str] = "order"

    lines: list[Line] = field(default_factory=list)
    shipments: list[Shipment] = field(default_factory=list)
    properties: dict[str, Any] = field(default_factory=dict)
    held: bool = False
    holds: list[list[Any]] = field(default_factory=list)
    split: bool = False
    acknowledged: list[str] = field(default_factory=list)
    milestones: dict[str, int] = field(default_factory=dict)
    waiting: list[Waiting] = field(default_factory=list)
    parked: list[Parked] = field(default_factory=list)
    returns: list[Claim] = field(default_factory=list)
    adopted: bool = False
    """First met midway: its lines are what calls said of them, until a Create comes."""
    expected_ms: int = 0
    """Since when it was EXPECTED, 0 if it never was: its facts go on from those that it had then."""

    waits: dict[str, int] = field(default_factory=dict)
    """What it waits for and since when: a step's name, for a shipment's step with its id."""
    stuck: dict[str, int] = field(default_factory=dict)
    """The waits that were reported as too long."""

    @property
    def story_ms(self) -> int:
        return self.expected_ms or self.created_ms

    def begin(self, now_ms: int) -> None:
        """What was EXPECTED is there from now on."""
        if self.created_ms != now_ms:
            self.expected_ms, self.created_ms = self.created_ms, now_ms

    @property
    def open_ended(self) -> bool:
        """Whether it may have more than is known of it."""
        return self.adopted and not self.digest

    @property
    def key(self) -> bytes:
        return order_key(self.channel, self.code)

    def lines_by_code(self) -> dict[str, Line]:
        """For walks over many items: an order may have 2,500 lines."""
        return {line.code: line for line in self.lines}

    def shipment(self, shipment_id: int) -> Shipment | None:
        return next((shipment for shipment in self.shipments if shipment.id == shipment_id), None)

    def _data(self) -> dict[str, Any]:
        data = Entity._data(self)
        data["lines"] = [line.row() for line in self.lines]
        data["properties"] = self.properties
        data["milestones"] = self.milestones
        if self.shipments:
            data["shipments"] = [shipment.row() for shipment in self.shipments]
        if self.held:
            data["held"] = True
        if self.holds:
            data["holds"] = self.holds
        if self.split:
            data["split"] = True
        if self.acknowledged:
            data["acknowledged"] = self.acknowledged
        if self.waiting:
            data["waiting"] = [waiting.row() for waiting in self.waiting]
        if self.parked:
            data["parked"] = [parked.row() for parked in self.parked]
        if self.adopted:
            data["adopted"] = True
        if self.expected_ms:
            data["expected"] = self.expected_ms
        if self.returns:
            data["returns"] = [claim.row() for claim in self.returns]
        if self.waits:
            data["waits"] = self.waits
        if self.stuck:
            data = {"due": self.due_ms, "stuck": self.stuck, **data}  # see `is_stuck`
        return data


@dataclass(slots=True, kw_only=True)
class Return(Entity):
    """`items` by itemCode. `courier`: what is known of its way, under the names of its document.

    `version` numbers what the return tells its forward order, so that the order knows the newest; `question` is what it
    asked and has no answer to. `forward_known`: whether its forward order was one that Sluice knows.
    """

    KIND: ClassVar[str] = "return"

    forward: str = ""
    forward_known: bool = True
    items: dict[str, ReturnItem] = field(default_factory=dict)
    courier: dict[str, str] = field(default_factory=dict)
    properties: str = ""
    """Digest of the last Update Returns."""
    version: int = 0
    question: Question | None = None
    adopted: bool = False
    """First met midway: its items are those that calls named, and there may be more."""

    @property
    def key(self) -> bytes:
        return return_key(self.channel, self.code)

    def is_awaited(self, request: str) -> bool:
        return Entity.is_awaited(self, request) or any(request == item.cancelled for item in self.items.values())

    def _data(self) -> dict[str, Any]:
        data = Entity._data(self)
        data["forward"] = self.forward
        data["version"] = self.version
        data["items"] = {code: item.row() for code, item in self.items.items()}
        if not self.forward_known:
            data["forwardKnown"] = False
        if self.courier:
            data["courier"] = self.courier
        if self.adopted:
            data["adopted"] = True
        if self.question is not None:
            data["question"] = self.question.row()
        if self.properties:
            data["properties"] = self.properties
        return data


@dataclass(slots=True, kw_only=True)
class Manifest(Entity):
    """`items`: (orderCode, shipmentCode, awbNumber)."""

    KIND: ClassVar[str] = "manifest"

    transporter: str = ""
    manifest_code: str | None = None
    items: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def key(self) -> bytes:
        return manifest_key(self.channel, self.code)

    def _data(self) -> dict[str, Any]:
        data = Entity._data(self)
        data["transporter"] = self.transporter
        data["items"] = self.items
        if self.manifest_code is not None:
            data["manifestCode"] = self.manifest_code
        return data


_DUE = b'{"due":'
AT_ONCE = 1
"""A due time that is over."""


def due_of(raw: bytes) -> int:
    """`due_ms` of an encoded entity, without decoding it. One that has none is to be looked at once."""
    if not raw.startswith(_DUE):
        return AT_ONCE
    return int(raw[len(_DUE) : raw.index(b",", len(_DUE))])


def is_stuck(raw: bytes) -> bool:
    """Whether an encoded entity is an order with waits that were reported as too long, without decoding it."""
    return raw.startswith(b'"stuck":', raw.find(b",") + 1)


def decode(raw: bytes) -> Entity:
    """The entity a state was encoded from. Raises StateError."""
    try:
        data = orjson.loads(raw)
        return _DECODERS[data["kind"]](data, _common(data))
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise StateError(f"not the state of an order, return or manifest: {error!r}") from error


def _common(data: dict[str, Any]) -> dict[str, Any]:
    return {
        "channel": data["channel"],
        "code": data["code"],
        "created_ms": data["created"],
        "updated_ms": data["updated"],
        "due_ms": data.get("due", 0),
        "location": data.get("location"),
        "digest": data["digest"],
        "request": data["request"],
        "reason": data.get("reason"),
        "fact_sequence": data["factSequence"],
        "facts": [NotedFact(*row) for row in data.get("facts", ())],
        "seen": data.get("seen") or [],
        "sequences": data.get("sequences") or {},
        "deliveries": [Delivery(*row) for row in data.get("deliveries", ())],
        "relays": [_relay(row) for row in data.get("relays", ())],
    }


def _relay(row: list[Any]) -> Relay:
    request, touchpoint, key, waiters, *more = row
    return Relay(request, touchpoint, key, [Waiter(*waiter) for waiter in waiters], *more)


def _question(row: list[Any]) -> Question:
    question = Question(*row)
    question.waiters = [Waiter(*waiter) for waiter in question.waiters]
    return question


def _shipment(row: list[Any]) -> Shipment:
    row[2] = [(code, sku, quantity) for code, sku, quantity in row[2]]
    return Shipment(*row)


def _order(data: dict[str, Any], common: dict[str, Any]) -> Order:
    return Order(
        **common,
        state=OrderState(data["state"]),
        lines=[Line(*row) for row in data["lines"]],
        shipments=[_shipment(row) for row in data.get("shipments", ())],
        properties=data["properties"],
        held=data.get("held", False),
        holds=data.get("holds") or [],
        split=data.get("split", False),
        acknowledged=data.get("acknowledged") or [],
        milestones=data["milestones"],
        waiting=[Waiting(*row) for row in data.get("waiting", ())],
        parked=[Parked(*row) for row in data.get("parked", ())],
        returns=[Claim(*row) for row in data.get("returns", ())],
        adopted=data.get("adopted", False),
        expected_ms=data.get("expected", 0),
        waits=data.get("waits") or {},
        stuck=data.get("stuck") or {},
    )


def _return(data: dict[str, Any], common: dict[str, Any]) -> Return:
    return Return(
        **common,
        state=ReturnState(data["state"]),
        forward=data["forward"],
        forward_known=data.get("forwardKnown", True),
        items={code: ReturnItem(*row) for code, row in data["items"].items()},
        courier=data.get("courier") or {},
        properties=data.get("properties", ""),
        version=data["version"],
        adopted=data.get("adopted", False),
        question=_question(data["question"]) if "question" in data else None,
    )


def _manifest(data: dict[str, Any], common: dict[str, Any]) -> Manifest:
    return Manifest(
        **common,
        state=ManifestState(data["state"]),
        transporter=data["transporter"],
        manifest_code=data.get("manifestCode"),
        items=[(order, shipment, awb) for order, shipment, awb in data["items"]],
    )


_DECODERS = {Order.KIND: _order, Return.KIND: _return, Manifest.KIND: _manifest}
