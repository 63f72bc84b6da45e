"""From when the words are that set an entity's properties: an older word changes nothing that a newer one said."""

from __future__ import annotations

from collections.abc import Iterable

from streams.order.model.events import Event
from topics.records.word import CLOCKS_APART_MS


def note_said(said: dict[str, int], event: Event, names: Iterable[str]) -> list[str]:
    """Note in `said` from when the event's word on each of these properties is. Returns the names of those on which a
    newer word is known."""
    if not event.said_ms:
        return []
    named = [name for name in names if event.body.get(name) is not None]
    older = [name for name in named if said.get(name, 0) - event.said_ms > CLOCKS_APART_MS]
    said.update({name: max(event.said_ms, said.get(name, 0)) for name in named if name not in older})
    return older
