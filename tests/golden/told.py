"""The stories, told: their lines and digests, compared with the recorded ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.golden.differences import compare
from tests.golden.recording import Line, StoredBytes, encoded, record
from tests.golden.stories import STORIES
from tests.golden.world import World


@dataclass
class Told:
    """What all stories led to."""

    lines: list[bytes] = field(default_factory=list)
    stored: dict[str, str] = field(default_factory=dict)

    def is_as_recorded(self, lines: list[Line], stored: dict[str, str], say: Callable[[str], None]) -> bool:
        """Compares with what is recorded, and says what differs."""
        effects = said_of_effects(lines, [json.loads(line) for line in self.lines])
        changed = said_of_stored(stored, self.stored)
        for words in (effects, changed):
            if words:
                say(words)
        return not effects and not changed


def tell_all() -> Told:
    told = Told()
    for name in STORIES:
        world, digest = tell(name)
        told.lines += [encoded(line) for line in record(name, world)]
        told.stored[name] = digest
    return told


def tell(name: str, *, watched: bool = True) -> tuple[World, str]:
    """One story, and the digest of what it stored."""
    world, stored = World(watched=watched), StoredBytes()
    world.on_puts = stored.note
    STORIES[name](world)
    return world, stored.digest


def said_of_effects(recorded: list[Line], now: list[Line]) -> str:
    """What differs, in words; empty when nothing does."""
    differences = compare(recorded, now)
    if not differences.kinds:
        return ""
    return (
        f"What leaves differs from what is recorded:\n{differences}\n\n"
        "If that is meant: `python -m tests.golden write`, and the commit says what changed and why."
    )


def said_of_stored(recorded: dict[str, str], now: dict[str, str]) -> str:
    """Which stories store other bytes; empty when none does."""
    changed = [name for name in {**recorded, **now} if recorded.get(name) != now.get(name)]
    if not changed:
        return ""
    return (
        f"Other bytes are stored in: {', '.join(changed)}. If that is meant, and state of earlier versions is still "
        "read: `python -m tests.golden write --stored`."
    )
