"""Renders an order document as text: its state, and how it came there."""

# ruff: noqa: PLC0415 - the contract takes a while to import, and few orders need it

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sluice.cli.output import moment
from topics.records.envelope import GATEWAY_SOURCE

Document = Mapping[str, Any]

_IN_WORDS = {
    "hold-crossed": "Increff may have the hold; the next update tells it",
    "notice-overtaken": "{by} was sent before {touchpoint}, which keeps failing",
    "call-not-applied": "{touchpoint} was answered as taken and was not applied: {verdict}, {reason}",
}
"""Facts that are easily misread by their members."""

_NOT_SHOWN = {"sequence", "name", "at_ms", "atMs", "channel", "orderCode"}
"""Members of a fact that are not shown after its name."""


def render(order: Document) -> str:
    """Return the timeline of an order document (`GET /api/orders/{code}`)."""
    return "\n".join(_sections(order))


def render_refused_calls(unknown: Document) -> str:
    """Return the refused calls about an order that is not known."""
    return "\n".join(_refused_calls(unknown))


def _sections(order: Document) -> Iterator[str]:
    what, code = ("Return", "returnOrderCode") if "returnOrderCode" in order else ("Order", "orderCode")
    reason = f"  ({order['reason']})" if order.get("reason") else ""
    yield f"{what} {order.get(code)} of {order.get('channel')}: {order.get('state')}{reason}"
    if order.get("adopted"):
        yield "  met midway and taken on"
    yield f"  received {_time(order.get('createdAtMs'))}, last changed {_time(order.get('updatedAtMs'))}"
    yield from (f"  stuck: {one['step']}, since {_time(one.get('sinceMs'))}" for one in order.get("stuck") or ())
    if order.get("forwardOrderCode"):
        unknown = "" if order.get("forwardKnown", True) else ", which Sluice does not know"
        yield f"  of order {order['forwardOrderCode']}{unknown}"
        yield from _way(order)
    yield from _section("Items", [_item(item) for item in order.get("items") or ()])
    yield from _section("Lines", [_line(line) for line in order.get("lines") or ()])
    yield from _section("Shipments", [text for s in order.get("shipments") or () for text in _shipment(s)])
    yield from _section("Came early", [_early_event(one) for one in order.get("parked") or ()])
    yield from _section("Facts", [_fact(fact) for fact in order.get("facts") or ()])
    yield from _section("Deliveries", [text for d in order.get("deliveries") or () for text in _delivery(d, order)])
    yield from _refused_calls(order)
    yield from _section("Returns", [_return(one) for one in order.get("returns") or ()])


def _section(title: str, lines: list[str]) -> Iterator[str]:
    if lines:
        yield f"\n{title}"
        for line in lines:
            yield f"  {line}"


def _way(returned: Document) -> Iterator[str]:
    """Yield how a return travels, and what became of its units."""
    way = [
        f"{word} {returned[member]}"
        for member, word in (
            ("transporter", "with"),
            ("trackingCode", "AWB"),
            ("returnOrderStatus", "status"),
            ("expectedDate", "expected"),
        )
        if returned.get(member)
    ]
    if way:
        yield "  " + ", ".join(way)
    counts = [f"{count} {word}" for word, count in (returned.get("quantities") or {}).items() if count]
    if counts:
        yield "  units: " + ", ".join(counts)


def _return(returned: Document) -> str:
    units = ", ".join(f"{item.get('quantity')} {item.get('channelSkuCode')}" for item in returned.get("items") or ())
    reason = f"  (refused: {returned['reason']})" if returned.get("reason") else ""
    return f"{returned.get('returnOrderCode')}  {units or 'no units'}{reason}"


def _item(item: Document) -> str:
    state = "cancelled" if item.get("cancelled") else item.get("qcStatus") or "expected"
    return f"{item.get('itemCode')}  {item.get('channelSkuCode')}  {state}"


def _early_event(event: Document) -> str:
    return f"{event.get('event')}  kept until {_time(event.get('untilMs'))}"


def _line(line: Document) -> str:
    counts = ", ".join(
        f"{line[member]} {word}"
        for member, word in (("open", "open"), ("packed", "packed"), ("cancelled", "cancelled"))
        if line.get(member)
    )
    name, sku = line.get("orderItemCode"), line.get("channelSkuCode")
    return f"{name}  {sku}  {line.get('ordered')} ordered: {counts or 'nothing open'}"


def _shipment(shipment: Document) -> Iterator[str]:
    code = f" ({shipment['shipmentCode']})" if shipment.get("shipmentCode") else ""
    yield f"{shipment.get('shipmentId')}{code}  {shipment.get('state')}  from {shipment.get('locationCode')}"
    details = [
        f"{word} {shipment[member]}"
        for member, word in (
            ("transporter", "with"),
            ("awbNumber", "AWB"),
            ("invoiceCode", "invoice"),
            ("manifestCode", "manifest"),
        )
        if shipment.get(member)
    ]
    if details:
        yield "  " + ", ".join(details)


