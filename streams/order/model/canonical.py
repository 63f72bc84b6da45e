"""Payloads compared in a canonical form: unknown and null members do not count, nor does 10 against 10.0."""

from __future__ import annotations

import hashlib
from functools import cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import orjson

from topics.schema_base import Body, CustomAttributes

_UNMODELLED = {CustomAttributes: ("channelMetadata",)}
"""Members that the contract names in a table but leaves open, so that no model has them. They count all the same."""

_EXACT = 2.0**53
"""Beyond this, a float is no exact whole number, and orjson writes integers of 64 bits at most."""

Shape = dict[str, "Shape"] | None
"""The known members of an object, each with its own shape; None where every member counts."""


def digest(model: type[Body], members: dict[str, Any]) -> str:
    """A short digest, equal for payloads that are equal in canonical form."""
    raw = orjson.dumps(_canonical(members, shape_of(model)), option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(raw, digest_size=16).hexdigest()


def id_digest(event_id: str) -> str:
    """An event id in 16 characters; no two ids of one entity will ever have the same."""
    return hashlib.blake2b(event_id.encode(), digest_size=8).hexdigest()


def call_digest(touchpoint: str, payload: str) -> str:
    """Stands for a call with its content, of which `payload` is the digest: the same for each repeat of the call."""
    return hashlib.blake2b(f"{touchpoint} {payload}".encode(), digest_size=8).hexdigest()


@cache
def shape_of(model: type[Body]) -> dict[str, Shape]:
    """The members a model knows, down to its lists' objects."""
    shape: dict[str, Shape] = {}
    for name, info in model.model_fields.items():
        inner = _model_in(info.annotation)
        shape[name] = shape_of(inner) if inner is not None else None
    for base, names in _UNMODELLED.items():
        if issubclass(model, base):
            shape.update(dict.fromkeys(names))
    return shape


def _model_in(annotation: Any) -> type[Body] | None:
    """The model inside `X`, `X | None`, `list[X]` and `Annotated[..]`, if there is one."""
    if isinstance(annotation, type) and issubclass(annotation, Body):
        return annotation
    if get_origin(annotation) in (Annotated, Union, UnionType, list):
        for argument in get_args(annotation):
            found = _model_in(argument)
            if found is not None:
                return found
    return None


def _canonical(value: Any, shape: Shape) -> Any:
    kind = type(value)
    if kind is dict:
        return _object(value, shape)
    if kind is list:
        return [_canonical(item, shape) for item in value]
    return _number(value) if kind is float else value


def _object(value: dict[str, Any], shape: Shape) -> dict[str, Any]:
    """The members that count. Plain ones are handled without a call, because a Create has a hundred of them."""
    members: dict[str, Any] = {}
    for name, member in value.items():
        if member is None or (shape is not None and name not in shape):
            continue
        kind = type(member)
        if kind is dict or kind is list:
            members[name] = _canonical(member, None if shape is None else shape[name])
        else:
            members[name] = _number(member) if kind is float else member
    return members


def _number(value: float) -> float:
    """A whole number as an int, so that 10 and 10.0 are the same."""
    return int(value) if value.is_integer() and abs(value) < _EXACT else value
