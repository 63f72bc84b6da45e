"""The role over records: decoding, re-routing, poison, the records that leave.

Property: whatever a producer wrote, a record is decided where its entity lives or set aside with a reason that names
what is wrong; its neighbours are not touched.
"""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from streams.order.model.entities import Order
from streams.order.model.limits import EARLY_KEPT_MS
from streams.order.records.answer_table import AnswerTable, stored_answer
from streams.order.records.encode import EffectEncoder
from streams.runtime.rejected import DECISION_FAILED, TOO_LARGE
from streams.runtime.role import Effect, Poison, Record
from streams.runtime.tables.partition_table import PartitionState
from tests.support.forms import patches_compiled
from tests.support.orders import (
    CHANNEL,
    CODE,
    acknowledgement_body,
    cancel_body,
    create_body,
    document_body,
    handover_body,
    pack_body,
    update_body,
)
from tests.support.orders_log import PARTITIONS, Logs, make_channels, parts_of
from topics.records.deliveries import decode_request
from topics.records.envelope import (
    COMMAND,
    DELIVERY_OUTCOME,
    ORDER_QUERY,
    RETURN_CLAIMED,
    SHIPMENT_MANIFESTED,
    Envelope,
    parse,
)
from topics.records.json_text import read, write
from topics.records.keys import INCREFF, destination_partition, join, lane_key, order_key, partition_of
from topics.records.verdicts import Verdict, decode_reply

KEY = order_key(CHANNEL, CODE)
HOME = partition_of(KEY, PARTITIONS)
GOOD = Envelope(id="bad", type=COMMAND + "create-outward-order", source="/erp", channel=CHANNEL).headers()


def without(name: str) -> tuple[tuple[str, bytes], ...]:
    return tuple(header for header in GOOD if header[0] != name)


def with_header(name: str, value: bytes) -> tuple[tuple[str, bytes], ...]:
    return (*without(name), (name, value))


def changed(**changes: Any) -> bytes:
    return orjson.dumps({**create_body(), **changes})


def deep(levels: int) -> bytes:
    """A Create whose free part nests so deep that orjson reads it and cannot write it again."""
    raw = changed(orderCustomAttributes={"channelMetadata": "@"})
    return raw.replace(b'"@"', b'{"a":' * levels + b"{}" + b"}" * levels)


def crowded() -> bytes:
    """A Create whose free part has more values than a body may have."""
    return changed(orderCustomAttributes={"channelMetadata": "@"}).replace(b'"@"', b"[" + b"[]," * 120_100 + b"[]]")


OUTCOME_WITH_A_TEXT = b'{"request":"r","touchpoint":"pack-order","kind":"delivered","next_at_ms":"soon"}'
TOLD_WITH_A_NUMBER = orjson.dumps(
    {**dict.fromkeys(("orderCode", "shipmentCode", "manifestCode", "manifestId", "transporter"), "a"), "awbNumber": 1}
)
"""The order's state would keep these members, so their types are checked."""


