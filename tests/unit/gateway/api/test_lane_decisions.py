"""Decisions about deliveries: carried out with a verdict, or refused with what the delivery is and what can be done."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.ports import Outgoing, Unavailable
from tests.fakes.gateway import FakeKafka, gateway
from tests.support.operators.two_steps import act
from topics.records.deliveries import LaneAction, decode_lane_decision
from topics.records.envelope import LANE_DECISION, ORDER_QUERY, Envelope
from topics.records.keys import destination_partition, lane_key, order_key
from topics.records.verdicts import Reply, Verdict

AT_MS = 1_750_000_000_000
AT = "2025-06-15T15:06:40.000Z"


def delivery(touchpoint: str = "seller-cancellation", status: str = "dead", **more: Any) -> dict[str, Any]:
    attempt = {"number": 1, "atMs": AT_MS, "tookMs": 2.0, "status": 400, "error": ""}
    known = {"id": "e.0", "touchpoint": touchpoint, "destination": "channel:demo", "status": status}
    return {**known, "attempts": [attempt], "createdMs": AT_MS, "nextAtMs": None, "message": "", **more}


def with_deliveries(*deliveries: dict[str, Any], decision: Reply | None = None, silent: bool = False) -> FakeKafka:
    """The roles: `decision` is delivery's verdict."""
    document = {"channel": "demo", "orderCode": "O/1", "state": "ACKNOWLEDGED", "deliveries": list(deliveries)}

    def decide(envelope: Envelope, _record: Outgoing) -> Reply | None:
        if envelope.type == ORDER_QUERY:
            return Reply(event=envelope.id, verdict=Verdict.ANSWERED, body=document)
        if silent:
            return None
        return decision or Reply(event=envelope.id, verdict=Verdict.APPLIED)

    return FakeKafka(decide=decide)


@pytest.mark.parametrize("action", list(LaneAction))
async def test_a_decision_goes_to_the_lane_of_the_request(action: LaneAction) -> None:
    kafka = with_deliveries(delivery())
    async with gateway(kafka=kafka, api_open=False, api_tokens="night-shift=token-1") as at:
        path = f"/api/orders/O%2F1/deliveries/e.0/{action}"
        headers = {"Authorization": "Bearer token-1"}
        response = await act(at.client, path, reason="it is mended", headers=headers)
        body = await response.json()
        assert response.status == 200
        event = response.headers["Sluice-Event-Id"]
        assert body == {"request": "e.0", "action": action, "eventId": event, "state": "applied", "message": None}
        record = at.kafka.records[-1]
        lane = lane_key("channel:demo", order_key("demo", "O/1"))
        assert (record.topic, record.key) == ("deliveries.requests", lane)
        assert record.partition == destination_partition("channel:demo", 0, at.settings.partitions)
        decision = decode_lane_decision(record.value)
        assert (decision.lane, decision.request, decision.action) == (lane.decode(), "e.0", action)
        assert (decision.by, decision.reason) == ("night-shift", "it is mended")
        envelope = at.kafka.envelopes()[-1]
        assert (envelope.type, envelope.reply_partition) == (LANE_DECISION, at.kafka.partition)


async def test_a_request_beside_the_lane_has_a_lane_of_its_own() -> None:
    async with gateway(kafka=with_deliveries(delivery("get-invoice", id="e.1"))) as at:
        response = await act(at.client, "/api/orders/O%2F1/deliveries/e.1/skip")
        assert (response.status, len(at.kafka.records)) == (409, 1), (
            "a document that was given up does not hold its lane"
        )


