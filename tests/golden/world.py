"""The world of the golden stories: the orders role over logs, with several channels, callers and kinds of disturbance.

Everything that happens in it follows from the story alone: no clock, no random id, no order of a set.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sluice.demo_channels import demo_channels
from streams.order.records.stored_entity import STATE, read_entity
from streams.runtime.role import Effect, Record
from tests.support.orders import DEADLINE_MS, REPLIES
from tests.support.orders_log import PARTITIONS, Logs
from tests.support.subscriptions import A, B, index, subscription
from topics.configuration.channels import Channels
from topics.configuration.channels_file import parse_channels
from topics.configuration.settings import load_settings
from topics.contract.entities import entity_key
from topics.contract.touchpoints import BY_NAME
from topics.records.deliveries import Attempt, DeliveryRequest, Outcome, OutcomeKind, decode_request
from topics.records.envelope import (
    CALL_REFUSED,
    COMMAND,
    DELIVERY_OUTCOME,
    DELIVERY_SOURCE,
    GATEWAY_SOURCE,
    ORDER_QUERY,
    RESUBMIT,
    EnvelopeError,
    parse,
)
from topics.records.envelope import Envelope as Head
from topics.records.json_text import write
from topics.records.keys import INCREFF, TICK_KEY, order_key, partition_of, split
from topics.records.signing import Signer

DEMO, ADOPTING, STRICT, ALONE = "demo", "adopting", "strict", "alone"
SECRET_KEY = base64.b64encode(b"g" * 32).decode()
SETTINGS = load_settings(partitions=PARTITIONS, secret_key=SECRET_KEY)
_IMPATIENT = {"submit_s": 600, "acknowledge_s": 1_200, "pack_s": 3_600, "handover_s": 3_600}
_DAY_S = 86_400
REPLY_TOPIC = "sluice.replies.demo.v1"


def channels() -> Channels:
    """Channels that differ in whatever a decision asks of them."""
    data = demo_channels()
    data["increff"]["shards"] = 2
    demo = data["channels"][DEMO]
    changes: dict[str, dict[str, Any]] = {
        DEMO: {"sla": _IMPATIENT},
        ADOPTING: {"unknown_orders": "adopt", "off": ["handover-notification"]},
        STRICT: {"unknown_orders": "refuse", "off": ["acknowledgement", "get-invoice"], "resubmit_after_s": 60},
        ALONE: {"far_side": "self", "sla": {"forget_after_s": 3 * _DAY_S, "forget_manifests_after_s": 2 * _DAY_S}},
    }
    for name, change in changes.items():
        credentials = {"username": name, "password": "secret", "domain": name}
        data["channels"][name] = {**demo, "credentials": credentials, **change}
    return parse_channels(data, where="golden")


def subscriptions() -> Any:
    """One receiver of every fact of one channel, and one of a few facts of all."""
    return index(
        subscription(A, channels=[STRICT], shards=3),
        subscription(B, types=["order-*", "return-received"], locations=["DXB-WH-01"]),
    )


@dataclass
class Event:
    """One record that was decided: what it was, what left because of it, and the state that it left."""

    label: str
    key: bytes
    effects: list[Effect]
    aside: tuple[str, str] | None
    states: dict[bytes, Any]
    """The entity that the record is of, decoded; of a tick all of its partition."""


@dataclass
class World(Logs):
    """Logs with several channels; it keeps what each record led to."""

    events: list[Event] = field(default_factory=list)
    watched: bool = True
    """Whether the state is decoded after each record."""

    def __post_init__(self) -> None:
        self.channels = channels()
        self.subscriptions = subscriptions()
        self.settings = SETTINGS
        self.signer = Signer(SETTINGS.secret_keys)
        self.serial = 0
        self.keys: dict[bytes, None] = {}
        self.answered: set[str] = set()
        self.left: dict[str, DeliveryRequest] = {}
        self.searched = 0
        self.lost: set[str] = set()
        """Types of records that do not arrive."""
        self.on_puts: Callable[[str, bytes, bytes | None], None] | None = None
        super().__post_init__()

    # Records of callers

    def send(
        self,
        touchpoint: str,
        body: dict[str, Any],
        event_id: str = "",
        *,
        channel: str = DEMO,
        signed: bool = True,
        source: str = GATEWAY_SOURCE,
        key: bytes | None = None,
        partition: int | None = None,
        reply_topic: str = "",
        said_ms: int = 0,
        awaited: bool = True,
    ) -> str:
        """A command as the gateway writes it or, with changes, as a direct producer does. Returns its id."""
        self.serial += 1
        self.now_ms += 5
        event_id = event_id or f"e{self.serial}"
        type_, value = COMMAND + touchpoint, write(body)
        key = key if key is not None else entity_key(BY_NAME[touchpoint], channel, body)
        head = Head(
            id=event_id,
            type=type_,
            source=source,
            channel=channel,
            time_ms=said_ms or self.now_ms,
            reply_partition=REPLIES if awaited and not reply_topic else None,
            reply_topic=reply_topic,
            deadline_ms=self.now_ms + DEADLINE_MS if awaited else None,
            signature=(self.signer.sign(type_, key, value) or b"") if signed else b"",
        )
        self.append(key, value, head.headers(), partition)
        return event_id

    def direct(self, touchpoint: str, body: dict[str, Any], event_id: str = "", **changes: Any) -> str:
        """A command of a producer that is no gateway: not signed, so validated by the role."""
        defaults: dict[str, Any] = {"signed": False, "source": "/erp", "awaited": False}
        return self.send(touchpoint, body, event_id, **{**defaults, **changes})

    def raw(self, key: bytes, value: bytes, type_: str, channel: str = DEMO, event_id: str = "") -> None:
        """A record with any value."""
        self.serial += 1
        self.now_ms += 5
        head = Head(
            id=event_id or f"e{self.serial}", type=type_, source="/erp", channel=channel, reply_partition=REPLIES
        )
        self.append(key, value, head.headers())

    def ask(self, key: bytes) -> None:
        """A query for the document of an order, return or manifest."""
        kind, channel, code = _named(key)
        name = {"order": "orderCode", "return": "returnOrderCode"}.get(kind, "manifestId")
        self.serial += 1
        self.now_ms += 5
        head = Head(
            id=f"q{self.serial}", type=ORDER_QUERY, source=GATEWAY_SOURCE, channel=channel, reply_partition=REPLIES
        )
        self.append(key, write({name: code}), head.headers())

    def tell_refused(self, subject: str, event_id: str = "", channel: str = DEMO, **changes: Any) -> None:
        """A gateway's word that it refused a call."""
        self.serial += 1
        self.now_ms += 5
        event_id = event_id or f"e{self.serial}"
        told = {
            "touchpoint": "pack-order",
            "subject": subject,
            "status": 400,
            "code": "BAD_DATA",
            "reason": "shipmentItems: must be a list",
            "count": 1,
            "firstAtMs": self.now_ms,
            "lastAtMs": self.now_ms,
            "eventId": event_id,
            "source": GATEWAY_SOURCE,
            "address": "10.0.0.9",
            **changes,
        }
        head = Head(id=event_id, type=CALL_REFUSED, source=GATEWAY_SOURCE, channel=channel)
        self.append(order_key(channel, subject), write(told), head.headers())

    def resubmit(self, request: DeliveryRequest, *, dry: bool = False) -> None:
        """An operator has a refused request sent again."""
        self.serial += 1
        self.now_ms += 5
        key = request.entity.encode()
        kind, channel, code = _named(key)
        value = write(
            {
                {"order": "orderCode", "return": "returnOrderCode"}.get(kind, "manifestId"): code,
                "request": request.id,
                "touchpoint": request.touchpoint,
                "body": request.members,
                "saidMs": request.created_ms,
                "by": "night-shift",
                "address": "10.0.0.9",
                "reason": "SKU-1 is mapped now",
                "dryRun": dry,
            }
        )
        head = Head(
            id=f"r{self.serial}",
            type=RESUBMIT,
            source=GATEWAY_SOURCE,
            channel=channel,
            reply_partition=REPLIES,
            deadline_ms=self.now_ms + DEADLINE_MS,
            signature=self.signer.sign(RESUBMIT, key, value) or b"",
        )
        self.append(key, value, head.headers())

    def append(
        self, key: bytes, value: bytes, headers: tuple[tuple[str, bytes], ...], partition: int | None = None
    ) -> None:
        if dict(headers).get("ce_type", b"").decode() not in self.lost:
            super().append(key, value, headers, partition)

    # Records of delivery

    def waiting(self) -> Iterator[DeliveryRequest]:
        """Requests of orders that have no final outcome, in the order in which they left."""
        for effect in self.effects[self.searched :]:
            if effect.topic == "deliveries.requests":
                request = decode_request(effect.value)
                if request.touchpoint != "fact":
                    self.left.setdefault(request.id, request)
        self.searched = len(self.effects)
        return iter([request for id_, request in self.left.items() if id_ not in self.answered])

    def report(
        self,
        request: DeliveryRequest,
        kind: OutcomeKind = OutcomeKind.DELIVERED,
        body: Any = None,
        *,
        status: int | None = 200,
        message: str = "",
        number: int = 1,
        error: str = "",
        by: str = "",
    ) -> None:
        """What became of a request."""
        self.now_ms += 5
        sent = kind is not OutcomeKind.OVERTAKEN
        attempt = Attempt(number=number, at_ms=self.now_ms, took_ms=number + 0.5, status=status, error=error)
        outcome = Outcome(
            request=request.id,
            touchpoint=request.touchpoint,
            kind=kind,
            status=status,
            body=body,
            message=message,
            attempt=attempt if sent else None,
            next_at_ms=self.now_ms + 500 if kind is OutcomeKind.RETRYING else None,
            by=by,
            by_touchpoint="get-invoice" if by else "",
        )
        suffix = f":{number}" if kind is OutcomeKind.RETRYING else f":{by}" if by else ""
        head = Head(
            id=f"{request.id}:{kind}{suffix}", type=DELIVERY_OUTCOME, source=DELIVERY_SOURCE, channel=request.channel
        )
        if kind.final:
            self.answered.add(request.id)
        self.append(request.entity.encode(), outcome.encode(), head.headers())

    def settle(self) -> None:
        """Decide what is there, and have delivery take every request, until nothing is left to do."""
        self.run()
        while waiting := list(self.waiting()):
            for request in waiting:
                self.report(request, body=answer_to(request))
            self.run()

    # Time

    def later(self, seconds: float) -> None:
        """Time passes, and what has become due is decided."""
        self.run()
        self.tick(self.now_ms + round(seconds * 1000))

    # What it keeps

    def step(self, partition: int) -> None:
        offset = self.committed[partition]
        key, value, headers, at_ms = self.records[partition][offset]
        effects, rejected = len(self.effects), len(self.rejected)
        super().step(partition)
        self.keys[key] = None
        self._note_puts(partition)
        found = self.rejected[rejected] if len(self.rejected) > rejected else None
        record = Record(partition, offset, at_ms, key, value, headers)
        states = self._states(partition, key) if self.watched else {}
        self.events.append(Event(label_of(record), key, self.effects[effects:], found, states))

    def entities(self) -> dict[bytes, Any]:
        """Every entity that is known, decoded."""
        found = {}
        for key in sorted(self.keys):
            entity = self._entity(partition_of(key, PARTITIONS), key)
            if entity is not None:
                found[key] = entity
        return found

    def _states(self, partition: int, key: bytes) -> dict[bytes, Any]:
        keys = [one for one in sorted(self.keys) if partition_of(one, PARTITIONS) == partition]
        found = {one: self._entity(partition, one) for one in (keys if key == TICK_KEY else [key])}
        return {one: entity for one, entity in found.items() if entity is not None}

    def _entity(self, partition: int, key: bytes) -> Any:
        return None if key == TICK_KEY else read_entity(self.states[partition].tables[STATE], key)

    def _note_puts(self, partition: int) -> None:
        for table in self.states[partition].all:
            for key, value in table.dirty.items():
                if self.on_puts is not None:
                    self.on_puts(table.name, key, value)
            table.dirty.clear()


