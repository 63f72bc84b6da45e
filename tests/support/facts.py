"""Every fact of every story in the tests is held against its model."""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from streams.order.model.effects import Effect, PublishFact
from streams.runtime.role import Effect as RecordEffect
from topics.records.envelope import FACT
from topics.records.facts.catalogue import check


def check_facts(effects: Iterable[Effect]) -> None:
    """Raises FactError for a fact that its schema would not let through, or does not know whole."""
    for effect in effects:
        if isinstance(effect, PublishFact):
            check(effect.name, effect.data)


def check_fact_records(effects: Iterable[RecordEffect]) -> None:
    """The same for records on their way to orders.events."""
    for effect in effects:
        if effect.topic == "orders.events":
            check(dict(effect.headers)["ce_type"].decode().removeprefix(FACT), orjson.loads(effect.value))
