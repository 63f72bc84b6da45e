"""/api/subscriptions keeps who gets facts: what is answered is stored and counts, secrets are shown once and never
again, and what is wrong is named without its value."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import orjson
import pytest

from gateway.ports import Unavailable
from tests.fakes.gateway import NOW_MS, FakeKafka, Gateway, gateway
from tests.support.eventually import eventually
from tests.support.operators.two_steps import act
from topics.records.deliveries import decode_lane_decision
from topics.records.keys import destination_partition, lane_key, order_key, shard_of, subscription_destination
from topics.subscriptions.index import backlog_key, health_key
from topics.subscriptions.model import (
    Backlog,
    BlockedFact,
    Health,
    SigningSecret,
    Status,
    Subscription,
)
from topics.webhooks.sealing import SecretBox
from topics.webhooks.signatures import signing_key

KEY = bytes(range(32))
SETTINGS: dict[str, Any] = {"secret_key": base64.b64encode(KEY).decode()}
URL = "https://receiver.example/hook"
OWN = "whsec_" + base64.b64encode(bytes(32)).decode()


async def ask(at: Gateway, method: str, path: str = "", body: Any = None, **headers: str) -> tuple[int, Any]:
    response = await at.client.request(method, f"/api/subscriptions{path}", json=body, headers=headers)
    raw = await response.read()
    return response.status, orjson.loads(raw) if raw else None


async def add(at: Gateway, **wanted: Any) -> Any:
    status, made = await ask(at, "POST", body={"url": URL, **wanted})
    assert status == 201, made
    return made


def stored(at: Gateway, name: str) -> Subscription:
    found = at.kafka.subscriptions.get(name)
    assert found is not None
    return found


async def test_a_new_subscription_is_stored_verified_and_shows_its_secret_once() -> None:
    async with gateway(**SETTINGS) as at:
        made = await add(at, types=["order-*"], channels=["demo"], description="ERP")
        assert (made["state"], made["verified_ms"], made["not_verified"]) == ("active", NOW_MS, None)
        assert made["secret"].startswith("whsec_")
        one = stored(at, made["id"])
        assert SecretBox([KEY]).open(one.secrets[0].sealed, one.id) == made["secret"]
        for record in at.kafka.records:
            assert made["secret"].encode() not in record.value
        for _, told in (await ask(at, "GET"), await ask(at, "GET", f"/{made['id']}")):
            text = orjson.dumps(told)
            assert made["secret"].encode() not in text
            assert one.secrets[0].sealed.encode() not in text
        assert not any(made["secret"].encode() in line for line in at.log)


async def test_the_challenge_is_signed_with_the_new_secret() -> None:
    async with gateway(**SETTINGS) as at:
        made = await add(at)
        [asked] = at.endpoints.asked
        assert (asked["url"], asked["subscription"]) == (URL, made["id"])
        [key] = asked["keys"]
        assert key.sign(b"x") == signing_key(made["secret"]).sign(b"x")


async def test_an_endpoint_that_does_not_pass_gets_no_facts_until_it_does() -> None:
    async with gateway(**SETTINGS) as at:
        at.endpoints.why = "it answered 500: expected 2xx"
        made = await add(at)
        assert (made["state"], made["not_verified"]) == ("unverified", at.endpoints.why)
        assert not at.kafka.subscriptions.is_active(made["id"])
        status, told = await ask(at, "POST", f"/{made['id']}/verify")
        assert (status, told["code"]) == (409, "NOT_VERIFIED")
        assert at.endpoints.why in told["detail"]
        at.endpoints.why = None
        status, told = await ask(at, "POST", f"/{made['id']}/verify")
        assert (status, told["state"]) == (200, "active")


async def test_ones_own_secret_is_taken_and_not_told() -> None:
    async with gateway(**SETTINGS) as at:
        made = await add(at, secret=OWN)
        assert made["secret"] is None
        assert SecretBox([KEY]).open(stored(at, made["id"]).secrets[0].sealed, made["id"]) == OWN


async def test_a_reference_needs_no_key_and_stays_a_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECEIVER_SECRET", OWN)
    async with gateway() as at:
        made = await add(at, secret="env:RECEIVER_SECRET")
        assert made["secrets"] == [{"created_ms": NOW_MS, "until_ms": None, "reference": "env:RECEIVER_SECRET"}]
        assert OWN.encode() not in at.kafka.records[0].value


async def test_a_receiver_of_v1a_is_told_the_public_key_only() -> None:
    async with gateway(**SETTINGS) as at:
        made = await add(at, signature="v1a")
        assert made["secret"] is None
        assert made["public_key"].startswith("whpk_")


async def test_without_a_key_nothing_is_stored_and_it_is_said_how_to_get_one() -> None:
    async with gateway() as at:
        status, told = await ask(at, "POST", body={"url": URL})
        assert (status, told["code"]) == (503, "NO_SECRET_KEY")
        assert "openssl rand" in told["detail"]
        assert at.kafka.records == []


async def test_a_change_seals_secrets_anew_under_a_new_key() -> None:
    new = bytes(range(1, 33))
    async with gateway(secret_key=",".join(base64.b64encode(key).decode() for key in (new, KEY))) as at:
        made = await add(at)
        one = stored(at, made["id"])
        before = SigningSecret(sealed=SecretBox([KEY]).seal(OWN, one.id), created_ms=1)
        lost = SigningSecret(sealed=SecretBox([bytes(32)]).seal(OWN, one.id), created_ms=1)
        at.kafka.subscriptions.apply(
            one.id.encode(), one.model_copy(update={"secrets": (before, *one.secrets, lost)}).encode()
        )
        assert (await ask(at, "PATCH", f"/{one.id}", {"description": "x"}))[0] == 200
        first, second, third = stored(at, one.id).secrets
        assert SecretBox([new]).open(first.sealed, one.id) == OWN
        assert (second, third) == (one.secrets[0], lost)


@pytest.mark.parametrize(
    ("wanted", "fault"),
    [
        ({}, "url: "),
        ({"url": "ftp://x"}, "url: "),
        ({"url": "http://receiver.example/"}, "url: expected https"),
        ({"url": URL, "types": ["order-paked"]}, "types: no fact is named order-paked"),
        ({"url": URL, "types": []}, "types: "),
        ({"url": URL, "channels": ["elsewhere"]}, "channels[0]: must be one of demo"),
        ({"url": URL, "colour": "red"}, "colour: "),
        ({"url": URL, "timeout_s": 0}, "timeout_s: "),
        ({"url": URL, "budget": {"requests": 0, "window_s": 1}}, "budget.requests: "),
        ({"url": URL, "budget": [{"shape": "quota", "requests": 5, "per": "week"}]}, "budget[0].per: "),
        ({"url": URL, "budget": {"shape": "funnel"}}, "budget: expected a table whose shape is one of sliding-window"),
        ({"url": URL, "retry_pauses_s": [5, -1]}, "retry_pauses_s[1]: "),
        ({"url": URL, "secret": "hunter2-secret"}, "secret: a secret that signs begins with whsec_"),
        ({"url": URL, "secret": OWN, "signature": "v1a"}, "secret: is not for v1a signatures"),
        ({"url": URL, "secret": "env:NOWHERE_SET"}, "NOWHERE_SET, which is not set"),
        ([1], "body: must be a JSON object"),
    ],
    ids=str,
)
async def test_what_is_wrong_is_named_and_not_repeated(wanted: Any, fault: str) -> None:
    async with gateway(**SETTINGS) as at:
        status, told = await ask(at, "POST", body=wanted)
        assert (status, told["code"]) == (400, "BAD_DATA")
        assert fault in told["detail"]
        assert "hunter2" not in told["detail"]
        assert OWN not in told["detail"]
        assert at.kafka.records == []


async def test_a_patch_changes_what_it_names_and_makes_a_revision() -> None:
    async with gateway(**SETTINGS) as at:
        made = await add(at, types=["order-*"], concurrency=3, budget={"shape": "quota", "requests": 9, "per": "day"})
        status, told = await ask(at, "PATCH", f"/{made['id']}", {"description": "ERP", "concurrency": 5})
        assert status == 200
        assert (told["budget"]["per"], told["probe_max_s"]) == ("day", 60)
        assert (told["types"], told["description"], told["concurrency"]) == (["order-*"], "ERP", 5)
        assert told["revision"] == made["revision"] + 1
        assert stored(at, made["id"]).secrets[0].sealed
        assert len(at.endpoints.asked) == 1


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"shards": 4}, "shards: cannot be changed"),
        ({"signature": "v1a"}, "signature: "),
        ({"id": "sub_other"}, "id: "),
        ({"types": ["nothing-*"]}, "types: no fact is named nothing-*"),
    ],
    ids=str,
)
async def test_a_patch_that_cannot_be_is_refused_and_changes_nothing(change: Any, fault: str) -> None:
    async with gateway(**SETTINGS) as at:
        made = await add(at)
        before = stored(at, made["id"])
        status, told = await ask(at, "PATCH", f"/{made['id']}", change)
        assert (status, told["code"]) == (400, "BAD_DATA")
        assert fault in told["detail"]
        assert stored(at, made["id"]) == before


async def test_another_url_has_to_pass_first() -> None:
    async with gateway(**SETTINGS) as at:
        made = await add(at)
        at.endpoints.why = "no answer within 10 s"
        status, told = await ask(at, "PATCH", f"/{made['id']}", {"url": URL + "2"})
        assert (status, told["code"], stored(at, made["id"]).url) == (409, "NOT_VERIFIED", URL)
        at.endpoints.why = None
        status, told = await ask(at, "PATCH", f"/{made['id']}", {"url": URL + "2"})
        assert (status, told["url"]) == (200, URL + "2")


async def test_rotation_shows_the_new_secret_and_keeps_the_old_one_signing_for_the_overlap() -> None:
    async with gateway(**SETTINGS) as at:
        made = await add(at)
        status, told = await ask(at, "POST", f"/{made['id']}/rotate-secret", {"overlap_s": 60})
        assert status == 200
        assert told["secret"] not in (None, made["secret"])
        assert [one["until_ms"] for one in told["secrets"]] == [None, NOW_MS + 60_000]
        box, one = SecretBox([KEY]), stored(at, made["id"])
        assert [box.open(secret.sealed, one.id) for secret in one.live_secrets(NOW_MS)] == [
            told["secret"],
            made["secret"],
        ]
        status, told = await ask(at, "POST", f"/{made['id']}/rotate-secret", {"overlap_s": 0, "signature": "v1a"})
        assert (status, told["signature"], len(told["secrets"])) == (200, "v1a", 1)


async def test_secrets_that_sign_at_once_are_bounded() -> None:
    async with gateway(**SETTINGS) as at:
        made = await add(at)
        answers = [await ask(at, "POST", f"/{made['id']}/rotate-secret") for _ in range(5)]
        assert [status for status, _ in answers] == [200] * 4 + [409]
        assert answers[-1][1]["code"] == "TOO_MANY_SECRETS"


async def test_an_operator_disables_and_enables_and_deletes() -> None:
    async with gateway(**SETTINGS) as at:
        made = await add(at)
        path = f"/{made['id']}"
        status, told = await ask(at, "POST", path + "/disable")
        assert (status, told["state"], told["disabled"]["by"]) == (200, "disabled", "operator")
        status, told = await ask(at, "POST", path + "/enable")
        assert (status, told["state"]) == (200, "active")
        assert await ask(at, "DELETE", path) == (204, None)
        assert (await ask(at, "GET", path))[0] == 404
        assert (await ask(at, "DELETE", path))[0] == 404
        assert await ask(at, "GET") == (200, {"subscriptions": [], "unreadable": []})
        assert at.kafka.subscriptions.is_deleted(made["id"])


async def test_the_effect_of_enabling_can_be_waited_for() -> None:
    async with gateway(**SETTINGS) as at:
        made = await add(at)
        path = f"/{made['id']}/enable"
        assert (await ask(at, "POST", path))[1]["tried"] is None
        status, told = await ask(at, "POST", path + "?wait=1")
        assert (status, told["tried"]) == (200, False), "no fact waits"
        waiting = asyncio.create_task(ask(at, "POST", path + "?wait=30"))
        revision = told["revision"] + 1
        await eventually(lambda: at.kafka.subscriptions.all()[made["id"]].revision == revision)
        at.kafka.subscriptions.apply_status(health_key(made["id"], 0), Health(revision=revision, success_ms=4).encode())
        status, told = await waiting
        assert (status, told["tried"], told["revision"]) == (200, True, revision)


async def test_one_that_cannot_be_read_is_said_to_be_there_and_can_be_removed() -> None:
    async with gateway(**SETTINGS) as at:
        made = await add(at)
        with pytest.raises(ValueError, match="line 1"):
            at.kafka.subscriptions.apply(made["id"].encode(), b"no JSON")
        assert await ask(at, "GET") == (200, {"subscriptions": [], "unreadable": [made["id"]]})
        path = f"/{made['id']}"
        for method, at_path in (("GET", path), ("PATCH", path), ("POST", path + "/enable")):
            status, told = await ask(at, method, at_path, {} if method == "PATCH" else None)
            assert (status, told["code"]) == (409, "UNREADABLE")
            assert "docs/unreadable.md" in told["detail"]
        assert await ask(at, "DELETE", path) == (204, None)
        assert at.kafka.subscriptions.is_deleted(made["id"])
        assert (await ask(at, "GET", path))[0] == 404


async def test_what_delivery_found_out_is_told_until_a_new_revision() -> None:
    async with gateway(**SETTINGS) as at:
        made = await add(at)
        known = at.kafka.subscriptions
        known.apply_status(
            made["id"].encode(), Status(revision=made["revision"], disabled_ms=7, reason="gone").encode()
        )
        known.apply_status(health_key(made["id"], 0), Health(failing_since_ms=5, error="status 410").encode())
        known.apply_status(health_key(made["id"], 1), Health(success_ms=4).encode())
        _, told = await ask(at, "GET", f"/{made['id']}")
        assert told["disabled"] == {"by": "sluice", "reason": "gone", "since_ms": 7}
        assert (told["state"], told["failing_since_ms"], told["last_success_ms"]) == ("disabled", 5, 4)
        assert told["last_error"] == "status 410"
        _, told = await ask(at, "POST", f"/{made['id']}/enable")
        assert (told["state"], told["disabled"]) == ("active", None)


async def test_what_delivery_tells_of_its_backlog_is_told_over_all_shards() -> None:
    async with gateway(**SETTINGS) as at:
        name, known = (await add(at, shards=2))["id"], at.kafka.subscriptions
        assert (await ask(at, "GET", f"/{name}"))[1]["backlog"] is None
        facts = [
            BlockedFact(delivery=f"msg_{n}", channel="demo", kind="order", code=f"O-{n}", dead_ms=n, error="status 413")
            for n in range(30)
        ]
        first = Backlog(at_ms=90, orders=50, oldest_ms=7, blocked=40, blocked_facts=tuple(facts[:15]))
        second = Backlog(at_ms=80, orders=20, oldest_ms=3, blocked=15, blocked_facts=tuple(facts[15:]))
        known.apply_status(backlog_key(name, 0), first.encode())
        known.apply_status(backlog_key(name, 1), second.encode())
        _, told = await ask(at, "GET", f"/{name}")
        shown = told["backlog"].pop("blocked_facts")
        assert told["backlog"] == {"as_of_ms": 80, "orders": 70, "oldest_ms": 3, "blocked": 55}
        assert [one["delivery"] for one in shown] == [f"msg_{n}" for n in range(20)]
        for shard in (0, 1):
            known.apply_status(backlog_key(name, shard), Backlog(at_ms=100).encode())
        assert (await ask(at, "GET", f"/{name}"))[1]["backlog"] is None


async def test_a_decision_about_a_dead_fact_goes_to_the_lane_of_its_order() -> None:
    async with gateway(**SETTINGS) as at:
        made = await add(at, shards=4, when_dead="block")
        response = await act(at.client, f"/api/subscriptions/{made['id']}/deliveries/msg_1/skip?order=O%2F1")
        status, told = response.status, await response.json()
        assert (status, told["action"], told["state"]) == (200, "skip", "applied")
        record = at.kafka.records[-1]
        destination, entity = subscription_destination(made["id"]), order_key("demo", "O/1")
        assert (record.topic, record.key) == ("deliveries.requests", lane_key(destination, entity))
        assert record.partition == destination_partition(destination, shard_of(entity, 4), at.settings.partitions)
        assert decode_lane_decision(record.value).request == "msg_1"
        status, told = await ask(at, "POST", f"/{made['id']}/deliveries/msg_1/skip/preview")
        assert (status, told["code"]) == (400, "BAD_DATA")
        assert "the query must name one of order, return, manifest" in told["detail"]


async def test_the_token_is_wanted_and_other_methods_are_refused() -> None:
    async with gateway(**SETTINGS, api_token="token-1") as at:
        assert (await ask(at, "GET"))[0] == 401
        assert (await ask(at, "POST", body={"url": URL}, Authorization="Bearer token-2"))[0] == 401
        assert (await ask(at, "GET", Authorization="Bearer token-1"))[0] == 200
        status, told = await ask(at, "PUT", "/x", {}, Authorization="Bearer token-1")
        assert (status, told["code"]) == (405, "METHOD_NOT_ALLOWED")


async def test_kafka_away_is_said_and_nothing_is_claimed() -> None:
    async with gateway(kafka=FakeKafka(error=Unavailable("away")), **SETTINGS) as at:
        status, told = await ask(at, "POST", body={"url": URL})
        assert (status, told["code"]) == (503, "UNAVAILABLE")
        assert at.endpoints.asked == []
