"""A batch that is passed on as it came has the answer and the record it would get SKU by SKU, whatever is in it."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.answers import Refused
from gateway.touchpoints.stock_batch import CONSOLIDATED, StockBatch, plain, split
from topics.contract.definition import Touchpoint
from topics.contract.touchpoints import BY_NAME
from topics.records.shape import NESTING_MAX
from topics.schema_base import CODE_MAX, SKUS_MAX

BATCH, LISTINGS = BY_NAME["location-wise-atp-inventory"], BY_NAME[CONSOLIDATED]

_CODES = ["a", "b", "c", "a|b%", "\u00e9", "\x00", "[{", '"', "\N{SNOWMAN}" * CODE_MAX]
codes = st.sampled_from(_CODES)
texts = st.sampled_from([*_CODES, "", "x" * (CODE_MAX + 1), None])
counts = st.integers(0, 100)
times = st.sampled_from(
    ["2024-06-16T18:00:00.000+04:00[UTC]", "2024-06-16T18:00:00Z", "2024-06-16", "2024-06-16T18:00", None, "soon"]
)
odd: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, -1, 1.0, 2**31, 2**63, -(2**63) - 1, 2**70, "7", "0" * 10, "", "~ALL", [], {}]
)

_Members = dict[str, st.SearchStrategy[Any]]
_MEMBERS: dict[Touchpoint, tuple[_Members, _Members]] = {
    BATCH: ({"channelSkuCode": codes, "quantity": counts}, {"channelSerialNo": texts, "minExpiry": times}),
    LISTINGS: (
        {"channelSkuCode": codes, "consolidatedQuantity": counts, "listingId": counts | codes},
        {
            "consolidatedMinExpiry": times,
            "channelSerialNo": texts,
            "quantity": counts | st.sampled_from(["12", None]),
            "minExpiry": times,
            "locationCode": texts,
            "consolidationType": st.sampled_from(["ALL", "STORE", "SOME", None]),
        },
    ),
}
_OUTSIDE = {
    BATCH: ("locationCode", st.sampled_from(["DXB", "\u00e9", "~ALL", "D\n", "x" * CODE_MAX])),
    LISTINGS: ("consolidationType", st.sampled_from(["ALL", "STORE"])),
}


def _code(item: dict[str, Any]) -> str:
    code: str = item["channelSkuCode"]
    return code


@st.composite
def bodies(draw: st.DrawFn, touchpoint: Touchpoint) -> bytes:
    """Of a batch as the contract prints it; a few members of it, or a few of its bytes, are not."""
    required, optional = _MEMBERS[touchpoint]
    name, locations = _OUTSIDE[touchpoint]
    items = draw(st.lists(st.fixed_dictionaries(required, optional=optional), max_size=4, unique_by=_code))
    body: dict[str, Any] = {name: draw(locations), "inventories": items}
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        spoiled = draw(st.sampled_from([body, *items]))
        member = draw(st.sampled_from([*spoiled, *required, "more", "consolidationType"]))
        if draw(st.booleans()):
            spoiled[member] = draw(odd)
        else:
            spoiled.pop(member, None)
    raw = json.dumps(body, indent=draw(st.sampled_from([None, 1]))).encode()
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        at = draw(st.integers(0, len(raw)))
        raw = (
            raw[:at]
            + draw(st.sampled_from([b"", b"{", b"[", b",", b'"', b"\xff", b"\\", b" ", b"-", b"1", b"e"]))
            + raw[at:]
        )
    return raw


def outcome(taken: StockBatch) -> tuple[Any, ...]:
    """As JSON: spaces are the caller's own."""
    return taken.location, None if taken.value is None else orjson.loads(taken.value), orjson.loads(taken.answer)


def agree(touchpoint: Touchpoint, raw: bytes) -> bool:
    """Whether the body was taken as it came; then it must be what `split` makes of it, too."""
    taken = plain(touchpoint, raw)
    if taken is None:
        return False
    try:
        assert outcome(taken) == outcome(split(touchpoint, raw))
    except Refused as refused:
        pytest.fail(f"taken, but to be refused: {refused.description}")
    assert taken.value in (None, raw)
    return True


@given(bodies(BATCH))
def test_a_batch_that_is_taken_as_it_came_is_what_it_would_be_sku_by_sku(raw: bytes) -> None:
    agree(BATCH, raw)


@given(bodies(LISTINGS))
def test_a_consolidated_batch_that_is_taken_as_it_came_is_what_it_would_be_sku_by_sku(raw: bytes) -> None:
    agree(LISTINGS, raw)


def _item(number: int, **more: Any) -> dict[str, Any]:
    return {"channelSkuCode": f"SKU-{number}", "quantity": number, **more}


def _listing(number: int, **more: Any) -> dict[str, Any]:
    return {"channelSkuCode": f"SKU-{number}", "consolidatedQuantity": number, "listingId": number, **more}


def _of(touchpoint: Touchpoint, items: list[dict[str, Any]], **more: Any) -> bytes:
    outside = {"consolidationType": "ALL"} if touchpoint is LISTINGS else {"locationCode": "DXB"}
    return orjson.dumps({**outside, "inventories": items, **more})


@pytest.mark.parametrize(("touchpoint", "item"), [(BATCH, _item), (LISTINGS, _listing)])
def test_what_the_contract_prints_is_taken_as_it_came(touchpoint: Touchpoint, item: Any) -> None:
    whole = [item(number) for number in range(SKUS_MAX)]
    assert agree(touchpoint, _of(touchpoint, whole))
    assert agree(touchpoint, _of(touchpoint, []))
    expiry = "2024-06-16T18:00:00.000+04:00[UTC]"
    assert agree(touchpoint, _of(touchpoint, [item(1, minExpiry=expiry, channelSerialNo=None)]))


@pytest.mark.parametrize(("touchpoint", "item"), [(BATCH, _item), (LISTINGS, _listing)])
def test_what_must_be_looked_at_sku_by_sku_is(touchpoint: Touchpoint, item: Any) -> None:
    deep: Any = 1
    for _ in range(NESTING_MAX):
        deep = [deep]
    for items in ([item(1), item(1)], [item(1, minExpiry="soon")], [item(1, more=1)], [item(1, quantity="5")]):
        assert plain(touchpoint, _of(touchpoint, items)) is None
    assert plain(touchpoint, _of(touchpoint, [item(number) for number in range(SKUS_MAX + 1)])) is None
    assert plain(touchpoint, _of(touchpoint, [item(1)], more=deep)) is None
    assert plain(touchpoint, b'{"locationCode":"DXB","inventories":[{"channelSkuCode":"\xff","quantity":1}]}') is None
    escaped = _of(touchpoint, [item(1, minExpiry="soon")]).replace(b"minExpiry", b"min\\u0045xpiry")
    assert plain(touchpoint, escaped) is None


def test_what_comes_for_the_other_form_is_not_taken_as_it_came() -> None:
    assert plain(LISTINGS, _of(BATCH, [_item(1)])) is None
    assert plain(BATCH, _of(BATCH, [_item(1)], consolidationType="ALL")) is None
