"""Rejected records: written to `commands.rejected`, their bytes untouched, with the reason in headers."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from types import MappingProxyType
from typing import cast

from streams.runtime.limits import HEADER_FRAMING_BYTES, KEY_BYTES_MAX, REASON_BYTES_MAX, VALUE_BYTES_MAX
from streams.runtime.role import Effect, Poison, Record
from topics.logs.catalogue import SET_ASIDE
from topics.logs.lines import write_line
from topics.records.envelope import Headers, ReadHeaders
from topics.traces.context import trace_id_in

REJECTED_TOPIC = "commands.rejected"
DECISION_FAILED = "decision_failed"
"""Code of a record whose decision raised an exception other than Poison: the fault is Sluice's, not the record's."""
_NAMED: Mapping[str, str] = MappingProxyType(
    {"ce_id": "event_id", "ce_type": "kind", "ce_subject": "subject", "sluice-channel": "channel"}
)
"""Headers that the line of a record names, and the fields that they are there."""
WORDS_MAX = 300
"""Characters of each of them: longer than any code."""
SKIPPED = "skipped"
"""Code of a record that an operator had skipped (`sluice skip`); the reason says who and why."""
TOO_LARGE = "too_large"
"""Code of a record whose effects or state would not fit the topics' record limit."""


def reason_of(error: Exception) -> str:
    """The traceback, or its end when it is long: that is where the error is."""
    return "".join(traceback.format_exception(error))[-REASON_BYTES_MAX:]


def too_large(what: str, value: bytes) -> Poison:
    return Poison(TOO_LARGE, f"{what} would have {len(value)} bytes; at most {VALUE_BYTES_MAX} fit")


def key_too_large(what: str, key: bytes) -> Poison:
    return Poison(TOO_LARGE, f"the key of {what} would have {len(key)} bytes; at most {KEY_BYTES_MAX} fit")


def headers_bytes(headers: ReadHeaders) -> int:
    """Bytes that headers take in a record, at most."""
    return sum(len(name.encode()) + len(content or b"") + HEADER_FRAMING_BYTES for name, content in headers)


def sent_on(record: Record, origin: tuple[str, bytes]) -> Headers:
    """The headers of a record that is sent on as it is, and `origin`. Raises Poison for one that would not fit then."""
    size = len(record.value) + headers_bytes(record.headers)
    if size > VALUE_BYTES_MAX:
        raise Poison(TOO_LARGE, f"it would be sent on with {size} bytes; at most {VALUE_BYTES_MAX} fit")
    return (*_as_they_are(record.headers), origin)


def _as_they_are(headers: ReadHeaders) -> Headers:
    """Null values stay null: Kafka's clients can write them."""
    return cast("Headers", headers)


def log_set_aside(record: Record, topic: str, code: str) -> None:
    """The line of a record that is set aside. Its reason may quote the record, and is kept with it alone."""
    told = headers_named(record)
    position = f"{topic}/{record.partition}/{record.offset}"
    write_line(SET_ASIDE, **told, trace_id=trace_id_in(record.headers), position=position, code=code)


def headers_named(record: Record) -> dict[str, str]:
    """The headers that say what a record is about, under the names that the log has for them."""
    headers = dict(record.headers)
    return {field: _words(headers.get(name)) for name, field in _NAMED.items()}


def _words(content: bytes | None) -> str:
    return (content or b"").decode(errors="backslashreplace")[:WORDS_MAX]


def rejection(record: Record, *, role: str, topic: str, code: str, reason: str) -> Effect:
    """The original record with the reason and its origin; `topic` is the full name of the topic it was read from.

    What of it fits no topic together with the reason is left out, and its size noted: the original stays readable at
    the place that the headers name.
    """
    about = [
        ("sluice-rejected-code", code.encode()),
        ("sluice-rejected-reason", reason.encode(errors="backslashreplace")[:REASON_BYTES_MAX]),
        ("sluice-rejected-topic", topic.encode()),
        ("sluice-rejected-partition", b"%d" % record.partition),
        ("sluice-rejected-offset", b"%d" % record.offset),
        ("sluice-rejected-role", role.encode()),
        ("sluice-rejected-at-ms", b"%d" % record.timestamp_ms),
    ]
    key, value, headers = record.key, record.value, _as_they_are(record.headers)
    carried = headers_bytes(headers)
    if len(key) > KEY_BYTES_MAX:
        about.append(("sluice-rejected-key-bytes", b"%d" % len(key)))
        key = key[:KEY_BYTES_MAX]
    if len(value) + carried > VALUE_BYTES_MAX:
        about.append(("sluice-rejected-value-bytes", b"%d" % len(value)))
        value = b""
    if carried > VALUE_BYTES_MAX:
        about.append(("sluice-rejected-headers-bytes", b"%d" % carried))
        headers = ()
    return Effect(REJECTED_TOPIC, key, value, (*headers, *about))
