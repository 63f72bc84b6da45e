"""The span of a decision: named by the record's position, so a record that is decided again causes the same bytes."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from streams.runtime.role import Effect, Record, Tables
from tests.fakes.runtime import raw_record
from tests.support.traces import CALLER, UNSAMPLED, recorded
from tests.unit.runtime.test_decide import Counting, Loop
from topics.traces import spans
from topics.traces.context import TRACEPARENT, TraceContext, context_in

POSITION = "t.source.v1/0/0"


class Caused(Counting):
    """Sends what caused its record."""

    def decide(self, record: Record, tables: Tables) -> Iterable[Effect]:
        effects = list(super().decide(record, tables))
        if spans.SPANS.current is not None:
            spans.SPANS.current.attributes["sluice.verdict"] = "APPLIED"
        cause = context_in(record.headers)
        return [Effect("told", record.key, b"" if cause is None else cause.traceparent.encode()), *effects]


def loop() -> Loop:
    return Loop(role=Caused())


def caused_by(context: TraceContext) -> list[tuple[str, bytes]]:
    return [("ce_id", b"e-1"), ("ce_subject", b"O-1"), (TRACEPARENT, context.traceparent.encode())]


async def test_what_follows_from_a_decision_is_below_it() -> None:
    with recorded() as found:
        for _ in range(2):  # as after a crash
            producer = await loop().chunk(raw_record(0, b"count", headers=caused_by(CALLER)), raw_record(1, b"count"))
            first, second = producer.topic("told")
            assert first.value == CALLER.child(POSITION).traceparent.encode()
            assert second.value == b""
    decision, commit, *again = found
    assert (decision.name, decision.context, decision.parent) == (
        *("process t.source.v1", CALLER.child(POSITION)),
        CALLER,
    )
    assert decision.attributes["sluice.subject"] == "O-1"
    assert decision.attributes["sluice.verdict"] == "APPLIED"
    assert decision.attributes["messaging.consumer.group.name"] == "t.counting"
    assert (commit.name, commit.parent, commit.links) == ("commit test", None, (decision.context,))
    assert [one.context for one in again if one.parent] == [decision.context]
    assert spans.SPANS.current is None


@pytest.mark.parametrize(("bad", "code"), [(b"raise", "decision_failed"), (b"poison", "bad")])
async def test_a_record_that_is_set_aside_has_its_own_headers_and_its_span_the_code(bad: bytes, code: str) -> None:
    with recorded() as found:
        producer = await loop().chunk(raw_record(0, bad, headers=caused_by(CALLER)))
    (rejected,) = producer.topic("commands.rejected")
    assert dict(rejected.headers)[TRACEPARENT] == CALLER.traceparent.encode()
    assert found[0].error == code
    assert spans.SPANS.current is None


async def test_a_trace_that_is_not_recorded_is_left_as_it_came() -> None:
    with recorded(ratio=1.0) as found:
        producer = await loop().chunk(raw_record(0, b"count", headers=caused_by(UNSAMPLED)))
    assert (found, producer.topic("told")[0].value) == ([], UNSAMPLED.traceparent.encode())