@pytest.mark.parametrize(
    ("value", "headers", "code", "named"),
    [
        (b"{broken", GOOD, "BAD_JSON", "not JSON"),
        (b"[1]", GOOD, "BAD_JSON", "object"),
        (crowded(), GOOD, "TOO_MANY_VALUES", "at most 120000"),
        (crowded(), with_header("ce_type", DELIVERY_OUTCOME.encode()), "TOO_MANY_VALUES", "at most 120100"),
        (deep(64), GOOD, "TOO_DEEP", "64 levels"),
        (deep(250), GOOD, "TOO_DEEP", "64 levels"),
        (changed(), without("ce_id"), "BAD_ENVELOPE", "ce_id"),
        (changed(), with_header("ce_id", b"x" * 901), "BAD_ENVELOPE", "ce_id"),
        (changed(), without("ce_type"), "BAD_ENVELOPE", "ce_type"),
        (changed(), without("sluice-channel"), "BAD_ENVELOPE", "sluice-channel"),
        (changed(), with_header("sluice-deadline-ms", b"soon"), "BAD_ENVELOPE", "sluice-deadline-ms"),
        (changed(), with_header("sluice-reply-partition", b"100000"), "BAD_ENVELOPE", "sluice-reply-partition"),
        (changed(), with_header("sluice-channel", b"nobody"), "UNKNOWN_CHANNEL", "nobody"),
        (changed(), with_header("ce_type", b"sluice.command.unheard-of"), "UNKNOWN_TYPE", "unheard-of"),
        (changed(), with_header("ce_type", b"pack-order"), "UNKNOWN_TYPE", "pack-order"),
        (changed(), with_header("ce_type", b"sluice.command.search-inventory"), "UNKNOWN_TYPE", "search-inventory"),
        (changed(orderCode=None), GOOD, "BAD_DATA", "orderCode"),
        (changed(orderCode="x" * 256), GOOD, "BAD_DATA", "orderCode"),
        (changed(onHold="yes"), GOOD, "BAD_DATA", "onHold"),
        (changed(orderItems=[]), GOOD, "BAD_DATA", "orderItems"),
        (b"{}", with_header("ce_type", DELIVERY_OUTCOME.encode()), "BAD_OUTCOME", "outcome"),
        (b"{}", with_header("ce_type", ORDER_QUERY.encode()), "BAD_DATA", "orderCode"),
        (b'{"orderCode":"a"}', with_header("ce_type", RETURN_CLAIMED.encode()), "BAD_DATA", "returnOrderCode"),
        (OUTCOME_WITH_A_TEXT, with_header("ce_type", DELIVERY_OUTCOME.encode()), "BAD_OUTCOME", "next_at_ms"),
        (TOLD_WITH_A_NUMBER, with_header("ce_type", SHIPMENT_MANIFESTED.encode()), "BAD_DATA", "awbNumber"),
    ],
)
def test_what_cannot_be_decided_is_set_aside_with_its_reason_and_its_neighbours_go_on(
    value: bytes, headers: tuple[tuple[str, bytes], ...], code: str, named: str
) -> None:
    logs = Logs()
    logs.append(KEY, value, headers)
    logs.call("create-outward-order", create_body(), "good")
    logs.run()
    assert [found for found, _ in logs.rejected] == [code]
    assert named in logs.rejected[0][1]
    assert set(logs.states_by_key()) == {KEY}


def test_a_batch_of_two_orders_in_one_record_is_set_aside() -> None:
    logs = Logs()
    body = {"orders": [{"orderCode": "A"}, {"orderCode": "B"}], "consolidationType": "NONE"}
    headers = with_header("ce_type", b"sluice.command.acknowledgement")
    logs.append(KEY, orjson.dumps(body), headers)
    logs.run()
    assert logs.rejected[0][0] == "BAD_DATA"


@pytest.mark.parametrize(
    ("key", "partition"), [(b"anything", None), (b"", None), (KEY, (HOME + 1) % PARTITIONS), (b"x", HOME)]
)
def test_a_direct_producers_record_finds_its_entity(key: bytes, partition: int | None) -> None:
    logs = Logs()
    logs.call("create-outward-order", create_body(), "direct", source="/erp", key=key, partition=partition)
    logs.run()
    assert set(logs.states_by_key()) == {KEY}
    assert logs.states[HOME].tables["orders.state"].get(KEY) is not None
    assert [decode_reply(effect.value).event for effect in logs.effects if effect.topic == "replies"] == ["direct"]


def test_a_cluster_with_another_number_of_partitions_is_noticed_instead_of_sending_on_for_ever() -> None:
    logs = Logs()
    headers = with_header("sluice-rerouted", b"0/7")
    logs.append(KEY, changed(), headers, partition=(HOME + 1) % PARTITIONS)
    logs.run()
    assert logs.rejected[0][0] == "WRONG_PARTITION"


