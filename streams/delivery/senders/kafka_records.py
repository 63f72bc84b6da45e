"""Records between Sluice and a channel that lives on Kafka (docs/kafka-channels.md is written for the channel). Pure.

A request's value holds the touchpoint's members, path and query members included; all else is in headers. The delivery
id is the same in each attempt, and so is the correlation id: an answer to an earlier attempt answers the request.
"""

from __future__ import annotations

from collections.abc import Sequence

from streams.delivery.ports import RESPONSE_BYTES_MAX, Answer, Call
from topics.records.envelope import CHANNEL_REQUEST, DELIVERY_SOURCE, Envelope, Headers
from topics.records.keys import stock_key
from topics.stock.positions import consolidated_location

CORRELATION = "sluice-correlation-id"
ATTEMPT = "sluice-attempt"
STATUS = "sluice-status"
"""Header of an answer: the status that HTTP would have; 200 without it."""
SHOWN_CHARS_MAX = 40


def request_headers(call: Call, answers_to: str, deadline_ms: int, now_ms: int) -> Headers:
    """`answers_to`: the full name of the topic for the answer. `deadline_ms`: when this attempt stops to wait."""
    envelope = Envelope(
        id=call.delivery_id,
        type=CHANNEL_REQUEST + call.touchpoint.name,
        source=DELIVERY_SOURCE,
        channel=call.channel,
        time_ms=now_ms,
        reply_topic=answers_to,
        deadline_ms=deadline_ms,
        traceparent=call.traceparent,
    )
    return (
        *envelope.headers(),
        (CORRELATION, call.delivery_id.encode()),
        (ATTEMPT, b"%d" % call.attempt),
    )


def request_key(call: Call) -> bytes:
    """Requests of one order, return, manifest or stock location share a key, so the channel sees them in sequence."""
    if call.entity:
        return call.entity.encode()
    members = call.read_members()
    if "consolidationType" in members:
        return stock_key(call.channel, consolidated_location(str(members["consolidationType"])))
    return stock_key(call.channel, str(members.get("locationCode", "")))


def request_value(call: Call) -> bytes:
    return bytes(call.text())


def correlation_of(headers: Sequence[tuple[str, bytes]]) -> str | None:
    """The id of the request that a record answers; None without one."""
    found = _header(headers, CORRELATION)
    return found.decode(errors="replace") if found else None


def read_answer(headers: Sequence[tuple[str, bytes]], value: bytes | None) -> Answer:
    """Read an answer as if it had come over HTTP. An unreadable one is no answer; its error says why."""
    raw = _header(headers, STATUS) or b"200"
    if not (raw.isdigit() and len(raw) == 3 and 100 <= int(raw) <= 599):
        shown = raw.decode(errors="replace")[:SHOWN_CHARS_MAX]
        return Answer(status=None, error=f"the answer's {STATUS} is not a status from 100 to 599: {shown!r}")
    named = {name.lower(): content.decode(errors="replace") for name, content in headers if content is not None}
    body = value or b""
    if len(body) > RESPONSE_BYTES_MAX:
        error = f"the answer is larger than {RESPONSE_BYTES_MAX} bytes"
        return Answer(status=int(raw), headers=named, error=error)
    return Answer(status=int(raw), headers=named, body=body)


def _header(headers: Sequence[tuple[str, bytes]], wanted: str) -> bytes | None:
    """The first of a name, whatever its case; a client may send a header without a value."""
    return next((content for name, content in headers if name.lower() == wanted), None)
