"""Parts of an entity as an event writes them and a reader puts them together: a base, or a change of it.

Small entities: streams/order/storage/small.py. A change of a large one has the members of the head, the sections that
differ (streams/order/storage/sections.py), the facts and events seen that were appended, and the entries of the other
lists that changed or went. It names what it is a change of, so it is never applied to anything else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from streams.order.model.entities import Manifest, Order, Return, StateError
from streams.order.model.entity import Entity
from streams.order.model.parts import Line, Shipment
from streams.order.model.states import ManifestState, OrderState, ReturnState
from streams.order.model.touched import Touched
from streams.order.storage.change import Change
from streams.order.storage.encoding import PACKER, READ_ERRORS, decode_entity, encode_entity, is_plain, unpack_hook
from streams.order.storage.sections import SECTIONS
from streams.order.storage.small import Basis, NextPart, apply_small_change, is_small_change, next_small_part
from streams.runtime.tables.value_parts import MISSING, is_parted, is_whole, split, whole_of
from topics.records.keys import LEVELS_MAX

LARGE_BYTES = 16 << 10
"""An entity with a base of so many bytes is large: no event encodes or decodes all of it. Usual ones have 1 to 3 KB."""
DEEPER_BYTES = 4_096
"""A change of a large entity that has fewer bytes is written again with what the next event adds, and needs no change
behind it."""
SHARE = 2
"""A change of a large entity has at most a half of the bytes of what it is of. So what is written grows with the
logarithm of the entity's size: each entry is written again once for each doubling of a change, on each level."""


_UNPACK = msgspec.msgpack.Decoder(Change, ext_hook=unpack_hook).decode


_PACK = PACKER.encode
_UNTOUCHED = Touched()
_STATES: dict[type[Entity], dict[str, Any]] = {
    Order: {each.value: each for each in OrderState},
    Return: {each.value: each for each in ReturnState},
    Manifest: {each.value: each for each in ManifestState},
}


class Chain:
    """The stored parts of an entity that was read or written, and what was touched between one and the next.

    It belongs to one decoded entity: see `chain_of`. Levels: 0 is the base, each change is one deeper.
    """

    __slots__ = ("fact_sequences", "line_count", "origins", "sections", "sizes", "touched")

    def __init__(self, entity: Entity, origin: int, size: int) -> None:
        """The chain of an entity that is as its base says. `origin`, `size`: the base's."""
        self.origins = [origin]
        self.sizes = [size]
        self.fact_sequences = [entity.fact_sequence]
        self.touched: list[Touched] = []
        """By change: what it has of the entity."""
        self.sections = [section.look(entity) for section in SECTIONS[type(entity)]]
        self.line_count = _line_count(entity)


def chain_of(entity: Entity) -> Chain | None:
    found: Chain | None = entity.__dict__.get("chain")
    return found


def is_large(entity: Entity) -> bool:
    """Whether an entity that was read or written is to stay decoded, because decoding it takes longer than an event.

    Usual ones cost less when each event decodes them (decisions/0012).
    """
    chain = chain_of(entity)
    return chain is not None and chain.sizes[0] >= LARGE_BYTES


def without_parts(entity: Entity) -> Entity:
    """The entity, of which a base is to be written next."""
    entity.__dict__.pop("chain", None)
    entity.__dict__.pop("basis", None)
    return entity


