"""What entities are made of, and how each part is written: as a short list, because a state is written per event."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from streams.order.model.states import ShipmentState
from topics.contract.definition import WhenDead
from topics.contract.touchpoints import BY_NAME
from topics.records.deliveries import OutcomeKind
from topics.records.verdicts import Address

UNNUMBERED = -(2**62)
"""Ids of shipments whose shipmentId is not known count down from here: Increff's are nowhere near."""


@dataclass(slots=True)
class Line:
    """One order item. ordered = open + packed + cancelled; `packing` are open units out in a Pack."""

    code: str
    sku: str
    ordered: int
    packed: int = 0
    packing: int = 0
    customer: int = 0
    """Units the customer cancelled."""
    seller: int = 0
    """Units the seller cancelled."""

    @property
    def cancelled(self) -> int:
        return self.customer + self.seller

    @property
    def open(self) -> int:
        return self.ordered - self.packed - self.customer - self.seller

    @property
    def free(self) -> int:
        """Open units that no Pack asks for."""
        return self.ordered - self.packed - self.packing - self.customer - self.seller

    def row(self) -> list[Any]:
        return [self.code, self.sku, self.ordered, self.packed, self.packing, self.customer, self.seller]


@dataclass(slots=True)
class Shipment:
    """`items`: (orderItemCode, channelSkuCode, quantity), as allotted to the order's lines."""

    id: int
    location: str
    items: list[tuple[str, str, int]]
    digest: str
    state: str = ShipmentState.PACKING
    code: str | None = None
    awb: str | None = None
    transporter: str | None = None
    invoice: str | None = None
    manifest: str | None = None
    single: bool = False
    """The only one: what is not in it is cancelled once it is packed."""

    @property
    def number(self) -> int | None:
        """Increff's shipmentId; None for an adopted shipment of which no call told it."""
        return self.id if self.id > UNNUMBERED else None

    @property
    def name(self) -> str:
        """What its documents are kept under. Without a shipmentId its code, as the id in its place is given again."""
        return str(self.id) if self.number is not None else f"code {self.code}"

    def row(self) -> list[Any]:
        return [
            self.id,
            self.location,
            self.items,
            self.digest,
            self.state,
            self.code,
            self.awb,
            self.transporter,
            self.invoice,
            self.manifest,
            self.single,
        ]


@dataclass(slots=True)
class Delivery:
    """A request that left, or must leave. `attempts`: [number, at_ms, took_ms, status, error]."""

    id: str
    touchpoint: str
    destination: str
    created_ms: int
    status: str = "queued"
    attempts: list[list[Any]] = field(default_factory=list)
    next_ms: int | None = None
    message: str = ""

    @property
    def settled(self) -> bool:
        """No further outcome is expected. A dead one may still be retried by an operator."""
        return self.status in ("delivered", "refused", "expired", "superseded")

    @property
    def given_up(self) -> bool:
        """Dead, and its lane went on without it: nobody decides about it any more."""
        return self.status == OutcomeKind.DEAD and BY_NAME[self.touchpoint].when_dead is WhenDead.SKIP

    def row(self) -> list[Any]:
        return [
            self.id,
            self.touchpoint,
            self.destination,
            self.created_ms,
            self.status,
            self.attempts,
            self.next_ms,
            self.message,
        ]


class Waiter(NamedTuple):
    """A caller that waits for its reply, until its deadline if it has one."""

    event: str
    reply_to: Address
    deadline_ms: int | None = None


@dataclass(slots=True)
class Relay:
    """A request whose answer is awaited. Callers that ask for the same (`key`) join it.

    `data`: what its success will change. `dead`: given up; only an operator brings it back, so it no longer stands in
    anybody's way. `deadline_ms`: of the caller for whom it was made. `former`: the request before this one, which got
    no outcome in time; it may still succeed.
    """

    request: str
    touchpoint: str
    key: str
    waiters: list[Waiter]
    data: Any = None
    dead: bool = False
    deadline_ms: int | None = None
    former: str = ""

    def row(self) -> list[Any]:
        return [
            self.request,
            self.touchpoint,
            self.key,
            [tuple(waiter) for waiter in self.waiters],
            self.data,
            self.dead,
            self.deadline_ms,
            self.former,
        ]


@dataclass(slots=True)
class Waiting:
    """A caller's command that waits until an answer is in."""

    event: str
    reply_to: Address | None
    deadline_ms: int
    body: dict[str, Any]
    touchpoint: str

    def row(self) -> list[Any]:
        return [self.event, self.reply_to, self.deadline_ms, self.body, self.touchpoint]


@dataclass(slots=True)
class Parked:
    """An event that came before its forerunner. `touchpoint` is empty for one from within; `size`: bytes of `body`."""

    event: str
    kind: str
    touchpoint: str
    body: dict[str, Any]
    until_ms: int
    size: int
    offered: bool

    def row(self) -> list[Any]:
        return [self.event, self.kind, self.touchpoint, self.body, self.until_ms, self.size, self.offered]


@dataclass(slots=True)
class Claim:
    """What an order knows of one of its returns: the units per SKU it holds, as of the return's `version`.

    `reason`: why what that version asked for was denied; empty when it was admitted.
    """

    code: str
    version: int
    units: dict[str, int]
    reason: str = ""

    def row(self) -> list[Any]:
        return [self.code, self.version, self.units, self.reason]


@dataclass(slots=True)
class Question:
    """What a return asks of its forward order, and the call that is carried out once it is admitted.

    `event` and `offered` are the call's, `digest` is of its body. `asked_ms`: when it was asked last. `asks`: how often
    a tick did since a caller did.
    """

    version: int
    touchpoint: str
    event: str
    body: dict[str, Any]
    digest: str
    offered: bool
    asked_ms: int
    waiters: list[Waiter] = field(default_factory=list)
    asks: int = 0

    def row(self) -> list[Any]:
        waiters = [tuple(waiter) for waiter in self.waiters]
        return [
            self.version,
            self.touchpoint,
            self.event,
            self.body,
            self.digest,
            self.offered,
            self.asked_ms,
            waiters,
            self.asks,
        ]


@dataclass(slots=True)
class ReturnItem:
    """One unit of a return.

    `cancelled`: no (False), by a request that Increff has not answered (its id), or for good (True). `inspection`: what
    was reported, to tell a repeat. `added`: the request that added it later than the Create.
    """

    sku: str
    cancelled: bool | str = False
    qc: str | None = None
    inspection: str = ""
    added: str = ""

    def row(self) -> list[Any]:
        return [self.sku, self.cancelled, self.qc, self.inspection, self.added]


@dataclass(slots=True)
class NotedFact:
    sequence: int
    name: str
    at_ms: int
    data: dict[str, Any]

    def row(self) -> list[Any]:
        return [self.sequence, self.name, self.at_ms, self.data]
