"""Changes of small entities: those that each event decodes, and encodes as a whole (decisions/0034).

Such an entity has a base and at most one change, which says what differs from the base: all members that events change
often, and of facts and events seen those that came behind the base's. Where another member differs, a base is written.
So an event compares little, and nothing is put together: memory has the whole entity beside the base's source offset.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec
from msgspec import structs

from streams.order.model.entities import Manifest, Order, Return, StateError
from streams.order.model.entity import Entity
from streams.order.model.parts import Delivery, NotedFact
from streams.order.model.touched import Touched
from streams.order.storage.encoding import PACKER, READ_ERRORS, encode_entity, field_like, is_plain, unpack_hook
from streams.order.storage.sections import HEAD, NEVER, SECTIONS

TAG = "d"
"""The tag of such a change; that of a change of a large entity is `c`."""
CHANGE_SHARE = 0.5
"""Bytes of a change at most, as a share of its base: after a recovery memory holds both. A greater share saves hardly
any bytes of an order of a dozen events."""
_TAGGED = b"\xa1" + TAG.encode()
_MANY = 0x3FF
"""The largest count that is noted; of events seen it stands for all."""
_BITS = 10

_REPLACED: dict[type[Entity], tuple[str, ...]] = {Order: ("properties",), Return: (), Manifest: ()}
_COPIED: dict[type[Entity], tuple[str, ...]] = {Order: ("said", "returns"), Return: (), Manifest: ()}
"""Members, besides those of the first section, that few events change: such as get a new value, and maps and lists that
change in place, whose entries get new values."""
LISTED = ("facts", "seen", "deliveries", "lines")
"""Members with a rule of their own. Of facts and events seen a change has those behind the base's, of deliveries all
from the first that changed on; lines are the base's."""


class Basis:
    """How far a small entity is from its base. It belongs to one decoded entity."""

    __slots__ = (
        "change",
        "deliveries",
        "fact_sequence",
        "facts",
        "line_count",
        "looks",
        "origin",
        "seen",
        "size",
        "whole",
    )

    def __init__(self, entity: Entity, origin: int, size: int, whole: int, change: int = 0, note: int = 0) -> None:
        """The basis of an entity that is as the table has it. `origin`, `size`: the base's. `whole`, `change`: the
        bytes of all of it, and of its change. `note`: what such a basis had noted."""
        self.origin = origin
        self.size = size
        self.whole = whole
        self.change = change
        # The note is of a change; a base alone has none.
        self.facts = note >> 2 * _BITS
        self.seen = note >> _BITS & _MANY
        self.deliveries = note & _MANY if change else len(entity.deliveries)
        self.fact_sequence = entity.fact_sequence
        self.looks = _LOOK[type(entity)](entity)
        self.line_count = len(entity.lines) if isinstance(entity, Order) else 0

    def note(self) -> int:
        """Facts and events seen behind the base's, and deliveries that are the base's, in one number."""
        return _note(self.facts, self.seen, self.deliveries)


class NextPart(NamedTuple):
    """The part to write of an entity, and what is kept of a small one in memory."""

    level: int
    content: bytes
    whole: bytes | None = None
    """The encoded entity, where that is kept in place of the parts of a small one."""
    note: int = 0
    """The number kept beside `whole`, see `Basis.note`."""


def basis_of(entity: Entity) -> Basis | None:
    found: Basis | None = entity.__dict__.get("basis")
    return found


def next_small_part(entity: Entity, basis: Basis, touched: Touched) -> NextPart:
    """The part to write of an entity that has a basis, which is over with it: a base, or the one change of it."""
    whole = encode_entity(entity)
    if touched.anew or touched.lines or basis.origin < 0:  # nobody knows by which base an offset below 0 was meant
        return NextPart(0, whole)
    if isinstance(entity, Order) and len(entity.lines) != basis.line_count:
        return NextPart(0, whole)
    most = int(basis.size * CHANGE_SHARE)
    if basis.change and basis.change + len(whole) - basis.whole > most:
        return NextPart(0, whole)  # as a rule a change grows as the whole does
    facts, seen = entity.facts, entity.seen
    new_facts = basis.facts + entity.fact_sequence - basis.fact_sequence
    new_seen = _MANY if touched.calls_forgotten else min(basis.seen + touched.seen, _MANY)
    deliveries = entity.deliveries
    same = 0 if touched.gone else min(basis.deliveries, _MANY)
    if touched.deliveries and same:
        same = next((n for n, one in enumerate(deliveries[:same]) if one.id in touched.deliveries), same)
    kind = type(entity)
    if not 0 <= new_facts <= _MANY or not is_plain(whole) or basis.looks != _LOOK[kind](entity):
        return NextPart(0, whole)
    content = _PACK(
        (
            TAG,
            entity.due_ms,
            entity.stuck,
            basis.origin,
            len(facts),
            facts[-new_facts:] if new_facts else _NONE,
            len(seen),
            seen[-new_seen:] if new_seen else _NONE,
            same,
            deliveries[same:],
            *_GET[kind](entity),
        )
    )
    if len(content) > most:
        return NextPart(0, whole)
    return NextPart(1, content, whole, _note(new_facts, new_seen, same))


