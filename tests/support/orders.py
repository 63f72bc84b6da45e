"""Telling the story of an order in tests: commands and outcomes in, verdicts and effects out. No Kafka."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import topics
from streams.order.machine.decide import Decided, decide
from streams.order.model.effects import Effect, PublishFact, RecordAnswer, ReplyTo, RequestDelivery, SendCommand
from streams.order.model.entities import Manifest, Order, Return
from streams.order.model.entity import Entity
from streams.order.model.events import Event, EventKind, kind_of_command, kind_of_outcome
from streams.order.storage.encoding import decode_entity, encode_entity
from tests.support.facts import check_facts
from topics.contract.entities import entity_code, entity_key
from topics.contract.leniency import normalised
from topics.contract.touchpoints import BY_NAME
from topics.records.deliveries import Attempt, Outcome, OutcomeKind
from topics.records.envelope import RETURN_CLAIMED, RETURN_DECIDED, SHIPMENT_MANIFESTED
from topics.records.keys import order_key
from topics.records.verdicts import Reply, Verdict

CHANNEL = "demo"
CODE = "ORDER-1"
START_MS = 1_750_000_000_000
DEADLINE_MS = 40_000
REPLIES = 5
"""Partition of replies on which the test's gateway waits."""

SAMPLES = Path(topics.__file__).parent / "contract" / "samples"


def sample(touchpoint: str) -> dict[str, Any]:
    """The members of a touchpoint's sample request, path and query members included."""
    request = json.loads((SAMPLES / f"{touchpoint}.json").read_text(encoding="utf-8"))["request"]
    return {**(request.get("query") or {}), **(request.get("body") or {})}


def create_body(code: str = CODE, quantities: tuple[int, ...] = (2, 1), **changes: Any) -> dict[str, Any]:
    """A Create with a line per quantity: items I1, I2, .. of SKUs SKU-1, SKU-2, .."""
    body = sample("create-outward-order")
    item = body["orderItems"][0]
    body["orderItems"] = [
        {**item, "orderItemCode": f"I{n}", "channelSkuCode": f"SKU-{n}", "quantity": quantity}
        for n, quantity in enumerate(quantities, 1)
    ]
    return {**body, "orderCode": code, **changes}


def update_body(*, hold: bool, code: str = CODE, **changes: Any) -> dict[str, Any]:
    created = create_body(code)
    times = {name: created[name] for name in ("dispatchByTime", "startProcessingTime")}
    return {"orderCode": code, **times, "onHold": hold, **changes}


def acknowledgement_body(code: str = CODE, location: str | None = "DXB-WH-01") -> dict[str, Any]:
    item = {"orderCode": code} if location is None else {"orderCode": code, "locationCode": location}
    return {"orders": [item], "consolidationType": "NONE"}


def pack_body(shipment_id: int = 1, code: str = CODE, **units: int) -> dict[str, Any]:
    """A Pack of units by SKU number: `sku_1=2`."""
    items = [{"channelSkuCode": f"SKU-{name[4:]}", "quantityToPack": count} for name, count in units.items()]
    return {"orderCode": code, "locationCode": "DXB-WH-01", "shipmentId": shipment_id, "shipmentItems": items}


def document_body(shipment_code: str = "S-1", code: str = CODE, **more: Any) -> dict[str, Any]:
    return {"orderCode": code, "shipmentCode": shipment_code, **more}


def handover_body(*shipments: str, code: str = CODE) -> dict[str, Any]:
    items = [{"orderCode": code, "shipmentCode": shipment} for shipment in shipments or ("S-1",)]
    return {"locationCode": "DXB-WH-01", "handoverItems": items}


def cancel_body(code: str = CODE, **units: int) -> dict[str, Any]:
    """A cancellation, from either side, of totals by item number: `i1=2`."""
    items = [
        {"channelSkuCode": f"SKU-{name[1:]}", "orderItemCode": f"I{name[1:]}", "cancelledQuantity": count}
        for name, count in units.items()
    ]
    return {"orderCode": code, "locationCode": "DXB-WH-01", "orderItems": items}


