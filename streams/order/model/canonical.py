"""Digests of payloads. Two payloads have the same when they mean the same (streams/order/model/meaning.py).

A digest begins with its form. One without a form was stored by a version before, for which another way to write a
thing was a change: it is compared with the same kind of digest of the call at hand, so a repeat of its call is still a
repeat.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from functools import cache
from typing import Any, Final

import orjson

from streams.order.model.meaning import UNMODELLED, meaning_in_steps, meaning_of, number, written
from topics.contract.models.returns import CancelReturnOrderItems
from topics.schema_base import Body, models_in

FORM = "2:"
"""Begins the digests of this version. Another rule of meaning needs another form."""


def digest(model: type[Body], members: dict[str, Any]) -> str:
    """A short digest, equal for payloads of equal meaning."""
    return FORM + hashlib.blake2b(written(meaning_of(model, members)), digest_size=16).hexdigest()


def digest_in_steps(model: type[Body], members: dict[str, Any]) -> Generator[None, None, str]:
    """As `digest`, in steps between which others may have the event loop."""
    meaning = yield from meaning_in_steps(model, members)
    yield
    raw = written(meaning)
    yield
    return FORM + hashlib.blake2b(raw, digest_size=16).hexdigest()


def matches(stored: str, model: type[Body], members: dict[str, Any], payload: str = "") -> bool:
    """Whether a stored digest is that of these members, in whatever form it was stored. Where nothing is stored yet, as
    before a return's first update, nothing is computed. `payload`: their digest, where it is known."""
    return bool(stored) and stored == (
        (payload or digest(model, members)) if stored.startswith(FORM) else former_digest(model, members)
    )


def id_digest(event_id: str) -> str:
    """An event id in 16 characters; no two ids of one entity will ever have the same."""
    return hashlib.blake2b(event_id.encode(), digest_size=8).hexdigest()


def call_digest(touchpoint: str, payload: str) -> str:
    """Stands for a call with its content, of which `payload` is the digest: the same for each repeat of the call. It
    has the form of `payload`."""
    form = FORM if payload.startswith(FORM) else ""
    return form + hashlib.blake2b(f"{touchpoint} {payload}".encode(), digest_size=8).hexdigest()


def is_former_call(stored: str, touchpoint: str, model: type[Body], members: dict[str, Any]) -> bool:
    """Whether a stored `call_digest` is that of this call as a version before stored it."""
    return not stored.startswith(FORM) and stored == call_digest(touchpoint, former_digest(model, members))


FORMER_NAMES: Final[dict[type[Body], dict[str, str]]] = {
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
