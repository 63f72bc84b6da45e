"""Values that are made by the million: frozen to the type checker, plain dataclasses at run time.

A frozen dataclass sets each attribute through `object.__setattr__`, which makes it four times as dear to make; an event
of an order makes about ten of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def value(cls: type[T]) -> type[T]:
    """A dataclass with slots that nobody changes once it is made. Compared and hashed by what it holds."""
    return dataclass(slots=True, unsafe_hash=True)(cls)


@dataclass_transform(frozen_default=True, kw_only_default=True)
def named_value(cls: type[T]) -> type[T]:
    """As `value`, made with names only."""
    return dataclass(slots=True, unsafe_hash=True, kw_only=True)(cls)
