"""Whose stock goes next, and what goes: chosen when the turn has come, and nobody's load holds up another's stock."""

from __future__ import annotations

import asyncio

from streams.delivery.ports import Answer
from streams.delivery.stock.partition import SCANNED_AT_ONCE
from streams.delivery.stock.ports import StockLocation
from tests.fakes.delivery import channels_for, ok
from tests.fakes.stock import SilentListener
from tests.fakes.stock_sending import StockWorker, stock_channels, told_by

SLOW = {"budget": {"requests": 1, "window_s": 6}}
"""Of a marketplace that takes ten calls a minute."""


async def test_what_goes_out_of_stock_is_in_the_next_call_though_another_location_asked_before() -> None:
    worker = StockWorker(stock_channels(**SLOW))
    worker.positions = {("demo", "L2", "gone"): 5}
    await worker.start()
    await worker.clock.run_for(100)
    worker.change("L1", a=1)
    worker.change("L3", b=7)
    await worker.clock.run_for(1_000)
    worker.change("L1", a=2)
    worker.change("L2", gone=0)
    await worker.clock.run_for(30_000)
    assert worker.told() == [("L2", {"gone": 5}), ("L2", {"gone": 0}), ("L1", {"a": 2}), ("L3", {"b": 7})]


async def test_a_call_carries_the_newest_when_it_leaves_not_when_it_was_asked_for() -> None:
    worker = await StockWorker(stock_channels(**SLOW)).start()
    worker.change("L1", a=1)
    await worker.clock.run_for(100)
    for quantity in range(2, 50):
        worker.change("L1", a=quantity)
        await worker.clock.run_for(50)
    await worker.clock.run_for(10_000)
    assert worker.told() == [("L1", {"a": 1}), ("L1", {"a": 49})]


async def test_a_hanging_call_holds_up_neither_its_location_nor_others() -> None:
    worker = StockWorker()
    worker.sender.takes_ms = lambda call: 29_000 if call.members == hanging else 5
    hanging = {"locationCode": "L1", "inventories": [{"channelSkuCode": "a", "quantity": 1}]}
    await worker.start()
    worker.change("L1", a=1)
    await worker.clock.run_for(100)
    worker.change("L1", a=2, b=0)
    worker.change("L2", a=0)
    await worker.clock.run_for(100)
    assert worker.told() == [("L1", {"a": 1}), ("L1", {"b": 0}), ("L2", {"a": 0})]
    await worker.clock.run_for(30_000)
    assert worker.told()[3:] == [("L1", {"a": 2})], "what is in the air is locked until its call ends"


async def test_no_more_calls_of_a_location_are_in_the_air_than_its_settings_say() -> None:
    worker = StockWorker(stock_channels({"batch_max": 1, "locations": {"L2": {"concurrency": 3}}}))
    worker.sender.takes_ms = lambda _call: 10_000
    await worker.start()
    for number in range(9):
        worker.change("L1", "demo", **{f"s{number}": 1})
        worker.change("L2", "demo", **{f"s{number}": 1})
    await worker.clock.run_for(5_000)
    assert sorted(location for location, _ in worker.told()) == ["L1"] * 2 + ["L2"] * 3


async def test_a_location_with_very_many_dirty_skus_takes_its_turns_and_no_more() -> None:
    worker = StockWorker(stock_channels(budget={"requests": 10, "window_s": 1}))
    worker.positions = {("demo", "L1", f"s{number}"): 1 for number in range(20_000)}
    await worker.start()
    await worker.clock.run_for(1_000)
    worker.change("L2", a=1)
    worker.change("L3", a=1)
    before = len(worker.told())
    await worker.clock.run_for(1_000)
    assert {location for location, _ in worker.told()[before : before + 4]} >= {"L2", "L3"}


async def test_a_takeover_gives_way_to_other_work_every_few_thousand_positions() -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    worker = StockWorker()
    await worker.start()
    await worker.clock.run_for(100)
    positions = 10 * SCANNED_AT_ONCE
    worker.positions = {("demo", "L1", f"s{number}"): 1 for number in range(positions)}
    ticking = asyncio.create_task(other())
    again = await worker.restart()
    ticking.cancel()
    assert turns >= positions // SCANNED_AT_ONCE
    await again.clock.run_for(1)


