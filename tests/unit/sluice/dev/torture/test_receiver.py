"""The receiver does to a sender what its log says it did, whatever the fault."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import orjson
import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sluice.cli.main import main
from sluice.dev.torture.answers import FOLLOWED
from sluice.dev.torture.faults import ACKNOWLEDGES, TERMINAL, Fault, Plan
from sluice.dev.torture.fields import FieldError, parse_field
from sluice.dev.torture.log import LoggedRequest, LogWriter, Signed, read
from sluice.dev.torture.receiver import Receiver, ReceiverOptions
from sluice.dev.torture.signatures import SecretError, checker, judge

STATUSES = {
    Fault.STATUS_500: 500,
    Fault.STATUS_503: 503,
    Fault.REQUEST_TIMEOUT: 408,
    Fault.BAD_GATEWAY: 502,
    Fault.GATEWAY_TIMEOUT: 504,
    Fault.THROTTLE_SECONDS: 429,
    Fault.THROTTLE_DATE: 503,
    Fault.THROTTLE_PAST: 429,
    Fault.THROTTLE_GARBAGE: 429,
    Fault.THROTTLE_HUGE: 429,
    Fault.REDIRECT: 307,
    Fault.GONE: 410,
    Fault.REFUSED: 400,
} | dict.fromkeys(ACKNOWLEDGES, 200)
"""What a sender sees; the other faults have no status."""
QUIET = {Fault.THROTTLE_SECONDS, Fault.THROTTLE_DATE, Fault.THROTTLE_HUGE}
BODY = orjson.dumps({"delivery": {"channel": "demo", "order": "o1", "watermark": 4}})
HEADERS = {"webhook-id": "d1", "sluice-sequence": "5", "sluice-previous-sequence": "4"}


class Bench:
    def __init__(self, directory: Path) -> None:
        self.path = directory / "log.ndjson"
        self.file = self.path.open("wb")
        self.receivers: list[Receiver] = []

    async def url(self, options: ReceiverOptions) -> str:
        receiver = Receiver(options, LogWriter(self.file))
        await receiver.start("127.0.0.1", 0)
        self.receivers.append(receiver)
        return f"http://127.0.0.1:{receiver.port}/hook?x=1"

    async def log(self) -> list[LoggedRequest]:
        while self.receivers:
            await self.receivers.pop().stop()
        with self.path.open("rb") as lines:
            return list(read(lines))


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    await made.log()
    made.file.close()


async def post(url: str, headers: dict[str, str] = HEADERS, body: bytes = BODY) -> int | None:
    """The status; None when none came."""
    timeout = aiohttp.ClientTimeout(total=0.5)
    async with aiohttp.ClientSession(auto_decompress=False, timeout=timeout) as session:
        try:
            async with session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
                return answer.status
        except (aiohttp.ClientError, TimeoutError):
            return None


@pytest.mark.parametrize("fault", list(Fault))
async def test_a_fault_is_met_and_written_down(bench: Bench, fault: Fault) -> None:
    url = await bench.url(ReceiverOptions(plan=Plan(share=1.0, faults=[fault], attempts_max=1), quiet_s=3))
    before_ms = time.time() * 1000
    assert await post(url) == STATUSES.get(fault)
    assert await post(url) == 200, "only the first attempt meets a fault"
    met, taken = sorted(await bench.log(), key=lambda entry: entry.number)
    assert (met.fault, met.status, met.id) == (fault, STATUSES.get(fault), "d1")
    assert (met.not_before_ms > before_ms + 1_000) == (fault in QUIET)
    assert met.acknowledged == (fault in ACKNOWLEDGES)
    assert (taken.number, taken.fault, taken.lane, taken.sequence) == (2, "", "demo|o1", 5)
    assert (taken.previous, taken.watermark, taken.endpoint, taken.clear) == (4, 4, "/hook", True)


def test_faults_follow_from_the_seed() -> None:
    plan = Plan(share=0.3, seed=7)
    met = [plan.fault(f"d{number}", 1) for number in range(2_000)]
    assert met == [plan.fault(f"d{number}", 1) for number in range(2_000)]
    assert 450 < sum(fault is not None for fault in met) < 750
    assert not TERMINAL & set(met)
    assert plan.fault("d1", plan.attempts_max + 1) is None


async def test_a_redirect_that_is_followed_is_seen(bench: Bench) -> None:
    url = await bench.url(ReceiverOptions(plan=Plan(share=1.0, faults=[Fault.REDIRECT], attempts_max=1)))
    async with aiohttp.ClientSession() as session, session.post(url, data=BODY, headers=HEADERS):
        pass
    assert [entry.endpoint for entry in await bench.log()] == ["/hook", FOLLOWED]


async def test_a_challenge_is_echoed_and_is_no_delivery(bench: Bench) -> None:
    url = await bench.url(ReceiverOptions(plan=Plan(share=1.0)))
    body = orjson.dumps({"type": "subscription-verification", "data": {"challenge": "abc"}})
    async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=HEADERS) as answer:
        assert (answer.status, await answer.json()) == (200, {"challenge": "abc"})
    assert await bench.log() == []


def test_signatures_are_checked() -> None:
    key = b"0123456789abcdef0123456789abcdef"
    private = Ed25519PrivateKey.from_private_bytes(key)
    checks = [
        checker("whsec_" + base64.b64encode(key).decode()),
        checker("whpk_" + base64.b64encode(private.public_key().public_bytes_raw()).decode()),
    ]
    content = b"d1.1000." + BODY
    v1 = "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    v1a = "v1a," + base64.b64encode(private.sign(content)).decode()

    def judged(tokens: str, stamp: str = "1000", body: bytes = BODY) -> Signed:
        headers = {"webhook-id": "d1", "webhook-timestamp": stamp, "webhook-signature": tokens}
        return judge(checks, headers, body, 1_100.0)

    assert judged(v1) is judged(v1a) is judged(f"v1,AAAA {v1a} {v1}") is Signed.RIGHT
    assert judged(v1, body=b"{}") is judged("v1a,AAAA") is judged(v1.replace("v1", "v2")) is Signed.WRONG
    assert judged(v1, stamp="1001") is judged("nonsense") is Signed.WRONG
    assert judge(checks, {"webhook-id": "d1"}, BODY, 0.0) is Signed.MISSING
    assert judge([], {}, BODY, 0.0) is Signed.UNCHECKED
    assert judge(checks, {"webhook-id": "d1", "webhook-timestamp": "1000", "webhook-signature": v1}, BODY, 1_301.0) is (
        Signed.WRONG
    ), "the timestamp is too old"
    for bad in ("whsec_%%%", "whpk_AAAA"):
        with pytest.raises(SecretError):
            checker(bad)


def test_a_field_is_a_header_or_a_member_of_the_body() -> None:
    body = {"data": {"code": "o1", "n": 3, "list": []}}
    assert parse_field("header:X-Id").text({"x-id": "a"}, body) == "a"
    assert parse_field("body:data.code,header:x").text({"x": "b"}, body) == "o1|b"
    assert parse_field("body:data.n").number({}, body) == 3
    assert parse_field("body:data.code").number({}, body) is None
    assert parse_field("body:data.list").text({}, body) == parse_field("body:no.where").text({}, body) == ""
    with pytest.raises(FieldError, match="header:NAME"):
        parse_field("cookie:x")


async def test_the_command_scores_a_log(bench: Bench, tmp_path: Path) -> None:
    first = HEADERS | {"sluice-previous-sequence": "0"}
    await post(await bench.url(ReceiverOptions()), first)
    await bench.log()
    expected = tmp_path / "expected"
    expected.write_text("demo|o1 5\ndemo|o1 6\n")
    run = await asyncio.to_thread(
        CliRunner().invoke, main, ["torture", "score", str(bench.path), "--expect", str(expected), "--json"]
    )
    assert run.exit_code == 1
    told = orjson.loads(run.output)
    assert {name: count for name, count in told["faults"].items() if count} == {"lost": 1}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["receive", "x", "--fault", "nope"], "there are status-500"),
        (["receive", "x", "--lane", "cookie:x"], "header:NAME"),
        (["receive", "x", "--secret", "whsec_%"], "base64"),
        (["score", __file__], "is not of a log"),
    ],
)
def test_what_cannot_be_used_is_told(arguments: list[str], said: str) -> None:
    run = CliRunner().invoke(main, ["torture", *arguments])
    assert run.exit_code == 2
    assert said in run.output
