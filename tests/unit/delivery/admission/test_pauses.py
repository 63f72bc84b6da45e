"""While a destination is paused nothing leaves for it, nothing is lost, and no attempt is counted."""

from __future__ import annotations

import pytest
from prometheus_client import REGISTRY

from streams.delivery.outbox.records import OUTBOX, decode_entry
from tests.fakes.delivery import Played, channels_for, request_for
from topics.destinations.pauses import DestinationControl, DestinationPause
from topics.records.keys import is_entry_key

DESTINATION = "channel:demo"


def say(worker: Played, *, paused: bool = True, until_ms: int | None = None, destination: str = DESTINATION) -> None:
    now_ms = worker.clock.now_ms()
    pause = DestinationPause(since_ms=now_ms, until_ms=until_ms, by="alice", reason="night") if paused else None
    control = DestinationControl(pause=pause, action="pau_1", by="alice", reason="night", at_ms=now_ms)
    worker.pauses.apply(destination.encode(), control.encode())


async def started() -> Played:
    return await Played(channels_for()).start()


def attempts(worker: Played) -> list[int]:
    tables = [worker.durable.of(partition)[OUTBOX] for partition in range(8)]
    return [decode_entry(raw).attempts for table in tables for key, raw in table.items() if is_entry_key(key)]


async def test_nothing_leaves_while_it_is_paused_and_all_does_afterwards() -> None:
    worker = await started()
    say(worker)
    worker.give(*[request_for("acknowledgement", f"O-{n % 2}", f"r{n}") for n in range(6)])
    await worker.clock.run_for(3_600_000)
    assert worker.sender.ids() == []
    assert set(attempts(worker)) == {0}
    say(worker, paused=False)
    await worker.clock.run_for(1_000)
    assert sorted(worker.sender.ids()) == sorted(f"r{n}" for n in range(6))


async def test_an_end_that_passes_resumes_by_itself() -> None:
    worker = await started()
    say(worker, until_ms=worker.clock.now_ms() + 60_000)
    worker.give(request_for("acknowledgement", "O-1", "r1"))
    await worker.clock.run_for(59_999)
    assert worker.sender.ids() == []
    await worker.clock.run_for(1)
    assert worker.sender.ids() == ["r1"]


async def test_other_destinations_go_on() -> None:
    worker = await started()
    say(worker, destination="increff")
    worker.give(request_for("acknowledgement", "O-1", "r1"))
    await worker.clock.run_for(1_000)
    assert worker.sender.ids() == ["r1"]


async def test_a_pause_outlives_the_worker() -> None:
    worker = await started()
    say(worker)
    worker.give(request_for("acknowledgement", "O-1", "r1"))
    await worker.clock.run_for(1_000)
    again = await worker.restart()
    await again.clock.run_for(60_000)
    assert again.sender.ids() == []
    say(again, paused=False)
    await again.clock.run_for(1_000)
    assert again.sender.ids() == ["r1"]


async def test_the_metrics_say_it() -> None:
    worker = await started()
    await worker.clock.run_for(1_000)
    labels = {"destination": DESTINATION, "shard": "0"}
    assert REGISTRY.get_sample_value("sluice_delivery_paused", labels) == 0
    say(worker)
    assert REGISTRY.get_sample_value("sluice_delivery_paused", labels) == 1
    await worker.kill()


async def test_a_record_that_cannot_be_read_holds_its_destination() -> None:
    worker = await started()
    with pytest.raises(ValueError, match="pause"):
        worker.pauses.apply(DESTINATION.encode(), b"{}")
    worker.give(request_for("acknowledgement", "O-1", "r1"))
    await worker.clock.run_for(60_000)
    assert worker.sender.ids() == []
    worker.pauses.apply(DESTINATION.encode(), None)
    await worker.clock.run_for(1_000)
    assert worker.sender.ids() == ["r1"]
