"""CloudEvents 1.0 attributes in Kafka binary mode: `ce_*` headers, the payload untouched.

Source: CloudEvents Kafka protocol binding 1.0.2, section 3.2. Sluice's own context travels in `sluice-*` headers.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from topics.records.reading import MADE_BY
from topics.records.signing import SIGNATURE
from topics.traces.context import TRACEPARENT, handed_on, traceparent_of
from topics.values import Value

Headers = tuple[tuple[str, bytes], ...]
"""Names and values, as Sluice writes them."""
ReadHeaders = tuple[tuple[str, bytes | None], ...]
"""The headers of a record that anybody may have written: Kafka allows null as a value, names may come twice, and a name
that is not UTF-8 is read with its bytes as `\\xff`."""

HEADER_BYTES_MAX = 4_096
"""Largest value of a header of the envelope, as of a key. What Sluice writes repeats some of them, and must fit a
record beside the largest value."""
ID_CHARS_MAX = 1_000
"""Longest id of a request. The id of its outcome is made by adding to it, and must be a header that can be read, also
if every character takes four bytes."""
SENT_ID_CHARS_MAX = 900
"""Longest id of a sender's event, of which the ids of facts and requests are made by adding to it."""
INTEGER_MAX = (1 << 63) - 1
"""Largest whole number in a header: what JSON and Kafka's own fields can carry."""

_NAMES = frozenset(
    {
        *("ce_specversion", "ce_id", "ce_type", "ce_source", "ce_subject", "ce_time", "content-type", "sluice-channel"),
        *(
            "sluice-reply-partition",
            "sluice-reply-topic",
            "sluice-deadline-ms",
            "sluice-batch-id",
            SIGNATURE,
            MADE_BY,
            TRACEPARENT,
        ),
    }
)
"""Names of the headers that Sluice writes; others may be in capitals."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

COMMAND = "sluice.command."
"""Type prefix of commands; the rest is a touchpoint's name or one of the internal commands below."""
FACT = "sluice.fact."
"""Type prefix of facts on orders.events; the rest is the fact's name, past tense."""

DELIVERY_OUTCOME = COMMAND + "delivery-outcome"
"""From delivery to the order: the outcome of a request (topics.records.deliveries.Outcome)."""
SHIPMENT_MANIFESTED = COMMAND + "shipment-manifested"
"""From a manifest to each of its orders."""
RETURN_CLAIMED = COMMAND + "return-claimed"
"""From a return to its forward order: the units it holds, and those it asks for."""
RETURN_DECIDED = COMMAND + "return-decided"
"""The forward order's answer: the units are admitted, or why not."""
CHANNEL_REQUEST = "sluice.request."
"""Type prefix of requests to a channel that lives on Kafka; the rest is a touchpoint's name."""
RESUBMIT = COMMAND + "resubmit"
"""An operator has a refused request sent again (topics.records.models.ResubmitAsked)."""
CALL_REFUSED = COMMAND + "call-refused"
"""From a gateway, or from the owner of a partition: a call about the entity was refused and never became a command."""
TICK = COMMAND + "tick"
"""From the owner of a partition of orders to itself: time has passed for the entities that are due."""
ORDER_QUERY = "sluice.query.order"
"""Read-only: the order's whole state is answered on `replies`."""
DELIVERY_REQUEST = "sluice.delivery.request"
DELIVERY_ATTEMPTED = "sluice.delivery.attempted"
DELIVERY_DEAD = "sluice.delivery.dead"
DELIVERY_REFUSED = "sluice.delivery.refused"
"""On deliveries.dead: a request that was refused, and whose order goes by that. Redrives leave it alone."""
LANE_DECISION = "sluice.delivery.lane-decision"
"""An operator's decision about a lane held by a dead request: retry it or skip it."""
DELIVERY_REDRIVE = "sluice.delivery.redrive"
"""An operator sends a request again that was given up (topics.records.deliveries.Redrive)."""
DELIVERY_CONCLUDED = "sluice.delivery.concluded"
"""On deliveries.dead: the end of a request after it was given up (topics.records.deliveries.Concluded)."""
REPLY = "sluice.reply"
REJECTED = "sluice.rejected"

NO_CHANNEL = "~"
"""Stands for a channel's name in records that belong to all channels or to none."""

GATEWAY_SOURCE = "/gateway"
"""ce_source of what a gateway writes. Anybody may write it, so nothing is inferred from it (topics.records.signing)."""
ORDERS_SOURCE = "/orders"
DELIVERY_SOURCE = "/delivery"
INVENTORY_SOURCE = "/inventory"


class EnvelopeError(ValueError):
    """A record's headers are not a usable envelope; the message names the header and what was expected."""


class Envelope(Value, frozen=True, kw_only=True):
    """The headers of a record.

    `id` is unique per event and stable over retries; `time_ms` is epoch milliseconds. `reply_partition` is the
    partition of `replies` on which a gateway waits for `id`; `reply_topic` is the full name of the topic on which a
    direct producer wants its verdict, `deadline_ms` until when (epoch milliseconds). `batch_id` is the id of the HTTP
    call that a split record came from. `signature`: a gateway's, of type, key and value (topics.records.signing).
    `traceparent`: the span that caused it (topics.traces.context); empty for a record that no trace has.
    """

    id: str
    type: str
    source: str
    channel: str
    subject: str = ""
    time_ms: int = 0
    reply_partition: int | None = None
    reply_topic: str = ""
    deadline_ms: int | None = None
    batch_id: str = ""
    signature: bytes = b""
    traceparent: str = ""

    def headers(self) -> Headers:
        headers = [*event_headers(self.id, self.type, self.source, self.channel, self.subject, self.time_ms)]
        if self.reply_partition is not None:
            headers.append(("sluice-reply-partition", b"%d" % self.reply_partition))
        if self.reply_topic:
            headers.append(("sluice-reply-topic", self.reply_topic.encode()))
        if self.deadline_ms is not None:
            headers.append(("sluice-deadline-ms", b"%d" % self.deadline_ms))
        if self.batch_id:
            headers.append(("sluice-batch-id", self.batch_id.encode()))
        if self.signature:
            headers.append((SIGNATURE, self.signature))
        headers += handed_on(self.traceparent)
        return tuple(headers)