def read(value: bytes) -> Entity:
    """The entity whose parts these are, with its basis or chain. Raises StateError."""
    if not is_parted(value):
        return decode_entity(value)
    if is_whole(value):
        _, origins, sizes, note, content = whole_of(value)
        entity = decode_entity(content)
        entity.__dict__["basis"] = Basis(entity, origins[0], sizes[0], len(content), sizes[1], note)
        return entity
    parts = split(value)
    base = parts.contents[0]
    entity = decode_entity(base)
    levels = len(parts.contents) - 1
    if is_plain(base):
        origin, size = parts.origins[0], len(base)
        if levels == 1 and is_small_change(parts.contents[1]):
            note = apply_small_change(entity, parts.contents[1], origin)
            whole = len(encode_entity(entity))
            entity.__dict__["basis"] = Basis(entity, origin, size, whole, len(parts.contents[1]), note)
            return entity
        if levels or size >= LARGE_BYTES:  # an earlier version wrote several changes of small entities, too
            entity.__dict__["chain"] = Chain(entity, origin, size)
        else:
            entity.__dict__["basis"] = Basis(entity, origin, size, size)
    for level in range(1, levels + 1):
        _read_change(entity, level, parts.origins, parts.contents[level])
    return entity


def _read_change(entity: Entity, level: int, origins: Sequence[int], content: bytes) -> None:
    chain, origin = chain_of(entity), origins[level]
    try:
        if chain is None or origin == MISSING:
            raise StateError(f"its change on level {level} is not there: the changelog has lost a record")
        change = _UNPACK(content)
        if change.of != origins[level - 1]:
            raise StateError(
                f"its change on level {level} is of offset {change.of}, and what is before it of offset"
                f" {origins[level - 1]}: the changelog has lost a record"
            )
        chain.touched.append(_apply(change, entity, chain))
    except (*READ_ERRORS, LookupError) as error:
        if isinstance(error, StateError):
            raise
        raise StateError(f"not a change of an order, return or manifest: {error!r}") from error
    chain.origins.append(origin)
    chain.sizes.append(len(content))
    chain.fact_sequences.append(entity.fact_sequence)
    chain.line_count = _line_count(entity)


def next_part(entity: Entity, origin: int) -> NextPart:
    """The part to write of an entity that was decided from the record at `origin`.

    Afterwards a large entity's chain is as if that was stored. A small one is read again for its next event.
    """
    own = entity.__dict__
    touched: Touched | None = own.pop("touched", None)
    basis: Basis | None = own.pop("basis", None)
    if basis is not None:
        small = next_small_part(entity, basis, touched or _UNTOUCHED)
        if small.level:
            return small
        base = small.content
    else:
        if is_large(entity):
            large = _next_change(entity, own["chain"], touched or Touched(), origin)
            if large is not None:
                return large
        base = encode_entity(entity)
    own.pop("chain", None)
    if len(base) >= LARGE_BYTES and is_plain(base):
        own["chain"] = Chain(entity, origin, len(base))
    return NextPart(0, base)


def _next_change(entity: Entity, chain: Chain, touched: Touched, origin: int) -> NextPart | None:
    """The next change of a large entity; None where a base is to be written."""
    if touched.anew or chain.origins[0] < 0:  # nobody knows by which base an offset below 0 was meant
        return None
    try:
        sections = [section.look(entity) for section in SECTIONS[type(entity)]]
        if sections != chain.sections:
            touched.sections.update(n for n, was in enumerate(chain.sections) if was != sections[n])
            chain.sections = sections
        if (count := _line_count(entity)) != chain.line_count:
            touched.lines.update(range(chain.line_count, count))
        found = _next_of_large(entity, chain, touched)
    except OverflowError:  # a whole number beyond 64 bits, for which only a base has a form
        return None
    if found is None:
        return None
    level, content, touched = found
    chain.origins[level:] = [origin]
    chain.sizes[level:] = [len(content)]
    chain.fact_sequences[level:] = [entity.fact_sequence]
    chain.touched[level - 1 :] = [touched]
    chain.line_count = _line_count(entity)
    return NextPart(level, content)


def _next_of_large(entity: Entity, chain: Chain, touched: Touched) -> tuple[int, bytes, Touched] | None:
    """The change on the deepest level that has room for it."""
    level = len(chain.touched)
    if not level or (chain.sizes[-1] >= DEEPER_BYTES and level < LEVELS_MAX):
        level += 1
    else:
        touched = _with(chain.touched[level - 1], touched)
    while True:
        content = _encode(entity, chain, level, touched)
        if len(content) * SHARE <= chain.sizes[level - 1]:
            return level, content, touched
        level -= 1
        if not level:
            return None
        touched = _with(chain.touched[level - 1], touched)


