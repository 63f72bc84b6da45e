"""An hour of traffic through the role, by a clock of the test's own, with a tick every ten seconds.

Property: healthy orders, some of them just in time, raise nothing; one that gets stuck is raised at most 30 s late,
even when ticks are missed, the worker restarts or a backlog is decided late; nothing else is raised.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from functools import partial
from itertools import count

import orjson

from tests.support.orders import (
    START_MS,
    acknowledgement_body,
    create_body,
    handover_body,
    pack_body,
)
from tests.support.orders_log import PARTITIONS, Logs, make_channels
from topics.records.deliveries import DeliveryRequest, decode_request, request_id
from topics.records.envelope import iso_time

SEED = 20_251_125
ORDERS = 1_500
HOUR_MS = 3_600_000
TICK_MS = 10_000
LATE_MS_MAX = 30_000
LIMITS_S = {"submit_s": 60, "acknowledge_s": 300, "pack_s": 600, "handover_s": 900}
STEPS = ("submit", "acknowledge", "pack", "hand-over")


class Hour:
    """Orders that come over an hour; each step takes up to 99 % of what is allowed, or never ends."""

    def __init__(self, stuck: float) -> None:
        self.random = random.Random(SEED)
        self.logs = Logs(channels=make_channels(sla={**LIMITS_S, "dispatch_near_s": 1_800}))
        self.numbers = count()
        self.requests: dict[str, DeliveryRequest] = {}
        self.read = 0
        self.todo: list[tuple[int, int, Callable[[], None]]] = []
        self.expected: dict[tuple[str, str], int] = {}
        """(order, the step in which it stays) -> when that is too long."""
        for number in range(ORDERS):
            step = self.random.randrange(len(STEPS)) if self.random.random() < stuck else len(STEPS)
            self.at(START_MS + self.random.randrange(HOUR_MS), partial(self.create, f"O-{number}", step))

    def at(self, at_ms: int, action: Callable[[], None]) -> None:
        heapq.heappush(self.todo, (at_ms, next(self.numbers), action))

    def create(self, code: str, stays: int) -> None:
        by = iso_time(self.logs.now_ms + 2 * HOUR_MS)
        self.logs.call("create-outward-order", create_body(code, dispatchByTime=by), f"create-{code}")
        self.next(code, 0, stays)

    def next(self, code: str, step: int, stays: int) -> None:
        """The order now waits in `step`."""
        if step == len(STEPS):
            return
        limit_ms = list(LIMITS_S.values())[step] * 1000
        if step == stays:
            self.expected[code, STEPS[step]] = self.logs.now_ms + limit_ms
        else:
            took_ms = round(limit_ms * self.random.uniform(0.01, 0.99))
            self.at(self.logs.now_ms + took_ms, partial(self.move, code, step, stays))

    def move(self, code: str, step: int, stays: int) -> None:
        logs = self.logs
        if step == 0:
            self.answer(f"create-{code}")
        elif step == 1:
            logs.call("acknowledgement", acknowledgement_body(code), f"ack-{code}")
        elif step == 2:
            logs.call("pack-order", pack_body(1, code, sku_1=2, sku_2=1), f"pack-{code}")
            self.answer(f"pack-{code}")
        else:
            logs.call("handover-notification", handover_body(code=code), f"gone-{code}")
        self.next(code, step + 1, stays)

    def answer(self, event_id: str) -> None:
        """What the far side says to the request of an event."""
        self.logs.run()
        for effect in self.logs.effects[self.read :]:
            if effect.topic == "deliveries.requests":
                request = decode_request(effect.value)
                self.requests[request.id] = request
        self.read = len(self.logs.effects)
        self.logs.answer(self.requests[request_id(event_id)], body={"shipmentCode": "S-1"})

    def run(self) -> None:
        tick_ms = START_MS
        until_ms = START_MS + 2 * HOUR_MS
        while tick_ms < until_ms:
            tick_ms += TICK_MS
            while self.todo and self.todo[0][0] <= tick_ms:
                at_ms, _, action = heapq.heappop(self.todo)
                self.logs.now_ms = max(self.logs.now_ms, at_ms)
                action()
                if self.random.random() < 0.7:
                    self.logs.run()  # else it is decided later, with what comes before the next tick
            self.logs.run()
            if self.random.random() < 0.1:
                self.logs.crash_before_commit(self.random.randrange(PARTITIONS), 3)
            if tick_ms // TICK_MS % 5 == 0:
                continue  # missed
            self.logs.tick(max(self.logs.now_ms, tick_ms))

    def raised(self) -> dict[tuple[str, str], int]:
        """(order, step) -> when it was raised."""
        found: dict[tuple[str, str], int] = {}
        for effect in self.logs.effects:
            if effect.topic == "orders.events" and dict(effect.headers)["ce_type"] == b"sluice.fact.order-stuck":
                fact = orjson.loads(effect.value)
                about = (fact["orderCode"], fact["step"])
                assert about not in found, f"raised twice (seed {SEED}): {fact}"
                found[about] = fact["atMs"]
        return found


def test_healthy_traffic_raises_nothing() -> None:
    hour = Hour(stuck=0)
    hour.run()
    assert hour.raised() == {}, f"seed {SEED}"
    assert sum(state["state"] == "HANDED_OVER" for state in hour.logs.states_by_key().values()) == ORDERS


def test_what_gets_stuck_is_raised_in_time_and_nothing_else() -> None:
    hour = Hour(stuck=0.05)
    hour.run()
    raised = {about: at_ms for about, at_ms in hour.raised().items() if about[1] != "dispatch"}
    assert raised.keys() == hour.expected.keys(), f"seed {SEED}"
    for about, at_ms in raised.items():
        due_ms = hour.expected[about]
        assert due_ms <= at_ms <= due_ms + LATE_MS_MAX, f"{about}: {at_ms - due_ms} ms late (seed {SEED})"
