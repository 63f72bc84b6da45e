"""The sender of one stock location of one channel: makes calls of what its queue gives, and records how they ended.

The steps of a call, in the order in which they happen:

1. its turn has come (streams/delivery/stock/scheduler.py), and the queue gives the newest of what is most urgent;
2. the SKUs of the call become durable as doubtful (streams/delivery/stock/in_doubt.py);
3. the call is sent in its slot of the destination, and its answer classified;
4. what the channel acknowledged becomes durable on inventory.sent, and that there is no doubt about it any more;
5. only then does the queue take these SKUs for clean.

A crash after 2 therefore sends the newest value of these SKUs again, also when the position is back at what was sent.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from enum import IntEnum

from msgspec.structs import replace

from streams.delivery.clock import NEVER
from streams.delivery.metrics import UNUSABLE
from streams.delivery.ports import AnswerFault, AttemptResult, Recalled, ResponseClass, Slot
from streams.delivery.stock.budget import StockBudget
from streams.delivery.stock.calls import (
    ALL_TAKEN,
    StockAnswer,
    call_body,
    may_have_taken_some,
    read_answer,
    touchpoint_of,
)
from streams.delivery.stock.in_doubt import InDoubtJournal
from streams.delivery.stock.metrics import DIRTY, DIRTY_AGE, OUT_OF_STOCK, SKUS
from streams.delivery.stock.ports import SENT, StockContext, StockFigures, StockReading
from streams.delivery.stock.queue.dirty_queue import Batch, DirtyQueue
from streams.runtime.role import Change
from topics.stock.position_map import Location, quantity_of

MAY_STILL_ARRIVE = frozenset({None, 408, 502, 504})
"""Answers (None: no answer) after which the call may still be on its way behind a proxy."""
BROKE_DOWN = frozenset({503})
"""Answers that may ask for a pause, from a channel that may have taken a part before it failed."""
NOT_ABOUT_THE_SKUS = frozenset({401, 403, 404, 405, 410})
"""Refusals that name the address or the key, not the body: halving the batch would not mend them."""
ABOUT_THE_SKUS = frozenset({AnswerFault.UNNAMED, AnswerFault.FAILED, AnswerFault.UNCLEAR})
"""Answers with a 2xx that tell of a failure and not of which SKU: smaller calls find it. Some may have been taken."""
NAMED_MAX = 20
"""SKUs named in one log line; the rest is counted."""

log = logging.getLogger(__name__)


class Standing(IntEnum):
    """Which line of the scheduler a location that is due waits in."""

    URGENT = 0
    ORDINARY = 1
    RESEND = 2


@dataclass(frozen=True, slots=True)
class StockCall:
    """A call of one location, whose SKUs are durable as doubtful."""

    location: LocationSender
    batch: Batch

    async def send(self, slot: Slot) -> AttemptResult | None:
        """None: it was recalled, and its SKUs wait again."""
        try:
            return await slot.send(call_body(self.location.location, self.batch.items.values()), uuid.uuid4().hex)
        except Recalled:
            self.location.recall(self.batch)
            return None

    async def settle(self, result: AttemptResult) -> None:
        await self.location.settle(self.batch, result)


class LocationSender:
    """Implements streams.delivery.stock.ports.StockLocation. Has no task of its own: the scheduler begins its calls."""

    def __init__(
        self,
        context: StockContext,
        *,
        channel: str,
        location: str,
        partition: int,
        concurrency: int,
        positions: Location,
        queue: DirtyQueue,
        journal: InDoubtJournal,
        budget: StockBudget,
        reading: StockReading | None,
        reschedule: Callable[[LocationSender], None],
    ) -> None:
        """`budget`: that of this location alone. `reschedule`: what it has to send, or when, may have changed."""
        self.channel = channel
        self.location = location
        self.partition = partition
        self.touchpoint = touchpoint_of(location)
        self.reading = reading
        self.standing: Standing | None = None
        """Where it waits for its turn; the scheduler sets it."""
        self.queue = queue
        self._context = context
        self._clock = context.clock
        self._concurrency = concurrency
        self._positions = positions
        self._journal = journal
        self._budget = budget
        self._reschedule = reschedule
        self._paused = False
        self._beginning = 0
        self._spent_until_ms: float = 0
        self._changes = 0
        self._sent = 0
        DIRTY.labels(channel, location).set_function(lambda: len(self.queue))
        self._out_of_stock = OUT_OF_STOCK.labels(channel)
        DIRTY_AGE.labels(channel, location).set_function(self._age_s)

    # Life and changes

    def open(self) -> None:
        """All its positions have been compared; its first call may come."""
        self.queue.count_as_refused(self._context.listener.on_opened(self))
        self._changed()

    def on_position(self, sku: str) -> None:
        queue, standing = self.queue, self.standing
        self._changes += 1
        queue.compare(sku, self._clock.now_ms())
        is_placed = standing is Standing.URGENT or (standing is Standing.ORDINARY and not queue.is_urgent)
        if not is_placed or queue.has_refusal_changes or not len(queue):
            self._changed()

    def close(self) -> None:
        """The location is another worker's now: what this one last showed is no longer true."""
        DIRTY.remove(self.channel, self.location)
        DIRTY_AGE.remove(self.channel, self.location)
        self._context.listener.on_closed(self)

    # As a StockLocation

    def compare(self, skus: Iterable[str]) -> None:
        now_ms = self._clock.now_ms()
        for sku in skus:
            self.queue.compare(sku, now_ms)
        self._changed()

    def figures(self) -> StockFigures:
        return StockFigures(
            dirty=len(self.queue),
            resending=self.queue.resending,
            oldest_ms=self.queue.dirty_since_ms(),
            changes=self._changes,
            sent=self._sent,
            refused=self.queue.refusals,
            paused=self._paused,
        )

    def pause(self, *, paused: bool) -> None:
        self._paused = paused
        self._reschedule(self)

    def skus(self) -> list[str]:
        return list(self._positions.packed)

    def send_again(self, skus: Iterable[str]) -> None:
        self.queue.send_again(skus)
        self._changed()

    def resends(self, sku: str) -> bool:
        return self.queue.resends(sku)

    # Calls

    def due_ms(self) -> float:
        """When it may have a call to make; NEVER: only after something happens."""
        if self._paused or self._beginning + self.queue.in_flight >= self._concurrency:
            return NEVER
        next_ms = self.queue.next_ms()
        return NEVER if next_ms is None else max(next_ms, self._spent_until_ms)

    @property
    def calls_due(self) -> int:
        """How many calls it could begin now, when it is due."""
        return min(self._concurrency - self._beginning - self.queue.in_flight, self.queue.calls_due)

    async def begin(self) -> StockCall | None:
        """The next call, durable as doubtful; None: there is none now."""
        batch = await self._next_batch()
        self._reschedule(self)
        if batch is None:
            return None
        await self._commit(self._journal.begin(batch.items, self.queue.is_doubtful))
        return StockCall(self, batch)

    def recall(self, batch: Batch) -> None:
        """The call was not sent: its SKUs wait again."""
        self._release(None)
        self._journal.settle_later(batch.items)
        self.queue.returned(batch, self._clock.now_ms())
        self._changed()

    async def settle(self, batch: Batch, result: AttemptResult) -> None:
        """The call was sent and ended so."""
        self._release(result)
        answer = read_answer(result.body, batch.items) if result.kind is ResponseClass.DELIVERED else ALL_TAKEN
        if answer.fault:
            UNUSABLE.labels(self.channel, self.touchpoint.name, AnswerFault.UNNAMED).inc()
            result = replace(result, kind=ResponseClass.RETRY, error=answer.fault, fault=AnswerFault.UNNAMED)
        if result.kind is ResponseClass.DELIVERED:
            await self._acknowledge(batch, answer, result.at_ms)
        else:
            self._journal.settle_later(batch.items)
        self._end(batch, result, answer)
        self._log(batch, result, answer.failed)
        self._report_refusals(result)
        self._changed()

    # Inside

    async def _next_batch(self) -> Batch | None:
        self._beginning += 1
        try:
            spent_until_ms = await self._budget.spent_until_ms(self.touchpoint.name)
            if spent_until_ms is not None:
                self._spent_until_ms = spent_until_ms
                return None
            batch = self.queue.pop_batch(self._clock.now_ms())
            if batch is not None:
                self._budget.acquire(self.touchpoint.name)
            return batch
        finally:
            self._beginning -= 1

    def _release(self, result: AttemptResult | None) -> None:
        self._budget.release(self.touchpoint.name, result)
        self._spent_until_ms = 0

    async def _acknowledge(self, batch: Batch, answer: StockAnswer, started_ms: int) -> None:
        failed, in_doubt = answer.failed, answer.in_doubt
        acknowledged = [sku for sku in batch.items if sku not in failed]
        changes = [Change(SENT, self._positions.key(sku), batch.items[sku]) for sku in acknowledged]
        certain = [sku for sku in batch.items if sku not in in_doubt] if in_doubt else batch.items
        settled = [sku for sku in certain if self.queue.ends_doubt(sku, started_ms, took=sku not in failed)]
        self._journal.settle_later(in_doubt)
        await self._commit([*changes, *self._journal.settle(settled)])
        self._sent += len(acknowledged)
        now_ms = self._clock.now_ms()
        for sku in acknowledged:
            if not quantity_of(batch.items[sku]):
                self._out_of_stock.observe(max(0, now_ms - self.queue.since_ms(sku)) / 1000)
        self._context.listener.on_acknowledged(self, acknowledged)

    def _end(self, batch: Batch, result: AttemptResult, answer: StockAnswer) -> None:
        now_ms = self._clock.now_ms()
        not_before_ms = result.not_before_ms or 0
        if result.kind is ResponseClass.DELIVERED:
            self.queue.answered(batch, answer.failed, result.at_ms, now_ms, in_doubt=answer.in_doubt)
        elif result.fault in ABOUT_THE_SKUS:
            self.queue.refused(batch, now_ms, in_doubt=True)
        elif result.status in MAY_STILL_ARRIVE:
            self.queue.failed(batch, now_ms, lost_since_ms=result.at_ms, not_before_ms=not_before_ms)
        elif result.kind is ResponseClass.THROTTLED or result.status in NOT_ABOUT_THE_SKUS:
            self.queue.throttled(batch, now_ms, not_before_ms, in_doubt=result.status in BROKE_DOWN)
        elif result.kind is ResponseClass.REFUSED:
            self.queue.refused(batch, now_ms, in_doubt=may_have_taken_some(result.status, result.body))
        else:
            self.queue.failed(batch, now_ms, not_before_ms=not_before_ms)

    async def _commit(self, changes: list[Change]) -> None:
        began_ms = self._clock.now_ms()
        await self._context.committer.commit(self.partition, (), changes)
        self._budget.proved(began_ms)

    def _changed(self) -> None:
        if self.queue.has_refusal_changes:
            self._report_refusals(None)
        self._reschedule(self)

    def _report_refusals(self, result: AttemptResult | None) -> None:
        """Reports new and ended refusals to the listener."""
        changes, listener = self.queue.pop_refusal_changes(), self._context.listener
        for refused in changes.refused:
            listener.on_refused(
                self,
                refused.sku,
                failures=refused.failures,
                since_ms=refused.since_ms,
                status=None if result is None else result.status,
                words=(result.message or result.error or "not taken") if result is not None else "not taken",
            )
        for sku in changes.accepted:
            listener.on_accepted(self, sku)

    def _age_s(self) -> float:
        since_ms = self.queue.dirty_since_ms()
        return 0.0 if since_ms is None else (self._clock.now_ms() - since_ms) / 1000

    def _log(self, batch: Batch, result: AttemptResult, failed: Collection[str]) -> None:
        skus, good = len(batch.items), len(batch.items) - len(failed)
        if result.kind is ResponseClass.DELIVERED:
            SKUS.labels(self.channel, "acknowledged").inc(good)
            SKUS.labels(self.channel, "failed").inc(len(failed))
        else:
            SKUS.labels(self.channel, result.kind.value).inc(skus)
        is_well = result.kind is ResponseClass.DELIVERED and not failed
        log.log(
            logging.INFO if is_well else logging.WARNING,
            "stock.sent channel=%s location=%s skus=%d failed=%d named=%s waiting=%d "
            "result=%s status=%s took_ms=%.0f error=%s",
            self.channel,
            self.location,
            skus,
            len(failed),
            ",".join(sorted(failed)[:NAMED_MAX]),
            len(self.queue),
            result.kind.value,
            result.status,
            result.took_ms,
            result.message or result.error,
        )
