"""Digests in states that were written before a digest had a form: there, another way to write a thing was a change.

A stored one is compared with the same kind of digest of the call at hand, so a repeat of its call is still a repeat.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any

import orjson

from streams.order.model.meaning import UNMODELLED, number
from topics.contract.models.returns import CancelReturnOrderItems
from topics.schema_base import Body, models_in

FORMER_NAMES: dict[type[Body], dict[str, str]] = {
    CancelReturnOrderItems: {
        "returnOrderItems": "returnLineItems",
        "returnOrderItemCode": "channelReturnItemCode",
    },
}
"""Members whose names were others when those digests were made."""

Shape = dict[str, "Shape"] | None
"""The known members of an object, each with its own shape; None where every member counts."""


def former_digest(model: type[Body], members: dict[str, Any]) -> str:
    """A digest in which null and unknown members do not count, nor does 10 against 10.0."""
    canonical = _canonical(members, shape_of(model))
    if model in FORMER_NAMES:
        canonical = _renamed(canonical, FORMER_NAMES[model])
    raw = orjson.dumps(canonical, option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(raw, digest_size=16).hexdigest()


@cache
def shape_of(model: type[Body]) -> dict[str, Shape]:
    """The members a model knows, down to its lists' objects."""
    shape: dict[str, Shape] = {}
    for name, info in model.model_fields.items():
        inner = next(models_in(info.annotation), None)
        shape[name] = shape_of(inner) if inner is not None else None
    for base, names in UNMODELLED.items():
        if issubclass(model, base):
            shape.update(dict.fromkeys(names))
    return shape


def _canonical(value: Any, shape: Shape) -> Any:
    if isinstance(value, dict):
        return {
            name: _canonical(member, None if shape is None else shape[name])
            for name, member in value.items()
            if member is not None and (shape is None or name in shape)
        }
    if isinstance(value, list):
        return [_canonical(item, shape) for item in value]
    if type(value) is int and not -(2**63) <= value < 2**64:
        return float(value)  # as such it was read
    return number(value) if isinstance(value, float) else value


def _renamed(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {names.get(name, name): _renamed(member, names) for name, member in value.items()}
    return [_renamed(item, names) for item in value] if isinstance(value, list) else value
