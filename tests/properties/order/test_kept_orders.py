"""An order that stays decoded from event to event is decided as one that is decoded for each: its indexes follow."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings

from streams.order.machine.decide import advance
from streams.order.model.effects import RecordAnswer
from streams.order.model.entities import Order
from streams.order.model.entity import Entity
from streams.order.storage.encoding import decode_entity, encode_entity
from tests.properties.order.test_machine import ALL, EXAMPLES, Told


@settings(max_examples=EXAMPLES, deadline=None)
@given(ALL)
def test_an_order_that_stays_decoded(story: list[Any]) -> None:
    told = Told(story)
    kept: Entity | None = None
    answers: dict[bytes, tuple[int | None, Any]] = {}
    for (event, now_ms), decided in zip(told.events, told.decisions, strict=True):
        found = advance(kept, event, now_ms, answers.get)
        assert (found.verdict, found.effects, found.changed) == (decided.verdict, decided.effects, decided.changed)
        if not decided.changed:
            # What `advance` was given is of no use then.
            kept = None if decided.entity is None else decode_entity(encode_entity(decided.entity))
            continue
        answers.update({one.key: (one.status, one.body) for one in found.effects if isinstance(one, RecordAnswer)})
        kept = None if found.gone else found.entity
        if isinstance(kept, Order):
            assert isinstance(decided.entity, Order)
            assert kept.miscounted() == ""
            assert encode_entity(kept) == encode_entity(decided.entity)
