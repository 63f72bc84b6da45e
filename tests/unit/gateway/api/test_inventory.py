"""/api/inventory: what operators ask is durable before it is answered and harmless when repeated; status is a sum."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from gateway.api.inventory.api import REPEAT_MS
from gateway.ports import Unavailable
from tests.fakes.gateway import NOW_MS, FakeKafka, Gateway, channels_with, gateway
from tests.support.eventually import eventually
from tests.support.operators.two_steps import act
from topics.api.stock_operations import ControlDocument, RefusedSkusDocument, StockStatusDocument
from topics.records.keys import position_key
from topics.stock.controls import Ask, Control, Scope
from topics.stock.positions import encode_position
from topics.stock.status import LocationStatus, Reconciled, RefusedSku, Resyncing, refused_key, status_key


def status(at: Gateway | FakeKafka, location: str, channel: str = "demo", **changes: Any) -> None:
    numbers = {"dirty": 0, "oldest_ms": None, "sent_per_s": 0.0, "changes": 0, "sent": 0, "refused": 0}
    known = LocationStatus.model_validate(
        {**numbers, "paused": False, "since_ms": 1, "at_ms": NOW_MS - 1_000, **changes}
    )
    kafka = at.kafka if isinstance(at, Gateway) else at
    kafka.operations.status.apply(status_key(channel, location), known.encode())


def with_stock(at: Gateway, *locations: str) -> None:
    for location in locations:
        at.stock.apply(position_key("demo", location, "A"), encode_position({"channelSkuCode": "A", "quantity": 1}))


async def ask(at: Gateway, path: str, method: str = "POST", expected: int = 202) -> Any:
    path = f"/api/inventory/{path}"
    response = await (act(at.client, path) if method == "POST" else at.client.request(method, path))
    body = orjson.loads(await response.read())
    assert response.status == expected, body
    if response.status >= 400:
        assert response.content_type == "application/problem+json"
    return body


async def get(at: Gateway, path: str, expected: int = 200) -> Any:
    return await ask(at, path, "GET", expected)


def controls(at: Gateway) -> list[tuple[bytes, Control]]:
    records = [record for record in at.kafka.records if record.topic == "inventory.controls"]
    return [(record.key, Control.model_validate_json(record.value)) for record in records]


NOT_L3 = "No stock of a location L3 has come for channel demo: there are: L1, L2"


async def test_a_pause_is_stored_once_and_undone_once() -> None:
    async with gateway() as at:
        for _ in range(2):
            told = ControlDocument.model_validate(await ask(at, "pause/demo"))
            assert (told.channel, told.location, told.paused) == ("demo", None, True)
        assert controls(at) == [(b"demo", Control(paused=True, at_ms=NOW_MS))]
        for _ in range(2):
            assert (await ask(at, "resume/demo"))["paused"] is False
        assert [control.paused for _, control in controls(at)] == [True, False]


async def test_what_is_asked_of_one_keeps_what_was_asked_before_also_when_the_view_is_late() -> None:
    async with gateway() as at:
        with_stock(at, "L/1", "~ALL")
        at.kafka.operations.lags = True
        await ask(at, "pause/demo/L%2F1")
        told = await ask(at, "resync/demo/L%2F1")
        assert told["paused"] is True
        assert [key for key, _ in controls(at)] == [b"demo|L/1", b"demo|L/1"]
        assert controls(at)[-1][1].paused
        at.kafka.operations.see()
        assert (await ask(at, "resume/demo/L%2F1"))["resync"] == told["resync"]
        assert (await ask(at, "pause/demo/~ALL"))["location"] == "~ALL"


async def test_nothing_is_answered_that_is_not_durable() -> None:
    async with gateway() as at:
        at.kafka.error = Unavailable("no leader")
        assert (await ask(at, "pause/demo", expected=503))["code"] == "UNAVAILABLE"
        at.kafka.error = None
        assert (await ask(at, "pause/demo"))["paused"] is True


@pytest.mark.parametrize("action", ["resync", "reconcile"])
async def test_asked_again_at_once_it_is_the_same_one(action: str) -> None:
    async with gateway(channels=channels_with(stock={"read_back": {"path": "/inventories"}})) as at:
        first = (await ask(at, f"{action}/demo"))[action]
        assert (await ask(at, f"{action}/demo"))[action] == first
        assert len(controls(at)) == 1


async def test_a_resync_that_goes_on_is_the_one_that_is_meant_and_one_that_is_over_is_not() -> None:
    kafka = FakeKafka()
    old = Ask(id="res_1", at_ms=NOW_MS - REPEAT_MS)
    kafka.operations.controls.apply(b"demo", Control(resync=old).encode())
    # Another gateway's clock is ahead: what is asked here is later all the same.
    ahead = Ask(id="rec_1", at_ms=NOW_MS + 5_000)
    kafka.operations.controls.apply(Scope("demo", "L9").key, Control(reconcile=ahead).encode())
    async with gateway(kafka=kafka) as at:
        going = Resyncing(id="res_1", cause="asked", told=3, total=9, started_ms=1)
        status(at, "L1", resync=going)
        assert (await ask(at, "resync/demo"))["resync"] == {"id": "res_1", "atMs": old.at_ms}
        assert controls(at) == []
        status(at, "L1")
        again = (await ask(at, "resync/demo"))["resync"]
        assert again["id"] != "res_1"
        assert again["atMs"] == ahead.at_ms + 1


async def test_a_reconciliation_that_goes_on_is_the_one_that_is_meant_and_its_result_is_shown() -> None:
    kafka = FakeKafka()
    old = Ask(id="rec_1", at_ms=NOW_MS - REPEAT_MS)
    kafka.operations.controls.apply(b"demo", Control(reconcile=old).encode())
    one = Reconciled(
        id="rec_1",
        compared=9,
        missing=2,
        extra=0,
        stale=1,
        refused=0,
        repaired=3,
        persisting=0,
        started_ms=1,
        ended_ms=0,
        failed=False,
    )
    async with gateway(kafka=kafka, channels=channels_with(stock={"read_back": {"path": "/inventories"}})) as at:
        status(at, "L1", reconcile=one)
        status(at, "L2", reconcile=one.model_copy(update={"ended_ms": 5, "missing": 1}))
        assert (await ask(at, "reconcile/demo"))["reconcile"] == {"id": "rec_1", "atMs": old.at_ms}
        (channel,) = (await get(at, "status/demo"))["channels"]
        told = channel["reconcile"]
        assert (told["compared"], told["missing"], told["repaired"], told["endedMs"]) == (18, 3, 6, None)
        status(at, "L1", reconcile=one.model_copy(update={"ended_ms": 6}))
        (channel,) = (await get(at, "status/demo"))["channels"]
        assert channel["reconcile"]["endedMs"] == 6
        assert (await ask(at, "reconcile/demo"))["reconcile"]["id"] != "rec_1"


@pytest.mark.parametrize(
    ("path", "code", "said"),
    [
        ("pause/shop", "CHANNEL_UNKNOWN", "There is no such channel: there are: demo"),
        (
            "resync/demo/L3",
            "LOCATION_UNKNOWN",
            NOT_L3,
        ),
        (
            "stop/demo",
            "UNKNOWN",
            "There is no such path: POST /api/inventory/preview/stop/demo; GET /openapi.json lists all paths",
        ),
    ],
)
async def test_who_is_not_known_is_said(path: str, code: str, said: str) -> None:
    async with gateway() as at:
        with_stock(at, "L1")
        status(at, "L2")
        told = await ask(at, path, expected=404)
        assert (told["code"], told["detail"]) == (code, said)
        assert controls(at) == []
        if path.startswith("resync"):
            assert (await get(at, "refused/demo/L3", 404))["code"] == code


async def test_another_operator_at_the_same_moment_is_told() -> None:
    async with gateway() as at:
        operations = at.kafka.operations

        def meanwhile(scope: Scope) -> None:
            operations.controls.listeners.clear()
            operations.controls.apply(scope.key, Control().encode())

        operations.controls.listeners.append(meanwhile)
        assert (await ask(at, "pause/demo", expected=409))["code"] == "CHANGED"


async def test_a_control_of_a_newer_version_is_not_written_over() -> None:
    async with gateway() as at:
        with pytest.raises(ValidationError):
            at.kafka.operations.controls.apply(b"demo", b'{"paused": "until noon"}')
        assert (await ask(at, "resume/demo", expected=409))["code"] == "UNREADABLE"
        assert controls(at) == []


async def test_a_channel_is_the_sum_of_its_locations() -> None:
    async with gateway(channels=channels_with(second="shop")) as at:
        going = Resyncing(id="res_1", cause="daily", told=3, total=9, started_ms=1)
        status(at, "L1", dirty=2, oldest_ms=NOW_MS - 500, sent_per_s=1.25, changes=30, sent=10, refused=1)
        two: dict[str, Any] = {"oldest_ms": NOW_MS - 9_000, "paused": True, "resync": going}
        status(at, "L2", dirty=5, sent_per_s=2.0, changes=10, sent=10, **two)
        status(at, "L3", resync=going.model_copy(update={"told": 1, "total": 2}))
        why = RefusedSku(reason="failure-list", status=200, since_ms=NOW_MS, failures=5)
        at.kafka.operations.status.apply(refused_key("demo", "L1", "A"), why.encode())
        at.kafka.operations.controls.apply(b"shop", Control(paused=True).encode())
        document = StockStatusDocument.model_validate(await get(at, "status"))
        demo, shop = document.channels
        assert (demo.channel, demo.dirty, demo.oldestAgeMs, demo.sentPerS) == ("demo", 7, 9_000, 3.2)
        assert (demo.changes, demo.sent, demo.conflation, demo.refused) == (40, 20, 2.0, 1)
        assert (demo.paused, demo.left) == (False, 0)
        assert demo.resync is not None
        assert (demo.resync.told, demo.resync.total) == (4, 11)
        assert [(place.location, place.paused) for place in demo.locations] == [
            ("L2", True),
            ("L1", False),
            ("L3", False),
        ]
        assert shop.paused
        assert (shop.dirty, shop.oldestAgeMs, shop.conflation, shop.locations) == (0, None, None, [])
        assert [one["channel"] for one in (await get(at, "status/shop"))["channels"]] == ["shop"]
        at.kafka.operations.away = "reading"
        assert (await get(at, "status", 503))["code"] == "STARTING"


async def test_refused_skus_come_page_by_page() -> None:
    async with gateway() as at:
        for number in range(5):
            why = RefusedSku(reason="refused", status=400, since_ms=number, failures=5 + number)
            at.kafka.operations.status.apply(refused_key("demo", f"L|{number % 2}", f"S/{number}"), why.encode())
        with_stock(at, "L|0")
        path: str | None = "refused/demo?limit=2"
        found: list[tuple[str, str, int]] = []
        while path is not None:
            page = RefusedSkusDocument.model_validate(await get(at, path))
            assert page.total == 5
            found += [(one.location, one.channelSkuCode, one.failures) for one in page.refused]
            path = page.next and page.next.removeprefix("/api/inventory/")
        places = [("L|0", "S/0", 5), ("L|0", "S/2", 7), ("L|0", "S/4", 9), ("L|1", "S/1", 6), ("L|1", "S/3", 8)]
        assert found == places
        of_one = await get(at, "refused/demo/L%7C0")
        assert (of_one["total"], len(of_one["refused"]), of_one["next"]) == (3, 3, None)
        for bad in ("limit=0", "limit=1001", "limit=x", "after=L1"):
            assert (await get(at, f"refused/demo?{bad}", 400))["code"] == "BAD_DATA"


async def test_one_that_is_over_at_its_location_is_not_the_one_that_is_meant() -> None:
    kafka = FakeKafka()
    recent = Ask(id="res_1", at_ms=NOW_MS - 1)
    kafka.operations.controls.apply(Scope("demo", "L1").key, Control(resync=recent).encode())
    async with gateway(kafka=kafka) as at:
        status(at, "L1", resynced="res_0")
        assert (await ask(at, "resync/demo/L1"))["resync"]["id"] == "res_1"
        status(at, "L1", resynced="res_1")
        assert (await ask(at, "resync/demo/L1"))["resync"]["id"] != "res_1"


async def test_a_channel_that_cannot_be_asked_what_it_has_is_not_reconciled() -> None:
    async with gateway(channels=channels_with(stock={})) as at:
        assert (await ask(at, "reconcile/demo", expected=409))["code"] == "NO_READ_BACK"
        assert controls(at) == []


async def test_the_token_is_wanted() -> None:
    async with gateway(api_token="secret") as at:
        assert (await get(at, "status", 401))["code"] == "UNAUTHORIZED"
        assert (await ask(at, "pause/demo", expected=401))["code"] == "UNAUTHORIZED"


@pytest.mark.parametrize(
    ("action", "before", "after"),
    [
        ("pause", {"paused": False}, {"paused": True}),
        ("resume", {"paused": True}, {"paused": False}),
        ("resync", {"resynced": "res_before"}, {"resynced": "ASKED"}),
    ],
)
@pytest.mark.parametrize("path", ["demo", "demo/L1"])
async def test_the_effect_of_a_control_can_be_waited_for(
    action: str, before: dict[str, Any], after: dict[str, Any], path: str
) -> None:
    async with gateway() as at:
        with_stock(at, "L1", "L2")
        for location in ("L1", "L2"):
            status(at, location, **before)
        waiting = asyncio.create_task(ask(at, f"{action}/{path}?wait=30", expected=200))
        await eventually(lambda: controls(at) or action == "resume")
        [asked] = [control.resync.id for _, control in controls(at) if control.resync is not None] or [""]
        for location in ("L1", "L2"):
            status(at, location, **{name: asked if value == "ASKED" else value for name, value in after.items()})
        assert (await waiting)["done"] is True


async def test_an_effect_that_does_not_come_is_said() -> None:
    async with gateway() as at:
        assert (await ask(at, "pause/demo?wait=1"))["done"] is False, "there is no stock to send"
        with_stock(at, "L1")
        status(at, "L1", paused=False)
        assert (await ask(at, "pause/demo?wait=1"))["done"] is False
        assert (await ask(at, "pause/demo"))["done"] is None
        assert "wait" in (await ask(at, "pause/demo?wait=99", expected=400))["detail"]


async def test_a_location_says_that_its_channel_is_paused() -> None:
    async with gateway() as at:
        with_stock(at, "L1")
        assert (await ask(at, "resume/demo/L1"))["channelPaused"] is False
        assert (await ask(at, "pause/demo"))["channelPaused"] is False, "of a channel, `paused` says it"
        status(at, "L1", paused=True)
        told = await ask(at, "resume/demo/L1?wait=1", expected=200)
        assert (told["paused"], told["channelPaused"], told["done"]) == (False, True, True)
        await ask(at, "resume/demo")
        assert (await ask(at, "resume/demo/L1"))["channelPaused"] is False
