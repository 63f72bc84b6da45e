"""Writes docs/races.md, the result of any two calls that cross: `python -m streams.order.machine.races`.

Each pair of calls is decided for a real order. The second call comes while the first is out for its far side's answer,
which is then a success or a refusal; or it comes after a success. The order has one unit that both sides want (I1) and,
where a call needs a shipment, another unit that is packed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from streams.order.machine.decide import advance
from streams.order.model.effects import PublishFact, RecordAnswer, ReplyTo, RequestDelivery
from streams.order.model.entities import Order
from streams.order.model.events import Event, EventKind, kind_of_command, kind_of_outcome
from topics.contract.touchpoints import BY_NAME
from topics.records.deliveries import Attempt, Outcome, OutcomeKind
from topics.records.keys import order_key
from topics.records.verdicts import Verdict

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "races.md"

_CHANNEL, _CODE, _LOCATION = "demo", "ORDER", "WH-1"
_START_MS = 1_750_000_000_000
_STEP_MS = 100
_DEADLINE_MS = 40_000
_LATER = "2025-06-20T10:00:00.000Z"
_DUE = {"dispatchByTime": "2025-06-18T10:00:00.000Z", "startProcessingTime": "2025-06-16T10:00:00.000Z"}

MEANINGS = {
    "applied": "it counts; a far side that takes no part in the decision is notified later",
    "taken": "the far side was asked, and took it",
    "joins": "the same call is out for an answer already: this one gets that answer",
    "joins, refused": "the same call is out for an answer already: this one gets that refusal, in the far side's words",
    "waits, taken": "waits for the answer that is out, within its deadline; then the far side is asked and takes it",
    "waits, refused": "waits for the answer that is out; then it is not possible any more, with the reason",
    "repeat": "the order is so already: success, nothing leaves",
    "refused": "not possible in this state, with the reason",
    "later": "503 with a reason: the same units are out for another answer, and a repeat is safe",
}
"""Every outcome of the second call: the documented ones."""


ENDINGS = {
    "rejected": "Increff refused the Create, with its reason",
    "held": "the marketplace holds it",
    "submitted": "Increff has it and works on it",
    "acknowledged": "Increff allocated stock",
    "packed": "a shipment is packed; what is still open may follow",
    "labelled": "a shipment has its label",
    "manifested": "a shipment is on a manifest, or left while units are open",
    "handed over": "every shipment left, no unit is open",
    "delivered": "the customer has it",
    "cancelled": "every unit is cancelled",
}
"""States in which the order may end when no request is in flight any more. `, part cancelled` may be added."""

DISAGREEMENTS = {
    "hold-crossed": "Increff acknowledged an order on hold; whether it has the hold is known after the next update",
    "cancellation-crossed": "Increff took a customer's cancellation of units that are packed here or out in a Pack",
    "seller-cancellation-refused": "Increff cancelled units that are packed here",
    "pack-unanswered": "the marketplace may have packed units whose Pack got no answer in time",
    "delivery-refused": "a far side refused a notification",
    "delivery-failed": "a far side was not reached, or an operator skipped a notification to it",
}
"""The facts that report where the views of Sluice, Increff and the marketplace differ at the end."""


def ending_of(order: Order) -> str:
    """How an order ended, in the words of ENDINGS."""
    state = str(order.state).lower().replace("_", " ")
    some = state != "cancelled" and any(line.cancelled for line in order.lines)
    return f"{state}, part cancelled" if some else state


@dataclass(frozen=True)
class Kind:
    """One kind of call. `packed`: it needs a shipment that is packed; `held`: the order is on hold before; `new`: the
    order is not acknowledged before."""

    name: str
    touchpoint: str
    body: Callable[[bool], dict[str, Any]]
    packed: bool = False
    held: bool = False
    new: bool = False


def _cancel(_held: bool) -> dict[str, Any]:
    items = [{"channelSkuCode": "SKU-1", "orderItemCode": "I1", "cancelledQuantity": 1}]
    return {"orderCode": _CODE, "locationCode": _LOCATION, "orderItems": items}


def _pack(_held: bool) -> dict[str, Any]:
    return _packing(2, "SKU-1")


def _packing(shipment: int, sku: str) -> dict[str, Any]:
    items = [{"channelSkuCode": sku, "quantityToPack": 1}]
    return {"orderCode": _CODE, "locationCode": _LOCATION, "shipmentId": shipment, "shipmentItems": items}


def _document(_held: bool) -> dict[str, Any]:
    return {"orderCode": _CODE, "shipmentCode": "S-1"}


def _handover(_held: bool) -> dict[str, Any]:
    return {"locationCode": _LOCATION, "handoverItems": [{"orderCode": _CODE, "shipmentCode": "S-1"}]}


def _acknowledge(_held: bool) -> dict[str, Any]:
    return {"orders": [{"orderCode": _CODE, "locationCode": _LOCATION}], "consolidationType": "NONE"}


def _hold(_held: bool) -> dict[str, Any]:
    return {"orderCode": _CODE, **_DUE, "onHold": True}


def _release(_held: bool) -> dict[str, Any]:
    return {"orderCode": _CODE, **_DUE, "onHold": False}


def _update(held: bool) -> dict[str, Any]:
    return {"orderCode": _CODE, **_DUE, "dispatchByTime": _LATER, "onHold": held}


KINDS = (
    Kind("customer cancel", "customer-cancellation", _cancel),
    Kind("seller cancel", "seller-cancellation", _cancel),
    Kind("pack", "pack-order", _pack),
    Kind("invoice", "get-invoice", _document, packed=True),
    Kind("label", "get-shipping-label", _document, packed=True),
    Kind("handover", "handover-notification", _handover, packed=True),
    Kind("acknowledge", "acknowledgement", _acknowledge, new=True),
    Kind("hold", "update-order-properties", _hold),
    Kind("release", "update-order-properties", _release, held=True),
    Kind("property update", "update-order-properties", _update),
)


@dataclass
class Race:
    """One order while two calls cross."""

    order: Order | None = None
    now_ms: int = _START_MS
    facts: list[str] = field(default_factory=list)
    replies: dict[str, tuple[Verdict, str]] = field(default_factory=dict)
    out: list[RequestDelivery] = field(default_factory=list)
    answers: dict[bytes, tuple[int | None, Any]] = field(default_factory=dict)

    def call(self, touchpoint: str, body: dict[str, Any], event: str) -> None:
        kind, deadline_ms = kind_of_command(touchpoint, body), self.now_ms + _DEADLINE_MS
        self._feed(kind, event, body, touchpoint=BY_NAME[touchpoint], reply_to=0, deadline_ms=deadline_ms)

    def answer_all(self) -> None:
        """The far sides take every request that is out, in the order in which they left, then those that follow."""
        while self.out:
            self.answer(OutcomeKind.DELIVERED)

    def answer(self, kind: OutcomeKind) -> None:
        """The far side answers the request that left first."""
        request = self.out.pop(0)
        refused = kind is OutcomeKind.REFUSED
        status = 400 if refused else 200
        outcome = Outcome(
            request=request.id,
            touchpoint=request.touchpoint,
            kind=kind,
            status=status,
            body=None if refused else _answer(request),
            message="the far side's words" if refused else "",
            attempt=Attempt(number=1, at_ms=self.now_ms, took_ms=1.0, status=status),
        )
        self._feed(kind_of_outcome(outcome), f"{request.id}:{kind}", {}, outcome=outcome)

    def _feed(self, kind: EventKind, name: str, body: dict[str, Any], **more: Any) -> None:
        key = order_key(_CHANNEL, _CODE)
        event = Event(kind=kind, id=name, channel=_CHANNEL, code=_CODE, key=key, body=body, **more)
        self.now_ms += _STEP_MS
        decided = advance(self.order, event, self.now_ms, self.answers.get)
        if decided.changed and isinstance(decided.entity, Order):
            self.order = decided.entity
        for effect in decided.effects:
            if isinstance(effect, ReplyTo):
                self.replies[effect.reply.event] = (effect.reply.verdict, effect.reply.message)
            elif isinstance(effect, RequestDelivery):
                self.out.append(effect)
            elif isinstance(effect, PublishFact):
                self.facts.append(effect.name)
            elif isinstance(effect, RecordAnswer):
                self.answers[effect.key] = (effect.status, effect.body)


@dataclass(frozen=True)
class Result:
    """The result of the second call, and the order once both calls are answered."""

    outcome: str
    reason: str
    state: str
    unit: str
    facts: tuple[str, ...]


class When(StrEnum):
    """When the second call comes, and what the far side answers to the first."""

    OUT = "While the first is out for its answer, a success"
    REFUSED = "While the first is out for its answer, a refusal"
    AFTER = "After the first succeeded"


def cross(first: Kind, second: Kind, when: When) -> Result:
    """The result of two calls that cross."""
    held = first.held or second.held
    race = ready(packed=first.packed or second.packed, held=held, acknowledged=not (first.new or second.new))
    race.call(first.touchpoint, first.body(held), "first")
    if when is When.AFTER:
        race.answer_all()
    asked = len(race.out)
    race.call(second.touchpoint, second.body(held and not first.held), "second")
    at_once = "second" in race.replies
    its_own = len(race.out) > asked
    if when is When.REFUSED:
        for _ in range(asked):
            race.answer(OutcomeKind.REFUSED)
    race.answer_all()
    verdict, reason = race.replies["second"]
    word = _WORDS[verdict] if at_once or verdict is not Verdict.APPLIED else "taken"
    if not (at_once or its_own):
        word = f"waits, {word}" if first is not second else "joins" if verdict.succeeded else f"joins, {word}"
    order = race.order
    if order is None:
        raise ValueError("a Create makes an order")
    line = order.lines[0]
    unit = "cancelled" if line.cancelled else "packed" if line.packed else "open"
    return Result(word, reason, str(order.state), unit, tuple(race.facts))


_WORDS = {
    Verdict.APPLIED: "applied",
    Verdict.DUPLICATE: "repeat",
    Verdict.REFUSED: "refused",
    Verdict.FAILED: "later",
}


def ready(*, packed: bool, held: bool, acknowledged: bool = True) -> Race:
    """An order of two lines that Increff took and acknowledged; with its second line packed, or on hold, where a call
    needs that."""
    race = created(held=False)
    if acknowledged:
        race.call("acknowledgement", _acknowledge(False), "acknowledge")
    if packed:
        race.call("pack-order", _packing(1, "SKU-2"), "packed")
    if held:
        race.call("update-order-properties", _hold(False), "hold")
    race.answer_all()
    race.facts.clear()
    return race


def created(*, held: bool) -> Race:
    """An order of two lines whose Create is out for Increff's answer."""
    race = Race()
    items = [{"orderItemCode": f"I{n}", "channelSkuCode": f"SKU-{n}", "quantity": 1} for n in (1, 2)]
    create = {"orderCode": _CODE, "locationCode": _LOCATION, **_DUE, "onHold": held, "orderItems": items}
    race.call("create-outward-order", create, "create")
    return race