@pytest.mark.parametrize(("path", "status"), [("e.9/skip", 404), ("e.0/burn", 404)])
async def test_a_decision_about_nothing_is_404(path: str, status: int) -> None:
    async with gateway(kafka=with_deliveries(delivery())) as at:
        response = await act(at.client, f"/api/orders/O/deliveries/{path}")
        assert response.status == status
        assert response.content_type == "application/problem+json"
        assert all(envelope.type == ORDER_QUERY for envelope in at.kafka.envelopes())


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "delivered": (delivery(status="delivered"), "DELIVERED", f"it was delivered at {AT}"),
    "refused": (
        delivery("create-outward-order", "refused", message="SKU-1 is not mapped"),
        "REFUSED",
        f"it was refused at {AT}: SKU-1 is not mapped: `sluice orders resubmit O/1 --reason TEXT`",
    ),
    "waits for another attempt": (
        delivery(status="retrying", nextAtMs=AT_MS),
        "WAITING",
        f"it waits for its next attempt at {AT}: nothing is to be done",
    ),
    "waits for its first": (delivery(status="queued", attempts=[]), "WAITING", "it waits in its lane"),
    "given up, and passed": (
        delivery("acknowledgement"),
        "GIVEN_UP",
        f"it was given up at {AT}, and its lane went on without it: `sluice redrive --order O/1`",
    ),
    "withdrawn": (delivery("pack-order", "expired"), "ENDED", "it is expired"),
    "superseded": (delivery(status="superseded"), "ENDED", "it is superseded"),
    "another took its place": (delivery(status="resubmitted"), "RESUBMITTED", "another delivery took its place"),
    "of a later version": (delivery("teleport", "beamed"), "ENDED", "it is beamed"),
}


@pytest.mark.parametrize("action", list(LaneAction))
@pytest.mark.parametrize(("listed", "code", "says"), REFUSED.values(), ids=REFUSED)
async def test_a_delivery_that_does_not_hold_its_lane_is_left_alone(
    listed: dict[str, Any], code: str, says: str, action: LaneAction
) -> None:
    async with gateway(kafka=with_deliveries(listed)) as at:
        response = await act(at.client, f"/api/orders/O%2F1/deliveries/e.0/{action}")
        problem = await response.json(content_type=None)
        assert (response.status, problem["code"]) == (409, code)
        assert f"{action} of {listed['touchpoint']} is not possible" in problem["title"] + problem["detail"]
        assert says in f"{problem['title']}: {problem['detail']}" or says in problem["detail"]
        assert [envelope.type for envelope in at.kafka.envelopes()] == [ORDER_QUERY], "nothing was stored"


async def test_deliverys_own_word_counts_where_the_list_is_older() -> None:
    said = Reply(event="x", verdict=Verdict.REFUSED, message="request e.0 does not wait any more")
    async with gateway(kafka=with_deliveries(delivery(), decision=said)) as at:
        response = await act(at.client, "/api/orders/O%2F1/deliveries/e.0/retry")
        problem = await response.json(content_type=None)
        assert (response.status, problem["code"]) == (409, "NOT_HELD")
        assert "does not wait any more" in problem["title"] + problem["detail"]


async def test_a_delivery_role_that_is_away_makes_it_202() -> None:
    async with gateway(kafka=with_deliveries(delivery(), silent=True)) as at:
        response = await act(at.client, "/api/orders/O%2F1/deliveries/e.0/retry")
        body = await response.json()
        assert (response.status, body["state"]) == (202, "stored")
        assert "Sluice-Position" in response.headers


async def test_with_wait_the_answer_says_what_has_become_of_it() -> None:
    states = iter(["dead", "dead", "dead", "dead", "delivered"])

    def decide(envelope: Envelope, _record: Outgoing) -> Reply:
        if envelope.type == LANE_DECISION:
            return Reply(event=envelope.id, verdict=Verdict.APPLIED)
        document = {"channel": "demo", "deliveries": [delivery(status=next(states))]}
        return Reply(event=envelope.id, verdict=Verdict.ANSWERED, body=document)

    async with gateway(kafka=FakeKafka(decide=decide)) as at:
        response = await act(at.client, "/api/orders/O/deliveries/e.0/retry?wait=30")
        body = await response.json()
        assert (response.status, body["state"]) == (200, "delivered")
        assert response.headers["Sluice-Event-Id"] == body["eventId"]


def after_decision(states: list[dict[str, Any]], before: dict[str, Any]) -> FakeKafka:
    """The roles: the order lists `before` until the decision, and one state after the other since."""
    decided: list[str] = []

    def decide(envelope: Envelope, _record: Outgoing) -> Reply:
        if envelope.type == LANE_DECISION:
            decided.append(envelope.id)
            return Reply(event=envelope.id, verdict=Verdict.APPLIED)
        now = before if not decided else states.pop(0) if len(states) > 1 else states[0]
        return Reply(event=envelope.id, verdict=Verdict.ANSWERED, body={"deliveries": [now]})

    return FakeKafka(decide=decide)


