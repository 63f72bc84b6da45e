"""A resubmission of many in the background:

1. It reads deliveries.dead up to where its preview did, and chooses. Where the letters are others than those shown,
   nothing is sent.
2. It reads the chosen letters again and has each sent. At most ON_THEIR_WAY_MAX are without an answer of their far side
   at a time, so they leave room for live traffic; the orders' own lists say which are.

If the gateway dies, the job is lost. Another one goes on: each refused request is sent again once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.api.dead_letters import DeadLetter, read, starts_of
from gateway.api.jobs import AnyJob
from gateway.api.order_queries import ON_ITS_WAY
from gateway.api.resubmissions.asking import Asked, Asker, Operator
from gateway.api.resubmissions.selection import RefusedChoice, RefusedPlace, refusal_of
from gateway.api.steps.letters import ShownLetters, choose_again
from gateway.ports import Clock, Log, LogRecord, Overloaded, Unavailable
from topics.api.resubmissions import RefusedGroup, RefusedOfMany, ResubmissionDocument, ResubmittedDocument
from topics.configuration.channels import Channel
from topics.records.deliveries import DeliveryRequest

ON_THEIR_WAY_MAX = 50
"""Requests that were sent again and have no answer yet: at Increff's 200 a minute, those of a quarter of a minute. So
long do live Creates wait for them at most."""
ASKED_AT_ONCE = 20
"""Questions of a dry run, or about what has become of those on their way, that are out at a time."""
LOOK_EVERY_S = 1.0
"""Between two looks at those on their way."""
PAUSE_S = 0.5
"""Between attempts to reach Kafka."""
EXAMPLES_MAX = 20
"""Requests that are listed one by one: enough to see what is the matter."""

StateOf = Callable[[Channel, DeliveryRequest, str], Awaitable[str | None]]
"""Finds what has become of a request of this one's order: its status in the order's list; None: not listed any more."""


class Sent(NamedTuple):
    """A refused request, and the id of the one that takes its place."""

    request: DeliveryRequest
    new_id: str


@dataclass(slots=True)
class Resubmission(AnyJob):
    """A resubmission and its counters, as ResubmissionDocument explains them."""

    asked: RefusedOfMany
    created_ms: int
    shown: ShownLetters
    channel: Channel
    operator: Operator
    found: int = 0
    more: bool = False
    groups: list[RefusedGroup] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    delivered: int = 0
    refused_again: int = 0
    waiting: dict[str, Sent] = field(default_factory=dict)
    examples: list[ResubmittedDocument] = field(default_factory=list)

    def note(self, letter: DeadLetter, asked: Asked) -> None:
        """Count what came of one request. Examples are those that were not sent, and others while there is room."""
        self.counts[asked.outcome] = self.counts.get(asked.outcome, 0) + 1
        example = ResubmittedDocument(
            code=letter.request.subject,
            id=letter.request.id,
            touchpoint=letter.request.touchpoint,
            destination=letter.request.destination,
            refusedAtMs=letter.at_ms,
            refusal=refusal_of(letter),
            outcome=asked.outcome,
            message=asked.message,
            newId=asked.new_id,
        )
        is_plain = asked.outcome == "sent"
        if not is_plain:
            plain = next((n for n, one in enumerate(self.examples) if one.outcome == "sent"), None)
            if len(self.examples) >= EXAMPLES_MAX and plain is not None:
                del self.examples[plain]
        if len(self.examples) < EXAMPLES_MAX:
            self.examples.append(example)

    def document(self) -> ResubmissionDocument:
        counted = self.counts.get
        return ResubmissionDocument(
            id=self.id,
            state=self.state,
            asked=self.asked,
            createdMs=self.created_ms,
            found=self.found,
            more=self.more,
            groups=self.groups,
            possible=counted("sent", 0),
            sentBefore=counted("sent before", 0),
            notPossible=counted("not possible", 0),
            late=counted("late", 0),
            delivered=self.delivered,
            refusedAgain=self.refused_again,
            onTheirWay=len(self.waiting),
            examples=self.examples,
            message=self.message,
        )


class Resubmitter:
    """Runs resubmissions of many."""

    def __init__(self, dead: Log, asker: Asker, state_of: StateOf, now_ms: Clock) -> None:
        self._dead = dead
        self._asker = asker
        self._state_of = state_of
        self._now_ms = now_ms

    async def run(self, job: Resubmission) -> None:
        """Runs a resubmission to its end. The job says what went wrong."""
        await job.run_to_end(self._run(job), "resubmission", "start another one")

    async def _run(self, job: Resubmission) -> None:
        choice = RefusedChoice(job.asked)
        differs = await choose_again(self._dead, choice, job.shown, job.stop)
        job.found, job.more, job.groups = len(choice.chosen), choice.more, choice.groups()
        if differs:
            job.refuse(differs)
        if differs or not choice.chosen or job.stop.is_set():
            return
        job.state = "sending"
        places = {(one.partition, one.offset): one for one in choice.chosen.values()}
        starts = starts_of(places)
        async with self._dead.reading(starts) as letters:
            letters.seek(starts)
            while places and not letters.at_end and not job.stop.is_set():
                found = _chosen(await letters.next(), places)
                await self._send(job, found)
        while job.waiting and not job.stop.is_set():
            await self._read_states(job)

    async def _send(self, job: Resubmission, letters: Sequence[DeadLetter]) -> None:
        for letter in letters:
            while len(job.waiting) >= ON_THEIR_WAY_MAX and not job.stop.is_set():
                await self._read_states(job)
            if job.stop.is_set():
                return
            asked = await self._ask(job, letter)
            job.note(letter, asked)
            if asked.new_id is not None:
                job.waiting[asked.new_id] = Sent(letter.request, asked.new_id)

    async def _ask(self, job: Resubmission, letter: DeadLetter) -> Asked:
        """Tries until Kafka takes it, or the job is stopped."""
        while True:
            try:
                asked = await self._asker.ask(letter, job.channel, job.operator, dry=False)
            except (Unavailable, Overloaded) as error:
                job.message = f"Kafka does not take commands: {error}"
                if job.stop.is_set():
                    return Asked("late", "stopped before it was asked")
                await asyncio.sleep(PAUSE_S)
            else:
                job.message = ""
                return asked

    async def _read_states(self, job: Resubmission) -> None:
        """Ask what has become of those on their way, and count the ends."""
        waiting = list(job.waiting.values())
        for first in range(0, len(waiting), ASKED_AT_ONCE):
            part = waiting[first : first + ASKED_AT_ONCE]
            states = await asyncio.gather(*(self._state_of(job.channel, one.request, one.new_id) for one in part))
            for one, state in zip(part, states, strict=True):
                if state in ON_ITS_WAY:
                    continue
                del job.waiting[one.new_id]
                job.delivered += state == "delivered"
                job.refused_again += state == "refused"
        if job.waiting:
            await asyncio.sleep(LOOK_EVERY_S)


def _chosen(records: Sequence[tuple[int, LogRecord]], places: dict[tuple[int, int], RefusedPlace]) -> list[DeadLetter]:
    """The chosen letters among these records. They are taken out of `places`."""
    letters: list[DeadLetter] = []
    for partition, record in records:
        if places.pop((partition, record.offset), None) is not None:
            letter = read(record)
            if isinstance(letter, DeadLetter):
                letters.append(letter)
    return letters
