"""PURE: one commit of an operation on stock (effects, then changes of the table), and the fact as an effect."""

from __future__ import annotations

from typing import NamedTuple

import orjson

from streams.runtime.role import Change, Effect
from topics.records.envelope import DELIVERY_SOURCE, FACT, Envelope
from topics.records.facts.catalogue import name_of
from topics.records.facts.stock import StockFact
from topics.records.keys import stock_key

SENT = "inventory.sent"
STATUS = "inventory.status"
EVENTS = "inventory.events"


class Step(NamedTuple):
    """One commit: the effects leave first, then the changes are written."""

    effects: tuple[Effect, ...] = ()
    changes: tuple[Change, ...] = ()


def fact_effect(fact: StockFact, what: str) -> Effect:
    """`what` tells this fact from others of the same name and location; it is the same when the fact is made again."""
    name = name_of(type(fact))
    envelope = Envelope(
        id=f"{fact.channel}/{fact.location}/{what}/{name}",
        type=FACT + name,
        source=DELIVERY_SOURCE,
        channel=fact.channel,
        subject=fact.location,
        time_ms=fact.atMs,
    )
    return Effect(EVENTS, stock_key(fact.channel, fact.location), orjson.dumps(fact.model_dump()), envelope.headers())
