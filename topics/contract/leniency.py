"""The lenient reading of a body: forms that Increff's JSON reader takes for a member become the member's own form.

Increff reads with Jackson, so clients send flags as text, counts as 2.0 and codes as numbers, and it works. The rules
are those of a default Jackson (Java's ObjectMapper); where Sluice differs, docs/values.md says so. That page is made by
calling `judged` (topics/documents/values_page.py).

What is read decides: keys, digests, quantities and states. What is sent to the far side are the caller's own members
(`own_members`). A body in which nothing differs is read as itself, and costs no more than its validation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable, Iterator
from decimal import Decimal
from functools import cache
from math import isfinite
from types import UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

from pydantic import ValidationError

from topics.contract.definition import Touchpoint
from topics.schema_base import TEXT_MAX, TEXTS, Body, Kind, NotJudged, Reading, canonical, models_in

Members = dict[str, Any]
Reader = Callable[[Any], Any]
"""Reads one value. Returns the very value where nothing differs, or where it cannot be read: then the model refuses
it."""

_FLAGS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_COUNT = re.compile(TEXTS[Kind.COUNT])
_AMOUNT = re.compile(TEXTS[Kind.AMOUNT])
UNJUDGED = get_args(NotJudged)[1]
"""Metadata of a member that passes whatever it is."""


class CallMembers(NamedTuple):
    """The members of a call in the contract's spelling. `own`: as they came, for the far side; `read`: as Sluice reads
    them, for everything else, and `own` itself when nothing differs."""

    own: Members
    read: Members

    @property
    def differs(self) -> bool:
        return self.read is not self.own


def read_call(touchpoint: Touchpoint, members: Members) -> CallMembers:
    """The members of a call, judged. Raises ValidationError."""
    own = canonical(touchpoint.name, members)
    return CallMembers(own, judged(touchpoint.request, own))


def read_call_in_steps(touchpoint: Touchpoint, members: Members) -> Generator[None, None, CallMembers]:
    """As `read_call`, in steps between which others may have the event loop. There is one if nothing differs."""
    own = canonical(touchpoint.name, members)
    validate = touchpoint.request.__pydantic_validator__.validate_python
    try:
        validate(own)
    except ValidationError as error:
        fault = error
    else:
        return CallMembers(own, own)
    yield
    read = normalised(touchpoint.request, own)
    if read is own:
        raise fault
    yield
    validate(read)
    return CallMembers(own, read)


def judged(model: type[Body], members: Any) -> Any:
    """The members as they are read: `members` itself when nothing differs. Raises ValidationError."""
    validate = model.__pydantic_validator__.validate_python
    try:
        validate(members)
    except ValidationError:
        read = normalised(model, members)
        if read is members:
            raise
        validate(read)
        return read
    return members


def normalised(model: type[Body], members: Any) -> Any:
    """The members as they are read, not judged: `members` itself when nothing differs. Values that cannot be read
    stay as they are."""
    return _reader_of_model(model)(members) if type(members) is dict else members


def own_members(sent: Members, read: Members, own: Members) -> Members:
    """`sent`, which was made of `read`, with the caller's `own` form of each value that is still the same.

    Items of a list may have been left out, and members may have been added.
    """
    if sent is read:
        return own
    return {name: _own_value(value, read[name], own[name]) if name in own else value for name, value in sent.items()}


def _own_value(value: Any, read: Any, own: Any) -> Any:
    if value is read or value == read:
        return own
    if isinstance(value, list) and isinstance(read, list) and isinstance(own, list):
        known = {id(item): n for n, item in enumerate(read)}
        return [_own_item(item, known.get(id(item)), read, own) for item in value]
    return value


def _own_item(item: Any, index: int | None, read: list[Any], own: list[Any]) -> Any:
    if index is not None:
        return own[index]
    if not isinstance(item, dict):
        return item
    for known, mine in zip(read, own, strict=True):
        # An item to which something was added: it has all that was read, and more.
        if isinstance(known, dict) and all(item.get(name) == value for name, value in known.items() if value):
            return own_members(item, known, mine)
    return item


def as_text(value: Any) -> str | None:
    """A value as the text that Jackson makes of it; None for an object, a list and a number that JSON does not have."""
    if isinstance(value, str):
        return value
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, int):
        return _digits(value)
    return str(value) if isinstance(value, float) and isfinite(value) else None


def _digits(value: int) -> str | None:
    try:
        return str(value)
    except ValueError:  # Python makes no text of more than 4,300 digits
        return None


def flag_of(value: Any) -> bool | None:
    """A flag in any of its forms; None for what is neither true nor false. An integer is true unless it is 0."""
    if isinstance(value, int):
        return value != 0
    return _FLAGS.get(value.strip()) if isinstance(value, str) else None


def _flag(value: Any) -> Any:
    flag = flag_of(value)
    return value if flag is None or value is flag else flag


def _count(value: Any) -> Any:
    """A number without a fraction, however it is printed. Never rounded: Jackson would make 2 of 2.5."""
    if isinstance(value, float):
        return int(Decimal(str(value))) if value.is_integer() else value
    if type(value) is str:
        text = value.strip()
        return int(text) if len(text) <= TEXT_MAX and _COUNT.fullmatch(text) else value
    return value


def _amount(value: Any) -> Any:
    if type(value) is not str:
        return value
    text = value.strip()
    if len(text) > TEXT_MAX or not _AMOUNT.fullmatch(text):
        return value
    number = float(text)
    return int(number) if number.is_integer() else number


def _text(value: Any) -> Any:
    text = as_text(value)
    return value if text is None else text


def _time(value: Any) -> Any:
    text = value.strip() if type(value) is str else value
    return value if text == value else text


def _as_it_is(value: Any) -> Any:
    return value


_READERS: dict[Kind, Reader] = {
    Kind.FLAG: _flag,
    Kind.COUNT: _count,
    Kind.AMOUNT: _amount,
    Kind.TEXT: _text,
    Kind.CODE: _text,
    Kind.TIME: _time,
    Kind.CHOICE: _as_it_is,
}

_NULL = ("", "null")
_ABSENT: dict[Kind, tuple[str, ...]] = {
    Kind.FLAG: _NULL,
    Kind.COUNT: _NULL,
    Kind.AMOUNT: _NULL,
    Kind.TIME: ("",),
    Kind.CODE: ("",),
    Kind.CHOICE: ("",),
}
"""Texts by which an optional member says that it is absent. An empty text is a text, where one is asked for."""


def members_not_judged(model: type[Body], where: str = "") -> Iterator[str]:
    """The names of the members that pass whatever they are, those of its lists' objects included."""
    for name, field in model.model_fields.items():
        if UNJUDGED in field.metadata:
            yield where + name
        else:
            for inner in models_in(field.annotation):
                yield from members_not_judged(inner, f"{where}{name}.")


