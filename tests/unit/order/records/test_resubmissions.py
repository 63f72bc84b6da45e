"""An operator's word about a refused request, as a record: what is none is set aside, and a crash sends once."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.support.orders import CHANNEL, CODE, create_body
from tests.support.orders_log import PARTITIONS, Logs
from topics.records.deliveries import OutcomeKind
from topics.records.envelope import RESUBMIT, Envelope
from topics.records.keys import order_key, partition_of

KEY = order_key(CHANNEL, CODE)
HOME = partition_of(KEY, PARTITIONS)
HEADERS = Envelope(id="r1", type=RESUBMIT, source="/gateway", channel=CHANNEL).headers()


def resubmission(**changes: Any) -> bytes:
    """An operator's word about a refused Create."""
    said = {"saidMs": 0, "by": "ops", "address": "", "reason": "mapped", "request": "e.0"}
    return orjson.dumps(
        {"orderCode": CODE, "touchpoint": "create-outward-order", "body": create_body(), **said, **changes}
    )


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (b'{"orderCode":"a"}', "touchpoint"),
        (resubmission(touchpoint="get-credential"), "no call"),
        (resubmission(body={}), "orderItems"),
        (resubmission(orderCode=None), "needs orderCode"),
        (resubmission(reason=""), "reason"),
        (resubmission(dryRun="yes"), "dryRun"),
    ],
)
def test_what_is_no_resubmission_is_set_aside(value: bytes, named: str) -> None:
    logs = Logs()
    logs.append(KEY, value, HEADERS)
    logs.run()
    ((code, reason),) = logs.rejected
    assert (code, named in reason) == ("BAD_DATA", True), reason


def test_a_crash_amid_a_resubmission_sends_the_same_request() -> None:
    logs = Logs()
    logs.call("create-outward-order", create_body(), "e1")
    logs.run()
    (refused,) = logs.requests()
    logs.answer(refused, OutcomeKind.REFUSED, message="not mapped")
    logs.run()
    asked = orjson.loads(resubmission(request=refused.id))
    logs.append(KEY, orjson.dumps(asked), HEADERS)
    logs.crash_after_effects(HOME)
    logs.run()
    logs.append(KEY, orjson.dumps(asked), HEADERS)
    logs.run()
    assert [one.id for one in logs.requests()] == ["e1.0", "r1.0"]
    assert logs.rejected == []
