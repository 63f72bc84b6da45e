"""MESSAGES: the messages of each topic, for the AsyncAPI document, derived from the catalogues and models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from topics.api.snapshots import SnapshotAbort, SnapshotBegin, SnapshotEnd, SnapshotPart, SnapshotStep
from topics.configuration.channels import SENT_TO_MARKETPLACES
from topics.contract.definition import Entity
from topics.contract.models.inventory import ConsolidatedPosition, Position, StockChanged
from topics.contract.touchpoints import TOUCHPOINTS
from topics.destinations.pauses import CONTROLS, DestinationControl
from topics.records import envelope
from topics.records.deliveries import Concluded, DeliveryRequest, LaneDecision, Outcome, Redrive
from topics.records.facts.base import Part
from topics.records.facts.catalogue import FACTS, OPERATOR_FACTS, STOCK_FACTS, SUBSCRIPTION_FACTS
from topics.records.models import (
    AttemptRecord,
    CallRefused,
    DeadRecord,
    OrderAsked,
    ResubmitAsked,
    ReturnClaimed,
    ReturnDecided,
    ShipmentManifestedTold,
    Ticked,
)
from topics.records.skips import SKIPS, Skip
from topics.records.verdicts import Reply
from topics.stock import snapshots as kinds
from topics.stock.changes import STOCK_CHANGED
from topics.stock.controls import Control
from topics.stock.status import LocationStatus, RefusedSku
from topics.subscriptions.model import Backlog, Deleted, Health, Status, Subscription


@dataclass(frozen=True, slots=True)
class Message:
    """A kind of record. `type`: its ce_type, empty for records without CloudEvents headers; `payload`: the type of its
    value, or Any if only its role reads it or it is another record's."""

    name: str
    type: str
    payload: Any
    summary: str


def _commands(entities: tuple[Entity, ...]) -> Iterator[Message]:
    for touchpoint in TOUCHPOINTS:
        if touchpoint.entity in entities:
            kind = envelope.COMMAND + touchpoint.name
            yield Message(touchpoint.name, kind, touchpoint.request, touchpoint.title)


def _requests() -> Iterator[Message]:
    """Requests to a channel whose far side is `kafka`."""
    for touchpoint in SENT_TO_MARKETPLACES:
        kind = envelope.CHANNEL_REQUEST + touchpoint.name
        yield Message(f"{touchpoint.name}-request", kind, touchpoint.request, touchpoint.title)


def _facts(facts: Mapping[str, type[Part]]) -> Iterator[Message]:
    for name, model in facts.items():
        summary = " ".join((model.__doc__ or name).split())
        yield Message(f"fact-{name}", envelope.FACT + name, model, summary)


_SNAPSHOTS = tuple(
    Message(kind.removeprefix(envelope.COMMAND), kind, model, " ".join((model.__doc__ or "").split()))
    for kind, model in (
        (kinds.SNAPSHOT_BEGIN, SnapshotBegin),
        (kinds.SNAPSHOT_PART, SnapshotPart),
        (kinds.SNAPSHOT_END, SnapshotEnd),
        (kinds.SNAPSHOT_ABORT, SnapshotAbort),
        (kinds.SNAPSHOT_STEP, SnapshotStep),
    )
)
_REPLY = Message("reply", envelope.REPLY, Reply, "The verdict on a command, or its answer")
_POSITION = Position | ConsolidatedPosition
_OF_ORDERS = (Entity.ORDER, Entity.RETURN, Entity.MANIFEST)

COMMANDS = tuple(_commands(_OF_ORDERS))
"""Messages that a gateway or a direct producer writes to orders.commands."""

