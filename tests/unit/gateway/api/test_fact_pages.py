"""A receiver gets all facts that follow a sequence, whatever the log has beside them, or is told that they are gone."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.api import fact_pages
from gateway.api.fact_pages import HOUR_MS, Incarnation, Page, page_of
from gateway.http.answers import Refused
from gateway.ports import Outgoing
from tests.fakes.gateway import FakeKafka, gateway
from tests.fakes.log import START_MS, FakeFacts
from topics.records.envelope import Envelope, iso_time
from topics.records.keys import order_key
from topics.records.verdicts import Reply, Verdict

KEY, OTHER = order_key("demo", "A-1"), order_key("demo", "B-1")
MINUTE_MS = 60_000


class Ticking:
    """Each look at the clock is 50 ms later."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        self.now_ms += 50
        return self.now_ms


def story(times: dict[int, int]) -> Incarnation:
    return Incarnation("demo", "A-1", KEY, START_MS, times)


async def read(log: FakeFacts, known: Incarnation, after: int = 0, limit: int = 100, at: int | None = None) -> Page:
    async with log.reading([0]) as reading:
        return await page_of(reading, known, after, limit, Ticking(max(known.times.values()) + 2 * HOUR_MS), at)


def sequences(page: Page) -> list[int]:
    return [event["data"]["sequence"] for event in page.events]


def minutely(log: FakeFacts, count: int, between: int = 0) -> dict[int, int]:
    """`count` facts, one a minute, with others' between them; returns the times that the order remembers."""
    times = {}
    for sequence in range(1, count + 1):
        times[sequence] = START_MS + sequence * MINUTE_MS
        log.write(KEY, sequence, times[sequence])
        for n in range(between):
            log.write(OTHER, (sequence - 1) * between + n + 1, times[sequence] + n)
    return times


async def test_facts_come_in_order_and_as_subscribers_get_them() -> None:
    log = FakeFacts()
    times = minutely(log, 5, between=4)
    page = await read(log, story(times), after=2)
    assert (sequences(page), page.at) == ([3, 4, 5], None)
    assert page.events[0]["type"] == "order-updated"
    assert page.events[0]["timestamp"] == iso_time(times[3])


async def test_what_lies_between_is_passed_over() -> None:
    log = FakeFacts()
    log.write(KEY, 1, START_MS)
    for n in range(300):
        log.write(OTHER, n + 1, START_MS + n * MINUTE_MS)
    log.write(KEY, 2, START_MS + 400 * MINUTE_MS)
    assert sequences(await read(log, story({1: START_MS, 2: START_MS + 400 * MINUTE_MS}))) == [1, 2]
    assert len(log.looked_at) < 30


async def test_facts_that_the_order_has_forgotten_are_found_from_its_beginning() -> None:
    log = FakeFacts()
    times = minutely(log, 9, between=2)
    known = story({sequence: times[sequence] for sequence in (8, 9)})
    assert sequences(await read(log, known)) == list(range(1, 10))


async def test_pages_follow_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    log = FakeFacts()
    known = story(minutely(log, 7, between=3))
    monkeypatch.setattr(fact_pages, "RECORDS_MAX", 9)
    found: list[int] = []
    at: int | None = None
    for _ in range(20):
        page = await read(log, known, after=len(found), limit=2, at=at)
        assert len(page.events) <= 2
        found += sequences(page)
        at = page.at
        if at is None:
            break
    assert found == list(range(1, 8))


async def test_repeats_and_what_was_written_too_late_do_not_count() -> None:
    log = FakeFacts()
    log.write(KEY, 1, START_MS, epoch=1)
    log.write(OTHER, 1, START_MS + 1, epoch=2)
    log.write(KEY, 2, START_MS + 2, epoch=1, created_ms=START_MS)
    log.write(KEY, 1, START_MS, epoch=2)
    log.write(KEY, 2, START_MS + 2, epoch=2)
    log.write(KEY, 2, START_MS + 2, epoch=2)
    log.write(KEY, 3, START_MS + 3, epoch=2)
    page = await read(log, story({1: START_MS, 2: START_MS + 2, 3: START_MS + 3}))
    assert sequences(page) == [1, 2, 3]


async def test_an_order_that_had_the_code_before_is_another_one() -> None:
    log = FakeFacts()
    for sequence in (1, 2, 3):
        log.write(KEY, sequence, START_MS - 90 * 24 * HOUR_MS, created_ms=START_MS - 90 * 24 * HOUR_MS)
    times = minutely(log, 3)
    page = await read(log, story({3: times[3]}))
    assert [event["data"]["atMs"] for event in page.events] == [times[1], times[2], times[3]]