def event_headers(id_: str, type_: str, source: str, channel: str, subject: str = "", time_ms: int = 0) -> Headers:
    """The headers of an envelope with no more members than these, without making an envelope."""
    version, kind, origin, content, owner = _fixed(type_, source, channel)
    headers = [version, ("ce_id", id_.encode()), kind, origin, content, owner]
    if subject:
        headers.append(("ce_subject", subject.encode()))
    if time_ms:
        headers.append(("ce_time", _iso_bytes(time_ms)))
    return tuple(headers)


def role_headers(id_: str, type_: str, source: str, channel: str, subject: str = "", time_ms: int = 0) -> Headers:
    """As `event_headers`, for a record that only Sluice's own roles read: without `ce_specversion` and `content-type`,
    which say the same of every record."""
    _version, kind, origin, _content, owner = _fixed(type_, source, channel)
    headers = [("ce_id", id_.encode()), kind, origin, owner]
    if subject:
        headers.append(("ce_subject", subject.encode()))
    if time_ms:
        headers.append(("ce_time", _iso_bytes(time_ms)))
    return tuple(headers)


@lru_cache(maxsize=4_096)
def _fixed(type_: str, source: str, channel: str) -> Headers:
    """The headers that all records of one type and channel have in common. There are some fifty types per channel."""
    return (
        ("ce_specversion", b"1.0"),
        ("ce_type", type_.encode()),
        ("ce_source", source.encode()),
        ("content-type", b"application/json"),
        ("sluice-channel", channel.encode()),
    )


def parse(headers: Collection[tuple[str, bytes | None]]) -> Envelope:
    """Read an envelope from record headers: null counts as missing, and of a repeated header the last value counts.

    Raises EnvelopeError naming the first header that is missing or wrong.
    """
    found = dict(headers)
    if not _NAMES.issuperset(found):  # not all by Sluice, perhaps in capitals
        found = {name.lower(): value for name, value in headers}
    get = found.get
    # A member that is not there, as most are, costs no call.
    return Envelope(
        id=_text(found, "ce_id"),
        type=_text(found, "ce_type"),
        source=_text(found, "ce_source") if get("ce_source") else "",
        channel=_text(found, "sluice-channel"),
        subject=_text(found, "ce_subject") if get("ce_subject") else "",
        time_ms=_time_of(raw) if (raw := get("ce_time")) else 0,
        reply_partition=_integer(found, "sluice-reply-partition") if "sluice-reply-partition" in found else None,
        reply_topic=_text(found, "sluice-reply-topic") if get("sluice-reply-topic") else "",
        deadline_ms=_integer(found, "sluice-deadline-ms") if "sluice-deadline-ms" in found else None,
        batch_id=_text(found, "sluice-batch-id") if get("sluice-batch-id") else "",
        signature=get(SIGNATURE) or b"",
        traceparent=traceparent_of(raw) if (raw := get(TRACEPARENT)) else "",
    )


@lru_cache(maxsize=16)
def _iso_bytes(time_ms: int) -> bytes:
    """Cached, because records of one millisecond share it."""
    return iso_time(time_ms).encode()


def iso_time(time_ms: int) -> str:
    """Epoch milliseconds as RFC 3339 in UTC."""
    second, ms = divmod(time_ms, 1000)
    return f"{_iso_second(second)}.{ms:03d}Z"


@lru_cache(maxsize=64)
def _iso_second(second: int) -> str:
    """The time without its zone, cached, because records of one second share it."""
    return (_EPOCH + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S")


def _text(found: Mapping[str, bytes | None], name: str) -> str:
    raw = found.get(name)
    if not raw:
        raise EnvelopeError(f"header {name} is missing{' its value' if name in found else ''}")
    if len(raw) > HEADER_BYTES_MAX:
        raise EnvelopeError(f"header {name} has {len(raw)} bytes; at most {HEADER_BYTES_MAX} are taken")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise EnvelopeError(f"header {name} is not UTF-8: {raw[:40]!r}") from error


def _integer(found: Mapping[str, bytes | None], name: str) -> int | None:
    raw = found.get(name)
    if raw is None:
        return None
    try:
        number = int(raw)
    except ValueError as error:
        raise EnvelopeError(f"header {name} is not a whole number: {raw[:40]!r}") from error
    if not -INTEGER_MAX <= number <= INTEGER_MAX:
        raise EnvelopeError(f"header {name} is larger than {INTEGER_MAX}: {raw[:40]!r}")
    return number


def time_of(text: str) -> int:
    """Epoch milliseconds of a `ce_time`; 0 without one. Raises EnvelopeError."""
    return _time_of(text.encode()) if text else 0


@lru_cache(maxsize=16)
def _time_of(raw: bytes) -> int:
    """Cached, because records of one millisecond share it."""
    text = _text({"ce_time": raw}, "ce_time")
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise EnvelopeError(f"header ce_time is not an RFC 3339 time: {text[:40]!r}") from error
    # Without an offset the time is UTC: the time zone of the machine that reads it must not matter. Whole microseconds
    # are divided, because a float of seconds may fall short of its millisecond.
    since = (time if time.tzinfo else time.replace(tzinfo=UTC)) - _EPOCH
    return since // timedelta(milliseconds=1)
