"""A table whose values are written in parts, against a model: crashes at every record, compaction, former owners.

A key's state is the list of the source offsets that changed it. Whatever a crash leaves of the log, and whatever of it
compaction has removed, the recovered state must be one that the key had after the event that the table names. After a
group is written whole it must be the last one.
"""

from __future__ import annotations

import copy
from random import Random
from types import SimpleNamespace
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.runtime.durability.rebuild import Rebuild
from streams.runtime.tables.parted_table import PartedTable
from streams.runtime.tables.partition_table import NO_OFFSET, PartitionState
from streams.runtime.tables.value_parts import MISSING, is_whole, split, whole_of
from topics.records.keys import LEVELS_MAX
from topics.records.reading import MADE_BY, OWNER_KEY, made_by

KEYS = (b"demo|A", b"demo|B", b"demo|return|A")
STEPS = 60
State = list[int]


class LostError(Exception):
    """A change is of something that the changelog does not have."""


class Log:
    """A changelog: records in their order, with the offsets that compaction leaves them."""

    def __init__(self) -> None:
        self.records: list[Any] = []
        self.end = 0

    def append(self, key: bytes, value: bytes | None, headers: list[tuple[str, bytes]]) -> None:
        self.records.append(SimpleNamespace(offset=self.end, key=key, value=value, headers=headers))
        self.end += 1

    def compact(self, before: int, chance: Random, *, committed: int) -> None:
        """Removes records before an offset that have a later one of their key there; now and then tombstones, too.

        Tombstones of events that are not committed stay: Kafka keeps one for `delete.retention.ms`, a day."""
        last = {record.key: record.offset for record in self.records if record.offset < before}
        drop_deleted = chance.random() < 0.3
        self.records = [
            record
            for record in self.records
            if record.offset >= before
            or (
                record.offset == last[record.key]
                and not (drop_deleted and record.value is None and made_by(record.headers).offset < committed)
            )
        ]


class Owner:
    """Decides events of a source, and writes its table."""

    def __init__(self, log: Log, end: int | None = None) -> None:
        self.log = log
        state = PartitionState(0, ["state"], PartedTable)
        (table,) = state.all
        assert isinstance(table, PartedTable)
        self.table, self.state = table, state
        rebuild = Rebuild(table, "state")
        rebuild.apply([record for record in log.records if end is None or record.offset < end])
        state.epoch = rebuild.epoch + 1
        state.claim = b"claim %d" % state.epoch
        log.append(OWNER_KEY, state.claim, [(MADE_BY, b"%d/-1" % state.epoch)])
        rebuild.apply(log.records[-1:])
        table.recovered()
        state.horizon = table.newest_origin()
        self.seen = log.end

    def read(self, key: bytes) -> State | None:
        value = self.table.get(key)
        return None if value is None else read(value)

    def decide(self, key: bytes, offset: int, chance: Random) -> None:
        self.state.offset = offset
        if self.table.is_made_from(key):
            return
        value = self.table.get(key)
        known = [] if value is None else read(value)
        if value is not None and chance.random() < 0.1:
            self.table.delete(key)
        else:
            self._put(key, value, [*known, offset], chance)
        if chance.random() < 0.1:  # the decision fails: nothing of it stays
            self.table.undo()
            self.decide(key, offset, chance)
            return
        self.table.merge()

    def _put(self, key: bytes, value: bytes | None, after: State, chance: Random) -> None:
        if value is None or chance.random() < 0.2:
            self.table.put(key, orjson.dumps(after))
            return
        origins = whole_of(value).origins if is_whole(value) else split(value).origins
        whole = is_whole(value) or chance.random() < 0.5
        level = chance.randint(1, len(origins))  # the deepest one is new; another takes the place of several
        if level > LEVELS_MAX:
            self.table.put(key, orjson.dumps(after))
            return
        of = origins[level - 1]
        change = orjson.dumps({"of": of, "add": [offset for offset in after if offset > of]})
        self.table.put_change(key, level, change, orjson.dumps(after) if whole else None)

    def write(self, chance: Random, *, whole: bool = True) -> None:
        """Writes a group; if not whole, the process dies amid it."""
        self.table.rewrite_overwritten()
        group: Any = Log()
        self.table.write_changes(group)
        count = len(group.records) if whole else chance.randint(0, len(group.records))
        for record in group.records[:count]:
            self.log.append(record.key, record.value, record.headers)

    def look(self) -> bool:
        """Looks at what others wrote. Whether a key is to be written again."""
        for record in self.log.records:
            if record.offset >= self.seen and made_by(record.headers).epoch < self.state.epoch:
                self.table.overwritten.add(record.key)
        self.seen = self.log.end
        return bool(self.table.overwritten)