def _with(before: Touched, after: Touched) -> Touched:
    both = Touched()
    both.add(before)
    both.add(after)
    return both


def _encode(entity: Entity, chain: Chain, level: int, touched: Touched) -> bytes:
    """The change of an entity since what is before a level."""
    sections = SECTIONS[type(entity)]
    new_facts = entity.fact_sequence - chain.fact_sequences[level - 1]
    facts, seen = entity.facts, entity.seen
    new_seen = len(seen) if touched.calls_forgotten else min(touched.seen, len(seen))
    lines: list[tuple[int, Line]] = []
    shipments: list[Shipment] = []
    if isinstance(entity, Order):
        if touched.lines:
            lines = [(place, entity.lines[place]) for place in sorted(touched.lines)]
        if touched.shipments:
            shipments = [one for one in entity.shipments if one.id in touched.shipments]
    return _PACK(
        Change(
            due_ms=entity.due_ms,
            stuck=entity.stuck,
            of=chain.origins[level - 1],
            state=entity.state,
            updated_ms=entity.updated_ms,
            fact_sequence=entity.fact_sequence,
            sequences=entity.sequences,
            sections={n: msgspec.Raw(sections[n].encode(entity)) for n in sorted(touched.sections)},
            facts_kept=len(facts),
            facts=facts[-new_facts:] if new_facts else [],
            seen_kept=len(seen),
            seen=seen[len(seen) - new_seen :],
            gone=sorted(touched.gone, key=str),
            deliveries=[one for one in entity.deliveries if one.id in touched.deliveries],
            lines=lines,
            shipments=shipments,
        )
    )


def _apply(change: Change, entity: Entity, chain: Chain) -> Touched:
    """Brings an entity up to a change. Returns what the change has of it."""
    touched = Touched()
    entity.due_ms, entity.stuck, entity.state = change.due_ms, change.stuck, _STATES[type(entity)][change.state]
    entity.updated_ms, entity.fact_sequence = change.updated_ms, change.fact_sequence
    entity.sequences = change.sequences
    for number, raw in change.sections.items():
        section = SECTIONS[type(entity)][number]
        section.apply(raw, entity)
        chain.sections[number] = section.look(entity)
        touched.sections.add(number)
    entity.facts = _last(entity.facts + change.facts, change.facts_kept)
    entity.seen = _last(entity.seen + change.seen, change.seen_kept)
    touched.seen = len(change.seen)
    gone = touched.gone
    gone.update(change.gone)
    if gone:
        entity.deliveries = [one for one in entity.deliveries if one.id not in gone]
    touched.deliveries.update(_put(entity.deliveries, change.deliveries))
    if isinstance(entity, Order):
        for place, line in change.lines:
            if place == len(entity.lines):
                entity.lines.append(line)
            else:
                entity.lines[place] = line
            touched.lines.add(place)
        if gone:
            entity.shipments = [one for one in entity.shipments if one.id not in gone]
        touched.shipments.update(_put(entity.shipments, change.shipments))
    return touched


def _put(known: list[Any], changed: list[Any]) -> list[Any]:
    """Puts entries in the place of those with their ids, and new ones last. Returns the ids."""
    if not changed:
        return []
    places = {one.id: place for place, one in enumerate(known)}
    for one in changed:
        place = places.get(one.id)
        if place is None:
            known.append(one)
        else:
            known[place] = one
    return [one.id for one in changed]


def _last(entries: list[Any], count: int) -> list[Any]:
    return entries[len(entries) - count :]


def _line_count(entity: Entity) -> int:
    return len(entity.lines) if isinstance(entity, Order) else 0