def manifest_body(*orders: str, manifest_id: int | None = 7) -> dict[str, Any]:
    items = [{"orderCode": code, "shipmentCode": "S-1", "awbNumber": f"AWB-{code}"} for code in orders or (CODE,)]
    body = {"transporter": "GULF_EXPRESS", "locationCode": "DXB-WH-01", "manifestItems": items}
    return body if manifest_id is None else {**body, "manifestId": manifest_id}


def command(
    touchpoint: str,
    body: dict[str, Any],
    event_id: str,
    now_ms: int = START_MS,
    *,
    offered: bool = True,
    unknown_orders: str = "park",
) -> Event:
    entry = BY_NAME[touchpoint]
    own, body = body, normalised(entry.request, body)
    return Event(
        kind=kind_of_command(touchpoint, body),
        id=event_id,
        channel=CHANNEL,
        code=entity_code(entry, body),
        key=entity_key(entry, CHANNEL, body),
        body=body,
        own=own if own is not body else None,
        touchpoint=entry,
        offered=offered,
        reply_to=REPLIES,
        deadline_ms=now_ms + DEADLINE_MS,
        unknown_orders=unknown_orders,
    )


def outcome_event(entity_key_: bytes, code: str, outcome: Outcome) -> Event:
    suffix = f":{outcome.attempt.number}" if outcome.kind is OutcomeKind.RETRYING and outcome.attempt else ""
    suffix = f":{outcome.by}" if outcome.kind is OutcomeKind.OVERTAKEN else suffix
    return Event(
        kind=kind_of_outcome(outcome),
        id=f"{outcome.request}:{outcome.kind}{suffix}",
        channel=CHANNEL,
        code=code,
        key=entity_key_,
        body={},
        outcome=outcome,
    )


@dataclass
class Step:
    """What one event brought."""

    verdict: Verdict | None
    effects: list[Effect]

    @property
    def facts(self) -> list[str]:
        return [effect.name for effect in self.effects if isinstance(effect, PublishFact)]

    @property
    def requests(self) -> list[RequestDelivery]:
        return [effect for effect in self.effects if isinstance(effect, RequestDelivery)]

    @property
    def request(self) -> RequestDelivery:
        assert len(self.requests) == 1, f"one request expected: {self.requests}"
        return self.requests[0]

    @property
    def replies(self) -> dict[str, Reply]:
        return {effect.reply.event: effect.reply for effect in self.effects if isinstance(effect, ReplyTo)}

    @property
    def commands(self) -> list[SendCommand]:
        return [effect for effect in self.effects if isinstance(effect, SendCommand)]

    @property
    def reply(self) -> Reply:
        assert len(self.replies) == 1, f"one reply expected: {self.replies}"
        return next(iter(self.replies.values()))


