"""The interface of a role: `decide` for one record, and effects as values. Durability is the runtime's.

A role has one source topic and one or more tables. The runtime hands `decide` one record at a time, with the tables of
the record's partition. The effects it returns become durable first, the changes of tables next, the source offset last.
A role never commits an offset.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Protocol

from topics.records.envelope import Headers, ReadHeaders
from topics.values import Value

log = logging.getLogger(__name__)


class Record(Value, frozen=True):
    """One record of the role's source topic. `timestamp_ms` is the role's only `now`, so deciding again gives the same.

    `partition` and `offset` identify it. A role never compares offsets: redeliveries are the runtime's business.
    """

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes
    value: bytes
    headers: ReadHeaders
    prepared: Any = None
    """The result of `Role.prepare`, if there is one."""


class _Null(bytes):
    """Its one object is identical to no value, not even to an empty one."""


GONE = _Null()
"""As the value of an effect: Kafka's null, which removes the key from a compacted topic."""


class Effect(Value, frozen=True):
    """A record to publish. `topic` is a catalogue name; `partition` None means murmur2 of the key."""

    topic: str
    key: bytes
    value: bytes
    headers: Headers = ()
    partition: int | None = None


class Poison(Exception):  # noqa: N818 - it names the record
    """The record cannot be decided: it goes to `commands.rejected` with this reason, its neighbours go on.

    `code` is a short name for metrics and the `sluice-rejected-code` header, `reason` a sentence for the operator.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Table(Protocol):
    """One partition of a role's table. Values are bytes; they are the changelog's values."""

    def get(self, key: bytes) -> bytes | None: ...

    def put(self, key: bytes, value: bytes) -> None: ...

    def delete(self, key: bytes) -> None: ...

    def is_made_from(self, key: bytes) -> bool:
        """True when the value under `key` was already made from the record now decided, or from a later one.

        Then this is Kafka's redelivery after a crash, not a caller's repeat: skip it silently. Only roles whose records
        touch several keys ask; for a role with `one_key_per_record` the runtime does.
        """

    def items(self) -> Iterator[tuple[bytes, bytes]]: ...

    def walk(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Entries whose key begins with `prefix`, in the order of keys; a table that spills is not loaded whole for it.

        A key that is put or deleted during the walk may be left out; all others come once.
        """

    def __len__(self) -> int: ...


Tables = Mapping[str, Table]
"""The tables of one partition, by their topic's catalogue name."""


@dataclass(slots=True)
class Change:
    """A table change from outside `decide`; `value` None deletes."""

    table: str
    key: bytes
    value: bytes | None


class Committer(Protocol):
    """Makes the results of a role's own work (delivery's attempts) durable."""

    async def commit(self, partition: int, effects: Iterable[Effect], changes: Iterable[Change]) -> None:
        """Returns when effects, then changes, are acknowledged by all replicas.

        The changes are visible in the partition's tables at once. Raises PartitionLost when the partition is no longer
        this worker's; nothing was written then.
        """

    def fail(self, error: BaseException) -> None:
        """Ends the process with a failure: the role cannot go on, and only a restart is safe."""


class PartitionLost(Exception):  # noqa: N818 - it is no error
    """The partition moved to another worker, which does again what was being done for it."""


class Role(ABC):
    """One streams role. Subclasses are constructed with what they need; the runtime calls the hooks below in order:
    `start`, then for each partition `on_assigned` ... `on_revoked`, and `stop` at the end."""

    name: ClassVar[str]
    source: ClassVar[str]
    """Catalogue name of the source topic."""
    tables: ClassVar[tuple[str, ...]]
    """Catalogue names of the changelog topics of this role's tables (same number of partitions as the source)."""
    targets: tuple[str, ...] = ()
    """Further topics (by their catalogue-like name) that its effects may name; they must exist when it starts."""
    spills: ClassVar[frozenset[str]] = frozenset()
    """Tables that may outgrow memory: older values move to local disk (tables/spilling.py)."""
    table_kinds: ClassVar[Mapping[str, Callable[[str, Any], Any]]] = MappingProxyType({})
    """Tables that are another kind of PartitionTable, with their constructors (tables/partition_table.MakeTable)."""
    has_standby: ClassVar[bool] = False
    """Its tables may be kept current by other workers, too (durability/standby.py)."""
    one_key_per_record: ClassVar[bool] = True
    """Each record changes only the value under `state_key(record)` in the first table; then the runtime itself skips
    redeliveries."""

    def state_key(self, record: Record) -> bytes:
        return record.key

    @abstractmethod
    def decide(self, record: Record, tables: Tables) -> Iterable[Effect]:
        """Decides one record: reads and puts tables, returns effects. Synchronous, deterministic, no I/O.

        Raises Poison for a record that cannot be decided. Any other exception also sets the record aside, with its
        traceback as the reason. Earlier puts are undone.
        """

    # Hooks that a role may leave as they are; hence B027.

    def prepare(self, record: Record) -> Generator[None, None, Any]:  # noqa: ARG002 - for roles
        """Work on a large record that needs no table, in steps between which other tasks have their turn. `decide` is
        given what it returns, unless the partition leaves meanwhile.

        Called for records of PREPARED_BYTES_MIN and more. `decide` must give the same without it: what this raises does
        not count.
        """
        yield from ()

    async def start(self, committer: Committer) -> None:  # noqa: B027
        """Called before the first partition. Background tasks start here."""

    def on_assigned(self, partition: int, tables: Tables) -> None:  # noqa: B027
        """The partition is this worker's, and its tables are recovered; its first record comes next."""

    def changed(self, partition: int, changes: list[Change]) -> None:  # noqa: B027
        """Called with the puts and deletions of a chunk of decided records, in order, before any of it is durable."""

    def set_aside(self, record: Record, code: str, reason: str) -> Iterable[Effect]:  # noqa: ARG002 - for roles
        """Effects that leave together with a record that was set aside, for example the answer that a caller waits for.

        Must not raise. Its puts into the tables that `on_assigned` gave become durable, too. `code` is a Poison's, or
        DECISION_FAILED or TOO_LARGE of streams.runtime.rejected.
        """
        return ()

    def on_revoked(self, partition: int) -> None:  # noqa: B027
        """The partition is no longer this worker's: drop everything kept for it."""

    def reload(self) -> None:
        """Called at SIGHUP, also before `start`: reads credentials again, if the role has any. Must not raise."""
        log.info("%s has no credentials, so SIGHUP changes nothing", self.name)

    async def stop(self) -> None:  # noqa: B027
        """Called at the end: let work in flight end; commits still succeed."""

    def ready(self) -> str | None:
        """None when this role can do its work, else the reason why not (shown by /ready)."""
        return None
