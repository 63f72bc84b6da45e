"""PURE: one commit of an operation on stock (effects, then changes of the table), and the fact as an effect."""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from streams.delivery.stock.ports import StockLocation
from streams.runtime.role import Change, Effect
from topics.records.envelope import DELIVERY_SOURCE, FACT, Envelope
from topics.records.facts.catalogue import name_of
from topics.records.facts.stock import StockFact
from topics.records.keys import stock_key

STATUS = "inventory.status"
EVENTS = "inventory.events"


class Step(NamedTuple):
    """One commit: the effects leave first, then the changes are written."""

    effects: tuple[Effect, ...] = ()
    changes: tuple[Change, ...] = ()


def fact_effect(location: StockLocation, model: type[StockFact], what: str, at_ms: int, **members: Any) -> Effect:
    """`what` tells this fact from others of the same name and location; it is the same when the fact is made again."""
    channel, name = location.channel, name_of(model)
    fact = model(channel=channel, location=location.location, atMs=at_ms, **members)
    envelope = Envelope(
        id=f"{channel}/{fact.location}/{what}/{name}",
        type=FACT + name,
        source=DELIVERY_SOURCE,
        channel=channel,
        subject=fact.location,
        time_ms=at_ms,
    )
    return Effect(EVENTS, stock_key(channel, fact.location), orjson.dumps(fact.model_dump()), envelope.headers())
