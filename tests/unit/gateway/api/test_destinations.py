"""A destination is paused and resumed in two steps, each with a fact before its effect."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from gateway.ports import Outgoing, Unavailable
from tests.fakes.gateway import NOW_MS, FakeKafka, Gateway, gateway
from tests.support.operators.two_steps import act
from topics.destinations.pauses import NO_END, decode_control
from topics.records.envelope import parse

PAUSE, RESUME = "/api/destinations/increff/pause", "/api/destinations/increff/resume"
ALICE, BOB = {"Authorization": "Bearer alices"}, {"Authorization": "Bearer bobs"}
SETTINGS: dict[str, Any] = {"api_open": False, "api_tokens": "alice=alices,bob=bobs"}


def facts(at: Gateway) -> list[tuple[str, dict[str, Any]]]:
    read = [(parse(record.headers).type, orjson.loads(record.value)) for record in at.kafka.actions.records]
    return [(kind.rpartition(".")[2], value) for kind, value in read]


async def preview(at: Gateway, path: str = PAUSE, asked: Any = None, **more: Any) -> Any:
    response = await at.client.post(f"{path}/preview", json=asked, **more)
    assert response.status == 200, await response.text()
    return await response.json()


async def test_a_pause_is_written_after_its_fact_and_before_its_end() -> None:
    async with gateway(**SETTINGS) as at:
        written: list[str] = []
        produce = at.kafka.produce

        async def noted(record: Outgoing) -> Any:
            written.append(record.topic)
            return await produce(record)

        at.kafka.produce = noted  # type: ignore[method-assign]
        shown = await preview(at, asked={"untilMs": NOW_MS + 60_000}, headers=ALICE)
        assert (shown["before"], shown["after"]) == ({"state": "open"}, {"state": "paused", "untilMs": NOW_MS + 60_000})
        assert "increff gets nothing until 2025-06-15T15:07:40.000Z" in shown["farSide"]
        assert (written, shown["untilMs"]) == ([], NOW_MS + 600_000)
        body = {"token": shown["token"], "reason": "their database is moved"}
        response = await at.client.post(PAUSE, json=body, headers=ALICE)
        assert response.status == 200
        pause = {
            "sinceMs": NOW_MS,
            "untilMs": NOW_MS + 60_000,
            "by": "alice",
            "reason": "their database is moved",
        }
        assert await response.json() == {"destination": "increff", "state": "paused", "pause": pause}
        assert written == ["operators.events", "destinations.controls", "operators.events"]
        assert at.kafka.pauses.until_ms("increff") == NOW_MS + 60_000
        (first, begun), (last, end) = facts(at)
        assert (first, last, begun["id"]) == ("action-begun", "action-ended", end["id"])
        assert (begun["action"], begun["by"], begun["reason"]) == ("pause-destination", "alice", body["reason"])
        assert (begun["target"], begun["before"], begun["after"]["state"]) == ("increff", {"state": "open"}, "paused")
        assert (end["outcome"], end["after"]["state"]) == ("done", "paused")
        record = at.kafka.records[-1]
        assert (record.key, decode_control(record.value).action) == (b"increff", begun["id"])


async def test_a_resume_shows_who_paused_and_why() -> None:
    async with gateway(**SETTINGS) as at:
        assert (await act(at.client, PAUSE, reason="night", headers=ALICE)).status == 200
        assert at.kafka.pauses.until_ms("increff") == NO_END
        shown = await preview(at, RESUME, headers=BOB)
        assert (shown["before"]["by"], shown["before"]["reason"]) == ("alice", "night")
        told = await (await act(at.client, RESUME, headers=BOB)).json()
        assert told == {"destination": "increff", "state": "open", "pause": None}
        assert at.kafka.pauses.until_ms("increff") == 0
        again = await act(at.client, RESUME, headers=BOB)
        assert (again.status, (await again.json())["code"]) == (409, "NOT_PAUSED")


async def test_a_pause_that_ends_by_itself_is_over_by_the_clock() -> None:
    async with gateway() as at:
        await act(at.client, PAUSE, {"untilMs": NOW_MS + 1_000})
        at.kafka.now_ms += 1_000
        assert (await preview(at))["before"] == {"state": "open"}
        assert (await act(at.client, RESUME)).status == 409


async def test_a_token_is_taken_once() -> None:
    async with gateway() as at:
        shown = await preview(at)
        body = {"token": shown["token"], "reason": "night"}
        assert (await at.client.post(PAUSE, json=body)).status == 200
        await act(at.client, RESUME)
        written = len(at.kafka.records)
        again = await at.client.post(PAUSE, json=body)
        assert (again.status, (await again.json())["code"]) == (409, "USED")
        assert len(at.kafka.records) == written


async def test_of_two_gateways_that_are_given_one_token_the_first_in_the_log_acts() -> None:
    kafka = FakeKafka()
    async with gateway(kafka=kafka, secret_key=KEY) as one, gateway(kafka=kafka, secret_key=KEY) as other:
        shown = await preview(one)
        body = {"token": shown["token"], "reason": "night"}
        assert (await other.client.post(PAUSE, json=body)).status == 200, "a preview at one works at another"
        await act(one.client, RESUME)
        again = await one.client.post(PAUSE, json=body)
        assert (again.status, (await again.json())["code"]) == (409, "USED")
    assert [kind for kind, _ in facts(one)].count("action-begun") == 3


KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


async def test_a_token_is_its_operators_alone_and_holds_for_ten_minutes() -> None:
    async with gateway(**SETTINGS) as at:
        shown = await preview(at, headers=ALICE)
        body = {"token": shown["token"], "reason": "night"}
        other = await at.client.post(PAUSE, json=body, headers=BOB)
        assert (other.status, (await other.json())["code"]) == (403, "NOT_YOURS")
        elsewhere = await at.client.post("/api/destinations/channel:demo/pause", json=body, headers=ALICE)
        assert elsewhere.status == 400
        at.kafka.now_ms += 600_000
        late = await at.client.post(PAUSE, json=body, headers=ALICE)
        assert (late.status, (await late.json())["code"]) == (410, "EXPIRED")
        assert (at.kafka.records, facts(at)) == ([], [])


@pytest.mark.parametrize(
    "spoil", [lambda text: text[:-1] + "g", lambda text: "x" + text, lambda _text: "\u2603.\u2603"]
)
async def test_a_token_that_was_changed_is_none(spoil: Any) -> None:
    async with gateway() as at:
        shown = await preview(at)
        response = await at.client.post(PAUSE, json={"token": spoil(shown["token"]), "reason": "night"})
        assert response.status == 400
        assert "no token of a preview" in (await response.json())["detail"]


async def test_what_has_changed_since_is_not_acted_on() -> None:
    async with gateway(**SETTINGS) as at:
        shown = await preview(at, headers=ALICE)
        await act(at.client, PAUSE, reason="bob was quicker", headers=BOB)
        response = await at.client.post(PAUSE, json={"token": shown["token"], "reason": "night"}, headers=ALICE)
        told = await response.json()
        assert (response.status, told["code"]) == (409, "CHANGED")
        assert "increff is now paused by bob: bob was quicker" in told["detail"]
        assert [value["by"] for _, value in facts(at)] == ["bob", "bob"]


async def test_without_its_fact_nothing_happens() -> None:
    async with gateway() as at:
        shown = await preview(at)
        at.kafka.refuses = lambda record: record.topic == "operators.events"
        response = await at.client.post(PAUSE, json={"token": shown["token"], "reason": "night"})
        assert (response.status, at.kafka.records) == (503, [])


async def test_a_pause_that_kafka_does_not_take_has_an_end_that_says_so() -> None:
    async with gateway() as at:
        shown = await preview(at)
        at.kafka.refuses = lambda record: record.topic == "destinations.controls"
        assert (await at.client.post(PAUSE, json={"token": shown["token"], "reason": "night"})).status == 503
        assert [(kind, value.get("outcome")) for kind, value in facts(at)] == [
            ("action-begun", None),
            ("action-ended", "failed"),
        ]


async def test_a_pause_whose_end_kafka_does_not_take_is_a_pause() -> None:
    async with gateway() as at:
        shown = await preview(at)
        at.kafka.refuses = lambda record: parse(record.headers).type.endswith("ended") if record.headers else False
        assert (await at.client.post(PAUSE, json={"token": shown["token"], "reason": "night"})).status == 200
        assert [kind for kind, _ in facts(at)] == ["action-begun"]
        assert at.kafka.pauses.until_ms("increff") == NO_END


@pytest.mark.parametrize(
    ("path", "asked", "status", "said"),
    [
        ("/api/destinations/nobody/pause", {}, 404, "there are: increff, channel:demo"),
        (PAUSE, {"untilMs": NOW_MS}, 400, "untilMs: must be later than now"),
        (PAUSE, {"untilMs": NOW_MS * 1_000}, 400, "within a year"),
        (PAUSE, {"until": NOW_MS}, 400, "until"),
        (RESUME, {}, 409, "increff is not paused"),
    ],
)
async def test_what_cannot_be_asked_says_why(path: str, asked: Any, status: int, said: str) -> None:
    async with gateway() as at:
        response = await at.client.post(f"{path}/preview", json=asked)
        told = await response.json()
        assert (response.status, said in f"{told['title']}: {told['detail']}") == (status, True), told


async def test_a_record_that_cannot_be_read_counts_as_a_pause_and_can_be_resumed() -> None:
    async with gateway() as at:
        with pytest.raises(ValueError, match="pause"):
            at.kafka.pauses.apply(b"increff", b"{}")
        assert at.kafka.pauses.until_ms("increff") == NO_END
        assert (await act(at.client, RESUME)).status == 200
        assert at.kafka.pauses.until_ms("increff") == 0


async def test_nothing_is_said_before_the_pauses_are_read() -> None:
    async with gateway() as at:
        at.kafka.pauses.away = "reading"
        response = await at.client.post(f"{PAUSE}/preview")
        assert (response.status, (await response.json())["code"]) == (503, "STARTING")


async def test_without_kafka_nothing_is_paused() -> None:
    async with gateway() as at:
        shown = await preview(at)
        at.kafka.error = Unavailable("no broker")
        assert (await at.client.post(PAUSE, json={"token": shown["token"], "reason": "night"})).status == 503
