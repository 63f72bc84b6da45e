"""What a former owner of an order's partition asks for too late is not sent; what is in the air then is bounded."""

from __future__ import annotations

import copy

from streams.delivery.outbox.records import decode_header
from tests.fakes.delivery import PARTITIONS, Durable, ManualClock, Played, channels_for, request_for
from topics.records.keys import destination_partition, header_key

PAUSE_MS = 60_000
"""Past the session: another worker owns the partitions by then."""


async def test_a_request_of_an_older_epoch_is_ignored_and_a_repeat_is_sent_once() -> None:
    worker = await Played(channels_for()).start()
    worker.give(request_for("acknowledgement", "A", "ack", sequence=1), epoch=1)
    worker.give(request_for("seller-cancellation", "A", "cancel", sequence=2), epoch=2)
    # Its successor decided otherwise, by another configuration perhaps: neither id nor sequence tells.
    worker.give(request_for("acknowledgement", "A", "otherwise", sequence=3), epoch=1)
    worker.give(request_for("seller-cancellation", "A", "cancel", sequence=2), epoch=2)
    await worker.clock.run_for(10_000)
    assert worker.sender.ids() == ["ack", "cancel"]
    worker.give(request_for("acknowledgement", "A", "next", sequence=3), epoch=2)
    await worker.clock.run_for(10_000)
    assert worker.sender.ids() == ["ack", "cancel", "next"], "the stale one took nothing's place"
    assert worker.poisoned == []


async def test_epochs_are_told_apart_by_lane_and_do_not_concern_what_no_role_asked_for() -> None:
    """Orders live in different partitions, whose epochs have nothing to do with each other."""
    worker = await Played(channels_for()).start()
    worker.give(request_for("acknowledgement", "A", "a1", sequence=1), epoch=9)
    worker.give(request_for("acknowledgement", "B", "b1", sequence=1), epoch=2)
    worker.give(request_for("acknowledgement", "A", "a2"))
    await worker.clock.run_for(10_000)
    assert sorted(worker.sender.ids()) == ["a1", "a2", "b1"]


async def test_what_was_newest_outlives_a_restart() -> None:
    worker = await Played(channels_for()).start()
    request = request_for("acknowledgement", "A", "ack", sequence=1)
    worker.give(request, epoch=4)
    await worker.clock.run_for(1_000)
    again = await worker.restart()
    again.give(request_for("acknowledgement", "A", "late", sequence=2), epoch=3)
    await again.clock.run_for(10_000)
    assert again.sender.ids() == ["ack"]
    home = destination_partition(request.destination, request.shard, PARTITIONS)
    assert decode_header(again.durable.of(home)["deliveries.outbox"].get(header_key(request.lane))).epoch == 4


async def test_a_stray_request_is_one_of_those_in_the_air_and_has_the_id_its_successor_sends() -> None:
    """No HTTP request can be called back. Of a worker that stands still at most `concurrency` of a shard are out."""
    concurrency = 3
    channels = channels_for(marketplace={"concurrency": concurrency, "budget": None})
    old = await Played(channels).start()
    old.sender.takes_ms = lambda _call: PAUSE_MS * 10  # the far side answers when another has long taken over
    requests = [request_for("acknowledgement", f"o{n}", f"a{n}", sequence=1) for n in range(20)]
    old.give(*requests, epoch=1)
    await old.clock.run_for(100)
    tables = copy.deepcopy(old.durable.tables)
    later = ManualClock(old.clock.now_ms() + PAUSE_MS)
    new = await Played(channels, durable=Durable(tables=tables), clock=later).start()
    await new.clock.run_for(60_000)
    assert len(new.final()) == 20
    old.durable.lost = True
    old.clock._now_ms += PAUSE_MS
    await old.clock.run_for(PAUSE_MS * 20)
    strays = old.sender.ids()
    assert 0 < len(strays) <= concurrency
    assert set(strays) <= set(new.sender.ids())
    assert old.final() == {}, "what became of a stray is its successor's to say"
