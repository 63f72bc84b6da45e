"""Sends the requests of a shard's lanes, and records their outcomes. The steps of an attempt, in order:

1. the dispatcher takes its permits, which are durable; what a relay is sent before is reported, durably, too;
2. the request is sent, and its answer classified;
3. a Retry-After, or a limit that the answer calls spent, closes the gate in memory, then durably;
4. the attempt, the order's outcome and the changed entry become durable, in one commit;
5. only then does the lane take its next step.

A crash between 2 and 4 sends the request again, with the same delivery id.
"""

from __future__ import annotations

import logging
from bisect import insort
from collections.abc import Callable, Coroutine, Sequence
from itertools import count
from typing import Any

from streams.delivery import metrics
from streams.delivery.admission.admission import Admission, Flight
from streams.delivery.admission.bytes_in_flight import LARGE_BYTES
from streams.delivery.attempts.attempt import expire, finish
from streams.delivery.attempts.doubt import as_taken
from streams.delivery.attempts.gaps import abandon, watermark
from streams.delivery.attempts.results import Finished
from streams.delivery.attempts.retry_schedule import schedule_of
from streams.delivery.destinations import taken_forms_of, when_dead_of
from streams.delivery.dispatch.metrics import DispatcherGauges
from streams.delivery.dispatch.shard import Shard, ShardSender, Worker
from streams.delivery.lanes.lane import Lane
from streams.delivery.lanes.lane_set import LaneSet
from streams.delivery.lanes.ready_queue import LaneTurn
from streams.delivery.lanes.spilled import SpilledLanes
from streams.delivery.lanes.steps import Send
from streams.delivery.outbox import reports
from streams.delivery.outbox.records import OUTBOX, OutboxEntry, timeout_s
from streams.delivery.ports import AttemptResult, Call, Withheld
from streams.delivery.subscribers.health import NOTHING_TO_NOTE, SubscriptionHealth
from streams.delivery.tasks import Spawn
from streams.runtime.role import Change, Table
from topics.records.deliveries import NO_BODY, DeliveryRequest
from topics.records.keys import entry_key
from topics.subscriptions.model import KINDS

WITHHELD_MS = 60_000
"""Between two tries of requests that cannot be sent from here: a secret that cannot be read may have ended by then."""

WITHOUT_ROOM_MS = 10_000
"""How long a lane whose large request got no room rests, unless room is reported to it before: each look at it decodes
the request, and there may be hundreds of 4 MiB."""

log = logging.getLogger(__name__)


