"""A fact reaches its subscriber signed and whole; a repeat differs only in its time, signature and number."""

from __future__ import annotations

import asyncio
import base64
import io
import time
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from msgspec.structs import replace
from standardwebhooks.webhooks import Webhook

from sluice.dev.torture.faults import ACKNOWLEDGES, Fault, Plan
from sluice.dev.torture.log import LogWriter, Signed
from sluice.dev.torture.receiver import Receiver, ReceiverOptions
from sluice.dev.torture.signatures import checker, judge
from streams.delivery.attempts.classify import classify
from streams.delivery.ports import Call, ResponseClass, Withheld
from streams.delivery.senders.router import SenderRouter
from streams.delivery.senders.webhook import WebhookSender
from tests.fakes.delivery import START_MS, ManualClock, channels_for
from tests.support.subscriptions import A, index, subscription
from topics.configuration.settings import load_settings
from topics.records.keys import order_key, subscription_destination
from topics.subscriptions.model import FACT, Deleted, Subscription
from topics.webhooks.client import ANSWER_BYTES_MAX
from topics.webhooks.sealing import SecretBox, secret_box
from topics.webhooks.signatures import Signature, make_secret, signing_key

OLD, NEW = make_secret(Signature.V1, b"o" * 32), make_secret(Signature.V1, b"n" * 32)
SEED = make_secret(Signature.V1A, b"s" * 32)
FACT_BODY = {"type": "order-packed", "timestamp": "2023-11-14T22:13:20.000Z", "data": {"sequence": 7, "note": "\u00e4"}}
CALL = Call(
    touchpoint=FACT,
    destination=subscription_destination(A),
    channel="demo",
    members=FACT_BODY,
    entity=order_key("demo", "A|1").decode(),
    delivery_id="msg_1",
    sequence=7,
    previous_sequence=5,
    watermark=4,
)

NO_ANSWER = {
    Fault.HANG,
    Fault.SLOW_HEADERS,
    Fault.RESET_BEFORE,
    Fault.RESET_AFTER,
    Fault.CLOSE,
    Fault.NOT_HTTP,
    Fault.GIANT_HEADERS,
}
READ_BYTES = 256 << 10
"""As much as an event loop hands over at once: what was there already when the limit was passed."""


