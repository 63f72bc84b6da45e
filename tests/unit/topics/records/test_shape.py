"""JSON of too many values, or that nests deeper than can be written again, is refused where it comes in."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.noisy.bodies import full_order
from topics.contract.models.orders import CreateOutwardOrder
from topics.records.shape import NESTING_MAX, has_too_many_values, is_too_deep
from topics.schema_base import ITEMS_MAX, VALUES_MAX

TEXT = st.text(alphabet='a,[{}]":\\\n\u20ac', max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | TEXT,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5),
    max_leaves=40,
)


def nested(levels: int) -> bytes:
    """Objects and lists in turn, so many levels of them."""
    half = levels // 2
    return b'{"a":[' * half + b"{}" * (levels % 2) + b"]}" * half


@pytest.mark.parametrize(("levels", "deep"), [(1, False), (NESTING_MAX, False), (NESTING_MAX + 1, True), (900, True)])
def test_the_limit_is_exact(levels: int, deep: bool) -> None:
    raw = nested(levels)
    assert is_too_deep(raw, orjson.loads(raw)) is deep


def test_many_brackets_side_by_side_or_in_texts_are_not_deep() -> None:
    for raw in (b"[" + b"[{}]," * 500 + b"[]]", orjson.dumps({"text": "{[" * 500})):
        assert not is_too_deep(raw, orjson.loads(raw))


def values(value: Any) -> int:
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(map(values, members))


@given(JSON, st.booleans())
def test_the_number_of_values_is_exact_whatever_texts_hold(value: Any, spaced: bool) -> None:
    raw = orjson.dumps(value, option=orjson.OPT_INDENT_2 if spaced else None)
    count = values(value)
    for most in range(max(1, count - 2), count + 3):
        assert has_too_many_values(raw, most) is (count > most)


def test_the_largest_order_of_the_contract_has_room() -> None:
    order = full_order(ITEMS_MAX)
    CreateOutwardOrder.model_validate(order)
    assert 100_000 < values(order) < 0.9 * VALUES_MAX
    assert not has_too_many_values(orjson.dumps(order))


@pytest.mark.parametrize(
    "raw",
    [
        b'["' + b'\\"' * 300_000,
        b'"' * 300_000,
        b"[" + b'"",' * 200_000,
        b"[" + b" " * 300_000,
        b'{"":' * 100_000,
        b"[" + b"[]," * 200_000,
    ],
)
def test_what_is_no_json_is_judged_all_the_same(raw: bytes) -> None:
    """Its parser refuses it; the look before must end."""
    has_too_many_values(raw + b"," * VALUES_MAX)


def test_texts_may_hold_any_number_of_commas() -> None:
    raw = orjson.dumps([",[{" * 100, '"' * 9] * 2_000)
    assert raw.count(b",") > VALUES_MAX
    assert not has_too_many_values(raw)
