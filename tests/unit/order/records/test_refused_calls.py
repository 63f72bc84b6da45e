"""Refused calls of orders and returns: what a query shows of them, known or not, and what bounds them.

Property: a refused call is in the history of what it named, once, whatever comes again, and changes nothing else.
"""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from streams.order.model import limits
from streams.order.records.refused_calls import REFUSED
from streams.runtime.rejected import DECISION_FAILED
from streams.runtime.role import Poison, Record
from tests.support.forms import patches_compiled
from tests.support.orders import (
    CHANNEL,
    CODE,
    DEADLINE_MS,
    REPLIES,
    START_MS,
    acknowledgement_body,
    cancel_body,
    create_body,
    document_body,
    manifest_body,
    pack_body,
    sample,
)
from tests.support.orders_log import PARTITIONS, Logs, make_channels
from topics.records.envelope import CALL_REFUSED, COMMAND, GATEWAY_SOURCE, ORDER_QUERY, Envelope
from topics.records.json_text import write
from topics.records.keys import order_key, partition_of, return_key
from topics.records.models import REFUSED_ALIKE_MAX
from topics.records.verdicts import decode_reply

KEY = order_key(CHANNEL, CODE)
HOME = partition_of(KEY, PARTITIONS)


def refused(event: str = "e1", code: str = CODE, **changes: Any) -> dict[str, Any]:
    """What a gateway tells of a Create that it refused."""
    return {
        "touchpoint": "create-outward-order",
        "subject": code,
        "status": 400,
        "code": "BAD_DATA",
        "reason": "onHold: must be true or false",
        "count": 1,
        "firstAtMs": START_MS,
        "lastAtMs": START_MS,
        "eventId": event,
        "source": GATEWAY_SOURCE,
        "address": "10.0.0.1",
        **changes,
    }


def tell(logs: Logs, *bodies: dict[str, Any], key: bytes | None = None) -> None:
    """Has a gateway tell of refused calls."""
    for body in bodies:
        code = body.get("subject", CODE)
        of_return = str(body.get("touchpoint")).endswith(("return-order", "returns"))
        home = (return_key if of_return else order_key)(CHANNEL, code)
        envelope = Envelope(id=str(body.get("eventId")), type=CALL_REFUSED, source=GATEWAY_SOURCE, channel=CHANNEL)
        logs.append(home if key is None else key, orjson.dumps(body), envelope.headers())
    logs.run()


def asked(logs: Logs, code: str = CODE, member: str = "orderCode") -> Any:
    """What a query of this order or return is answered with."""
    key = (order_key if member == "orderCode" else return_key)(CHANNEL, code)
    event = f"q{len(logs.effects)}"
    query = Envelope(id=event, type=ORDER_QUERY, source=GATEWAY_SOURCE, channel=CHANNEL, reply_partition=REPLIES)
    logs.append(key, orjson.dumps({member: code}), query.headers())
    (answer,) = [
        reply
        for effect in logs.run()
        if effect.topic == "replies" and (reply := decode_reply(effect.value)).event == event
    ]
    return answer.body


def calls_of(logs: Logs, code: str = CODE, member: str = "orderCode") -> list[dict[str, Any]]:
    body = asked(logs, code, member)
    found: list[dict[str, Any]] = body["refusedCalls"] if isinstance(body, dict) else body or []
    return found