class Bench:
    """A receiver, and a sender that has one subscription to it."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.answers = asyncio.Event()
        self.answers.set()
        self.settings = load_settings(
            secret_key=base64.b64encode(b"k" * 32).decode(),
            subscriber_networks="127.0.0.0/8",
            subscriber_ports="1-65535",
            subscriber_http=True,
        )
        self.clock = ManualClock()
        self.index = index()
        self.sender = WebhookSender(self.settings, self.index, self.clock)
        app = web.Application()
        app.router.add_post("/hook", self._take)
        self.server = TestServer(app)

    async def _take(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.requests.append((headers, await request.read()))
        await self.answers.wait()
        return web.Response(status=429, headers={"Retry-After": "9"}, text="later")

    def subscribe(self, *secrets: str, until_ms: dict[str, int] | None = None, **change: Any) -> Subscription:
        """Secrets newest first."""
        box = secret_box(self.settings)
        made = subscription(
            **{
                "url": str(self.server.make_url("/hook?token=hidden")),
                "secrets": [
                    {"sealed": box.seal(one, A), "created_ms": 1, "until_ms": (until_ms or {}).get(one)}
                    for one in secrets
                ],
                **change,
            }
        )
        self.index.apply(A.encode(), made.encode())
        return made

    async def signed_by(self, *keys: str, attempt: int = 1) -> list[bool]:
        """Send once; which of the keys verify what came."""
        await self.sender.send(replace(CALL, attempt=attempt))
        headers, body = self.requests[-1]
        now_s = self.clock.now_ms() / 1000
        return [judge([checker(key)], headers, body, now_s) is Signed.RIGHT for key in keys]


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    await made.server.start_server()
    await made.sender.start()
    yield made
    await made.sender.stop()
    await made.server.close()


async def test_a_delivery_is_as_the_standard_says_and_tells_where_it_stands(bench: Bench) -> None:
    bench.subscribe(NEW)
    answer = await bench.sender.send(CALL)
    assert (answer.status, answer.headers["retry-after"], answer.body, answer.error) == (429, "9", b"later", "")
    headers, body = bench.requests[0]
    assert orjson.loads(body) == FACT_BODY | {
        "delivery": {"order": "A|1", "channel": "demo", "sequence": 7, "previousSequence": 5, "watermark": 4}
    }
    assert headers["webhook-id"] == "msg_1"
    assert headers["webhook-timestamp"] == str(START_MS // 1000)
    assert headers["content-type"] == "application/json"
    assert headers["sluice-sequence"] == "7"
    assert headers["sluice-previous-sequence"] == "5"
    assert headers["sluice-attempt"] == "1"
    assert judge([checker(NEW)], headers, body, START_MS / 1000) is Signed.RIGHT


async def test_an_independent_verifier_takes_what_is_sent(bench: Bench) -> None:
    bench.subscribe(NEW, OLD)
    await bench.clock.run_for(int(time.time() * 1000) - START_MS)  # the verifier's clock is the machine's
    await bench.sender.send(CALL)
    headers, body = bench.requests[0]
    for secret in (NEW, OLD):
        assert Webhook(secret).verify(body, headers) == orjson.loads(body)


async def test_a_repeat_has_the_same_id_and_body_and_a_new_time_and_signature(bench: Bench) -> None:
    bench.subscribe(NEW)
    assert await bench.signed_by(NEW) == [True]
    await bench.clock.run_for(61_000)
    assert await bench.signed_by(NEW, attempt=2) == [True]
    (first, body), (second, again) = bench.requests
    assert body == again
    changed = {name for name in first if first[name] != second[name]}
    assert changed == {"webhook-timestamp", "webhook-signature", "sluice-attempt"}


async def test_what_an_operator_sends_again_says_so_beside_the_same_body(bench: Bench) -> None:
    bench.subscribe(NEW)
    await bench.sender.send(CALL)
    await bench.sender.send(replace(CALL, attempt=9, redrive="rdv_1"))
    (first, body), (second, again) = bench.requests
    assert body == again
    assert (first.get("sluice-redrive"), second["sluice-redrive"]) == (None, "rdv_1")


async def test_while_a_secret_is_rotated_both_sign_until_the_old_one_ends(bench: Bench) -> None:
    public = signing_key(SEED).verifier()
    bench.subscribe(OLD)
    assert await bench.signed_by(OLD, NEW, public) == [True, False, False]
    bench.subscribe(SEED, NEW, OLD, until_ms={OLD: START_MS + 5_000, NEW: START_MS + 9_000})
    assert await bench.signed_by(OLD, NEW, public) == [True, True, True]
    await bench.clock.run_for(5_000)
    assert await bench.signed_by(OLD, NEW, public) == [False, True, True]
    await bench.clock.run_for(4_000)
    assert await bench.signed_by(OLD, NEW, public) == [False, False, True]


async def test_a_secret_that_is_only_named_is_read_from_the_environment(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLUICE_TEST_HOOK", NEW)
    bench.subscribe(secrets=[{"reference": "env:SLUICE_TEST_HOOK", "created_ms": 1}])
    assert await bench.signed_by(NEW) == [True]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"url": "https://127.0.0.1:70000/"}, "not a URL"),
        ({"url": "http://10.0.0.1/hook"}, "its address is not allowed"),
        ({"secrets": [{"sealed": SecretBox([b"x" * 32]).seal(NEW, A), "created_ms": 1}]}, "add that key"),
        ({"secrets": [{"sealed": SecretBox([b"k" * 32]).seal(NEW, "sub_b"), "created_ms": 1}]}, "another's"),
        ({"secrets": [{"sealed": SecretBox([b"k" * 32]).seal("topsecret", A), "created_ms": 1}]}, "cannot sign"),
        ({"secrets": [{"reference": "env:SLUICE_TEST_NOWHERE", "created_ms": 1}]}, "which is not set"),
        ({"secrets": [{"reference": "env:SLUICE_TEST_NOWHERE", "created_ms": 1, "until_ms": 2}]}, "has ended"),
    ],
)
async def test_what_cannot_be_sent_from_here_is_withheld_until_that_is_mended(
    bench: Bench, change: dict[str, Any], says: str
) -> None:
    bench.subscribe(NEW, **change)
    with pytest.raises(Withheld, match=says) as withheld:
        await bench.sender.send(CALL)
    for hidden in ("topsecret", NEW, "hidden"):
        assert hidden not in str(withheld.value)
    bench.subscribe(NEW)
    assert (await bench.sender.send(CALL)).status == 429
    assert len(bench.requests) == 1


async def test_a_subscription_that_was_deleted_gets_nothing_more(bench: Bench) -> None:
    bench.subscribe(NEW)
    await bench.sender.send(CALL)
    bench.index.apply(A.encode(), Deleted(id=A, deleted_ms=1).encode())
    with pytest.raises(Withheld, match="there is no subscription"):
        await bench.sender.send(CALL)
    assert len(bench.requests) == 1


async def test_an_id_that_no_signature_can_hold_is_not_tried_again(bench: Bench) -> None:
    bench.subscribe(NEW)
    answer = await bench.sender.send(replace(CALL, delivery_id="a.b"))
    assert answer.unsendable
    assert bench.requests == []


async def test_a_calls_own_time_out_goes_before_the_subscriptions(bench: Bench) -> None:
    bench.subscribe(NEW, timeout_s=0.05)
    bench.answers.clear()
    assert "no answer within 0.05 s" in (await bench.sender.send(CALL)).error
    assert "no answer within 0.02 s" in (await bench.sender.send(replace(CALL, timeout_s=0.02))).error
    bench.answers.set()


async def test_a_fact_finds_its_subscriber_among_the_far_sides(bench: Bench) -> None:
    bench.subscribe(NEW)
    crashes: list[BaseException] = []
    far_sides = SenderRouter(
        bench.settings, channels_for(), subscriptions=bench.index, clock=bench.clock, crashed=crashes.append
    )
    await far_sides.start()
    assert (await far_sides.send(CALL)).status == 429
    await far_sides.stop()
    assert (len(bench.requests), crashes) == (1, [])


@pytest.mark.parametrize("fault", list(Fault))
async def test_each_way_to_misbehave_is_an_answer_in_time_and_bounded(bench: Bench, fault: Fault) -> None:
    receiver = Receiver(
        ReceiverOptions(plan=Plan(share=1.0, faults=[fault], attempts_max=100)), LogWriter(io.BytesIO())
    )
    await receiver.start("127.0.0.1", 0)
    timeout_s = 0.1 if fault in (Fault.HANG, Fault.SLOW_HEADERS) else 20.0
    bench.subscribe(NEW, url=f"http://127.0.0.1:{receiver.port}/hook", timeout_s=timeout_s)
    try:
        answer = await bench.sender.send(CALL)
    finally:
        await receiver.stop()
    assert (answer.status is None) == (fault in NO_ANSWER), answer
    assert len(answer.body) <= ANSWER_BYTES_MAX + READ_BYTES
    verdict = classify(FACT, {}, answer, START_MS)
    assert (verdict.kind is ResponseClass.DELIVERED) == (fault in ACKNOWLEDGES)
