"""A log of stock decided with crashes, redelivery and repeated sending on ends where a plain reading of it ends.

At a crash each key is durable or not on its own account, whatever the order in which a role put them; the records since
the last committed offset are decided again. No key may then hold anything else than without the crash.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.runtime.role import Record
from tests.fakes.inventory import OriginTable, batch, decide, record, role
from topics.stock.positions import is_position

SKUS = ("A", "B", "C")
INVENTORY = role()


@dataclass(frozen=True)
class Sent:
    """A batch; `origin` None: written to the right partition, else its offset in the wrong one."""

    origin: int | None
    quantities: dict[str, int]


@st.composite
def logs(draw: st.DrawFn) -> list[Record]:
    """Direct batches and batches sent on, some of these again behind newer ones, as after a crash of the sender."""
    batches = st.dictionaries(st.sampled_from(SKUS), st.integers(0, 3), min_size=1)
    contents = draw(st.lists(batches, max_size=6))
    sent: list[Sent] = []
    goes_on_from = 0
    while goes_on_from < len(contents):
        until = draw(st.integers(goes_on_from + 1, len(contents)))
        # A crash of the sender takes it back to an earlier offset of its own partition.
        begin = draw(st.integers(0, goes_on_from))
        sent += [Sent(offset, contents[offset]) for offset in range(begin, until)]
        goes_on_from = until
    for _ in range(draw(st.integers(0, 4))):
        sent.insert(draw(st.integers(0, len(sent))), Sent(None, draw(batches)))
    return [
        record(
            batch("L1", one.quantities),
            offset=offset,
            more=() if one.origin is None else (("sluice-origin", b"0/%d" % one.origin),),
        )
        for offset, one in enumerate(sent)
    ]


def plain(log: list[Record]) -> dict[bytes, bytes]:
    """The log read once, without a crash."""
    table = OriginTable()
    for given_record in log:
        decide(INVENTORY, table, given_record)
    return positions(table)


def positions(table: OriginTable) -> dict[bytes, bytes]:
    return {key: value for key, value in table.items() if is_position(key)}


@settings(max_examples=200, deadline=None)
@given(logs(), st.data())
def test_crashes_change_nothing(log: list[Record], data: st.DataObject) -> None:
    table = OriginTable()
    committed = 0
    for _ in range(3):
        # Decide some records, of which some keys are durable when the worker is killed; then begin at the offset again.
        crash_at = data.draw(st.integers(committed, len(log)), label="crash at")
        for given_record in log[committed:crash_at]:
            decide(INVENTORY, table, given_record)
        lost = [key for key in sorted(table.values) if table.values[key] != table.durable.get(key)]
        for key in data.draw(st.sets(st.sampled_from(lost)) if lost else st.just(set()), label="not durable"):
            if key in table.durable:
                table.values[key] = table.durable[key]
            else:
                del table.values[key]
        table.durable = dict(table.values)
        # Offsets are committed after state: only where nothing was lost may the next start go on from here.
        if not lost and data.draw(st.booleans(), label="offset committed"):
            committed = crash_at
    for given_record in log[committed:]:
        decide(INVENTORY, table, given_record)
    assert positions(table) == plain(log)


@settings(max_examples=200, deadline=None)
@given(logs())
def test_sending_on_again_changes_nothing_about_what_was_sent_on_last(log: list[Record]) -> None:
    """Without direct batches in between, the last batch of the origin that names a SKU has the last word about it."""
    from_origin = [one for one in log if any(name == "sluice-origin" for name, _ in one.headers)]
    newest_first: dict[bytes, Record] = {}
    for one in from_origin:
        newest_first.setdefault(dict(one.headers)["sluice-origin"] or b"", one)
    assert plain(from_origin) == plain(list(newest_first.values()))
