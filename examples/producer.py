"""Commands without HTTP: creates, changes and cancels an order by records on Kafka, and reads each verdict.

python examples/producer.py demo 127.0.0.1:9092 KAFKA-1
"""

import asyncio
import logging
import sys
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError

COMMANDS = "sluice.orders.commands.v1"
VERDICT_S = 60.0
"""A cancellation waits for Increff; other commands are decided within milliseconds."""


def order(code: str, shirts: int) -> dict[str, Any]:
    now = datetime.now(UTC)
    times = {"orderTime": now, "startProcessingTime": now, "dispatchByTime": now + timedelta(days=1)}
    lines = [("SHIRT", shirts), ("JEANS", 1)]
    return {
        "orderCode": code,
        "locationCode": "DXB-WH-01",
        "orderType": "SO",
        "onHold": False,
        "paymentMethod": "NCOD",
        "shippingAddress": {"name": "A Customer", "line1": "1 Street", "city": "Dubai", "country": "UAE"},
        "orderItems": [
            {"channelSkuCode": sku, "orderItemCode": f"{code}-{n}", "quantity": quantity, "sellingPricePerUnit": 89.25}
            for n, (sku, quantity) in enumerate(lines, 1)
        ],
        **{name: time.isoformat() for name, time in times.items()},
    }


def cancellation(code: str, shirts: int) -> dict[str, Any]:
    item = {"channelSkuCode": "SHIRT", "orderItemCode": f"{code}-1", "cancelledQuantity": shirts}
    return {"orderCode": code, "orderItems": [item]}


async def main(channel: str, kafka: str, code: str) -> None:
    answers = f"sluice.replies.{channel}.v1"
    async with (
        AIOKafkaConsumer(answers, bootstrap_servers=kafka, auto_offset_reset="latest") as replies,
        AIOKafkaProducer(bootstrap_servers=kafka, acks="all", enable_idempotence=True) as producer,
    ):
        await replies.seek_to_end()
        for partition in replies.assignment():
            await replies.position(partition)  # from here on, no reply is missed

        async def send(touchpoint: str, body: dict[str, Any]) -> None:
            event = str(uuid.uuid4())  # a repeat of the same command must have the same id
            headers = {
                "ce_specversion": "1.0",
                "ce_id": event,
                "ce_type": f"sluice.command.{touchpoint}",
                "ce_source": "/examples/producer",
                "sluice-channel": channel,
                "sluice-reply-topic": answers,
            }
            key = f"{channel}|{code}".encode()  # % and | in a code are written %25 and %7C
            sent = [(name, value.encode()) for name, value in headers.items()]
            await producer.send_and_wait(COMMANDS, orjson.dumps(body), key=key, headers=sent)
            async with asyncio.timeout(VERDICT_S):
                async for record in replies:
                    if record.key == event.encode():
                        reply = orjson.loads(record.value)
                        print(f"{touchpoint:24} {reply['verdict']:10} {reply['message']}".rstrip(), flush=True)
                        return

        await send("create-outward-order", order(code, shirts=2))
        await send("create-outward-order", order(code, shirts=3))
        await send("customer-cancellation", cancellation(code, shirts=1))
        await send("customer-cancellation", cancellation(code, shirts=9))
        await send("customer-cancellation", {"orderCode": code})


def stop(line: str) -> NoReturn:
    print(line, file=sys.stderr)
    raise SystemExit(2)


if __name__ == "__main__":
    if len(sys.argv) != 4 or not sys.argv[2].rpartition(":")[2].isdigit():
        stop("usage: python examples/producer.py CHANNEL HOST:PORT ORDER-CODE")
    logging.disable(logging.ERROR)  # what the client logs is raised, too
    try:
        asyncio.run(main(*sys.argv[1:]))
    except (KafkaConnectionError, OverflowError):
        stop(f"Kafka at {sys.argv[2]} does not answer")
    except KafkaError as error:
        stop(f"Kafka at {sys.argv[2]}: {error}")
    except TimeoutError:
        stop(f"no verdict within {VERDICT_S:.0f} s: Sluice does not run, or {sys.argv[1]} has no reply topic there")
