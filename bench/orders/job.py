"""The work of `sluice bench orders`: orders that travel from Create to handover.

Each order has the contract's samples as bodies, and the outcomes of its deliveries, as the gateway and delivery write
them. Orders travel interleaved, `IN_FLIGHT` at a time; a tenth of them is created twice. Nothing depends on the clock
or on chance, so the outputs are known in advance: this module decides one order of each kind.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import orjson
from msgspec.structs import replace

from bench.processes import SECRET_KEY, demo
from streams.order.role import OrdersRole
from streams.runtime.role import Effect, Record
from streams.runtime.tables.partition_table import PartitionState, of_kinds
from topics.configuration.secret_keys import parse_secret_keys
from topics.configuration.settings import load_settings
from topics.contract.sample_files import sample
from topics.records.deliveries import Attempt, Outcome, OutcomeKind
from topics.records.envelope import COMMAND, DELIVERY_OUTCOME, DELIVERY_SOURCE, GATEWAY_SOURCE, Envelope, Headers
from topics.records.keys import change_key, level_of, order_key, partition_of
from topics.records.signing import Signer
from topics.records.verdicts import decode_reply

CHANNEL = "demo"
IN_FLIGHT = 5_000
"""Orders that travel at once, so that thousands of other events lie between two events of one order."""
REPEATED = 10
"""Every tenth order is created twice, as by a caller that lost the first answer."""
SEED = 7
REPLY_PARTITION = 3
RELAY_S = 30
STORED_STEPS = 3
"""Steps after which the stored state of an order is looked at: it is acknowledged, and not packed."""
_SIGNER = Signer(parse_secret_keys(SECRET_KEY))
"""Signs as the gateway does."""
_TEMPLATE = 9_999_999_999
NOW_MS = 1_760_000_000_000
_CODE = "BENCH-ORDER-CODE"
_SHIPMENT = 4_810_023
"""The samples' shipmentId; every order gets its own, with as many digits."""
_SHIPMENT_CODE = "MKT-SHP-77120"

STEPS: tuple[tuple[str, str], ...] = (
    ("create-outward-order", "command"),
    ("create-outward-order", "outcome"),
    ("acknowledgement", "command"),
    ("acknowledgement", "outcome"),
    ("update-order-properties", "command"),
    ("update-order-properties", "outcome"),
    ("pack-order", "command"),
    ("pack-order", "outcome"),
    ("get-invoice", "command"),
    ("get-invoice", "outcome"),
    ("get-shipping-label", "command"),
    ("get-shipping-label", "outcome"),
    ("handover-notification", "command"),
    ("handover-notification", "outcome"),
)
REPEAT_AT = 2
"""Step before which the second Create is inserted."""


@dataclass(frozen=True, slots=True)
class Input:
    """One record for orders.commands."""

    key: bytes
    value: bytes
    headers: Headers


@dataclass
class ExpectedOutputs:
    """Expected number of records by topic, and of verdicts by name."""

    records: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)

    def add(self, other: ExpectedOutputs, times: int) -> None:
        for mine, theirs in ((self.records, other.records), (self.verdicts, other.verdicts)):
            for name, count in theirs.items():
                mine[name] += count * times


@dataclass
class Decided:
    """Effects of the steps of an order. `parts`: level, source offset and content of what holds its state afterwards;
    `written`: the bytes of each record that its state took."""

    effects: list[Effect] = field(default_factory=list)
    parts: list[tuple[int, int, bytes]] = field(default_factory=list)
    written: list[int] = field(default_factory=list)


def code_of(number: int) -> str:
    return f"BENCH-{number:010d}"


def steps_of(number: int) -> tuple[tuple[str, str, int], ...]:
    """Return (touchpoint, command or outcome, id of the step) of each step of an order."""
    steps = [(touchpoint, kind, step) for step, (touchpoint, kind) in enumerate(STEPS)]
    if number % REPEATED == 0:
        steps.insert(REPEAT_AT, (*STEPS[0], len(STEPS)))
    return tuple(steps)


def input_of(number: int, step: tuple[str, str, int], now_ms: int) -> Input:
    """Return the record of one step of one order."""
    touchpoint, kind, place = step
    code = code_of(number)
    event = f"{number:024x}{place:08x}"
    value = _value(touchpoint, kind)
    value = value.replace(_CODE.encode(), code.encode()).replace(b"%d" % _SHIPMENT, b"%d" % (1_000_000 + number))
    value = value.replace(_SHIPMENT_CODE.encode(), b"SHP-%09d" % number)
    if kind == "outcome":
        asked = f"{number:024x}{place - 1:08x}.0"
        value = value.replace(b"BENCH-REQUEST", asked.encode())
        return outcome_input(asked, code, value, now_ms)
    return command_input(event, touchpoint, code, value, now_ms)


def command_input(event: str, touchpoint: str, code: str, value: bytes, now_ms: int) -> Input:
    """Return the record of a call about one order, as the gateway signs it."""
    envelope = Envelope(
        id=event,
        type=COMMAND + touchpoint,
        source=GATEWAY_SOURCE,
        channel=CHANNEL,
        subject=code,
        time_ms=now_ms,
        reply_partition=REPLY_PARTITION,
        deadline_ms=now_ms + RELAY_S * 1_000,
    )
    key = order_key(CHANNEL, code)
    envelope = replace(envelope, signature=_SIGNER.sign(envelope.type, key, value) or b"")
    return Input(key, value, envelope.headers())


