"""What operators did is told once, by the facts of their actions; what a version before wrote stays told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from journal import migrations
from journal.queries.stories import Surroundings, lives_of, rows_of
from journal.rows.batch import Batch
from journal.rows.keeper import Keeper, Personal
from journal.rows.operators import PauseRows
from journal.tables.operators import ACTIONS, PAUSES, REDRIVEN
from tests.support.journal.records import BEGIN_MS, Made
from tests.unit.journal.reading import KEY, LANE, Journal
from topics.records.actions import record_of
from topics.records.deliveries import DeliveryRequest, LaneAction, LaneDecision, Redrive, body_of
from topics.records.envelope import DELIVERY_REDRIVE, LANE_DECISION
from topics.records.facts.operators import ActionBegun, ActionEnded, OperatorFact


def begun(id_: str = "dst_1", by: str = "alice") -> ActionBegun:
    return ActionBegun(
        id=id_,
        action="pause-destination",
        by=by,
        atMs=5,
        reason="night",
        target="increff",
        channel="",
        orderKey="",
        shown=1,
        before={"paused": False},
        after={"paused": True},
    )


def ended(id_: str = "dst_1", outcome: str = "done", at_ms: int = 9) -> ActionEnded:
    return ActionEnded(
        id=id_, action="pause-destination", by="alice", atMs=at_ms, outcome=outcome, message="", after={"n": 1}
    )


async def tell(journal: Journal, *facts: OperatorFact) -> None:
    for fact in facts:
        record = record_of(fact, "/gateway")
        headers = {name: value.decode() for name, value in record.headers}
        await journal.read("operators.events", record.key, record.value, "", **headers)


async def test_an_action_has_one_row_with_its_end(journal: Journal) -> None:
    await tell(journal, begun(), ended())
    assert await journal.rows(ACTIONS, "event_id", "actor", "reason", "target", "before", "after") == [
        ("dst_1", "alice", "night", "increff", '{"paused":false}', '{"paused":true}')
    ]
    assert await journal.rows(ACTIONS, "outcome", "ended_ms", "result") == [("done", 9, '{"n":1}')]


async def test_without_an_end_nothing_is_known_of_it(journal: Journal) -> None:
    await tell(journal, begun())
    assert await journal.rows(ACTIONS, "outcome", "ended_ms") == [("", None)]


async def test_the_second_use_of_a_preview_changes_nothing(journal: Journal) -> None:
    await tell(journal, begun(), ended(), begun(by="bob"))
    assert await journal.rows(ACTIONS, "actor", "outcome") == [("alice", "done")]


async def test_a_decision_with_a_fact_is_told_by_the_fact_alone(journal: Journal) -> None:
    for name, action_id in (("old", ""), ("new", "lan_1")):
        decision = LaneDecision(
            lane=LANE.decode(), request=name, action=LaneAction.SKIP, by="bob", reason="why", action_id=action_id
        )
        raw = decision.encode()
        await journal.read("deliveries.requests", LANE, raw, "", ce_type=LANE_DECISION, ce_id=f"d-{name}")
    assert await journal.rows(ACTIONS, "event_id", "action", "actor", "order_key", "target") == [
        ("d-old", "skip-delivery", "bob", KEY.decode(), "old")
    ]


async def test_a_skip_of_a_version_before_is_an_action(journal: Journal) -> None:
    skip = {"by": "bob", "reason": "no use", "atMs": 5}
    await journal.read("skips", b"orders.commands|0|7", skip, "")
    await journal.read("skips", b"orders.commands|0|8", {**skip, "action_id": "skp_1"}, "")
    assert await journal.rows(ACTIONS, "action", "actor", "reason", "target", "after") == [
        (
            "skip-record",
            "bob",
            "no use",
            "orders.commands|0|7",
            '{"topic":"orders.commands","partition":0,"offset":7}',
        )
    ]


async def test_a_redrive_names_each_request_that_it_sent(journal: Journal) -> None:
    request = DeliveryRequest(
        id="r.0",
        lane=LANE.decode(),
        entity=KEY.decode(),
        body=body_of({}),
        destination="increff",
        shard=0,
        channel="demo",
        touchpoint="create-outward-order",
        subject="O|1",
    )
    for name in ("rdv_1", "rdv_1", "rdv_2"):
        raw = Redrive(id=name, request=request, attempts=3).encode()
        await journal.read("deliveries.requests", LANE, raw, "", ce_type=DELIVERY_REDRIVE, ce_id="x")
    assert await journal.rows(REDRIVEN, "redrive", "request_id", "attempts", "order_key") == [
        ("rdv_1", "r.0", 3, KEY.decode()),
        ("rdv_2", "r.0", 3, KEY.decode()),
    ]
    await tell(journal, begun("rdv_1").model_copy(update={"action": "redrive", "target": ""}))
    async with journal.engine.connect() as connection:
        around, key = Surroundings(now_ms=BEGIN_MS, partitions=4), KEY.decode()
        rows = await rows_of(connection, await lives_of(connection, [key], around), around)
    assert [(one.action, one.actor, one.reason) for one in rows[key].actions] == [("redrive", "alice", "night")], (
        "a redrive is of no single order, and yet in the story of each that it sent again"
    )


def control(at_ms: int, *, until_ms: int | None = None, paused: bool = True, by: str = "alice") -> bytes:
    pause = {"since_ms": at_ms, "until_ms": until_ms, "by": by, "reason": "night"} if paused else None
    return json.dumps({"pause": pause, "action": f"a{at_ms}", "by": by, "reason": "night", "at_ms": at_ms}).encode()


ROW = ("destination", "since_ms", "until_ms", "ended_ms", "actor", "ended_by")
SAID: list[tuple[list[bytes | None], list[tuple[Any, ...]]]] = [
    ([control(10)], [("increff", 10, None, None, "alice", "")]),
    ([control(10), control(30, paused=False, by="bob")], [("increff", 10, None, 30, "alice", "bob")]),
    (
        [control(10, until_ms=20), control(30, by="bob")],
        [("increff", 10, 20, 20, "alice", ""), ("increff", 30, None, None, "bob", "")],
    ),
    ([control(10, until_ms=40), control(30, paused=False, by="bob")], [("increff", 10, 40, 30, "alice", "bob")]),
    ([control(10), None], [("increff", 10, None, BEGIN_MS, "alice", "")]),
    ([control(10, paused=False)], []),
]


@pytest.mark.parametrize(("said", "expected"), SAID)
async def test_each_word_ends_the_pause_before_it(
    journal: Journal,
    said: list[bytes | None],
    expected: list[tuple[Any, ...]],
) -> None:
    for value in said:
        await journal.read("destinations.controls", b"increff", value, "")
    assert await journal.rows(PAUSES, *ROW) == expected


def test_a_pause_is_ended_by_the_next_owner_of_the_partition() -> None:
    keeper = Keeper(Personal.NONE)
    first = PauseRows(0, {}, keeper, 8)
    first.read(Made("destinations.controls", 0, b"increff", control(10), (), 10, 0), Batch())
    batch = Batch()
    following = PauseRows(0, json.loads(json.dumps(first.remembered())), keeper, 8)
    following.read(Made("destinations.controls", 0, b"increff", control(30, paused=False), (), 30, 1), batch)
    ((place, row),) = batch.pauses.items()
    assert place == ("increff", 10)
    assert (row["ended_ms"], row["record_offset"]) == (30, 0)


def test_a_journal_of_before_has_what_one_that_begins_anew_makes_of_the_same_records(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/journal.db")
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__path__[0])))
    columns = "event_id, topic, at_ms, action, actor, reason, order_key, target, data, partition, record_offset"
    redriven = json.dumps({"redrive": "rdv_1", "attempts": 3, "lane": "l"})
    rows = [
        ("e1", "deliveries.requests", 1, "redrive", "", "", "k", "r.0", redriven, 2, 7),
        ("e2", "deliveries.requests", 1, "redrive", "", "", "k", "r.0", redriven, 2, 8),
        ("e3", "deliveries.requests", 2, "lane-skip", "bob", "why", "k", "r.1", '{"lane":"l"}', 2, 9),
        ("k1", "skips", 3, "skip", "bob", "why", "", "k1", '{"offset":7}', 0, 1),
    ]
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for row in rows:
            values = ", ".join(str(value) if isinstance(value, int) else f"'{value}'" for value in row)
            connection.execute(sa.text(f"INSERT INTO actions ({columns}) VALUES ({values})".replace(":", r"\:")))  # noqa: S608
        command.upgrade(config, "head")
        actions = connection.execute(sa.select(ACTIONS.c.action, ACTIONS.c.actor, ACTIONS.c.after, ACTIONS.c.outcome))
        assert sorted(map(tuple, actions)) == [
            ("skip-delivery", "bob", "{}", ""),
            ("skip-record", "bob", '{"offset":7}', ""),
        ]
        sent = connection.execute(sa.select(REDRIVEN.c.redrive, REDRIVEN.c.request_id, REDRIVEN.c.record_offset))
        assert list(map(tuple, sent)) == [("rdv_1", "r.0", 7)]
