"""The page docs/values.md, made by reading each of its values as the roles do (topics/contract/leniency.py)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import ValidationError, create_model

from topics.contract.leniency import judged, members_not_judged
from topics.contract.touchpoints import TOUCHPOINTS
from topics.documents.markdown import GENERATED, document, table
from topics.records.json_text import read, write
from topics.schema_base import Amount, Body, Code, Count, Flag, Kind, Reading, Text, Time, problems

_CHOICE = Annotated[Literal["COD", "NCOD"], Reading(Kind.CHOICE)]
TYPES: dict[Kind, Any] = {
    Kind.FLAG: Flag,
    Kind.COUNT: Count,
    Kind.AMOUNT: Amount,
    Kind.TEXT: Text,
    Kind.CODE: Code,
    Kind.TIME: Time,
    Kind.CHOICE: _CHOICE,
}
"""A type of each kind. The choice stands for any list of words."""

_WORDS = ("true", "false", '"true"', '"false"', '"False"', '"TRUE"', '" true "', '"maybe"', '"yes"')
_WHOLE = ("0", "1", "2", "2.0", "1.0000", "1e0", "2.5", "-1", "4711", "9400111899223197428490")
_WRITTEN = ('"2"', '" 2 "', '"007"', '"2.0"', '"2.5"', '"-1"', '"499.0000"', '"1e3"', '"12,50"', '"two"', '"1"', '"0"')
_TIMES = (
    '"2020-10-16T20:22:28.000+05:30"',
    '"2020-10-16T14:52:28Z"',
    '"2020-10-16T20:22:28.000+05:30[Asia/Kolkata]"',
    '"2020-10-16T18:52:28+04:00[Asia/Dubai]"',
    '"2020-10-16T14:52:28Z[UTC]"',
    '"2020-10-16T14:52:28[UTC]"',
    '"2020-10-16T14:52:28Z[UTC][UTC]"',
    '"2020-10-16"',
    '"yesterday"',
)
_OTHERS = ('"COD"', '"cod"', '""', '" "', '"null"', "null", "[]", "{}", "[2]")
VALUES = (*_WORDS, *_WHOLE, *_WRITTEN, *_OTHERS)
TIMES = (*_TIMES, "1602861748", '""')
"""JSON texts, one a row."""

_HEAD = """\
# Which values does Sluice take?

Increff reads bodies with Jackson, a JSON reader of Java, which takes more than one form of a value. Clients rely on it:
they send flags as text, counts as 2.0, codes as numbers. Sluice reads the same forms, with the rules of a default
Jackson, wherever a body comes from: over HTTP, from Kafka, in `sluice check`, and in the answers of far sides.

- What is read decides: keys, digests, quantities and states. So 4711 and `"4711"` are one order, and 2, 2.0 and `"2"`
  are one quantity.
- What the far side gets are the caller's own members, digit for digit. Stock is the exception: positions are kept, so
  the values that are read leave.
- A value that cannot be read is refused, with the name of its member.

The tables are made by reading each value (`topics/contract/leniency.py`). The kind of each member is in the schemas of
`/openapi.json` and [asyncapi.json](asyncapi.json)."""

_KINDS = """\
A code is a text that may not be empty; a choice is one of the words that the contract lists, here `COD` and `NCOD`. A
cell says what is read; an empty one means that the value is refused."""

_ZONES = """\
A time is ISO-8601. After an offset or `Z` it may name one zone in brackets, as Java prints it; the offset counts. An
optional time is absent when it is an empty text."""

_DIFFERENCES = """\
## Where Sluice differs from Jackson

| value | a default Jackson | Sluice |
|---|---|---|
| 2.5 for a count | cut to 2 | refused: nothing is rounded |
| a number for one of the contract's words | taken as a place in Increff's list | refused: nobody knows that list |
| a number for a time | taken as seconds since 1970 | refused: clients mean milliseconds as often |
| an empty text for an optional code or word | a text, or refused | absent |
| `[]` for an object | refused | an empty object, as PHP writes it |
| a number with an exponent for a code | its text as it came | its text without the exponent: 1e3 is `1000.0` |"""

_NOT_JUDGED = """\
## Members that Sluice passes on without a look

Optional members on their way from Increff to a marketplace, on which no key, quantity or state depends. No parcel waits
in the warehouse because one of them has another type."""


class Answer(NamedTuple):
    """The reading of a value. `fault`: why it is refused; else `value` is what is read."""

    value: Any = None
    fault: str = ""


def answer(kind: Kind, text: str, *, optional: bool = False) -> Answer:
    """The reading of a JSON text as the value of a member of this kind."""
    try:
        members = judged(model_of(kind, optional=optional), read(b'{"member": %b}' % text.encode()))
    except ValidationError as error:
        return Answer(fault=problems(error)[0].removeprefix("member: "))
    return Answer(members["member"])


@cache
def model_of(kind: Kind, *, optional: bool) -> type[Body]:
    member: Any = (TYPES[kind] | None, None) if optional else (TYPES[kind], ...)
    return create_model("OfKind", __base__=Body, member=member)


def text() -> str:
    return document(
        [
            GENERATED,
            _HEAD,
            "## Values of a required member",
            _KINDS,
            _table(optional=False),
            "## What an optional member takes besides",
            _table(optional=True),
            "## Times",
            _ZONES,
            table(("value", Kind.TIME), ((f"`{shown}`", _shown(answer(Kind.TIME, shown))) for shown in TIMES)),
            _DIFFERENCES,
            _NOT_JUDGED,
            table(("call", "members"), _not_judged()),
        ]
    )


def _table(*, optional: bool) -> str:
    kinds = [kind for kind in Kind if kind is not Kind.TIME]
    rows = ((shown, [answer(kind, shown, optional=optional) for kind in kinds]) for shown in VALUES)
    if optional:
        rows = ((shown, cells) for shown, cells in rows if cells != [answer(kind, shown) for kind in kinds])
    return table(("value", *kinds), ((f"`{shown}`", *map(_shown, cells)) for shown, cells in rows))


def _shown(one: Answer) -> str:
    if one.fault:
        return ""
    return "absent" if one.value is None else f"`{write(one.value).decode()}`"


def _not_judged() -> Iterator[tuple[str, str]]:
    for touchpoint in TOUCHPOINTS:
        names = list(members_not_judged(touchpoint.request))
        if names:
            yield touchpoint.name, ", ".join(f"`{name}`" for name in names)
