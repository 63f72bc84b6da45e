"""Sluice's part of the model: its real machine, over encoded states, with every decision checked and remembered.

A state is kept in a normal form: what the machine never reads again (the list of facts) is left out, and what it reads
as a set (event ids it has seen, requests it has made) is sorted. Histories that differ only in these then meet in one
state. That this loses nothing is tested by walking small scenarios without it (test_exhaustive).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson

from streams.order.machine.decide import advance
from streams.order.machine.transitions import MAKERS, TABLES
from streams.order.model import limits
from streams.order.model.effects import NoteRefusal, PublishFact, RecordAnswer, ReplyTo, RequestDelivery
from streams.order.model.entities import Order
from streams.order.model.events import Event
from streams.order.storage.encoding import decode_entity, encode_entity
from topics.records.verdicts import Verdict

Answers = tuple[tuple[bytes, int | None, bytes], ...]
"""Key, status and body (as JSON) of each recorded answer."""


@dataclass(frozen=True, slots=True)
class Decided:
    """`replies`: (event id, verdict, message); `facts`: (name, what it is about)."""

    raw: bytes | None
    changed: bool
    replies: tuple[tuple[str, Verdict, str], ...]
    requests: tuple[RequestDelivery, ...]
    recorded: Answers
    facts: frozenset[tuple[str, str]]
    problems: tuple[str, ...]


@dataclass
class Decider:
    """`count` decisions were made, `remembered` were known already."""

    normal: bool = True
    count: int = 0
    remembered: int = 0
    _known: dict[Any, Decided] = field(default_factory=dict)

    def decide(self, raw: bytes | None, answers: Answers, event: Event, now_ms: int) -> Decided:
        outcome = event.outcome
        about = (outcome.status, str(outcome.body)) if outcome is not None else None
        key = (raw, event.kind, event.id, now_ms, answers, about)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._decide(raw, answers, event, now_ms)
            self.count += 1
        else:
            self.remembered += 1
        return known

    def _decide(self, raw: bytes | None, answers: Answers, event: Event, now_ms: int) -> Decided:
        entity = decode_entity(raw) if raw is not None else None
        before = entity.state if entity is not None else None
        numbered = entity.fact_sequence if entity is not None else 0
        lookup = {key: (status, orjson.loads(body)) for key, status, body in answers}.get
        decided = advance(entity, event, now_ms, lookup)
        replies, requests, recorded, facts, sequences = [], [], [], set(), []
        for effect in decided.effects:
            if isinstance(effect, ReplyTo):
                replies.append((effect.reply.event, effect.reply.verdict, effect.reply.message))
            elif isinstance(effect, RequestDelivery):
                requests.append(effect)
            elif isinstance(effect, RecordAnswer):
                recorded.append((effect.key, effect.status, orjson.dumps(effect.body)))
            elif isinstance(effect, PublishFact):
                sequences.append(effect.data["sequence"])
                facts.add((effect.name, str(effect.data.get("shipmentId") or effect.data.get("touchpoint") or "")))
            elif not isinstance(effect, NoteRefusal):  # of those, nothing follows
                raise TypeError(f"the model does not know {effect}")
        problems = [
            f"{verdict} without a reason" for _, verdict, message in replies if not (verdict.succeeded or message)
        ]
        counted = decided.entity.fact_sequence if decided.entity is not None and decided.changed else numbered
        if sequences != list(range(numbered + 1, counted + 1)):
            problems.append(f"facts are numbered {sequences}, from {numbered} to {counted}")
        after = raw
        if decided.gone:
            after = None
        elif decided.changed and isinstance(decided.entity, Order):
            problems += _wrong_state(decided.entity, before, event)
            if self.normal:
                _normalise(decided.entity)
            after = encode_entity(decided.entity)
        return Decided(
            after,
            after != raw,
            tuple(replies),
            tuple(requests),
            tuple(recorded),
            frozenset(facts),
            tuple(problems),
        )


def _wrong_state(order: Order, before: str | None, event: Event) -> list[str]:
    problems = []
    for line in order.lines:
        if line.ordered != line.open + line.packed + line.cancelled:
            problems.append(f"line {line} does not add up")
        if min(line.open, line.packed, line.packing, line.customer, line.seller, line.free) < 0:
            problems.append(f"line {line} has less than nothing")
    packing = sum(units for s in order.shipments if s.state == "PACKING" for _, _, units in s.items)
    packed = sum(units for s in order.shipments if s.state != "PACKING" for _, _, units in s.items)
    if (packing, packed) != (sum(x.packing for x in order.lines), sum(x.packed for x in order.lines)):
        problems.append("shipments and lines do not add up")
    if before is None:
        allowed = event.kind in MAKERS and order.state in MAKERS[event.kind][2]
    else:
        cell = TABLES[Order.KIND].get((before, event.kind))
        allowed = order.state == before or (cell is not None and order.state in cell.to)
    if not allowed:
        problems.append(f"{before} -> {order.state} by {event.kind} is not in the table")
    if len(order.seen) >= limits.SEEN_MAX or len(order.deliveries) >= limits.DELIVERIES_MAX:
        problems.append("the scenario is too long for its bounds")
    return problems


def _normalise(order: Order) -> None:
    order.facts.clear()
    order.seen.sort()
    order.deliveries.sort(key=lambda delivery: delivery.id)