def test_a_misspelt_member_of_a_direct_producer_is_understood() -> None:
    logs = Logs()
    body = {"locationCode": "L", "handoverItems": [{"orderCode": CODE, "shipmenCode": "S-1"}]}
    logs.call("handover-notification", body, "handover", source="/wms")
    logs.run()
    assert logs.rejected == []
    (reply,) = [decode_reply(effect.value) for effect in logs.effects if effect.topic == "replies"]
    assert reply.verdict is Verdict.EARLY


def test_requests_go_to_the_lane_and_partition_that_owns_the_destination() -> None:
    logs = Logs()
    logs.call("create-outward-order", create_body(), "create")
    effect = next(effect for effect in logs.run() if effect.topic == "deliveries.requests")
    request = decode_request(effect.value)
    assert effect.key == request.lane.encode() == lane_key(INCREFF, KEY)
    assert effect.partition == destination_partition(INCREFF, 0, PARTITIONS)
    assert (request.entity, request.subject, request.sequence) == (KEY.decode(), CODE, 1)
    envelope = parse(effect.headers)
    assert (envelope.id, envelope.channel, envelope.type) == ("create.0", CHANNEL, "sluice.delivery.request")


def test_a_document_has_a_lane_of_its_own() -> None:
    logs = Logs()
    logs.call("create-outward-order", create_body(), "create")
    logs.call("pack-order", pack_body(sku_1=1), "pack")
    logs.run()
    logs.answer(logs.requests()[-1], body={"shipmentCode": "S-1"})
    logs.call("get-invoice", document_body(), "invoice")
    logs.run()
    request = logs.requests()[-1]
    assert (request.lane.encode(), request.sequence) == (join(f"channel:{CHANNEL}", KEY.decode(), request.id), 0)


def test_facts_are_cloud_events_under_the_orders_key() -> None:
    logs = Logs()
    logs.call("create-outward-order", create_body(), "create")
    effect = next(effect for effect in logs.run() if effect.topic == "orders.events")
    envelope = parse(effect.headers)
    assert (effect.key, envelope.type, envelope.id) == (KEY, "sluice.fact.order-created", "create.f1")
    assert orjson.loads(effect.value)["sequence"] == 1


def test_a_relay_of_a_direct_producer_gets_the_configured_deadline() -> None:
    logs = Logs()
    logs.call("create-outward-order", create_body(), "create")
    headers = Envelope(id="pack", type=COMMAND + "pack-order", source="/wms", channel=CHANNEL).headers()
    logs.append(KEY, orjson.dumps(pack_body(sku_1=1)), headers)
    logs.run()
    request = logs.requests()[-1]
    assert (request.touchpoint, request.deadline_ms) == ("pack-order", logs.now_ms + 40_000)


def test_a_channel_that_switched_a_touchpoint_off_gets_nothing() -> None:
    logs = Logs(channels=make_channels(off=["update-order-properties"]))
    logs.call("create-outward-order", create_body(), "create")
    logs.call("update-order-properties", update_body(hold=True), "hold")
    logs.run()
    assert [request.touchpoint for request in logs.requests()] == ["create-outward-order"]


def test_a_state_that_cannot_be_read_is_set_aside_not_overwritten() -> None:
    logs = Logs()
    table = logs.states[HOME].by_name("orders.state")
    table.set(KEY, b"not a state", -1)
    logs.call("create-outward-order", create_body(), "create")
    logs.run()
    assert (logs.rejected[0][0], parts_of(table, KEY)) == ("BAD_STATE", [b"not a state"])


def make_answers(count_max: int, bytes_max: int) -> tuple[PartitionState, AnswerTable]:
    state = PartitionState(0, ("orders.state", "relay.answers"))
    return state, AnswerTable(state.tables["relay.answers"], 0, count_max, bytes_max)


