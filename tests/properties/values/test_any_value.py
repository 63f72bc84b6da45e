"""JSON of any type in any member of any call: never a 500 nor an exception, the far side gets the caller's own members,
and HTTP, Kafka and `sluice check` judge alike.

`make poison` tries many more: SLUICE_VALUES_TRIED is how many.
"""

from __future__ import annotations

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.ports import Outgoing
from sluice.cli.dry_run import REJECTED, DryRun
from tests.fakes.gateway import NOW_MS
from tests.properties.values.json_values import JSON, TRIED
from tests.properties.values.world import (
    BODIES,
    CHANNELS,
    SETTINGS,
    SITUATIONS,
    Orders,
    Path,
    Sluice,
    Told,
    direct,
    paths,
    sent_by_delivery,
    text_with,
    with_mark,
)
from topics.contract.leniency import as_text
from topics.contract.touchpoints import BY_NAME
from topics.records.json_text import read, write
from topics.records.signing import SIGNATURE
from topics.schema_base import canonical

ADDED = ("locationCode", "shipmentId")
"""Members that Sluice adds where the caller has left them out (contract 0.3, 5)."""
CASES = [(situation, path) for situation, (name, _, _) in SITUATIONS.items() for path in paths(BODIES[name])]


@settings(max_examples=TRIED, deadline=None)
@given(case=st.sampled_from(CASES), text=JSON)
@example(case=("create", ("orderCode",)), text="4711")
@example(case=("create", ("orderItems", 0, "quantity")), text='"2"')
@example(case=("create", ("onHold",)), text='"false"')
@example(case=("pack", ("shipmentId",)), text='"4810023"')
@example(case=("pack", ("orderCode",)), text="1234567890.12345678901")
@example(case=("pack", ("invoice",)), text="[1,{}]")
@example(case=("add items", ("returnLineItems", 0, "channelSkuCode")), text="7")
@example(case=("seller cancels early", ("orderItems", 0, "cancelledQuantity")), text='"1"')
def test_any_value_in_any_member(sluice: Sluice, case: tuple[str, Path], text: str) -> None:
    situation, path = case
    name, before, after = SITUATIONS[situation]
    touchpoint = BY_NAME[name]
    raw = text_with(with_mark(BODIES[name], path), text)
    members = read(raw)
    if any(not as_text(members.get(member)) for member in touchpoint.path_members):
        return  # no path can say it
    told = sluice.call(situation, raw)
    assert told.status in (200, 400, 404, 503), told.body
    records = [record for record in sluice.kafka.records if record.topic == "orders.commands"]
    twin = Orders(before).give(_unsigned(records, raw) or direct(situation, members), after)
    if records:
        _check_alike(told, twin)
        for request in [one for one in told.requests if one.touchpoint == name]:
            sent = sluice.run(sent_by_delivery(request))
            _check_own(sent, {**canonical(name, members), **{one: sent.get(one) for one in touchpoint.path_members}})
    else:
        assert told.status == 400
        assert [code for code, _ in twin.rejected] == ["BAD_DATA"]
        assert _faults(told.body) in twin.rejected[0][1]
    finding = DryRun(SETTINGS, CHANNELS, NOW_MS, touchpoint=name).check(1, members)
    assert (finding.verdict == REJECTED) is not bool(records), finding


def _unsigned(records: list[Outgoing], raw: bytes) -> list[Outgoing]:
    """The records as a direct producer writes them: the caller's bytes, under the same event id."""
    return [
        record._replace(value=raw, headers=tuple(header for header in record.headers if header[0] != SIGNATURE))
        for record in records
    ]


def _faults(body: dict[str, Any]) -> str:
    """The faults that a 400 names, in either side's shape."""
    text = str(body.get("description") or body.get("errorMessage"))
    return text.partition(": ")[2].strip("[]").split(", ")[0]


def _check_alike(told: Told, twin: Told) -> None:
    assert twin.rejected == []
    assert told.replies == twin.replies
    assert told.state == twin.state
    assert [one.touchpoint for one in told.requests] == [one.touchpoint for one in twin.requests]


def _check_own(sent: Any, own: Any, *, name: str = "") -> None:
    """Whether what is sent has all that the caller sent, as it was sent, and nothing else."""
    if isinstance(own, dict) and isinstance(sent, dict):
        assert own.keys() <= sent.keys()
        assert sent.keys() - own.keys() <= set(ADDED)
        for member, value in own.items():
            if member not in ADDED or as_text(value) not in ("", "null", " ", None):
                _check_own(sent[member], value, name=member)
    elif isinstance(own, list) and isinstance(sent, list):
        assert len(own) == len(sent)
        for one, other in zip(sent, own, strict=True):
            _check_own(one, other)
    else:
        assert write(sent) == write(own), name