def brief(calls: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [(call["touchpoint"], call["status"], call["code"], call["count"]) for call in calls]


def test_an_order_whose_only_create_was_refused_is_unknown_and_says_so() -> None:
    logs = Logs()
    assert asked(logs) is None
    tell(logs, refused())
    assert asked(logs) == [
        {
            "touchpoint": "create-outward-order",
            "status": 400,
            "code": "BAD_DATA",
            "reason": "onHold: must be true or false",
            "count": 1,
            "firstAtMs": START_MS,
            "lastAtMs": START_MS,
            "eventId": "e1",
            "source": "/gateway",
            "address": "10.0.0.1",
        }
    ]
    assert logs.states_by_key() == {}
    logs.call("pack-order", pack_body(sku_1=1), "pack")
    (reply,) = [decode_reply(effect.value) for effect in logs.run() if effect.topic == "replies"]
    assert reply.verdict == "EARLY", "it is no order for other calls"


def test_the_create_that_comes_afterwards_is_as_any_other_and_keeps_the_history() -> None:
    plain, logs = Logs(), Logs()
    tell(logs, refused())
    for one in (plain, logs):
        one.now_ms = START_MS + 10
        one.call("create-outward-order", create_body(), "create")
        one.run()
    assert logs.effects == plain.effects
    assert logs.states_by_key() == plain.states_by_key()
    assert brief(calls_of(logs)) == [("create-outward-order", 400, "BAD_DATA", 1)]
    assert asked(plain)["refusedCalls"] == []


@pytest.mark.parametrize(
    ("touchpoint", "body", "wanted"),
    [
        ("create-outward-order", {**create_body(), "parentOrderCode": "ANOTHER"}, (400, "CONFLICT")),
        ("get-invoice", document_body(), (404, "ORDER_UNKNOWN")),
        ("pack-order", pack_body(sku_1=99), (400, "REFUSED")),
        ("seller-cancellation", cancel_body(i1=99), (400, "REFUSED")),
    ],
)
@pytest.mark.parametrize("source", [GATEWAY_SOURCE, "/erp"])
def test_a_verdict_that_is_no_success_is_in_the_orders_history(
    touchpoint: str, body: dict[str, Any], wanted: tuple[int, str], source: str
) -> None:
    logs = Logs()
    logs.call("create-outward-order", create_body(), "create")
    logs.run()
    for event in ("first", "again", "again"):
        logs.call(touchpoint, body, event, source=source)
        logs.run()
    replies = [decode_reply(effect.value) for effect in logs.effects if effect.topic == "replies"]
    messages = {reply.message for reply in replies if reply.event in ("first", "again")}
    (call,) = calls_of(logs)
    assert (call["status"], call["code"], call["source"]) == (*wanted, source)
    assert (call["count"], call["eventId"], {call["reason"]}) == (2, "again", messages)


def test_a_call_that_waited_for_another_answer_in_vain_is_a_refused_one() -> None:
    logs = Logs()
    logs.call("create-outward-order", create_body(), "create")
    logs.call("pack-order", pack_body(sku_1=1), "pack")
    logs.call("get-invoice", document_body(), "invoice")
    logs.run()
    assert calls_of(logs) == []
    logs.tick(logs.now_ms + DEADLINE_MS + 1)
    (call,) = calls_of(logs)
    assert (call["touchpoint"], call["status"], call["code"], call["source"], call["eventId"]) == (
        "get-invoice",
        503,
        "FAR_SIDE_UNAVAILABLE",
        "/gateway",
        "invoice",
    )


def test_a_repeat_and_an_early_event_that_is_kept_are_no_refusals() -> None:
    logs = Logs()
    logs.call("acknowledgement", acknowledgement_body(), "early")
    logs.call("create-outward-order", create_body(), "create")
    logs.call("create-outward-order", create_body(), "repeat")
    logs.run()
    assert calls_of(logs) == []


def test_an_early_event_that_is_not_kept_is_one_about_an_order_that_nobody_knows() -> None:
    logs = Logs(make_channels(unknown_orders="refuse"))
    logs.call("acknowledgement", acknowledgement_body(), "early")
    logs.run()
    assert brief(calls_of(logs)) == [("acknowledgement", 400, "REFUSED", 1)]


def test_returns_have_a_history_of_their_own() -> None:
    logs = Logs()
    tell(logs, refused(touchpoint="create-return-order", code="R-1"))
    assert brief(calls_of(logs, "R-1", "returnOrderCode")) == [("create-return-order", 400, "BAD_DATA", 1)]
    assert asked(logs, "R-1") is None
    body = sample("create-return-order")
    logs.call("create-return-order", body, "made")
    logs.call("create-return-order", {**body, "locationCode": "ELSEWHERE"}, "changed")
    logs.run()
    (call,) = calls_of(logs, body["returnOrderCode"], "returnOrderCode")
    assert (call["code"], call["eventId"]) == ("CONFLICT", "changed")


def test_the_orders_of_a_refused_manifest_may_live_in_other_partitions() -> None:
    logs = Logs(make_channels(off=["create-manifest"]))
    item = manifest_body()["manifestItems"][0]
    codes = [f"O-{number}" for number in range(8)]
    body = {**manifest_body(), "manifestItems": [{**item, "orderCode": code} for code in codes]}
    logs.call("create-manifest", body, "manifest")
    logs.run()
    assert {partition_of(order_key(CHANNEL, code), PARTITIONS) for code in codes} > {HOME}
    for code in codes:
        assert brief(calls_of(logs, code)) == [("create-manifest", 400, "REFUSED", 1)]


SHORT = {"orderCode": CODE, "onHold": "perhaps"}


@pytest.mark.parametrize(
    ("value", "subject", "key", "wanted"),
    [
        (orjson.dumps(SHORT), "", KEY, "onHold"),
        (orjson.dumps(SHORT), "", b"whatever", "onHold"),
        (orjson.dumps({**SHORT, "orderCode": CODE}), "another", KEY, "onHold"),
        (b"not JSON", CODE, KEY, "not JSON"),
        (b"[" * 200_000, CODE, KEY, "not JSON"),
        (b"[" + b"[]," * 120_100 + b"[]]", CODE, KEY, "values"),
    ],
)
def test_a_producers_record_that_is_set_aside_is_in_the_history_of_its_order(
    value: bytes, subject: str, key: bytes, wanted: str
) -> None:
    logs = Logs()
    type_ = COMMAND + "create-outward-order"
    envelope = Envelope(id="direct", type=type_, source="/erp", channel=CHANNEL, subject=subject)
    logs.append(key, value, envelope.headers())
    logs.run()
    assert len(logs.rejected) == 1
    (call,) = calls_of(logs)
    assert (call["touchpoint"], call["status"], call["source"]) == ("create-outward-order", None, "/erp")
    assert (call["eventId"], call["address"]) == ("direct", None)
    assert wanted in call["reason"]


def test_a_traceback_is_not_shown() -> None:
    logs = Logs()
    headers = Envelope(id="e", type=COMMAND + "create-outward-order", source="/erp", channel=CHANNEL).headers()
    record = Record(HOME, 0, START_MS, KEY, orjson.dumps(create_body()), headers)
    logs.states[HOME].offset = 0
    logs.role.set_aside(record, DECISION_FAILED, "Traceback: a phone number")
    logs.states[HOME].by_name(REFUSED).merge()
    (call,) = calls_of(logs)
    assert "Traceback" not in call["reason"]


def test_a_crash_leaves_one_entry_and_one_count() -> None:
    logs = Logs()
    logs.call("get-invoice", document_body(), "invoice")
    logs.crash_after_effects(HOME)
    logs.run()
    logs.crash_before_commit(HOME, 1)
    logs.run()
    assert brief(calls_of(logs)) == [("get-invoice", 404, "ORDER_UNKNOWN", 1)]


def test_a_gateway_that_tells_twice_is_heard_once() -> None:
    logs = Logs()
    tell(logs, refused(count=3), refused(count=3), refused("e2", count=2, lastAtMs=START_MS + 1))
    (call,) = calls_of(logs)
    assert (call["count"], call["eventId"]) == (5, "e2")


@pytest.mark.parametrize(
    "changes",
    [
        {"touchpoint": "unheard-of"},
        {"count": "many"},
        {"reason": None},
        {"subject": "x" * 256},
        {"lastAtMs": "now"},
        {"count": 0},
        {"count": 10**30},
        {"firstAtMs": 10**30},
        {"lastAtMs": -1},
        {"status": 10**30},
        {"status": 7},
    ],
)
def test_a_record_that_tells_nothing_is_set_aside(changes: dict[str, Any]) -> None:
    logs = Logs()
    told = {**refused(), **changes}
    envelope = Envelope(id="e1", type=CALL_REFUSED, source=GATEWAY_SOURCE, channel=CHANNEL)
    logs.append(KEY, write(told), envelope.headers())
    logs.run()
    assert [code for code, _ in logs.rejected] == ["BAD_DATA"]
    assert asked(logs) is None


def test_a_count_ends_where_json_readers_lose_digits_and_texts_are_cut() -> None:
    logs = Logs()
    tell(logs, refused(count=REFUSED_ALIKE_MAX), refused("e2", count=REFUSED_ALIKE_MAX))
    long = dict.fromkeys(("reason", "source", "address", "code", "eventId"), "x" * 900)
    tell(logs, {**refused(), **long})
    first, second = calls_of(logs)
    assert first["count"] == REFUSED_ALIKE_MAX
    assert {name: len(second[name]) for name in long} == {
        "reason": 500,
        "source": 255,
        "address": 255,
        "code": 255,
        "eventId": 255,
    }


def test_a_record_in_a_wrong_partition_finds_its_order() -> None:
    logs = Logs()
    tell(logs, refused(), key=b"anything")
    assert brief(calls_of(logs)) == [("create-outward-order", 400, "BAD_DATA", 1)]


def test_refused_calls_are_not_shown_after_a_week() -> None:
    logs = Logs()
    tell(logs, refused())
    logs.now_ms = START_MS + limits.REFUSED_KEPT_MS
    assert asked(logs) is None


@pytest.mark.parametrize("raw", [b"", b"no JSON", b"[]", b'{"calls":[{"code":1}]}', b'{"calls":[{}]}', b"\xff"])
def test_an_entry_that_cannot_be_read_counts_as_none(raw: bytes) -> None:
    logs = Logs()
    logs.states[HOME].by_name(REFUSED).set(KEY, raw, -1)
    logs.restart()
    assert asked(logs) is None
    tell(logs, refused())
    assert brief(calls_of(logs)) == [("create-outward-order", 400, "BAD_DATA", 1)]


def test_an_entry_of_another_version_is_read() -> None:
    logs = Logs()
    raw = b'{"v":2,"calls":[{"touchpoint":"pack-order","code":"REFUSED","last":%d,"more":[1]}]}' % START_MS
    logs.states[HOME].by_name(REFUSED).set(KEY, raw, -1)
    assert brief(calls_of(logs)) == [("pack-order", None, "REFUSED", 1)]


@patches_compiled
def test_a_failed_decision_takes_its_note_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sizes in memory must not go ahead of the table."""
    logs = Logs()

    def fail(*_: object) -> object:
        raise Poison("BROKEN", "after the note")

    with monkeypatch.context() as patched:
        patched.setattr("streams.order.role._is_lost_on_caller", fail)
        logs.call("get-invoice", document_body(), "invoice")
        logs.run()
    (shown,) = calls_of(logs)
    assert (shown["code"], shown["count"]) == ("REFUSED", 1), "that it was set aside is what its caller heard"