def cross_refusal(call: Kind, *, behind: bool) -> Race:
    """A call that crosses Increff's refusal of the Create; `behind`: it comes after the refusal."""
    race = created(held=call.held)
    if not behind:
        race.call(call.touchpoint, call.body(call.held), "call")
    race.answer(OutcomeKind.REFUSED)
    if behind:
        race.call(call.touchpoint, call.body(call.held), "call")
    race.answer_all()
    return race


def _answer(request: RequestDelivery) -> dict[str, Any] | None:
    if request.touchpoint == "pack-order":
        return {"shipmentCode": f"S-{request.body['shipmentId']}"}
    if request.touchpoint == "get-shipping-label":
        return {"awbNumber": "AWB-1", "transporter": "COURIER"}
    return {"invoiceCode": "INV-1"} if request.touchpoint == "get-invoice" else None


_INTRODUCTION = """\
**A second call about an order comes before the first is done: what does its caller get?** The tables below are made by
deciding each pair of calls.

Increff is the authority on whether a unit can still be cancelled: Sluice passes a customer's cancellation on, and
refuses it only for units that are known to be packed. While a Pack is out for the marketplace's answer, a customer's
cancellation waits for it, so the two never cross at the far sides. Cancellations carry absolute totals, so a repeat
from either side changes nothing. Nothing packed is cancelled.

The order has two units. Cancellations and the Pack want the first; invoice, label and handover are of a shipment of
the second, packed before. So a cancellation beside them is of a unit that is still open; a cancellation of the packed
unit is refused.

An acknowledgement ends a hold here, because Increff went on. But Increff may have made it before the hold reached it,
and then has the hold. Which of the two it was is not known (the fact `hold-crossed`), so the marketplace's next word on
the hold is passed on, whatever it is.

`make races` walks every interleaving of up to eight calls and disturbances (records that come twice, repeats, lost
answers, refusals, dead requests, callers that are gone) and checks that quantities add up, that every caller that is
refused learns why, and that the views of Sluice, Increff and the marketplace agree at the end, or a fact says that they
do not."""


