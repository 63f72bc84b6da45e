"""FACTS: every fact on `orders.events`, by name; SUBSCRIPTION_FACTS: those on `subscriptions.events`; STOCK_FACTS: on
`inventory.events`.

A test walks what the orders role emits and finds each here.

A new fact: one model in topics.records.facts.orders, one entry below, then `python -m topics.documents.schemas`.
"""

from __future__ import annotations

import re
from typing import Any

import orjson
from pydantic import ValidationError

from topics.records.facts import orders as models
from topics.records.facts import stock as stock_events
from topics.records.facts.orders import Fact, Part

_MODELS: tuple[type[Fact], ...] = (
    models.OrderCreated,
    models.OrderSubmitted,
    models.OrderRejected,
    models.OrderAcknowledged,
    models.OrderUpdated,
    models.OrderHeld,
    models.OrderReleased,
    models.OrderDelivered,
    models.OrderCancelled,
    models.OrderHandedOver,
    models.OrderStuck,
    models.OrderUnstuck,
    models.OrderForgotten,
    models.OrderAdopted,
    models.ShipmentAdopted,
    models.EventParked,
    models.EventRefused,
    models.EventExpired,
    models.ShipmentPacked,
    models.PackRefused,
    models.PackUnanswered,
    models.PackDiffered,
    models.InvoiceIssued,
    models.LabelIssued,
    models.ShipmentManifested,
    models.ShipmentHandedOver,
    models.SellerCancelled,
    models.CustomerCancelled,
    models.CancellationRefused,
    models.SellerCancellationRefused,
    models.CancellationCrossed,
    models.DeliveryFailed,
    models.DeliveryRefused,
    models.ReturnCreated,
    models.ReturnAdopted,
    models.ReturnRefused,
    models.ReturnUnanswered,
    models.ReturnSubmitted,
    models.ReturnRejected,
    models.ReturnUpdated,
    models.ReturnItemsAdded,
    models.ReturnItemsRefused,
    models.ReturnItemsCancelled,
    models.ReturnCancelled,
    models.ReturnAcknowledged,
    models.ReturnCompleted,
    models.ManifestCreated,
    models.ManifestRefused,
    models.ManifestDiffered,
)


class FactError(ValueError):
    """A fact is not what its model says; the message names it and the member."""


def name_of(model: type[Part]) -> str:
    """OrderHandedOver -> order-handed-over."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", model.__name__).lower()


FACTS: dict[str, type[Fact]] = {name_of(model): model for model in _MODELS}
SUBSCRIPTION_FACTS: dict[str, type[models.SubscriptionFact]] = {
    name_of(model): model for model in (models.SubscriptionDisabled,)
}
STOCK_FACTS: dict[str, type[stock_events.StockFact]] = {
    name_of(model): model
    for model in (
        stock_events.StockRefused,
        stock_events.StockAcceptedAgain,
        stock_events.StockDriftFound,
        stock_events.StockDriftPersists,
        stock_events.SnapshotApplied,
        stock_events.SnapshotAbandoned,
        stock_events.ResyncDone,
        stock_events.ReconcileDone,
    )
}
EVERY_FACT: dict[str, type[Part]] = {**FACTS, **SUBSCRIPTION_FACTS, **STOCK_FACTS}


def check(name: str, data: Any) -> None:
    """Raises FactError unless the fact is exactly what its model says: no member less, none more."""
    model = EVERY_FACT.get(name)
    if model is None:
        raise FactError(f"{name}: not in topics.records.facts.catalogue")
    written = orjson.loads(orjson.dumps(data))
    try:
        read = model.model_validate(written, strict=True).model_dump(mode="json", exclude_unset=True)
    except ValidationError as error:
        raise FactError(f"{name}: {error}") from error
    if read != written:
        raise FactError(f"{name}: has members that its model does not have: {written} is read as {read}")
