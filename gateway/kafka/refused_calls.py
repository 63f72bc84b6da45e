"""Refused calls that never became a command: told to the orders role, which keeps them in the order's history.

That is done after the answer, by one task, one record at a time: it never delays an answer, and a refusal costs no more
than the answer does. Equal refusals that wait are one record with a count.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import orjson

from gateway.http.metrics import Metrics
from gateway.ports import Clock, Outgoing, Overloaded, Producer, RecordTooLarge, Unavailable
from topics.records.envelope import CALL_REFUSED, GATEWAY_SOURCE, role_headers

log = logging.getLogger(__name__)

WAITING_MAX = 1_000
"""Refused calls of one channel that wait to be told, some 600 KB: a bad day's orders that come at once. Beyond it they
are counted, and are in the access log alone."""
PER_S = 50.0
"""Told of one channel in a second: what a marketplace mends by hand is less, and a client that repeats bad calls costs
the orders role no more than this."""
RETRY_S = 1.0
"""Between two attempts while Kafka does not take the record."""
STOP_S = 1.0
"""For those that wait when the gateway stops."""
LOG_EVERY_S = 10.0
"""One line about those that were not told in so many seconds."""


@dataclass(frozen=True, slots=True)
class EntityRefusal:
    """A refusal as one order or return knows it: equal ones become one record. `code`: of the entity, under `key`."""

    key: bytes
    code: str
    touchpoint: str
    status: int
    error: str
    reason: str


@dataclass(slots=True)
class _Calls:
    """The calls of one refusal: how many, when, and the last one's event id and caller."""

    count: int
    first_ms: int
    last_ms: int
    event: str
    address: str


@dataclass(slots=True)
class _ChannelCalls:
    name: str
    waiting: dict[EntityRefusal, _Calls]
    free_at: float = 0.0
    """When its next record may be written, in seconds of the loop's clock."""


class RefusedCalls:
    """Tells the orders role of refused calls."""

    def __init__(
        self,
        producer: Producer,
        now_ms: Clock,
        metrics: Metrics,
        waiting_max: int = WAITING_MAX,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._producer = producer
        self._now_ms = now_ms
        self._waiting_max = waiting_max
        self._clock = clock
        self._turns: deque[_ChannelCalls] = deque()
        """Channels that have something to tell, the next one first."""
        self._channels: dict[str, _ChannelCalls] = {}
        self._task: asyncio.Task[None] | None = None
        self._left_out: dict[str, int] = {}
        """By channel: refused calls that were not told."""
        metrics.refused_calls_left_out = self._left_out
        self._logged_at = 0.0

    def note(self, channel: str, refusals: Iterable[EntityRefusal], event: str, address: str) -> None:
        """Has refusals of one call told. Returns at once."""
        now_ms = self._now_ms()
        of = self._channels.get(channel)
        if of is None:
            of = self._channels[channel] = _ChannelCalls(channel, {})
        for refusal in refusals:
            known = of.waiting.get(refusal)
            if known is not None:
                known.count += 1
                known.last_ms, known.event, known.address = now_ms, event, address
            elif len(of.waiting) >= self._waiting_max:
                self._leave_out(channel, 1)
            else:
                if not of.waiting:
                    self._turns.append(of)
                of.waiting[refusal] = _Calls(1, now_ms, now_ms, event, address)
        if self._turns and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._tell_all(), name="refused-calls")

    async def stop(self, *_app: object) -> None:
        """Tells what waits, for a moment."""
        task = self._task
        if task is not None:
            await asyncio.wait([task], timeout=STOP_S)
            task.cancel()
            await asyncio.wait([task])
        for channel in self._channels.values():
            self._leave_out(channel.name, sum(calls.count for calls in channel.waiting.values()))

    async def _tell_all(self) -> None:
        """Ends when nothing waits."""
        while self._turns:
            channel = self._turns.popleft()
            wait_s = channel.free_at - self._clock()
            if wait_s > 0:
                ready = next((other for other in self._turns if other.free_at <= self._clock()), None)
                if ready is None:
                    await asyncio.sleep(wait_s)
                else:
                    self._turns.remove(ready)
                    self._turns.appendleft(channel)
                    channel = ready
            refusal = next(iter(channel.waiting))
            calls = channel.waiting.pop(refusal)
            channel.free_at = self._clock() + 1 / PER_S
            if channel.waiting:
                self._turns.append(channel)
            await self._tell(channel.name, refusal, calls)

    async def _tell(self, channel: str, refusal: EntityRefusal, calls: _Calls) -> None:
        """Until it is durable. Told twice under the same event id, it counts once."""
        record = _record(channel, refusal, calls)
        while True:
            try:
                await self._producer.produce(record)
            except (Unavailable, Overloaded):
                await asyncio.sleep(RETRY_S)
            except RecordTooLarge:
                self._leave_out(channel, calls.count)
                return
            except BaseException:
                self._leave_out(channel, calls.count)
                raise
            else:
                return

    def _leave_out(self, channel: str, count: int) -> None:
        if not count:
            return
        self._left_out[channel] = self._left_out.get(channel, 0) + count
        now = self._clock()
        if now >= self._logged_at + LOG_EVERY_S:
            self._logged_at = now
            log.warning(
                "refused_calls.left_out channel=%s calls=%d: they are in the access log, not in their orders' history",
                channel,
                self._left_out[channel],
            )


def _record(channel: str, refusal: EntityRefusal, calls: _Calls) -> Outgoing:
    told: Mapping[str, str | int] = {
        "touchpoint": refusal.touchpoint,
        "subject": refusal.code,
        "status": refusal.status,
        "code": refusal.error,
        "reason": refusal.reason,
        "count": calls.count,
        "firstAtMs": calls.first_ms,
        "lastAtMs": calls.last_ms,
        "eventId": calls.event,
        "source": GATEWAY_SOURCE,
        "address": calls.address,
    }
    headers = role_headers(calls.event, CALL_REFUSED, GATEWAY_SOURCE, channel, refusal.code, calls.last_ms)
    return Outgoing("orders.commands", refusal.key, orjson.dumps(told), headers)
