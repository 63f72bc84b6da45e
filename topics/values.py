"""Values that are made by the million, and enumerations that are read as often.

A Struct of msgspec is made in C: an envelope in a seventh of the time that a dataclass takes, and an event of an order
makes about ten values.
"""

from __future__ import annotations

import dataclasses
from enum import Enum
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar, get_type_hints

from msgspec import NODEFAULT, UNSET, Struct
from msgspec.structs import fields

EnumT = TypeVar("EnumT", bound=Enum)


def quick_members(kind: type[EnumT]) -> type[EnumT]:
    """Decorates an enumeration that is read for every event: its members, and their values, are found at once.

    In Python 3.11 `Kind.MEMBER` is looked up in vain before a function in Python is asked for it, and `member.value` is
    another such function: 0.15 us each, 15 times as much as any other attribute. Since 3.12 members are as here.
    """
    for member in kind:
        type.__setattr__(kind, member.name, member)
    type.__setattr__(kind, "value", property(attrgetter("_value_")))
    return kind


class Value(Struct, frozen=True):
    """A value that nobody changes once it is made. Compared and hashed by what it holds.

    Each class says `frozen=True` again, for the type checker, and `kw_only=True` where it is made with names only.
    """

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """For the documents: described as a dataclass with the same members."""
        return handler.generate_schema(_described(cls))


@cache
def _described(kind: type[Value]) -> type:
    """A dataclass with the members of a value; one for each, because pydantic knows a class by its identity."""
    hints = get_type_hints(kind, include_extras=True)
    members = [
        (one.name, hints[one.name], dataclasses.field(default=None if one.default is UNSET else one.default))
        if one.default is not NODEFAULT
        else (one.name, hints[one.name], dataclasses.field())
        for one in fields(kind)
    ]
    made = dataclasses.make_dataclass(kind.__name__, members, kw_only=True)
    made.__doc__ = kind.__doc__
    return made
