"""A redrive sends what was given up and has no other end, once, a bounded number at a time; counting sends nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
from msgspec.structs import replace

from gateway.api.redrives.job import ON_THEIR_WAY_MAX, Job, Redriver
from gateway.api.redrives.selection import Choice
from gateway.api.steps.letters import ShownLetters
from gateway.api.steps.two_steps import TwoSteps
from gateway.ports import Outgoing, Position
from tests.fakes.delivery import PARTITIONS, request_for
from tests.fakes.gateway import gateway
from tests.fakes.log import FakeDead
from tests.support.eventually import eventually
from tests.support.operators.two_steps import act
from topics.api.redrives import RedriveAsked
from topics.records.deliveries import Concluded, Conclusion, DeliveryRequest, Redrive, decode_redrive
from topics.records.envelope import DELIVERY_CONCLUDED, DELIVERY_DEAD, DELIVERY_REDRIVE, parse
from topics.records.keys import destination_partition
from topics.subscriptions.model import Deleted

START_MS = 1_750_000_000_000
MINUTE_MS = 60_000


def request(name: str = "A.0", code: str = "A") -> DeliveryRequest:
    return request_for("acknowledgement", code, name)


def died(
    log: FakeDead, of: DeliveryRequest, attempts: int = 1, status: int | None = 400, at_ms: int = START_MS, **more: Any
) -> None:
    last = {"number": attempts, "at_ms": at_ms, "took_ms": 1.0, "status": status, "error": more.pop("error", "")}
    letter = {
        "request": orjson.loads(of.encode()),
        "attempts": attempts,
        "first_ms": at_ms,
        "last": last,
        "message": "No such Order",
    }
    log.write(orjson.dumps({**letter, "holds_lane": False, **more}), DELIVERY_DEAD, at_ms)


def ended(log: FakeDead, name: str, how: Conclusion = Conclusion.DELIVERED) -> None:
    log.write(Concluded(request=name, how=how, attempts=2).encode(), DELIVERY_CONCLUDED, START_MS)


def choose(log: FakeDead, **asked: Any) -> Choice:
    choice = Choice(RedriveAsked.model_validate(asked), lambda name: name != "channel:closed")
    for record in log.records:
        choice.on_record(0, record)
    return choice


FILTERS: list[tuple[dict[str, Any], set[str]]] = [
    ({}, {"A.0", "B.0"}),
    ({"orders": ["B", "C"]}, {"B.0"}),
    ({"channel": "demo"}, {"A.0", "B.0"}),
    ({"channel": "other"}, set()),
    ({"destination": "increff"}, {"B.0"}),
    ({"since": "2025-06-15T15:06:41Z"}, {"B.0"}),
    ({"until": "2025-06-15T15:06:41"}, {"A.0"}),
    ({"since": "2025-06-15T17:07:41+02:00", "until": "2025-06-15T15:07:42Z"}, set()),
    ({"failure": "400"}, {"A.0"}),
    ({"failure": "no such order"}, {"A.0", "B.0"}),
    ({"failure": "TIMED out"}, {"B.0"}),
    ({"failure": "40"}, set()),
]


@pytest.mark.parametrize(("asked", "expected"), FILTERS)
def test_what_is_named_is_chosen(asked: dict[str, Any], expected: set[str]) -> None:
    log = FakeDead()
    died(log, request())
    died(
        log, replace(request("B.0", "B"), destination="increff"), status=None, at_ms=START_MS + 2_000, error="timed out"
    )
    assert set(choose(log, **asked).chosen) == expected


def test_the_last_word_about_a_request_counts() -> None:
    log = FakeDead()
    for name in ("delivered", "skipped", "again", "twice", "not taken"):
        died(log, request(name))
    ended(log, "delivered")
    ended(log, "skipped", Conclusion.SKIPPED)
    ended(log, "not taken", Conclusion.NOT_TAKEN)
    died(log, request("again"), attempts=3, status=500)
    died(log, request("twice"))
    log.write(Concluded(request="twice", how=Conclusion.DELIVERED, attempts=2).encode(), DELIVERY_CONCLUDED, epoch=0)
    chosen = choose(log).chosen
    assert {name: one.attempts for name, one in chosen.items()} == {"again": 3, "twice": 1, "not taken": 1}
    assert set(choose(log, failure="400").chosen) == {"twice", "not taken"}


def test_what_cannot_be_sent_is_counted_apart() -> None:
    log = FakeDead()
    died(log, replace(request("closed"), destination="channel:closed"))
    died(log, replace(request("withdrawn"), relay=True, withdraw=True))
    choice = choose(log)
    assert (choice.chosen, choice.left) == ({}, 2)


def test_what_this_version_cannot_read_is_passed_over() -> None:
    log = FakeDead()
    died(log, request())
    for value in (b"{", b"[]", orjson.dumps({"request": {"id": "x", "new": 1}})):
        log.write(value, DELIVERY_DEAD)
    log.write(orjson.dumps({"request": "A.0", "how": "unheard of", "attempts": 1}), DELIVERY_CONCLUDED)
    assert set(choose(log).chosen) == {"A.0"}


def test_groups_say_where_and_why() -> None:
    log = FakeDead()
    for n in range(3):
        died(log, request(f"A.{n}"), status=400 if n else None, error="timed out")
    assert [(one.destination, one.reason, one.count) for one in choose(log).groups()] == [
        ("channel:demo", "400", 2),
        ("channel:demo", "timed out", 1),
    ]


class Delivery:
    """Plays delivery behind a producer: `end` says what becomes of each request; None: nothing yet."""

    def __init__(self, log: FakeDead) -> None:
        self.log = log
        self.taken: list[Redrive] = []
        self.most = 0
        self.open = 0
        self.silent = False

    async def produce(self, record: Outgoing) -> Position:
        redrive = decode_redrive(record.value)
        assert parse(record.headers).type == DELIVERY_REDRIVE
        assert record.key == redrive.request.lane.encode()
        assert record.partition == destination_partition(redrive.request.destination, 0, PARTITIONS)
        self.taken.append(redrive)
        self.open += 1
        self.most = max(self.most, self.open)
        if not self.silent and self.open == ON_THEIR_WAY_MAX:
            self.answer()
        return Position(record.topic, 0, 0)

    def answer(self) -> None:
        for one in self.taken[-self.open :]:
            ended(self.log, one.request.id)
        self.open = 0

    async def produce_all(self, records: Any) -> Any:
        raise NotImplementedError

    def unready(self) -> str | None:
        return None


def redriver(log: FakeDead, delivery: Delivery) -> Redriver:
    return Redriver(log, delivery, lambda _: True, PARTITIONS, lambda: START_MS)


def job(log: FakeDead) -> Job:
    """A job of what a preview shows now."""
    choice = choose(log)
    return Job("rdv_1", RedriveAsked(), START_MS, ShownLetters(choice.digest(), len(choice.chosen), {0: log.ends}))


async def test_what_was_not_shown_is_not_sent() -> None:
    log = FakeDead()
    died(log, request())
    delivery, told = Delivery(log), job(log)
    died(log, request("later"))
    running = asyncio.create_task(redriver(log, delivery).run(told))
    await eventually(lambda: told.sent == 1)
    delivery.answer()
    await running
    assert (told.state, told.found, [one.request.id for one in delivery.taken]) == ("done", 1, ["A.0"])


async def test_what_has_ended_since_it_was_shown_is_not_sent() -> None:
    log = FakeDead()
    for name in ("A.0", "A.1"):
        died(log, request(name))
    delivery, told = Delivery(log), job(log)
    ended(log, "A.0")
    running = asyncio.create_task(redriver(log, delivery).run(told))
    await eventually(lambda: told.sent == 1)
    delivery.answer()
    await running
    assert [one.request.id for one in delivery.taken] == ["A.1"]


async def test_where_the_letters_are_others_than_those_shown_nothing_is_sent() -> None:
    log = FakeDead()
    died(log, request())
    died(log, request("A.1"))
    delivery, told = Delivery(log), job(log)
    log.begins = 1
    await redriver(log, delivery).run(told)
    assert (told.state, delivery.taken) == ("refused", [])
    assert "1 fit now and 2 were shown" in told.message


async def test_few_are_on_their_way_and_none_is_sent_twice_by_any_number_of_redrives() -> None:
    log = FakeDead()
    count = 3 * ON_THEIR_WAY_MAX + 7
    for n in range(count):
        died(log, request(f"A.{n}"), previous=n, watermark=5)
    delivery, told = Delivery(log), job(log)
    running = asyncio.create_task(redriver(log, delivery).run(told))
    await eventually(lambda: told.sent == count)
    assert (told.state, len(told.waiting)) == ("sending", 7)
    delivery.answer()
    await running
    assert (told.state, told.delivered, delivery.most) == ("done", count, ON_THEIR_WAY_MAX)
    assert (delivery.taken[9].id, delivery.taken[9].previous, delivery.taken[9].watermark) == ("rdv_1", 9, 5)
    again = job(log)
    await redriver(log, delivery).run(again)
    assert (again.found, len(delivery.taken)) == (0, count)


async def test_a_stop_leaves_what_is_on_its_way_and_the_next_one_goes_on() -> None:
    log = FakeDead()
    for n in range(3 * ON_THEIR_WAY_MAX):
        died(log, request(f"A.{n}"))
    delivery, told = Delivery(log), job(log)
    delivery.silent = True
    running = asyncio.create_task(redriver(log, delivery).run(told))
    await eventually(lambda: len(told.waiting) == ON_THEIR_WAY_MAX)
    told.stop.set()
    await running
    assert (told.state, told.sent) == ("stopped", ON_THEIR_WAY_MAX)
    delivery.answer()
    delivery.silent = False
    again = job(log)
    running = asyncio.create_task(redriver(log, delivery).run(again))
    await running
    assert (again.state, again.delivered) == ("done", 2 * ON_THEIR_WAY_MAX)
    assert len({one.request.id for one in delivery.taken}) == len(delivery.taken) == 3 * ON_THEIR_WAY_MAX


async def test_dead_again_and_not_taken_are_told() -> None:
    log = FakeDead()
    for name in ("again", "refused"):
        died(log, request(name))
    delivery, told = Delivery(log), job(log)
    running = asyncio.create_task(redriver(log, delivery).run(told))
    await eventually(lambda: told.sent == 2)
    died(log, request("again"), attempts=2)
    ended(log, "refused", Conclusion.NOT_TAKEN)
    await running
    assert (told.dead_again, told.not_taken, told.delivered) == (1, 1, 0)


async def test_the_api_shows_sends_lists_and_stops() -> None:
    async with gateway() as at:
        died(at.dead, request())
        shown = await at.client.post("/api/redrives/preview", json={"failure": "400"})
        preview = await shown.json()
        assert (shown.status, preview["count"], preview["action"]) == (200, 1, "redrive")
        assert preview["groups"] == [{"name": "channel:demo 400", "count": 1}]
        assert [(one["id"], one["code"], one["what"]) for one in preview["samples"]] == [("A.0", "A", "No such Order")]
        assert (at.kafka.records, at.kafka.actions.records) == ([], []), "a preview stores nothing"

        async def state(name: str) -> str:
            found = await (await at.client.get(f"/api/redrives/{name}")).json()
            return str(found["state"])

        started = await at.client.post("/api/redrives", json={"token": preview["token"], "reason": "mended"})
        told = await started.json()
        assert started.status == 202
        await eventually(lambda: len(at.kafka.records) == 1)
        assert (await act(at.client, "/api/redrives", {"failure": "400"})).status == 409
        assert (await at.client.delete(f"/api/redrives/{told['id']}")).status == 202

        async def is_stopped() -> bool:
            return await state(told["id"]) == "stopped"

        await eventually(is_stopped)
        listed = await (await at.client.get("/api/redrives")).json()
        assert [(one["state"], one["onTheirWay"]) for one in listed["redrives"]] == [("stopped", 1)]
        await eventually(lambda: len(at.kafka.actions.records) == 2)
        begun, end = [orjson.loads(record.value) for record in at.kafka.actions.records]
        assert (begun["id"], begun["action"], begun["reason"], begun["shown"]) == (told["id"], "redrive", "mended", 1)
        assert begun["after"] == {"failure": "400"}
        assert (end["id"], end["outcome"], end["after"]["sent"]) == (told["id"], "stopped", 1)


async def test_a_redrive_of_nothing_in_particular_is_refused() -> None:
    async with gateway() as at:
        died(at.dead, request())
        nothing: list[Any] = [None, {}, {"orders": []}]
        for asked in nothing:
            response = await at.client.post("/api/redrives/preview", json=asked)
            assert response.status == 400
            assert "names nothing" in (await response.json())["detail"]


async def test_with_nothing_to_send_there_is_no_token() -> None:
    async with gateway() as at:
        preview = await (await at.client.post("/api/redrives/preview", json={"failure": "503"})).json()
        assert (preview["count"], preview["token"], preview["untilMs"]) == (0, None, None)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"channel": "shop"}, "channel: shop is not configured here; name one of demo"),
        (
            {"destination": "channel:shop"},
            "destination: channel:shop is no destination; name one of increff, channel:demo",
        ),
        ({"destination": "increfff"}, "destination: increfff is no destination; name one of increff, channel:demo"),
        ({"destination": "subscription:sub_other"}, "is no destination; name one of increff, channel:demo"),
    ],
)
async def test_a_name_that_nothing_has_is_no_redrive_of_nothing(asked: dict[str, Any], told: str) -> None:
    async with gateway() as at:
        response = await at.client.post("/api/redrives/preview", json=asked)
        assert (response.status, response.content_type) == (400, "application/problem+json")
        assert told in (await response.json())["detail"]
        assert (await (await at.client.get("/api/redrives")).json())["redrives"] == []


async def test_what_died_on_its_way_to_a_deleted_subscription_is_told_as_what_cannot_be_sent() -> None:
    async with gateway() as at:
        at.kafka.subscriptions.apply(b"sub_gone", Deleted(id="sub_gone", deleted_ms=START_MS).encode())
        died(at.dead, replace(request(), destination="subscription:sub_gone"))
        shown = await at.client.post("/api/redrives/preview", json={"destination": "subscription:sub_gone"})
        preview = await shown.json()
        assert (preview["count"], preview["left"], preview["token"]) == (0, 1, None)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/preview", {"orders": "A"}, 400),
        ("POST", "/preview", {"since": "yesterday"}, 400),
        ("POST", "/preview", {"everything": True}, 400),
        ("POST", "", {"orders": ["A"]}, 400),
        ("POST", "", {"token": "x", "reason": "y"}, 400),
        ("GET", "/rdv_none", None, 404),
        ("PUT", "", None, 405),
    ],
)
async def test_errors_are_problem_details(method: str, path: str, body: Any, status: int) -> None:
    async with gateway() as at:
        response = await at.client.request(method, f"/api/redrives{path}", json=body)
        assert (response.status, response.content_type) == (status, "application/problem+json")


async def test_of_two_redrives_at_one_moment_one_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    begins, may_begin, begin = asyncio.Event(), asyncio.Event(), TwoSteps.begin

    async def held(*args: Any, **more: Any) -> None:
        begins.set()
        await may_begin.wait()
        await begin(*args, **more)

    monkeypatch.setattr(TwoSteps, "begin", held)
    async with gateway() as at:
        died(at.dead, request())
        previews = [await at.client.post("/api/redrives/preview", json={"failure": "400"}) for _ in range(2)]
        first, second = [{"token": (await shown.json())["token"], "reason": "mended"} for shown in previews]
        started = asyncio.create_task(at.client.post("/api/redrives", json=first))
        await begins.wait()
        other = asyncio.create_task(at.client.post("/api/redrives", json=second))
        await asyncio.wait([other], timeout=1)
        may_begin.set()
        assert [(await started).status, (await other).status] == [202, 409]
