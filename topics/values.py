"""Values that are made by the million.

A Struct of msgspec is made in C: an envelope in a seventh of the time that a dataclass takes, and an event of an order
makes about ten values.
"""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import Any, get_type_hints

from msgspec import NODEFAULT, Struct
from msgspec.structs import fields


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
        (one.name, hints[one.name], dataclasses.field(default=one.default))
        if one.default is not NODEFAULT
        else (one.name, hints[one.name], dataclasses.field())
        for one in fields(kind)
    ]
    made = dataclasses.make_dataclass(kind.__name__, members, kw_only=True)
    made.__doc__ = kind.__doc__
    return made
