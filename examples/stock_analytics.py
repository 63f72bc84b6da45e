"""Turns stock into tables: reads positions, changes and facts of a running Sluice into DuckDB, and goes on later.

python examples/stock_analytics.py 127.0.0.1:9092 stock.duckdb
"""

import asyncio
import json
import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, TypeVar
from urllib.parse import unquote

import duckdb
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError

T = TypeVar("T")
TOPICS = ("positions", "changes", "events")
CHUNK_RECORDS = 5_000

SCHEMA = """
CREATE TABLE IF NOT EXISTS reader (topic VARCHAR, part INT, next BIGINT, epoch BIGINT, PRIMARY KEY (topic, part));
CREATE TABLE IF NOT EXISTS positions (
    channel VARCHAR, location VARCHAR, sku VARCHAR, quantity BIGINT, PRIMARY KEY (channel, location, sku));
CREATE TABLE IF NOT EXISTS changes (
    id VARCHAR, sku VARCHAR, channel VARCHAR, location VARCHAR, happened TIMESTAMP, cause VARCHAR,
    before BIGINT, after BIGINT, PRIMARY KEY (id, sku));
CREATE TABLE IF NOT EXISTS events (
    id VARCHAR PRIMARY KEY, name VARCHAR, channel VARCHAR, location VARCHAR, happened TIMESTAMP, data JSON);

CREATE OR REPLACE VIEW stock AS
SELECT channel, location, count(*) AS skus, sum(quantity)::BIGINT AS units, count_if(quantity = 0) AS out_of_stock
FROM positions GROUP BY ALL ORDER BY ALL;

CREATE OR REPLACE VIEW moves AS
SELECT happened::DATE AS day, channel, location, count(*) AS changes,
    count_if(after = 0 AND before > 0) AS went_out_of_stock, count_if(after > 0 AND before = 0) AS came_back
FROM changes GROUP BY ALL ORDER BY ALL;

CREATE OR REPLACE VIEW refused AS
SELECT channel, location, data->>'channelSkuCode' AS sku, max_by(name, happened) AS last_fact,
    max(happened) AS happened
FROM events WHERE name IN ('stock-refused', 'stock-accepted-again') GROUP BY ALL
HAVING last_fact = 'stock-refused' ORDER BY ALL;
"""
# All rows of a chunk go in one statement: alone, a row takes some milliseconds.
POSITIONS = """
INSERT OR REPLACE INTO positions SELECT r->>0, r->>1, r->>2, (r->>3)::BIGINT
FROM (SELECT unnest(from_json(?, '["JSON"]')) AS r)
"""
CHANGES = """
INSERT OR IGNORE INTO changes
SELECT r->>0, r->>1, r->>2, r->>3, (r->>4)::TIMESTAMP, r->>5, (r->>6)::BIGINT, (r->>7)::BIGINT
FROM (SELECT unnest(from_json(?, '["JSON"]')) AS r)
"""
EVENTS = """
INSERT OR IGNORE INTO events SELECT r->>0, r->>1, r->>2, r->>3, epoch_ms((r->>4)::BIGINT), r->5
FROM (SELECT unnest(from_json(?, '["JSON"]')) AS r)
"""
TABLES = ("stock", "moves", "refused")


def headers_of(record: Any) -> dict[str, str]:
    """Of several with one name the last counts."""
    return {name: value.decode() for name, value in record.headers if value is not None}


def readable(records: list[Any], read: Callable[[Any], T]) -> Iterator[T]:
    """What `read` makes of each record. One that Sluice did not write, or writes in another way now, is passed over."""
    for record in records:
        try:
            yield read(record)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            print(f"passed over: {record.topic}/{record.partition}/{record.offset} cannot be read: {error!r}")


def position_of(record: Any) -> tuple[tuple[str, ...], int | None]:
    channel, location, sku = (unquote(part) for part in record.key.decode().split("|"))
    item = None if record.value is None else json.loads(record.value)
    quantity = None if item is None else int(item.get("consolidatedQuantity", item.get("quantity", 0)))
    return (channel, location, sku), quantity


def changes_of(record: Any) -> list[list[Any]]:
    batch, headers = json.loads(record.value), headers_of(record)
    fixed = [batch["channel"], batch["location"], headers["ce_time"], batch["cause"]]
    return [
        [headers["ce_id"], change["channelSkuCode"], *fixed, change["before"], change["after"]]
        for change in batch["changes"]
    ]


def event_of(record: Any) -> list[Any]:
    fact, headers = json.loads(record.value), headers_of(record)
    name = headers["ce_type"].removeprefix("sluice.fact.")
    return [headers["ce_id"], name, fact["channel"], fact["location"], int(fact["atMs"]), fact]


