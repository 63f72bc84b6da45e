"""Turns facts into daily tables: reads orders.events of a running Sluice into DuckDB, on from where it stopped.

python examples/analytics.py 127.0.0.1:9092 facts.duckdb [DIRECTORY for Parquet files]
"""

import asyncio
import json
import logging
import sys
from pathlib import Path
from typing import Any, NoReturn

import duckdb
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError

TOPIC = "sluice.orders.events.v1"
CHUNK_RECORDS = 5_000

SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (part INT, pos BIGINT, key VARCHAR, name VARCHAR, happened TIMESTAMP, data JSON);
CREATE TABLE IF NOT EXISTS reader (part INT PRIMARY KEY, next BIGINT, newest JSON);

-- A code may be used again once its order was forgotten. Each use is a life of the key.
CREATE OR REPLACE VIEW lives AS
SELECT *, key || '#' || count(*) FILTER (name = 'order-forgotten')
    OVER (PARTITION BY key ORDER BY pos ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS life
FROM facts;

CREATE OR REPLACE VIEW funnel AS
WITH orders AS (
    SELECT life,
        min(happened) FILTER (name = 'order-created')::DATE AS day,
        bool_or(name = 'order-submitted') AS submitted,
        bool_or(name = 'order-acknowledged') AS acknowledged,
        bool_or(name = 'shipment-packed') AS packed,
        bool_or(name = 'order-handed-over') AS handed_over,
        bool_or(name = 'order-delivered') AS delivered,
        bool_or(name = 'order-cancelled') AS cancelled
    FROM lives GROUP BY life HAVING bool_or(name = 'order-created')
)
SELECT day, count(*) AS created, count_if(submitted) AS submitted, count_if(acknowledged) AS acknowledged,
    count_if(packed) AS packed, count_if(handed_over) AS handed_over, count_if(delivered) AS delivered,
    count_if(cancelled) AS cancelled, round(100.0 * count_if(handed_over) / count(*), 1) AS handed_over_pct
FROM orders GROUP BY day ORDER BY day;

-- Facts carry the totals of a line: each cancellation added the difference to the total before it.
CREATE OR REPLACE VIEW cancellations AS
WITH lines AS (
    SELECT life, pos, happened, data->>'locationCode' AS location,
        unnest(json_extract(data, '$.cancelled[*]')) AS line,
        CASE WHEN (data->>'automatic')::BOOLEAN THEN 'Sluice' ELSE 'seller' END AS seller
    FROM lives WHERE name IN ('customer-cancelled', 'seller-cancelled')
), totals AS (
    SELECT *, (line->>'customerCancelled')::INT AS of_customer, (line->>'sellerCancelled')::INT AS of_seller,
        lag((line->>'customerCancelled')::INT, 1, 0) OVER before AS customer_before,
        lag((line->>'sellerCancelled')::INT, 1, 0) OVER before AS seller_before
    FROM lines WINDOW before AS (PARTITION BY life, line->>'orderItemCode' ORDER BY pos)
), added AS (
    SELECT life, happened, location, 'customer' AS side, of_customer - customer_before AS units FROM totals
    UNION ALL SELECT life, happened, location, seller, of_seller - seller_before FROM totals
)
SELECT happened::DATE AS day, coalesce(location, 'split') AS location, side, count(DISTINCT life) AS orders,
    sum(units)::BIGINT AS units
FROM added WHERE units <> 0 GROUP BY ALL ORDER BY ALL;

CREATE OR REPLACE VIEW handover_times AS
WITH packed AS (
    SELECT life, data->>'shipmentId' AS shipment, min(happened) AS happened
    FROM lives WHERE name = 'shipment-packed' GROUP BY ALL
), handed AS (
    SELECT lives.happened::DATE AS day, data->>'shipmentLocationCode' AS location,
        (data->>'sinceCreatedMs')::BIGINT / 1000 AS from_created,
        epoch_ms(lives.happened - packed.happened) / 1000 AS from_packed
    FROM lives LEFT JOIN packed ON packed.life = lives.life AND packed.shipment = data->>'shipmentId'
    WHERE name = 'shipment-handed-over'
)
SELECT day, location, count(*) AS shipments,
    round(quantile_cont(from_created, 0.5), 2) AS created_p50_s,
    round(quantile_cont(from_created, 0.95), 2) AS created_p95_s,
    round(quantile_cont(from_packed, 0.5), 2) AS packed_p50_s,
    round(quantile_cont(from_packed, 0.95), 2) AS packed_p95_s
FROM handed GROUP BY day, location ORDER BY day, location;
"""
TABLES = ("funnel", "cancellations", "handover_times")
NO_FACT = (ValueError, LookupError, TypeError, AttributeError)
"""Raised by a record that Sluice did not write, or that a newer Sluice writes in another way."""
ROWS = '[{"part":"INT","pos":"BIGINT","key":"VARCHAR","name":"VARCHAR","at_ms":"BIGINT","data":"JSON"}]'
INSERT = """
INSERT INTO facts SELECT part, pos, key, name, epoch_ms(at_ms), data
FROM (SELECT unnest(from_json(?, ?), max_depth := 2))
"""


def is_new(record: Any, fact: dict[str, Any], newest: list[Any]) -> bool:
    """The rules of docs/reading.md. `newest` of the partition: epoch, offset, facts of that offset."""
    made_by = [value for name, value in record.headers if name == "sluice-made-by"]
    epoch, offset = map(int, made_by[-1].split(b"/"))
    known = [record.key.decode(), fact["sequence"]]
    if epoch < newest[0]:
        return False  # written by a former owner, too late
    newest[0] = epoch
    if offset < newest[1] or (offset == newest[1] and known in newest[2]):
        return False  # a repeat
    newest[1:] = [offset, [known] if offset > newest[1] else [*newest[2], known]]
    return True


def keep(db: duckdb.DuckDBPyConnection, partition: int, records: list[Any]) -> int:
    """Facts and how far they were read, in one transaction: who dies here reads the same again and counts it once."""
    found = db.execute("SELECT newest FROM reader WHERE part = ?", [partition]).fetchone()
    newest = json.loads(found[0]) if found else [0, -1, []]
    rows = []
    for record in records:
        try:
            fact = json.loads(record.value)
            name = dict(record.headers)["ce_type"].decode().removeprefix("sluice.fact.")
            row = {"part": partition, "pos": record.offset, "key": record.key.decode(), "name": name}
            row |= {"at_ms": int(fact["atMs"]), "data": fact}
            if is_new(record, fact, newest):
                rows.append(row)
        except NO_FACT as error:
            print(f"passed over: {TOPIC}/{partition}/{record.offset} is no fact of Sluice: {error!r}")
    db.begin()
    db.execute(INSERT, [json.dumps(rows), ROWS])
    place = [partition, records[-1].offset + 1, json.dumps(newest)]
    db.execute("INSERT OR REPLACE INTO reader VALUES (?, ?, ?)", place)
    db.commit()
    return len(rows)


async def read(db: duckdb.DuckDBPyConnection, kafka: str) -> int:
    """All facts that are there now. Returns how many were new."""
    consumer = AIOKafkaConsumer(
        TOPIC, bootstrap_servers=kafka, enable_auto_commit=False, isolation_level="read_committed"
    )
    async with consumer:
        places = [TopicPartition(TOPIC, number) for number in consumer.partitions_for_topic(TOPIC) or ()]
        first, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
        known = dict(db.execute("SELECT part, next FROM reader").fetchall())
        following = {place: max(first[place], known.get(place.partition, 0)) for place in places}
        for place, offset in following.items():
            consumer.seek(place, offset)
        new = 0
        while any(following[place] < ends[place] for place in places):
            for place, records in (await consumer.getmany(timeout_ms=1_000, max_records=CHUNK_RECORDS)).items():
                new += keep(db, place.partition, records)
                following[place] = records[-1].offset + 1
    return new


def main(kafka: str, database: str, directory: str = "") -> None:
    with duckdb.connect(database) as db:
        db.execute(SCHEMA)
        print(f"{asyncio.run(read(db, kafka))} new facts")
        for table in TABLES:
            print(table)
            db.table(table).show()
            if directory:
                Path(directory).mkdir(parents=True, exist_ok=True)
                db.table(table).write_parquet(str(Path(directory) / f"{table}.parquet"))


def stop(line: str) -> NoReturn:
    print(line, file=sys.stderr)
    raise SystemExit(2)


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4) or not sys.argv[1].rpartition(":")[2].isdigit():
        stop("usage: python examples/analytics.py HOST:PORT DATABASE [DIRECTORY for Parquet files]")
    logging.disable(logging.ERROR)  # what the client logs is raised, too
    try:
        main(*sys.argv[1:])
    except (KafkaConnectionError, OverflowError):
        stop(f"Kafka at {sys.argv[1]} does not answer")
    except KafkaError as error:
        stop(f"Kafka at {sys.argv[1]}: {error}")
    except duckdb.IOException as error:
        stop(f"{sys.argv[2]}: {str(error).splitlines()[0]}")