@dataclass
class Story:
    """Entities and recorded answers by key, and the time. Every state goes through its encoded form."""

    entities: dict[bytes, bytes] = field(default_factory=dict)
    answers: dict[bytes, tuple[int | None, Any]] = field(default_factory=dict)
    now_ms: int = START_MS
    events: int = 0
    facts: list[PublishFact] = field(default_factory=list)
    unknown_orders: str = "park"
    owners: dict[str, Event] = field(default_factory=dict)
    """Request id -> the command that made it."""
    requests: list[RequestDelivery] = field(default_factory=list)

    def tell(
        self, touchpoint: str, body: dict[str, Any], event_id: str = "", *, offered: bool = True, after_ms: int = 10
    ) -> Step:
        """A command of a caller."""
        self.events += 1
        self.now_ms += after_ms
        event_id = event_id or f"e{self.events}"
        event = command(touchpoint, body, event_id, self.now_ms, offered=offered, unknown_orders=self.unknown_orders)
        return self.feed(event)

    def create(self, **changes: Any) -> Step:
        return self.tell("create-outward-order", create_body(**changes))

    def outcome(
        self,
        request: RequestDelivery,
        kind: OutcomeKind = OutcomeKind.DELIVERED,
        *,
        status: int | None = 200,
        body: Any = None,
        message: str = "",
        error: str = "",
        number: int = 1,
        after_ms: int = 10,
    ) -> Step:
        """What became of a request."""
        self.now_ms += after_ms
        attempt = Attempt(number=number, at_ms=self.now_ms, took_ms=2.5, status=status, error=error)
        owner = self.owners[request.id]
        outcome = Outcome(
            request=request.id,
            touchpoint=request.touchpoint,
            kind=kind,
            status=status,
            body=body,
            message=message,
            attempt=attempt,
            next_at_ms=self.now_ms + 500 if kind is OutcomeKind.RETRYING else None,
        )
        return self.feed(outcome_event(owner.key, owner.code, outcome))

    def feed(self, event: Event) -> Step:
        decided = self._decide(event)
        effects = self._perform(event, decided)
        later = next((e.reply for e in effects if isinstance(e, ReplyTo) and e.reply.event == event.id), None)
        return Step(decided.verdict or (later.verdict if later is not None else None), effects)

    def feed_only(self, event: Event) -> Step:
        """The event, without what it tells other entities: that is for `pass_on`."""
        decided = self._decide(event)
        self._note(event, decided)
        return Step(decided.verdict, decided.effects)

    def pass_on(self, *commands: SendCommand) -> Step:
        """Have the entities that the commands are for decide them, and so on."""
        effects = [effect for command in commands for effect in self._pass_on(command).effects]
        return Step(None, effects)

    def _decide(self, event: Event) -> Decided:
        raw = self.entities.get(event.key)
        return decide(decode_entity(raw) if raw is not None else None, event, self.now_ms, self.answers.get)

    def query(self, body: dict[str, Any], key: bytes) -> Step:
        return self.feed(
            Event(
                kind=EventKind.QUERY,
                id="query",
                channel=CHANNEL,
                code=next(iter(body.values())),
                key=key,
                body=body,
                reply_to=REPLIES,
            )
        )

    @property
    def order(self) -> Order:
        found = self.entity(order_key(CHANNEL, CODE))
        assert isinstance(found, Order)
        return found

    def entity(self, key: bytes) -> Entity:
        return decode_entity(self.entities[key])

    def returned(self, key: bytes) -> Return:
        found = self.entity(key)
        assert isinstance(found, Return)
        return found

    def manifest(self, key: bytes) -> Manifest:
        found = self.entity(key)
        assert isinstance(found, Manifest)
        return found

    def _note(self, event: Event, decided: Decided) -> None:
        check_facts(decided.effects)
        if decided.gone:
            self.entities.pop(event.key, None)
        elif decided.changed and decided.entity is not None:
            assert not (isinstance(decided.entity, Order) and decided.entity.miscounted())
            self.entities[event.key] = encode_entity(decided.entity)
        for effect in decided.effects:
            if isinstance(effect, RecordAnswer):
                self.answers[effect.key] = (effect.status, effect.body)
            elif isinstance(effect, PublishFact):
                self.facts.append(effect)
            elif isinstance(effect, RequestDelivery):
                self.owners[effect.id] = event
                self.requests.append(effect)

    def _perform(self, event: Event, decided: Decided) -> list[Effect]:
        self._note(event, decided)
        effects = list(decided.effects)
        for effect in decided.effects:
            if isinstance(effect, SendCommand):
                caused = self._pass_on(effect)
                # A return and its forward order settle between them what the caller waits for.
                effects += caused.effects if effect.type in (RETURN_CLAIMED, RETURN_DECIDED) else []
        return effects

    def _pass_on(self, effect: SendCommand) -> Step:
        return self.feed(internal_event(effect, self.unknown_orders))


def internal_event(effect: SendCommand, unknown_orders: str = "park") -> Event:
    """What the entity that a command is for gets to see."""
    kinds = {
        SHIPMENT_MANIFESTED: EventKind.SHIPMENT_MANIFESTED,
        RETURN_CLAIMED: EventKind.RETURN_CLAIMED,
        RETURN_DECIDED: EventKind.RETURN_DECIDED,
    }
    return Event(
        kind=kinds[effect.type],
        id=effect.id,
        channel=CHANNEL,
        code=effect.subject,
        key=effect.key,
        body=effect.body,
        unknown_orders=unknown_orders,
    )


def packed_story(shipment_code: str | None = "S-1") -> Story:
    """An order of (2, 1) units, packed whole into shipment 1."""
    story = Story()
    story.outcome(story.create().request)
    story.tell("acknowledgement", acknowledgement_body())
    body = {"shipmentCode": shipment_code} if shipment_code is not None else None
    story.outcome(story.tell("pack-order", pack_body(sku_1=2, sku_2=1)).request, body=body)
    return story
