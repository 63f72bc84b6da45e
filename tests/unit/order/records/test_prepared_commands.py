"""A large call that is prepared in steps is the event that it would have been, decided in the same way."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
from msgspec.structs import replace
from pydantic import ValidationError

from streams.order.model.canonical import digest
from streams.order.model.events import OF_TOUCHPOINT
from streams.order.model.meaning import STEP_ENTRIES
from streams.order.records.decode import decode_event, decode_in_steps
from streams.order.records.reply_addresses import ReplyAddresses
from streams.runtime.role import Poison, Record
from tests.support.orders import create_body, sample
from tests.support.orders_log import Logs
from tests.unit.order.records.test_signed_commands import CHANNELS, SETTINGS, SIGNER, record, signature
from topics.contract.touchpoints import BY_NAME

DECODING = (CHANNELS, 40_000, ReplyAddresses(SETTINGS, CHANNELS), SIGNER)
LINES = 2 * STEP_ENTRIES + 1


def in_steps(steps: Generator[None, None, Any]) -> tuple[Any, int]:
    """What was prepared, and in how many steps."""
    count = 0
    while True:
        count += 1
        try:
            next(steps)
        except StopIteration as end:
            return end.value, count


def large() -> dict[str, Any]:
    body = create_body()
    (item, *_) = body["orderItems"]
    return body | {"orderItems": [{**item, "orderItemCode": f"I{n}"} for n in reversed(range(LINES))]}


@pytest.mark.parametrize("name", OF_TOUCHPOINT)
@pytest.mark.parametrize("is_signed", [True, False])
def test_each_call_is_the_event_that_it_would_have_been(name: str, is_signed: bool) -> None:
    body = {
        member: value[:1] if member in ("orders", "handoverItems") else value for member, value in sample(name).items()
    }
    body.setdefault("orderCode", "O")  # in the path of a call whose sample has none
    signed = signature(body, name) if is_signed else b""
    given = record(body, kind=name, signed=signed)
    prepared, _ = in_steps(decode_in_steps(given, *DECODING))
    event = decode_event(given, *DECODING)
    assert prepared.payload == digest(BY_NAME[name].request, event.body)
    assert replace(prepared, payload="") == event


@pytest.mark.parametrize("is_signed", [True, False])
def test_a_long_list_is_several_steps(is_signed: bool) -> None:
    body = large()
    given = record(body, signed=signature(body) if is_signed else b"")
    prepared, steps = in_steps(decode_in_steps(given, *DECODING))
    assert prepared.payload == digest(BY_NAME["create-outward-order"].request, body)
    assert steps > LINES / STEP_ENTRIES + 3


def test_a_call_that_is_none_raises_as_it_would_have() -> None:
    for given in (record(b"[", signed=b""), replace(record({}), headers=())):
        with pytest.raises(Poison) as caught:
            decode_event(given, *DECODING)
        with pytest.raises(Poison) as again:
            in_steps(decode_in_steps(given, *DECODING))
        assert (caught.value.code, str(caught.value)) == (again.value.code, str(again.value))
    with pytest.raises(ValidationError):
        in_steps(decode_in_steps(record({"orderCode": 1}), *DECODING))


def test_the_role_decides_a_prepared_record_as_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    body = large()
    plain, prepared = Logs(), Logs()
    role = prepared.role
    decide = role.decide

    def prepare_and_decide(given: Record, tables: Any) -> Any:
        made, _ = in_steps(role.prepare(given))
        return decide(replace(given, prepared=made), tables)

    monkeypatch.setattr(role, "decide", prepare_and_decide)
    for logs in (plain, prepared):
        logs.call("create-outward-order", body, "first")
        logs.call("create-outward-order", body, "repeat")
        logs.call("create-outward-order", body | {"orderType": "OTHER"}, "other")
        logs.run()
    assert plain.effects == prepared.effects
