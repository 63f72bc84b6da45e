"""A decision in the making: the entity, the event, and the effects so far.

Ids are made from the event's id and a count, so deciding again gives the same ids.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

from streams.order.model import limits
from streams.order.model.canonical import call_digest, id_digest, is_former_call
from streams.order.model.effects import Effect, PublishFact, RecordAnswer, ReplyTo, RequestDelivery, SendCommand
from streams.order.model.entity import Entity
from streams.order.model.events import Event, EventKind, kept_members, kind_of_command
from streams.order.model.parts import RESUBMITTED, NotedFact, Relay, Waiter, destination_of, new_delivery
from topics.contract.definition import AtDeadline, Direction, Repeat, Touchpoint
from topics.contract.touchpoints import BY_NAME
from topics.records.deliveries import Outcome, OutcomeKind, request_id
from topics.records.keys import join, split
from topics.records.verdicts import Address, Reply, Verdict

EntityT = TypeVar("EntityT", bound=Entity)

AnswerLookup = Callable[[bytes], tuple[int | None, Any] | None]
"""Finds the recorded answer under a key: its status and body, None when there is none."""


class Ruling:
    """The verdict on an event. `verdict` None: it comes later, with an answer that is still awaited. `kept`: EARLY, and
    the event is kept: it is not lost on its caller."""

    def __init__(
        self,
        verdict: Verdict | None,
        message: str = "",
        status: int | None = None,
        body: Any = None,
        kept: bool = False,
    ) -> None:
        self.verdict, self.message = verdict, message
        self.status, self.body, self.kept = status, body, kept


APPLIED: Final = Ruling(Verdict.APPLIED)
DUPLICATE: Final = Ruling(Verdict.DUPLICATE)
PENDING: Final = Ruling(None)


def refused(message: str) -> Ruling:
    return Ruling(Verdict.REFUSED, message)


def early(message: str) -> Ruling:
    return Ruling(Verdict.EARLY, message)


def failed(message: str) -> Ruling:
    return Ruling(Verdict.FAILED, message)


def conflict(message: str) -> Ruling:
    return Ruling(Verdict.CONFLICT, message)


BY_CALL: Final = frozenset({Repeat.LAST_VALUE, Repeat.ABSOLUTE, Repeat.CUMULATIVE})
"""Rules under which what a call asked for may be undone or outdated later, so that its digest is kept. Under the others
a repeat is known by the entity's own digest, by the recorded answer, or by what the entity has since."""
REFUSALS: Final = frozenset({Verdict.REFUSED, Verdict.CONFLICT})
PASSING: Final = frozenset({Verdict.EARLY, Verdict.FAILED})
"""Verdicts that tell the caller to repeat. They are not remembered: the same event again may get another verdict."""

NO_ROOM: Final = f"{limits.DELIVERIES_MAX} requests already wait for their delivery; repeat later"
_SIDES: Final = {Direction.TO_INCREFF: "Increff", Direction.TO_MARKETPLACE: "the marketplace"}


class NoRoomError(Exception):
    """The entity's list of deliveries is full of requests whose outcome is still to come."""


