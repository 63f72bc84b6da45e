"""What entities are made of, and how each part is written: as a short list, because a state is written per event."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from streams.order.states import ShipmentState


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
        return self.status in ("delivered", "refused", "expired")

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


@dataclass(slots=True)
class Relay:
    """A request whose answer is awaited. Callers that ask for the same (`key`) join it.

    `waiters`: (event id, reply partition). `data`: what its success will change. `dead`: given up; only an operator
    brings it back, so it no longer stands in anybody's way.
    """

    request: str
    touchpoint: str
    key: str
    waiters: list[tuple[str, int]]
    data: Any = None
    dead: bool = False

    def row(self) -> list[Any]:
        return [self.request, self.touchpoint, self.key, self.waiters, self.data, self.dead]


@dataclass(slots=True)
class Waiting:
    """A customer cancellation that waits until an answer is in."""

    event: str
    partition: int | None
    deadline_ms: int
    body: dict[str, Any]

    def row(self) -> list[Any]:
        return [self.event, self.partition, self.deadline_ms, self.body]


@dataclass(slots=True)
class NotedFact:
    sequence: int
    name: str
    at_ms: int
    data: dict[str, Any]

    def row(self) -> list[Any]:
        return [self.sequence, self.name, self.at_ms, self.data]
