"""Claims of returns on their forward order: over all returns, no more units may come back than were shipped.

A return reports absolute quantities under a version of its own. Only a newer version counts, so a message that comes
twice, late or out of order changes nothing; the version that the order has is answered again as it was.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from streams.order.model import limits
from streams.order.model.decision import APPLIED, DUPLICATE, Decision, Ruling
from streams.order.model.effects import SendCommand
from streams.order.model.entities import Order
from streams.order.model.events import Event
from streams.order.model.parts import Claim
from topics.records.envelope import RETURN_DECIDED
from topics.records.keys import return_key


def return_claimed(decision: Decision[Order]) -> Ruling:
    """A return asks for units, or gives some back."""
    order, body = decision.entity, decision.event.body
    code, version = body["returnOrderCode"], body["version"]
    claim = next((one for one in order.returns if one.code == code), None)
    if claim is not None and version < claim.version:
        return DUPLICATE  # the return has sent a newer version since
    reason = claim.reason if claim is not None and version == claim.version else _take(order, claim, body)
    if body["asked"]:
        decision.effects.append(_answer(decision.event, reason, known=not order.adopted))
    return APPLIED


def return_claimed_early(decision: Decision[Order]) -> Ruling:
    """The order is only expected: a return's question is decided as if the order were not known."""
    answer = answer_for_unknown(decision.event)
    if answer is not None:
        decision.effects.append(answer)
    return DUPLICATE


def answer_for_unknown(event: Event) -> SendCommand | None:
    """Without a forward order a return goes on, unless the channel refuses that: a cut-over must not lose returns."""
    if not event.body["asked"]:
        return None
    refuse = event.unknown_orders == "refuse"
    reason = f"order {event.code} is not known, and channel {event.channel} takes on no order midway" if refuse else ""
    return _answer(event, reason, known=False)


def _take(order: Order, claim: Claim | None, body: dict[str, Any]) -> str:
    """Note a newer version. Returns why its question is denied, or nothing; a denied return keeps what it holds."""
    if claim is None and not _make_room(order):
        return f"order {order.code} has {limits.RETURNS_MAX} returns, which is the most"
    reason = _objection(order, claim, body["wanted"]) if body["asked"] else ""
    units = body["held"] if reason else body["wanted"]
    noted = Claim(
        body["returnOrderCode"], body["version"], {sku: count for sku, count in units.items() if count}, reason
    )
    if claim is not None:
        order.returns[order.returns.index(claim)] = noted
    else:
        order.returns.append(noted)
    return reason


def _objection(order: Order, claim: Claim | None, wanted: dict[str, int]) -> str:
    """Why these units cannot come back; empty when they can."""
    others: Counter[str] = Counter()
    known = 0
    for one in order.returns:
        if one is not claim:
            others.update(one.units)
            known += len(one.units)
    if known + len(wanted) > limits.RETURNED_SKUS_MAX:
        return f"returns of order {order.code} name more than {limits.RETURNED_SKUS_MAX} SKUs, which is the most"
    if order.adopted:
        return ""  # units that left before Sluice saw the order are not known
    shipped = order.shipment_index.shipped
    held = claim.units if claim is not None else {}
    for sku, count in wanted.items():
        left = shipped.get(sku, 0)
        if count > held.get(sku, 0) and count + others[sku] > left:
            more = f", {others[sku]} in other returns" if others[sku] else ""
            return f"{count} of {sku} cannot be returned: {left} shipped in order {order.code}{more}"
    return ""


def _make_room(order: Order) -> bool:
    if len(order.returns) < limits.RETURNS_MAX:
        return True
    empty = next((n for n, one in enumerate(order.returns) if not one.units), None)
    if empty is None:
        return False
    del order.returns[empty]
    return True


def _answer(event: Event, reason: str, *, known: bool) -> SendCommand:
    code = event.body["returnOrderCode"]
    body = {
        "returnOrderCode": code,
        "orderCode": event.code,
        "version": event.body["version"],
        "admitted": not reason,
        "reason": reason[: limits.MESSAGE_MAX],
        "forwardKnown": known,
    }
    # One question may be answered while the order is not known, and again once it is: two answers, two ids.
    id_ = f"{event.id}.{'a' if known else 'u'}0"
    return SendCommand(id_, RETURN_DECIDED, return_key(event.channel, code), code, body)
