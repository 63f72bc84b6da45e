"""Replies to commands: reads this gateway's partition of `replies`, and ends the futures of the requests that wait.

The partition is assigned by hand and read from its end, because no request waits for a reply to an earlier process.
Several gateways may share a partition; each ignores the ids that it does not know.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import socket
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from gateway.http.metrics import Metrics
from gateway.kafka import CLIENT_ID
from gateway.kafka.deadlines import Deadlines
from gateway.ports import Overloaded
from topics.configuration.settings import Settings
from topics.kafka import clients
from topics.kafka.batches.tail import Tail
from topics.kafka.catalogue import BY_NAME
from topics.kafka.fetched_records import ends_beside_transactions
from topics.records.unreadable import UNREADABLE
from topics.records.verdicts import Reply, decode_reply

log = logging.getLogger(__name__)

WAITERS_MAX = 20_000
"""Requests that may wait at once: some hundred megabytes of sockets and state. Beyond it calls are refused."""
RETRY_S = 0.25
"""Between two attempts to reach Kafka."""
CONNECT_TIMEOUT_S = 10.0


class ReplyReader:
    """Implements gateway.ports.Replies."""

    def __init__(self, settings: Settings, metrics: Metrics, waiters_max: int = WAITERS_MAX) -> None:
        self._settings = settings
        self._metrics = metrics
        self._topic = BY_NAME["replies"].full_name(settings.topic_prefix)
        self._waiters_max = waiters_max
        self._waiting: dict[bytes, asyncio.Future[Reply | None]] = {}
        self._deadlines: dict[float, Deadlines] = {}
        """Those of each length of a wait: a few of the settings."""
        self._partition = _own_partition(settings)
        self._next_offset: int | None = None
        self._unready: str | None = "not connected to Kafka yet"
        self._task: asyncio.Task[None] | None = None
        metrics.waiters = lambda: len(self._waiting)

    @property
    def partition(self) -> int:
        return self._partition

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def unready(self) -> str | None:
        if self._task is not None and self._task.done():
            return "the reader of replies ended"
        return self._unready

    def start(self) -> None:
        self._task = asyncio.create_task(self._read(), name="gateway-replies")

    async def stop(self) -> None:
        self.release_all()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def wait(self) -> None:
        """Returns when the reader was stopped. Raises the unforeseen error that ended it before."""
        if self._task is not None:
            await asyncio.shield(self._task)

    def expect(self, event: str, wait_s: float) -> asyncio.Future[Reply | None]:
        if len(self._waiting) >= self._waiters_max:
            raise Overloaded(f"{len(self._waiting)} requests wait for a reply")
        deadlines = self._deadlines.get(wait_s)
        if deadlines is None:
            deadlines = self._deadlines[wait_s] = Deadlines(asyncio.get_running_loop(), wait_s, self._late)
        key = event.encode()
        future = self._waiting[key] = deadlines.loop.create_future()
        deadlines.add(future, key)
        return future

    def forget(self, event: str) -> None:
        self._settle(event.encode(), None)

    def release_all(self) -> None:
        """Ends all futures with None, as if no reply had come in time; for a gateway that stops."""
        for key in list(self._waiting):
            self._settle(key, None)

    def _late(self, _future: asyncio.Future[Reply | None], key: bytes) -> None:
        self._settle(key, None)

    def _settle(self, key: bytes, reply: Reply | None) -> None:
        future = self._waiting.pop(key, None)
        if future is not None and not future.done():
            future.set_result(reply)

    async def _read(self) -> None:
        while True:
            consumer = clients.consumer(self._settings, CLIENT_ID)
            try:
                with clients.cancelled_calls_fail():
                    await self._follow(consumer)
            except (KafkaError, OSError, TimeoutError) as error:
                log.debug("replies cannot be read now: %r", error)
            finally:
                await clients.close(consumer)
            await asyncio.sleep(RETRY_S)

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await consumer.start()
            followed = TopicPartition(self._topic, self._partition)
            if self._next_offset is None:
                # Only Sluice writes replies, and never in a transaction: one that hangs must not stop all callers.
                self._next_offset = (await ends_beside_transactions(consumer, [followed]))[followed]
        tail = Tail(consumer, followed, self._next_offset)
        self._unready = None
        while True:
            try:
                records = await tail.next()
            except OffsetOutOfRangeError:
                self._next_offset = None  # retention took what was not read in time, so nobody waits for it any more
                raise
            for record in records:
                self._on_record(record)
            self._next_offset = tail.offset

    def _on_record(self, record: Any) -> None:
        """Ends the future that waits for this reply. A reply without one is not even decoded."""
        if record.key not in self._waiting:
            return
        try:
            reply = decode_reply(record.value)
        except Exception as error:  # noqa: BLE001 - whatever it holds, others wait for the replies behind it
            UNREADABLE.note("replies", record.key, error, partition=self._partition, offset=record.offset)
            return
        self._metrics.count_reply(reply.verdict.value)
        self._settle(record.key, reply)


def _own_partition(settings: Settings) -> int:
    """The configured partition, else one that is the same after a restart of this gateway on this host. Gateways that
    share a port have the ones behind each other."""
    partitions = BY_NAME["replies"].partitions or settings.partitions
    if settings.reply_partition is not None:
        return (settings.reply_partition + settings.gateway_number) % partitions
    name = f"{socket.gethostname()}:{settings.gateway_port}".encode()
    first = int.from_bytes(hashlib.blake2b(name, digest_size=4).digest(), "big")
    return (first + settings.gateway_number) % partitions
