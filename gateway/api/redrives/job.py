"""A redrive: chooses requests that were given up, sends them again, and counts what becomes of them.

1. It reads deliveries.dead up to where its preview did, and chooses. Where the letters are others than those shown,
   nothing is sent.
2. It reads the chosen requests again, one after the other, and writes them to deliveries.requests; at most
   ON_THEIR_WAY_MAX are without an outcome at a time. Outcomes are read from deliveries.dead as they are written.

Its state is in the topics alone. If the gateway dies, another redrive sends the requests that have no outcome yet;
delivery accepts a request once for each time that it was given up (streams/delivery/outbox/intake.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.api.dead_letters import DeadLetter, read, starts_of
from gateway.api.jobs import AnyJob
from gateway.api.redrives.selection import Choice, Chosen, IsOpen
from gateway.api.steps.letters import ShownLetters, choose_again
from gateway.ports import Clock, Log, LogReading, LogRecord, Outgoing, Overloaded, Producer, Unavailable
from topics.api.redrives import RedriveAsked, RedriveDocument, RedriveGroup
from topics.records.deliveries import Conclusion
from topics.records.envelope import DELIVERY_REDRIVE, GATEWAY_SOURCE, event_headers
from topics.records.keys import destination_partition

ON_THEIR_WAY_MAX = 100
"""Requests that were sent and have no outcome yet. They still leave after a stop: at Increff's 200 a minute, for half a
minute."""
PAUSE_S = 0.5
"""Between attempts to reach Kafka."""


@dataclass(slots=True)
class Job(AnyJob):
    """A redrive and its counters, as RedriveDocument explains them."""

    asked: RedriveAsked
    created_ms: int
    shown: ShownLetters
    found: int = 0
    left: int = 0
    more: bool = False
    groups: list[RedriveGroup] = field(default_factory=list)
    sent: int = 0
    delivered: int = 0
    dead_again: int = 0
    not_taken: int = 0
    waiting: dict[str, int] = field(default_factory=dict)
    """Requests that were sent and have no outcome yet: id -> its attempts when it was given up."""

    def document(self) -> RedriveDocument:
        return RedriveDocument(
            id=self.id,
            state=self.state,
            asked=self.asked,
            createdMs=self.created_ms,
            found=self.found,
            left=self.left,
            more=self.more,
            groups=self.groups,
            sent=self.sent,
            delivered=self.delivered,
            deadAgain=self.dead_again,
            notTaken=self.not_taken,
            onTheirWay=len(self.waiting),
            message=self.message,
        )


class Redriver:
    """Runs redrives."""

    def __init__(self, dead: Log, producer: Producer, is_open: IsOpen, partitions: int, now_ms: Clock) -> None:
        self._dead = dead
        self._producer = producer
        self._is_open = is_open
        self._partitions = partitions
        self._now_ms = now_ms

    async def run(self, job: Job) -> None:
        """Runs a redrive to its end. The job says what went wrong."""
        await job.run_to_end(self._run(job), "redrive", "start another redrive")

    async def _run(self, job: Job) -> None:
        choice = Choice(job.asked, self._is_open)
        differs = await choose_again(self._dead, choice, job.shown, job.stop)
        job.found, job.left, job.more, job.groups = len(choice.chosen), choice.left, choice.more, choice.groups()
        if differs:
            job.refuse(differs)
        if differs or not choice.chosen:
            return
        job.state = "sending" if not job.stop.is_set() else "stopping"
        chosen = {(one.partition, one.offset): name for name, one in choice.chosen.items()}
        starts = starts_of(chosen)
        async with self._dead.reading(starts) as letters, self._dead.reading() as news:
            letters.seek(starts)
            news.seek(job.shown.ends)
            while chosen and not letters.at_end and not job.stop.is_set():
                await self._send_some(job, await letters.next(), chosen, choice.chosen, news)
            while job.waiting and not job.stop.is_set():
                await self._read_outcomes(job, news, choice.chosen, wait=True)

    async def _send_some(
        self,
        job: Job,
        records: Sequence[tuple[int, LogRecord]],
        offsets: dict[tuple[int, int], str],
        chosen: dict[str, Chosen],
        news: LogReading,
    ) -> None:
        for partition, record in records:
            name = offsets.pop((partition, record.offset), None)
            letter = read(record) if name is not None else None
            if name is None or not isinstance(letter, DeadLetter):
                continue
            await self._read_outcomes(job, news, chosen, wait=False)
            while len(job.waiting) >= ON_THEIR_WAY_MAX and not job.stop.is_set():
                await self._read_outcomes(job, news, chosen, wait=True)
            if job.stop.is_set():
                return
            if name in chosen:
                job.waiting[name] = letter.attempts
                if await self._send(job, letter):
                    job.sent += 1

    async def _send(self, job: Job, letter: DeadLetter) -> bool:
        """Whether the request is on all in-sync replicas; False: the job was stopped before. Tries until then."""
        request = letter.request
        event = f"{request.id}:{letter.attempts}:{job.id}"
        headers = event_headers(
            event, DELIVERY_REDRIVE, GATEWAY_SOURCE, request.channel, request.subject, self._now_ms()
        )
        home = destination_partition(request.destination, request.shard, self._partitions)
        value = letter.redrive(job.id).encode()
        record = Outgoing("deliveries.requests", request.lane.encode(), value, headers, home)
        while not job.stop.is_set():
            try:
                await self._producer.produce(record)
            except (Unavailable, Overloaded) as error:
                job.message = f"Kafka does not take requests: {error}"
                await asyncio.sleep(PAUSE_S)
            else:
                job.message = ""
                return True
        return False

    @staticmethod
    async def _read_outcomes(job: Job, news: LogReading, chosen: dict[str, Chosen], *, wait: bool) -> None:
        """Counts outcomes of requests of this job. What has another outcome since the choice is not sent any more."""
        for _partition, record in await news.next(wait=wait):
            found = read(record)
            if isinstance(found, DeadLetter):
                name, ends = found.request.id, found.attempts > job.waiting.get(found.request.id, found.attempts)
                job.dead_again += ends
            elif found is not None:
                name, ends = found.request, found.request in job.waiting
                job.delivered += ends and found.how.settles
                job.not_taken += ends and found.how is Conclusion.NOT_TAKEN
            else:
                continue
            chosen.pop(name, None)
            if ends:
                del job.waiting[name]
