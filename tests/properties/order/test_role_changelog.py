"""The orders role over changelogs: crashes between any two records, compaction, former owners, a standby.

Whatever comes between, each order has after an event the state that an undisturbed pass gives it.
"""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.order import role
from streams.order.model import limits
from streams.order.records import stored_entity
from streams.order.role import OrdersRole
from streams.order.storage import changes
from streams.order.storage.encoding import encode_entity
from streams.runtime.durability.rebuild import Rebuild, recovered_offsets
from streams.runtime.role import Poison, Record
from streams.runtime.tables.partition_table import PartitionState, of_kinds
from tests.properties.order.test_role import COMMANDS, IMPATIENT, PAUSE_MS
from tests.properties.runtime.test_parted_table import Log
from tests.support.orders_log import PARTITIONS, Logs
from topics.records.deliveries import OutcomeKind
from topics.records.reading import MADE_BY, OWNER_KEY

EXAMPLES = 20
FORGOTTEN_MS = 400 * 86_400_000
KINDS = [*[OutcomeKind.DELIVERED] * 6, *OutcomeKind]
Changelogs = dict[str, Log]


class Standby:
    """Tables of a partition, as far as their changelogs are read."""

    def __init__(self, partition: int) -> None:
        self.state = PartitionState(partition, OrdersRole.tables, of_kinds(OrdersRole.table_kinds))
        self.rebuilds = [Rebuild(table, table.name) for table in self.state.all]
        self._read = dict.fromkeys(OrdersRole.tables, 0)

    def read(self, logs: Changelogs, chance: Random | None = None) -> None:
        """Reads on; up to anywhere, if by chance."""
        for rebuild in self.rebuilds:
            name = rebuild.table.name
            records = [record for record in logs[name].records if record.offset >= self._read[name]]
            if chance is not None:
                records = records[: chance.randint(0, len(records))]
            if records:
                rebuild.apply(records)
                self._read[name] = records[-1].offset + 1


class Owner:
    """A worker that owns a partition."""

    def __init__(self, source: Logs, logs: Changelogs, standby: Standby) -> None:
        self.source, self.logs, self.state = source, logs, standby.state
        standby.read(logs)
        self.state.epoch = max(rebuild.epoch for rebuild in standby.rebuilds) + 1
        for rebuild in standby.rebuilds:
            logs[rebuild.table.name].append(OWNER_KEY, b"", [(MADE_BY, b"%d/-1" % self.state.epoch)])
        standby.read(logs)
        self.state.horizon, self.state.last_decided = recovered_offsets(standby.rebuilds)
        for table in self.state.all:
            table.recovered()
        self.role = OrdersRole(source.settings, source.channels, subscriptions=source.subscriptions)
        self.role.on_assigned(self.state.partition, self.state.tables)

    def decide(self, offset: int) -> None:
        state = self.state
        key, value, headers, at_ms = self.source.records[state.partition][offset]
        state.offset = offset
        if offset <= state.horizon and state.all[0].is_made_from(key):
            return
        try:
            list(self.role.decide(Record(state.partition, offset, at_ms, key, value, headers), state.tables))
        except Poison:
            state.undo()
        for table in state.all:
            table.merge()
        state.last_decided = offset

    def group(self) -> list[tuple[str, Any]]:
        """What is to be written, in the order in which it becomes durable: the first table last."""
        found: list[tuple[str, Any]] = []
        for table in (*self.state.all[1:], self.state.all[0]):
            table.rewrite_overwritten()
            group: Any = Log()
            table.write_changes(group)
            found += [(table.name, record) for record in group.records]
        return found

    def write(self, group: list[tuple[str, Any]]) -> None:
        for name, record in group:
            self.logs[name].append(record.key, record.value, record.headers)

    def states(self) -> dict[bytes, tuple[int, bytes]]:
        table = self.state.all[0]
        return {key: (table.origin(key), encode_entity(changes.read(value))) for key, value in table.items()}


