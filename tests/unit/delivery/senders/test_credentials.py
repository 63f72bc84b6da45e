"""A password that changed costs no order: what was refused is read again or asked for, and the request goes again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from streams.delivery.attempts.classify import classify
from streams.delivery.ports import Answer, Call, ResponseClass
from streams.delivery.senders.credentials import READ_AGAIN, READ_EVERY_MS
from streams.delivery.senders.http import HttpSender
from tests.fakes.delivery import ManualClock, channels_for
from topics.configuration.channels import Channels
from topics.configuration.errors import ConfigurationError
from topics.contract.touchpoints import BY_NAME
from topics.records.keys import INCREFF

PACK = BY_NAME["pack-order"]
CREATE = BY_NAME["create-outward-order"]


class FarSide:
    """Takes calls that have its `token`, and gives it to who asks with the bootstrap header."""

    def __init__(self) -> None:
        self.token = "one"
        self.given: Any = None
        """What Get Credential answers instead."""
        self.status = 200
        """Of what Get Credential answers."""
        self.seen: list[str] = []
        app = web.Application()
        app.router.add_get("/mp/credential", self._credential)
        app.router.add_route("*", "/{tail:.*}", self._take)
        self.server = TestServer(app)

    async def _credential(self, request: web.Request) -> web.Response:
        self.seen.append("asked")
        if self.status != 200:
            return web.json_response({"X-Token": self.token}, status=self.status, headers={"Retry-After": "7"})
        if self.given is not None:
            return web.json_response(self.given)
        if request.headers.get("X-Bootstrap") != "first":
            return web.Response(status=401)
        return web.json_response({"X-Token": self.token})

    async def _take(self, request: web.Request) -> web.Response:
        right = self.token in (request.headers.get("X-Token"), request.headers.get("authPassword"))
        self.seen.append("taken" if right else "refused")
        return web.Response(status=200 if right else 401)


class Bench:
    def __init__(self, far: FarSide) -> None:
        self.far = far
        self.clock = ManualClock()
        self.senders: list[HttpSender] = []

    async def sender(self, reload: Callable[[], Channels] | None = None, **options: Any) -> HttpSender:
        made = HttpSender(self.channels(**options), clock=self.clock, reload=reload)
        await made.start()
        self.senders.append(made)
        return made

    def channels(
        self, word: str = "one", token: str | None = None, *, asks: bool = False, bootstrap: str = "first"
    ) -> Channels:
        base = str(self.far.server.make_url("")).rstrip("/")
        found = channels_for(increff={"url": base + "/increff"}, marketplace={"url": base + "/mp"})
        demo = found.channels["demo"].model_dump()
        demo["increff_credentials"] |= {"password": word}
        demo["marketplace_headers"] = {} if token is None else {"X-Token": token}
        demo["marketplace_credential"] = {"bootstrap_headers": {"X-Bootstrap": bootstrap}} if asks else None
        return Channels.model_validate({"increff": found.increff.model_dump(), "channels": {"demo": demo}})


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    far = FarSide()
    await far.server.start_server()
    made = Bench(far)
    yield made
    for sender in made.senders:
        await sender.stop()
    await far.server.close()


async def pack(sender: HttpSender) -> Answer:
    members = {"shipmentId": 1}
    return await sender.send(Call(touchpoint=PACK, destination="channel:demo", channel="demo", members=members))


async def create(sender: HttpSender) -> Answer:
    return await sender.send(Call(touchpoint=CREATE, destination=INCREFF, channel="demo", members={"orderCode": "1"}))


async def test_credentials_are_asked_for_before_the_first_request(bench: Bench) -> None:
    sender = await bench.sender(asks=True)
    answer = await pack(sender)
    assert (answer.status, answer.error) == (401, READ_AGAIN), "asking took the place of this attempt"
    assert (await pack(sender)).status == 200
    assert bench.far.seen == ["asked", "taken"], "each attempt is one request, so a budget counts all of them"


async def test_after_a_401_they_are_asked_for_again(bench: Bench) -> None:
    sender = await bench.sender(asks=True)
    await pack(sender)
    bench.far.token = "two"
    await bench.clock.run_for(READ_EVERY_MS)
    assert [(await pack(sender)).status for _ in range(3)] == [401, 401, 200]
    assert bench.far.seen == ["asked", "refused", "asked", "taken"]


async def test_of_many_at_once_one_asks(bench: Bench) -> None:
    sender = await bench.sender(asks=True)
    answers = await asyncio.gather(*(pack(sender) for _ in range(10)))
    assert sorted(answer.status or 0 for answer in answers) == [200] * 9 + [401]
    assert bench.far.seen.count("asked") == 1


async def test_what_was_just_read_and_is_refused_is_not_read_at_every_attempt(bench: Bench) -> None:
    bench.far.given = {"X-Token": "wrong"}
    sender = await bench.sender(asks=True)
    for _ in range(5):
        assert (await pack(sender)).status == 401
    assert bench.far.seen == ["asked", *["refused"] * 4]


@pytest.mark.parametrize("given", [[], {"X-Token": {"deep": 1}}, "text"])
async def test_an_answer_that_is_no_map_of_headers_is_none(bench: Bench, given: Any) -> None:
    bench.far.given = given
    answer = await pack(await bench.sender(asks=True))
    assert answer.status is None
    assert "flat map" in answer.error


@pytest.mark.parametrize("status", [201, 302, 400, 403, 404, 410, 413, 500])
async def test_a_request_is_not_judged_by_the_answer_to_another(bench: Bench, status: int) -> None:
    bench.far.status = status
    sender = await bench.sender(asks=True)
    answer = await pack(sender)
    assert (answer.status, classify(PACK, {}, answer, 0).kind) == (None, ResponseClass.RETRY)
    assert f"it answered {status}" in answer.error
    bench.far.status = 200
    assert [(await pack(sender)).status for _ in range(2)] == [401, 200]
    assert bench.far.seen == ["asked", "asked", "taken"]


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_a_far_side_that_is_too_busy_to_give_credentials_is_given_its_time(bench: Bench, status: int) -> None:
    bench.far.status = status
    verdict = classify(PACK, {}, await pack(await bench.sender(asks=True)), 0)
    assert (verdict.kind, verdict.not_before_ms) == (ResponseClass.THROTTLED, 7_000)


async def test_increff_is_never_asked(bench: Bench) -> None:
    assert (await create(await bench.sender(asks=True))).status == 200
    assert bench.far.seen == ["taken"]


async def test_a_static_password_is_read_from_the_file_again(bench: Bench) -> None:
    bench.far.token = "two"
    sender = await bench.sender(reload=lambda: bench.channels(word="two", token="two"))
    assert [(await create(sender)).status for _ in range(2)] == [401, 200]
    assert (await pack(sender)).status == 200, "the other side's were read with them"


async def test_a_file_that_cannot_be_read_leaves_the_old_ones(bench: Bench) -> None:
    reads = 0

    def reload() -> Channels:
        nonlocal reads
        reads += 1
        raise ConfigurationError("channels.toml: not valid TOML")

    sender = await bench.sender(reload, word="old")
    for _ in range(3):
        assert (await create(sender)).status == 401
    assert reads == 1, "not at every attempt"
    bench.far.token = "old"
    assert (await create(sender)).status == 200


async def test_a_reload_reads_the_file_at_once_and_keeps_what_it_had_if_that_fails(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    found: Channels | ConfigurationError = bench.channels(word="two", token="two")

    def reload() -> Channels:
        if isinstance(found, ConfigurationError):
            raise found
        return found

    bench.far.token = "two"
    sender = await bench.sender(reload)
    await sender.reload()
    assert [(await create(sender)).status, (await pack(sender)).status] == [200, 200]
    found = ConfigurationError("channels.toml: not valid TOML")
    await sender.reload()
    assert "all credentials stay as they were: channels.toml: not valid TOML" in caplog.text
    assert (await create(sender)).status == 200


async def test_a_reload_without_a_file_changes_nothing(bench: Bench) -> None:
    bench.far.token = "old"
    sender = await bench.sender(word="old")
    await sender.reload()
    assert (await create(sender)).status == 200


async def test_a_reload_takes_over_the_pairs_that_ask_for_others(bench: Bench) -> None:
    sender = await bench.sender(lambda: bench.channels(asks=True), asks=True, bootstrap="outdated")
    assert (await pack(sender)).status is None
    await sender.reload()
    assert [(await pack(sender)).status for _ in range(2)] == [401, 200]