@pytest.mark.parametrize("behind_ms", [20_000, 5 * HOUR_MS])
async def test_clocks_that_are_apart_cost_a_longer_search(behind_ms: int) -> None:
    log = FakeFacts()
    times = {sequence: START_MS + sequence * MINUTE_MS for sequence in (1, 2, 3)}
    for sequence, at_ms in times.items():
        log.write(KEY, sequence, at_ms, sent_ms=at_ms - behind_ms)
    assert sequences(await read(log, story(times))) == [1, 2, 3]


async def test_a_role_that_was_down_wrote_late() -> None:
    log = FakeFacts()
    times = {sequence: START_MS + sequence * MINUTE_MS for sequence in (1, 2, 3)}
    for sequence, at_ms in times.items():
        log.write(OTHER, sequence, at_ms, sent_ms=START_MS + 3 * HOUR_MS)
        log.write(KEY, sequence, at_ms, sent_ms=START_MS + 3 * HOUR_MS)
    assert sequences(await read(log, story(times))) == [1, 2, 3]


async def test_what_retention_took_is_410_and_says_what_is_kept() -> None:
    log = FakeFacts()
    times = minutely(log, 5, between=1)
    log.begins = 5
    with pytest.raises(Refused) as refused:
        await read(log, story(times), after=1)
    assert (refused.value.status, refused.value.code) == (410, "FACTS_GONE")
    assert refused.value.message == "Facts 2 to 3 of A-1 are not kept any more"
    assert refused.value.description.endswith("after=3")
    assert sequences(await read(log, story(times), after=3)) == [4, 5]


async def test_when_all_are_gone_the_log_is_not_read_to_its_end() -> None:
    log = FakeFacts()
    known = story(minutely(log, 2))
    for n in range(300):
        log.write(OTHER, n + 1, START_MS + (n + 1) * HOUR_MS)
    log.begins = 2
    with pytest.raises(Refused, match="Facts 1 to 2 of A-1"):
        await read(log, known)
    assert len(log.looked_at) < 30


async def test_a_fact_that_is_just_being_written_is_waited_for_and_then_503() -> None:
    log = FakeFacts()
    log.write(KEY, 1, START_MS)
    async with log.reading([0]) as reading:
        with pytest.raises(Refused) as refused:
            await page_of(reading, story({1: START_MS, 2: START_MS + 1}), 0, 9, Ticking(START_MS + 10))
    assert (refused.value.status, refused.value.code) == (503, "LATE")


def told(document: Any) -> FakeKafka:
    def decide(envelope: Envelope, _record: Outgoing) -> Reply:
        return Reply(event=envelope.id, verdict=Verdict.ANSWERED, body=document)

    return FakeKafka(decide=decide)


def document(times: dict[int, int]) -> dict[str, Any]:
    facts = [{"sequence": sequence, "name": "order-updated", "atMs": at_ms} for sequence, at_ms in times.items()]
    return {"channel": "demo", "orderCode": "A-1", "createdAtMs": START_MS, "facts": facts}


async def test_the_api_gives_pages_and_where_the_next_one_is() -> None:
    log = FakeFacts()
    times = minutely(log, 3)
    async with gateway(kafka=told(document(times))) as at:
        at.facts.records = log.records
        first = await (await at.client.get("/api/orders/A-1/events?after=0&limit=2")).json()
        assert [event["data"]["sequence"] for event in first["events"]] == [1, 2]
        assert (first["order"], first["channel"], first["last"]) == ("A-1", "demo", 3)
        second = await (await at.client.get(first["next"])).json()
        assert [event["data"]["sequence"] for event in second["events"]] == [3]
        assert second["next"] is None
        none = await (await at.client.get("/api/orders/A-1/events?after=3")).json()
        assert (none["events"], none["next"]) == ([], None)


@pytest.mark.parametrize(
    ("query", "found", "status", "code"),
    [
        ("after=1", None, 404, "UNKNOWN"),
        ("after=-1", {1: START_MS}, 400, "BAD_DATA"),
        ("after=x", {1: START_MS}, 400, "BAD_DATA"),
        ("limit=501", {1: START_MS}, 400, "BAD_DATA"),
        ("limit=0", {1: START_MS}, 400, "BAD_DATA"),
        ("after=0", {1: START_MS - 2 * HOUR_MS}, 410, "FACTS_GONE"),
    ],
)
async def test_errors_are_problem_details(query: str, found: dict[int, int] | None, status: int, code: str) -> None:
    async with gateway(kafka=told(document(found) if found else None)) as at:
        at.facts.write(OTHER, 1, START_MS)
        response = await at.client.get(f"/api/orders/A-1/events?{query}")
        assert response.content_type == "application/problem+json"
        problem = await response.json(content_type=None)
        assert (response.status, problem["code"]) == (status, code)
