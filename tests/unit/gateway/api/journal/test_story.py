"""`/story` tells for each cause what an order waits for, with proof, end and action, from the journal's rows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest
import pytest_asyncio

from tests.fakes.gateway import FakeKafka, FakeLags, gateway, silent
from tests.support.journal.causes import BEHIND, CASES, NOW_MS, PARTITIONS, Case, put_rows
from tests.support.journal.database import file_url, played_journal


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def journal(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    directory: Path = tmp_path_factory.mktemp("journal")
    async with played_journal(directory, orders=0) as engine:
        await put_rows(engine, [row for case in (*CASES, BEHIND) for row in case.rows])
        yield file_url(directory)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.code)
async def test_each_cause_has_its_sentence_and_its_action(journal: str, case: Case) -> None:
    async with gateway(journal_url=journal, partitions=PARTITIONS, lags=FakeLags(case.lag)) as at:
        response = await at.client.get(f"/api/orders/{case.code}/story")
        told = await response.json()
        assert response.status == 200, told
        wait = told["wait"]
        assert (wait["cause"], wait["untilMs"] if case.until_ms else None) == (case.cause, case.until_ms)
        assert case.says in wait["sentence"]
        assert case.says in told["headline"]
        assert wait["actions"][0]["name"] == case.action
        assert wait["proof"]["topic"]
        assert wait["sinceMs"] <= NOW_MS
        assert sum(told["account"]["parts"].values()) == told["account"]["wholeMs"]


async def test_what_waits_behind_another_is_told_with_what_holds_that_up(journal: str) -> None:
    async with gateway(journal_url=journal, partitions=PARTITIONS) as at:
        told = await (await at.client.get(f"/api/orders/{BEHIND.code}/story")).json()
        first, behind = told["waits"]
        assert (first["cause"], behind["cause"]) == ("back-off", "behind-request")
        assert BEHIND.says in behind["sentence"]
        assert first["sentence"] in behind["sentence"]


async def test_the_place_in_the_queue_counts_those_before_and_by_the_budget_says_when(journal: str) -> None:
    """Increff's demo budget is 200 a minute, in three shards or fewer."""
    async with gateway(journal_url=journal, partitions=PARTITIONS) as at:
        wait = (await (await at.client.get("/api/orders/O-budget/story")).json())["wait"]
        assert wait["place"] >= 1
        assert wait["untilMs"] >= NOW_MS


async def test_an_order_of_which_nothing_is_known_is_a_404_with_its_story(journal: str) -> None:
    async with gateway(journal_url=journal, partitions=PARTITIONS) as at:
        response = await at.client.get(f"/api/orders/{quote('no such', safe='')}/story")
        problem = await response.json()
        assert (response.status, problem["code"]) == (404, "UNKNOWN")
        assert problem["story"]["state"] == "UNKNOWN"
        assert problem["detail"] == "Nothing is known of order no such of demo."


async def test_the_story_is_told_when_the_orders_role_does_not_answer(journal: str) -> None:
    case = CASES[0]
    at_all = gateway(
        kafka=FakeKafka(decide=silent), journal_url=journal, partitions=PARTITIONS, lags=FakeLags(case.lag)
    )
    async with at_all as at:
        response = await at.client.get(f"/api/orders/{case.code}")
        problem = await response.json()
        assert (response.status, problem["code"]) == (503, "LATE")
        assert case.says in problem["story"]["headline"]
        assert problem["story"]["ordersBehind"] == 7
