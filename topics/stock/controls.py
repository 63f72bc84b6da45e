"""Controls of stock: what operators asked of a channel or of one location, the records of `inventory.controls`.

The record under `channel` holds for all its locations, the one under `channel|location` for that location as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from topics.records.keys import join, split


class Ask(BaseModel):
    """A resync or a reconciliation that was asked for. Of those for a channel and its locations the latest counts."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    id: str
    at_ms: int = Field(ge=0)


class Control(BaseModel):
    """The last word of operators about a channel, or about one of its locations."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    paused: bool = Field(default=False, description="Whether no stock is sent")
    resync: Ask | None = Field(default=None, description="Every position is sent again, once")
    reconcile: Ask | None = Field(default=None, description="Positions are compared with what the channel has, once")
    at_ms: int = Field(default=0, description="When it was written, epoch milliseconds")

    def encode(self) -> bytes:
        return self.model_dump_json().encode()


NOTHING_ASKED = Control()


class Scope(NamedTuple):
    """The channel or location that a control is about; without a location it is the whole channel."""

    channel: str
    location: str | None = None

    @property
    def key(self) -> bytes:
        return join(self.channel) if self.location is None else join(self.channel, self.location)


def scope_of(key: bytes) -> Scope:
    """Raises ValueError for a key that `Scope.key` does not make."""
    channel, *location = split(key)
    if len(location) > 1:
        raise ValueError("its key has more parts than channel and location")
    return Scope(channel, location[0] if location else None)


class ControlIndex:
    """All controls by their scope. A reader of the topic fills it."""

    def __init__(self) -> None:
        self._all: dict[Scope, Control] = {}
        self.unreadable: set[Scope] = set()
        """Scopes with an unreadable record; nothing is sent there."""
        self.listeners: list[Callable[[Scope], None]] = []

    def apply(self, key: bytes, value: bytes | None) -> None:
        """Takes one record of `inventory.controls`. Raises ValueError for one that this version cannot read: it may be
        a pause, so it counts as one."""
        scope = scope_of(key)
        failed: ValidationError | None = None
        self._all.pop(scope, None)
        self.unreadable.discard(scope)
        if value is not None:
            try:
                self._all[scope] = Control.model_validate_json(value)
            except ValidationError as error:
                self.unreadable.add(scope)
                failed = error
        for listener in self.listeners:
            listener(scope)
        if failed is not None:
            raise failed

    def of(self, scope: Scope) -> Control:
        return self._all.get(scope, NOTHING_ASKED)

    def is_paused(self, channel: str, location: str) -> bool:
        """By the control of the channel or the location. An unreadable control may be a pause, so it counts as one."""
        scopes = (Scope(channel), Scope(channel, location))
        return any(self.of(scope).paused or scope in self.unreadable for scope in scopes)

    def resync_of(self, channel: str, location: str) -> Ask | None:
        """The last resync that was asked for this location, alone or with its channel."""
        return _newest(self.of(Scope(channel)).resync, self.of(Scope(channel, location)).resync)

    def asked_ms(self, channel: str) -> int:
        """When the last resync or reconciliation of the channel or of one of its locations was asked for."""
        controls = (control for scope, control in self._all.items() if scope.channel == channel)
        asks = (ask for control in controls for ask in (control.resync, control.reconcile) if ask is not None)
        return max((ask.at_ms for ask in asks), default=0)

    def reconcile_of(self, channel: str, location: str) -> Ask | None:
        """The last reconciliation that was asked for this location, alone or with its channel."""
        return _newest(self.of(Scope(channel)).reconcile, self.of(Scope(channel, location)).reconcile)


def _newest(*asks: Ask | None) -> Ask | None:
    return max((ask for ask in asks if ask is not None), key=lambda ask: (ask.at_ms, ask.id), default=None)
