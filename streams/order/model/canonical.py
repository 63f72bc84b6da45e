"""Digests of payloads. Two payloads have the same when they mean the same (streams/order/model/meaning.py).

A digest begins with its form. One without a form was stored by a version before: see `matches`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from typing import Any

from streams.order.model.former_digest import former_digest
from streams.order.model.meaning import meaning_in_steps, meaning_of, written
from topics.schema_base import Body

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
