"""Small entities over a changelog, whatever their methods do: also what few events do, or none yet.

Lists overflow, calls are forgotten, requests and shipments change and go, lines get other codes, numbers come for which
the usual form has no room. After a crash between any two records each entity is as it was decided.
"""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.order.model import limits
from streams.order.model.entities import Order
from streams.order.model.parts import Claim, Line, NotedFact, Relay, Shipment, new_delivery
from streams.order.model.states import OrderState, ShipmentState
from streams.order.records.stored_entity import StoredEntities
from streams.order.storage import changes, small
from streams.order.storage.encoding import encode_entity
from streams.runtime.durability.rebuild import Rebuild
from streams.runtime.role import Record
from streams.runtime.tables.parted_table import PartedTable
from streams.runtime.tables.partition_table import PartitionState
from tests.properties.runtime.test_parted_table import Log
from topics.records.json_text import WrittenFloat
from topics.records.keys import order_key
from topics.records.reading import MADE_BY, OWNER_KEY

CHANNEL, CODES = "demo", ("A", "B")
KEYS = {order_key(CHANNEL, code): code for code in CODES}
EVENTS = 120
NUMBERS = (1, 2.5, WrittenFloat("1.00"), 2**70)
History = dict[tuple[bytes, int], bytes | None]


class Owner:
    """Decides events at random, and writes the states."""

    def __init__(self, log: Log) -> None:
        self.log, self.state = log, PartitionState(0, ["orders.state"], PartedTable)
        self.table = self.state.all[0]
        rebuild = Rebuild(self.table, self.table.name)
        rebuild.apply(log.records)
        self.state.epoch = rebuild.epoch + 1
        log.append(OWNER_KEY, b"", [(MADE_BY, b"%d/-1" % self.state.epoch)])
        rebuild.apply(log.records[-1:])
        self.table.recovered()
        self.state.horizon = self.table.newest_origin()
        self.entities = StoredEntities()

    def decide(self, key: bytes, offset: int, chance: Random, history: History) -> None:
        self.state.offset = offset
        if self.table.is_made_from(key):
            return
        if chance.random() < 0.1:  # the decision fails: nothing of it stays
            self._event(key, offset, chance)
            self.state.undo()
        history[key, offset] = self._event(key, offset, chance)
        self.table.merge()
        assert self.read(key) == history[key, offset]

    def _event(self, key: bytes, offset: int, chance: Random) -> bytes | None:
        record = Record(0, offset, offset, key, b"", ())
        order: Any = self.entities.read(record, self.table, key)
        fate = chance.random()
        if order is not None and fate < 0.05:
            self.table.delete(key)
            return None
        if order is None or fate < 0.08:
            order = Order(channel=CHANNEL, code=KEYS[key], state=OrderState.EXPECTED, created_ms=offset, updated_ms=0)
        for _ in range(chance.randint(0, 4)):
            chance.choice(MUTATIONS)(order, chance, offset)
        order.updated_ms = offset
        self.entities.write(record, self.table, key, order)
        return encode_entity(order)

    def read(self, key: bytes) -> bytes | None:
        value = self.table.get(key)
        return None if value is None else encode_entity(changes.read(value))

    def group(self) -> list[Any]:
        self.table.rewrite_overwritten()
        group: Any = Log()
        self.table.write_changes(group)
        records: list[Any] = group.records
        return records

    def write(self, records: list[Any]) -> None:
        for record in records:
            self.log.append(record.key, record.value, record.headers)


def _fact(order: Order, chance: Random, offset: int) -> None:
    order.fact_sequence += 1
    order.facts.append(NotedFact(order.fact_sequence, "fact", offset, {}))
    del order.facts[: -limits.FACTS_MAX]


def _seen(order: Order, chance: Random, offset: int) -> None:
    order.note_seen([f"{chance.getrandbits(20):x}", "APPLIED", "", chance.choice(["", "call", "other"])])


def _forget(order: Order, chance: Random, offset: int) -> None:
    order.forget_calls(chance.choice(["", "call"]))


def _request(order: Order, chance: Random, offset: int) -> None:
    if order.has_room():
        id_ = f"{chance.randint(offset - 3, offset)}.0"  # now and then one that is listed
        order.keep_delivery(new_delivery(id_, "pack-order", offset))


