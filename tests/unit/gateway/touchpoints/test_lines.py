"""The line of a request: the reason of every refusal, and nothing about a person."""

from __future__ import annotations

import logging
from typing import Any

import orjson
import pytest
from yarl import URL

from gateway.http.access_log import AccessLog
from gateway.http.answers import QUOTED, Answer
from gateway.http.call import Call
from gateway.http.metrics import Metrics
from gateway.http.responder import Responder
from gateway.ports import Outgoing
from tests.fakes.gateway import FakeKafka, gateway, headers_for
from tests.support.logs.lines import CANARY, PERSONAL, marked, read_lines
from topics.api.routes import full_path
from topics.contract.sample_files import sample
from topics.contract.touchpoints import BY_NAME
from topics.logs.lines import Lines
from topics.records.envelope import Envelope
from topics.records.verdicts import Reply, Verdict

CALLS = ("create-outward-order", "create-return-order", "pack-order")


def refused_in_other_words(envelope: Envelope, _record: Outgoing) -> Reply:
    return Reply(event=envelope.id, verdict=Verdict.REFUSED, message=f"no delivery to {CANARY}")


async def sent(name: str, body: bytes, kafka: FakeKafka | None = None) -> tuple[int, list[dict[str, Any]]]:
    touchpoint = BY_NAME[name]
    path = full_path(touchpoint).format(channel="demo", **sample(name).path)
    async with gateway(kafka=kafka) as at:
        response = await at.client.request(
            touchpoint.method, URL(path, encoded=True), data=body, headers=headers_for(touchpoint)
        )
    return response.status, read_lines(at.log + at.actions)


@pytest.mark.parametrize("name", CALLS)
async def test_a_call_that_is_taken(name: str) -> None:
    body = orjson.dumps(marked(sample(name).members))
    assert CANARY.encode() in body
    status, lines = await sent(name, body)
    assert status == 200
    assert CANARY not in str(lines)


@pytest.mark.parametrize(
    ("header", "trace"),
    [
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "0af7651916cd43dd8448eb211c80319c"),
        ("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more", "0af7651916cd43dd8448eb211c80319c"),
        ("00-00000000000000000000000000000000-b7ad6b7169203331-01", ""),
        (f"00-{CANARY}-01", ""),
        (CANARY * 30, ""),
    ],
)
async def test_a_line_has_the_callers_trace(header: str, trace: str) -> None:
    async with gateway() as at:
        touchpoint = BY_NAME["create-outward-order"]
        await at.client.post(
            full_path(touchpoint),
            data=orjson.dumps(sample(touchpoint.name).members),
            headers={**headers_for(touchpoint), "traceparent": header},
        )
    (line,) = read_lines(at.log)
    assert line.get("trace_id", "") == trace
    assert CANARY not in str(line)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("wrong", [[CANARY], {CANARY: CANARY}, CANARY * 100, {"name": CANARY}])
async def test_a_personal_field_of_another_form(name: str, wrong: Any) -> None:
    status, lines = await sent(name, orjson.dumps(marked(sample(name).members, as_what=wrong)))
    (line,) = lines
    assert CANARY not in str(line)
    if status >= 400:
        assert line["code"] == "BAD_DATA"
        assert line["reason"].startswith("Input validation failed: [")
        assert any(name in line["reason"] for name in PERSONAL)


@pytest.mark.parametrize("body", [b'{"name": "%s"', b'"%s"', b'["%s"]', b'{"%s": 1, "orderCode": []}', b"%s"])
async def test_a_body_that_is_none(body: bytes) -> None:
    status, (line,) = await sent("create-outward-order", body.replace(b"%s", CANARY.encode()))
    assert status == 400
    assert line["reason"]
    assert CANARY not in str(line)


async def test_a_refusal_in_a_far_sides_words_has_a_reason_without_them() -> None:
    body = orjson.dumps(marked(sample("pack-order").members))
    status, (line,) = await sent("pack-order", body, FakeKafka(decide=refused_in_other_words))
    assert status == 400
    assert (line["code"], line["reason"], line["verdict"]) == ("REFUSED", QUOTED, "REFUSED")
    assert CANARY not in str(line)


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/api/orders/X?channel=nobody", {}, 404),
        ("POST", "/api/redrives", {}, 400),
        ("GET", "/api/nothing", {}, 404),
        ("DELETE", "/api/orders/X", {}, 405),
        ("GET", "/nowhere", {}, 404),
        ("POST", "/assure-magic2/orders/outward", {}, 401),
        ("POST", "/assure-magic2/orders/outward", {"authUsername": "demo", "authPassword": "x"}, 401),
    ],
)
async def test_every_refusal_has_its_code_and_reason(
    method: str, path: str, headers: dict[str, str], status: int
) -> None:
    async with gateway() as at:
        response = await at.client.request(method, path, headers=headers, data=b"[1]" if method == "POST" else None)
        assert response.status == status, await response.text()
    (line, *_) = [line for line in read_lines(at.log) if line["event"] == "request"]
    assert (line["status"], bool(line["code"]), bool(line["reason"])) == (status, True, True)


def test_a_higher_level_leaves_the_lines_of_actions_alone() -> None:
    kept: list[bytes] = []
    access_log = AccessLog(kept.append, made_by=Lines("gateway", "0", level=logging.WARNING))
    responder, call = Responder(Metrics(), access_log), Call("pack-order", 0.0, reason=CANARY)
    responder.respond(call, Answer(200, b"{}"))
    responder.log_action(call, Answer(200, b"{}"), name="redrive", method="POST", target="/api/redrives")
    access_log.flush()
    assert [line["event"] for line in read_lines(kept)] == ["action"]