def attempts(*numbers: int, error: str = "") -> list[dict[str, Any]]:
    return [{"number": n, "atMs": AT_MS + n, "tookMs": 1.0, "status": 400, "error": error} for n in numbers]


BEFORE = delivery(message="cannot cancel", attempts=attempts(1, 2))
EFFECTS: dict[str, tuple[str, list[dict[str, Any]], str, str | None]] = {
    "dead again": (
        "retry",
        [BEFORE, delivery(message="still cannot", attempts=attempts(1, 2, 3))],
        "dead",
        "still cannot",
    ),
    "dead again, of a full list": (
        "retry",
        [delivery(attempts=attempts(*range(4, 14), error="reset"))],
        "dead",
        "reset",
    ),
    "another attempt comes": (
        "retry",
        [BEFORE, delivery(status="retrying", message="HTTP 503", attempts=attempts(1, 2, 3))],
        "retrying",
        "HTTP 503",
    ),
    "delivered": ("retry", [BEFORE, delivery(status="delivered", message="cannot cancel")], "delivered", None),
    "refused": ("retry", [delivery(status="refused", message="no")], "refused", "no"),
    "skipped": ("skip", [BEFORE, delivery(status="refused", message="skipped by an operator")], "skipped", None),
}


@pytest.mark.parametrize("kind", ["orders", "returns"])
@pytest.mark.parametrize(("action", "states", "state", "message"), EFFECTS.values(), ids=EFFECTS)
async def test_with_wait_the_answer_says_how_the_attempt_ended(
    action: str, states: list[dict[str, Any]], state: str, message: str | None, kind: str
) -> None:
    async with gateway(kafka=after_decision(list(states), BEFORE)) as at:
        response = await act(at.client, f"/api/{kind}/O/deliveries/e.0/{action}?wait=30")
        body = await response.json()
        assert (response.status, body["state"], body["message"]) == (200, state, message)


async def test_an_effect_that_has_not_come_in_time_is_said() -> None:
    async with gateway(kafka=after_decision([BEFORE], BEFORE)) as at:
        response = await act(at.client, "/api/orders/O/deliveries/e.0/retry?wait=1")
        body = await response.json()
        assert (response.status, body["state"]) == (200, "applied")
        assert "nothing has come of it yet" in body["message"]


@pytest.mark.parametrize("fault", ["late", "away", "set aside"])
async def test_a_question_without_an_answer_does_not_hide_that_it_was_applied(fault: str) -> None:
    """As in a rebalance of the orders role while the caller waits for the effect."""
    answers = iter(["dead", "dead", fault, "delivered"])

    def decide(envelope: Envelope, _record: Outgoing) -> Reply | None:
        if envelope.type == LANE_DECISION:
            return Reply(event=envelope.id, verdict=Verdict.APPLIED)
        status = next(answers)
        if status == "late":
            return None
        if status == "away":
            raise Unavailable("no broker answers")
        verdict = Verdict.REFUSED if status == "set aside" else Verdict.ANSWERED
        return Reply(event=envelope.id, verdict=verdict, body={"deliveries": [delivery(status=status)]})

    async with gateway(kafka=FakeKafka(decide=decide)) as at:
        response = await act(at.client, "/api/orders/O/deliveries/e.0/retry?wait=30")
        assert (response.status, (await response.json())["state"]) == (200, "delivered")


@pytest.mark.parametrize("wait", ["31", "-1", "soon"])
async def test_a_wait_is_bounded(wait: str) -> None:
    async with gateway(kafka=with_deliveries(delivery())) as at:
        response = await act(at.client, f"/api/orders/O/deliveries/e.0/retry?wait={wait}")
        assert response.status == 400


@pytest.mark.parametrize("body", [{"reason": "x" * 501}, {"because": "x"}])
async def test_a_body_that_says_something_else_is_refused(body: dict[str, Any]) -> None:
    async with gateway(kafka=with_deliveries(delivery())) as at:
        response = await at.client.post("/api/orders/O/deliveries/e.0/retry", json=body)
        assert response.status == 400