@patches_compiled
def test_what_a_failed_decision_changed_is_not_seen_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    logs = Logs()
    logs.call("create-outward-order", create_body(), "good")
    logs.run()
    before = logs.states_by_key()[KEY]

    def fail(self: object, effects: object, entity: Order, *_: object) -> list[Effect]:
        assert entity.lines.pop().cancelled == 0
        assert entity.lines.pop().cancelled == 1
        raise Poison("BROKEN", "after the entity was changed")

    with monkeypatch.context() as patched:
        patched.setattr(EffectEncoder, "encode_effects", fail)
        logs.call("seller-cancellation", cancel_body(i1=1), "failed")
        logs.run()
    assert (logs.states_by_key()[KEY], [code for code, _ in logs.rejected]) == (before, ["BROKEN"])
    logs.call("seller-cancellation", cancel_body(i1=1), "again")
    logs.run()
    assert [line[-1] for line in logs.states_by_key()[KEY]["lines"]] == [1, 0]


def test_a_recorded_answer_keeps_its_digits() -> None:
    state, answers = make_answers(3, 10_000)
    table = state.tables["relay.answers"]
    body = b'{"awbNumber":9400111899223197428490,"weight":499.0000,"list":[0.10,-18446744073709551617]}'
    answers.store_answer(table, b"1", 200, read(body), now_ms=1)
    found = stored_answer(table, b"1")
    assert found is not None
    assert write(found[1]) == body


def test_recorded_answers_are_bounded_in_count_and_the_oldest_gives_way() -> None:
    state, answers = make_answers(3, 10_000)
    table = state.tables["relay.answers"]
    for n in range(5):
        answers.store_answer(table, b"%d" % n, 200, {"n": n}, now_ms=n)
    assert sorted(key for key, _ in table.items()) == [b"2", b"3", b"4"]
    assert stored_answer(table, b"4") == (200, {"n": 4})
    assert stored_answer(table, b"0") is None
    answers.store_answer(table, b"2", 200, {"n": "again"}, now_ms=9)
    answers.store_answer(table, b"5", 200, None, now_ms=10)
    assert sorted(key for key, _ in table.items()) == [b"2", b"4", b"5"]


def test_recorded_answers_are_bounded_in_bytes_and_a_new_owner_evicts_as_the_old_one() -> None:
    state, answers = make_answers(100, 200)
    table = state.tables["relay.answers"]
    for n in (3, 1, 2):
        answers.store_answer(table, b"%d" % n, 200, "x" * 20, now_ms=n)
    taken_over = AnswerTable(table, 0, 100, 200)
    taken_over.store_answer(table, b"9", 200, "x" * 40, now_ms=9)
    assert b"1" not in dict(table.items()), "the oldest by time, not by order of arrival in memory"
    taken_over.store_answer(table, b"huge", 200, "x" * 500, now_ms=10)
    assert stored_answer(table, b"huge") is None
    assert stored_answer(table, b"9") is not None


def as_record(headers: tuple[tuple[str, bytes], ...]) -> Record:
    return Record(HOME, 0, 1, KEY, b"{}", headers)