async def test_one_sku_that_changes_thousands_of_times_is_two_calls() -> None:
    """The one in the air, and one with the newest when it has ended."""
    worker = StockWorker()
    worker.sender.takes_ms = lambda _call: 1_000
    await worker.start()
    worker.change("L1", hot=1)
    await worker.clock.run_for(100)
    for quantity in range(5_000):
        worker.change("L1", hot=quantity)
    worker.change("L1", other=1)
    await worker.clock.run_for(3_000)
    assert worker.told() == [("L1", {"hot": 1}), ("L1", {"other": 1}), ("L1", {"hot": 4_999})]


async def test_a_slow_channel_does_not_move_another() -> None:
    async def calls_of_other(takes_ms: int) -> list[int]:
        """When the other channel's calls left."""
        worker = StockWorker(channels_for(others=("other",)))
        worker.sender.takes_ms = lambda call: takes_ms if call.channel == "demo" else 10
        await worker.start()
        for number in range(50):
            worker.change("L1", a=number)
            worker.change("L1", channel="other", a=number)
            await worker.clock.run_for(100)
        return [arrival.at_ms for arrival in worker.sender.arrivals if arrival.call.channel == "other"]

    assert await calls_of_other(20_000) == await calls_of_other(10)


async def test_a_turn_for_which_nothing_is_left_takes_no_permit() -> None:
    worker = await StockWorker(stock_channels(**SLOW)).start()
    worker.change("L1", a=1)
    await worker.clock.run_for(100)
    worker.change("L1", a=2)
    await worker.clock.run_for(100)
    worker.change("L1", a=1)
    await worker.clock.run_for(10_000)
    assert worker.told() == [("L1", {"a": 1})]
    worker.change("L1", a=3)
    await worker.clock.run_for(100)
    assert worker.told()[1:] == [("L1", {"a": 3})], "the turn that was not needed costs nobody anything"


async def test_a_quiet_that_comes_while_a_call_becomes_durable_keeps_it_here() -> None:
    """Its SKUs go when the quiet is over, with what is newest then."""
    worker = await StockWorker().start()
    commit = worker.played.durable.commit

    async def slow(partition: int, effects: object, changes: object) -> None:
        await commit(partition, effects, changes)  # type: ignore[arg-type]
        worker.played.role._gates.gate_of("channel:demo").close_until(worker.clock.now_ms() + 5_000)

    worker.change("L1", a=1)
    worker.played.durable.commit = slow  # type: ignore[method-assign]
    await worker.clock.run_for(1_000)
    assert worker.told() == []
    worker.played.durable.commit = commit  # type: ignore[method-assign]
    worker.change("L1", a=2)
    await worker.clock.run_for(10_000)
    assert worker.told() == [("L1", {"a": 2})]


async def test_rules_decide_what_a_channel_is_told_and_what_is_worth_a_call() -> None:
    worker = StockWorker(stock_channels({"buffers": [{"units": 2}], "caps": [{"sku": "c*", "units": 10}]}))
    await worker.start()
    worker.change("L1", a=5, cap=100, low=1)
    await worker.clock.run_for(100)
    assert worker.told() == [("L1", {"low": 0, "a": 3, "cap": 10})]
    worker.change("L1", cap=50, low=2)
    await worker.clock.run_for(1_000)
    assert len(worker.told()) == 1
    again = await worker.restart()
    await again.clock.run_for(1_000)
    assert len(again.told()) == 1


class Watching(SilentListener):
    def __init__(self) -> None:
        self.places: dict[str, StockLocation] = {}
        self.news: list[tuple[str, str]] = []
        self.known: set[str] = set()

    def on_opened(self, location: StockLocation) -> set[str]:
        self.places[location.location] = location
        return self.known

    def on_refused(
        self, location: StockLocation, sku: str, *, failures: int, since_ms: int, status: int | None, words: str
    ) -> None:
        self.known.add(sku)
        self.news.append((sku, f"refused {failures} {status}"))

    def on_accepted(self, location: StockLocation, sku: str) -> None:
        self.known.discard(sku)
        self.news.append((sku, "accepted"))


def naming(sku: str) -> Answer:
    return Answer(
        status=200, headers={"Content-Type": "application/json"}, body=b'{"failureList":["%s"]}' % sku.encode()
    )


