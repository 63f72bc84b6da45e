"""The rules for changes of the schema of a released fact: old and new readers must be able to read old and new facts.

A reader made for the released schema reads facts written today. A reader made today reads a topic that keeps a year of
facts of the released schema. So a schema may change in three ways only:

- an optional member may be added, which old readers ignore and old facts lack;
- known values may be added, because they are strings to a schema;
- texts for people may change.

A fact that has to change otherwise gets another name, beside the old one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from topics.records.facts.base import KNOWN_VALUES

Schema = Mapping[str, Any]

_WORDS = frozenset({"title", "description", "examples", "$defs", "$schema"})
"""Keywords that say nothing about the bytes of a fact. Definitions are compared where they are used."""
_COMPARED = frozenset({"properties", "required", "items", "additionalProperties", "anyOf", "default", KNOWN_VALUES})
_EQUAL = frozenset(
    {
        *("$id", "type", "const", "enum", "format", "pattern", "minimum", "maximum", "exclusiveMinimum"),
        *("exclusiveMaximum", "minLength", "maxLength", "minItems", "maxItems", "uniqueItems"),
    }
)
"""A stricter value breaks readers of old facts, a laxer one old readers of new facts."""
DEPTH_MAX = 32
"""Levels of a schema: those of facts have four. A schema that contains itself has no end."""


class SchemaError(ValueError):
    """A schema has a keyword that these rules do not cover; the message says which and where."""


def breaks(released: Mapping[str, Schema], present: Mapping[str, Schema]) -> Iterator[str]:
    """Each way in which the present schemas, by fact name, would break a reader of the released ones."""
    for name, old in released.items():
        new = present.get(name)
        if new is None:
            yield f"{name}: a fact that was released may not disappear"
        else:
            yield from (f"{name}{where}: {what}" for where, what in _schema_breaks(old, new))


def _schema_breaks(old: Schema, new: Schema) -> Iterator[tuple[str, str]]:
    yield from _compare(old, new, (old.get("$defs", {}), new.get("$defs", {})), "", DEPTH_MAX)


_Definitions = tuple[Schema, Schema]
_Breaks = Iterator[tuple[str, str]]


def _compare(old: Schema, new: Schema, definitions: _Definitions, where: str, depth: int) -> _Breaks:
    if depth == 0:
        raise SchemaError(f"{where}: nested more than {DEPTH_MAX} deep")
    old, new = _resolved(old, definitions[0], where), _resolved(new, definitions[1], where)
    for keyword in sorted((old.keys() | new.keys()) - _WORDS):
        if keyword not in _COMPARED and keyword not in _EQUAL:
            raise SchemaError(f"{where or 'the schema'}: {keyword} is not covered by topics.documents.compatibility")
        if keyword in _EQUAL and old.get(keyword) != new.get(keyword):
            yield where, f"{keyword} was {_text(old.get(keyword))}, is {_text(new.get(keyword))}"
    gone = [value for value in old.get(KNOWN_VALUES, ()) if value not in new.get(KNOWN_VALUES, ())]
    if gone:
        yield where, f"known values are gone: {', '.join(gone)}"
    yield from _members(old, new, definitions, where, depth)
    yield from _parts(old, new, definitions, where, depth)
    yield from _alternatives(old, new, definitions, where, depth)


def _members(old: Schema, new: Schema, definitions: _Definitions, where: str, depth: int) -> _Breaks:
    before, after = old.get("properties", {}), new.get("properties", {})
    required_before, required_after = set(old.get("required", ())), set(new.get("required", ()))
    for member, schema in before.items():
        place = f"{where}.{member}"
        if member not in after:
            yield place, "the member is gone"
            continue
        if member in required_before and member not in required_after:
            yield place, "was always there, may be absent now"
        if member not in required_before and member in required_after:
            yield place, "was optional, is required now: facts without it are still on the topic"
        yield from _compare(schema, after[member], definitions, place, depth - 1)
    for member in after.keys() - before.keys():
        if member in required_after:
            yield f"{where}.{member}", "a new member must be optional: facts without it are still on the topic"


def _parts(old: Schema, new: Schema, definitions: _Definitions, where: str, depth: int) -> _Breaks:
    """Compares entries of lists and values of maps."""
    for keyword, place in (("items", f"{where}[]"), ("additionalProperties", f"{where}.*")):
        before, after = old.get(keyword, True), new.get(keyword, True)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from _compare(before, after, definitions, place, depth - 1)
        elif before != after:
            yield place, f"{keyword} was {_text(before)}, is {_text(after)}"


def _alternatives(old: Schema, new: Schema, definitions: _Definitions, where: str, depth: int) -> _Breaks:
    """Compares alternatives, which have to be the same in the same order. A member that may be null has them."""
    before, after = old.get("anyOf", ()), new.get("anyOf", ())
    kinds = [[_kind(one, known) for one in many] for many, known in zip((before, after), definitions, strict=True)]
    if kinds[0] != kinds[1]:
        yield where, f"was {' or '.join(kinds[0]) or 'one type'}, is {' or '.join(kinds[1]) or 'one type'}"
        return
    for one, other in zip(before, after, strict=True):
        yield from _compare(one, other, definitions, where, depth - 1)


def _kind(schema: Schema, definitions: Schema) -> str:
    return str(_resolved(schema, definitions, "anyOf").get("type"))


def _resolved(schema: Schema, definitions: Schema, where: str) -> Schema:
    reference = schema.get("$ref")
    if reference is None:
        return schema
    name = str(reference).removeprefix("#/$defs/")
    if name not in definitions:
        raise SchemaError(f"{where}: {reference} leads nowhere")
    found: Schema = definitions[name]
    return {**found, **{keyword: value for keyword, value in schema.items() if keyword != "$ref"}}


def _text(value: Any) -> str:
    return "absent" if value is None else repr(value)
