"""The entity of a call: its key on `orders.commands`, made from the channel and the call's members.

The gateway derives the key of each call that it accepts, and the orders role derives it again, because direct producers
may have chosen another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from topics.contract.definition import Entity, Touchpoint
from topics.records.keys import manifest_key, order_key, return_key
from topics.schema_base import BATCH_MAX, CODE_MAX

CODES_NAMED_MAX = BATCH_MAX
"""Entities of one refused call whose history shows it: those of the largest batch that is taken."""
NO_PATH: Mapping[str, str] = MappingProxyType({})


class EntityError(ValueError):
    """The members do not name one entity; the message names the member."""


def entity_key(touchpoint: Touchpoint, channel: str, members: Mapping[str, Any]) -> bytes:
    """The key of the entity that these members belong to. Raises EntityError."""
    return key_of_code(touchpoint, channel, entity_code(touchpoint, members))


def key_of_code(touchpoint: Touchpoint, channel: str, code: str) -> bytes:
    """The key of the entity with this code."""
    if touchpoint.entity is Entity.ORDER:
        return order_key(channel, code)
    if touchpoint.entity is Entity.RETURN:
        return return_key(channel, code)
    return manifest_key(channel, code)


def entity_code(touchpoint: Touchpoint, members: Mapping[str, Any]) -> str:
    """The order's, return's or manifest's code. A batch must already be split: one order per record."""
    if touchpoint.entity is Entity.ORDER:
        if touchpoint.split is None:
            return _code(members, "orderCode", "orderCode")
        return _code_of_batch(members, touchpoint.split)
    if touchpoint.entity is Entity.RETURN:
        return _code(members, "returnOrderCode", "returnOrderCode")
    if touchpoint.entity is Entity.MANIFEST:
        return manifest_code(members)
    raise EntityError(f"{touchpoint.name} belongs to no order, return or manifest")


def manifest_code(members: Mapping[str, Any]) -> str:
    """Increff's manifestId, else a hash of the shipments, so that the same shipments again are the same manifest."""
    manifest_id = members.get("manifestId")
    if manifest_id is not None:
        return str(manifest_id)
    pairs = sorted(
        (_code(item, "orderCode", f"manifestItems[{n}].orderCode"), str(item.get("shipmentCode")))
        for n, item in enumerate(_items(members, "manifestItems"))
    )
    digest = hashlib.blake2b(repr(pairs).encode(), digest_size=16)
    return f"shipments-{digest.hexdigest()}"


def _code_of_batch(members: Mapping[str, Any], name: str) -> str:
    codes = {_code(item, "orderCode", f"{name}[{n}].orderCode") for n, item in enumerate(_items(members, name))}
    if len(codes) != 1:
        raise EntityError(f"{name}: one record carries one order, this one carries {len(codes)}")
    return codes.pop()


def _items(members: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    items = members.get(name)
    if not isinstance(items, list) or not items or not all(isinstance(item, dict) for item in items):
        raise EntityError(f"{name}: must be a list of at least one object")
    return items


def _code(members: Mapping[str, Any], name: str, field: str) -> str:
    code = members.get(name)
    if not isinstance(code, str) or not code:
        raise EntityError(f"{field}: must be a string that is not empty")
    return code


def entities_named(
    touchpoint: Touchpoint, channel: str, members: Mapping[str, Any], path: Mapping[str, str] = NO_PATH
) -> dict[bytes, str]:
    """The orders or returns that a call names, valid or not: their keys and codes. `path`: the members in its path.

    A manifest's are its orders: nobody asks for a manifest.
    """
    if touchpoint.entity is Entity.RETURN:
        found, key_of = [path.get("returnOrderCode"), members.get("returnOrderCode")], return_key
    elif touchpoint.entity in (Entity.ORDER, Entity.MANIFEST):
        name = touchpoint.split or ("manifestItems" if touchpoint.entity is Entity.MANIFEST else "")
        items = members.get(name) if name else None
        found = [path.get("orderCode"), members.get("orderCode")]
        if isinstance(items, list):
            found += [item.get("orderCode") for item in items[:CODES_NAMED_MAX] if isinstance(item, dict)]
        key_of = order_key
    else:
        return {}
    codes = [code for value in found if (code := _as_code(value))]
    return {key_of(channel, code): code for code in codes}


def _as_code(value: Any) -> str:
    """A code that was sent as a text or a number; empty for what nobody could ask for."""
    if not isinstance(value, str | int) or isinstance(value, bool):
        return ""
    try:
        code = str(value)
        code.encode()
    except ValueError:  # half a surrogate pair, or more digits than Python writes
        return ""
    return code if len(code) <= CODE_MAX else ""
