"""Kafka clients: every consumer, producer and admin client of Sluice is made here, so all connect in the same way."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError, KafkaError

from topics.configuration.settings import Settings
from topics.kafka import fetched_records
from topics.kafka.batches import compression, wire
from topics.kafka.catalogue import RECORD_BYTES_MAX
from topics.kafka.prompt_fetches import fetch_from_idle_nodes
from topics.kafka.time_outs import REPLICATED_S, bound_requests

log = logging.getLogger(__name__)

compression.install()
wire.install()
fetched_records.install()

FETCH_BACKOFF_S: Final = 0.005
"""aiokafka holds a node's next fetch back while any of its partitions has unread data; 0.1 s stalls 1 % of verdicts."""
CLOSE_S: Final = 2.0
"""For closing a reader. What is unsent to a broker that hangs would never leave, and a new connection is waited for."""
JOIN_GRACE_S: Final = 10.0
"""Waited beyond a group's rebalance time-out, in which slow members have to be back, for Kafka's answer to a join."""
BATCH_BYTES_MAX: Final = RECORD_BYTES_MAX - 1024
"""The largest batch that, with its framing, still fits a topic."""


class PromptConsumer(AIOKafkaConsumer):  # type: ignore[misc]  # aiokafka is untyped to mypy
    """A consumer that fetches again at once; the option of the fetcher is not in the consumer's public interface."""

    async def start(self) -> None:
        await super().start()
        self._fetcher._prefetch_backoff = FETCH_BACKOFF_S
        fetch_from_idle_nodes(self._fetcher)


class BatchProducer(AIOKafkaProducer):  # type: ignore[misc]  # as above
    """A producer that compresses large batches (topics/kafka/batches/compression.py)."""

    def __init__(self, *, max_batch_size: int, may_compress: bool, **options: Any) -> None:
        super().__init__(max_batch_size=max_batch_size, **options)
        self._batch_bytes = max_batch_size
        self._may_compress = may_compress
        self._sizes: compression.Sizes = {}

    def batch_of(self, topic: str, partition: int) -> compression.SizedBatch:
        """An empty batch for a topic partition; `send_batch` sends it."""
        place = (topic, partition)
        return compression.SizedBatch(self._batch_bytes, self._sizes, place, may_compress=self._may_compress)


@contextmanager
def cancelled_calls_fail() -> Iterator[None]:
    """Raises KafkaConnectionError for a CancelledError that nobody asked of this task.

    aiokafka cancels what waits for an answer on a connection that it closes, and its caller sees that as a cancellation
    of its own: a reader of a topic would end for good when a broker dies.
    """
    try:
        yield
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise KafkaConnectionError("the client closed the connection that the call waited on") from error


async def close(client: AIOKafkaConsumer | AIOKafkaProducer, timeout_s: float = CLOSE_S) -> None:
    """Stops a client within `timeout_s`. Kafka may be away meanwhile: nothing more is asked of it."""
    try:
        with cancelled_calls_fail():
            async with asyncio.timeout(timeout_s):
                await client.stop()
    except (KafkaError, OSError, TimeoutError) as error:
        log.debug("%s did not close cleanly: %r", type(client).__name__, error)


def consumer(
    settings: Settings,
    client_id: str,
    *,
    prompt: bool = False,
    offset_reset: str = "earliest",
    partition_fetch_bytes: int = RECORD_BYTES_MAX,
    rebalance_timeout_s: float = 0.0,
    **options: Any,
) -> AIOKafkaConsumer:
    """A consumer that commits no offsets by itself and belongs to no group unless `options` name one.

    Records of aborted Kafka transactions are not read, nor anything behind an open transaction before that ends.
    `end_offsets` are therefore those of what can be read. `prompt`: somebody waits for each record.
    `rebalance_timeout_s`: of its group, if it has one. `options` are aiokafka's own.
    """
    make = PromptConsumer if prompt else AIOKafkaConsumer
    made = make(
        **_connection(settings),
        client_id=client_id,
        request_timeout_ms=int(REPLICATED_S * 1000),
        rebalance_timeout_ms=int(rebalance_timeout_s * 1000) or None,
        enable_auto_commit=False,
        isolation_level="read_committed",
        auto_offset_reset=offset_reset,
        max_partition_fetch_bytes=partition_fetch_bytes,
        **options,
    )
    bound_requests(made._client, joining_s=rebalance_timeout_s + JOIN_GRACE_S)
    return made


def producer(
    settings: Settings,
    client_id: str,
    *,
    batch_bytes: int = BATCH_BYTES_MAX,
    idempotent: bool = True,
) -> BatchProducer:
    """A producer whose records are acknowledged by all in-sync replicas, and sent without waiting for more of them."""
    made = BatchProducer(
        **_connection(settings),
        may_compress=settings.compression == "zstd",
        client_id=client_id,
        acks="all",
        enable_idempotence=idempotent,
        linger_ms=0,
        max_batch_size=batch_bytes,
        max_request_size=RECORD_BYTES_MAX,
        request_timeout_ms=int(REPLICATED_S * 1000),
    )
    bound_requests(made.client)
    return made


def admin(settings: Settings, *, request_timeout_s: float) -> AIOKafkaAdminClient:
    return AIOKafkaAdminClient(**_connection(settings), request_timeout_ms=int(request_timeout_s * 1000))


def _connection(settings: Settings) -> Mapping[str, Any]:
    """How any client reaches Kafka."""
    return {"bootstrap_servers": settings.kafka}
