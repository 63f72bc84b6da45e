"""A gateway and the orders role in one process, and the calls of the contract in the states in which they may come."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from contextlib import AsyncExitStack
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from gateway.ports import Outgoing
from sluice.demo_channels import demo_channels
from streams.delivery.ports import Call
from streams.delivery.senders.builtin import BuiltinSender
from streams.delivery.senders.http import far_url
from streams.runtime.role import Effect
from tests.fakes.gateway import NOW_MS, FakeKafka, Gateway, gateway, headers_for
from tests.support.orders import CHANNEL
from tests.support.orders_log import PARTITIONS, Logs
from topics.api.routes import full_path
from topics.configuration.channels_file import parse_channels
from topics.configuration.settings import load_settings
from topics.contract.definition import Touchpoint
from topics.contract.leniency import as_text
from topics.contract.sample_files import sample
from topics.contract.touchpoints import BY_NAME
from topics.records.deliveries import DeliveryRequest, OutcomeKind
from topics.records.envelope import COMMAND, Envelope
from topics.records.json_text import read, write
from topics.records.verdicts import Reply, decode_reply

SECRET = base64.b64encode(b"k" * 32).decode()
SETTINGS = load_settings(partitions=PARTITIONS, secret_key=SECRET)
CHANNELS = parse_channels(demo_channels(), where="test")
ORDER, RETURN, SHIPMENT, LOCATION = "ORDER-1", "RETURN-1", "S-1", "DXB-WH-01"
_CODES = {
    "orderCode": ORDER,
    "forwardOrderCode": ORDER,
    "returnOrderCode": RETURN,
    "shipmentCode": SHIPMENT,
    "locationCode": LOCATION,
    "fulfillmentType": "MULTI_SHIPMENT_PARTIAL",
}
ANSWER = {"shipmentCode": SHIPMENT, "manifestCode": "M-1", "awbNumber": "A-1", "invoiceCode": "I-1"}
MARK = "the value goes here"
"""Stands in a body for the value that is tried."""

Path = tuple[str | int, ...]


def body_of(name: str, **changes: Any) -> dict[str, Any]:
    """The members of a call's sample, about the one order and return of these stories."""
    members: dict[str, Any] = deepcopy(sample(name).members)
    split = BY_NAME[name].split or ("manifestItems" if name == "create-manifest" else None)
    if split is not None:
        members[split] = members[split][:1]
    for at in (members, *(item for value in members.values() if isinstance(value, list) for item in value)):
        if isinstance(at, dict):
            at.update({code: value for code, value in _CODES.items() if code in at})
    return {**members, **changes}


