"""What is written does not depend on how records are cut into batches, nor on restarts between them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncEngine

from journal.rows.batch import Batch
from journal.rows.keeper import Keeper, Personal
from journal.store.database import journal_url, open_database
from journal.store.writing import LostError, Move, Place, Writer
from tests.support.journal.records import Play, in_batches
from tests.support.journal.store import Content, StoredJournal, content_of

ORDERS = 60
Open = Callable[[str], AsyncEngine]


@pytest_asyncio.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Open]:
    engines: list[AsyncEngine] = []

    def open_(name: str) -> AsyncEngine:
        engines.append(open_database(journal_url(f"sqlite:///{tmp_path}/{name}.db", tmp_path)))
        return engines[-1]

    yield open_
    for engine in engines:
        await engine.dispose()


async def written(engine: AsyncEngine, size: int, *, restarts: bool = False, personal: str = "none") -> Content:
    keeper = Keeper(Personal(personal), [b"k" * 32])
    journal = StoredJournal(engine, keeper)
    await journal.begin()
    for records in in_batches(Play(seed=7, orders=ORDERS).numbered(), size):
        if restarts:
            journal = StoredJournal(engine, keeper)
            await journal.begin()
        await journal.write(records)
    return await content_of(engine)


async def test_a_batch_of_one_and_a_batch_of_all_write_the_same(opened: Open) -> None:
    all_at_once = await written(opened("all"), 10_000)
    assert {name for name, rows in all_at_once.items() if not rows} == set()
    for name, rows in (await written(opened("one"), 1)).items():
        assert rows == all_at_once[name], name


async def test_a_restart_between_batches_changes_nothing(opened: Open) -> None:
    assert await written(opened("restarted"), 37, restarts=True) == await written(opened("whole"), 10_000)


async def test_encrypted_rows_are_the_same_when_they_are_made_again(opened: Open) -> None:
    once, again = (
        await written(opened("a"), 50, personal="encrypted"),
        await written(opened("b"), 20, personal="encrypted"),
    )
    assert once == again


@pytest.mark.parametrize("personal", ["none", "encrypted"])
async def test_no_mark_of_a_person_is_in_the_journal(opened: Open, tmp_path: Path, personal: str) -> None:
    engine = opened("marked")
    await written(engine, 50, personal=personal)
    await engine.dispose()
    assert [path.name for path in tmp_path.iterdir() if b"CANARY" in path.read_bytes()] == []


async def test_plain_keeps_what_was_sent(opened: Open) -> None:
    found = await written(opened("plain"), 50, personal="plain")
    assert sum("CANARY" in repr(row) for row in found["bodies"]) == len(found["bodies"])


PLACE = Place("orders.events", 0)


def move(claim: int, begin: int, end: int) -> Move:
    return Move(PLACE, claim, begin, end, {}, 0)


async def test_who_lost_a_partition_cannot_write(opened: Open) -> None:
    engine = opened("claims")
    former, owner = Writer(engine), Writer(engine)
    await former.prepare()
    lost = (await former.claim([PLACE]))[PLACE].claim
    kept = (await owner.claim([PLACE]))[PLACE].claim
    with pytest.raises(LostError):
        await former.write(Batch(), [move(lost, 0, 5)])
    await owner.write(Batch(), [move(kept, 0, 5)])
    with pytest.raises(LostError):
        await owner.write(Batch(), [move(kept, 0, 7)])
    found = (await owner.claim([PLACE]))[PLACE]
    assert (found.next_offset, found.claim) == (5, kept + 1)
