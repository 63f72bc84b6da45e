"""The table of refused calls: bounded per entity and per partition; a new owner lets go of what the old one would."""

from __future__ import annotations

from streams.order.model import limits
from streams.order.records.refused_calls import REFUSED, RefusedCall, RefusedCalls
from streams.runtime.tables.partition_table import PartitionState


def make_calls(count_max: int = 100, bytes_max: int = 100_000) -> tuple[PartitionState, RefusedCalls]:
    state = PartitionState(0, (REFUSED,))
    state.offset = 0
    return state, RefusedCalls(state.tables[REFUSED], 0, count_max, bytes_max)


def call(event: str, at_ms: int, reason: str = "why") -> RefusedCall:
    return RefusedCall(
        touchpoint="pack-order", code="REFUSED", reason=reason, first_ms=at_ms, last_ms=at_ms, event=event
    )


def kept(state: PartitionState) -> list[bytes]:
    return sorted(key for key, _ in state.tables[REFUSED].items())


def test_different_refusals_of_an_order_are_bounded_and_the_newest_stay() -> None:
    _, calls = make_calls()
    for number in range(limits.REFUSED_CALLS_MAX + 5):
        calls.note(b"A", call(f"e{number}", number, f"reason {number}"), number)
    calls.note(b"A", call("again", 99, "reason 7"), 99)
    shown = calls.of(b"A", 100)
    assert len(shown) == limits.REFUSED_CALLS_MAX
    assert [shown[0]["reason"], shown[-1]["reason"], shown[-1]["count"]] == ["reason 5", "reason 7", 2]


def test_entities_are_bounded_in_count_and_bytes_and_the_one_that_was_refused_longest_ago_gives_way() -> None:
    state, calls = make_calls(count_max=3)
    for number, name in enumerate((b"A", b"B", b"C", b"A", b"D")):
        calls.note(name, call(f"e{number}", number), number)
    assert kept(state) == [b"A", b"C", b"D"]
    state, calls = make_calls(bytes_max=400)
    for number, name in enumerate((b"C", b"B", b"A", b"D", b"E")):
        calls.note(name, call(f"e{number}", number), number)
    assert kept(state) == [b"A", b"D", b"E"]


def test_a_new_owner_lets_go_of_what_the_old_one_would() -> None:
    state, calls = make_calls(count_max=3)
    for at_ms, name in ((3, b"A"), (1, b"B"), (2, b"C")):
        calls.note(name, call(f"e{at_ms}", at_ms), at_ms)
    taken_over = RefusedCalls(state.tables[REFUSED], 0, count_max=3)
    taken_over.note(b"D", call("e4", 4), 4)
    assert kept(state) == [b"A", b"C", b"D"]


def test_what_is_over_goes_with_the_next_one() -> None:
    state, calls = make_calls()
    calls.note(b"A", call("e1", 1), 1)
    calls.note(b"B", call("e2", 2), 1 + limits.REFUSED_KEPT_MS)
    assert kept(state) == [b"B"]