@pytest.mark.parametrize(
    ("code", "verdict", "told"),
    [
        ("BAD_DATA", Verdict.REFUSED, "orderCode: no"),
        (TOO_LARGE, Verdict.REFUSED, "orderCode: no"),
        (DECISION_FAILED, Verdict.FAILED, "a repeat is safe"),
    ],
)
def test_the_caller_of_a_record_that_is_set_aside_gets_a_reply(code: str, verdict: Verdict, told: str) -> None:
    headers = Envelope(id="e", type="any", source="/gateway", channel=CHANNEL, reply_partition=2).headers()
    (effect,) = Logs().role.set_aside(as_record(headers), code, "orderCode: no")
    reply = decode_reply(effect.value)
    assert (effect.topic, effect.partition, reply.event, reply.verdict) == ("replies", 2, "e", verdict)
    assert told in reply.message


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (("ce_id", b"\xff"),),
        Envelope(id="e", type="t", source="s", channel=CHANNEL).headers(),
        Envelope(id="e", type="t", source="s", channel=CHANNEL, reply_partition=-1).headers(),
        Envelope(id="e", type="t", source="s", channel=CHANNEL, reply_partition=10_000).headers(),
        Envelope(id="e", type="t", source="s", channel=CHANNEL, reply_topic="sluice.orders.state.v1").headers(),
    ],
)
def test_nobody_is_told_when_nobody_can_be(headers: tuple[tuple[str, bytes], ...]) -> None:
    assert list(Logs().role.set_aside(as_record(headers), "BAD_DATA", "why")) == []


@pytest.mark.parametrize(
    ("touchpoint", "body"),
    [("handover-notification", handover_body("S-9")), ("acknowledgement", acknowledgement_body())],
)
def test_what_cannot_be_refused_and_is_refused_late_leaves_the_record_and_the_reason(
    touchpoint: str, body: dict[str, Any]
) -> None:
    """Its caller may have been answered with success already."""
    logs = Logs(make_channels(unknown_orders="refuse"))
    logs.call(touchpoint, body, "late")
    (rejected,) = [effect for effect in logs.run() if effect.topic == "commands.rejected"]
    about = dict(rejected.headers)
    assert (rejected.key, orjson.loads(rejected.value)) == (KEY, body)
    assert (about["ce_id"], about["sluice-rejected-code"]) == (b"late", b"REFUSED")
    assert b"not known" in about["sluice-rejected-reason"]


def test_what_is_parked_is_not_lost_and_leaves_no_rejected_record() -> None:
    logs = Logs()
    logs.call("acknowledgement", acknowledgement_body(), "early")
    assert [effect.topic for effect in logs.run()] == ["orders.events", "replies"]
    logs.call("create-outward-order", create_body(), "create")
    logs.run()
    assert logs.states_by_key()[KEY]["state"] == "ACKNOWLEDGED"
    assert [value["sequence"] for value in logs.values("orders.events")] == [1, 2, 3]


def test_an_order_that_was_only_expected_leaves_the_table_with_its_last_event() -> None:
    logs = Logs()
    logs.call("acknowledgement", acknowledgement_body(), "early")
    logs.run()
    logs.now_ms += EARLY_KEPT_MS
    logs.call("pack-order", pack_body(sku_1=1), "pack")
    logs.run()
    assert logs.states_by_key() == {}
    logs.crash_before_commit(HOME, 2)
    before = len(logs.effects)
    logs.run()
    assert len(logs.effects) == before, "a redelivery brings nothing back"


def test_what_the_caller_is_told_of_leaves_no_rejected_record() -> None:
    logs = Logs()
    logs.call("pack-order", pack_body(sku_1=1), "refused")
    assert [effect.topic for effect in logs.run()] == ["replies"]


def test_an_answer_that_the_runtime_undid_is_not_counted() -> None:
    """The sizes in memory must not go ahead of the table: the bounds would be kept of answers that are not there."""
    logs = Logs()
    logs.call("create-outward-order", create_body(), "create")
    logs.call("pack-order", pack_body(sku_1=1), "pack")
    logs.run()
    logs.answer(logs.requests()[-1], body={"shipmentCode": "S-1"})
    state, (key, value, headers, at_ms) = logs.states[HOME], logs.records[HOME][-1]
    record = Record(HOME, len(logs.records[HOME]) - 1, at_ms, key, value, headers)
    state.offset = record.offset
    list(logs.role.decide(record, state.tables))
    state.undo()
    logs.role.set_aside(record, TOO_LARGE, "too large")
    answers = state.tables["relay.answers"]
    assert logs.role._answer_table(HOME, answers)._sizes == {}
