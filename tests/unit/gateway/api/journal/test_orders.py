"""/api/orders lists what the journal has, page by page; without a journal it says which setting to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from tests.fakes.gateway import gateway
from tests.support.journal.database import file_url, played_journal

ORDERS = 30


async def test_pages_have_each_order_once_the_newest_first(tmp_path: Path) -> None:
    async with played_journal(tmp_path, orders=ORDERS), gateway(journal_url=file_url(tmp_path)) as at:
        found: list[dict[str, Any]] = []
        path = "/api/orders?limit=7"
        while path:
            response = await at.client.get(path)
            page = await response.json()
            assert response.status == 200, page
            assert len(page["orders"]) <= 7
            found += page["orders"]
            path = page["next"]
        assert len({order["code"] for order in found}) == len(found) == ORDERS
        times = [order["receivedMs"] for order in found]
        assert times == sorted(times, reverse=True)


async def test_filters_choose_and_stay_on_the_next_page(tmp_path: Path) -> None:
    async with played_journal(tmp_path, orders=ORDERS), gateway(journal_url=file_url(tmp_path)) as at:
        everything = (await (await at.client.get("/api/orders?limit=200")).json())["orders"]
        state = everything[0]["state"]
        page = await (await at.client.get(f"/api/orders?channel=demo&state={state}&limit=2")).json()
        following = await (await at.client.get(page["next"])).json()
        wanted = [order["code"] for order in everything if order["state"] == state]
        assert [order["code"] for order in (*page["orders"], *following["orders"])] == wanted[:4]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("cursor=x", "cursor: it is no cursor of this list"),
        ("cursor=WzEsMiwzXQ", "cursor: it is of another list"),
        ("cursor=WyJ4Il0", "cursor: it is no cursor of this list"),
        ("limit=201", "limit: must be"),
        (f"state={'x' * 65}", "state: must have at most 64"),
    ],
)
async def test_what_cannot_be_is_refused(tmp_path: Path, query: str, says: str) -> None:
    async with played_journal(tmp_path, orders=1), gateway(journal_url=file_url(tmp_path)) as at:
        response = await at.client.get(f"/api/orders?{query}")
        problem = await response.json()
        assert (response.status, problem["code"]) == (400, "BAD_DATA")
        assert says in problem["detail"]


async def test_a_cursor_of_other_filters_is_refused(tmp_path: Path) -> None:
    async with played_journal(tmp_path, orders=3), gateway(journal_url=file_url(tmp_path)) as at:
        page = await (await at.client.get("/api/orders?limit=1")).json()
        response = await at.client.get(f"{page['next']}&state=PACKED")
        assert response.status == 400
        assert "other filters" in (await response.json())["detail"]


async def test_without_a_journal_the_setting_is_named_and_nothing_is_made(tmp_path: Path) -> None:
    async with gateway(journal_url=file_url(tmp_path)) as at:
        response = await at.client.get("/api/orders")
        problem = await response.json()
        assert (response.status, problem["code"]) == (503, "JOURNAL_AWAY")
        assert "SLUICE_JOURNAL_URL" in problem["detail"]
        assert response.headers["Retry-After"]
        assert list(tmp_path.iterdir()) == []


async def test_a_journal_that_comes_later_is_read(tmp_path: Path) -> None:
    async with gateway(journal_url=file_url(tmp_path)) as at:
        assert (await at.client.get("/api/orders")).status == 503
        async with played_journal(tmp_path, orders=1):
            assert (await at.client.get("/api/orders")).status == 200


async def test_a_query_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    async with played_journal(tmp_path, orders=1) as engine:
        async with engine.begin() as connection:
            await connection.execute(text("ALTER TABLE orders RENAME TO other"))
            endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT * FROM other, n"
            await connection.execute(text(f"CREATE VIEW orders AS {endless} ORDER BY i"))
        async with gateway(journal_url=file_url(tmp_path), journal_time_out_s=0.05) as at:
            response = await at.client.get("/api/orders")
            assert (response.status, (await response.json())["code"]) == (503, "JOURNAL_SLOW")
