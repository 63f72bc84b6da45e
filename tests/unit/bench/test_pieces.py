"""The benchmarks of the orders role check what they say: their work is the same each time, and a wrong output or a run
that proves nothing is told. No timings here."""

from __future__ import annotations

from types import SimpleNamespace

import orjson
import pytest

from bench.delivery.job import DeliveryWork, name_of
from bench.delivery.receiver import Seen
from bench.inventory.stock import make
from bench.orders.benchmark import gaps
from bench.orders.job import (
    CHANNEL,
    SEED,
    STEPS,
    code_of,
    events_of,
    expected,
    input_of,
    interleaved,
    state_written,
    steps_of,
    stored_state,
)
from bench.processes import late_load
from bench.recovery.failover import PER_S, Failover
from bench.verdict.benchmark import void_because
from sluice.dev.benches import find, names
from streams.order.records.stored_entity import read_entity
from streams.order.role import OrdersRole
from streams.runtime.tables.partition_table import PartitionState, of_kinds
from topics.records.keys import order_key


def fact(key: bytes, sequence: int) -> SimpleNamespace:
    return SimpleNamespace(key=key, value=orjson.dumps({"sequence": sequence}))


def test_the_benchmarks_are_found_by_name() -> None:
    known = ("verdict", "orders", "recovery", "delivery", "isolation")
    assert set(known) <= set(names())
    assert all(callable(find(name)) for name in known)


def test_the_work_is_the_same_each_time_and_each_order_takes_its_steps_in_turn() -> None:
    orders = 40
    work = list(interleaved(orders))
    assert work == list(interleaved(orders)), SEED
    assert len(work) == events_of(orders)
    for number in range(orders):
        assert tuple(step for of, step in work if of == number) == steps_of(number)
    number, step = work[0]
    assert input_of(number, step, 1) == input_of(number, step, 1)


def test_what_must_come_out_is_what_the_rules_make_of_it() -> None:
    wanted = expected(10)
    assert wanted.verdicts == {"APPLIED": 70, "DUPLICATE": 1}
    assert wanted.records["replies"] == 71
    assert wanted.records["deliveries.requests"] == 70
    assert wanted.records["orders.events"] >= 10 * len(STEPS) // 2


def test_a_stored_state_is_one_that_the_role_can_read() -> None:
    table = PartitionState(0, OrdersRole.tables, of_kinds(OrdersRole.table_kinds)).all[0]
    records = stored_state(12)
    for key, value, origin in records:
        table.set(key, value, origin)
    entity = read_entity(table, order_key(CHANNEL, code_of(12)))
    assert entity is not None
    assert (entity.code, entity.state) == (code_of(12), "ACKNOWLEDGED")
    assert sum(len(value) for _, value, _ in records) <= 1_600


def test_an_order_writes_to_its_state_what_its_events_change() -> None:
    records, size = state_written()
    assert records == len(STEPS)
    assert size <= 12_000  # the whole state with each event would be 28,000


@pytest.mark.parametrize(
    ("sequences", "wrong"),
    [([1, 2, 3], ""), ([1, 3], "fact 3 of a follows 1"), ([1, 1], "fact 1 of a follows 1"), ([2], "fact 2 of a")],
)
def test_a_gap_or_a_repeat_among_facts_is_told(sequences: list[int], wrong: str) -> None:
    assert gaps([fact(b"a", sequence) for sequence in sequences]).startswith(wrong)


def test_a_run_that_proves_nothing_is_void() -> None:
    good = {"late": 0, "offered": 100, "accepted": 100}
    assert void_because(good) is None
    assert "late" in (void_because({**good, "late": 50}) or "")
    assert "99 of 100" in (void_because({**good, "accepted": 99}) or "")


def seen() -> Failover:
    found = Failover(20.0, partitions=2, sending_s=1.0, wanted=PER_S)
    for number in range(PER_S):
        found.sent[b"%d" % number] = (number % 2, float(number))
        found.answered[b"%d" % number] = 1
    found.moved.update({0: 0.1, 1: 21.0})
    return found


def test_a_failover_is_met_when_every_partition_moved_in_time_and_little_was_told_twice() -> None:
    assert seen().met()
    late, twice, lost, still, slow = seen(), seen(), seen(), seen(), seen()
    late.moved[1] = 23.1
    twice.answered.update({b"%d" % number: 1 for number in range(PER_S // 50)})
    del lost.answered[b"7"]
    del still.moved[1]
    slow.wanted = 2 * PER_S
    assert [one.met() for one in (late, twice, lost, still, slow)] == [False] * 5
    assert "1 of 500 orders got no verdict" in (lost.void() or "")


def test_requests_for_delivery_are_the_same_each_time_and_each_lane_counts_without_a_gap() -> None:
    work = DeliveryWork([name_of(0), name_of(1)], orders=3)
    requests = [work.request(number, 1) for number in range(60)]
    assert requests == [work.request(number, 1) for number in range(60)]
    assert len({request.id for request in requests}) == 60
    lanes: dict[str, list[int]] = {}
    for request in requests:
        lanes.setdefault(request.lane, []).append(request.sequence)
    assert len(lanes) == 6
    assert all(sequences == list(range(1, 11)) for sequences in lanes.values())


def test_the_receiver_of_deliveries_tells_a_repeat_from_a_new_one_and_an_inversion() -> None:
    seen = Seen()

    def come(name: bytes, order: bytes, sequence: int) -> None:
        seen.count(
            b"x\r\nwebhook-id: %b\r\nsluice-sequence: %d" % (name, sequence), b'{"order":"%b"}' % order, b"/well"
        )

    for name, order, sequence in ((b"a", b"O-1", 1), (b"b", b"O-1", 2), (b"b", b"O-1", 2), (b"c", b"O-2", 1)):
        come(name, order, sequence)
    assert (seen.requests, len(seen.first), seen.inversions) == (4, 3, 0)
    come(b"a", b"O-1", 1)
    assert seen.inversions == 1


def test_a_load_that_was_late_itself_voids_its_run() -> None:
    assert late_load({"late": 5, "offered": 100}) is None
    assert late_load({"late": 6, "offered": 100}) is not None


def test_the_stock_of_the_workers_benchmark_is_the_same_each_time_and_its_end_is_known() -> None:
    work, again = (make(2_000, locations=2, skus=300) for _ in range(2))
    assert (work.first, work.mix, work.last) == (again.first, again.mix, again.last)
    last: dict[tuple[str, str], int] = {}
    changed = 0
    for update in [*work.first, *work.mix]:
        body = orjson.loads(update.value)
        for item in body["inventories"]:
            name = (body["locationCode"], item["channelSkuCode"])
            changed += last.get(name, item["quantity"]) != item["quantity"]
            last[name] = item["quantity"]
    assert last == work.last
    assert changed == work.changed
    assert work.positions == 2_000