def told(chance: Random) -> Logs:
    """A story of a few orders, some of which are forgotten and made anew."""
    source, answered = Logs(channels=IMPATIENT), set[str]()
    code = chance.choice("AB")
    commands = [(touchpoint, body) for touchpoint, body in COMMANDS if f"'{code}'" in str(body)]
    for number in range(chance.randint(5, 40)):
        touchpoint, body = chance.choice(commands)
        again = chance.random() < 0.05
        source.call(touchpoint, body, f"e{chance.randint(0, number) if again else number}")
        source.run()
        for request in source.requests():
            if request.id not in answered:
                answered.add(request.id)
                source.answer(request, chance.choice(KINDS), body={"shipmentCode": "S-1", "awbNumber": "X"})
        source.run()
        source.tick(source.now_ms + (PAUSE_MS if chance.random() < 0.9 else FORGOTTEN_MS))
    return source


def disturbed(source: Logs, partition: int, chance: Random, plain: dict[tuple[bytes, int], bytes]) -> Owner:
    """Decides all records. Asserts that after each crash there is nothing that `plain` does not have."""
    logs = {name: Log() for name in OrdersRole.tables}
    owner, standby, written = Owner(source, logs, Standby(partition)), Standby(partition), dict.fromkeys(logs, 0)
    end, at, committed = len(source.records[partition]), 0, 0
    while committed < end:
        for at in range(at, until := min(end, at + chance.randint(1, 6))):  # noqa: B020 - goes on from there
            owner.decide(at)
        at, group = until, owner.group()
        if chance.random() < 0.5:
            standby.read(logs, chance)
        if chance.random() < 0.35:
            others = sum(name != OrdersRole.tables[0] for name, _ in group)
            cut = chance.choice([0, others, chance.randint(others, len(group))])
            owner.write(group[:cut])
            former, owner = owner, Owner(source, logs, standby)
            standby = Standby(partition)
            assert {key: state for key, (origin, state) in owner.states().items()} == {
                key: plain[key, origin] for key, (origin, _) in owner.states().items()
            }
            if chance.random() < 0.4:
                for offset in range(until, min(end, until + 3)):
                    former.decide(offset)
                late = group[cut:] + former.group()
                former.write(late)
                for name, record in late:
                    owner.state.by_name(name).overwritten.add(record.key)
            at = committed
        else:
            owner.write(group)
            committed, written = until, {name: log.end for name, log in logs.items()}
            for table in owner.state.all:
                table.forget_deleted(committed)
        if chance.random() < 0.2:
            standby.read(logs)  # Kafka keeps deletions for longer than a standby is behind
            for name, log in logs.items():
                log.compact(written[name], chance, committed=committed)
    return owner


@pytest.mark.parametrize(("large", "listed"), [(600, None), (changes.LARGE_BYTES, None), (changes.LARGE_BYTES, 4)])
@settings(max_examples=EXAMPLES, deadline=None)
@given(st.integers(0, 2**32))
def test_each_order_is_as_without_a_disturbance(large: int, listed: int | None, seed: int) -> None:
    """`listed`: of facts, events seen and requests at most so many are listed, so that others give way."""
    chance = Random(seed)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("FACTS_MAX", "SEEN_MAX", "DELIVERIES_MAX") if listed is not None else ():
            patch.setattr(limits, name, listed)
        for module in (changes, stored_entity):
            patch.setattr(module, "LARGE_BYTES", large)
        # Answers become durable before states: a call that is decided again may find the answer that it then asked for.
        patch.setattr(role, "stored_answer", lambda _table, _key: None)
        source = told(chance)
        for partition in range(PARTITIONS):
            owner = Owner(source, {name: Log() for name in OrdersRole.tables}, Standby(partition))
            plain: dict[tuple[bytes, int], bytes] = {}
            for offset in range(len(source.records[partition])):
                owner.decide(offset)
                plain |= {(key, origin): state for key, (origin, state) in owner.states().items()}
            assert disturbed(source, partition, chance, plain).states() == owner.states()