def outcome_input(request: str, code: str, value: bytes, now_ms: int) -> Input:
    """Return the record of what became of a request of one order."""
    envelope = Envelope(
        id=f"{request}:{OutcomeKind.DELIVERED}",
        type=DELIVERY_OUTCOME,
        source=DELIVERY_SOURCE,
        channel=CHANNEL,
        subject=code,
        time_ms=now_ms,
    )
    return Input(order_key(CHANNEL, code), value, envelope.headers())


def delivered(request: str, touchpoint: str, answer: Any) -> bytes:
    """Return the value of an outcome: the far side took a request, and answered this."""
    outcome = Outcome(
        request=request,
        touchpoint=touchpoint,
        kind=OutcomeKind.DELIVERED,
        status=200,
        body=answer,
        attempt=Attempt(number=1, at_ms=NOW_MS, took_ms=12.5, status=200),
    )
    return outcome.encode()


def events_of(orders: int) -> int:
    return sum(len(steps_of(number)) for number in range(min(orders, REPEATED))) * (orders // REPEATED)


def interleaved(orders: int) -> Iterator[tuple[int, tuple[str, str, int]]]:
    """Yield (order, step) as they arrive; each order's own steps stay in sequence."""
    chosen = random.Random(SEED)
    begun = 0
    travelling: list[tuple[int, Iterator[tuple[str, str, int]]]] = []
    while travelling or begun < orders:
        while len(travelling) < IN_FLIGHT and begun < orders:
            travelling.append((begun, iter(steps_of(begun))))
            begun += 1
        place = chosen.randrange(len(travelling))
        number, steps = travelling[place]
        step = next(steps, None)
        if step is None:
            travelling[place] = travelling[-1]
            travelling.pop()
        else:
            yield number, step


def expected(orders: int) -> ExpectedOutputs:
    """Return the outputs that so many orders must cause; one of each kind is decided, without Kafka."""
    total = ExpectedOutputs()
    twice = len(range(0, orders, REPEATED))
    total.add(_decided(0), twice)
    total.add(_decided(1), orders - twice)
    return total


def _decided(number: int) -> ExpectedOutputs:
    found = ExpectedOutputs()
    for effect in _decide(number, steps_of(number)).effects:
        found.records[effect.topic] += 1
        if effect.topic == "replies":
            found.verdicts[decode_reply(effect.value).verdict.value] += 1
    return found


def state_written() -> tuple[int, int]:
    """Return how many records an order that is created once writes to orders.state, and the bytes of their values."""
    written = _decide(1, steps_of(1)).written
    return len(written), sum(written)


def _decide(number: int, steps: Iterable[tuple[str, str, int]]) -> Decided:
    """Decide these steps of an order, each as a group of its own; without Kafka."""
    settings = load_settings(secret_key=SECRET_KEY)
    role = OrdersRole(settings, demo())
    key = order_key(CHANNEL, code_of(number))
    state = PartitionState(partition_of(key, settings.partitions), role.tables, of_kinds(role.table_kinds))
    role.on_assigned(state.partition, state.tables)
    found = Decided()
    for offset, step in enumerate(steps):
        one = input_of(number, step, NOW_MS)
        state.offset = offset
        record = Record(state.partition, offset, NOW_MS + offset, one.key, one.value, one.headers)
        found.effects.extend(role.decide(record, state.tables))
        for table in state.all:
            table.merge()
        for name, content in state.all[0].dirty.items():
            level = level_of(name)[1]
            found.parts = [one for one in found.parts if one[0] < level]
            found.parts.append((level, offset, content or b""))
            found.written.append(len(content or b""))
        state.all[0].dirty.clear()
    return found


def stored_state(number: int) -> list[tuple[bytes, bytes, int]]:
    """Return the records (key, value, source offset) that hold the state of an order: acknowledged, not packed.

    They are as the role writes them; digests are the template's.
    """
    code, event = code_of(number).encode(), b"%024x" % number
    key = order_key(CHANNEL, code_of(number))
    return [
        (
            change_key(key, level) if level else key,
            content.replace(code_of(_TEMPLATE).encode(), code).replace(b"%024x" % _TEMPLATE, event),
            origin,
        )
        for level, origin, content in _stored_template()
    ]


@cache
def _stored_template() -> list[tuple[int, int, bytes]]:
    steps = [(touchpoint, kind, place) for place, (touchpoint, kind) in enumerate(STEPS[:STORED_STEPS])]
    return _decide(_TEMPLATE, steps).parts


@cache
def _value(touchpoint: str, kind: str) -> bytes:
    if kind == "command":
        return orjson.dumps(_members(touchpoint))
    return delivered("BENCH-REQUEST", touchpoint, _renamed(sample(touchpoint).answer))


def members_of(touchpoint: str, code: str) -> dict[str, Any]:
    """Return the sample of a call about one order of this code: the gateway splits a batch into commands."""
    members: dict[str, Any] = orjson.loads(orjson.dumps(_members(touchpoint)).replace(_CODE.encode(), code.encode()))
    return members


def _members(touchpoint: str) -> dict[str, Any]:
    members: dict[str, Any] = _renamed(sample(touchpoint).members)
    for batch in ("orders", "handoverItems"):
        if batch in members:
            members[batch] = members[batch][:1]
    return members


def _renamed(value: Any) -> Any:
    renamed = orjson.dumps(value).replace(b"MKT-250614-000381", _CODE.encode())
    # The samples' days are past: each order would be late, and the watchdog would add its facts.
    return orjson.loads(renamed.replace(b'"2025-06-', b'"2095-06-'))
