"""The quick look at a body says yes to nothing that the models refuse or read in another way."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.http.body import parse
from tests.properties.values.json_values import JSON, TRIED
from tests.properties.values.world import BODIES, Path, paths, text_with, with_mark
from topics.contract.entities import entity_code
from topics.contract.exact import Look, look_of
from topics.contract.leniency import read_call
from topics.contract.touchpoints import BY_NAME, TOUCHPOINTS
from topics.records.json_text import write

LOOKS: dict[str, Look] = {one.name: look for one in TOUCHPOINTS if (look := look_of(one)) is not None}
CASES = [(name, path) for name in LOOKS for path in paths(BODIES[name])]
TIMES = [case for case in CASES if str(case[1][-1]).endswith("Time")]
CHANGES = st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 3), st.integers(0, 255)), min_size=1, max_size=3)
"""Where, how much is replaced, and the byte that takes its place."""


@pytest.mark.parametrize("name", sorted(LOOKS))
def test_a_sample_needs_no_second_look(name: str) -> None:
    body = BODIES[name]
    assert LOOKS[name](write(body)) == entity_code(BY_NAME[name], body)


def test_calls_that_come_often_are_looked_at() -> None:
    assert {"create-outward-order", "pack-order", "create-return-order", "seller-cancellation"} <= LOOKS.keys()


@settings(max_examples=TRIED * 4, deadline=None)
@given(case=st.sampled_from(CASES), text=JSON)
@example(case=("create-outward-order", ("orderCode",)), text='""')
@example(case=("create-outward-order", ("orderItems", 0, "quantity")), text="2.0")
@example(case=("create-outward-order", ("orderItems", 0, "sellingPricePerUnit")), text="9" * 400)
@example(case=("create-outward-order", ("orderItems", 0, "sellingPricePerUnit")), text="9" * 300)
@example(case=("create-outward-order", ("isSplitRequired",)), text="true")
@example(case=("create-outward-order", ("locationCode",)), text="null")
@example(case=("create-outward-order", ("orderItems", 1, "orderItemCode")), text='"MKT-250614-000381-1"')
@example(case=("pack-order", ("dimensions",)), text='{"a":' + "[" * 80 + "]" * 80 + "}")
@example(case=("pack-order", ("weight",)), text="9" * 400)
@example(case=("pack-order", ("weight",)), text="1e999")
@example(case=("pack-order", ("weight",)), text='"\\ud800"')
def test_any_value_in_any_member(case: tuple[str, Path], text: str) -> None:
    name, path = case
    _check(name, text_with(with_mark(BODIES[name], path), text))


@settings(max_examples=TRIED * 4, deadline=None)
@given(name=st.sampled_from(sorted(LOOKS)), changes=CHANGES)
def test_any_bytes(name: str, changes: list[tuple[int, int, int]]) -> None:
    raw = write(BODIES[name])
    for at, size, byte in changes:
        begin = at % (len(raw) + 1)
        raw = raw[:begin] + bytes([byte]) + raw[begin + size :]
    _check(name, raw)


@settings(max_examples=TRIED * 4, deadline=None)
@given(
    case=st.sampled_from(TIMES),
    date=st.tuples(st.integers(0, 9999), st.integers(0, 13), st.integers(0, 32)),
    time=st.tuples(st.integers(0, 24), st.integers(0, 60), st.integers(0, 60)),
    fraction=st.sampled_from(["", ".1", ".123", ".123456", ".123456789"]),
    zone=st.sampled_from(["", "Z", "+04:00", "-14:59", "+24:00", "+0530", "Z[UTC]", "\\n", " "]),
)
def test_any_time(
    case: tuple[str, Path], date: tuple[int, int, int], time: tuple[int, int, int], fraction: str, zone: str
) -> None:
    text = '"{:04}-{:02}-{:02}T{:02}:{:02}:{:02}'.format(*date, *time) + f'{fraction}{zone}"'
    _check(case[0], text_with(with_mark(BODIES[case[0]], case[1]), text))


@pytest.mark.parametrize("name", sorted(LOOKS))
def test_a_member_that_is_not_the_contracts_has_a_body_judged(name: str) -> None:
    assert LOOKS[name](write({**BODIES[name], "another": 1})) == ""


def _check(name: str, raw: bytes) -> None:
    code = LOOKS[name](raw)
    if code:
        members = parse(raw)
        call = read_call(BY_NAME[name], members)
        assert call.own is members
        assert not call.differs
        assert entity_code(BY_NAME[name], members) == code