class Decision(Generic[EntityT]):
    """`entity` is the decision's own copy and may be changed."""

    __slots__ = ("_call", "effects", "entity", "event", "former", "listed", "lookup", "now_ms")

    def __init__(self, entity: EntityT, event: Event, now_ms: int, lookup: AnswerLookup) -> None:
        self.entity = entity
        self.event = event
        self.now_ms = now_ms
        self.lookup = lookup
        self.effects: list[Effect] = []
        self._call: str | None = None
        self.listed = False
        """Whether the list of deliveries changed, although nothing follows from it."""
        self.former = ""
        """The refused request whose place the request of this decision takes."""

    @property
    def call(self) -> str:
        """The digest of the event's call; empty for an event that is none."""
        if self._call is None:
            event, touchpoint = self.event, self.event.touchpoint
            if touchpoint is None:
                self._call = ""
            else:
                self._call = call_digest(touchpoint.name, event.payload_of(touchpoint.request))
        return self._call

    @property
    def kept_call(self) -> str:
        """The digest that is kept of the event's call when it is taken; empty where a repeat is known without it."""
        touchpoint = self.event.touchpoint
        return self.call if touchpoint is not None and touchpoint.repeat in BY_CALL else ""

    def was_taken(self) -> bool:
        """Whether the event's call was taken before, under another event id."""
        kept = bool(self.kept_call)
        return kept and any(Verdict(word).succeeded and self._is_call(known) for word, known in self.entity.calls())

    @property
    def outcome(self) -> Outcome:
        """The outcome that the event brings. Raises ValueError for an event that is none."""
        outcome = self.event.outcome
        if outcome is None:
            raise ValueError(f"{self.event.kind} without an outcome")
        return outcome

    def resume(
        self,
        event_id: str,
        touchpoint: str,
        body: dict[str, Any],
        *,
        kind: EventKind | None = None,
        offered: bool = True,
        reply_to: Address | None = None,
        deadline_ms: int | None = None,
        said_ms: int = 0,
    ) -> Decision[EntityT]:
        """The decision on an event that was kept for later, as a part of this one.

        `kind`: of an event that is not a touchpoint's call. `body`: as it was kept.
        """
        entity = self.entity
        read = kept_members(touchpoint, body)
        event = Event(
            kind=kind or kind_of_command(touchpoint, read),
            id=event_id,
            channel=entity.channel,
            code=entity.code,
            key=entity.key,
            body=read,
            own=body if read is not body else None,
            touchpoint=BY_NAME[touchpoint] if touchpoint else None,
            offered=offered,
            reply_to=reply_to,
            deadline_ms=deadline_ms,
            policy=self.event.policy,
            said_ms=said_ms,
        )
        decision = Decision(entity, event, self.now_ms, self.lookup)
        decision.effects = self.effects
        return decision

    def answers_create(self) -> bool:
        """Whether the outcome is that of the present attempt to create the entity, not of one before a correction."""
        return self.outcome.request == self.entity.request

    def fact(self, name: str, data: dict[str, Any], noted: dict[str, Any] | None = None) -> None:
        """Publish a fact under the entity's next number. `noted`: the part of it that the entity's own list keeps."""
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

    def deliver(self, touchpoint: Touchpoint, body: dict[str, Any], *, hold: bool = False) -> str:
        """Have a notification delivered later. Returns its request's id, empty when the channel switched it off.

        `hold`: it puts the order on hold or releases it.
        Raises NoRoomError: then nothing of the decision counts.
        """
        if not self.event.offered:
            return ""
        if not self.entity.has_room():
            raise NoRoomError
        listed = self.entity.delivery(self.former) if self.former else None
        if listed is not None:
            listed.status = RESUBMITTED
            self.entity.touch_delivery(listed)
        return self._request(touchpoint, body, request_id(self.event.id), None, relay=False, hold=hold)

    def ask_far_side(self, touchpoint: Touchpoint, body: dict[str, Any], key: str, data: Any = None) -> Ruling:
        """Send a request whose answer the event's caller waits for. It takes the place of an overdue one."""
        event = self.event
        former = self.entity.relay(touchpoint.name, key)
        if former is None and len(self.entity.relays) >= limits.RELAYS_MAX:
            side = _SIDES[touchpoint.direction]
            return failed(f"{limits.RELAYS_MAX} requests already wait for an answer of {side}; repeat later")
        if not self.entity.has_room():
            return failed(NO_ROOM)
        id_, asks = self._asking_id(event.id), id_digest(key)
        request = self._request(touchpoint, body, id_, event.deadline_ms, relay=True, asks=asks)
        waiters = [] if event.reply_to is None else [Waiter(event.id, event.reply_to, event.deadline_ms)]
        relay = Relay(request, touchpoint.name, key, waiters, data, deadline_ms=event.deadline_ms, call=self.kept_call)
        if former is not None:
            relay.former = former.request
            self.entity.relays.remove(former)
        self.entity.relays.append(relay)
        return PENDING

    def is_overdue(self, relay: Relay) -> bool:
        """Whether an outcome is not to be expected any more."""
        if relay.deadline_ms is None:
            return False
        withdrawn = BY_NAME[relay.touchpoint].at_deadline is AtDeadline.WITHDRAW
        margin_ms = limits.RELAY_MARGIN_MS if withdrawn else limits.RELAY_LOST_MS
        return self.now_ms > relay.deadline_ms + margin_ms

    def awaited(self) -> list[Relay]:
        """The requests whose outcome is still to be expected."""
        return [relay for relay in self.entity.relays if not relay.dead and not self.is_overdue(relay)]

    def join_relay(self, relay: Relay) -> Ruling:
        """Wait for an answer that was already asked for. Callers that are gone by now make room."""
        event = self.event
        if event.reply_to is None or any(waiter.event == event.id for waiter in relay.waiters):
            return PENDING
        gone_ms = self.now_ms - limits.RELAY_MARGIN_MS
        relay.waiters = [one for one in relay.waiters if one.deadline_ms is None or one.deadline_ms > gone_ms]
        if len(relay.waiters) >= limits.WAITERS_MAX:
            return failed("too many callers wait for this answer; repeat later")
        relay.waiters.append(Waiter(event.id, event.reply_to, event.deadline_ms))
        return PENDING

    def pop_relay(self) -> Relay | None:
        """The relay that the outcome ends; None when it ended before."""
        return self.entity.pop_relay(self.outcome)

    def record_answer(self, relay: Relay) -> None:
        """Keep the far side's answer, so that a repeat gets the same."""
        key = answer_key(self.entity, relay.touchpoint, relay.key)
        self.effects.append(RecordAnswer(key, self.outcome.status, self.outcome.body))

    def pass_on(self, relay: Relay) -> None:
        """Give the far side's answer to every caller that waits for it."""
        self.answer_waiters(relay, Ruling(Verdict.APPLIED, status=self.outcome.status, body=self.outcome.body))
        if relay.call:
            self.remember(APPLIED, self.outcome.request, relay.call)

    def pass_on_failure(self, relay: Relay) -> Ruling:
        """Tell every caller that waits of the far side's refusal in its own words, or that no answer came."""
        outcome = self.outcome
        if outcome.kind is OutcomeKind.REFUSED:
            ruling = Ruling(Verdict.REFUSED, outcome.reason, outcome.status, outcome.body)
        else:
            side = _SIDES[BY_NAME[relay.touchpoint].direction]
            ruling = failed(f"{side} gave no answer in time; a repeat is safe")
        self.answer_waiters(relay, ruling)
        return ruling

    def answer_waiters(self, relay: Relay, ruling: Ruling) -> None:
        for event, reply_to, _ in relay.waiters:
            self.reply(event, reply_to, ruling)
            if ruling.verdict is not None and not ruling.verdict.succeeded:
                # A repeat finds a success by its recorded answer.
                self.remember(ruling, event)
        relay.waiters.clear()

    def reply(self, event: str, reply_to: Address | None, ruling: Ruling) -> None:
        reply = reply_of(event, reply_to, ruling)
        if reply is not None:
            self.effects.append(reply)

    def recorded_answer(self, touchpoint: str, key: str) -> Ruling | None:
        """The recorded answer as a repeat's ruling."""
        found = self.lookup(answer_key(self.entity, touchpoint, key))
        if found is None:
            return None
        status, body = found
        return Ruling(Verdict.DUPLICATE, status=status, body=body)

    def send_command(self, id_: str, type_: str, key: bytes, subject: str, body: dict[str, Any]) -> None:
        self.effects.append(SendCommand(id_, type_, key, subject, body))

    def is_remembered(self) -> bool:
        """Whether this very event was remembered before."""
        known = id_digest(self.event.id)
        return any(entry[0] == known for entry in self.entity.seen)

    def remember(self, ruling: Ruling, event: str = "", call: str = "") -> None:
        """Keep a lasting verdict under its event's id, so that the same event again gets the same verdict.

        A call that was taken is kept by its digest, too: a caller that got no verdict in time repeats it under another
        id, and must learn that it was taken, whatever became of the entity since. `call`: of an `event` that is not
        this one.
        """
        if ruling.verdict is None or ruling.verdict in PASSING:
            return
        if not event and ruling.verdict.succeeded:
            call = self.kept_call
        entry = [id_digest(event or self.event.id), ruling.verdict.value, ruling.message[: limits.MESSAGE_MAX]]
        if call:
            entry.append(call)
        self.entity.note_seen(entry)

    def report_unapplied(self, verdict: Verdict) -> bool:
        """Note that a fact reports the event's call as not applied. False when one did already."""
        if any(not Verdict(word).succeeded and self._is_call(known) for word, known in self.entity.calls()):
            return False
        self.entity.note_seen(["", verdict.value, "", self.call])
        return True

    def _is_call(self, stored: str) -> bool:
        """Whether a stored digest is that of the event's call."""
        touchpoint = self.event.touchpoint
        return touchpoint is not None and (
            stored == self.call or is_former_call(stored, touchpoint.name, touchpoint.request, self.event.body)
        )

    def _asking_id(self, event: str) -> str:
        """The id of an event's request. Delivery sends an id once, so after an unanswered first request another id.

        Where the list is full, the first request may have given way.
        """
        first, listed = request_id(event), self.entity.deliveries
        known = len(listed) >= limits.DELIVERIES_MAX or any(one.id == first for one in listed)
        return f"{event}.{self.now_ms}" if known else first

    def _request(
        self,
        touchpoint: Touchpoint,
        body: dict[str, Any],
        request: str,
        deadline_ms: int | None,
        *,
        relay: bool,
        hold: bool = False,
        asks: str = "",
    ) -> str:
        entity, sequence = self.entity, 0
        destination = destination_of(touchpoint, entity.channel)
        if not touchpoint.beside_lane:
            sequence = entity.sequences.get(destination, 0) + 1
            entity.sequences[destination] = sequence
        again = entity.may_have_been_carried_out(touchpoint.name, asks)
        entity.keep_delivery(new_delivery(request, touchpoint.name, self.now_ms, asks))
        self.effects.append(
            RequestDelivery(
                id=request,
                destination=destination,
                touchpoint=touchpoint.name,
                body=self.event.own_form(body),
                sequence=sequence,
                beside=touchpoint.beside_lane,
                relay=relay,
                deadline_ms=deadline_ms if relay else None,
                withdraw=relay and touchpoint.at_deadline is AtDeadline.WITHDRAW,
                hold=hold,
                former=self.former,
                again=again,
            )
        )
        return request


def first_decision(
    kind: type[EntityT], state: str, event: Event, now_ms: int, lookup: AnswerLookup, **members: Any
) -> Decision[EntityT]:
    """The decision on the first event of an entity that is not known yet."""
    entity = kind(channel=event.channel, code=event.code, state=state, created_ms=now_ms, updated_ms=now_ms, **members)
    return Decision(entity, event, now_ms, lookup)


def reply_of(event: str, reply_to: Address | None, ruling: Ruling) -> ReplyTo | None:
    """The reply to an event's caller; None when nobody waits for it, or its verdict comes later."""
    if reply_to is None or ruling.verdict is None:
        return None
    reply = Reply(event=event, verdict=ruling.verdict, message=ruling.message, status=ruling.status, body=ruling.body)
    return ReplyTo(reply_to, reply)


def answer_key(entity: Entity, touchpoint: str, key: str) -> bytes:
    """The key of a recorded answer. The entity's creation is part of it: an answer to an entity that was forgotten is
    not served to a later one of the same code.

    Deleting answers with their entity would not do: the process may die between the records of the two tables.
    """
    return join(*split(entity.key), str(entity.created_ms), touchpoint, key)
