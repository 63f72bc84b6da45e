"""Every fact of every story in the tests is held against its model."""

from __future__ import annotations

from collections.abc import Iterable

from streams.order.effects import Effect, PublishFact
from topics.facts import check


def check_facts(effects: Iterable[Effect]) -> None:
    """Raises topics.facts.FactError for a fact that its schema would not let through, or does not know whole."""
    for effect in effects:
        if isinstance(effect, PublishFact):
            check(effect.name, effect.data)
