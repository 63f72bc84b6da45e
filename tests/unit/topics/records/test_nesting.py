"""JSON that nests deeper than can be written again is refused where it comes in, before anything is promised."""

from __future__ import annotations

import orjson
import pytest

from topics.records.nesting import NESTING_MAX, is_too_deep


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
