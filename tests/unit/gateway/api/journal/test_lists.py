"""The lists of deliveries, dead letters, rejected records, destinations and due orders, from a played journal."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import pytest_asyncio
from yarl import URL

from gateway.api.journal.due import day_end_ms
from gateway.http.answers import Refused
from journal.queries.deliveries import STATES
from tests.fakes.gateway import Gateway, gateway
from tests.support.journal.database import file_url, played_journal
from tests.support.journal.records import BEGIN_MS, DAY_MS
from topics.api.journal.list_routes import DELIVERY_STATES
from topics.records.json_text import read, write

ORDERS = 60
DUE_MS = 1_796_013_000_000
"""The `dispatchByTime` of all played orders."""
HOUR_MS = 3_600_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def directory(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Path]:
    path = tmp_path_factory.mktemp("journal")
    async with played_journal(path, orders=ORDERS):
        yield path


async def pages(at: Gateway, path: str, member: str) -> list[dict[str, Any]]:
    """All rows of a list, page by page."""
    found: list[dict[str, Any]] = []
    following: str | None = path
    while following:
        response = await at.client.get(following)
        page = await response.json()
        assert response.status == 200, page
        found += page[member]
        following = page["next"]
    return found


async def test_deliveries_are_listed_once_the_newest_first(directory: Path) -> None:
    async with gateway(api_reads_per_s=10_000, journal_url=file_url(directory)) as at:
        found = await pages(at, "/api/deliveries?limit=7&attempts=true", "deliveries")
        assert len({one["id"] for one in found}) == len(found) >= ORDERS
        assert {one["state"] for one in found} == {"delivered", "retrying", "dead", "skipped"}
        for one in found:
            assert one["attemptCount"] >= len(one["attempts"]) >= 1
            assert one["body"] is None
        assert await pages(at, "/api/deliveries?limit=50", "deliveries") == [{**one, "attempts": None} for one in found]


@pytest.mark.parametrize(
    ("query", "states"),
    [
        ("state=waiting", {"retrying"}),
        ("state=retrying", {"retrying"}),
        ("state=queued", set()),
        ("state=held", set()),
        ("state=dead", {"dead"}),
        ("state=refused", set()),
        (
            "destination=increff&touchpoint=create-outward-order&channel=demo",
            {"delivered", "retrying", "dead", "skipped"},
        ),
        ("destination=subscription:sub_x", set()),
        ("touchpoint=pack-order", set()),
        ("order=O-7&channel=demo", None),
        ("order=O-7", None),
        ("order=O-7777", set()),
        ("until=2020-01-01", set()),
        ("since=2030-01-01", set()),
        ("since=2025-06-15T15:06:41Z&until=2030-01-01T00:00:00%2B05:30", {"delivered", "retrying", "dead", "skipped"}),
    ],
)
async def test_filters_choose(directory: Path, query: str, states: set[str] | None) -> None:
    async with gateway(api_reads_per_s=10_000, journal_url=file_url(directory)) as at:
        everything = await pages(at, "/api/deliveries", "deliveries")
        found = await pages(at, f"/api/deliveries?limit=5&{query}", "deliveries")
        if states is None:
            assert {one["code"] for one in found} == {"O-7"}
        else:
            assert {one["state"] for one in found} == states
            fitting = {one["id"] for one in everything if one["state"] in states}
            assert {one["id"] for one in found} == fitting


async def test_a_body_is_shown_on_demand_without_what_may_name_people(directory: Path) -> None:
    async with gateway(api_reads_per_s=10_000, journal_url=file_url(directory)) as at:
        (one, *_) = (await (await at.client.get("/api/deliveries?order=O-7&bodies=true")).json())["deliveries"]
        assert one["body"]["form"] == "reduced"
        assert one["body"]["content"]["orderCode"] == "O-7"
        assert "CANARY" not in await (await at.client.get("/api/deliveries?bodies=true&limit=200")).text()


async def test_dead_letters_and_their_groups_agree(directory: Path) -> None:
    async with gateway(api_reads_per_s=10_000, journal_url=file_url(directory)) as at:
        without_end = await pages(at, "/api/dead-letters?limit=3", "deadLetters")
        everything = await pages(at, "/api/dead-letters?limit=3&all=true", "deadLetters")
        assert {one["ended"] for one in without_end} == {None}
        assert {one["ended"] for one in everything} == {None, "skipped"}
        assert {one["id"] for one in without_end} < {one["id"] for one in everything}
        times = [one["diedMs"] for one in everything]
        assert times == sorted(times, reverse=True)
        answer = await (await at.client.get("/api/dead-letters/groups")).json()
        (group,) = answer["groups"]
        assert (group["destination"], group["touchpoint"], group["reason"]) == (
            "increff",
            "create-outward-order",
            "500",
        )
        assert group["count"] == len(without_end)
        assert (group["firstMs"], group["lastMs"]) == (min(o["diedMs"] for o in without_end), without_end[0]["diedMs"])
        assert group["example"] in without_end
        assert answer["more"] is False


@pytest.mark.parametrize(
    ("query", "fits"),
    [
        ("reason=500", True),
        ("reason=404", False),
        ("reason=timed", False),
        ("kind=dead", True),
        ("kind=refused", False),
        ("destination=increff&touchpoint=create-outward-order", True),
        ("destination=channel:demo", False),
        ("touchpoint=pack-order", False),
        ("since=2020-01-01&until=2030-01-01", True),
        ("until=2020-01-01", False),
    ],
)
async def test_dead_letters_are_filtered_alike_in_list_and_groups(directory: Path, query: str, fits: bool) -> None:
    async with gateway(api_reads_per_s=10_000, journal_url=file_url(directory)) as at:
        everything = await pages(at, "/api/dead-letters", "deadLetters")
        found = await pages(at, f"/api/dead-letters?{query}", "deadLetters")
        groups = (await (await at.client.get(f"/api/dead-letters/groups?{query}")).json())["groups"]
        assert found == (everything if fits else [])
        assert sum(group["count"] for group in groups) == len(found)


async def test_rejected_records_and_their_groups_agree(directory: Path) -> None:
    async with gateway(api_reads_per_s=10_000, journal_url=file_url(directory)) as at:
        found = await pages(at, "/api/rejected?limit=3&bodies=true", "rejected")
        assert len(found) > 3
        assert "CANARY" not in str(found)
        assert found[0]["body"]["bytes"]
        (group,) = (await (await at.client.get("/api/rejected/groups")).json())["groups"]
        assert (group["code"], group["count"]) == ("no_envelope", len(found))
        assert {**group["example"], "body": None} in [{**one, "body": None} for one in found]
        code = found[0]["key"].partition("|")[2]
        assert {one["key"] for one in await pages(at, f"/api/rejected?order={code}", "rejected")} == {f"demo|{code}"}
        assert await pages(at, "/api/rejected?code=no_envelope&limit=2", "rejected") == [
            {**one, "body": None} for one in found
        ]
        for query in ("code=other", "role=orders", "touchpoint=pack-order", "channel=demo", "since=2030-01-01"):
            assert await pages(at, f"/api/rejected?{query}", "rejected") == []


async def test_a_destination_says_how_it_does(directory: Path) -> None:
    now_ms = BEGIN_MS + 41 * DAY_MS
    async with gateway(api_reads_per_s=10_000, journal_url=file_url(directory), now_ms=now_ms) as at:
        shown = (await (await at.client.get("/api/destinations")).json())["destinations"]
        assert [one["name"] for one in shown] == ["increff", "channel:demo"]
        increff, demo = shown
        assert (increff["kind"], increff["health"]) == ("increff", "paused")
        assert increff["pause"]["by"]
        assert increff["error"] == "HTTP 500"
        waiting = await pages(at, "/api/deliveries?state=waiting", "deliveries")
        (queue,) = increff["queue"]
        assert increff["waiting"] == queue["count"] == len(waiting)
        assert (queue["priority"], queue["held"]) == ("create", 0)
        assert increff["oldestMs"] == queue["oldestMs"] == min(one["createdMs"] for one in waiting)
        (limit,) = increff["limits"]
        assert (limit["limit"], limit["used"], limit["left"]) == (200, 0, 200)
        assert (demo["health"], demo["waiting"], demo["lastAttempt"]) == ("unknown", 0, None)


async def test_destinations_come_page_by_page(directory: Path) -> None:
    async with gateway(api_reads_per_s=10_000, journal_url=file_url(directory)) as at:
        names = [one["name"] for one in await pages(at, "/api/destinations?limit=1", "destinations")]
        assert names == ["increff", "channel:demo"]


async def test_orders_at_risk_are_grouped_and_forecast(directory: Path) -> None:
    now_ms = DUE_MS - 3 * HOUR_MS
    async with gateway(api_reads_per_s=10_000, journal_url=file_url(directory), now_ms=now_ms) as at:
        document = await (await at.client.get("/api/due?limit=200")).json()
        assert document["counts"] == {
            "overdue": 0,
            "within2h": 0,
            "within4h": len(document["orders"]),
            "today": 0,
            "more": False,
        }
        assert {one["group"] for one in document["orders"]} == {"4h"}
        assert {one["dueMs"] for one in document["orders"]} == {DUE_MS}
        assert {one["packedMs"] for one in document["orders"]} == {None}, "nothing was packed lately"
        assert {one["location"] for one in document["locations"]} == {"L0", "L1", "L2"}
        assert all(one["queued"] > 0 for one in document["locations"])
        paged = await pages(at, "/api/due?limit=4", "orders")
        assert [one["code"] for one in paged] == [one["code"] for one in document["orders"]]
        assert await pages(at, "/api/due?group=2h", "orders") == []
        assert len(await pages(at, "/api/due?group=4h&location=L1&limit=2", "orders")) > 2
        assert {one["location"] for one in await pages(at, "/api/due?location=L1", "orders")} == {"L1"}


async def test_a_location_that_packs_has_a_forecast(directory: Path) -> None:
    now_ms = BEGIN_MS + 41 * DAY_MS
    async with gateway(api_reads_per_s=10_000, journal_url=file_url(directory), now_ms=BEGIN_MS + 5 * 60_000) as at:
        document = await (await at.client.get("/api/due?limit=200")).json()
        by_name = {one["location"]: one for one in document["locations"]}
        assert by_name["L0"]["perHour"] > 0
        mine = [one for one in document["orders"] if one["location"] == "L0"]
        assert [one["place"] for one in mine] == list(range(1, len(mine) + 1))
        assert mine[-1]["packedMs"] == by_name["L0"]["doneMs"]
        assert not any(one["isLate"] for one in mine), "they are due in weeks"
    async with gateway(api_reads_per_s=10_000, journal_url=file_url(directory), now_ms=now_ms) as at:
        document = await (await at.client.get("/api/due?group=overdue&limit=1")).json()
        assert document["orders"][0]["group"] == "overdue"
        assert document["orders"][0]["place"] is None, "overdue for days: in no queue"


@pytest.mark.parametrize(
    ("zone", "end"),
    [("Z", "2026-12-02T00:00Z"), ("+05:30", "2026-12-01T18:30Z"), ("-08:00", "2026-12-01T08:00Z")],
)
def test_the_day_ends_where_its_zone_says(zone: str, end: str) -> None:
    from datetime import datetime  # noqa: PLC0415 - only here

    now_ms = int(datetime.fromisoformat("2026-12-01T02:00Z").timestamp() * 1000)
    assert day_end_ms(now_ms, zone) == int(datetime.fromisoformat(end).timestamp() * 1000)
    with pytest.raises(Refused):
        day_end_ms(now_ms, "5:30")


async def test_actions_are_listed_with_who_and_why(directory: Path) -> None:
    async with gateway(api_reads_per_s=10_000, journal_url=file_url(directory)) as at:
        found = await pages(at, "/api/audit?limit=3", "actions")
        times = [one["atMs"] for one in found]
        assert times == sorted(times, reverse=True)
        assert len({(one["topic"], one["id"]) for one in found}) == len(found) > 3
        (first, *_) = [one for one in found if one["by"]]
        for name in ("by", "action", "target"):
            alike = [one for one in found if one[name] == first[name]]
            assert await pages(at, f"/api/audit?limit=3&{urlencode({name: first[name]})}", "actions") == alike
        assert await pages(at, "/api/audit?by=nobody", "actions") == []
        of_order = [one for one in found if one["order"]]
        if of_order:
            code = of_order[0]["order"].partition("|")[2]
            assert of_order[0] in await pages(at, f"/api/audit?order={code}", "actions")


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/api/deliveries?state=sent", "state: must be one of"),
        ("/api/deliveries?destination=incref", "did you mean increff?"),
        ("/api/deliveries?touchpoint=pack-ordr", "did you mean pack-order?"),
        ("/api/deliveries?since=yesterday", "since: must be a time"),
        ("/api/dead-letters?kind=x", "kind: must be one of"),
        ("/api/due?zone=5", "zone: must be an offset"),
        ("/api/rejected?cursor=x", "cursor: it is no cursor"),
        ("/api/rejected?role=a%00b", "role: must not have the character NUL"),
    ],
)
async def test_a_wrong_filter_is_refused_and_says_what_is_right(directory: Path, path: str, says: str) -> None:
    async with gateway(api_reads_per_s=10_000, journal_url=file_url(directory)) as at:
        response = await at.client.get(path)
        assert response.status == 400
        assert says in (await response.json())["detail"]


async def test_a_cursor_of_another_state_is_refused(directory: Path) -> None:
    async with gateway(api_reads_per_s=10_000, journal_url=file_url(directory)) as at:
        page = await (await at.client.get("/api/deliveries?limit=1")).json()
        assert (await at.client.get(f"{page['next']}&state=waiting")).status == 400


@pytest.mark.parametrize(
    "path", ["/api/deliveries", "/api/dead-letters?all=true", "/api/rejected", "/api/due", "/api/audit", "/api/orders"]
)
@pytest.mark.parametrize("value", [1 << 63, -(1 << 63) - 1, 10**30, "a\x00b"])
async def test_a_value_that_no_database_takes_makes_no_cursor(directory: Path, path: str, value: Any) -> None:
    async with gateway(api_reads_per_s=10_000, journal_url=file_url(directory)) as at:
        page = await (await at.client.get(path, params={"limit": 1})).json()
        kept = URL(page["next"]).query["cursor"]
        digest, *values = read(urlsafe_b64decode(kept + "=" * (-len(kept) % 4)))
        for place, former in enumerate(values):
            if type(former) is type(value):
                forged = write([digest, *values[:place], value, *values[place + 1 :]])
                cursor = urlsafe_b64encode(forged).decode().rstrip("=")
                answer = await at.client.get(path, params={"limit": 1, "cursor": cursor})
                assert answer.status == 400, await answer.text()


async def test_a_reason_may_have_any_number_of_digits(directory: Path) -> None:
    async with gateway(api_reads_per_s=10_000, journal_url=file_url(directory)) as at:
        assert await pages(at, f"/api/dead-letters?reason={'9' * 100}", "deadLetters") == []


def test_states_of_the_api_are_those_of_the_journal() -> None:
    assert DELIVERY_STATES == STATES
