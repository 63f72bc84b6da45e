"""What inventory.positions and inventory.sent hold and this version cannot read stops no stock: it is named, the rest
is sent. Where it is not known what the channel has, all that may be meant is sent once more."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from streams.delivery.stock.ports import SENT
from tests.unit.delivery.stock.operations.test_operations import PARTITION as OPERATED
from tests.unit.delivery.stock.operations.test_operations import Stage as Operations
from tests.unit.delivery.stock.test_sending import PARTITION, staged
from topics.records.keys import join, position_key
from topics.records.unreadable import UNREADABLE
from topics.stock.controls import Ask, Control, Scope
from topics.stock.positions import DRIFT, RECONCILE, REFUSED, RESYNC

VALUES = (
    b"1", b"null", b"[]", b"{}", b"", b"{", b"\xff\xfe", b'{"channelSkuCode":"a","quantity":"7"}', b"[" * 3_000,
    b'{"channelSkuCode":"a","quantity":-1}', b'{"channelSkuCode":"b","quantity":1}',
)  # fmt: skip


@pytest.mark.parametrize("value", VALUES)
async def test_a_position_that_cannot_be_read_is_not_sent_and_the_one_before_stays(value: bytes) -> None:
    async with staged() as stage:
        stage.change("L1", a=1)
        await stage.open()
        with pytest.raises(ValueError, match="not a position"):
            stage.worker.stock.on_position(position_key("demo", "L1", "a"), value)
        stage.change("L1", b=2)
        await stage.clock.run_for(1_000)
        assert stage.caller.skus() == [["a"], ["b"]]
        stage.change("L1", a=3)
        await stage.clock.run_for(1_000)
        assert stage.sent("a") == 3


@pytest.mark.parametrize("key", [b"\xff", b"demo", b"demo|L1", b"demo|L1|a|b", b"demo|L1|%zz"])
async def test_a_key_that_no_position_has_changes_nothing(key: bytes) -> None:
    async with staged() as stage:
        await stage.open()
        with pytest.raises(ValueError, match="its key"):
            stage.worker.stock.on_position(key, b"{}")
        assert stage.caller.calls == []


NOTES: dict[str, tuple[bytes, bytes]] = {
    "of an older version": (b"~flight|demo|L1", b'["a"]'),
    "no list": (b"~flight|demo|L1|0", b'{"a": 1}'),
    "no texts": (b"~flight|demo|L1|0", b"[1]"),
    "no JSON": (b"~flight|demo|L1|0", b"\xff"),
    "no number": (b"~flight|demo|L1|x", b'["a"]'),
    "a number of no note": (b"~flight|demo|L1|99999999999999", b'["a"]'),
    "a negative number": (b"~flight|demo|L1|-1", b'["a"]'),
    "more parts": (b"~flight|demo|L1|0|0", b'["a"]'),
}


@pytest.mark.parametrize(("key", "value"), NOTES.values(), ids=NOTES)
async def test_a_note_that_cannot_be_read_may_mean_any_sku_of_its_location_and_goes(key: bytes, value: bytes) -> None:
    async with staged() as stage:
        stage.change("L1", a=1, b=2)
        stage.change("L2", c=3)
        await stage.open()
        sent = stage.durable.of(PARTITION)[SENT]
        sent.put(key, value)
        calls = len(stage.caller.calls)
        await stage.kill_and_begin_again()
        await stage.clock.run_for(200_000)
        assert {sku for call in stage.caller.skus()[calls:] for sku in call} == {"a", "b"}
        assert UNREADABLE.counted(SENT) == 1
        stage.change("L1", a=9)
        await stage.clock.run_for(200_000)
        assert key not in sent.values, "it is over"
        calls = len(stage.caller.calls)
        await stage.kill_and_begin_again()
        await stage.clock.run_for(200_000)
        assert len(stage.caller.calls) == calls


@pytest.mark.parametrize("key", [b"~flight|", b"~flight|\xff|L1|0", b"~flight|demo", b"~flight|no such|L1|x"])
async def test_a_note_of_no_location_stops_nothing(key: bytes) -> None:
    async with staged() as stage:
        stage.durable.of(PARTITION)[SENT].put(key, b"[]")
        await stage.kill_and_begin_again()
        stage.change("L1", a=1)
        await stage.clock.run_for(1_000)
        assert stage.caller.skus() == [["a"]]
        assert UNREADABLE.counted(SENT) == 1


KEPT: dict[str, Callable[[bytes], bytes]] = {
    "refusal": lambda _: join(REFUSED, "demo", "L1", "a"),
    "drift": lambda _: join(DRIFT, "demo", "L1", "a"),
    "resync": lambda _: join(RESYNC, "demo", "L1"),
    "reconciliation": lambda _: join(RECONCILE, "demo", "L1"),
    "refusal without a SKU": lambda _: join(REFUSED, "demo", "L1"),
    "drift without a location": lambda _: join(DRIFT, "demo"),
    "resync of a SKU": lambda _: join(RESYNC, "demo", "L1", "a"),
    "no text": lambda _: b"~\xff",
}


@pytest.mark.parametrize("value", [b"1", b"{}", b"", b"{", b"\xff", b'x"told":true}', b'{"id": 7, "cursor": null}'])
@pytest.mark.parametrize("key", KEPT.values(), ids=KEPT)
async def test_what_operations_left_and_cannot_be_read_counts_as_nothing(
    key: Callable[[bytes], bytes], value: bytes
) -> None:
    stage = await Operations.began()
    stage.durable.of(OPERATED)[SENT].put(key(value), value)
    stage = await stage.again()
    place = stage.opened(skus=("a", "b"))
    await stage.operations.on_recovered(OPERATED)
    await stage.look()
    stage.operations.on_refused(place, "b", failures=1, since_ms=1, status=400, words="no")
    stage.operations.on_accepted(place, "a")
    await stage.look()
    assert [name for name, _ in stage.facts()] == ["stock-refused"]


async def test_a_resync_whose_progress_cannot_be_read_begins_again() -> None:
    stage = await Operations.began()
    stage.controls.apply(Scope("demo", "L1").key, Control(resync=Ask(id="rs", at_ms=5)).encode())
    stage.durable.of(OPERATED)[SENT].put(join(RESYNC, "demo", "L1"), b"of a newer version")
    stage = await stage.again()
    place = stage.opened(skus=("a", "b"))
    await stage.look(10_000)
    await stage.look()
    assert sorted(place.again) == ["a", "b"]
