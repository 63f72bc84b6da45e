"""The members of an entity that a change of a large one has as a whole section where any of them changed.

A change always has the head (streams/order/storage/changes.py), and of the long lists the entries that changed. All
other members are in one section of their kind: a test finds one that is in none.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import structs

from streams.order.model.entities import Manifest, Order, Return
from streams.order.model.entity import Entity
from streams.order.storage.encoding import PACKER, field_like, unpack_hook

HEAD = ("due_ms", "stuck", "state", "updated_ms", "fact_sequence", "sequences")
LISTS = ("facts", "seen", "deliveries", "lines", "shipments")
NEVER = ("channel", "code")
"""They are the entity's key."""

_SECTIONS: dict[type[Entity], tuple[tuple[str, ...], ...]] = {
    Order: (
        ("created_ms", "expected_ms", "location", "digest", "request", "reason", "split", "adopted", "held",
         "hold_crossed"),
        ("waits", "milestones", "acknowledged"),
        ("relays", "holds", "deferred", "early"),
        ("properties", "said", "returns"),
    ),
    Return: (
        ("created_ms", "location", "digest", "request", "reason", "forward", "adopted", "rejected_ms", "version",
         "forward_known", "former", "properties"),
        ("relays", "question"),
        ("items", "courier", "said"),
    ),
    Manifest: (
        ("created_ms", "location", "digest", "request", "reason", "transporter", "manifest_code"),
        ("relays",),
        ("items",),
    ),
}  # fmt: skip
"""The first section of each kind has members that are no lists or maps."""


class Section:
    """A section of one kind of entity. It is encoded by position, so a new member goes last, and has a default."""

    __slots__ = ("_decode", "_get", "look", "names")

    def __init__(self, kind: type[Entity], names: tuple[str, ...], *, in_place: bool) -> None:
        """`in_place`: its members may change in place."""
        self.names = names
        self._get: Callable[[Entity], tuple[Any, ...]] = _getter(names)
        self.look: Callable[[Entity], Any] = self.encode if in_place else self._get
        """Gives what is compared to find out whether the section has changed."""
        types = {each.name: each for each in structs.fields(kind)}
        members = [(name, types[name].type, field_like(types[name])) for name in names]
        form = msgspec.defstruct("SectionOf" + kind.__name__, members, array_like=True, kw_only=True)
        self._decode = msgspec.msgpack.Decoder(form, ext_hook=unpack_hook).decode

    def encode(self, entity: Entity) -> bytes:
        return PACKER.encode(self._get(entity))

    def apply(self, raw: msgspec.Raw, entity: Entity) -> None:
        """Sets the members of an entity to those in an encoded section."""
        read = self._decode(raw)
        for name in self.names:
            setattr(entity, name, getattr(read, name))


def _getter(names: tuple[str, ...]) -> Callable[[Entity], tuple[Any, ...]]:
    if len(names) == 1:
        name = names[0]
        return lambda entity: (getattr(entity, name),)
    return attrgetter(*names)


SECTIONS: dict[type[Entity], tuple[Section, ...]] = {
    kind: tuple(Section(kind, names, in_place=n > 0) for n, names in enumerate(sections))
    for kind, sections in _SECTIONS.items()
}
