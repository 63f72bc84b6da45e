"""What a role is to the runtime: `decide` for one record, and effects as values. Durability is the runtime's.

A role has one source topic and one or more tables. The runtime hands `decide` one record at a time and gives it the
tables of the record's partition. What `decide` returns leaves first, what it put into tables becomes durable next, the
source offset last (effects, then state, then offset). A role never commits an offset.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

from topics.records.envelope import Headers
from topics.values import value


@dataclass(frozen=True, slots=True)
class Record:
    """One record of the role's source topic. `timestamp_ms` is the role's only `now`, so deciding again gives the same.

    `partition` and `offset` identify it; what is a redelivery is the runtime's to know, never a role's to compare.
    """

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes
    value: bytes
    headers: Headers


class _Null(bytes):
    """Not equal by identity to any value, not even to an empty one."""


GONE = _Null()
"""In place of the value of an effect: Kafka's null. On a compacted topic the key is gone."""


@value
class Effect:
    """A record to publish. `topic` is a catalogue name; `partition` None means murmur2 of the key."""

    topic: str
    key: bytes
    value: bytes
    headers: Headers = ()
    partition: int | None = None


class Poison(Exception):  # noqa: N818 - it says what the record is
    """The record cannot be decided: it goes to `commands.rejected` with this reason, its neighbours go on.

    `code` is a short name for metrics and the `sluice-rejected-code` header, `reason` a sentence for the operator.
    `foreseen`: the role read it well and knows how such a record comes to be, so any number of them in a row says
    nothing against the role.
    """

    def __init__(self, code: str, reason: str, *, foreseen: bool = False) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.foreseen = foreseen


class Table(Protocol):
    """One partition of a role's table. Values are bytes; they are the changelog's values."""

    def get(self, key: bytes) -> bytes | None: ...

    def put(self, key: bytes, value: bytes) -> None: ...

    def delete(self, key: bytes) -> None: ...

    def is_made_from(self, key: bytes) -> bool:
        """True when the value under `key` was already made from the record now decided, or from a later one.

        Then this is Kafka's redelivery after a crash, not a caller's repeat: skip it, silently. Only for roles whose
        records touch several keys; for a role with `one_key_per_record` the runtime asks this itself.
        """

    def items(self) -> Iterator[tuple[bytes, bytes]]: ...

    def walk(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Those whose key begins with `prefix`, in the order of keys. A table that spills is never held whole for it.

        A key that is put or deleted during the walk may be left out; all others come once.
        """

    def __len__(self) -> int: ...


Tables = Mapping[str, Table]
"""The tables of one partition, by their topic's catalogue name."""


@dataclass(frozen=True, slots=True)
class Change:
    """A table change from outside `decide`; `value` None deletes."""

    table: str
    key: bytes
    value: bytes | None


class Committer(Protocol):
    """What a role that acts on its own (delivery) uses to make outcomes durable."""

    async def commit(self, partition: int, effects: Iterable[Effect], changes: Iterable[Change]) -> None:
        """Returns when effects, then changes, are acknowledged by all replicas.

        The changes are visible in the partition's tables at once. Raises PartitionLost when the partition is no longer
        this worker's: then nothing was written.
        """

    def fail(self, error: BaseException) -> None:
        """Ends the process with a failure: the role is in a state it cannot go on from, and only a restart is safe."""


class PartitionLost(Exception):  # noqa: N818 - nobody erred
    """The partition moved to another worker; whatever was being done for it is the new owner's to do again."""


class Role(ABC):
    """One streams role. Subclasses are constructed with what they need; the runtime calls the hooks below in order:
    `start`, then for each partition `on_assigned` ... `on_revoked`, and `stop` at the end."""

    name: str
    source: str
    """Catalogue name of the source topic."""
    tables: tuple[str, ...]
    """Catalogue names of the changelog topics of this role's tables (same number of partitions as the source)."""
    targets: tuple[str, ...] = ()
    """Further topics (by their catalogue-like name) that its effects may name: they must exist when it starts."""
    spills: frozenset[str] = frozenset()
    """Those of its tables that may outgrow memory: older values move to local disk (tables/spilling.py)."""
    table_kinds: Mapping[str, Callable[[str, Any], Any]] = MappingProxyType({})
    """Those of its tables that are another kind of PartitionTable, with what makes one (MakeTable in
    tables/partition_table.py)."""
    one_key_per_record: bool = True
    """Each record changes only the value under `state_key(record)` in the first table: the runtime itself skips
    redeliveries then."""

    def state_key(self, record: Record) -> bytes:
        return record.key

    @abstractmethod
    def decide(self, record: Record, tables: Tables) -> Iterable[Effect]:
        """Decide one record: read and put tables, return effects. Synchronous, deterministic, no I/O. Raises Poison.

        Any other exception also sets the record aside (its traceback is the reason); puts made before it are undone.
        """

    # Hooks that a role may leave as they are; hence B027.

    async def start(self, committer: Committer) -> None:  # noqa: B027
        """Before the first partition. Background tasks start here."""

    def on_assigned(self, partition: int, tables: Tables) -> None:  # noqa: B027
        """The partition is this worker's and its tables are recovered; its first record comes next."""

    def changed(self, partition: int, changes: list[Change]) -> None:  # noqa: B027
        """What a chunk of decided records put and deleted, in order; called before anything of it is durable."""

    def set_aside(self, record: Record, code: str, reason: str) -> Iterable[Effect]:  # noqa: ARG002 - for roles
        """Effects that leave together with a record that was set aside, whatever the cause: nobody must wait for it.

        Must not raise. What it puts into the tables that `on_assigned` gave becomes durable, too. `code` is a
        Poison's, or DECISION_FAILED or TOO_LARGE of streams.runtime.rejected.
        """
        return ()

    def on_revoked(self, partition: int) -> None:  # noqa: B027
        """The partition is no longer this worker's: drop all that is kept for it."""

    async def stop(self) -> None:  # noqa: B027
        """SIGTERM: let what is in the air end; commits still work."""

    def ready(self) -> str | None:
        """None when this role can do its work, else the reason why not yet (shown by /ready)."""
        return None