def read(value: bytes) -> State:
    """The state of a value, as a role reads it."""
    if is_whole(value):
        return list(orjson.loads(whole_of(value).content))
    _, origins, contents = split(value)
    found: State = orjson.loads(contents[0])
    for level in range(1, len(origins)):
        if origins[level] == MISSING:
            raise LostError
        change = orjson.loads(contents[level])
        if change["of"] != origins[level - 1]:
            raise LostError
        found += change["add"]
    return found


def follow(owner: Owner, history: dict[bytes, dict[int, State | None]], key: bytes, offset: int) -> None:
    if owner.table.origin(key) == offset:  # not a redelivery
        history.setdefault(key, {})[offset] = owner.read(key)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32))
def test_what_is_recovered_is_what_was_once_decided(seed: int) -> None:
    chance, log = Random(seed), Log()
    owner = Owner(log)
    zombie: Owner | None = None
    history: dict[bytes, dict[int, State | None]] = {}
    source: list[bytes] = []
    committed = clean = decided = 0
    for _ in range(STEPS):
        step = chance.random()
        if step < 0.55:
            source.append(chance.choice(KEYS))
            owner.decide(source[-1], len(source) - 1, chance)
            follow(owner, history, source[-1], len(source) - 1)
        elif step < 0.75:
            owner.write(chance)
            if owner.look():
                owner.write(chance)
                owner.look()
            committed, clean = len(source), log.end
            owner.table.forget_deleted(committed)
            other = Owner(copy.deepcopy(log))
            assert {key: owner.read(key) for key in KEYS} == {key: other.read(key) for key in KEYS}
            assert [owner.table.origin(key) for key in KEYS if owner.read(key)] == [
                other.table.origin(key) for key in KEYS if other.read(key)
            ]
        elif step < 0.85:
            log.compact(clean, chance, committed=committed)
        elif step < 0.95:
            former = copy.copy(owner)
            former.table, former.state = _copied(owner)
            owner.write(chance, whole=False)
            if chance.random() < 0.5:
                former.table, former.state = _copied(owner)
            zombie, decided = former, len(source)
            owner = Owner(log)
            for key in KEYS:
                found = owner.read(key)
                if found is not None:
                    assert found == history[key][owner.table.origin(key)]
                last = max((offset for offset in history.get(key, {}) if offset < committed), default=NO_OFFSET)
                if found is not None or history.get(key, {}).get(last) is not None:
                    assert owner.table.origin(key) >= last  # events before the committed offset are not decided again
            for offset in range(committed, len(source)):
                owner.decide(source[offset], offset, chance)
                follow(owner, history, source[offset], offset)
        elif zombie is not None:
            for offset in range(decided, len(source)):
                zombie.decide(source[offset], offset, chance)
            decided = len(source)
            zombie.write(chance)


def _copied(owner: Owner) -> tuple[PartedTable, PartitionState]:
    state = PartitionState(0, ["state"], PartedTable)
    (table,) = state.all
    assert isinstance(table, PartedTable)
    for name in ("values", "origins", "deleted", "dirty", "overwritten", "_left", "_newest", "bytes"):
        setattr(table, name, copy.copy(getattr(owner.table, name)))
    state.epoch, state.claim, state.horizon = owner.state.epoch, owner.state.claim, owner.state.horizon
    return table, state