_REFUSALS = """\
Increff refuses the Create of an order, and a call about the order comes before that or behind it. What Increff says of
an order proves that Increff has it ([lost-answers.md](lost-answers.md)). Each cell is the order's state in the end, and
the facts since its creation. The requests of the calls themselves are taken."""
_HISTORIES = """\
Every history that `make races` walks ends in one of these states, with some units cancelled or without:"""
_DISAGREEING = """\
At that end Sluice, Increff and the marketplace agree on what is cancelled, packed, left and held. Where they cannot,
one of these facts was published:"""


def document() -> str:
    parts = [
        "<!-- Made by `python -m streams.order.machine.races`; do not edit. -->",
        "# Two calls that cross",
        _INTRODUCTION,
        "A row is the first call, a column the second; the cell is what the second gets.",
    ]
    for when in When:
        parts += [f"## {when.value}", _matrix(when)]
    parts += ["## Outcomes", _listed(MEANINGS)]
    parts += ["## A Create that is refused, and a call", _REFUSALS, _refusals()]
    parts += ["## How an order may end", _HISTORIES, _listed(ENDINGS), _DISAGREEING, _listed(DISAGREEMENTS)]
    once = "Once both calls are answered: the order's state, the unit that both want, and the facts since."
    parts += ["## The order afterwards", once, _details()]
    return "\n\n".join(parts) + "\n"


