"""A channel that fails in every way a channel can, and keeps what it was told in the order in which it arrived."""

from __future__ import annotations

import random

import orjson

from streams.delivery.ports import Answer, Call
from tests.fakes.delivery import ManualClock
from tests.fakes.stock_oracle import Item

LATE_MAX_MS = 44_000
"""How late a call may still arrive whose answer was lost: the far side gives up after 45 s (contract 0.3)."""
TIMEOUT_MS = 30_000

Position = tuple[str, str]
"""Location and SKU."""


class FailingChannel:
    """streams.delivery.ports.Sender. `calm`: it does everything right from now on."""

    def __init__(self, chance: random.Random, clock: ManualClock) -> None:
        self._chance = chance
        self._clock = clock
        self.calm = False
        self.has: dict[Position, Item] = {}
        self.wire: dict[Position, list[Item]] = {}
        """All that was sent of each position, in the order in which it left."""
        self.calls = 0
        self.in_air: set[Position] = set()
        self.raced: list[Position] = []
        """Positions that were in two calls of one worker at once."""
        self._late: list[tuple[int, int, dict[Position, Item]]] = []
        self._bad: dict[str, int] = {}
        """SKUs that the channel does not take, and until when."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def unready(self) -> str | None:
        return None

    async def send(self, call: Call) -> Answer:
        members = call.members or {}
        told = {(members["locationCode"], item["channelSkuCode"]): item for item in members["inventories"]}
        self.arrive()
        self.calls += 1
        for position, item in told.items():
            self.wire.setdefault(position, []).append(item)
            if position in self.in_air:
                self.raced.append(position)
        self.in_air |= told.keys()
        try:
            answer, takes_ms = self._decide(told)
            await self._clock.pass_time(takes_ms)
        finally:
            self.in_air -= told.keys()
        return answer

    def arrive(self) -> None:
        """What was under way for long is here by now."""
        now_ms = self._clock.now_ms()
        for late in sorted(one for one in self._late if one[0] <= now_ms):
            self._late.remove(late)
            self.has.update(late[2])

    def _decide(self, told: dict[Position, Item]) -> tuple[Answer, int]:
        chance, now_ms = self._chance, self._clock.now_ms()
        takes_ms = chance.choice((2, 10, 60, 300))
        luck = 1.0 if self.calm else chance.random()
        if luck < 0.03:
            self._bad[chance.choice(list(told))[1]] = now_ms + chance.choice((2_000, 30_000))
        if luck < 0.07:  # not even read
            status = chance.choice((400, 500, 503, 404))
            return Answer(status=status, headers={}), takes_ms
        if luck < 0.10:
            return Answer(status=429, headers={"Retry-After": str(chance.randint(0, 4))}), takes_ms
        if luck < 0.15:  # half of it, or all, in spite of the answer
            self.has.update(list(told.items())[:: chance.randint(1, 2)])
            return Answer(status=chance.choice((500, 502, 504)), headers={}), takes_ms
        if luck < 0.25:  # nobody hears of it
            arrives = chance.choice((None, 0, chance.randint(1, LATE_MAX_MS)))
            if arrives is not None:
                self._late.append((now_ms + arrives, self.calls, told))
            return Answer(status=None, error="timed out"), TIMEOUT_MS
        failed = [] if self.calm else [sku for _, sku in told if self._bad.get(sku, 0) > now_ms]
        self.has.update({position: item for position, item in told.items() if position[1] not in failed})
        answer = {"successList": [sku for _, sku in told if sku not in failed], "failureList": failed}
        return Answer(status=200, headers={}, body=orjson.dumps(answer)), takes_ms
