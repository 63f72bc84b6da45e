"""A mark in each member of a call that may name people: those of its sample, and those that the sample does without."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from topics.contract.definition import Touchpoint
from topics.contract.leniency import read_call
from topics.contract.personal import LEFT_OUT, without_personal
from topics.contract.sample_files import sample
from topics.records.json_text import read, write
from topics.schema_base import Body, models_in

MARK = "canary-7f3a"
EXTRA = {"unknownToAll": MARK, "customAttributes": {MARK: MARK}}
"""Members that no model has, or that may hold anything."""


_CODE = re.compile(
    r".*(Code|Codes|Id|Sku|Type)|city|state|country|channelSerialNo|transporter|awbNumber|qcReason|returnOrderStatus"
)
"""Members that name goods, regions, carriers and kinds, and no person. Facts have some of them."""
_OF_SANDBOX = {"MKT-SHP-77120": "MKT-SHP-77001"}
"""The shipment of the samples, and that which the sandbox of the marketplace makes first."""


def marked_call(touchpoint: Touchpoint, suffix: str = "") -> dict[str, Any]:
    """The members of a valid call. `suffix` makes its codes others than those of the sample."""
    members = _recoded(sample(touchpoint.name).members, suffix)
    found = _marked(touchpoint.request, members)
    for name, value in (*_lacking(touchpoint.request, found), *EXTRA.items()):
        if _is_valid(touchpoint, {**found, name: value}):
            found[name] = value
    return found


def misplaced_marks(touchpoint: Touchpoint, suffix: str) -> Iterator[dict[str, Any]]:
    """The call again and again, each time with a mark in the place of another member, which mostly is no such value.
    A code may be any text, so none of them is a mark."""
    members = marked_call(touchpoint, suffix)
    for name, value in members.items():
        tried: list[dict[str, Any]] = [{name: MARK}]
        if isinstance(value, list) and value and isinstance(value[0], dict):
            tried += [{name: [{**value[0], inner: MARK}, *value[1:]]} for inner in value[0]]
        for wrong in tried:
            if not any(_CODE.fullmatch(one) for one in _marked_names(wrong)):
                yield {**members, **wrong}


def _marked_names(members: dict[str, Any]) -> Iterator[str]:
    """The members that are the mark itself."""
    for name, value in members.items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict):
                yield from _marked_names(one)
            elif one == MARK:
                yield name


def _recoded(value: Any, suffix: str, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _recoded(one, suffix, key) for key, one in value.items()}
    if isinstance(value, list):
        return [_recoded(one, suffix, name) for one in value]
    if not isinstance(value, str):
        return value
    is_code = name in ("orderCode", "forwardOrderCode", "returnOrderCode", "orderItemCode", "manifestId")
    return value + suffix if is_code else _OF_SANDBOX.get(value, value)


def _marked(model: type[Body], members: Mapping[str, Any]) -> dict[str, Any]:
    """The members with marks where `without_personal` keeps nothing, and the name does not say that it is a code."""
    kept = read(without_personal(model, write(members)))
    return {name: _mark(name, value, kept.get(name, LEFT_OUT)) for name, value in members.items()}


def _mark(name: str, value: Any, kept: Any) -> Any:
    if kept == LEFT_OUT:
        return value if _CODE.fullmatch(name) else _all_marked(value)
    if isinstance(value, dict) and isinstance(kept, dict):
        return {inner: _mark(inner, one, kept.get(inner, LEFT_OUT)) for inner, one in value.items()}
    if isinstance(value, list) and isinstance(kept, list):
        return [_mark(name, one, beside) for one, beside in zip(value, kept, strict=True)]
    return value


def _all_marked(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _all_marked(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_all_marked(one) for one in value]
    return MARK if isinstance(value, str) else value


def _lacking(model: type[Body], members: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Members that the model has and the call has not, with marks."""
    for name, field in model.model_fields.items():
        if name in members or _CODE.fullmatch(name):
            continue
        inner = next(models_in(field.annotation), None)
        if inner is not None:
            yield name, dict(_lacking(inner, {}))
        elif read(without_personal(model, write({name: MARK}))).get(name) == LEFT_OUT:
            yield name, MARK


def _is_valid(touchpoint: Touchpoint, members: dict[str, Any]) -> bool:
    try:
        read_call(touchpoint, members)
    except ValidationError:
        return False
    return True
