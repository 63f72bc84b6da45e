"""Snapshots amid updates, with duplicates, aborts, silence, wrong partitions and a worker that dies anywhere, end where
a plain reading of the log ends: each position on its own, by an oracle that knows no notes, steps or crashes."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import orjson
import pytest

import streams.inventory.snapshots.handler
import streams.inventory.snapshots.snapshots
import streams.inventory.snapshots.zero_sweep
from streams.runtime.role import Poison
from tests.fakes.inventory import right_partition, role
from tests.fakes.inventory_log import Worker
from tests.fakes.stock_oracle import UPDATE, Oracle
from topics.records.envelope import FACT, Envelope, parse
from topics.records.keys import split, stock_key
from topics.stock.positions import decode_position, is_position
from topics.stock.snapshots import (
    SNAPSHOT_ABORT,
    SNAPSHOT_BEGIN,
    SNAPSHOT_END,
    SNAPSHOT_HEADER,
    SNAPSHOT_OPEN_MAX_S,
    SNAPSHOT_PART,
    SNAPSHOTS,
    Kept,
    decode_kept,
    snapshots_key,
)

LOCATION = "L1"
SKUS = ("A", "B", "C", "D", "E", "F|%")
SEEDS = range(150)


@dataclass
class Sent:
    """A record of the script. `origin`: offset in a wrong partition from which it was sent on."""

    type: str
    snapshot: str
    body: dict[str, Any]
    at_ms: int
    origin: int | None = None


def script(chance: random.Random) -> list[Sent]:
    """Snapshots and updates, woven; some records come twice, are lost, or come late."""
    now_ms, origin = 1_700_000_000_000, 0
    streams = [updates(chance)] + [snapshot(chance, f"s{number}") for number in range(chance.randint(1, 4))]
    sent: list[Sent] = []
    while streams := [one for one in streams if one]:
        # Mostly the first snapshot goes on; sometimes another begins, or an update comes between.
        stream = streams[0] if chance.random() < 0.4 else streams[min(1, len(streams) - 1)]
        if chance.random() < 0.1:
            stream = chance.choice(streams)
        kind, name, body = stream.pop(0)
        now_ms += 1_000 if chance.random() < 0.97 else (SNAPSHOT_OPEN_MAX_S + 1) * 1_000
        if chance.random() < 0.03:
            continue  # lost
        one = Sent(kind, name, body, now_ms)
        sent += [one] if chance.random() < 0.93 else [one, one]
    if chance.random() < 0.3:
        # Its producer writes to a wrong partition; what is sent on may be sent on again behind newer records.
        on: list[Sent] = []
        for one in sent:
            on.append(Sent(one.type, one.snapshot, one.body, one.at_ms, origin))
            origin += 1
            if chance.random() < 0.1:
                again = on[-chance.randint(1, 4) :]
                on += [Sent(each.type, each.snapshot, each.body, one.at_ms, each.origin) for each in again]
        return on
    return sent


Script = list[tuple[str, str, dict[str, Any]]]


def updates(chance: random.Random) -> Script:
    return [(UPDATE, "", body(chance)) for _ in range(chance.randint(4, 16))]


def snapshot(chance: random.Random, name: str) -> Script:
    complete = chance.random() < 0.7
    count = chance.randint(0, 5)
    parts = [
        (SNAPSHOT_PART, name, {**body(chance), "part": number, "refused": chance.sample(SKUS, chance.randint(0, 1))})
        for number in range(count)
    ]
    end = (SNAPSHOT_END, name, {"locationCode": LOCATION, "parts": count, "complete": complete})
    if chance.random() < 0.15:
        end = (SNAPSHOT_ABORT, name, {"locationCode": LOCATION})
    return [(SNAPSHOT_BEGIN, name, {"locationCode": LOCATION, "complete": complete}), *parts, end]


def body(chance: random.Random) -> dict[str, Any]:
    skus = chance.sample(SKUS, chance.randint(0, 3))
    items: list[dict[str, Any]] = [{"channelSkuCode": sku, "quantity": chance.randint(0, 2)} for sku in skus]
    return {"locationCode": LOCATION, "inventories": items}


def run(seed: int, *, crash: bool) -> tuple[Worker, Oracle]:
    chance = random.Random(seed)
    worker, oracle = Worker(chance, right_partition(LOCATION), role), Oracle()
    waiting = script(chance)
    number = 0
    while waiting:
        for sent in waiting[: chance.randint(1, 8)]:
            oracle.read(number, sent, sent.at_ms, sent.origin)
            number += 1
            write(worker, waiting.pop(0))
        worker.run(crash=crash)
    for _ in range(100):  # what it has sent itself is read as well
        worker.run(crash=False)
    return worker, oracle


def write(worker: Worker, sent: Sent) -> None:
    worker.now_ms = sent.at_ms
    more = [] if not sent.snapshot else [(SNAPSHOT_HEADER, sent.snapshot.encode())]
    if sent.origin is not None:
        wrong = (worker.partition + 1) % 4
        more.append(("sluice-origin", b"%d/%d" % (wrong, sent.origin)))
    headers = Envelope(id=f"e{len(worker.log)}", type=sent.type, source="test", channel="demo").headers()
    worker.write(stock_key("demo", LOCATION), orjson.dumps(sent.body), (*headers, *more))


def stock(worker: Worker) -> dict[str, int]:
    found = {key: decode_position(value)["quantity"] for key, value in worker.table.items() if is_position(key)}
    return {split(key)[2]: quantity for key, quantity in found.items()}


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that zeroing and sweeping take several steps, with everything else in between."""
    monkeypatch.setattr(streams.inventory.snapshots.zero_sweep, "STEP_COST_MAX", 3)
    monkeypatch.setattr(streams.inventory.snapshots.zero_sweep, "ZERO_COST", 2)
    monkeypatch.setattr(streams.inventory.snapshots.snapshots, "SWEPT_AT_ONCE", 1)
    monkeypatch.setattr(streams.inventory.snapshots.snapshots, "ENDING_MAX", 1_000)