def _fact(fact: Document) -> str:
    at_ms = fact.get("atMs", fact.get("at_ms"))
    return f"{fact.get('sequence', '?'):>3}  {_time(at_ms)}  {fact.get('name')}{_more(fact)}"


def _more(fact: Document) -> str:
    """Return the short members of a fact, for its line; a sentence for some facts."""
    sentence = _IN_WORDS.get(str(fact.get("name")))
    if sentence is not None:
        return f"  {sentence.format_map(_Members(fact))}"
    shown = [
        f"{name}={value}"
        for name, value in fact.items()
        if name not in _NOT_SHOWN and isinstance(value, str | int | float | bool)
    ]
    return f"  {' '.join(shown)}" if shown else ""


class _Members(dict[str, Any]):
    """Members of a fact; one that it lacks is `?`."""

    def __missing__(self, _name: str) -> str:
        return "?"


def _delivery(delivery: Document, order: Document) -> Iterator[str]:
    message = f"  ({_one_line(delivery['message'])})" if delivery.get("message") else ""
    due = f", next attempt {_time(delivery['nextAtMs'])}" if delivery.get("nextAtMs") else ""
    touchpoint, destination = delivery.get("touchpoint"), delivery.get("destination")
    yield f"{touchpoint} to {destination}: {delivery.get('status')}{due}{message}"
    yield from (f"  {text}" for text in _attempts(delivery.get("attempts") or ()))
    yield from (f"  {text}" for text in _ways_on(delivery, order))


def _ways_on(delivery: Document, order: Document) -> Iterator[str]:
    """Yield the commands by which an operator sends a delivery again or lets its lane go on, ready to be typed."""
    if delivery.get("status") not in ("refused", "dead"):
        return
    from topics.contract.definition import Mode, WhenDead
    from topics.contract.touchpoints import BY_NAME

    touchpoint = BY_NAME.get(str(delivery.get("touchpoint")))
    code = str(order.get("returnOrderCode") or order.get("orderCode"))
    name, channel = str(delivery.get("id")), f"--channel={order.get('channel')}"
    if delivery.get("status") == "refused":
        if touchpoint is not None and touchpoint.mode is Mode.ACCEPT:
            yield f"to send it again: {_typed('orders', 'resubmit', channel, f'--delivery={name}', of=(code,))}"
    elif touchpoint is None or touchpoint.when_dead is WhenDead.HOLD:
        retry, skip = (_typed("deliveries", verb, channel, "--wait", of=(code, name)) for verb in ("retry", "skip"))
        yield f"it holds its lane; to try it again: {retry}"
        yield f"to go on without it: {skip}"
    else:
        yield f"to send it again: {_typed('redrive', channel, f'--order={code}')}"


def _typed(*command: str, of: tuple[str, ...] = ()) -> str:
    """Return a command as a shell takes it. `of`: its arguments, any of which may look like an option."""
    words = [*command, *(("--",) if any(one.startswith("-") for one in of) else ()), *of]
    return _printable(shlex.join(["sluice", *words]))


def _refused_calls(order: Document) -> Iterator[str]:
    calls = order.get("refusedCalls") or ()
    yield from _section("Refused calls", [text for call in calls for text in _refused_call(call)])


def _refused_call(call: Document) -> Iterator[str]:
    status = f"{call['status']} " if call.get("status") is not None else ""
    caller = call.get("address") or call.get("source")
    of = "over HTTP" if caller == GATEWAY_SOURCE else f"of {caller}"  # the access log has that caller's address
    again = f", {call['count']} times since {_time(call.get('firstAtMs'))}" if call.get("count", 1) > 1 else ""
    answer = f"{call.get('touchpoint')} {of}: {status}{call.get('code')}"
    yield _printable(f"{_time(call.get('lastAtMs'))}  {answer}{again}  ({call.get('eventId')})")
    if call.get("reason"):
        yield f"  {_printable(' '.join(str(call['reason']).split()))}"


def _printable(text: str) -> str:
    """Replace what a producer may have sent to steer a terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _attempts(attempts: Iterable[Document]) -> Iterator[str]:
    for attempt in attempts:
        answer = attempt.get("status") or attempt.get("error") or "no answer"
        error = f"  {_one_line(attempt['error'])}" if attempt.get("error") and attempt.get("status") else ""
        took_ms = attempt.get("tookMs")
        took = f"{answer} in {took_ms:g} ms" if isinstance(took_ms, int | float) else str(answer)
        yield f"attempt {attempt.get('number')}  {_time(attempt.get('atMs'))}  {took}{error}"


def _one_line(text: Any) -> str:
    """Shorten an error message to a part of a line: some servers answer with whole pages."""
    return textwrap.shorten(str(text), 160, placeholder=" ...")


def _time(at_ms: Any) -> str:
    """Return a time to the millisecond."""
    if not isinstance(at_ms, int | float):
        return "at an unknown time"
    return moment(round(at_ms), exact=True)
