"""Entities read from the table and written to it, with checks of what holds whenever one is written."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from streams.order.model.entities import Order, Return, StateError
from streams.order.model.entity import Entity
from streams.order.model.parts import DeferredCall, Delivery, EarlyEvent, Question, Relay
from streams.order.storage.changes import LARGE_BYTES, chain_of, is_large, next_part, read, without_parts
from streams.order.storage.encoding import encode_entity
from streams.order.storage.small import NextPart, apply_small_change, basis_of, is_small_change
from streams.runtime.invariants import is_raising, violated
from streams.runtime.limits import VALUE_BYTES_MAX
from streams.runtime.rejected import too_large
from streams.runtime.role import Poison, Record, Table
from streams.runtime.tables.parted_table import PartedTable
from streams.runtime.tables.value_parts import newest_part, with_part
from topics.contract.touchpoints import BY_NAME
from topics.records.unreadable import UNREADABLE

STATE = "orders.state"
REASON_MAX = 200
_RAISES = is_raising()
"""Whether everything is checked: that walks through all lines and shipments, which no event may do in production."""
KEPT_BYTES_MAX = 8 << 20
"""Bytes of the large states that stay decoded between their events, for all partitions of a worker: some dozens of
orders of 2,500 lines, each of which takes a few MB. Large orders are rare, and their events come close together."""
CHECKED_EVERY = 1_000
"""Changes between two that are decoded again and compared, in production; in tests all are. Those of large states are
not: that would hold the event loop for several milliseconds."""


class StoredEntities:
    """Reads and writes the entities of all partitions of a worker."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[int, bytes], tuple[int, int, Entity]] = OrderedDict()
        """Large entities, the one used longest ago first: offset of their newest part, size, the entity."""
        self._kept_bytes = 0
        self._changes = 0

    def read(self, record: Record, state: Table, key: bytes) -> Entity | None:
        """The entity under a key, the caller's to change; None when there is none. Raises Poison."""
        value = state.get(key)
        if value is None:
            return None
        kept = self._take(record, key, value) if len(value) >= LARGE_BYTES else None
        return kept if kept is not None else _checked(_read(value, key), key)

    def write(self, record: Record, state: Table, key: bytes, entity: Entity) -> None:
        """Puts an entity as its last event left it: what changed, or all of it.

        Raises Poison before anything is put.
        """
        check_indexes(entity)
        if not isinstance(state, PartedTable):
            part = NextPart(0, encode_entity(entity))
        else:
            part = next_part(entity, record.offset)
            if part.level and not self._makes(state, key, entity, part, record.offset):
                part = next_part(without_parts(entity), record.offset)
        if len(part.content) > VALUE_BYTES_MAX:
            raise too_large(f"a value of {STATE}", part.content)
        if part.level and isinstance(state, PartedTable):
            state.put_change(key, *part)
        else:
            state.put(key, part.content)
        self._keep(record, key, entity)

    def forget_partition(self, partition: int) -> None:
        """Drops what stays decoded of a partition that comes or goes."""
        for place in [place for place in self._kept if place[0] == partition]:
            self._drop(place)

    def _take(self, record: Record, key: bytes, value: bytes) -> Entity | None:
        """A large entity that stayed decoded. It is the caller's: whatever becomes of the decision, only what is
        written is kept again. One whose last decision was undone is not what the table has."""
        kept = self._drop((record.partition, key))
        return kept[2] if kept is not None and kept[0] == newest_part(value)[1] else None

    def _keep(self, record: Record, key: bytes, entity: Entity) -> None:
        chain = chain_of(entity)
        if chain is None or not is_large(entity):
            return
        self._drop((record.partition, key))  # of a first decision that was undone
        size = sum(chain.sizes)
        self._kept[record.partition, key] = record.offset, size, entity
        self._kept_bytes += size
        while self._kept_bytes > KEPT_BYTES_MAX:
            self._drop(next(iter(self._kept)))

    def _drop(self, place: tuple[int, bytes]) -> tuple[int, int, Entity] | None:
        kept = self._kept.pop(place, None)
        if kept is not None:
            self._kept_bytes -= kept[1]
        return kept

    def _makes(self, state: Table, key: bytes, entity: Entity, part: NextPart, origin: int) -> bool:
        """Whether a change makes the entity that was decided. In production few are looked at."""
        self._changes += 1
        if (self._changes % CHECKED_EVERY or is_large(entity)) and not _RAISES:
            return True
        try:
            made = _after(state.get(key) or b"", part, origin)
        except StateError as error:
            violated("changes_make_the_state", f"{key!r}: {error}")
            return False
        if made == entity:
            return True
        differ = [name for name in entity.__struct_fields__ if getattr(made, name) != getattr(entity, name)]
        violated("changes_make_the_state", f"{key!r} was decided with other {', '.join(differ)}")
        return False


