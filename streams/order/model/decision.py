"""One decision in the making: the entity, the event, and the effects so far.

Ids are made from the event's id and a count, so deciding again gives the same ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from streams.order.model import limits
from streams.order.model.canonical import id_digest
from streams.order.model.effects import Effect, PublishFact, RecordAnswer, ReplyTo, RequestDelivery, SendCommand
from streams.order.model.entities import Entity
from streams.order.model.events import Event, EventKind, kind_of_command
from streams.order.model.parts import Delivery, NotedFact, Relay, Waiter
from topics.contract.definition import AtDeadline, Direction, Touchpoint
from topics.contract.touchpoints import BY_NAME
from topics.records.keys import INCREFF, channel_destination, join, split
from topics.records.verdicts import Address, Reply, Verdict
from topics.values import value

EntityT = TypeVar("EntityT", bound=Entity)

AnswerLookup = Callable[[bytes], tuple[int | None, Any] | None]
"""The recorded answer under a key: its status and body, None when there is none."""


@value
class Ruling:
    """What an event comes to. `verdict` None: the answer of the far side, or of a forerunner, is awaited."""

    verdict: Verdict | None
    message: str = ""
    status: int | None = None
    body: Any = None
    kept: bool = False
    """EARLY, and the event is parked: it is not lost on its caller."""


APPLIED = Ruling(Verdict.APPLIED)
DUPLICATE = Ruling(Verdict.DUPLICATE)
PENDING = Ruling(None)


def refused(message: str) -> Ruling:
    return Ruling(Verdict.REFUSED, message)


def early(message: str) -> Ruling:
    return Ruling(Verdict.EARLY, message)


def failed(message: str) -> Ruling:
    return Ruling(Verdict.FAILED, message)


def conflict(message: str) -> Ruling:
    return Ruling(Verdict.CONFLICT, message)


PASSING = (Verdict.EARLY, Verdict.FAILED)
"""Verdicts that tell the caller to repeat. The same event again may get another: they are not remembered."""

NO_ROOM = f"{limits.DELIVERIES_MAX} requests already wait for their delivery; repeat later"


class NoRoomError(Exception):
    """The entity's list of deliveries is full of requests whose outcome is still to come."""


