"""What a story led to, as lines of JSON: every effect with its bytes, every record set aside, the state in its meaning.

State is written as the decoded entities are, member by member, so that another storage format changes nothing here. Of
the stored bytes there is one digest per story, in a file of its own.
"""

from __future__ import annotations

from collections import Counter
from enum import Enum
from functools import cache
from hashlib import blake2b
from typing import Any

import msgspec
from msgspec import NODEFAULT, Struct

from streams.order.model.entity import Entity
from streams.order.model.parts import Delivery
from streams.runtime.role import GONE, Effect
from tests.golden.world import Event, World
from topics.records.json_text import raw_of
from topics.records.verdicts import decode_reply

_JSON = msgspec.json.Encoder(enc_hook=raw_of, order="sorted")
_MARK_CHARS = 4
"""Of the digest of the state after an event: enough to see at which event it is another."""

Line = dict[str, Any]


def record(name: str, world: World) -> list[Line]:
    """The lines of a story that was told: its counts, its events, its entities in the end."""
    events = [_event(event) for event in world.events]
    entities = {_text(key): plain(entity) for key, entity in world.entities().items()}
    return [
        {"story": name, "events": len(events), "counts": dict(sorted(_counts(world).items()))},
        *events,
        *({"entity": key, "is": members} for key, members in entities.items()),
    ]


class StoredBytes:
    """A digest of every change of a table, in the order in which they were made."""

    def __init__(self) -> None:
        self._hash = blake2b(digest_size=8)

    def note(self, table: str, key: bytes, value: bytes | None) -> None:
        head = f"{table}|{len(key)}|{-1 if value is None else len(value)}|"
        self._hash.update(head.encode() + key + (value or b""))

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()


def plain(value: Any, channel: str = "") -> Any:
    """A value by the names of its members, without those that have their default. How it is stored plays no part.

    `channel`: of the entity that it is a part of.
    """
    if isinstance(value, str | int | float | None):
        return str(value) if isinstance(value, Enum) else value
    if isinstance(value, Struct):
        channel = value.channel if isinstance(value, Entity) else channel
        members = [(name, default, getattr(value, name)) for name, default in _members_of(type(value))]
        found = {name: plain(member, channel) for name, default, member in members if member != default}
        if isinstance(value, Delivery):
            del found["call"], found["stored_destination"]
            found |= {"touchpoint": value.touchpoint, "destination": value.destination(channel)}
        return found
    if isinstance(value, dict):
        return {str(name): plain(member, channel) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [plain(member, channel) for member in value]
    return value


def encoded(value: Any) -> bytes:
    """The one text of a line."""
    return _JSON.encode(value)


@cache
def _members_of(kind: type[Struct]) -> tuple[tuple[str, Any], ...]:
    """The members of a kind of entity or part, each with its default."""
    found = []
    for one in msgspec.structs.fields(kind):
        default = one.default if one.default_factory is NODEFAULT else one.default_factory()
        found.append((one.name, default))
    return tuple(found)


def _event(event: Event) -> Line:
    line: Line = {"event": event.label, "effects": [_effect(effect) for effect in event.effects]}
    if event.aside is not None:
        line["aside"] = list(event.aside)
    if event.states:
        states = {_text(key): plain(entity) for key, entity in event.states.items()}
        line["state"] = blake2b(encoded(states), digest_size=8).hexdigest()[:_MARK_CHARS]
    return line


def _effect(effect: Effect) -> Line:
    value = None if effect.value is GONE else _text(effect.value)
    headers = [[name, _text(content)] for name, content in effect.headers]
    return {
        "topic": effect.topic,
        "partition": effect.partition,
        "key": _text(effect.key),
        "headers": headers,
        "value": value,
    }


def _counts(world: World) -> Counter[str]:
    found: Counter[str] = Counter()
    for effect in world.effects:
        kind = next((_text(content) for name, content in effect.headers if name == "ce_type"), "")
        verdict = f" {decode_reply(effect.value).verdict}" if kind == "sluice.reply" else ""
        found[f"{effect.topic} {kind.removeprefix('sluice.')}{verdict}"] += 1
    for code, _ in world.rejected:
        found[f"set aside {code}"] += 1
    return found


def _text(raw: bytes) -> str:
    """Bytes as text. Bytes that are none stay visible."""
    return bytes(raw).decode(errors="backslashreplace")