def _after(value: bytes, part: NextPart, origin: int) -> Entity:
    """Returns the entity that a change makes of a value, for a comparison."""
    if not is_small_change(part.content):
        return read(with_part(value, part.level, part.content, origin))
    before = read(value)
    basis = basis_of(before)
    if basis is None:
        raise StateError("a change of a small entity is of one that has no basis")
    apply_small_change(before, part.content, basis.origin, basis.note())
    return before


def read_entity(state: Table, key: bytes) -> Entity | None:
    """The entity under a key; None when there is none. Raises Poison."""
    value = state.get(key)
    return _checked(_read(value, key), key) if value is not None else None


def _read(value: bytes, key: bytes) -> Entity:
    try:
        return read(value)
    except StateError as error:
        UNREADABLE.note(STATE, key, error)
        raise Poison("BAD_STATE", f"{key.decode(errors='replace')}: {error}") from error


def check_indexes(entity: Entity) -> None:
    """Compares what an order has counted on its way with a recount, where a violation raises."""
    if _RAISES and isinstance(entity, Order):
        wrong = entity.miscounted()
        if wrong:
            violated("orders_are_counted", f"order {entity.code} of {entity.channel}: {wrong}")


def check_is_ours(state: Table, key: bytes, failure: Exception) -> None:
    """Raises Poison when a decision has failed over a state that names what this version does not know: then it is the
    state of another version, and no failure of ours."""
    value = state.get(key)
    if value is None:
        return
    entity = read(value)
    names = {call.touchpoint for call in _calls_of(entity) if call.touchpoint} - BY_NAME.keys()
    if entity.key != key:
        why = f"its {entity.KIND} is not the one in its key"
    elif names:
        why = f"this version does not know its calls {', '.join(sorted(names))[:REASON_MAX]}"
    else:
        return
    UNREADABLE.note(STATE, key, why)
    raise Poison("BAD_STATE", f"{key.decode(errors='replace')}: {why}") from failure


def _calls_of(entity: Entity) -> Iterator[Delivery | Relay | DeferredCall | EarlyEvent | Question]:
    yield from entity.deliveries
    yield from entity.relays
    if isinstance(entity, Order):
        yield from entity.deferred
        yield from entity.early
    elif isinstance(entity, Return) and entity.question is not None:
        yield entity.question


def _checked(entity: Entity, key: bytes) -> Entity:
    """The entity. Compares counts only: this runs for every event of an entity that does not stay decoded."""
    if entity.key != key:
        violated("entity_is_under_its_key", f"{entity.KIND} {entity.code} of {entity.channel} is under {key!r}")
    facts, last = entity.facts, entity.fact_sequence
    if (facts[-1].sequence if facts else 0) != last or (facts and last - facts[0].sequence != len(facts) - 1):
        listed = [fact.sequence for fact in facts]
        violated("facts_are_numbered_without_a_gap", f"{key!r} has counted {last} facts, and lists {listed}")
    if isinstance(entity, Order):
        for line in entity.lines:
            packed, packing, cancelled = line.packed, line.packing, line.customer + line.seller
            if packed < 0 or packing < 0 or cancelled < 0 or line.ordered < packed + packing + cancelled:
                violated("line_units_add_up", f"{key!r}: {line}")
    return entity
