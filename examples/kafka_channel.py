"""A marketplace on Kafka: reads the requests of Sluice, does the work, and answers. See docs/kafka-channels.md.

python examples/kafka_channel.py shop 127.0.0.1:9092 shop.db
"""

import asyncio
import logging
import sqlite3
import sys
import time
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError

NAMES = {"pack-order": "orderCode shipmentId", "create-manifest": "manifestId"}
NAMES |= dict.fromkeys(["get-shipping-label", "get-invoice"], "shipmentCode")
"""Members that identify a request, so that a repeat in another delivery gets the same answer. Others: delivery id."""


def do(touchpoint: str, asked: dict[str, Any], number: int) -> dict[str, Any]:
    """Do the work of the shop; `number` is new for every answer."""
    label = {"awbNumber": f"AWB-{number:06d}", "transporter": "CITY", "shippingLabelUrl": "https://shop.test/l"}
    answers: dict[str, dict[str, Any]] = {
        "pack-order": {"shipmentCode": f"SHP-{number:06d}"},
        "get-shipping-label": label,
        "get-invoice": {"invoiceCode": f"INV-{number:06d}", "invoiceUrl": "https://shop.test/i"},
        "create-manifest": {"manifestCode": f"MAN-{number:06d}"},
        "acknowledgement": {"successOrders": asked.get("orders")},
    }
    return answers.get(touchpoint, {})  # handover, cancellation, stock and returns are accepted


def answer(db: sqlite3.Connection, delivery: str, touchpoint: str, asked: dict[str, Any]) -> bytes:
    """Return the answer. It is stored in one transaction with the work, so a repeat only gets the same answer."""
    named = [asked.get(member) for member in NAMES.get(touchpoint, "").split()]
    name = repr([touchpoint, *named]) if named and None not in named else delivery
    with db:
        db.execute("CREATE TABLE IF NOT EXISTS answers (number INTEGER PRIMARY KEY, name TEXT UNIQUE, body BLOB)")
        new = db.execute("INSERT OR IGNORE INTO answers (name) VALUES (?)", [name])
        if new.rowcount and new.lastrowid:
            body = orjson.dumps(do(touchpoint, asked, new.lastrowid))
            db.execute("UPDATE answers SET body = ? WHERE name = ?", [body, name])
        (kept,) = db.execute("SELECT body FROM answers WHERE name = ?", [name]).fetchone()
    return bytes(kept)


async def main(channel: str, kafka: str, db: sqlite3.Connection) -> None:
    topic, group = f"sluice.channel.{channel}.requests.v1", f"channel-{channel}"
    requests = AIOKafkaConsumer(
        topic, bootstrap_servers=kafka, group_id=group, auto_offset_reset="earliest", enable_auto_commit=False
    )
    async with requests, AIOKafkaProducer(bootstrap_servers=kafka, acks="all") as answers:
        logging.disable(logging.NOTSET)
        print(f"{channel} answers", flush=True)
        async for record in requests:
            try:
                asked = {name: value.decode() for name, value in record.headers if value is not None}
                if int(asked["sluice-deadline-ms"]) < time.time() * 1000:
                    continue  # nobody waits for the answer any more; Sluice asks again if it still needs one
                touchpoint = asked["ce_type"].removeprefix("sluice.request.")
                body = answer(db, asked["ce_id"], touchpoint, orjson.loads(record.value))
            except (ValueError, LookupError, TypeError, AttributeError) as error:
                print(f"passed over: {topic}/{record.partition}/{record.offset} is no request of Sluice: {error!r}")
                continue
            headers = [("sluice-correlation-id", asked["sluice-correlation-id"].encode()), ("sluice-status", b"200")]
            await answers.send_and_wait(asked["sluice-reply-topic"], body, headers=headers)
            await requests.commit()  # last: after a crash before this, Sluice asks again and gets the same answer
            print(f"{touchpoint}  {record.key.decode()}  {body.decode()}", flush=True)


if __name__ == "__main__":
    wrong = "usage: python examples/kafka_channel.py CHANNEL HOST:PORT DATABASE"
    if len(sys.argv) == 4 and sys.argv[2].rpartition(":")[2].isdigit():
        logging.disable(logging.ERROR)  # until it is connected: what the client logs is raised, too
        try:
            asyncio.run(main(sys.argv[1], sys.argv[2], sqlite3.connect(sys.argv[3])))
        except KeyboardInterrupt:
            sys.exit()
        except (KafkaError, OverflowError):
            wrong = f"Kafka at {sys.argv[2]} does not answer"
        except sqlite3.Error as error:
            wrong = f"{sys.argv[3]}: {error}"
    print(wrong, file=sys.stderr)
    sys.exit(2)
