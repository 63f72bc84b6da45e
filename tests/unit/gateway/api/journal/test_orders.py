"""/api/orders lists what the journal has, page by page; without a journal it says which setting to look at."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import text

from journal.queries.orders.branches import STATES
from journal.queries.orders.candidates import SOURCES
from journal.story.causes import CAUSES
from streams.order.model.states import ManifestState, OrderState, ReturnState
from tests.fakes.gateway import FakeLags, channels_with, gateway
from tests.support.journal.causes import BEHIND, CASES, PARTITIONS, put_rows
from tests.support.journal.database import file_url, played_journal
from topics.api.journal.routes import CAUSE_NAMES

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


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def causes(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    directory: Path = tmp_path_factory.mktemp("journal")
    async with played_journal(directory, orders=0) as engine:
        await put_rows(engine, [row for case in (*CASES, BEHIND) for row in case.rows])
        yield file_url(directory)


@pytest.mark.parametrize("cause", CAUSE_NAMES)
async def test_orders_are_chosen_by_what_they_wait_for(causes: str, cause: str) -> None:
    cases = [case for case in (*CASES, BEHIND) if case.cause == cause and case.rows]
    lag = next((case.lag for case in cases if case.lag is not None), None)
    channels = channels_with(second="paused")
    channels = channels.model_copy(update={"channels": {**channels.channels, "far": channels.channels["demo"]}})
    settings: dict[str, Any] = {"journal_url": causes, "partitions": PARTITIONS}
    async with gateway(channels=channels, lags=FakeLags(lag), **settings) as at:
        found: dict[str, Any] = {}
        path = f"/api/orders?cause={cause}&limit=1"
        while path:
            response = await at.client.get(path)
            page = await response.json()
            assert response.status == 200, page
            found |= {order["code"]: order["wait"] for order in page["orders"]}
            path = page["next"]
        for case in cases:
            assert case.says in found[case.code]["sentence"]
        assert {wait["cause"] for wait in found.values()} == {cause}
        assert (await (await at.client.get(f"/api/orders?cause={cause}&channel=demo&state=X")).json())["orders"] == []


async def test_the_newest_orders_of_one_thing_or_several(causes: str) -> None:
    async with gateway(journal_url=causes, partitions=PARTITIONS) as at:

        async def codes(query: str) -> list[str]:
            response = await at.client.get(f"/api/orders?{query}")
            assert response.status == 200, await response.text()
            return [order["code"] for order in (await response.json())["orders"]]

        everything = await codes("limit=200")
        assert await codes("channel=demo&limit=200") == everything
        assert await codes("location=DXB-WH-01&limit=200") == everything
        assert await codes("kind=order&open=true&limit=200") == [code for code in everything if code != "O-refused"]
        assert await codes("kind=return") == await codes("location=elsewhere") == []
        assert await codes("olderThan=599") == everything
        assert await codes("olderThan=601") == await codes("newerThan=599") == []
        assert await codes("dueWithin=3601") == ["O-far"]
        assert await codes("dueWithin=3600") == []


async def test_an_order_in_a_list_says_what_it_waits_for(causes: str) -> None:
    async with gateway(journal_url=causes, partitions=PARTITIONS) as at:
        orders = (await (await at.client.get("/api/orders?limit=200")).json())["orders"]
        waits = {order["code"]: order["wait"]["cause"] for order in orders if order["wait"]}
        wanted = {case.code: case.cause for case in CASES if case.rows and case.lag is None}
        assert {code: waits[code] for code in wanted} == wanted


async def test_an_id_leads_to_its_order_by_the_whole_and_by_its_beginning(tmp_path: Path) -> None:
    async with played_journal(tmp_path, orders=4), gateway(journal_url=file_url(tmp_path)) as at:

        async def found(text: str) -> list[Any]:
            response = await at.client.get("/api/search", params={"q": text})
            assert response.status == 200, await response.text()
            return list((await response.json())["found"])

        (order, *_) = (await (await at.client.get("/api/orders?limit=1")).json())["orders"]
        code = order["code"]
        assert (code, "order") in {(one["code"], one["idKind"]) for one in await found(code)}
        assert code in {one["code"] for one in await found(code[:3])}
        assert await found(code[:2]) == await found("no such thing") == []
        assert await found("%%%") == await found("'; DROP TABLE ids") == []
        entries = (await (await at.client.get(f"/api/orders/{code}/timeline")).json())["entries"]
        for entry in entries:
            request = entry["data"].get("request_id")
            if request:
                assert code in {one["code"] for one in await found(request)}
        listed = (await (await at.client.get("/api/orders", params={"text": code})).json())["orders"]
        assert code in {one["code"] for one in listed}
        assert (await at.client.get("/api/search")).status == 400


async def test_a_timeline_has_each_record_once_with_its_place(tmp_path: Path) -> None:
    async with played_journal(tmp_path, orders=6), gateway(journal_url=file_url(tmp_path)) as at:
        codes = [order["code"] for order in (await (await at.client.get("/api/orders")).json())["orders"]]
        for code in codes:
            whole = await at.client.get(f"/api/orders/{code}/timeline?whole=true")
            assert whole.headers["Content-Disposition"] == f"attachment; filename*=UTF-8''order-{code}.json"
            everything = (await whole.json())["entries"]
            pages: list[Any] = []
            path = f"/api/orders/{code}/timeline?limit=1"
            while path:
                page = await (await at.client.get(path)).json()
                pages += page["entries"]
                path = page["next"]
            assert pages == everything
            places = [(one["topic"], one["partition"], one["offset"], one["data"].get("number")) for one in everything]
            assert len(set(places)) == len(places)
            assert [one["atMs"] for one in everything] == sorted(one["atMs"] for one in everything)
            assert {"fact", "request"} <= {one["kind"] for one in everything}
            assert all(one["body"]["bytes"] for one in everything if one["kind"] == "request")
        assert (await at.client.get("/api/orders/no-such/timeline")).status == 404


def test_the_api_names_the_causes_and_lists_know_all_states() -> None:
    assert tuple(cause.name for cause in CAUSES) == CAUSE_NAMES
    assert set(SOURCES) == set(CAUSE_NAMES)
    states = {*OrderState, *ReturnState, *ManifestState, ""}
    assert set(STATES) == states