def is_absent_when_empty(reading: Any) -> bool:
    """Whether an optional member that is read so is absent when it is an empty text."""
    return isinstance(reading, Reading) and "" in _ABSENT.get(reading.kind, ())


def _optional(kind: Kind) -> Reader:
    read, absent, exact = _READERS[kind], _ABSENT.get(kind, ()), kind is Kind.CODE
    if not absent:
        return read

    def reader(value: Any) -> Any:
        if type(value) is str and (value if exact else value.strip()) in absent:
            return None
        return read(value)

    return reader


@cache
def _reader_of_model(model: type[Body]) -> Reader:
    found = {name: _reader(field.annotation, field.metadata) for name, field in model.model_fields.items()}
    readers = {name: one for name, one in found.items() if one is not None}

    def reader(value: Any) -> Any:
        if type(value) is not dict:
            # PHP prints an empty object as an empty list.
            return {} if type(value) is list and not value else value
        changed: Members | None = None
        for name, read_member in readers.items():
            member = value.get(name)
            if member is None:
                continue
            read = read_member(member)
            if read is not member:
                if changed is None:
                    changed = dict(value)
                changed[name] = read
        return value if changed is None else changed

    return reader


def _reader(annotation: Any, metadata: Iterable[Any] = (), *, optional: bool = False) -> Reader | None:
    """The reader of a member; None for one that is taken as it is."""
    if UNJUDGED in metadata:
        return None
    for one in metadata:
        if isinstance(one, Reading):
            return _optional(one.kind) if optional else _READERS[one.kind]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _reader(arguments[0], arguments[1:], optional=optional)
    if origin in (Union, UnionType):
        return _reader_of_alternatives(arguments)
    if origin is list:
        item = _reader(arguments[0])
        return None if item is None else _reader_of_list(item)
    if isinstance(annotation, type) and issubclass(annotation, Body):
        return _reader_of_optional_object(annotation) if optional else _reader_of_model(annotation)
    return None


def _reader_of_optional_object(model: type[Body]) -> Reader:
    """PHP's empty list says that there is no such object, where one may not be empty."""
    read = _reader_of_model(model)
    may_be_empty = not any(field.is_required() for field in model.model_fields.values())

    def reader(value: Any) -> Any:
        return None if type(value) is list and not value and not may_be_empty else read(value)

    return reader


def _reader_of_alternatives(arguments: tuple[Any, ...]) -> Reader | None:
    optional = type(None) in arguments
    readers = [
        reader for one in arguments if one is not type(None) and (reader := _reader(one, optional=optional)) is not None
    ]
    return _reader_of_several(readers) if len(readers) > 1 else next(iter(readers), None)


def _reader_of_several(readers: list[Reader]) -> Reader:
    def reader(value: Any) -> Any:
        """A text and a whole number are one of the alternatives as they are; other values become the first that they
        fit."""
        if type(value) is int or (type(value) is str and value):
            return value
        return next((read for one in readers if (read := one(value)) is not value), value)

    return reader


def _reader_of_list(read_item: Reader) -> Reader:
    def reader(value: Any) -> Any:
        if type(value) is not list:
            return value
        changed: list[Any] | None = None
        for n, item in enumerate(value):
            read = read_item(item)
            if read is not item:
                if changed is None:
                    changed = list(value)
                changed[n] = read
        return value if changed is None else changed

    return reader
