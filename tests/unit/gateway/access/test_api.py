"""/api is closed without a token, its reads are bounded, and each action says whose it was."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from gateway.access.reads import ReadLimit
from gateway.http.answers import Refused
from tests.fakes.gateway import FakeKafka, Gateway, gateway
from topics.api.route import Route
from topics.api.routes import ROUTES
from topics.configuration.api_tokens import load_api_tokens
from topics.configuration.errors import ConfigurationError
from topics.configuration.settings import load_settings
from topics.records.envelope import Envelope
from topics.records.verdicts import Reply, Verdict

ALICE = {"Authorization": "Bearer alices"}


def found(envelope: Envelope, _record: Any) -> Reply:
    return Reply(event=envelope.id, verdict=Verdict.ANSWERED, body={"orderCode": "O"})


def path_of(route: Route) -> str:
    words = {
        "code": "O",
        "channel": "demo",
        "id": "x",
        "location": "L",
        "request": "r",
        "action": "skip",
        "destination": "increff",
    }
    path = route.pattern.template
    if "/inventory/" in path or "/destinations/" in path:
        words["action"] = "pause"
    for name, word in words.items():
        path = path.replace(f"{{{name}}}", word)
    return path


def actions(at: Gateway) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in at.actions]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
async def test_without_a_token_every_call_is_refused_and_leaves_nothing(route: Route) -> None:
    async with gateway(api_open=False) as at:
        headers = {"Authorization": "Bearer anything"}
        async with at.client.request(route.method, path_of(route), headers=headers) as response:
            told = await response.json(content_type="application/problem+json")
        assert (response.status, told["code"]) == (403, "API_CLOSED")
        assert "SLUICE_API_TOKENS=NAME=TOKEN" in told["detail"]
        assert at.kafka.records == []
        assert at.actions == []


async def test_a_token_closes_what_was_open() -> None:
    async with gateway(api_open=True, api_token="right") as at:
        assert (await at.client.get("/api/redrives")).status == 401


async def test_an_action_says_who_did_what_to_what_from_where() -> None:
    async with gateway(kafka=FakeKafka(decide=found), api_tokens="alice=alices,bob=bobs", api_token="plain") as at:
        for token in ("alices", "bobs", "plain", "wrong"):
            headers = {"Authorization": f"Bearer {token}"}
            await at.client.post("/api/inventory/pause/demo/nowhere?x=1", headers=headers)
        await at.client.get("/api/orders/O", headers=ALICE)
        await at.client.delete("/api/redrives/rdv_1", headers=ALICE)
    assert [line["actor"] for line in actions(at)] == ["alice", "bob", "api-token", "alice"]
    first, *_, last = actions(at)
    assert [first.pop(name) for name in ("level", "role", "instance")] == ["info", "gateway", "0"]
    assert first.pop("at").endswith("Z")
    assert first == {
        "event": "action",
        "actor": "alice",
        "address": "127.0.0.1",
        "action": "control-stock-of-location",
        "method": "POST",
        "target": "/api/inventory/pause/demo/nowhere",
        "channel": "demo",
        "subject": "nowhere",
        "status": 404,
        "event_id": "",
        "position": None,
    }
    assert (last["action"], last["method"], last["subject"]) == ("stop-redrive", "DELETE", "rdv_1")
    assert "bobs" not in b"".join(at.actions + at.log).decode()


async def test_an_action_of_anybody_is_logged_too() -> None:
    async with gateway() as at:
        await at.client.post("/api/subscriptions", json={"url": "http://x.example", "secret": "whsec_shown"})
    (line,) = actions(at)
    assert (line["actor"], line["action"], line["status"]) == ("anybody", "add-subscription", 400)
    assert "shown" not in str(line)


async def test_reads_are_bounded_in_rate_by_token() -> None:
    tokens = "alice=alices,bob=bobs"
    async with gateway(kafka=FakeKafka(decide=found), api_tokens=tokens, api_reads_per_s=0.001, api_open=False) as at:
        answers = [await at.client.get("/api/orders/O", headers=ALICE) for _ in range(5)]
        assert [one.status for one in answers] == [200, 429, 429, 429, 429]
        assert int(answers[-1].headers["Retry-After"]) > 0
        told = await answers[-1].json(content_type="application/problem+json")
        assert (told["code"], "SLUICE_API_READS_PER_S" in told["detail"]) == ("TOO_MANY_READS", True)
        assert len(at.kafka.records) == 1
        bob = {"Authorization": "Bearer bobs"}
        assert (await at.client.get("/api/orders/O", headers=bob)).status == 200
        # An operator acts all the same.
        assert (await at.client.delete("/api/redrives/rdv_1", headers=ALICE)).status == 404


def test_reads_come_back_with_time_and_some_count_as_several() -> None:
    now = [0.0]
    limit = ReadLimit(load_settings(api_reads_per_s=3), lambda: now[0])

    def read(cost: int) -> str | None:
        try:
            with limit.reading("alice", cost):
                return None
        except Refused as refused:
            return f"{refused.status} {refused.retry_after_s}"

    page = next(route.cost for route in ROUTES if route.name == "get-order-events")
    assert [read(page), read(page), read(1), read(1)] == [None, "429 2", None, "429 1"]
    now[0] += 1
    assert [read(1) for _ in range(4)] == [None, None, None, "429 1"]
    now[0] += 1_000
    assert [read(100), read(1)] == [None, "429 1"], "one that costs more than all waits until all is there"


async def test_reads_are_bounded_in_number() -> None:
    class Slow(FakeKafka):
        async def produce(self, record: Any) -> Any:
            asked.set()
            await go_on.wait()
            return await super().produce(record)

    asked, go_on = asyncio.Event(), asyncio.Event()
    async with gateway(kafka=Slow(decide=found), api_reads_max=1) as at:
        first = asyncio.create_task(at.client.get("/api/orders/O"))
        await asked.wait()
        refused = await at.client.get("/api/orders/O")
        assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
        assert (await refused.json(content_type="application/problem+json"))["code"] == "OVERLOADED"
        go_on.set()
        assert (await first).status == 200
        assert (await at.client.get("/api/orders/O")).status == 200


def test_tokens_come_from_both_settings_and_the_file(tmp_path: Any) -> None:
    path = tmp_path / "tokens"
    path.write_text("# people\ncarol = c-token \n\nci=x=y\n")
    settings = load_settings(api_token="t", api_tokens="alice=a, bob=b", api_tokens_file=path)
    expected = {"api-token": "t", "alice": "a", "bob": "b", "carol": "c-token", "ci": "x=y"}
    assert load_api_tokens(settings) == expected
    assert load_api_tokens(load_settings()) == {}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "expected 1 to 100 entries"),
        ("# none\n", "expected 1 to 100 entries"),
        ("alice", "entry 1: expected NAME=TOKEN"),
        ("alice=a\n=secret", "entry 2: expected NAME=TOKEN"),
        ("alice=", "entry 1, alice: a token is printable"),
        ("alice=sec ret", "entry 1, alice: a token is printable"),
        ("alice=a\nalice=b", "entry 2: alice is there twice"),
        ("alice=secret\nbob=secret", "alice and bob have the same token"),
        ("given=other", "the name given has a token elsewhere"),
        ("zoe=giventoken", "given and zoe have the same token"),
        ("\n".join(f"n{number}=t{number}" for number in range(101)), "expected 1 to 100 entries"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_and_no_token_is_shown(text: str, says: str, tmp_path: Any) -> None:
    path = tmp_path / "tokens"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=says) as error:
        load_api_tokens(load_settings(api_tokens="given=giventoken", api_tokens_file=path))
    assert str(path) in str(error.value)
    assert "secret" not in str(error.value)
    assert "giventoken" not in str(error.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Any) -> None:
    with pytest.raises(ConfigurationError, match="none: cannot be read: No such file"):
        load_api_tokens(load_settings(api_tokens_file=tmp_path / "none"))
    with pytest.raises(ConfigurationError, match="SLUICE_API_TOKENS: entry 1: expected NAME=TOKEN"):
        load_settings(api_tokens="alice")
