"""A table of positions is the table that the runtime keeps: values, origins, undo, deletions, and what its log says.

Beside it runs a PartitionTable to which everything is put by key. What both write is replayed into tables of both
kinds, up to any record: a crash between two batches leaves such a prefix.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from streams.positions.position_table import PositionTable
from streams.runtime.durability.rebuild import Rebuild
from streams.runtime.tables.partition_table import PartitionState, PartitionTable
from tests.fakes.runtime import raw_record
from topics.records.keys import join, position_key
from topics.records.reading import OWNER_KEY
from topics.stock.position_map import PLAIN_BYTES, encode_plain, parts_of
from topics.stock.positions import encode_position

LOCATIONS = ("L1", "L|2")
SKUS = ("A", "B", "C%", "D|")
KEYS = st.one_of(
    st.builds(position_key, st.just("demo"), st.sampled_from(LOCATIONS), st.sampled_from(SKUS)),
    st.sampled_from([b"~origin|1", b"~snapshot|demo|L1", b"odd", OWNER_KEY]),
)
VALUES = st.one_of(
    st.none(),
    st.binary(max_size=4),
    st.builds(
        lambda sku, quantity, expiry: encode_position(
            {"channelSkuCode": sku, "quantity": quantity, "minExpiry": expiry}
        ),
        st.sampled_from(SKUS),
        st.integers(0, 3),
        st.sampled_from([None, "2027"]),
    ),
)
QUANTITIES = st.dictionaries(st.sampled_from(SKUS), st.integers(0, 3), max_size=3)


class Log:
    """A changelog partition, as Batches fills it."""

    def __init__(self) -> None:
        self.records: list[Any] = []

    def append(self, key: bytes, value: bytes | None, headers: list[tuple[str, bytes]]) -> None:
        self.records.append(raw_record(len(self.records), value, key, headers))

    def extend(self, keys: Sequence[bytes], values: Sequence[bytes], headers: Sequence[list[tuple[str, bytes]]]) -> int:
        size = 0
        for key, value, each in zip(keys, values, headers, strict=True):
            self.append(key, value, each)
            size += len(value)
        return size


class Both(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.states = [PartitionState(0, ["positions"], kind) for kind in (PositionTable, PartitionTable)]
        self.logs = [Log(), Log()]
        self.offset = 0
        self.made: dict[tuple[bytes, int], set[bytes]] = defaultdict(set)
        """What each key was at each offset."""
        for state in self.states:
            state.epoch, state.claim = 1, b"claim"

    @property
    def table(self) -> PositionTable:
        table = self.states[0].all[0]
        assert isinstance(table, PositionTable)
        return table

    @property
    def plain(self) -> PartitionTable:
        return self.states[1].all[0]

    @rule(
        quantities=st.dictionaries(st.sampled_from(LOCATIONS), QUANTITIES, max_size=2),
        changes=st.lists(st.tuples(KEYS, VALUES), max_size=4),
        again=st.integers(0, 3),
        undone=st.booleans(),
    )
    def decide(
        self,
        quantities: dict[str, dict[str, int]],
        changes: list[tuple[bytes, bytes | None]],
        again: int,
        undone: bool,
    ) -> None:
        """`again`: a redelivery of a record that is so much older than the newest."""
        offset = max(0, self.offset - again) if again else self.offset + 1
        self.offset = max(self.offset, offset)
        for state in self.states:
            state.offset = offset
            state.horizon = self.offset
        for location, changed in quantities.items():
            expected = {}
            for sku, quantity in changed.items():
                key = position_key("demo", location, sku)
                if not self.plain.is_made_from(key):
                    self.plain.put(key, encode_plain(sku, quantity))
                    expected[sku] = quantity
            assert self.table.put_quantities(join("demo", location).decode(), changed) == expected
        for key, value in changes:
            for table in (self.table, self.plain):
                if value is None:
                    table.delete(key)
                else:
                    table.put(key, value)
        self.same()
        for state in self.states:
            if undone:
                state.undo()
            else:
                state.all[0].merge()
        for key, value in self.plain.items():
            self.made[key, self.plain.origin(key)].add(value)

    @rule(keys=st.lists(KEYS, max_size=3))
    def cover(self, keys: list[bytes]) -> None:
        """A former owner wrote too late."""
        for table in (self.table, self.plain):
            table.overwritten.update(keys)

    @rule()
    def leave(self) -> None:
        sizes = []
        for state, log in zip(self.states, self.logs, strict=True):
            [table] = state.all
            if table.overwritten:
                table.rewrite_overwritten()
            before = len(log.records)
            records, size = table.write_changes(log)
            new = log.records[before:]
            sizes.append(size)
            assert records == len(new)
            assert size == sum(len(record.value or b"") for record in new)
            assert not table.is_dirty()

    @rule(back=st.integers(0, 3))
    def commit(self, back: int) -> None:
        for state in self.states:
            state.all[0].forget_deleted(self.offset - back)

    @rule(cut=st.integers(0, 40))
    def crash(self, cut: int) -> None:
        """What was durable is the beginning of the log; both kinds make the same of it."""
        for log in self.logs:
            tables = []
            for kind in (PositionTable, PartitionTable):
                state = PartitionState(0, ["positions"], kind)
                Rebuild(state.all[0], "t.positions.v1").apply(log.records[: max(0, len(log.records) - cut)])
                tables.append(state.all[0])
            alike(*tables)
            known = dict(tables[0].items())
            plain = sum(not key.startswith(b"~") and is_plain(key, value) for key, value in known.items())
            assert tables[0].bytes == PLAIN_BYTES * plain + sum(
                len(value) for key, value in known.items() if key.startswith(b"~") or not is_plain(key, value)
            )
            for key, value in known.items():
                assert value in self.made[key, tables[0].origin(key)], "a redelivery would be skipped, and lost"

    @rule()
    def restart(self) -> None:
        """All that left is durable, and nothing else; the logs of both say the same."""
        self.leave()
        rebuilt = []
        for kind, log, state in zip((PositionTable, PartitionTable), self.logs, self.states, strict=True):
            new = PartitionState(0, ["positions"], kind)
            new.epoch, new.claim = 1, b"claim"
            Rebuild(new.all[0], "t.positions.v1").apply(log.records)
            assert dict(new.all[0].items()) == {key: value for key, value in state.all[0].items() if key != OWNER_KEY}
            rebuilt.append(new)
        self.states = rebuilt

    @invariant()
    def same(self) -> None:
        if hasattr(self, "states"):
            alike(self.table, self.plain)


def is_plain(key: bytes, value: bytes) -> bool:
    """Whether a table of positions keeps it as one number."""
    parts = parts_of(key)
    return parts is not None and any(value == encode_plain(parts[1], quantity) for quantity in range(4))


def alike(table: PartitionTable, plain: PartitionTable) -> None:
    assert dict(table.items()) == dict(plain.items())
    assert list(table.walk()) == list(plain.walk())
    assert list(table.walk(b"demo|L1|")) == list(plain.walk(b"demo|L1|"))
    assert (len(table), table.count) == (len(plain), plain.count)
    assert table.newest_origin() == plain.newest_origin()
    for key in {*plain.values, *plain.deleted, *plain.overlay, b"absent", b"demo|L1|absent"}:
        assert table.get(key) == plain.get(key)
        assert table.stored(key) == plain.stored(key)
        assert table.origin(key) == plain.origin(key)


TestPositionTable = Both.TestCase
TestPositionTable.settings = settings(max_examples=100, stateful_step_count=20, deadline=None)
