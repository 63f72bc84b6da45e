"""What a decision sends has the trace of its record; without one its bytes are those of before."""

from __future__ import annotations

import orjson
from msgspec.structs import replace

from streams.order.records.decode import decode_in_steps
from streams.order.role import OrdersRole
from streams.runtime.role import Effect, Record
from streams.runtime.tables.partition_table import PartitionState, of_kinds
from tests.support.orders import create_body
from tests.support.traces import CALLER, UNSAMPLED
from tests.unit.order.records.test_prepared_commands import DECODING, in_steps
from tests.unit.order.records.test_signed_commands import CHANNELS, SETTINGS, record
from topics.records.deliveries import decode_request
from topics.records.keys import partition_of
from topics.traces.context import TRACEPARENT, TraceContext, context_in, with_context

CREATE = "create-outward-order"


def decided(given: Record) -> list[Effect]:
    given = replace(given, partition=partition_of(given.key, SETTINGS.partitions))
    role = OrdersRole(SETTINGS, CHANNELS)
    state = PartitionState(given.partition, OrdersRole.tables, of_kinds(OrdersRole.table_kinds))
    role.on_assigned(given.partition, state.tables)
    return list(role.decide(given, state.tables))


def traced(given: Record, cause: TraceContext) -> Record:
    return replace(given, headers=with_context(given.headers, cause))


def test_facts_and_requests_have_the_trace_and_a_request_keeps_it() -> None:
    given = record(create_body(), kind=CREATE)
    for cause in (CALLER, UNSAMPLED):
        effects = {effect.topic: effect for effect in decided(traced(given, cause))}
        assert context_in(effects["orders.events"].headers) == cause
        assert context_in(effects["deliveries.requests"].headers) == cause
        assert decode_request(effects["deliveries.requests"].value).cause == cause.traceparent


def test_without_a_trace_nothing_is_added() -> None:
    for effect in decided(record(create_body(), kind=CREATE)):
        assert TRACEPARENT not in dict(effect.headers)
        assert TRACEPARENT not in orjson.loads(effect.value)


def test_a_large_call_that_was_prepared_has_the_span_of_its_decision() -> None:
    """It is prepared before its decision begins, from the record as it came."""
    given = traced(record(create_body(), kind=CREATE), CALLER)
    event, _ = in_steps(decode_in_steps(given, *DECODING))
    decision = CALLER.child("t/0/0")
    effects = decided(replace(traced(given, decision), prepared=event))
    assert {context_in(one.headers) for one in effects if one.topic != "replies"} == {decision}
