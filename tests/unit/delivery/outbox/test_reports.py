"""A question of a search to Increff is answered to the gateway that waits, in time, and never at the cost of orders."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from streams.delivery.outbox.reports import REPLY_PARTITIONS
from streams.delivery.ports import Answer
from tests.fakes.delivery import START_MS, Played, channels_for, request_for
from topics.records.verdicts import Reply, Verdict, decode_reply

SEARCH = "search-inventory-marketplace"
DEADLINE_MS = START_MS + 3_000


def question(number: int = 0, *, reply: int = 5, deadline_ms: int = DEADLINE_MS) -> Any:
    body = {"channelSkuCodes": ["A"]}
    asked = request_for(SEARCH, f"~{number}", f"q{number}", body=body, deadline_ms=deadline_ms)
    return replace(asked, withdraw=True, reply=reply)


def replies(worker: Played) -> dict[int | None, list[Reply]]:
    told: dict[int | None, list[Reply]] = {}
    for effect in worker.durable.effects:
        if effect.topic == "replies":
            told.setdefault(effect.partition, []).append(decode_reply(effect.value))
    return told


@pytest.mark.parametrize(
    ("status", "verdict"),
    [(200, Verdict.ANSWERED), (400, Verdict.REFUSED), (500, Verdict.FAILED), (None, Verdict.FAILED)],
)
async def test_who_waits_learns_what_became_of_it_once_and_in_time(status: int | None, verdict: Verdict) -> None:
    worker = await Played(channels_for()).start()
    body = b'{"successList":[],"failureList":["A"]}'
    worker.sender.far = lambda _call, _before: Answer(status=status, headers={}, body=body)
    worker.give(question())
    await worker.clock.run_for(3_000)
    (reply,) = replies(worker)[5]
    assert (reply.event, reply.verdict) == ("q0", verdict)
    if verdict is Verdict.ANSWERED:
        assert reply.body == {"successList": [], "failureList": ["A"]}
    assert worker.outcomes() == []  # of an order there is nothing to tell
    assert {effect.topic for effect in worker.durable.effects} <= {"replies", "deliveries.attempts"}


async def test_an_address_that_there_is_not_ends_no_role() -> None:
    worker = await Played(channels_for()).start()
    worker.give(question(0, reply=REPLY_PARTITIONS), question(1, reply=-1))
    await worker.clock.run_for(3_000)
    assert (replies(worker), worker.crashes) == ({}, [])


async def test_questions_leave_half_of_the_budget_to_orders() -> None:
    """However many come: what they took would be missed by an order a moment later."""
    worker = await Played(channels_for(increff={"budget": {"requests": 40, "window_s": 60}})).start()
    worker.give(*(question(number, deadline_ms=START_MS + 30_000) for number in range(100)))
    await worker.clock.run_for(2_000)
    asked = len(worker.sender.arrivals)
    assert 0 < asked <= 22
    worker.give(*(request_for("create-outward-order", f"o{n}", f"o{n}") for n in range(18)))
    await worker.clock.run_for(1_000)
    assert len([name for name in worker.sender.ids() if name.startswith("o")]) == 18
    await worker.clock.run_for(30_000)
    verdicts = [reply.verdict for reply in replies(worker)[5]]
    assert len(verdicts) == 100
    assert Verdict.FAILED in verdicts
