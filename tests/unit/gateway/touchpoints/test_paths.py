"""Every code reaches every path, as bytes on a socket; a path in another spelling is taken; all others are refused in
their side's shape."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
from aiohttp import web

from tests.fakes.gateway import INCREFF, MARKETPLACE, FakeKafka, gateway
from tests.fakes.snapshots import stage
from tests.support.paths.odd_codes import CODES, SPELLINGS
from tests.support.paths.raw_http import both_ports
from topics.api.routes import PROBES, ROUTES, full_paths
from topics.contract.sample_files import sample
from topics.contract.touchpoints import BY_NAME, TOUCHPOINTS
from topics.paths.patterns import PathPattern
from topics.paths.resources import PatternResource
from topics.records.keys import order_key, return_key, stock_key
from topics.records.verdicts import Reply, Verdict

UPDATE = orjson.dumps(sample("update-order-properties").body | {})  # type: ignore[operator]
CANCEL = orjson.dumps(sample("customer-cancellation").body)
ORDER = orjson.dumps(sample("create-outward-order").body)
SMALL = ("{a}", "outward", "a/b", "%2F", "..", "?", "é\n", "\x00", "☃" * 255)


def short(code: str) -> str:
    return ascii(code)[:12]


def calls() -> list[tuple[str, str]]:
    """Method and pattern of every call whose path has a part that varies."""
    found = [(touchpoint.method, path) for touchpoint in TOUCHPOINTS for path in full_paths(touchpoint)]
    found += [(route.method, route.path) for route in ROUTES]
    return [(method, path) for method, path in found if PathPattern(path).words]


def words_of(pattern: PathPattern, code: str) -> dict[str, str]:
    return {name: words[-1] if words else code for name, words in pattern.words.items()}


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_every_code_reaches_every_call(spelling: str) -> None:
    """The real routes, whose handlers say what they were given."""

    def saying(route: str) -> Any:
        async def say(request: web.Request) -> web.Response:
            return web.Response(body=orjson.dumps([route, dict(request.match_info)]))

        return say

    async with gateway() as at:
        for app in (at.client.app_of("/"), at.client.app_of("/api/")):
            for resource in app.router.resources():
                assert isinstance(resource, PatternResource)
                for route in resource:
                    if route.method != "*":
                        route._handler = saying(f"{route.method} {resource.pattern.text}")
        async with both_ports(at) as client:
            for method, path in calls():
                pattern = PathPattern(path)
                for code in CODES:
                    words = words_of(pattern, code)
                    target = path
                    for part in pattern.words:
                        given = path[path.index("{" + part) :].partition("}")[0] + "}"
                        target = target.replace(given, SPELLINGS[spelling](words[part]))
                    answer = await client.ask(f"{method} {target}")
                    assert (answer.status, answer.body) == (200, [f"{method} {path}", words]), target


@pytest.mark.parametrize("code", SMALL, ids=short)
async def test_a_command_has_the_code_of_its_path(code: str) -> None:
    async with gateway() as at, both_ports(at) as client:
        for name, body in (("update-order-properties", UPDATE), ("customer-cancellation", CANCEL)):
            touchpoint = BY_NAME[name]
            for path in full_paths(touchpoint):
                target = PathPattern(path).fill({"orderCode": code})
                answer = await client.ask(f"PUT {target}", body, MARKETPLACE)
                assert answer.status == 200, answer
                record = at.kafka.records.pop()
                assert (record.key, orjson.loads(record.value)["orderCode"]) == (order_key("demo", code), code)


@pytest.mark.parametrize("code", SMALL, ids=short)
async def test_the_api_asks_for_the_code_of_its_path(code: str) -> None:
    def answered(envelope: Any, record: Any) -> Reply:
        return Reply(event=envelope.id, verdict=Verdict.ANSWERED, body=orjson.loads(record.value))

    async with gateway(kafka=FakeKafka(decide=answered)) as at, both_ports(at) as client:
        for path, key in (("/api/orders/{code}", order_key), ("/api/returns/{code}", return_key)):
            answer = await client.ask(f"GET {PathPattern(path).fill({'code': code})}")
            assert (answer.status, next(iter(answer.body.values()))) == (200, code)
            assert at.kafka.records.pop().key == key("demo", code)


@pytest.mark.parametrize("location", SMALL, ids=short)
async def test_stock_is_paused_asked_and_loaded_at_the_location_of_the_path(location: str) -> None:
    async with stage() as here, both_ports(here.gateway) as client:
        at, item = here.gateway, {"channelSkuCode": "A", "quantity": 1}
        at.stock.apply(stock_key("demo", location) + b"|A", orjson.dumps(item))
        path = PathPattern("/api/inventory/{action}/demo/{location}")
        paths = {"action": "pause", "location": location}
        shown = await client.ask(f"POST {PathPattern('/api/inventory/preview/{action}/demo/{location}').fill(paths)}")
        body = orjson.dumps({"token": shown.body["token"], "reason": "because of the test"})
        paused = await client.ask(f"POST {path.fill(paths)}", body)
        assert (paused.status, paused.body["location"]) == (202, location)
        refused = await client.ask(f"GET {path.fill({'action': 'refused', 'location': location})}")
        assert refused.status == 200
        target = PathPattern("/api/inventory/snapshots/demo/{location}").fill({"location": location})
        lines = await client.ask(f"PUT {target}", orjson.dumps(item), {"Content-Type": "application/x-ndjson"})
        assert lines.status == 200, lines
        assert {record.key for record in at.kafka.records if record.topic == "inventory.updates"} == {
            stock_key("demo", location)
        }


@pytest.mark.parametrize(
    ("line", "body"),
    [
        ("POST /assure-magic2/orders/outward", ORDER),
        ("POST /assuremagic2/orders/outward", ORDER),
        ("POST /assure-magic2/orders/outward/", ORDER),
        ("POST /assure-magic2/orders/outward//", ORDER),
        ("POST //assure-magic2/orders/outward", ORDER),
        ("POST /assure-magic2//orders/outward", ORDER),
        ("POST //assuremagic2///orders/outward/", ORDER),
        ("POST /assure-magic2/%6frders/outward", ORDER),
        ("POST /assure-magic2/orders/outward/?a=b", ORDER),
        ("POST http://sluice.example/assure-magic2/orders/outward", ORDER),
        ("PUT /assure-magic2/orders/a%2Fb/", UPDATE),
        ("PUT //assure-magic2/orders/a%2Fb/cancel/", CANCEL),
        ("PUT /assure-magic2/orders/outward/", UPDATE),
    ],
)
async def test_a_known_path_may_be_spelt_in_another_way(line: str, body: bytes) -> None:
    async with gateway() as at, both_ports(at) as client:
        assert (await client.ask(line, body, MARKETPLACE)).status == 200
        (record,) = at.kafka.records
        if "a%2Fb" in line:
            assert orjson.loads(record.value)["orderCode"] == "a/b"


@pytest.mark.parametrize("line", ["GET //live", "GET /live/", "GET /api//redrives/", "GET //api/inventory/status/"])
async def test_so_may_a_path_of_operators(line: str) -> None:
    async with gateway() as at, both_ports(at) as client:
        assert (await client.ask(line)).status == 200


async def test_the_credentials_of_a_channel_are_wanted_at_every_spelling() -> None:
    async with gateway() as at, both_ports(at) as client:
        line = "PUT //channels/demo//returns/acknowledgement/"
        body = orjson.dumps(sample("return-order-acknowledgement").body)
        assert (await client.ask(line, body)).status == 401
        assert (await client.ask(line, body, INCREFF)).status == 200


NO_PATH = [
    ("PUT /assure-magic2/orders//cancel", "an empty code is no other code"),
    ("PUT /assure-magic2/orders/", "nor is one at the end"),
    ("PUT /assure-magic2/orders//", ""),
    ("PUT /assure-magic2/return//cancel-items", ""),
    ("POST /orders/outward", "without a base"),
    ("POST /assure-magic3/orders/outward", ""),
    ("GET /x%0Ay", ""),
    ("GET /", ""),
    ("OPTIONS *", ""),
    ("CONNECT sluice.example:443", ""),
    ("GET " + "/" * 16_000, "it is not looked up part by part"),
    ("GET " + "/a" * 8_000, ""),
    ("PUT /assure-magic2/orders/" + "%7b" * 5_000 + "/x", ""),
]


@pytest.mark.parametrize(("line", "why"), NO_PATH)
async def test_another_path_is_unknown(line: str, why: str) -> None:
    async with gateway() as at, both_ports(at) as client:
        answer = await client.ask(line, UPDATE, MARKETPLACE)
        assert (answer.status, answer.body["code"]) == (404, "PATH_UNKNOWN"), why
        assert not at.kafka.records


MARKETPLACES = "paths of marketplaces begin with /assure-magic2 or /assuremagic2"
ALL = "GET /openapi.json lists all paths"


@pytest.mark.parametrize(
    ("line", "member", "said", "logged"),
    [
        ("POST /orders/outward", "description", MARKETPLACES, "/orders/outward"),
        ("PUT /orders/A/cancel?token=s3cret", "description", MARKETPLACES, "/orders/…/cancel"),
        ("GET /", "description", MARKETPLACES, "/"),
        ("GET /assure-magic2/nothing", "description", ALL, "/assure-magic2/…"),
        ("PUT /channels/demo/nothing", "errorMessage", ALL, "/channels/…/…"),
        ("GET /api/nothing", "detail", ALL, "/api/…"),
        ("GET /x%0A%22y", "description", MARKETPLACES, "/…"),
        ("GET /assure-magic2/orders/outward", "description", "", "/assure-magic2/orders/outward"),
        ("GET /" + "a" * 1_000, "description", MARKETPLACES, "/…"),
    ],
)
async def test_a_refused_path_leaves_a_trace_and_the_caller_learns_where_paths_are(
    line: str, member: str, said: str, logged: str
) -> None:
    async with gateway(trusted_proxies="127.0.0.0/8") as at, both_ports(at) as client:
        answer = await client.ask(line, b"", {"X-Forwarded-For": "203.0.113.7"})
        assert said in answer.body[member]
        assert (MARKETPLACES in answer.body[member]) is (said == MARKETPLACES)
    (entry,) = [orjson.loads(one) for lines in at.log for one in lines.splitlines()]
    assert (entry["method"], entry["target"], entry["address"]) == (line.split(maxsplit=1)[0], logged, "203.0.113.7")
    assert entry["reason"]
    assert "s3cret" not in str(entry)


async def test_what_a_route_takes_is_logged_without_its_path() -> None:
    async with gateway() as at, both_ports(at) as client:
        await client.ask("PUT /assure-magic2/orders/A/cancel", CANCEL, MARKETPLACE)
    assert at.log
    assert b"target" not in b"".join(at.log)


@pytest.mark.parametrize("action", ["pause", "resume", "resync", "reconcile"])
@pytest.mark.parametrize("end", ["/", "//", "/?wait=1"])
async def test_an_action_for_a_location_without_a_code_is_none_for_the_channel(action: str, end: str) -> None:
    """As a script writes it whose variable is empty: `/pause/demo/$LOCATION`."""
    async with gateway() as at, both_ports(at) as client:
        answer = await client.ask(f"POST /api/inventory/{action}/demo{end}")
        assert (answer.status, answer.body["code"]) == (404, "UNKNOWN")
        assert "location" in answer.body["detail"]
        assert not at.kafka.records
        assert (await client.ask("GET /api/inventory/refused/demo/")).status == 200


@pytest.mark.parametrize(
    ("line", "allowed", "members"),
    [
        ("GET /assure-magic2/orders/outward", "POST, PUT", {"code", "message", "description"}),
        ("DELETE /assure-magic2/orders/A/cancel", "PUT", {"code", "message", "description"}),
        ("POST /assuremagic2/return/cancel-items/", "PUT", {"code", "message", "description"}),
        ("GET /channels/demo/inventory", "PUT", {"hasError", "errorMessage"}),
        ("POST //channels/demo/invoice", "GET", {"hasError", "errorMessage"}),
        ("DELETE /api/orders/A", "GET", {"type", "title", "status", "detail", "code"}),
        ("PUT /api/subscriptions/A", "DELETE, GET, PATCH", {"type", "title", "status", "detail", "code"}),
        ("POST /api/inventory/snapshots/demo/L", "GET, PUT", {"type", "title", "status", "detail", "code"}),
        ("POST /live", "GET, HEAD", {"code", "message", "description"}),
        ("OPTIONS /assure-magic2/orders/outward", "POST, PUT", {"code", "message", "description"}),
    ],
)
async def test_a_method_that_a_path_has_not_is_answered_with_those_that_it_has(
    line: str, allowed: str, members: set[str]
) -> None:
    async with gateway() as at, both_ports(at) as client:
        answer = await client.ask(line)
        assert (answer.status, answer.headers["allow"]) == (405, allowed)
        assert set(answer.body) == members


@pytest.mark.parametrize("path", [probe.path for probe in PROBES])
async def test_a_probe_takes_head(path: str) -> None:
    async with gateway() as at, both_ports(at) as client:
        client.writer.write(f"HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert (await asyncio.wait_for(client.reader.readuntil(b"\r\n\r\n"), 20)).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("line", "headers", "challenge"),
    [
        ("POST /assure-magic2/orders/outward", {}, 'Headers realm="Sluice"'),
        ("POST /assure-magic2/orders/outward", {**MARKETPLACE, "authPassword": "x"}, 'Headers realm="Sluice"'),
        ("POST /channels/demo/orders/pack", {}, 'Headers realm="Sluice"'),
        ("POST /channels/nobody/orders/pack", INCREFF, 'Headers realm="Sluice"'),
        ("GET /channels/demo/credentials", {}, 'Headers realm="Sluice"'),
        ("GET /api/orders/A", {}, 'Bearer realm="Sluice"'),
        ("GET /api/orders/A", {"Authorization": "Basic eDp4"}, 'Bearer realm="Sluice"'),
        ("POST /api/inventory/pause/demo", {"Authorization": "Bearer x"}, 'Bearer realm="Sluice"'),
    ],
)
async def test_401_says_how_to_authenticate(line: str, headers: dict[str, str], challenge: str) -> None:
    async with gateway(api_tokens="alice=right-token", api_open=False) as at, both_ports(at) as client:
        answer = await client.ask(line, b"{}", headers)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, challenge)


@pytest.mark.parametrize(
    "line",
    ["PUT /assure-magic2/orders/%FF", "PUT /assure-magic2/orders/a%ED%A0%80/cancel", "PUT //assuremagic2/orders/%C3/"],
)
async def test_a_code_that_is_no_text_is_named(line: str) -> None:
    async with gateway() as at, both_ports(at) as client:
        answer = await client.ask(line, UPDATE, MARKETPLACE)
        assert (answer.status, answer.body["description"]) == (400, "[orderCode: is not UTF-8, percent-encoded]")
        assert not at.kafka.records


async def test_a_code_that_goes_on_behind_a_number_sign_is_not_the_code_before_it() -> None:
    async with gateway() as at, both_ports(at) as client:
        answer = await client.ask("PUT /assure-magic2/orders/A#B", UPDATE, MARKETPLACE)
        assert (answer.status, "%23" in answer.body["description"]) == (400, True)
        assert not at.kafka.records


async def test_an_expectation_without_a_meaning_is_ignored() -> None:
    async with gateway() as at, both_ports(at) as client:
        line = "POST /assure-magic2/orders/outward"
        assert (await client.ask(line, ORDER, {**MARKETPLACE, "Expect": "200-ok"})).status == 200
        unknown = await client.ask("POST /nowhere", ORDER, {**MARKETPLACE, "Expect": "200-ok"})
        assert (unknown.status, unknown.body["code"]) == (404, "PATH_UNKNOWN")
        await client.ask(line, b"", {**MARKETPLACE, "Expect": "100-continue", "Content-Length": str(len(ORDER))})
        assert (await client.send(ORDER)).status == 200


async def test_the_bases_of_the_settings_are_the_only_ones() -> None:
    async with gateway(marketplace_paths="/oms/v2,/") as at, both_ports(at) as client:
        for base in ("/oms/v2", "", "/oms/v2/", "//"):
            assert (await client.ask(f"POST {base}/orders/outward", ORDER, MARKETPLACE)).status == 200, base
        assert (await client.ask("POST /assure-magic2/orders/outward", ORDER, MARKETPLACE)).status == 404
        paths = (await client.ask("GET /openapi.json")).body["paths"]
        assert "/oms/v2/orders/outward" in paths


FORMER = {"returnLineItems": [{"channelReturnItemCode": "R-1", "channelSkuCode": "A", "mine": 1}]}
PRESENT = {"returnOrderItems": [{"returnOrderItemCode": "R-1", "channelSkuCode": "A", "mine": 1}]}
MIXED = {"returnOrderItems": [{"channelReturnItemCode": "R-1", "channelSkuCode": "A", "mine": 1}]}
TWICE = {**PRESENT, "returnLineItems": [{"channelReturnItemCode": "OTHER", "channelSkuCode": "A"}]}
CODES_OF_A_RETURN = {"returnOrderCode": "R", "orderCode": "O", "locationCode": "L"}


@pytest.mark.parametrize("path", ["/return/cancel-items", "/return/cancel-return-order/item"])
@pytest.mark.parametrize("items", [FORMER, PRESENT, MIXED, TWICE], ids=["former", "present", "mixed", "twice"])
async def test_items_of_a_return_are_cancelled_at_both_paths_and_under_both_names(
    path: str, items: dict[str, Any]
) -> None:
    async with gateway() as at, both_ports(at) as client:
        for base in ("/assure-magic2", "/assuremagic2"):
            body = orjson.dumps({**CODES_OF_A_RETURN, **items})
            assert (await client.ask(f"PUT {base}{path}", body, MARKETPLACE)).status == 200
            record = at.kafka.records.pop()
            assert orjson.loads(record.value) == {**CODES_OF_A_RETURN, **PRESENT}
            assert record.key == return_key("demo", "R")


@pytest.mark.parametrize(
    ("items", "fault"),
    [
        ({}, "returnOrderItems: may not be null"),
        ({"returnLineItems": []}, "returnOrderItems: must have at least 1 entry"),
        ({"returnOrderItems": [{"channelSkuCode": "A"}]}, "returnOrderItems[0].returnOrderItemCode: may not be null"),
    ],
)
async def test_what_a_cancellation_lacks_is_named_as_the_contract_names_it(items: dict[str, Any], fault: str) -> None:
    async with gateway() as at, both_ports(at) as client:
        body = orjson.dumps({**CODES_OF_A_RETURN, **items})
        answer = await client.ask("PUT /assure-magic2/return/cancel-items", body, MARKETPLACE)
        assert (answer.status, answer.body["description"]) == (400, f"[{fault}]")