def _listed(words: dict[str, str]) -> str:
    return "\n".join(f"- **{word}**: {meaning}" for word, meaning in words.items())


def _matrix(when: When) -> str:
    lines = [f"| first \\ second | {' | '.join(kind.name for kind in KINDS)} |", f"|---|{'---|' * len(KINDS)}"]
    for first in KINDS:
        cells = [cross(first, second, when).outcome for second in KINDS]
        lines.append(f"| **{first.name}** | {' | '.join(cells)} |")
    return "\n".join(lines)


def _details() -> str:
    lines = ["| first, second | it was out, success | it was out, refusal | after it |", "|---|---|---|---|"]
    for first in KINDS:
        for second in KINDS:
            cells = [_result(cross(first, second, when)) for when in When]
            lines.append(f"| {first.name}, {second.name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _refusals() -> str:
    lines = ["| call | before the refusal | behind it |", "|---|---|---|"]
    for kind in KINDS:
        races = [cross_refusal(kind, behind=behind) for behind in (False, True)]
        cells = [f"{race.order.state if race.order else ''}: {', '.join(race.facts[1:])}" for race in races]
        lines.append(f"| {kind.name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _result(result: Result) -> str:
    return f"{result.state}, {result.unit}: {', '.join(result.facts) or 'no fact'}"


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