MESSAGES: dict[str, tuple[Message, ...]] = {
    "orders.commands": (
        *COMMANDS,
        Message("delivery-outcome", envelope.DELIVERY_OUTCOME, Outcome, "The outcome of a request"),
        Message(
            "shipment-manifested",
            envelope.SHIPMENT_MANIFESTED,
            ShipmentManifestedTold,
            "From a manifest to each of its orders",
        ),
        Message("return-claimed", envelope.RETURN_CLAIMED, ReturnClaimed, "From a return to its order"),
        Message("return-decided", envelope.RETURN_DECIDED, ReturnDecided, "The order's answer to a claim"),
        Message(
            "call-refused", envelope.CALL_REFUSED, CallRefused, "A call that was refused before it became a command"
        ),
        Message("tick", envelope.TICK, Ticked, "From the owner of a partition to itself"),
        Message("resubmit", envelope.RESUBMIT, ResubmitAsked, "An operator has a refused request sent again"),
        Message("order-query", envelope.ORDER_QUERY, OrderAsked, "A query for an order's whole state"),
    ),
    "orders.events": tuple(_facts(FACTS)),
    "orders.state": (Message("order-state", "", Any, "The orders role's own; it may change with any version"),),
    "relay.answers": (Message("relay-answer", "", Any, "The orders role's own: a far side's answer as it came"),),
    "orders.refused": (Message("refused-calls", "", Any, "The orders role's own: the refused calls of an entity"),),
    "deliveries.requests": (
        Message("delivery-request", envelope.DELIVERY_REQUEST, DeliveryRequest, "A request that should be sent"),
        Message("lane-decision", envelope.LANE_DECISION, LaneDecision, "An operator's decision"),
        Message("redrive", envelope.DELIVERY_REDRIVE, Redrive, "A request that was given up and is sent again"),
    ),
    "deliveries.attempts": (
        Message("delivery-attempted", envelope.DELIVERY_ATTEMPTED, AttemptRecord, "One attempt, without bodies"),
    ),
    "deliveries.outbox": (Message("outbox-entry", "", Any, "The delivery role's own"),),
    "deliveries.permits": (Message("permit", "", Any, "The delivery role's own"),),
    "deliveries.dead": (
        Message("delivery-dead", envelope.DELIVERY_DEAD, DeadRecord, "A request that was given up"),
        Message(
            "delivery-refused",
            envelope.DELIVERY_REFUSED,
            DeadRecord,
            "A request that was refused, and whose order goes by that: an operator may have it sent again",
        ),
        Message(
            "delivery-concluded",
            envelope.DELIVERY_CONCLUDED,
            Concluded,
            "The later outcome of a request that was given up",
        ),
    ),
    "inventory.updates": (*_commands((Entity.STOCK,)), *_SNAPSHOTS),
    "inventory.positions": (Message("position", "", _POSITION, "The last accepted value; null: the position is gone"),),
    "inventory.changes": (
        Message("stock-changed", STOCK_CHANGED, StockChanged, "The positions that a batch of stock changed"),
    ),
    "inventory.sent": (Message("position-sent", "", _POSITION, "The value that the channel last acknowledged"),),
    "inventory.controls": (Message("stock-control", "", Control, "What operators asked for last"),),
    "inventory.status": (
        Message(
            "stock-status", "", LocationStatus | RefusedSku, "The state of a location's stock, or of a refused SKU"
        ),
    ),
    "inventory.events": tuple(_facts(STOCK_FACTS)),
    CONTROLS: (Message("destination-control", "", DestinationControl, "What operators said of the destination last"),),
    "subscriptions": (
        Message("subscription", "", Subscription | Deleted, "A subscription with sealed secrets, or its removal"),
    ),
    "subscriptions.status": (
        Message(
            "subscription-status",
            "",
            Status | Health | Backlog,
            "By id: why it is disabled. By id and shard: the shard's health. By id, shard and `backlog`: what waits",
        ),
    ),
    "subscriptions.events": tuple(_facts(SUBSCRIPTION_FACTS)),
    "operators.events": tuple(_facts(OPERATOR_FACTS)),
    "replies": (_REPLY,),
    SKIPS: (Message("skip", "", Skip, "An operator has the record at this place left out"),),
    "commands.rejected": (
        Message("rejected", "", Any, "The original bytes and headers, with the reason in `sluice-rejected-*` headers"),
    ),
    "replies.NAME": (_REPLY,),
    "channel.NAME.requests": tuple(_requests()),
    "channel.NAME.answers": (
        Message("channel-answer", "", Any, "What the channel would answer over HTTP, or nothing"),
    ),
}
"""By the topic's name in the catalogue; NAME stands for what a channel's configuration chooses."""
