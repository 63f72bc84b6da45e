"""A table that spills is the table it would be in memory: values, origins, what it remembers as deleted, walks."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from streams.runtime.tables import cold_table, spilling
from streams.runtime.tables.local_store import LocalStore
from streams.runtime.tables.partition_table import PartitionState
from streams.runtime.tables.spilling import ENTRY_BYTES, Spilling

KEYS = st.sampled_from([b"%s%d" % (letter, n) for letter in (b"a", b"a|", b"b") for n in range(12)] + [b"a", b"b"])
VALUES = st.binary(max_size=300)


class Both(RuleBasedStateMachine):
    """Two partitions share a memory for a handful of keys; beside each, the same partition without a bound."""

    @initialize(entries=st.integers(0, 12), at_once=st.integers(1, 5), page=st.integers(1, 4))
    def begin(self, entries: int, at_once: int, page: int) -> None:
        self.kept = (spilling.SPILLED_AT_ONCE, cold_table.PAGE_KEYS)
        self.directory = tempfile.TemporaryDirectory()
        self.path = Path(self.directory.name) / "worker.tables"
        self.spilling = Spilling(LocalStore(self.path), entries * ENTRY_BYTES)
        spilling.SPILLED_AT_ONCE, cold_table.PAGE_KEYS = at_once, page
        self.spilled = [PartitionState(n, ["outbox"], self.spilling.table) for n in range(2)]
        self.plain = [PartitionState(n, ["outbox"]) for n in range(2)]
        self.offset = 0

    @rule(
        which=st.integers(0, 1),
        changes=st.lists(st.tuples(KEYS, st.none() | VALUES), min_size=1, max_size=8),
        undone=st.booleans(),
    )
    def decide(self, which: int, changes: list[tuple[bytes, bytes | None]], undone: bool) -> None:
        self.offset += 1
        for state in (self.spilled[which], self.plain[which]):
            state.offset = self.offset
            [table] = state.all
            for key, value in changes:
                if value is None:
                    table.delete(key)
                else:
                    table.put(key, value)
            assert len(table) == sum(1 for _ in table.items())
            if undone:
                state.undo()
            else:
                table.merge()
                table.dirty.clear()
        assert list(self.spilled[which].all[0].walk()) == list(self.plain[which].all[0].walk())

    @rule(which=st.integers(0, 1), back=st.integers(0, 3))
    def commit(self, which: int, back: int) -> None:
        for state in (self.spilled[which], self.plain[which]):
            state.all[0].forget_deleted(self.offset - back)

    @rule(which=st.integers(0, 1), prefix=st.sampled_from([b"", b"a", b"a|", b"a|1", b"c"]))
    def walk(self, which: int, prefix: bytes) -> None:
        assert list(self.spilled[which].all[0].walk(prefix)) == list(self.plain[which].all[0].walk(prefix))

    @rule(which=st.integers(0, 1), changes=st.lists(st.tuples(KEYS, st.none() | VALUES), max_size=12))
    def change_during_a_walk(self, which: int, changes: list[tuple[bytes, bytes | None]]) -> None:
        """What is not touched meanwhile comes, once."""
        self.offset += 1
        [table], [plain] = self.spilled[which].all, self.plain[which].all
        before = dict(plain.walk())
        todo, seen = iter(changes), []
        for key, value in table.walk():
            seen.append(key)
            assert table.get(key) == value
            change = next(todo, None)
            if change is not None:
                table.set(*change, self.offset)
                plain.set(*change, self.offset)
        for rest in todo:
            table.set(*rest, self.offset)
            plain.set(*rest, self.offset)
        touched = {key for key, _ in changes}
        assert seen == sorted(set(seen))
        assert [key for key in seen if key not in touched] == sorted(before.keys() - touched)

    @rule(which=st.integers(0, 1))
    def leave(self, which: int) -> None:
        self.spilled[which].close()
        self.spilled[which] = PartitionState(which, ["outbox"], self.spilling.table)
        self.plain[which] = PartitionState(which, ["outbox"])

    @invariant()
    def same(self) -> None:
        for spilled, plain in zip(self.spilled, self.plain, strict=True):
            [table], [known] = spilled.all, plain.all
            assert dict(table.items()) == dict(known.items())
            assert (len(table), table.count, table.bytes) == (len(known), known.count, known.bytes)
            assert table.newest_origin() == known.newest_origin()
            for key in {*known.values, *known.deleted, b"absent"}:
                assert table.get(key) == known.get(key)
                assert table.origin(key) == known.origin(key)
                for offset in (self.offset - 1, self.offset):
                    spilled.offset = plain.offset = offset
                    spilled.horizon = plain.horizon = self.offset
                    assert table.is_made_from(key) == known.is_made_from(key)

    @invariant()
    def bounded(self) -> None:
        assert self.spilling.used <= self.spilling._bytes_max
        held = [
            len(key) + len(value) + ENTRY_BYTES
            for state in self.spilled
            for key, value in {**state.all[0].values, **dict.fromkeys(state.all[0].deleted, b"")}.items()
        ]
        assert self.spilling.used == sum(held)

    def teardown(self) -> None:
        if hasattr(self, "spilled"):
            for state in self.spilled:
                state.close()
            assert not self.path.exists(), "a file without anything in it"
            assert self.spilling.used == 0
            spilling.SPILLED_AT_ONCE, cold_table.PAGE_KEYS = self.kept
            self.directory.cleanup()


TestSpilling = Both.TestCase
TestSpilling.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
