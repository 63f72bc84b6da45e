"""The line of a decision: none for what was decided as asked, and nothing about a person in any."""

from __future__ import annotations

from typing import Any

import orjson

from streams.runtime.rejected import log_set_aside
from streams.runtime.role import Record
from tests.support.logs.lines import CANARY, marked, read_lines, written
from tests.support.orders import CHANNEL
from tests.support.orders_log import Logs
from topics.contract.sample_files import sample
from topics.records.envelope import COMMAND, Envelope

CREATE = "create-outward-order"


def decided(*bodies: dict[str, Any]) -> list[dict[str, Any]]:
    logs = Logs()
    with written() as kept:
        for number, body in enumerate(bodies):
            logs.call(CREATE, body, f"e-{number}")
            logs.run()
    return read_lines(kept)


def test_what_is_applied_has_no_line_and_what_is_not_has_one() -> None:
    body = marked(sample(CREATE).members)
    changed = {**body, "orderItems": [{**body["orderItems"][0], "quantity": 99}]}
    same, conflict = decided(body, body, changed)
    code = body["orderCode"]
    assert (same["event"], same["subject"], same["event_id"], same["verdict"]) == ("decision", code, "e-1", "DUPLICATE")
    assert (conflict["event_id"], conflict["verdict"], conflict["kind"]) == ("e-2", "CONFLICT", CREATE)
    assert "exists with other data" in conflict["reason"]
    assert conflict["position"].startswith("sluice.orders.commands.v1/")
    assert CANARY not in str([same, conflict])


def test_a_record_that_is_set_aside_is_named_and_not_quoted() -> None:
    envelope = Envelope(id="e-1", type=COMMAND + CREATE, source="/x", channel=CHANNEL, subject="O-1")
    value = orjson.dumps({"name": CANARY})
    parent = f"00-{'ab' * 16}-{'cd' * 8}-01".encode()
    more = (("traceparent", parent), (CANARY, CANARY.encode()), ("null", None))
    record = Record(3, 41, 0, b"k", value, (*envelope.headers(), *more), None)
    with written() as kept:
        log_set_aside(record, "sluice.orders.commands.v1", "BAD_DATA")
    (line,) = read_lines(kept)
    assert (line["event_id"], line["subject"], line["channel"], line["code"]) == ("e-1", "O-1", CHANNEL, "BAD_DATA")
    assert (line["position"], line["trace_id"]) == ("sluice.orders.commands.v1/3/41", "ab" * 16)
    assert CANARY not in str(line)
