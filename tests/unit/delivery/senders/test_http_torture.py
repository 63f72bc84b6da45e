"""Whatever a far side does on the wire, it comes back as one answer, in time and bounded: never as an exception."""

from __future__ import annotations

import io
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from sluice.dev.torture.faults import Fault, Plan
from sluice.dev.torture.fields import Fields, parse_field
from sluice.dev.torture.log import LogWriter
from sluice.dev.torture.receiver import Receiver, ReceiverOptions
from streams.delivery.attempts.classify import classify
from streams.delivery.ports import RESPONSE_BYTES_MAX, Answer, Call, ResponseClass
from streams.delivery.senders.http import HttpSender
from tests.fakes.delivery import channels_for
from topics.contract.touchpoints import BY_NAME
from topics.records.keys import INCREFF

CREATE = BY_NAME["create-outward-order"]
CUT = {Fault.TRUNCATED, Fault.OVERSIZED, Fault.GZIP_BOMB}
"""200, and the body cannot be read whole."""
NO_STATUS = {
    Fault.HANG,
    Fault.SLOW_HEADERS,
    Fault.RESET_BEFORE,
    Fault.RESET_AFTER,
    Fault.CLOSE,
    Fault.NOT_HTTP,
    Fault.GIANT_HEADERS,
}

Send = Callable[[str], Awaitable[Answer]]


@pytest.fixture
async def send() -> AsyncIterator[Send]:
    """One call to Increff at a base URL."""
    senders: list[HttpSender] = []

    async def one(url: str) -> Answer:
        sender = HttpSender(channels_for(increff={"url": url, "timeout_s": 3}, marketplace={"url": url}))
        senders.append(sender)
        await sender.start()
        members = {"orderCode": "o1"}
        return await sender.send(
            Call(touchpoint=CREATE, destination=INCREFF, channel="demo", members=members, delivery_id="d1")
        )

    yield one
    for sender in senders:
        await sender.stop()


@pytest.mark.parametrize("fault", list(Fault))
async def test_each_way_to_misbehave_is_an_answer(send: Send, fault: Fault) -> None:
    fields = Fields(id=parse_field("header:sluice-delivery-id"))
    plan = Plan(share=1.0, faults=[fault], attempts_max=100)
    receiver = Receiver(ReceiverOptions(plan=plan, fields=fields), LogWriter(io.BytesIO()))
    await receiver.start("127.0.0.1", 0)
    try:
        answer = await send(f"http://127.0.0.1:{receiver.port}")
    finally:
        await receiver.stop()
    assert (answer.status is None) == (fault in NO_STATUS), answer
    assert bool(answer.error) == (fault in NO_STATUS | CUT), answer
    assert len(answer.body) <= RESPONSE_BYTES_MAX
    verdict = classify(CREATE, {}, answer, 0)
    assert (verdict.kind is ResponseClass.DELIVERED) == (fault is Fault.INTERIM_STORM)


async def test_a_host_that_nobody_knows_is_no_answer(send: Send) -> None:
    answer = await send("http://nobody.invalid")
    assert (answer.status, answer.unsendable) == (None, False)
    assert "nobody.invalid" in answer.error


async def test_a_far_side_without_tls_is_no_answer_to_https(send: Send) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        answer = await send(f"https://127.0.0.1:{nobody.getsockname()[1]}")
    assert (answer.status, answer.unsendable) == (None, False)
    assert answer.error
