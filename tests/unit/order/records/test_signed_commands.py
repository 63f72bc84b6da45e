"""Who says to be the gateway is validated as everybody is; what a gateway has signed is not validated again."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest
from msgspec.structs import replace

from sluice.demo_channels import demo_channels
from streams.order.records import decode
from streams.order.records.decode import decode_event
from streams.order.records.reply_addresses import ReplyAddresses
from streams.runtime.role import Poison, Record
from tests.support.orders import CHANNEL, create_body
from tests.support.orders_log import Logs
from topics.configuration.channels_file import parse_channels
from topics.configuration.settings import Settings, load_settings
from topics.records.envelope import COMMAND, DELIVERY_OUTCOME, GATEWAY_SOURCE, RETURN_CLAIMED, TICK, Envelope
from topics.records.keys import TICK_KEY, order_key, return_key
from topics.records.signing import Signer

SETTINGS = load_settings(secret_key=base64.b64encode(b"k" * 32).decode())
SIGNER = Signer(SETTINGS.secret_keys)
CHANNELS = parse_channels(demo_channels(), where="test")
KEY = order_key(CHANNEL, create_body()["orderCode"])


def record(body: Any, *, signed: bytes = b"", kind: str = "create-outward-order", key: bytes = KEY) -> Record:
    envelope = Envelope(id="e", type=COMMAND + kind, source=GATEWAY_SOURCE, channel=CHANNEL, signature=signed)
    value = body if isinstance(body, bytes) else orjson.dumps(body)
    return Record(0, 0, 1_700_000_000_000, key, value, envelope.headers())


def decoded(given: Record, signer: Signer = SIGNER, settings: Settings = SETTINGS) -> dict[str, Any]:
    return decode_event(given, CHANNELS, 40_000, ReplyAddresses(settings, CHANNELS), signer).body


def signature(body: Any, kind: str = "create-outward-order", key: bytes = KEY) -> bytes:
    return SIGNER.sign(COMMAND + kind, key, orjson.dumps(body)) or b""


BAD = {**create_body(), "orderItems": [{"channelSkuCode": "S", "orderItemCode": "1", "quantity": "seven"}]}


def test_a_body_from_the_gateway_by_its_own_word_is_validated() -> None:
    with pytest.raises(Poison) as caught:
        decoded(record(BAD))
    assert caught.value.code == "BAD_DATA"


@pytest.mark.parametrize(
    "signed",
    [
        signature(create_body()),
        signature(BAD, kind="update-order-properties"),
        signature(BAD, key=b"demo|other"),
        Signer([b"x" * 32]).sign(COMMAND + "create-outward-order", KEY, orjson.dumps(BAD)) or b"",
        b"\xff",
    ],
    ids=["another body's", "another type's", "another key's", "under another key", "no text"],
)
def test_a_signature_that_is_not_this_records_is_none(signed: bytes) -> None:
    with pytest.raises(Poison, match="quantity"):
        decoded(record(BAD, signed=signed))


def test_a_query_that_a_former_gateway_has_signed_as_text_is_read() -> None:
    body = {"orderCode": "O", "shipmentCode": "S", "shipmentId": "5", "arePackBoxLabelsRequired": "true"}
    signed = signature(body, "get-shipping-label", order_key(CHANNEL, "O"))
    given = record(body, signed=signed, kind="get-shipping-label", key=order_key(CHANNEL, "O"))
    assert decoded(given) == {**body, "shipmentId": 5, "arePackBoxLabelsRequired": True}


def test_what_the_gateway_signed_is_not_validated_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "_validated", lambda *_: pytest.fail("it was validated again"))
    body = create_body()
    given = record(body, signed=signature(body))
    assert decoded(given) == body
    replayed = replace(given, offset=9)
    assert decoded(replayed) == body, "a copy of the record is as valid as the record"


def test_without_a_key_every_body_is_validated() -> None:
    body = create_body()
    seen: list[str] = []
    settings = load_settings()
    given = record(BAD, signed=signature(BAD))
    with pytest.raises(Poison, match="quantity"):
        decoded(given, Signer(settings.secret_keys), settings)
    assert decoded(record(body), Signer(settings.secret_keys), settings) == body
    assert seen == []


STRANGERS: tuple[tuple[str, bytes, Any], ...] = (
    (DELIVERY_OUTCOME, KEY, {"request": 1, "touchpoint": "pack-order", "kind": "delivered"}),
    (DELIVERY_OUTCOME, KEY, {"request": "r", "touchpoint": "no such", "kind": "delivered", "attempt": {"number": "1"}}),
    (DELIVERY_OUTCOME, KEY, [1]),
    (RETURN_CLAIMED, KEY, {"orderCode": 7}),
    (RETURN_CLAIMED, KEY, {"orderCode": "O-1", "returnOrderCode": "R", "version": "1", "asked": 1, "held": []}),
    (COMMAND + "shipment-manifested", KEY, {"orderCode": "O-1", "shipmentCode": None}),
    (COMMAND + "return-decided", KEY, {"orderCode": "O-1", "admitted": "yes"}),
    (TICK, TICK_KEY, 1),
    (TICK, TICK_KEY, "x"),
    (TICK, TICK_KEY, [1]),
    (TICK, TICK_KEY, {"untilMs": "1"}),
    (TICK, TICK_KEY, {"untilMs": 1, "untilKey": 5}),
)


@pytest.mark.parametrize(("kind", "key", "body"), STRANGERS)
def test_a_strangers_record_of_a_type_from_within_is_set_aside_as_well_understood(
    kind: str, key: bytes, body: Any
) -> None:
    logs = Logs()
    envelope = Envelope(id="e", type=kind, source="/orders", channel=CHANNEL)
    logs.append(key, orjson.dumps(body), envelope.headers())
    logs.run()
    assert [code for code, _ in logs.rejected] != []
    assert "decision_failed" not in {code for code, _ in logs.rejected}


def test_a_tick_without_an_envelope_is_set_aside() -> None:
    logs = Logs()
    logs.append(TICK_KEY, orjson.dumps({"untilMs": 1}), ())
    logs.run()
    assert [code for code, _ in logs.rejected] == ["BAD_ENVELOPE"]


@pytest.mark.parametrize("is_signed", [True, False], ids=["by an earlier gateway", "of a producer"])
def test_names_of_an_earlier_version_are_read_as_those_of_today(*, is_signed: bool) -> None:
    codes = {"returnOrderCode": "R", "orderCode": "O", "locationCode": "L"}
    former = {**codes, "returnLineItems": [{"channelReturnItemCode": "I", "channelSkuCode": "A", "mine": 1}]}
    kind, key = "cancel-return-order-items", return_key(CHANNEL, "R")
    signed = signature(former, kind, key) if is_signed else b""
    assert decoded(record(former, signed=signed, kind=kind, key=key)) == {
        **codes,
        "returnOrderItems": [{"returnOrderItemCode": "I", "channelSkuCode": "A", "mine": 1}],
    }
