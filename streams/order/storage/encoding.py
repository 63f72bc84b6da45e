"""The encoded form of an entity as a whole. Decoding an encoded entity gives an equal one.

It is msgpack, by position: a third of the bytes of JSON under names, and fewer objects. A number from outside keeps its
digits: one that no double writes as it came is an extension, and an entity with a whole number beyond 64 bits is
encoded as JSON, by position as well. States of earlier versions are JSON under names; they are read here, and are
written anew with the entity's next event.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import structs

from streams.order.model.entities import Manifest, Order, Return, StateError
from streams.order.model.entity import Entity
from topics.records.json_text import WrittenFloat, float_of, raw_of

_DECIMAL = 1
"""The code of the extension for a decimal number with its own digits."""


def pack_hook(value: Any) -> Any:
    """A value that msgpack has no form for."""
    if isinstance(value, WrittenFloat):
        return msgspec.msgpack.Ext(_DECIMAL, value.text.encode())
    raise NotImplementedError(f"no state holds a {type(value).__name__}")


def unpack_hook(code: int, data: memoryview) -> Any:
    if code != _DECIMAL:
        raise ValueError(f"an extension of code {code} is none of a state")
    return WrittenFloat(bytes(data).decode())


def field_like(member: structs.FieldInfo) -> Any:
    """A field of another struct that has the encoded name and the default of this member."""
    if member.required:
        return msgspec.field(name=member.encode_name)
    if member.default is not msgspec.NODEFAULT:
        return msgspec.field(name=member.encode_name, default=member.default)
    return msgspec.field(name=member.encode_name, default_factory=member.default_factory)


def _former(kind: type[Entity]) -> Any:
    """The form of earlier versions: JSON under names, without the members that have their default."""
    members = [(each.name, each.type, field_like(each)) for each in structs.fields(kind)]
    return msgspec.defstruct(f"Former{kind.__name__}", members, tag_field="kind", tag=kind.KIND, kw_only=True)


_KINDS: dict[Any, type[Entity]] = {_former(kind): kind for kind in (Order, Return, Manifest)}
_FORMERS: Any = tuple(_KINDS)

PACKER = msgspec.msgpack.Encoder(enc_hook=pack_hook)
_UNPACKER = msgspec.msgpack.Decoder(Order | Return | Manifest, ext_hook=unpack_hook)
_WRITER = msgspec.json.Encoder(enc_hook=raw_of)
_READER = msgspec.json.Decoder(Order | Return | Manifest, float_hook=float_of)
_FORMER_READER: msgspec.json.Decoder[Any] = msgspec.json.Decoder(
    _FORMERS[0] | _FORMERS[1] | _FORMERS[2], float_hook=float_of
)
READ_ERRORS = (msgspec.MsgspecError, ValueError, RecursionError)


def encode_entity(entity: Entity) -> bytes:
    try:
        return PACKER.encode(entity)
    except OverflowError:
        return _WRITER.encode(entity)


def decode_entity(raw: bytes) -> Entity:
    """The entity of an encoded state. Raises StateError."""
    try:
        if raw[:1] == b"{":
            return _of_former(_FORMER_READER.decode(raw))
        entity: Entity = _READER.decode(raw) if raw[:1] == b"[" else _UNPACKER.decode(raw)
    except READ_ERRORS as error:
        raise StateError(f"not the state of an order, return or manifest: {error}") from error
    return entity


def copy_entity(entity: Entity) -> Entity:
    """A copy that shares nothing."""
    return decode_entity(encode_entity(entity))


def is_plain(raw: bytes) -> bool:
    """Whether an encoded entity has the usual form: of others there are no changes."""
    return raw[:1] not in (b"{", b"[")


def _of_former(former: Any) -> Entity:
    return _KINDS[type(former)](**{name: getattr(former, name) for name in former.__struct_fields__})