def is_small_change(content: bytes) -> bool:
    """Whether an encoded change is one of this module."""
    return _TAGGED in (content[1:3], content[3:5])  # behind the head of a short array, or of a long one


def apply_small_change(entity: Entity, content: bytes, origin: int, note: int = 0) -> int:
    """Brings an entity that is as its base, or as a change of it with this `note`, up to another change of that base.

    `origin`: the base's source offset. Returns the note of the change. Raises StateError.
    """
    kind = type(entity)
    try:
        change = _UNPACK[kind](content)
    except READ_ERRORS as error:
        raise StateError(f"not a change of an order, return or manifest: {error!r}") from error
    if change.of != origin:
        raise StateError(
            f"its change on level 1 is of offset {change.of}, and what is before it of offset {origin}: the changelog"
            " has lost a record"
        )
    entity.due_ms, entity.stuck = change.due_ms, change.stuck
    for name in CHANGED[kind]:
        setattr(entity, name, getattr(change, name))
    entity.facts = _with(entity.facts, note >> 2 * _BITS, change.facts, change.facts_kept)
    entity.seen = _with(entity.seen, note >> _BITS & _MANY, change.seen, change.seen_kept)
    entity.deliveries = [*entity.deliveries[: change.deliveries_kept], *change.deliveries]
    entity.__dict__.clear()  # indexes of what it was
    seen = len(change.seen) if len(change.seen) < change.seen_kept else _MANY
    return _note(len(change.facts), seen, change.deliveries_kept)


def _note(facts: int, seen: int, deliveries: int) -> int:
    return facts << 2 * _BITS | seen << _BITS | deliveries


def _with(entries: list[Any], behind: int, new: list[Any], kept: int) -> list[Any]:
    """The entries of a base, of which `behind` are of a change before, with those of a change."""
    both = [*entries[: max(0, len(entries) - behind)], *new]
    return both[len(both) - kept :]


def _names(kind: type[Entity]) -> tuple[str, ...]:
    """The members that a change has as a whole, in the order of the encoded entity."""
    others = {*NEVER, *LISTED, *HEAD[:2], *COMPARED[kind]}
    return tuple(name for name in kind.__struct_fields__ if name not in others)


def _form(kind: type[Entity]) -> Any:
    known = {each.name: each for each in structs.fields(kind)}
    head = [
        ("due_ms", int),
        ("stuck", dict[str, int]),
        ("of", int),
        ("facts_kept", int),
        ("facts", list[NotedFact]),
        ("seen_kept", int),
        ("seen", list[list[str]]),
        ("deliveries_kept", int),
        ("deliveries", list[Delivery]),
    ]
    members = [(name, known[name].type, field_like(known[name])) for name in _names(kind)]
    return msgspec.defstruct(f"ChangeOf{kind.__name__}", [*head, *members], array_like=True, kw_only=True, tag=TAG)


def _look_of(kind: type[Entity]) -> Callable[[Entity], Any]:
    """Gives what is compared to find out whether a member that few events change is another one."""
    copied = _COPIED[kind]
    look: Callable[[Entity], Any] = attrgetter(*[name for name in COMPARED[kind] if name not in copied])
    if not copied:
        return look
    lists_and_maps = attrgetter(*copied)
    return lambda entity: (look(entity), [one.copy() for one in lists_and_maps(entity)])


_NONE: list[Any] = []
_KINDS: tuple[type[Entity], ...] = (Order, Return, Manifest)
_PACK = PACKER.encode
COMPARED = {kind: (*SECTIONS[kind][0].names, *_REPLACED[kind], *_COPIED[kind]) for kind in _KINDS}
CHANGED = {kind: _names(kind) for kind in _KINDS}
_GET: dict[type[Entity], Callable[[Entity], tuple[Any, ...]]] = {
    kind: attrgetter(*names) for kind, names in CHANGED.items()
}
_UNPACK: dict[type[Entity], Callable[[bytes], Any]] = {
    kind: msgspec.msgpack.Decoder(_form(kind), ext_hook=unpack_hook).decode for kind in _KINDS
}
_LOOK = {kind: _look_of(kind) for kind in _KINDS}