def answer_to(request: DeliveryRequest) -> Any:
    """What a far side usually answers."""
    body = request.members or {}
    if request.destination == INCREFF:
        return None
    if request.touchpoint == "pack-order":
        return {"shipmentCode": f"S-{body['orderCode']}-{body['shipmentId']}", "hasError": False}
    if request.touchpoint == "get-shipping-label":
        return {"shippingLabelUrl": "https://x/label", "awbNumber": f"AWB-{body['shipmentCode']}", "transporter": "GX"}
    if request.touchpoint == "get-invoice":
        return {"invoiceCode": f"INV-{body['shipmentCode']}", "invoiceUrl": "https://x/invoice", "total": 499.0}
    if request.touchpoint == "create-manifest":
        return {"manifestCode": "MF-1", "manifestItems": None}
    return {"hasError": False}


def label_of(record: Record) -> str:
    """The record in words."""
    if record.key == TICK_KEY:
        return f"tick of partition {record.partition}"
    try:
        head = parse(record.headers)
    except EnvelopeError:
        return f"record with key {record.key!r}"
    name = head.type.removeprefix("sluice.").removeprefix("command.")
    return f"{name} {head.id} for {record.key.decode(errors='replace')}"


def _named(key: bytes) -> tuple[str, str, str]:
    """Kind, channel and code of an entity's key."""
    channel, *kind, code = split(key)
    return (kind[0] if kind else "order"), channel, code