class Decision(Generic[EntityT]):
    """`entity` is the decision's own copy and may be changed."""

    __slots__ = ("effects", "entity", "event", "listed", "now_ms", "recall")

    def __init__(self, entity: EntityT, event: Event, now_ms: int, lookup: AnswerLookup) -> None:
        self.entity = entity
        self.event = event
        self.now_ms = now_ms
        self.recall = lookup
        self.effects: list[Effect] = []
        self.listed = False
        """Whether the list of deliveries changed, although nothing follows from it."""

    def within(self, event: Event) -> Decision[EntityT]:
        """The turn of another event of the same entity, as part of this decision."""
        decision = Decision(self.entity, event, self.now_ms, self.recall)
        decision.effects = self.effects
        return decision

    def resumed(
        self,
        event_id: str,
        touchpoint: str,
        body: dict[str, Any],
        *,
        kind: EventKind | None = None,
        offered: bool = True,
        reply_to: Address | None = None,
        deadline_ms: int | None = None,
    ) -> Decision[EntityT]:
        """The turn of an event that was kept for later, as it came. `kind`: of one that is no touchpoint's call."""
        entity = self.entity
        return self.within(
            Event(
                kind=kind or kind_of_command(touchpoint, body),
                id=event_id,
                channel=entity.channel,
                code=entity.code,
                key=entity.key,
                body=body,
                touchpoint=BY_NAME[touchpoint] if touchpoint else None,
                offered=offered,
                reply_to=reply_to,
                deadline_ms=deadline_ms,
            )
        )

    def answers_create(self) -> bool:
        """Whether its outcome is that of the present attempt to create the entity, not of one before a correction."""
        return self.event.outcome is not None and self.event.outcome.request == self.entity.request

    def fact(self, name: str, data: dict[str, Any], noted: dict[str, Any] | None = None) -> None:
        """Publish a fact under the entity's next number. `noted`: what the entity's own list keeps of it."""
        entity = self.entity
        entity.fact_sequence += 1
        sequence = entity.fact_sequence
        entity.facts.append(NotedFact(sequence, name, self.now_ms, noted or {}))
        del entity.facts[: -limits.FACTS_MAX]
        envelope = {
            "sequence": sequence,
            "channel": entity.channel,
            "atMs": self.now_ms,
            "sinceCreatedMs": self.now_ms - entity.created_ms,
        }
        self.effects.append(PublishFact(f"{self.event.id}.f{sequence}", name, {**envelope, **data}))

    def deliver(self, touchpoint: Touchpoint, body: dict[str, Any]) -> str:
        """Have a notification delivered later. Returns its request's id, empty when the channel switched it off.

        Raises NoRoomError: then nothing of the turn counts.
        """
        if not self.event.offered:
            return ""
        if not self.entity.has_room():
            raise NoRoomError
        return self._request(touchpoint, body, request_id(self.event.id), self.event.deadline_ms, relay=False)

    def ask(
        self,
        touchpoint: Touchpoint,
        body: dict[str, Any],
        key: str,
        *,
        event: str,
        reply_to: Address | None,
        deadline_ms: int | None,
        data: Any = None,
    ) -> Ruling:
        """Have a request delivered whose answer is awaited by `event`. It takes the place of one that is overdue."""
        former = self.entity.relay(touchpoint.name, key)
        if former is None and len(self.entity.relays) >= limits.RELAYS_MAX:
            return failed(
                f"{limits.RELAYS_MAX} requests already wait for the {touchpoint.far_side}'s answer; repeat later"
            )
        if not self.entity.has_room():
            return failed(NO_ROOM)
        request = self._request(touchpoint, body, self._asking_id(event), deadline_ms, relay=True)
        waiters = [] if reply_to is None else [Waiter(event, reply_to, deadline_ms)]
        relay = Relay(request, touchpoint.name, key, waiters, data, deadline_ms=deadline_ms)
        if former is not None:
            relay.former = former.request
            self.entity.relays.remove(former)
        self.entity.relays.append(relay)
        return PENDING

    def overdue(self, relay: Relay) -> bool:
        """Whether an outcome is not to be expected any more."""
        if relay.deadline_ms is None:
            return False
        withdrawn = BY_NAME[relay.touchpoint].at_deadline is AtDeadline.WITHDRAW
        margin_ms = limits.RELAY_MARGIN_MS if withdrawn else limits.RELAY_LOST_MS
        return self.now_ms > relay.deadline_ms + margin_ms

    def join(self, relay: Relay, event: str, reply_to: Address | None, deadline_ms: int | None) -> Ruling:
        """Wait for an answer that was already asked for. Callers that are gone by now make room."""
        if reply_to is None or any(waiter.event == event for waiter in relay.waiters):
            return PENDING
        gone_ms = self.now_ms - limits.RELAY_MARGIN_MS
        relay.waiters = [one for one in relay.waiters if one.deadline_ms is None or one.deadline_ms > gone_ms]
        if len(relay.waiters) >= limits.WAITERS_MAX:
            return failed("too many callers wait for this answer; repeat later")
        relay.waiters.append(Waiter(event, reply_to, deadline_ms))
        return PENDING

    def reply(self, event: str, reply_to: Address | None, ruling: Ruling) -> None:
        if reply_to is None or ruling.verdict is None:
            return
        reply = Reply(
            event=event, verdict=ruling.verdict, message=ruling.message, status=ruling.status, body=ruling.body
        )
        self.effects.append(ReplyTo(reply_to, reply))

    def answer_waiters(self, relay: Relay, ruling: Ruling) -> None:
        for event, reply_to, _ in relay.waiters:
            self.reply(event, reply_to, ruling)
            if ruling.verdict is not None and not ruling.verdict.succeeded:
                # A success is found by its recorded answer.
                self.remember(ruling, event)
        relay.waiters.clear()

    def record(self, touchpoint: str, key: str, status: int | None, body: Any) -> None:
        self.effects.append(RecordAnswer(answer_key(self.entity, touchpoint, key), status, body))

    def recorded(self, touchpoint: str, key: str) -> Ruling | None:
        """The recorded answer as a repeat's ruling."""
        found = self.recall(answer_key(self.entity, touchpoint, key))
        if found is None:
            return None
        status, body = found
        return Ruling(Verdict.DUPLICATE, status=status, body=body)

    def command(self, id_: str, type_: str, key: bytes, subject: str, body: dict[str, Any]) -> None:
        self.effects.append(SendCommand(id_, type_, key, subject, body))

    def is_known(self) -> bool:
        """Whether this very event was remembered before."""
        known = id_digest(self.event.id)
        return any(entry[0] == known for entry in self.entity.seen)

    def remember(self, ruling: Ruling, event: str = "") -> None:
        """Keep a verdict that stays under its event's id, so that the same event again gets the same."""
        if ruling.verdict is None or ruling.verdict in PASSING:
            return
        seen = self.entity.seen
        seen.append([id_digest(event or self.event.id), ruling.verdict.value, ruling.message[: limits.MESSAGE_MAX]])
        del seen[: -limits.SEEN_MAX]

    def _asking_id(self, event: str) -> str:
        """Of an event's request, or of one more: its first got no answer, and delivery takes an id once.

        Where the list is full, the first may have given way.
        """
        listed = self.entity.deliveries
        first = request_id(event)
        known = len(listed) >= limits.DELIVERIES_MAX or any(one.id == first for one in listed)
        return f"{event}.{self.now_ms}" if known else first

    def _request(
        self, touchpoint: Touchpoint, body: dict[str, Any], request: str, deadline_ms: int | None, *, relay: bool
    ) -> str:
        entity = self.entity
        destination = destination_of(touchpoint, entity.channel)
        sequence = 0
        if not touchpoint.beside_lane:
            sequence = entity.sequences.get(destination, 0) + 1
            entity.sequences[destination] = sequence
        entity.keep_delivery(Delivery(request, touchpoint.name, destination, self.now_ms))
        self.effects.append(
            RequestDelivery(
                id=request,
                destination=destination,
                touchpoint=touchpoint.name,
                body=body,
                sequence=sequence,
                beside=touchpoint.beside_lane,
                relay=relay,
                deadline_ms=deadline_ms if relay else None,
                withdraw=relay and touchpoint.at_deadline is AtDeadline.WITHDRAW,
            )
        )
        return request


def request_id(event: str) -> str:
    """An event makes one request at a time, so the same event decided again makes the same request."""
    return f"{event}.0"


def destination_of(touchpoint: Touchpoint, channel: str) -> str:
    return INCREFF if touchpoint.direction is Direction.TO_INCREFF else channel_destination(channel)


def answer_key(entity: Entity, touchpoint: str, key: str) -> bytes:
    """Its creation is part of the key: what was answered to one that was forgotten is not served to its namesake.

    Deleted with it, answers could stay where the process dies between the two tables' records.
    """
    return join(*split(entity.key), str(entity.created_ms), touchpoint, key)
