"""Large requests in flight are bounded by their bytes, and keep neither small ones nor other destinations waiting."""

from __future__ import annotations

import tracemalloc

import pytest
from msgspec import Raw
from msgspec.structs import replace

from streams.delivery.admission.bytes_in_flight import LARGE_BYTES, BytesInFlight
from streams.delivery.lanes.lane import OutboxReader
from streams.delivery.outbox.records import OutboxEntry
from tests.fakes.delivery import Played, channels_for, request_for
from topics.configuration.settings import Settings

CREATE = "create-outward-order"
LARGE = {"orderCode": "A", "text": "x" * (4 * LARGE_BYTES)}
THREE = 3 * 5 * LARGE_BYTES


async def test_large_requests_wait_for_bytes_and_small_ones_go_on() -> None:
    worker = Played(channels_for(others=("other",)))
    worker.role._settings = Settings(partitions=worker.role._settings.partitions, delivery_bytes_max=THREE)
    await worker.start()
    worker.sender.takes_ms = lambda call: 60_000 if len(call.text()) > LARGE_BYTES else 5
    worker.give(*(request_for(CREATE, f"large {n}", f"large {n}", body=LARGE) for n in range(12)))
    worker.give(request_for(CREATE, "small", "small"))
    worker.give(request_for("pack-order", "B", "to another", body=LARGE, channel="other"))
    await worker.clock.run_for(2_000)
    assert sorted(worker.sender.ids()) == ["large 0", "large 1", "large 2", "small", "to another"]
    assert worker.sender.in_air == 4, "the other destination has one all the same"
    await worker.clock.run_for(600_000)
    assert len(worker.sender.ids()) == 14
    assert worker.final().keys() == set(worker.sender.ids())
    shared = worker.role._shared
    assert shared is not None
    assert shared.worker.bytes_in_flight.total == 0


async def test_large_requests_that_wait_cost_nothing_and_go_on_at_once_when_there_is_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A hundred of 4 MiB that were looked at every 100 ms took more than a core."""
    reads: list[str] = []
    read = OutboxReader.read

    def counted(reader: OutboxReader, lane: str, name: str) -> OutboxEntry | None:
        reads.append(name)
        return read(reader, lane, name)

    monkeypatch.setattr(OutboxReader, "read", counted)
    worker = Played(channels_for(others=("other",)))
    worker.role._settings = Settings(partitions=worker.role._settings.partitions, delivery_bytes_max=THREE)
    await worker.start()
    worker.sender.takes_ms = lambda call: 1_000 if call.channel == "other" else 55_000
    worker.give(*(request_for("pack-order", f"{n}", f"other {n}", body=LARGE, channel="other") for n in range(2)))
    await worker.clock.run_for(10)
    worker.give(*(request_for(CREATE, f"{n}", f"{n}", body=LARGE) for n in range(60)))
    await worker.clock.run_for(900)
    assert worker.sender.ids() == ["other 0", "other 1", "0"]
    await worker.clock.run_for(300)
    assert worker.sender.ids() == ["other 0", "other 1", "0", "1", "2"], "another destination's room is there for it"
    assert len(reads) < 100
    await worker.clock.run_for(56_000)
    assert worker.sender.ids()[5:] == ["3", "4", "5"]
    assert len(reads) < 1_000


async def test_no_objects_are_made_of_what_is_only_passed_on() -> None:
    """A megabyte of lists becomes 45 MB of objects."""
    worker = await Played(channels_for()).start()
    worker.sender.takes_ms = lambda _call: 60_000
    asked = [request_for(CREATE, f"{n}", f"{n}") for n in range(8)]
    lists = b'{"orderCode":"A","lists":[' + b"[]," * 350_000 + b"[]]}"
    tracemalloc.start()
    try:
        worker.give(*(replace(one, body=Raw(lists)) for one in asked))
        await worker.clock.run_for(100)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert worker.sender.in_air == len(asked)
    assert peak < 5 * len(asked) * len(lists)


async def test_what_is_cut_off_gives_its_bytes_back() -> None:
    worker = await Played(channels_for()).start()
    worker.sender.takes_ms = lambda _call: 60_000
    worker.give(*(request_for(CREATE, f"{n}", f"{n}", body=LARGE) for n in range(3)))
    await worker.clock.run_for(100)
    shared = worker.role._shared
    assert shared is not None
    assert shared.worker.bytes_in_flight.total > 3 * LARGE_BYTES
    await worker.kill()
    assert shared.worker.bytes_in_flight.total == 0


def test_a_request_larger_than_all_room_leaves_alone() -> None:
    whole = BytesInFlight(LARGE_BYTES)
    told: list[str] = []
    one, other = whole.share(lambda: told.append("one")), whole.share(lambda: told.append("other"))
    assert one.take(9 * LARGE_BYTES)
    assert not one.take(LARGE_BYTES)
    assert one.take(LARGE_BYTES - 1)
    assert other.take(LARGE_BYTES)
    assert told == []
    one.give_back(9 * LARGE_BYTES)
    assert told == ["one"], "who got no room learns of it, once"
    one.give_back(LARGE_BYTES - 1)
    assert not one.take(LARGE_BYTES) or whole.total == 2 * LARGE_BYTES
    other.close()
    other.give_back(LARGE_BYTES)
    one.close()
    assert whole.total == 0
