"""Refused deliveries are sent again over HTTP: the gateway finds their bodies, and the orders role decides about each.

The orders role is the real one, over logs in memory; delivery is played.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from gateway.ports import Outgoing, Unavailable
from streams.delivery.outbox import reports
from streams.delivery.outbox.records import OutboxEntry
from tests.fakes.gateway import FakeKafka, Gateway, call_sample, gateway
from tests.support.eventually import eventually
from tests.support.operators.two_steps import act
from tests.support.orders_log import PARTITIONS, Logs
from topics.contract.sample_files import sample
from topics.contract.touchpoints import BY_NAME
from topics.records.deliveries import (
    TAKES_PLACE_OF,
    Attempt,
    Conclusion,
    DeliveryRequest,
    OutcomeKind,
    decode_request,
)
from topics.records.envelope import DELIVERY_CONCLUDED, DELIVERY_DEAD, DELIVERY_REFUSED, ORDER_QUERY, Envelope
from topics.records.verdicts import Reply, decode_reply

CREATE = "create-outward-order"
RETURN = "create-return-order"
WHY = "channelSkuCode is not mapped"
CODE = sample(CREATE).members["orderCode"]
RETURN_CODE = sample(RETURN).members["returnOrderCode"]
TOKEN = {"Authorization": "Bearer token-1"}


@dataclass
class World:
    """The orders role behind a gateway, and what delivery has not answered yet."""

    at: Gateway
    logs: Logs
    seen: set[str] = field(default_factory=set)

    def out(self) -> list[DeliveryRequest]:
        """The requests that left since the last look."""
        new = [one for one in self.logs.requests() if one.id not in self.seen]
        self.seen |= {one.id for one in new}
        return new

    async def next_out(self) -> list[DeliveryRequest]:
        """The same, once some left."""
        found: list[DeliveryRequest] = await eventually(self.out, every_s=0.01)
        return found

    def refuse(self, *requests: DeliveryRequest, message: str = WHY, at_ms: int = 0, letter: bool = True) -> None:
        """The far side refuses these, as delivery reports it."""
        for request in requests:
            self.logs.answer(request, OutcomeKind.REFUSED, message=message)
            last = Attempt(number=1, at_ms=at_ms or self.logs.now_ms, took_ms=1.0, status=400)
            entry = OutboxEntry(request=request, position=0, queued_ms=0, attempts=1, last=last, message=message)
            kind = DELIVERY_REFUSED if BY_NAME[request.touchpoint].refusable else DELIVERY_DEAD
            if letter:
                self.at.dead.write(reports.dead(entry, 0, self.logs.now_ms, kind).value, kind, last.at_ms)
        self.logs.run()

    def take(self, *requests: DeliveryRequest) -> None:
        for request in requests:
            self.logs.answer(request)
        self.logs.run()

    async def preview(self, path: str, **body: Any) -> tuple[int, Any]:
        place, mark, query = path.partition("?")
        response = await self.at.client.post(f"{place}/preview{mark}{query}", json=body, headers=TOKEN)
        return response.status, await response.json(content_type=None)

    async def act(self, path: str, *, reason: str = "mapped", **body: Any) -> tuple[int, Any]:
        response = await act(self.at.client, path, body, reason=reason, headers=TOKEN)
        return response.status, await response.json(content_type=None)

    async def resubmit(
        self, code: str = CODE, kind: str = "orders", query: str = "", *, reason: str = "mapped", **body: Any
    ) -> tuple[int, Any]:
        return await self.act(f"/api/{kind}/{code}/resubmit{query}", reason=reason, **body)

    async def finished(self, document: dict[str, Any]) -> Any:
        while document["state"] not in ("done", "stopped", "failed", "refused"):
            await asyncio.sleep(0.01)
            response = await self.at.client.get(f"/api/resubmissions/{document['id']}", headers=TOKEN)
            document = await response.json()
        return document


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    logs = Logs()

    def decide(envelope: Envelope, record: Outgoing) -> Reply | None:
        logs.now_ms += 1
        logs.append(record.key, record.value, record.headers)
        left = logs.run()
        replies = [decode_reply(one.value) for one in left if one.topic == "replies"]
        return next((one for one in replies if one.event == envelope.id), None)

    kafka = FakeKafka(decide=decide)
    async with gateway(kafka=kafka, partitions=PARTITIONS, api_open=False, api_tokens="night-shift=token-1") as at:
        yield World(at, logs)


async def refused_order(w: World, code: str = CODE) -> DeliveryRequest:
    assert (await call_sample(w.at, CREATE, orderCode=code))[0] == 200
    (request,) = w.out()
    w.refuse(request)
    return request


async def test_an_order_that_increff_refused_is_pushed_on() -> None:
    async with world() as w:
        refused = await refused_order(w)
        assert (await call_sample(w.at, CREATE))[0] == 400, "the marketplace's repeat gets the refusal"

        status, shown = await w.preview(f"/api/orders/{CODE}/resubmit")
        assert (status, shown["count"], shown["left"]) == (200, 1, 0)
        (one,) = shown["samples"]
        assert (one["id"], one["touchpoint"], one["what"]) == (refused.id, CREATE, f"{WHY}: would be sent")
        assert w.out() == []

        status, done = await w.resubmit(reason="SKU is mapped now")
        (one,) = done["deliveries"]
        (again,) = w.out()
        assert (status, one["outcome"], one["newId"]) == (200, "sent", again.id)
        assert again.members == refused.members == sample(CREATE).members
        (effect,) = [
            one
            for one in w.logs.effects
            if one.topic == "deliveries.requests" and decode_request(one.value).id == again.id
        ]
        assert (TAKES_PLACE_OF, refused.id.encode()) in effect.headers

        status, nervous = await w.resubmit(reason="once more")
        assert (status, nervous["code"], w.out()) == (409, "NOTHING_REFUSED", [])
        assert (await call_sample(w.at, CREATE))[0] == 200, "a repeat meanwhile is a success"
        w.take(again)
        response = await w.at.client.get(f"/api/orders/{CODE}", headers=TOKEN)
        document = await response.json()
        assert document["state"] == "SUBMITTED"
        noted = next(fact for fact in document["facts"] if fact["name"] == "request-resubmitted")
        assert (noted["by"], noted["reason"], noted["address"]) == ("night-shift", "SKU is mapped now", "127.0.0.1")


async def test_two_operators_at_once_send_once() -> None:
    async with world() as w:
        await refused_order(w)
        asked = [w.resubmit(reason="mapped") for _ in range(4)]
        await asyncio.gather(*asked)
        assert len(w.out()) == 1


async def test_a_return_is_pushed_on_and_asks_its_order_first() -> None:
    async with world() as w:
        assert (await call_sample(w.at, RETURN))[0] == 200
        w.refuse(*w.out())
        status, done = await w.resubmit(RETURN_CODE, "returns", reason="mended")
        (again,) = w.out()
        assert (status, done["deliveries"][0]["outcome"], again.touchpoint) == (200, "sent", RETURN)
        assert done["deliveries"][0]["newId"] == again.id


@pytest.mark.parametrize(
    ("ends", "state"), [(OutcomeKind.DELIVERED, "delivered"), (OutcomeKind.REFUSED, "refused"), (None, "queued")]
)
async def test_with_wait_the_answer_says_what_the_far_side_said(ends: OutcomeKind | None, state: str) -> None:
    async with world() as w:
        await refused_order(w)
        asking = asyncio.create_task(w.resubmit(query="?wait=1", reason="mapped"))
        new = await w.next_out()
        if ends is OutcomeKind.DELIVERED:
            w.take(*new)
        elif ends is OutcomeKind.REFUSED:
            w.refuse(*new)
        _status, done = await asking
        (one,) = done["deliveries"]
        assert (one["state"], one["message"]) == (state, WHY if state == "refused" else "")


async def test_a_letter_that_is_not_kept_is_said() -> None:
    async with world() as w:
        await call_sample(w.at, CREATE)
        w.refuse(*w.out(), letter=False)
        status, shown = await w.resubmit()
        assert (status, shown["count"], shown["left"], shown["token"], w.out()) == (200, 0, 1, None, [])
        assert "not possible, its body is not kept" in shown["samples"][0]["what"]


async def test_a_refused_relay_is_its_callers() -> None:
    async with world() as w:
        await call_sample(w.at, CREATE)
        w.take(*w.out())
        asking = asyncio.create_task(call_sample(w.at, "customer-cancellation", orderCode=CODE))
        new = await w.next_out()
        w.refuse(*new, letter=False)
        asking.cancel()
        _status, shown = await w.resubmit()
        assert "asks the far side again with a repeat" in shown["samples"][0]["what"]


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("/api/orders/nobody/resubmit", {}, 404, "There is no order nobody"),
        (f"/api/orders/{CODE}/resubmit", {"touchpoint": "pack-order"}, 409, "its deliveries: 1 refused"),
        (f"/api/orders/{CODE}/resubmit", {"deliveries": ["other"]}, 409, "its deliveries: 1 refused"),
        (f"/api/orders/{CODE}/resubmit", {"because": "x"}, 400, "because"),
        ("/api/resubmissions", {"channel": "nobody"}, 404, "there are: demo"),
        ("/api/resubmissions", {}, 400, "channel"),
        ("/api/resubmissions", {"channel": "demo", "touchpoint": "pack-order"}, 400, "is not sent again; name one of"),
    ],
)
async def test_what_cannot_be_asked_is_refused_and_says_why(
    path: str, body: dict[str, Any], status: int, says: str
) -> None:
    async with world() as w:
        await refused_order(w)
        got, problem = await w.preview(path, **body)
        assert got == status
        assert says in problem["title"] + problem["detail"]


# Of a whole channel


async def test_all_refused_orders_of_a_channel_are_sent_again_a_few_at_a_time() -> None:
    async with world() as w:
        codes = [f"O-{n}" for n in range(60)]
        for code in codes:
            await refused_order(w, code)
        status, shown = await w.preview("/api/resubmissions", channel="demo")
        assert (status, shown["count"], w.out()) == (200, 60, [])
        assert shown["groups"] == [{"name": f"{CREATE}: {WHY}", "count": 60}]
        assert [one["what"] for one in shown["samples"]] == [f"{WHY}: would be sent"] * 10

        status, document = await w.act("/api/resubmissions", channel="demo")
        assert status == 202
        sent: list[DeliveryRequest] = []
        while len(sent) < 50:
            sent += w.out()
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        assert (len(sent), w.out()) == (50, []), "the others wait for answers"
        busy, problem = await w.act("/api/resubmissions", channel="demo")
        assert (busy, problem["code"]) == (409, "BUSY")
        w.take(*sent[1:])
        w.refuse(sent[0])
        while len(sent) < 60:
            sent += w.out()
            await asyncio.sleep(0.01)
        w.take(*sent[50:])
        done = await w.finished(document)
        assert (done["state"], done["possible"], done["delivered"], done["refusedAgain"]) == ("done", 60, 59, 1)
        (group,) = done["groups"]
        assert (group["touchpoint"], group["refusal"], group["count"]) == (CREATE, WHY, 60)
        assert len(set(group["codes"]) & set(codes)) == len(group["codes"]) == 5


async def test_what_is_chosen_is_what_was_named() -> None:
    async with world() as w:
        await refused_order(w, "O-1")
        await refused_order(w, "O-2")
        assert (await call_sample(w.at, RETURN))[0] == 200
        w.refuse(*w.out(), message="no such order")
        expected: list[tuple[dict[str, Any], int]] = [
            ({}, 3),
            ({"orders": ["O-1", "O-9"]}, 1),
            ({"touchpoint": RETURN}, 1),
            ({"refusal": "not mapped"}, 2),
            ({"refusal": "400"}, 3),
            ({"since": "2030-01-01T00:00:00Z"}, 0),
            ({"until": "2020-01-01T00:00:00Z"}, 0),
        ]
        for named, count in expected:
            _status, shown = await w.preview("/api/resubmissions", channel="demo", **named)
            assert (shown["count"], shown["token"] is None) == (count, not count), named


async def test_what_was_sent_since_or_was_skipped_is_left_alone() -> None:
    async with world() as w:
        first, second, third = [await refused_order(w, f"O-{n}") for n in range(3)]
        assert first.id != second.id
        await w.resubmit("O-0", reason="mapped")
        w.out()
        end = reports.concluded(second, Conclusion.SKIPPED, 0, w.logs.now_ms, attempts=1)
        w.at.dead.write(end.value, DELIVERY_CONCLUDED)
        _status, shown = await w.preview("/api/resubmissions", channel="demo")
        said = {one["code"]: one["what"].removeprefix(f"{WHY}: ") for one in shown["samples"]}
        assert said == {"O-0": "sent before, another delivery has taken its place", third.subject: "would be sent"}


async def test_only_the_last_refused_create_of_an_order_is_asked_about() -> None:
    async with world() as w:
        await refused_order(w)
        body = sample(CREATE).members
        items = [{**item, "quantity": item["quantity"] + 1} for item in body["orderItems"]]
        assert (await call_sample(w.at, CREATE, orderItems=items))[0] == 200
        w.refuse(*w.out())
        _status, shown = await w.preview("/api/resubmissions", channel="demo")
        assert (shown["count"], len(shown["samples"])) == (1, 1)


async def test_a_resubmission_that_is_stopped_sends_no_more() -> None:
    async with world() as w:
        for n in range(60):
            await refused_order(w, f"O-{n}")
        _status, document = await w.act("/api/resubmissions", channel="demo")
        await w.next_out()
        response = await w.at.client.delete(f"/api/resubmissions/{document['id']}", headers=TOKEN)
        assert response.status == 202
        done = await w.finished(await response.json())
        assert (done["state"], done["possible"] <= 50) == ("stopped", True)
        listed = await (await w.at.client.get("/api/resubmissions", headers=TOKEN)).json()
        assert [one["id"] for one in listed["resubmissions"]] == [document["id"]]


async def test_a_redrive_leaves_refused_orders_alone() -> None:
    async with world() as w:
        await refused_order(w)
        _status, shown = await w.preview("/api/redrives", channel="demo")
        assert (shown["count"], shown["left"], shown["token"]) == (0, 0, None)


async def test_every_action_is_logged_with_its_actor() -> None:
    async with world() as w:
        await refused_order(w)
        await w.resubmit(reason="mapped")
        await w.preview("/api/resubmissions", channel="demo")
    lines = [orjson.loads(line) for text in w.at.actions for line in text.splitlines()]
    acted = [(line["actor"], line["action"], line["status"]) for line in lines]
    names = ("preview-resubmit-order", "resubmit-order", "preview-resubmit")
    assert acted == [("night-shift", name, 200) for name in names]


@pytest.mark.parametrize("path", [f"/api/orders/{CODE}/resubmit", "/api/resubmissions"])
async def test_a_request_that_is_answered_400_sends_nothing(path: str) -> None:
    async with world() as w:
        await refused_order(w)
        channel = {} if CODE in path else {"channel": "demo"}
        status, problem = await w.act(f"{path}?wait=31", **channel)
        assert (status, "wait: must be a whole number from 0 to 30" in problem["detail"]) == (400, True)
        assert w.out() == []


@pytest.mark.parametrize("fault", ["late", "away"])
async def test_a_question_without_an_answer_does_not_hide_what_was_sent(fault: str) -> None:
    async with world() as w:
        await refused_order(w)
        decide, lost = w.at.kafka.decide, [fault]

        def shaken(envelope: Envelope, record: Outgoing) -> Reply | None:
            if envelope.type != ORDER_QUERY or not w.logs.requests()[1:]:
                return decide(envelope, record)
            if lost:
                if lost.pop() == "away":
                    raise Unavailable("no broker answers")
                return None
            w.take(*w.out())
            return decide(envelope, record)

        w.at.kafka.decide = shaken
        status, body = await w.resubmit(query="?wait=30", reason="mapped")
        assert (status, [one["outcome"] for one in body["deliveries"]]) == (200, ["sent"])
        assert body["deliveries"][0]["state"] == "delivered"