class LaneRequests:
    """`withheld_until_ms`: before then nothing is sent, because it could not be signed or addressed from here."""

    def __init__(
        self,
        shard: Shard,
        worker: Worker,
        *,
        outbox: Table,
        spilled: SpilledLanes,
        admission: Admission,
        sender: ShardSender,
        gauges: DispatcherGauges,
        health: SubscriptionHealth | None,
        spawn: Spawn,
        pause: Callable[[], None],
        wake: Callable[[], None],
    ) -> None:
        """`health` None: a far side, which is never disabled. `pause` stops the sending to a subscription that was
        disabled."""
        self.withheld_until_ms = 0
        self.lanes = LaneSet(
            outbox,
            spilled,
            worker.clock.now_ms,
            expire=self._begin_expiry,
            withdraw=lambda entry: spawn(self._withdraw(entry)),
            wake=wake,
        )
        self._shard = shard
        self._partition = shard.partition
        self._outbox = outbox
        self._admission = admission
        self._sender = sender
        self._gauges = gauges
        self._health = health
        self._spawn = spawn
        self._pause = pause
        self._worker = worker
        self._clock = worker.clock
        self._schedule = schedule_of(shard.config)
        self._when_dead = when_dead_of(shard.config)
        self._taken_forms = taken_forms_of(shard.config)
        self._owned_since_ms = worker.clock.now_ms()
        self._withheld = False
        self._bytes = worker.bytes_in_flight.share(self._on_room)
        self._parked: list[tuple[LaneTurn, int]] = []
        """Lanes whose large request got no room, in the order in which they began to wait for it, each with the size of
        that request."""
        self._serial = count(1)

    def launch(self, turn: LaneTurn, now_ms: int) -> bool:
        """The lane's turn has come, and its permits are there. Returns False if its next step was another one at
        `now_ms`: it is scheduled again by the present time, which may be later."""
        lane, step = turn.lane, turn.lane.next_step(now_ms)
        if not isinstance(step, Send) or step.entry.request.touchpoint != turn.kind:
            self.lanes.schedule(lane)
            return False
        if not self._bytes.take(step.entry.request.size):
            self._park(lane, step.entry.request.size, now_ms)
            return True
        lane.parked = 0
        flight = self._admission.admit(turn.kind, lane.name, background=turn.background)
        self._begin(lane, step.entry, self._attempt(lane, step.entry, flight, step.passed))
        return True

    def _park(self, lane: Lane, size: int, now_ms: int) -> None:
        """The lane waits for room for its large request; others go meanwhile."""
        self.lanes.schedule(lane, not_before_ms=now_ms + WITHOUT_ROOM_MS)
        if self.lanes.is_in_memory(lane):
            lane.parked = lane.parked or next(self._serial)  # it may have gone on, and another have been faster
            insort(self._parked, (LaneTurn(lane, lane.ticket), size), key=lambda one: one[0].lane.parked)

    def _on_room(self) -> None:
        """Bytes were given back: as many lanes go on as have room now, in their order."""
        parked = [one for one in self._parked if one[0].is_current]
        fitting = self._bytes.fit(size for _, size in parked)
        self._parked = parked[fitting:]
        for turn, _ in parked[:fitting]:
            self.lanes.schedule(turn.lane)

    def close(self) -> None:
        """Everything ends at once."""
        self._parked.clear()
        self.lanes.close()
        self._bytes.close()

    def _begin(self, lane: Lane, entry: OutboxEntry, work: Coroutine[Any, Any, None]) -> None:
        self.lanes.begin(lane, entry)
        self._spawn(work)

    def _begin_expiry(self, lane: Lane, entry: OutboxEntry) -> None:
        self._begin(lane, entry, self._expire(lane, entry))

    async def _attempt(
        self, lane: Lane, entry: OutboxEntry, flight: Flight, passed: Sequence[OutboxEntry] = ()
    ) -> None:
        # One coroutine for all steps: each more between the task and what it waits for is passed through at each wait.
        try:
            if passed:
                await self._report_passed(entry, flight, passed)
            if self._admission.recall(flight):
                self.lanes.schedule(lane)
                return
            entry.watermark = watermark(entry, self._outbox)
            try:
                health = self._health
                revision = 0 if health is None else health.present_revision()
                result = await self._sender.send(self._call(entry), flight)
                if self._withheld:
                    self._set_withheld(withheld=False)
                now_ms = self._clock.now_ms()
                finished, superseded = self._finish(lane, entry, result, now_ms)
                noted = NOTHING_TO_NOTE if health is None else health.on_attempt(result, revision, now_ms)
                if noted.disabled is not None:
                    # Nothing leaves here until every worker knows it. After that the subscription index decides: when
                    # the commit ends, the subscription may be enabled again already.
                    self._pause()
                effects = (*finished.effects, *noted.effects)
                await self._worker.committer.commit(self._partition, effects, finished.changes)
                self._admission.permits.proved(now_ms)
                self._count(entry, finished)
            except Withheld as withheld:
                self._withhold(str(withheld))
                self.lanes.schedule(lane)
                return
            finally:
                self._admission.on_recorded(flight)
            for one in superseded:
                lane.remove(one.request.id)
            self._after(lane, entry, finished)
        finally:
            self._bytes.give_back(entry.request.size)

    async def _report_passed(self, relay: OutboxEntry, flight: Flight, passed: Sequence[OutboxEntry]) -> None:
        """Report what a relay is sent before, once for each, and durably before it is sent: a crash cannot hide it."""
        new = [notice for notice in passed if notice.request.id not in relay.passed]
        if not new:
            return
        now_ms = self._clock.now_ms()
        relay.passed += [notice.request.id for notice in new]
        effects = [reports.overtaken(notice, relay, now_ms) for notice in new]
        noted = Change(OUTBOX, entry_key(relay.request.lane, relay.request.id), relay.encode())
        try:
            await self._worker.committer.commit(self._partition, effects, (noted,))
        except BaseException:
            self._admission.give_back(flight)
            raise

    def _call(self, entry: OutboxEntry) -> Call:
        request = entry.request
        return Call(
            touchpoint=KINDS[request.touchpoint],
            destination=self._shard.destination,
            channel=request.channel,
            body=_text_of(request),
            entity=request.entity,
            subject=request.subject,
            delivery_id=request.id,
            attempt=entry.attempts + 1,
            sequence=request.sequence,
            previous_sequence=entry.previous,
            watermark=entry.watermark or 0,
            redrive=entry.redrive,
            timeout_s=timeout_s(request, self._shard.config.timeout_s, self._clock.now_ms()),
            traceparent=request.cause,
        )

    def _finish(
        self, lane: Lane, entry: OutboxEntry, result: AttemptResult, now_ms: int
    ) -> tuple[Finished, Sequence[OutboxEntry]]:
        """The attempt's outcome, and the requests behind it that it supersedes."""
        where, policy = self._partition, self._when_dead
        result = self._judge_doubt(entry, result)
        finished = finish(entry, result, self._schedule, now_ms, self._worker.random, partition=where, when_dead=policy)
        return abandon(entry, finished, self._outbox, lane.behind, now_ms=now_ms, partition=where)

    def _judge_doubt(self, entry: OutboxEntry, result: AttemptResult) -> AttemptResult:
        """A refusal that tells of an earlier success counts as that success."""
        if self._taken_forms is None:
            return result
        judged = as_taken(entry, result, self._taken_forms, self._owned_since_ms)
        if judged.taken_before:
            request = entry.request
            metrics.TAKEN_BEFORE.labels(request.destination, request.touchpoint).inc()
            log.warning(
                "delivery.taken_before destination=%s touchpoint=%s id=%s attempt=%d status=%s: it counts as delivered",
                request.destination,
                request.touchpoint,
                request.id,
                entry.attempts + 1,
                result.status,
            )
        return judged

    def _withhold(self, why: str) -> None:
        """No attempt was made, and none is made for a while: it would end the same."""
        now_ms = self._clock.now_ms()
        if now_ms >= self.withheld_until_ms:
            shard = self._shard
            log.error(
                "delivery.withheld destination=%s shard=%d, its requests wait: %s", shard.destination, shard.number, why
            )
        self.withheld_until_ms = now_ms + WITHHELD_MS
        self._set_withheld(withheld=True)

    def _set_withheld(self, *, withheld: bool) -> None:
        self._withheld = withheld
        self._gauges.set_withheld(withheld=withheld)

    async def _withdraw(self, entry: OutboxEntry) -> Finished:
        finished = expire(entry, self._clock.now_ms())
        await self._worker.committer.commit(self._partition, finished.effects, finished.changes)
        self._count(entry, finished)
        return finished

    async def _expire(self, lane: Lane, entry: OutboxEntry) -> None:
        self._after(lane, entry, await self._withdraw(entry))

    def _after(self, lane: Lane, entry: OutboxEntry, finished: Finished) -> None:
        if finished.leaves:
            lane.remove(entry.request.id)
        self.lanes.schedule(lane)

    def _count(self, entry: OutboxEntry, finished: Finished) -> None:
        self._sender.counters.count_outcome(entry.request, finished.kind, self._clock.now_ms())


def _text_of(request: DeliveryRequest) -> bytes | memoryview:
    """The request's members as JSON; a request without a body has none. A large one is not copied."""
    if request.body == NO_BODY:
        return b"{}"
    return bytes(request.body) if request.size < LARGE_BYTES else memoryview(request.body)