CREATE = body_of("create-outward-order")
LINES = CREATE["orderItems"]
PACK = body_of(
    "pack-order",
    shipmentItems=[
        {**body_of("pack-order")["shipmentItems"][0], "channelSkuCode": LINES[0]["channelSkuCode"], "quantityToPack": 2}
    ],
)
_CANCELLED = [
    {
        "channelSkuCode": LINES[1]["channelSkuCode"],
        "orderItemCode": LINES[1]["orderItemCode"],
        "cancelledQuantity": 1,
        "customerCancelledQty": 0,
        "sellerCancelledQty": 1,
        "acceptedQty": 0,
        "sellerRejectQty": 1,
    }
]
_RETURNED = {**body_of("create-return-order")["orderItems"][0], "channelSkuCode": LINES[0]["channelSkuCode"]}
_SKU = {"channelSkuCode": LINES[0]["channelSkuCode"]}
BODIES: dict[str, dict[str, Any]] = {
    "create-outward-order": CREATE,
    "update-order-properties": body_of("update-order-properties", orderStatus="CREATED"),
    "customer-cancellation": body_of("customer-cancellation", orderItems=[_CANCELLED[0]]),
    "seller-cancellation": body_of("seller-cancellation", orderItems=_CANCELLED),
    "acknowledgement": body_of("acknowledgement"),
    "pack-order": PACK,
    "get-invoice": body_of("get-invoice"),
    "get-shipping-label": body_of("get-shipping-label"),
    "create-manifest": body_of("create-manifest"),
    "handover-notification": body_of("handover-notification"),
    "create-return-order": body_of("create-return-order", orderItems=[_RETURNED]),
    "add-return-order-items": body_of(
        "add-return-order-items",
        returnLineItems=[{**body_of("add-return-order-items")["returnLineItems"][0], **_SKU}],
    ),
    "update-returns": body_of("update-returns"),
    "cancel-return-order-items": body_of(
        "cancel-return-order-items", returnOrderItems=[{"returnOrderItemCode": _RETURNED["itemCode"], **_SKU}]
    ),
    "return-order-acknowledgement": body_of(
        "return-order-acknowledgement",
        orderItems=[
            {
                **body_of("return-order-acknowledgement")["orderItems"][0],
                **_SKU,
                "itemCode": _RETURNED["itemCode"],
                "qcStatus": "PASS",
            }
        ],
    ),
}
_PACKED = ("create-outward-order", "pack-order")
_RETURNING = (*_PACKED, "create-return-order")
SITUATIONS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "create": ("create-outward-order", (), ()),
    "update": ("update-order-properties", ("create-outward-order",), ()),
    "customer cancels": ("customer-cancellation", ("create-outward-order",), ()),
    "seller cancels": ("seller-cancellation", ("create-outward-order",), ()),
    "seller cancels early": ("seller-cancellation", (), ("create-outward-order",)),
    "acknowledge": ("acknowledgement", ("create-outward-order",), ()),
    "acknowledge early": ("acknowledgement", (), ("create-outward-order",)),
    "pack": ("pack-order", ("create-outward-order",), ()),
    "invoice": ("get-invoice", _PACKED, ()),
    "label": ("get-shipping-label", _PACKED, ()),
    "manifest": ("create-manifest", _PACKED, ()),
    "hand over": ("handover-notification", _PACKED, ()),
    "hand over early": ("handover-notification", ("create-outward-order",), ("pack-order",)),
    "create return": ("create-return-order", _PACKED, ()),
    "add items": ("add-return-order-items", _RETURNING, ()),
    "update return": ("update-returns", _RETURNING, ()),
    "cancel items": ("cancel-return-order-items", _RETURNING, ()),
    "inspect": ("return-order-acknowledgement", _RETURNING, ()),
}
"""By name: the call, the calls before it, and those after it."""


