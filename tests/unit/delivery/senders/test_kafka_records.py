"""An answer on Kafka is judged as one over HTTP, whatever the record holds, and answers its own request only."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from streams.delivery.attempts.classify import classify
from streams.delivery.ports import Answer, Call, ResponseClass
from streams.delivery.senders import kafka_pending as kafka_waiting
from streams.delivery.senders.kafka_pending import AlreadyPendingError, Fate, PendingReplies
from streams.delivery.senders.kafka_records import (
    correlation_of,
    read_answer,
    request_headers,
    request_key,
    request_value,
)
from topics.contract.touchpoints import BY_NAME
from topics.records import envelope
from topics.records.keys import order_key, stock_key

NAME = ("demo", "d-1")


def call(name: str = "pack-order", members: dict[str, Any] | None = None, entity: str = "demo|A") -> Call:
    return Call(
        touchpoint=BY_NAME[name],
        destination="channel:demo",
        channel="demo",
        members=members or {"orderCode": "A", "shipmentId": 1},
        entity=entity,
        delivery_id="d-1",
        attempt=3,
    )


def test_a_request_says_what_it_is_for_whom_and_until_when() -> None:
    headers = request_headers(call(), "sluice.channel.demo.answers.v1", 1_700_000_030_000, 1_700_000_000_000)
    said = envelope.parse(headers)
    assert (said.id, said.type, said.channel) == ("d-1", "sluice.request.pack-order", "demo")
    assert (said.reply_topic, said.deadline_ms) == ("sluice.channel.demo.answers.v1", 1_700_000_030_000)
    assert correlation_of(headers) == "d-1"
    assert dict(headers)["sluice-attempt"] == b"3"


@pytest.mark.parametrize(
    ("asked", "key"),
    [
        (call(), order_key("demo", "A")),
        (call("location-wise-atp-inventory", {"locationCode": "DXB"}, ""), stock_key("demo", "DXB")),
        (call("consolidated-atp-inventory", {"consolidationType": "ALL"}, ""), stock_key("demo", "~ALL")),
    ],
)
def test_what_belongs_together_shares_a_key(asked: Call, key: bytes) -> None:
    assert request_key(asked) == key


def test_members_of_query_and_path_are_in_the_value() -> None:
    members = {"orderCode": "A/1", "shipmentCode": "S"}
    assert orjson.loads(request_value(call("get-shipping-label", members))) == members


@pytest.mark.parametrize(
    ("headers", "value", "kind"),
    [
        ([], b'{"shipmentCode": "S-1"}', ResponseClass.DELIVERED),
        ([("Sluice-Status", b"201")], b'{"shipmentCode": "S-1"}', ResponseClass.DELIVERED),
        ([], b"", ResponseClass.DELIVERED),
        ([], None, ResponseClass.DELIVERED),
        ([], b'{"hasError": true, "errorMessage": "no"}', ResponseClass.REFUSED),
        ([("sluice-status", b"400")], b'{"hasError": true, "errorMessage": "no"}', ResponseClass.REFUSED),
        ([("sluice-status", b"503")], b"", ResponseClass.RETRY),
        ([("sluice-status", b"429"), ("Retry-After", b"7")], b"", ResponseClass.THROTTLED),
        ([], b"not JSON", ResponseClass.RETRY),
        ([], b"[1]", ResponseClass.RETRY),
        ([], b"\xff\x00", ResponseClass.RETRY),
        ([], b"[" * 100_000, ResponseClass.RETRY),
        ([("sluice-status", b"fine")], b"{}", ResponseClass.RETRY),
        ([("sluice-status", b"9999999999")], b"{}", ResponseClass.RETRY),
        ([("sluice-status", b"-20")], b"{}", ResponseClass.RETRY),
        ([("sluice-status", None)], b"{}", ResponseClass.DELIVERED),
        ([("sluice-status", b"\xff")], b"{}", ResponseClass.RETRY),
        ([("x", b"\xff\xfe")], b"{}", ResponseClass.DELIVERED),
        ([], b"x" * (4 << 20) + b"x", ResponseClass.RETRY),
    ],
)
def test_whatever_an_answer_holds_is_judged(headers: Any, value: bytes | None, kind: ResponseClass) -> None:
    asked = call()
    assert classify(asked.touchpoint, asked.members, read_answer(headers, value), 0).kind is kind


async def test_an_answer_goes_to_the_request_of_its_channel_and_once() -> None:
    waiting = PendingReplies()
    with waiting.expect(NAME) as future:
        assert not waiting.is_expected(("other", "d-1"))
        assert waiting.accept_reply(("other", "d-1"), Answer(status=200)) is Fate.UNEXPECTED
        assert not future.done()
        assert waiting.accept_reply(NAME, Answer(status=500)) is Fate.TAKEN
        assert waiting.accept_reply(NAME, Answer(status=200)) is Fate.UNEXPECTED
        assert (await future).status == 500
    assert waiting.accept_reply(NAME, Answer(status=200)) is Fate.UNEXPECTED


async def test_a_late_success_is_the_answer_of_the_next_attempt_and_no_other_is() -> None:
    waiting = PendingReplies()
    waiting.give_up(NAME)
    assert waiting.accept_reply(NAME, Answer(status=503)) is Fate.UNEXPECTED
    assert waiting.accept_reply(NAME, Answer(status=None, error="unreadable")) is Fate.UNEXPECTED
    assert waiting.accept_reply(NAME, Answer(status=200, body=b"1")) is Fate.LATE
    assert waiting.accept_reply(NAME, Answer(status=200, body=b"2")) is Fate.UNEXPECTED
    late = waiting.pop_late(NAME)
    assert late is not None
    assert late.body == b"1"
    assert waiting.pop_late(NAME) is None
    assert waiting.accept_reply(NAME, Answer(status=200)) is Fate.UNEXPECTED


async def test_two_deliveries_with_one_id_are_not_mixed_up() -> None:
    waiting = PendingReplies()
    with waiting.expect(NAME), pytest.raises(AlreadyPendingError), waiting.expect(NAME):
        pass
    assert not waiting.is_expected(NAME)


def test_what_is_kept_for_later_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_waiting, "OVERDUE_MAX", 3)
    monkeypatch.setattr(kafka_waiting, "LATE_BYTES_MAX", 10)
    waiting = PendingReplies()
    names = [("demo", str(number)) for number in range(4)]
    for name in names:
        waiting.give_up(name)
    assert [waiting.is_expected(name) for name in names] == [False, True, True, True]
    for name in names[1:]:
        assert waiting.accept_reply(name, Answer(status=200, body=b"12345")) is Fate.LATE
    assert [waiting.pop_late(name) is not None for name in names] == [False, False, True, True]
