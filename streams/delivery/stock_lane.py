"""One stock location of one channel: takes batches from its queue, sends them, makes known what became of them.

The steps of a call, in the order in which they happen:

1. the SKUs of the call become durable as doubtful (key `~flight|channel|location` on inventory.sent);
2. the call is sent by the destination's owner, and its answer classified;
3. what the channel acknowledged becomes durable on inventory.sent;
4. only then does the queue take these SKUs for clean.

A crash after 1 therefore sends the newest value of these SKUs again, also when the position is back at what was sent.
"""

from __future__ import annotations

import asyncio
import logging
import uuid

import orjson

from streams.delivery.ports import AttemptResult, Caller, Clock, ResponseClass
from streams.delivery.stock_calls import call_body, failed_skus, touchpoint_of
from streams.delivery.stock_metrics import DIRTY, DIRTY_AGE_MS_MAX, SKUS
from streams.delivery.stock_queue import Batch, StockQueue
from streams.runtime.role import Change, Committer
from topics.keys import join, position_key
from topics.positions import FLIGHT

SENT = "inventory.sent"
MAY_STILL_ARRIVE = frozenset({None, 408, 502, 504})
"""Answers (None: no answer) after which the call may still be on its way behind a proxy."""
NOT_ABOUT_THE_SKUS = frozenset({401, 403, 404, 405, 410})
"""Refusals that name the address or the key, not the body: halving the batch would not mend them."""
SHOWN_EVERY_MS = 1_000
"""How often the gauges follow: the age of the oldest costs a look at every waiting SKU."""
NAMED_MAX = 20
"""SKUs named in one log line; the rest is counted."""

log = logging.getLogger(__name__)


def flight_key(channel: str, location: str) -> bytes:
    return join(FLIGHT, channel, location)


class StockLane:
    """`run` sends until it is cancelled. One call at a time, so two calls for a SKU never race."""

    def __init__(
        self,
        *,
        channel: str,
        location: str,
        partition: int,
        queue: StockQueue,
        recorded: set[str],
        caller: Caller,
        committer: Committer,
        clock: Clock,
    ) -> None:
        """`recorded`: the SKUs that are durable as doubtful."""
        self._channel = channel
        self._location = location
        self._partition = partition
        self._queue = queue
        self._recorded = recorded
        self._caller = caller
        self._committer = committer
        self._clock = clock
        self._wake = asyncio.Event()
        self._stopping = False
        self._shown_ms = 0
        self._dirty = DIRTY.labels(channel, location)
        self._age = DIRTY_AGE_MS_MAX.labels(channel, location)

    def changed(self, sku: str) -> None:
        self._queue.changed(sku, self._clock.now_ms())
        self._wake.set()

    def stop(self) -> None:
        """No further call; the one in the air may end."""
        self._stopping = True
        self._wake.set()

    def forget(self) -> None:
        """The location is another worker's now: what this one last showed is no longer true."""
        DIRTY.remove(self._channel, self._location)
        DIRTY_AGE_MS_MAX.remove(self._channel, self._location)

    async def run(self) -> None:
        while not self._stopping:
            self._wake.clear()
            batch = self._queue.take(self._clock.now_ms())
            self._show()
            if batch is not None:
                await self._send(batch)
            elif self._queue.doubtful() != self._recorded:
                await self._record(self._queue.doubtful())
            else:
                await self._clock.wait(self._wake, self._queue.next_ms())

    async def _send(self, batch: Batch) -> None:
        doubtful = self._queue.doubtful()
        if not doubtful <= self._recorded:
            await self._record(doubtful)
        result = await self._caller.call(
            touchpoint_of(self._location),
            self._channel,
            call_body(self._location, batch.items.values()),
            weight=1.0 if batch.urgent else 0.0,
            delivery_id=uuid.uuid4().hex,
        )
        failed = failed_skus(result.body, batch.items) if result.kind is ResponseClass.DELIVERED else set()
        if result.kind is ResponseClass.DELIVERED:
            acknowledged = [self._sent(sku, value) for sku, value in batch.items.items() if sku not in failed]
            await self._committer.commit(self._partition, (), acknowledged)
        self._end(result, failed)
        self._report(batch, result, failed)

    def _end(self, result: AttemptResult, failed: set[str]) -> None:
        now_ms = self._clock.now_ms()
        not_before_ms = result.not_before_ms or 0
        if result.kind is ResponseClass.DELIVERED:
            self._queue.answered(failed, result.at_ms, now_ms)
        elif result.status in MAY_STILL_ARRIVE:
            self._queue.failed(now_ms, lost_since_ms=result.at_ms, not_before_ms=not_before_ms)
        elif result.kind is ResponseClass.THROTTLED or result.status in NOT_ABOUT_THE_SKUS:
            self._queue.throttled(now_ms, not_before_ms)
        elif result.kind is ResponseClass.REFUSED:
            self._queue.refused(now_ms)
        else:
            self._queue.failed(now_ms, not_before_ms=not_before_ms)

    async def _record(self, doubtful: set[str]) -> None:
        value = orjson.dumps(sorted(doubtful)) if doubtful else None
        change = Change(SENT, flight_key(self._channel, self._location), value)
        await self._committer.commit(self._partition, (), [change])
        self._recorded = doubtful

    def _sent(self, sku: str, value: bytes) -> Change:
        return Change(SENT, position_key(self._channel, self._location, sku), value)

    def _show(self) -> None:
        now_ms = self._clock.now_ms()
        if len(self._queue) and now_ms - self._shown_ms < SHOWN_EVERY_MS:
            return
        self._shown_ms = now_ms
        since_ms = self._queue.dirty_since_ms()
        self._dirty.set(len(self._queue))
        self._age.set(0 if since_ms is None else now_ms - since_ms)

    def _report(self, batch: Batch, result: AttemptResult, failed: set[str]) -> None:
        skus, good = len(batch.items), len(batch.items) - len(failed)
        if result.kind is ResponseClass.DELIVERED:
            SKUS.labels(self._channel, "acknowledged").inc(good)
            SKUS.labels(self._channel, "failed").inc(len(failed))
        else:
            SKUS.labels(self._channel, result.kind.value).inc(skus)
        is_well = result.kind is ResponseClass.DELIVERED and not failed
        log.log(
            logging.INFO if is_well else logging.WARNING,
            "stock.sent channel=%s location=%s skus=%d failed=%d named=%s waiting=%d "
            "result=%s status=%s took_ms=%.0f error=%s",
            self._channel,
            self._location,
            skus,
            len(failed),
            ",".join(sorted(failed)[:NAMED_MAX]),
            len(self._queue),
            result.kind.value,
            result.status,
            result.took_ms,
            result.error or result.message,
        )
