"""Which members of a call may name people: all but those whose type says that they cannot.

Kept are codes, quantities, amounts, times, flags and choices by the models of the contract, each only in the form that
its type takes: a free text that came in the place of a number is left out. Texts, addresses, custom attributes,
documents and members that no model has are left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final, Literal, get_args, get_origin

from topics.records.json_text import read, write
from topics.schema_base import Body, Kind, Reading, is_iso_time, models_in

LEFT_OUT: Final = "…"
"""Stands for a value that is not kept, so that one sees that there was one."""
_NUMBER = re.compile(r"\s*[+-]?[0-9]+\s*")
_CODE_MEMBERS: Final = re.compile(r".*(Code|Codes|Id|Sku|Type)")
_FLAGS: Final = frozenset({"true", "false"})


def without_personal(model: type[Body], body: bytes) -> bytes:
    """The text of a body without what may name people; nothing where it is no JSON object."""
    try:
        members = read(body)
    except ValueError:
        return b""
    return write(_kept(model, members)) if isinstance(members, dict) else b""


def _kept(model: type[Body], members: Mapping[str, Any]) -> dict[str, Any]:
    keeps = _members_of(model)
    return {
        name: keeps[name](value) if name in keeps else LEFT_OUT
        for name, value in members.items()
        if name in model.model_fields
    }


Keep = Callable[[Any], Any]


@cache
def _members_of(model: type[Body]) -> Mapping[str, Keep]:
    """For each member that can be kept, what is kept of its value."""
    found: dict[str, Keep] = {}
    for name, field in model.model_fields.items():
        keep = _keep_of(name, field.annotation, field.metadata)
        if keep is not None:
            found[name] = keep
    return found


def _keep_of(name: str, annotation: Any, metadata: list[Any]) -> Keep | None:
    inner = next(models_in(annotation), None)
    if inner is not None:
        return _of_model(inner)
    kinds = {one.kind for one in (*metadata, *_readings(annotation)) if isinstance(one, Reading)}
    if any(get_origin(part) is Literal for part in _parts(annotation)):
        choices = frozenset(
            choice for part in _parts(annotation) if get_origin(part) is Literal for choice in get_args(part)
        )
        return lambda value: value if isinstance(value, str) and value in choices else _simple(value)
    if Kind.TIME in kinds:
        return lambda value: value if isinstance(value, str) and is_iso_time(value) else _simple(value)
    if kinds & {Kind.COUNT, Kind.AMOUNT, Kind.FLAG}:
        return _simple
    if Kind.CODE in kinds and _CODE_MEMBERS.fullmatch(name):
        return _code
    return None


def _of_model(model: type[Body]) -> Keep:
    def keep(value: Any) -> Any:
        if isinstance(value, dict):
            return _kept(model, value)
        if isinstance(value, list):
            return [_kept(model, one) if isinstance(one, dict) else LEFT_OUT for one in value]
        return None if value is None else LEFT_OUT

    return keep


def _simple(value: Any) -> Any:
    """A flag, or a number that is one in any form."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return value if value.lower() in _FLAGS or _NUMBER.fullmatch(value) else LEFT_OUT
    return LEFT_OUT if isinstance(value, dict | list) else value


def _code(value: Any) -> Any:
    """A code, or a list of them. No member of the contract has lists in a list, however deep anybody nests them."""
    if isinstance(value, list):
        return [LEFT_OUT if isinstance(one, dict | list) else one for one in value]
    return LEFT_OUT if isinstance(value, dict) else value


def _parts(annotation: Any) -> list[Any]:
    """The annotation and all that it is made of."""
    return [annotation, *(part for one in get_args(annotation) for part in _parts(one))]


def _readings(annotation: Any) -> list[Any]:
    return [one for part in _parts(annotation) for one in getattr(part, "__metadata__", ())]
