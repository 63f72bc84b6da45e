"""The parts that entities are made of. Each is encoded as a short list, because a state is written per event."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Final, NamedTuple

from msgspec import Struct, field

from streams.order.model.events import EventKind
from streams.order.model.states import ShipmentState
from topics.contract.definition import Direction, Touchpoint, WhenDead
from topics.contract.touchpoints import BY_NAME
from topics.records.deliveries import OutcomeKind
from topics.records.keys import INCREFF, channel_destination
from topics.records.verdicts import Address

UNNUMBERED = -(2**62)
"""Shipments without a known shipmentId get ids that count down from here. Increff's ids are nowhere near."""


RESUBMITTED = "resubmitted"
"""The status of a refused delivery once another request has taken its place."""


_REDIRECTION = 300
_TIME_OUT = 408
_SERVER_ERROR = 500


def _is_lost(status: float | str | None, error: float | str | None) -> bool:
    """Whether the answer of an attempt leaves open if it was carried out. One with a 2xx and an error was not read."""
    if status is None:
        return True
    status = int(status)
    return status >= _SERVER_ERROR or status == _TIME_OUT or (status < _REDIRECTION and bool(error))


class Part(Struct, array_like=True):
    """Encoded by position: a new member goes last, and has a default."""


class Line(Part):
    """One order item. ordered = open + packed + cancelled; `packing`: open units in a Pack that awaits its answer."""

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


class Shipment(Part):
    """`items`: (orderItemCode, channelSkuCode, quantity), as allotted to the order's lines."""

    id: int
    location: str
    items: list[tuple[str, str, int]]
    digest: str
    state: ShipmentState = ShipmentState.PACKING
    code: str | None = None
    awb: str | None = None
    transporter: str | None = None
    invoice: str | None = None
    manifest: str | None = None
    single: bool = False
    """The order's only shipment: units that are not in it are cancelled once it is packed."""

    @property
    def number(self) -> int | None:
        """Increff's shipmentId; None for an adopted shipment while no call has named it."""
        return self.id if self.id > UNNUMBERED else None

    @property
    def name(self) -> str:
        """Stands for the shipment in keys of documents: its code while its id is a stand-in, which may be reused."""
        return str(self.id) if self.number is not None else f"code {self.code}"


CALL_CODES: Final = MappingProxyType(
    {
        "create-outward-order": "o",
        "customer-cancellation": "c",
        "update-order-properties": "u",
        "create-return-order": "r",
        "add-return-order-items": "i",
        "update-returns": "v",
        "cancel-return-order-items": "x",
        "acknowledgement": "a",
        "pack-order": "p",
        "get-invoice": "n",
        "get-shipping-label": "l",
        "create-manifest": "m",
        "handover-notification": "h",
        "seller-cancellation": "s",
        "return-order-acknowledgement": "k",
    }
)
"""How a stored request says what it calls: the name would be a fifth of its bytes. A state keeps them, so a code never
gets another meaning; a call that has none here is stored under its name."""
_BY_CODE: Final = {code: name for name, code in CALL_CODES.items()}


class Delivery(Part):
    """A request to a far side, sent or still to be sent. See `new_delivery`.

    `call`: what it calls (CALL_CODES); the touchpoint's name in a state of an earlier version. `stored_destination`: in
    such a state, where it goes; else empty, because that follows from the touchpoint. `attempts`: [number, at_ms,
    took_ms, status, error], typed so that a state's decoder does not look at how their numbers were written. `asks`: of
    a relay, stands for what it asks for; empty in a state of an earlier version.
    """

    id: str
    call: str
    stored_destination: str
    created_ms: int
    status: str = "queued"
    attempts: list[list[int | float | str | None]] = field(default_factory=list)
    next_ms: int | None = None
    message: str = ""
    asks: str = ""

    @property
    def touchpoint(self) -> str:
        """The name of what it calls."""
        return _BY_CODE.get(self.call, self.call)

    def destination(self, channel: str) -> str:
        """The far side that it goes to. `channel`: its entity's."""
        return self.stored_destination or destination_of(BY_NAME[self.touchpoint], channel)

    @property
    def settled(self) -> bool:
        """No further outcome is expected. A dead one may still be retried by an operator."""
        return self.status in ("delivered", "refused", "expired", "superseded", RESUBMITTED)

    @property
    def is_in_doubt(self) -> bool:
        """Whether the far side may have carried it out without a known success: an attempt had no answer, a 5xx or 408,
        or an answer that could not be read, or its outcome is not known yet."""
        if self.status in (OutcomeKind.DELIVERED, OutcomeKind.SUPERSEDED):
            return False
        return not self.settled or any(_is_lost(status, error) for _, _, _, status, error in self.attempts)

    @property
    def given_up(self) -> bool:
        """Dead, and its lane went on without it: no operator has to decide about it."""
        return self.status == OutcomeKind.DEAD and BY_NAME[self.touchpoint].when_dead is WhenDead.SKIP


def new_delivery(request: str, touchpoint: str, now_ms: int, asks: str = "") -> Delivery:
    """A request that is to be sent."""
    return Delivery(request, CALL_CODES.get(touchpoint, touchpoint), "", now_ms, asks=asks)


def destination_of(touchpoint: Touchpoint, channel: str) -> str:
    return INCREFF if touchpoint.direction is Direction.TO_INCREFF else channel_destination(channel)


class Waiter(NamedTuple):
    """A caller that waits for its reply, until its deadline if it has one."""

    event: str
    reply_to: Address
    deadline_ms: int | None = None


class Relay(Part):
    """A request whose answer callers wait for. Callers that ask for the same (`key`) join it.

    `data`: what its success will change. `dead`: given up; only an operator brings it back, so no other call waits for
    it. `deadline_ms`: the deadline of its first caller. `former`: the request before this one, which got no outcome in
    time and may still succeed. `call`: the digest of its call, where a repeat is known by that.
    """

    request: str
    touchpoint: str
    key: str
    waiters: list[Waiter]
    data: Any = None
    dead: bool = False
    deadline_ms: int | None = None
    former: str = ""
    call: str = ""


class DeferredCall(Part):
    """A caller's command that is decided once the answer to another request is in."""

    event: str
    reply_to: Address | None
    deadline_ms: int
    body: dict[str, Any]
    touchpoint: str


class EarlyEvent(Part):
    """An event that came before what it depends on, kept until that comes.

    `touchpoint` is empty for an event from within Sluice; `size`: bytes of `body`.
    """

    event: str
    kind: EventKind
    touchpoint: str
    body: dict[str, Any]
    until_ms: int
    size: int
    offered: bool


class Claim(Part):
    """A return as its forward order knows it: the units per SKU that it holds, as of the return's `version`.

    `reason`: why the units that this version asked for were denied; empty when they were admitted.
    """

    code: str
    version: int
    units: dict[str, int]
    reason: str = ""


class Question(Part):
    """A return's question to its forward order, and the call that is carried out once the order admits its units.

    `event` and `offered` are the call's, `digest` is of its body. `asked_ms`: when the question was last sent. `asks`:
    how often ticks sent it since a caller last did.
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


class ReturnItem(Part):
    """One unit of a return.

    `cancelled`: no (False), by a request that Increff has not answered (its id), or for good (True). `inspection`: the
    last report, to recognise a repeat. `added`: the request that added the unit after the Create.
    """

    sku: str
    cancelled: bool | str = False
    qc: str | None = None
    inspection: str = ""
    added: str = ""


class NotedFact(Part):
    """A fact in the entity's own list. `data`: the few members kept of it."""

    sequence: int
    name: str
    at_ms: int
    data: dict[str, Any]