@pytest.mark.parametrize("crash", [False, True])
def test_the_log_ends_where_a_plain_reading_of_it_ends(crash: bool) -> None:
    for seed in SEEDS:
        worker, oracle = run(seed, crash=crash)
        assert stock(worker) == {sku: item["quantity"] for sku, item in oracle.stock.items()}, f"seed {seed}"
        raw = worker.table.get(snapshots_key("demo", LOCATION))
        kept = Kept() if raw is None else decode_kept(raw)
        assert not kept.sweeps, f"seed {seed}: notes are left"
        going_on = {(str(one.begin), str(number)) for one in kept.runs for number in range(one.notes)}
        assert notes(worker) == going_on, f"seed {seed}"
        how = {ended.id: ended.reason or ended.state for ended in kept.ended}
        assert how == oracle.outcomes, f"seed {seed}"
        for ended in kept.ended:
            assert ended.received == oracle.received[ended.id], f"seed {seed}"
        assert told(worker) == oracle.outcomes, f"seed {seed}"


def notes(worker: Worker) -> set[tuple[str, str]]:
    keys = [split(key) for key, _ in worker.table.items() if key.startswith(SNAPSHOTS.encode())]
    return {(key[3], key[4]) for key in keys if len(key) > 3}


def told(worker: Worker) -> dict[str, str]:
    """What facts say became of each snapshot; a repeat has the same id and says the same."""
    found: dict[str, str] = {}
    ids: dict[str, str] = {}
    for effect in worker.told:
        if effect.topic == "inventory.events":
            envelope, data = parse(effect.headers), orjson.loads(effect.value)
            assert envelope.type in (FACT + "snapshot-applied", FACT + "snapshot-abandoned")
            assert ids.setdefault(data["snapshot"], envelope.id) == envelope.id
            found[data["snapshot"]] = data.get("reason", "applied")
    return found


def test_the_tests_above_meet_what_they_are_about() -> None:
    outcomes = {how for seed in range(60) for how in run(seed, crash=False)[1].outcomes.values()}
    assert outcomes == {"applied", "silent", "replaced", "aborted", "parts-missing", "empty"}


def an_update(**quantities: int) -> Sent:
    items = [{"channelSkuCode": sku, "quantity": quantity} for sku, quantity in quantities.items()]
    return Sent(UPDATE, "", {"locationCode": LOCATION, "inventories": items}, 1_700_000_000_000)


def begun(seed: int = 0) -> Worker:
    """A snapshot is open."""
    worker = Worker(random.Random(seed), right_partition(LOCATION), role)
    write(worker, Sent(SNAPSHOT_BEGIN, "s", {"locationCode": LOCATION, "complete": True}, 1_700_000_000_000))
    return worker


def test_an_open_snapshot_has_a_note_of_a_sku_however_often_updates_tell_it() -> None:
    worker = begun()
    for quantity in range(200):
        write(worker, an_update(A=quantity))
        write(worker, an_update(A=quantity, B=1))
    worker.run(crash=False)
    assert len(notes(worker)) == 2
    kept = [row for row in worker.changelog if row.key == snapshots_key("demo", LOCATION)]
    assert len(kept) <= 3, "and what is known already is not written again"


def test_what_could_not_be_decided_leaves_nothing_behind_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = begun()
    worker.run(crash=False)
    part = {"locationCode": LOCATION, "part": 0, "inventories": [{"channelSkuCode": "A", "quantity": 1}]}
    with monkeypatch.context() as broken:
        broken.setattr(streams.inventory.snapshots.handler, "apply_quantities", failing)
        write(worker, Sent(SNAPSHOT_PART, "s", part, 1_700_000_000_000))
        worker.run(crash=False)
    write(worker, Sent(SNAPSHOT_PART, "s", part, 1_700_000_000_000))
    worker.run(crash=False)
    assert stock(worker) == {"A": 1}


def failing(*_arguments: object) -> list[Any]:
    raise Poison("bad_data", "it cannot be decided")