def keep_positions(db: duckdb.DuckDBPyConnection, records: list[Any]) -> None:
    """The last record of a key is what is true. A `~` begins notes of Sluice's own."""
    positions = [record for record in records if not record.key.startswith(b"~")]
    newest = dict(readable(positions, position_of))
    for place in [place for place, quantity in newest.items() if quantity is None]:
        db.execute("DELETE FROM positions WHERE channel = ? AND location = ? AND sku = ?", place)
    rows = [[*place, quantity] for place, quantity in newest.items() if quantity is not None]
    db.execute(POSITIONS, [json.dumps(rows)])


def keep_changes(db: duckdb.DuckDBPyConnection, records: list[Any]) -> None:
    """Store changes; a repeat has the same id and is ignored."""
    rows: dict[tuple[str, str], list[Any]] = {}
    for changes in readable(records, changes_of):
        for row in changes:
            rows.setdefault((row[0], row[1]), row)
    db.execute(CHANGES, [json.dumps([*rows.values()])])


def keep_events(db: duckdb.DuckDBPyConnection, records: list[Any]) -> None:
    rows: dict[str, list[Any]] = {}
    for row in readable(records, event_of):
        rows.setdefault(row[0], row)
    db.execute(EVENTS, [json.dumps([*rows.values()])])


KEEP = {"positions": keep_positions, "changes": keep_changes, "events": keep_events}


def epoch_of(record: Any) -> int:
    return int(headers_of(record).get("sluice-made-by", "0").split("/")[0])


def keep(db: duckdb.DuckDBPyConnection, topic: str, partition: int, records: list[Any]) -> None:
    """Records and how far they were read, in one transaction."""
    found = db.execute("SELECT epoch FROM reader WHERE topic = ? AND part = ?", [topic, partition]).fetchone()
    newest = found[0] if found else 0
    good = []
    for record, made_at in readable(records, lambda one: (one, epoch_of(one))):
        epoch = newest if topic == "events" else made_at  # two roles write there, each with epochs of its own
        if epoch >= newest and record.key != b"~owner":  # else written by a former owner, too late
            good.append(record)
        newest = max(newest, epoch)
    db.begin()
    KEEP[topic](db, good)
    place = [topic, partition, records[-1].offset + 1, newest]
    db.execute("INSERT OR REPLACE INTO reader VALUES (?, ?, ?, ?)", place)
    db.commit()


async def read(db: duckdb.DuckDBPyConnection, kafka: str) -> int:
    """All that is there now. Returns how many records were read."""
    topics = {f"sluice.inventory.{topic}.v1": topic for topic in TOPICS}
    async with AIOKafkaConsumer(
        *topics, bootstrap_servers=kafka, enable_auto_commit=False, isolation_level="read_committed"
    ) as consumer:
        places = [TopicPartition(name, at) for name in topics for at in consumer.partitions_for_topic(name) or ()]
        first, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
        rows = db.execute("SELECT topic, part, next FROM reader").fetchall()
        known = {(topic, part): following for topic, part, following in rows}
        following = {at: max(first[at], known.get((topics[at.topic], at.partition), 0)) for at in places}
        for place, offset in following.items():
            consumer.seek(place, offset)
        count = 0
        while any(following[place] < ends[place] for place in places):
            for place, records in (await consumer.getmany(timeout_ms=1_000, max_records=CHUNK_RECORDS)).items():
                keep(db, topics[place.topic], place.partition, records)
                following[place] = records[-1].offset + 1
                count += len(records)
            for place in places:  # a compacted log may end in offsets that hold nothing any more
                following[place] = max(following[place], await consumer.position(place))
    return count


def main(kafka: str, database: str) -> None:
    with duckdb.connect(database) as db:
        db.execute(SCHEMA)
        print(f"{asyncio.run(read(db, kafka))} records read")
        for table in TABLES:
            print(table)
            db.table(table).show()


def stop(line: str) -> NoReturn:
    print(line, file=sys.stderr)
    raise SystemExit(2)


if __name__ == "__main__":
    if len(sys.argv) != 3 or not sys.argv[1].rpartition(":")[2].isdigit():
        stop("usage: python examples/stock_analytics.py HOST:PORT DATABASE")
    logging.disable(logging.ERROR)  # what the client logs is raised, too
    try:
        main(*sys.argv[1:])
    except (KafkaConnectionError, OverflowError):
        stop(f"Kafka at {sys.argv[1]} does not answer")
    except KafkaError as error:
        stop(f"Kafka at {sys.argv[1]}: {error}")
    except duckdb.IOException as error:
        stop(f"{sys.argv[2]}: {str(error).splitlines()[0]}")