def _outcome(order: Order, chance: Random, offset: int) -> None:
    one = order.delivery(chance.choice(order.deliveries).id) if order.deliveries else None
    if one is not None:
        one.status = chance.choice(["delivered", "refused", "queued"])
        one.attempts.append([1, offset, 12.5, 200, ""])
        order.touch_delivery(one)


def _relay(order: Order, chance: Random, offset: int) -> None:
    order.relays = [Relay("r", "pack-order", "k", [], data={"number": chance.choice(NUMBERS)})]


def _line(order: Order, chance: Random, offset: int) -> None:
    if not order.lines or chance.random() < 0.5:
        order.add_line(Line(f"L-{offset}-{len(order.lines)}", "SKU", 5))
    elif chance.random() < 0.5:
        order.change_line(chance.choice(order.lines), ordered=1)
    else:
        order.rename_line(chance.choice(order.lines), f"N-{offset}-{chance.getrandbits(30)}")


def _shipment(order: Order, chance: Random, offset: int) -> None:
    known = chance.choice([None, *order.shipments])
    if known is None:
        items = [(line.code, line.sku, 1) for line in order.lines[:1]]
        order.add_shipment(Shipment(chance.getrandbits(60), "L", items, ""))
    elif chance.random() < 0.4:
        order.remove_shipment(known)
    else:
        order.change_shipment(known, state=ShipmentState.PACKED, awb=f"{offset}")


def _property(order: Order, chance: Random, offset: int) -> None:
    order.properties = {**order.properties, "name": chance.choice(["x", "x" * 50])}
    order.said["name"] = offset


def _claim(order: Order, chance: Random, offset: int) -> None:
    claim = Claim("R", offset, {"SKU": 1})
    if order.returns and chance.random() < 0.5:
        order.returns[-1] = claim
    else:
        order.returns.append(claim)


def _few_words(order: Order, chance: Random, offset: int) -> None:
    order.due_ms, order.stuck = chance.choice([0, 5, 1760086400002]), chance.choice([{}, {"pack": 5}])
    order.reason, order.held = chance.choice([None, "why"]), chance.random() < 0.5
    order.sequences["increff"] = offset
    order.waits["pack"] = order.milestones["packed"] = offset


MUTATIONS = [
    *[_fact, _seen, _request, _outcome] * 3,
    *[_forget, _relay, _line, _shipment, _property, _claim, _few_words],
]


@pytest.mark.parametrize("listed", [3, 1_000])
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_what_is_recovered_is_what_was_decided(listed: int, seed: int) -> None:
    chance = Random(seed)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("FACTS_MAX", "SEEN_MAX", "DELIVERIES_MAX"):
            patch.setattr(limits, name, listed)
        # With greater changes a base stays for longer.
        patch.setattr(small, "CHANGE_SHARE", chance.choice([small.CHANGE_SHARE, 10.0]))
        _play([chance.choice([*KEYS]) for _ in range(EVENTS)], chance)


def _play(source: list[bytes], chance: Random) -> None:
    log, history = Log(), History()
    owner, at, committed, clean = Owner(log), 0, 0, 0
    durable: dict[bytes, int] = {}
    while committed < len(source):
        until = min(len(source), at + chance.randint(1, 7))
        for offset in range(at, until):
            owner.decide(source[offset], offset, chance, history)
        at, group = until, owner.group()
        if chance.random() < 0.3:
            cut = chance.randint(0, len(group))
            owner.write(group[:cut])
            former, owner = owner, Owner(log)
            for key in KEYS:
                if (found := owner.read(key)) is not None:
                    assert found == history[key, owner.table.origin(key)]
                if found is not None or history.get((key, durable.get(key, -1))) is not None:
                    assert owner.table.origin(key) >= durable.get(key, -1)
            if chance.random() < 0.5:
                for offset in range(until, min(len(source), until + 3)):
                    former.decide(source[offset], offset, chance, {})
                late = group[cut:] + former.group()
                former.write(late)
                owner.table.overwritten.update(record.key for record in late)
            at = committed
        else:
            owner.write(group)
            durable = {key: offset for offset, key in enumerate(source[:until])}
            committed, clean = until, log.end
            owner.table.forget_deleted(committed)
        if chance.random() < 0.25:
            log.compact(clean, chance, committed=committed)
