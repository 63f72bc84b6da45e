"""Any bytes as a record on a topic: the batch is made here, because clients' encoders refuse what Kafka takes.

Format: https://kafka.apache.org/documentation/#recordbatch (magic 2).
"""

from __future__ import annotations

import gzip
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.util import calc_crc32c

GZIP = 1
NO_TIME = -1


@dataclass(frozen=True)
class Raw:
    """A record as it lies on a topic. Names of headers are bytes; None is Kafka's null."""

    key: bytes | None = None
    value: bytes | None = None
    headers: Sequence[tuple[bytes, bytes | None]] = field(default=())
    time_ms: int = NO_TIME


def batch_of(records: Sequence[Raw], compression: int = 0, body: bytes | None = None) -> bytes:
    """`body`: in place of the records, compressed already."""
    times = [record.time_ms for record in records]
    first = times[0]
    if body is None:
        body = b"".join(_record(number, record, first) for number, record in enumerate(records))
        body = gzip.compress(body) if compression == GZIP else body
    checked = struct.pack(">hiqqqhii", compression, len(records) - 1, first, max(times), -1, -1, -1, len(records))
    checked += body
    return struct.pack(">qiibI", 0, 9 + len(checked), -1, 2, calc_crc32c(checked)) + checked


def _record(number: int, record: Raw, first_ms: int) -> bytes:
    parts = [b"\0", _varint(record.time_ms - first_ms), _varint(number), _bytes(record.key), _bytes(record.value)]
    parts.append(_varint(len(record.headers)))
    for name, value in record.headers:
        parts += [_bytes(name), _bytes(value)]
    body = b"".join(parts)
    return _varint(len(body)) + body


def _bytes(raw: bytes | None) -> bytes:
    return _varint(-1) if raw is None else _varint(len(raw)) + raw


def _varint(number: int) -> bytes:
    number = (number << 1) ^ (number >> 63)
    found = bytearray()
    while number > 0x7F:
        found.append(0x80 | (number & 0x7F))
        number >>= 7
    found.append(number)
    return bytes(found)


class RefusedError(Exception):
    """Kafka did not take a batch."""

    def __init__(self, code: int) -> None:
        super().__init__(f"Kafka refused the batch with error {code}")
        self.code = code


async def produce(
    producer: AIOKafkaProducer, topic: str, partition: int, records: Iterable[Raw], compression: int = 0
) -> int:
    """Appends the records as one batch. Returns the offset of the first. Raises RefusedError."""
    client = producer.client
    await client.add_topic(topic)
    leader = client.cluster.leader_for_partition(TopicPartition(topic, partition))
    batch = batch_of(list(records), compression)
    answer = await client.send(leader, ProduceRequest(None, -1, 30_000, [(topic, [(partition, batch)])]))
    ((_, ((_, error, offset, *_),)),) = answer.topics
    if error:
        raise RefusedError(error)
    return int(offset)
