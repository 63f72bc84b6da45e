"""Choices among dead letters, the same in both steps: deliveries.dead is read up to an end, which the token keeps.

So the second step finds the letters that were shown, at any gateway; what came later is not among them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.api.dead_letters import LetterChoice
from gateway.api.steps.tokens import Token
from gateway.http.answers import Refused
from gateway.ports import Log, LogReading

PREVIEW_READ_S: Final = 25.0
"""How long a preview may read: shorter than proxies wait for an answer."""


@dataclass(frozen=True, slots=True)
class ShownLetters:
    """The letters that a preview showed: `count` of those before `ends`, with this digest."""

    digest: str
    count: int
    ends: Mapping[int, int]


def shown_by(token: Token) -> ShownLetters:
    return ShownLetters(token.digest, token.count, {int(partition): end for partition, end in token.ends.items()})


async def previewed(dead: Log, choice: LetterChoice) -> Mapping[int, int]:
    """Chooses among all letters until now; returns where they end. Raises Refused when that takes too long."""
    try:
        async with asyncio.timeout(PREVIEW_READ_S), dead.reading() as reading:
            ends = dict(reading.ends)
            await _choose(reading, choice, ends, asyncio.Event())
            return ends
    except TimeoutError:
        message = f"deliveries.dead has more than can be read in {PREVIEW_READ_S:g} s"
        raise Refused(503, "TOO_MUCH", message, "name a later `since`", retry_after_s=1) from None


async def choose_again(dead: Log, choice: LetterChoice, shown: ShownLetters, stop: asyncio.Event) -> str:
    """Chooses among the letters that the preview read; returns how they differ from those shown, empty: not at all, or
    it was stopped."""
    async with dead.reading() as reading:
        await _choose(reading, choice, shown.ends, stop)
    if stop.is_set() or choice.digest() == shown.digest:
        return ""
    return (
        f"{len(choice.chosen)} fit now and {shown.count} were shown: some are not kept any more, or a subscription was "
        "enabled, disabled or removed"
    )


async def _choose(reading: LogReading, choice: LetterChoice, ends: Mapping[int, int], stop: asyncio.Event) -> None:
    reading.seek(await reading.offsets_at(choice.since_ms))
    while not reading.at_end and not stop.is_set():
        for partition, record in await reading.next():
            if record.offset < ends.get(partition, 0):
                choice.on_record(partition, record)