def paths(value: Any, at: Path = ()) -> Iterator[Path]:
    """Every member and entry of a body."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, member in members:
        yield (*at, name)
        yield from paths(member, (*at, name))


def with_mark(members: dict[str, Any], path: Path) -> dict[str, Any]:
    changed = deepcopy(members)
    at: Any = changed
    for part in path[:-1]:
        at = at[part]
    at[path[-1]] = MARK
    return changed


def text_with(members: dict[str, Any], text: str) -> bytes:
    """The body with this JSON text in place of the mark."""
    return write(members).replace(write(MARK), text.encode())


@dataclass
class Told:
    """The answers of a call, and what left because of it."""

    status: int = 0
    body: Any = None
    replies: list[Reply] = field(default_factory=list)
    rejected: list[tuple[str, str]] = field(default_factory=list)
    requests: list[DeliveryRequest] = field(default_factory=list)
    state: dict[bytes, Any] = field(default_factory=dict)


class Orders:
    """The orders role over logs of its own, whose requests are all answered with success."""

    def __init__(self, before: tuple[str, ...]) -> None:
        self.logs = Logs(settings=SETTINGS, channels=CHANNELS, now_ms=NOW_MS)
        self.answered: set[str] = set()
        for name in before:
            self.logs.call(name, BODIES[name], f"before-{name}")
            self.settle()

    def settle(self) -> list[DeliveryRequest]:
        """Decide all that is there; returns the requests that left."""
        found: list[DeliveryRequest] = []
        self.logs.run()
        while new := [one for one in self.logs.requests() if one.id not in self.answered]:
            for request in new:
                self.answered.add(request.id)
                found.append(request)
                self.logs.answer(request, OutcomeKind.DELIVERED, body=ANSWER)
            self.logs.run()
        return found

    def give(self, records: list[Outgoing], after: tuple[str, ...]) -> Told:
        """Decide these records, and then the calls after them."""
        first = len(self.logs.effects)
        requests: list[DeliveryRequest] = []
        for record in records:
            self.logs.append(record.key, record.value, record.headers)
            requests += self.settle()
        for name in after:
            self.logs.call(name, BODIES[name], f"after-{name}")
            requests += self.settle()
        return Told(
            replies=_replies(self.logs.effects[first:]),
            rejected=list(self.logs.rejected),
            requests=requests,
            state=self.logs.states_by_key(),
        )


def _replies(effects: list[Effect]) -> list[Reply]:
    return [decode_reply(effect.value) for effect in effects if effect.topic == "replies"]


class Sluice:
    """The gateway, with an orders role behind it that is new for each call."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._stack = AsyncExitStack()
        self.kafka = FakeKafka(decide=self._decide)
        self._orders: Orders | None = None
        self.gateway: Gateway = self.run(
            self._stack.enter_async_context(gateway(kafka=self.kafka, secret_key=SECRET, verdict_timeout_s=1))
        )

    def run(self, step: Any) -> Any:
        return self._loop.run_until_complete(step)

    def close(self) -> None:
        self.run(self._stack.aclose())
        self._loop.close()

    def call(self, situation: str, raw: bytes) -> Told:
        """The call over HTTP, as its caller sends it."""
        name, before, after = SITUATIONS[situation]
        touchpoint = BY_NAME[name]
        self.kafka.records.clear()
        self.kafka.told.clear()
        self._orders = Orders(before)
        status, body = self.run(self._ask(touchpoint, raw))
        told = self._orders.give([], after)
        return Told(
            status, body, [*self._told, *told.replies], told.rejected, [*self._requests, *told.requests], told.state
        )

    def ask(self, name: str, raw: bytes) -> Told:
        """A call that no order decides."""
        self.kafka.records.clear()
        self._orders = None
        return Told(*self.run(self._ask(BY_NAME[name], raw)))

    async def _ask(self, touchpoint: Touchpoint, raw: bytes) -> tuple[int, Any]:
        self._told: list[Reply] = []
        self._requests: list[DeliveryRequest] = []
        members = read(raw)
        path = full_path(touchpoint)
        for name in touchpoint.path_members:
            path = path.replace(f"{{{name}}}", quote(as_text(members[name]) or "", safe=""))
        response = await self.gateway.client.request(
            touchpoint.method,
            path.replace("{channel}", CHANNEL),
            data=raw,
            headers={**headers_for(touchpoint), "Content-Type": "application/json"},
        )
        answer = await response.read()
        return response.status, read(answer) if answer else None

    def _decide(self, envelope: Envelope, record: Outgoing) -> Reply | None:
        if self._orders is None:
            return None  # a question to Increff, which gives no answer
        told = self._orders.give([record], ())
        self._told += told.replies
        self._requests += told.requests
        return next((reply for reply in told.replies if reply.event == envelope.id), None)


def direct(situation: str, members: dict[str, Any], headers: Any = None) -> list[Outgoing]:
    """The record of a direct producer, under a key that may be another."""
    name = SITUATIONS[situation][0]
    envelope = Envelope(
        id="direct",
        type=COMMAND + name,
        source="/test",
        channel=CHANNEL,
        reply_partition=3,
        deadline_ms=NOW_MS + 60_000,
    )
    return [Outgoing("orders.commands", b"any", write(members), headers or envelope.headers(), None)]


async def sent_by_delivery(request: DeliveryRequest) -> dict[str, Any]:
    """What delivery sends over HTTP; each sender takes the request."""
    touchpoint = BY_NAME[request.touchpoint]
    call = Call(
        touchpoint=touchpoint,
        destination=request.destination,
        channel=request.channel,
        body=bytes(request.body),
        entity=request.entity,
    )
    members = call.read_members()
    far_url("http://far", touchpoint.far_path, touchpoint, members)
    if touchpoint.far_side == "marketplace":
        answer = await BuiltinSender().send(call)
        assert answer.status != 400, answer
    return members
