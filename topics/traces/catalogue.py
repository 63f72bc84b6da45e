"""The catalogue of traces: every kind of span that a role records, and every attribute that a span may have.

docs/traces.md is made from it. An attribute that is not listed is not recorded: so no span can carry a body, a name, a
path with a code in it, or words of a far side by mistake.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from topics.values import Value

SERVER, CLIENT, PRODUCER, CONSUMER, INTERNAL = "server", "client", "producer", "consumer", "internal"

ATTRIBUTES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "error.type": "why it failed: an HTTP status, a code of Sluice, or that there was no answer",
        "http.request.method": "HTTP method",
        "http.request.resend_count": "attempts before this one",
        "http.response.status_code": "status of the answer",
        "http.route": "path of the call as a pattern, without the codes in it",
        "messaging.batch.message_count": "records that became durable together",
        "messaging.consumer.group.name": "group of the role",
        "messaging.destination.name": "topic",
        "messaging.destination.partition.id": "partition",
        "messaging.kafka.offset": "offset",
        "messaging.operation.name": "what is done with the record: process",
        "messaging.operation.type": "the same, as one of the listed types",
        "messaging.system": "kafka",
        "server.address": "host of the far side, from channels.toml",
        "sluice.attempt": "number of the attempt, from 1",
        "sluice.channel": "the channel",
        "sluice.class": "what the answer means ([responses.md](responses.md))",
        "sluice.delivery_id": "id of the request, the same in every attempt",
        "sluice.destination": "the destination",
        "sluice.event_id": "id of the event (`ce_id`), as in the log",
        "sluice.kind": "`ce_type` of the record",
        "sluice.redrive": "id of the redrive that sends the request again",
        "sluice.role": "the role",
        "sluice.subject": "code of the order, return or manifest, or the location of stock",
        "sluice.touchpoint": "the call of the contract, or of `/api`",
        "sluice.verdict": "verdict of the orders role",
        "url.template": "path of the call at the far side as a pattern, without the codes in it",
    }
)
"""Attributes that a span may have, each with its meaning: names of OpenTelemetry's semantic conventions where they have
one, else `sluice.` and the name that the log uses."""


class SpanType(Value, frozen=True):
    """A type of span. `name`: how it is named; `kind`: that of OpenTelemetry; `attributes`: those of ATTRIBUTES that it
    may have."""

    name: str
    kind: str
    writers: tuple[str, ...]
    meaning: str
    attributes: tuple[str, ...]


_OF_RECORD: Final = (
    "messaging.system",
    "messaging.operation.name",
    "messaging.operation.type",
    "messaging.destination.name",
    "messaging.destination.partition.id",
    "messaging.kafka.offset",
    "messaging.consumer.group.name",
)

REQUEST: Final = SpanType(
    "METHOD /path/{pattern}",
    SERVER,
    ("gateway",),
    "A call was answered. It lasts from the request's head to the answer, so it includes the wait for Kafka and for "
    "the verdict.",
    (
        "http.request.method",
        "http.route",
        "http.response.status_code",
        "error.type",
        "sluice.touchpoint",
        "sluice.channel",
        "sluice.subject",
        "sluice.event_id",
        "sluice.verdict",
    ),
)
DECISION: Final = SpanType(
    "process TOPIC",
    CONSUMER,
    ("orders", "inventory", "delivery"),
    "A record was decided. Between it and its parent the record waited in Kafka.",
    (*_OF_RECORD, "error.type", "sluice.channel", "sluice.subject", "sluice.event_id", "sluice.kind", "sluice.verdict"),
)
COMMIT: Final = SpanType(
    "commit ROLE",
    INTERNAL,
    ("orders", "inventory", "delivery"),
    "The effects, then the state, of a group of decisions became durable. It has a trace of its own, with a link to "
    "each recorded decision of the group.",
    ("sluice.role", "messaging.batch.message_count"),
)
ATTEMPT: Final = SpanType(
    "METHOD /path/{pattern}, or the touchpoint where the far side is not reached over HTTP",
    CLIENT,
    ("delivery",),
    "A request was sent, and its answer judged. The first attempt is below the decision that wanted it. A retry, and "
    "what a redrive sends again, has a trace of its own, with a link to that decision. So has a call with stock, "
    "without a link: it carries the newest quantities, of many updates.",
    (
        "http.request.method",
        "url.template",
        "server.address",
        "http.response.status_code",
        "http.request.resend_count",
        "error.type",
        "sluice.class",
        "sluice.touchpoint",
        "sluice.destination",
        "sluice.channel",
        "sluice.subject",
        "sluice.delivery_id",
        "sluice.event_id",
        "sluice.attempt",
        "sluice.redrive",
    ),
)

SPANS: Final = (REQUEST, DECISION, COMMIT, ATTEMPT)
ALLOWED: Final = MappingProxyType({one.name: frozenset(one.attributes) for one in SPANS})
"""The attributes of each type of span, by its name."""