async def test_whoever_watches_learns_once_what_is_refused_and_when_it_is_taken() -> None:
    listener = Watching()
    worker = StockWorker(stock_channels({"refused_after": 3}), listener=listener)
    worker.sender.far = lambda _call, _before: naming("bad")
    await worker.start()
    worker.change("L1", bad=1, good=1)
    await worker.clock.run_for(60_000)
    assert listener.news == [("bad", "refused 3 200")]
    figures = listener.places["L1"].figures()
    assert (figures.dirty, figures.refused, figures.sent, figures.changes) == (1, 1, 1, 2)
    again = await worker.restart()
    await again.clock.run_for(60_000)
    assert listener.news == [("bad", "refused 3 200")], "it counted as refused before"
    again.sender.far = ok
    await again.clock.run_for(60_000)
    assert listener.news == [("bad", "refused 3 200"), ("bad", "accepted")]


async def test_a_paused_location_takes_changes_in_and_sends_them_when_it_is_resumed() -> None:
    listener = Watching()
    worker = StockWorker(listener=listener)
    await worker.start()
    worker.change("L1", a=1)
    await worker.clock.run_for(100)
    listener.places["L1"].pause(paused=True)
    worker.change("L1", a=2)
    worker.change("L2", a=2)
    await worker.clock.run_for(60_000)
    assert worker.told() == [("L1", {"a": 1}), ("L2", {"a": 2})]
    assert listener.places["L1"].figures().paused
    worker.change("L1", a=3)
    listener.places["L1"].pause(paused=False)
    await worker.clock.run_for(100)
    assert worker.told()[2:] == [("L1", {"a": 3})]


async def test_what_is_sent_again_uses_idle_budget_only_and_gives_way_to_what_is_dirty() -> None:
    listener = Watching()
    worker = StockWorker(stock_channels({"batch_max": 1}, budget={"requests": 4, "window_s": 10}), listener=listener)
    worker.positions = {("demo", "L1", f"s{number}"): 1 for number in range(8)}
    await worker.start()
    await worker.clock.run_for(60_000)
    place = listener.places["L1"]
    assert len(worker.told()) == 8
    place.send_again(place.skus())
    await worker.clock.run_for(1)
    assert 0 < len(worker.told()) - 8 <= 2, "half of the budget is left to what may come"
    told = len(worker.told())
    worker.change("L1", s0=2, s1=2)
    await worker.clock.run_for(100)
    assert [skus for _, skus in worker.told()[told:]] == [{"s0": 2}, {"s1": 2}], "and it finds it"
    await worker.clock.run_for(120_000)
    figures = place.figures()
    assert (figures.dirty, figures.resending) == (0, 0)
    last = {sku: quantity for _, skus in worker.told()[8:] for sku, quantity in skus.items()}
    assert last == {f"s{number}": 2 if number < 2 else 1 for number in range(8)}


async def test_a_turn_that_was_asked_for_to_send_again_is_taken_back_when_something_is_dirty() -> None:
    """Else what is dirty would wait behind live traffic, where redrive waits."""
    listener = Watching()
    worker = StockWorker(stock_channels({"batch_max": 1}, budget={"requests": 6, "window_s": 60}), listener=listener)
    await worker.start()
    for sku in "abcd":
        worker.change("L1", "demo", **{sku: 1})
        await worker.clock.run_for(100)
    listener.places["L1"].send_again(["a", "b"])
    await worker.clock.run_for(100)
    assert worker.told()[4:] == [("L1", {"a": 1})], "its own share, and then less than half of the budget is left"
    worker.change("L1", e=0)
    await worker.clock.run_for(100)
    assert worker.told()[5:] == [("L1", {"e": 0})]
    await worker.clock.run_for(120_000)
    assert worker.told()[6:] == [("L1", {"b": 1})]


async def test_the_channels_stock_budget_holds_beside_that_of_its_marketplace_and_its_turns_are_shared() -> None:
    worker = StockWorker(stock_channels({"budget": {"requests": 3, "window_s": 10}, "batch_max": 1}))
    worker.positions = {("demo", f"L{place}", f"s{number}"): 1 for place in range(3) for number in range(30)}
    await worker.start()
    await worker.clock.run_for(100_000)
    times = [arrival.at_ms for arrival in worker.sender.arrivals]
    assert 24 <= len(times) <= 33
    assert all(later - earlier >= 10_000 for earlier, later in zip(times, times[3:], strict=False))
    places = [told_by(arrival)[0] for arrival in worker.sender.arrivals[:9]]
    assert sorted(places) == [f"L{place}" for place in range(3) for _ in range(3)]
