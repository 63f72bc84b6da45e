"""MESSAGES: what travels on each topic, for the AsyncAPI document. Everything comes from the catalogues and models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from topics.api.snapshots import SnapshotAbort, SnapshotBegin, SnapshotEnd, SnapshotPart, SnapshotStep
from topics.configuration.channels import SENT_TO_MARKETPLACES
from topics.contract.definition import Entity
from topics.contract.models.inventory import ConsolidatedPosition, Position, StockChanged
from topics.contract.touchpoints import TOUCHPOINTS
from topics.records import envelope
from topics.records.deliveries import Concluded, DeliveryRequest, LaneDecision, Outcome, Redrive
from topics.records.facts.base import Part
from topics.records.facts.catalogue import FACTS, STOCK_FACTS, SUBSCRIPTION_FACTS
from topics.records.models import (
    AttemptRecord,
    DeadRecord,
    OrderAsked,
    ReturnClaimed,
    ReturnDecided,
    ShipmentManifestedTold,
    Ticked,
)
from topics.records.verdicts import Reply
from topics.stock import snapshots as kinds
from topics.stock.changes import STOCK_CHANGED
from topics.stock.controls import Control
from topics.stock.status import LocationStatus, RefusedSku
from topics.subscriptions.model import Backlog, Deleted, Health, Status, Subscription

ANY = TypeAdapter[Any](Any)
"""Of a value that is its role's own business, or another record's bytes."""


@dataclass(frozen=True, slots=True)
class Message:
    """`type`: its ce_type; empty for records without CloudEvents headers. `payload`: says what the value is."""

    name: str
    type: str
    payload: TypeAdapter[Any]
    summary: str


def _commands(entities: tuple[Entity, ...]) -> Iterator[Message]:
    for touchpoint in TOUCHPOINTS:
        if touchpoint.entity in entities:
            kind = envelope.COMMAND + touchpoint.name
            yield Message(touchpoint.name, kind, TypeAdapter(touchpoint.request), touchpoint.title)


def _requests() -> Iterator[Message]:
    """To a channel that lives on Kafka: what it would be asked over HTTP, and gets over its topic."""
    for touchpoint in SENT_TO_MARKETPLACES:
        kind = envelope.CHANNEL_REQUEST + touchpoint.name
        yield Message(f"{touchpoint.name}-request", kind, TypeAdapter(touchpoint.request), touchpoint.title)


def _facts(facts: Mapping[str, type[Part]]) -> Iterator[Message]:
    for name, model in facts.items():
        summary = " ".join((model.__doc__ or name).split())
        yield Message(f"fact-{name}", envelope.FACT + name, TypeAdapter(model), summary)


_SNAPSHOTS = tuple(
    Message(kind.removeprefix(envelope.COMMAND), kind, TypeAdapter[Any](model), " ".join((model.__doc__ or "").split()))
    for kind, model in (
        (kinds.SNAPSHOT_BEGIN, SnapshotBegin),
        (kinds.SNAPSHOT_PART, SnapshotPart),
        (kinds.SNAPSHOT_END, SnapshotEnd),
        (kinds.SNAPSHOT_ABORT, SnapshotAbort),
        (kinds.SNAPSHOT_STEP, SnapshotStep),
    )
)
_REPLY = Message("reply", envelope.REPLY, TypeAdapter(Reply), "The verdict on a command, or its answer")
_POSITION = TypeAdapter[Any](Position | ConsolidatedPosition)
_OF_ORDERS = (Entity.ORDER, Entity.RETURN, Entity.MANIFEST)

COMMANDS = tuple(_commands(_OF_ORDERS))
"""What a gateway or a direct producer writes to orders.commands."""

MESSAGES: dict[str, tuple[Message, ...]] = {
    "orders.commands": (
        *COMMANDS,
        Message("delivery-outcome", envelope.DELIVERY_OUTCOME, TypeAdapter(Outcome), "What became of a request"),
        Message(
            "shipment-manifested",
            envelope.SHIPMENT_MANIFESTED,
            TypeAdapter(ShipmentManifestedTold),
            "From a manifest to each of its orders",
        ),
        Message("return-claimed", envelope.RETURN_CLAIMED, TypeAdapter(ReturnClaimed), "From a return to its order"),
        Message("return-decided", envelope.RETURN_DECIDED, TypeAdapter(ReturnDecided), "The order's answer to that"),
        Message("tick", envelope.TICK, TypeAdapter(Ticked), "From the owner of a partition to itself"),
        Message("order-query", envelope.ORDER_QUERY, TypeAdapter(OrderAsked), "Asks for an order's whole state"),
    ),
    "orders.events": tuple(_facts(FACTS)),
    "orders.state": (Message("order-state", "", ANY, "The orders role's own: its form may change with any version"),),
    "relay.answers": (Message("relay-answer", "", ANY, "The orders role's own: a far side's answer as it came"),),
    "deliveries.requests": (
        Message("delivery-request", envelope.DELIVERY_REQUEST, TypeAdapter(DeliveryRequest), "What must leave"),
        Message("lane-decision", envelope.LANE_DECISION, TypeAdapter(LaneDecision), "An operator's decision"),
        Message("redrive", envelope.DELIVERY_REDRIVE, TypeAdapter(Redrive), "What was given up is sent again"),
    ),
    "deliveries.attempts": (
        Message(
            "delivery-attempted",
            envelope.DELIVERY_ATTEMPTED,
            TypeAdapter(AttemptRecord),
            "One attempt, without bodies",
        ),
    ),
    "deliveries.outbox": (Message("outbox-entry", "", ANY, "The delivery role's own"),),
    "deliveries.permits": (Message("permit", "", ANY, "The delivery role's own"),),
    "deliveries.dead": (
        Message("delivery-dead", envelope.DELIVERY_DEAD, TypeAdapter(DeadRecord), "A request that was given up"),
        Message("delivery-concluded", envelope.DELIVERY_CONCLUDED, TypeAdapter(Concluded), "What became of it later"),
    ),
    "inventory.updates": (*_commands((Entity.STOCK,)), *_SNAPSHOTS),
    "inventory.positions": (Message("position", "", _POSITION, "The last accepted value; null: the position is gone"),),
    "inventory.changes": (
        Message("stock-changed", STOCK_CHANGED, TypeAdapter(StockChanged), "What a batch of stock changed"),
    ),
    "inventory.sent": (Message("position-sent", "", _POSITION, "What the channel last acknowledged"),),
    "inventory.controls": (Message("stock-control", "", TypeAdapter(Control), "The last word of operators"),),
    "inventory.status": (
        Message("stock-status", "", TypeAdapter[Any](LocationStatus | RefusedSku), "How a location fares, or a SKU"),
    ),
    "inventory.events": tuple(_facts(STOCK_FACTS)),
    "subscriptions": (
        Message(
            "subscription",
            "",
            TypeAdapter[Any](Subscription | Deleted),
            "One subscriber, its secrets sealed; or its end",
        ),
    ),
    "subscriptions.status": (
        Message(
            "subscription-status",
            "",
            TypeAdapter[Any](Status | Health | Backlog),
            "Under an id: it is disabled. Under an id and shard: how that fares; with `backlog` behind it: what waits",
        ),
    ),
    "subscriptions.events": tuple(_facts(SUBSCRIPTION_FACTS)),
    "replies": (_REPLY,),
    "commands.rejected": (
        Message("rejected", "", ANY, "The original bytes and headers, with the reason in `sluice-rejected-*` headers"),
    ),
    "replies.NAME": (_REPLY,),
    "channel.NAME.requests": tuple(_requests()),
    "channel.NAME.answers": (
        Message("channel-answer", "", ANY, "What the channel would have answered over HTTP, or nothing"),
    ),
}
"""By the topic's name in the catalogue; NAME stands for what a channel's configuration chooses."""
