"""Every interleaving of a small story of two returns: each call at any moment, each message in any order.

Property: whatever the order, no more units are coming back than left, and once all has arrived both sides agree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from streams.order.machine.decide import decide
from streams.order.model import limits
from streams.order.model.effects import SendCommand
from streams.order.model.entities import Order, Return
from streams.order.model.events import Event
from streams.order.model.states import ReturnState
from streams.order.returns.questions import held_units
from streams.order.storage.encoding import decode_entity, encode_entity
from tests.support.orders import CHANNEL, CODE, START_MS, command, internal_event, packed_story
from tests.unit.order.returns.test_returns import cancellation_body, line_items_body, return_body
from topics.records.keys import order_key

ORDER_KEY = order_key(CHANNEL, CODE)
LATER_MS = START_MS + limits.QUESTION_LOST_MS
HISTORIES_MIN = 10_000
"""Fewer would mean that the story has become too short to say anything."""


def call(touchpoint: str, body: dict[str, Any], event_id: str, now_ms: int = START_MS) -> tuple[Event, int]:
    return command(touchpoint, body, event_id, now_ms, offered=False), now_ms


FIRST = (
    call("create-return-order", return_body("R-1", "11"), "create"),
    call("create-return-order", return_body("R-1", "11"), "again", LATER_MS),
    call("cancel-return-order-items", cancellation_body(("2", "1")), "cancel", LATER_MS),
    call("add-return-order-items", line_items_body(("3", "2")), "add", LATER_MS),
)
"""The question of the Create is asked twice, so that one of its messages may come after what was told later."""
SECOND = (call("create-return-order", return_body("R-2", "1"), "other", LATER_MS),)


@dataclass(frozen=True)
class Moment:
    """What is so, what was called and what is on its way."""

    entities: dict[bytes, bytes]
    first: int
    second: int
    messages: tuple[SendCommand, ...]

    def next(self) -> Iterator[Moment]:
        if self.first < len(FIRST):
            yield self.after(*FIRST[self.first], self.first + 1, self.second, self.messages)
        if self.second < len(SECOND):
            yield self.after(*SECOND[self.second], self.first, self.second + 1, self.messages)
        for number, message in enumerate(self.messages):
            others = self.messages[:number] + self.messages[number + 1 :]
            yield self.after(internal_event(message), LATER_MS, self.first, self.second, others)

    def after(self, event: Event, now_ms: int, first: int, second: int, messages: tuple[SendCommand, ...]) -> Moment:
        raw = self.entities.get(event.key)
        decided = decide(decode_entity(raw) if raw is not None else None, event, now_ms)
        entities = self.entities
        if decided.changed and decided.entity is not None:
            entities = {**entities, event.key: encode_entity(decided.entity)}
        sent = tuple(effect for effect in decided.effects if isinstance(effect, SendCommand))
        return Moment(entities, first, second, messages + sent)

    def check(self) -> None:
        order = decode_entity(self.entities[ORDER_KEY])
        assert isinstance(order, Order)
        returns = [one for one in map(decode_entity, self.entities.values()) if isinstance(one, Return)]
        coming, counted = Counter[str](), Counter[str]()
        for one in returns:
            coming.update(held_units(one))
        for claim in order.returns:
            counted.update(claim.units)
        assert coming <= counted <= Counter(order.shipment_index.shipped), (coming, counted)
        if not self.messages:
            claims = {claim.code: Counter(claim.units) for claim in order.returns}
            for one in returns:
                assert (one.question, one.state == ReturnState.ASKED) == (None, False)
                assert claims[one.code] == held_units(one), one.code


def test_every_interleaving_ends_where_both_sides_agree() -> None:
    start = Moment(dict(packed_story().entities), 0, 0, ())
    ways: dict[Any, int] = {}

    def explore(moment: Moment) -> int:
        """How many histories begin here. What is so and what is to come decides; how it came about does not."""
        here = (
            tuple(sorted(moment.entities.items())),
            moment.first,
            moment.second,
            frozenset(message.id for message in moment.messages),
        )
        if here not in ways:
            moment.check()
            ways[here] = sum(explore(following) for following in moment.next()) or 1
        return ways[here]

    assert explore(start) >= HISTORIES_MIN
    print(f"{ways[next(reversed(ways))]} histories over {len(ways)} moments")
