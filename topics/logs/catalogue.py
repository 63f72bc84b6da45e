"""The catalogue of the logs: every event that a role writes a line for, and every field that a line may have.

docs/logs.md is made from it. A field that is not listed is not written: so no line can carry a body, a name, an address
of a person or a phone number by mistake.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from topics.values import Value

DEBUG, INFO, WARNING, ERROR, CRITICAL = "debug", "info", "warning", "error", "critical"

SHARED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "at": "when, in UTC",
        "level": "debug, info, warning, error or critical",
        "role": "the role whose process wrote the line",
        "instance": "name of that worker (`SLUICE_INSTANCE`), or number of that gateway",
        "event": "what the line is about: one of the events below",
    }
)
"""Fields of every line."""

FIELDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "action": "name of the route of `/api`",
        "actor": "name of the token that the caller used",
        "address": "IP address from which the call came",
        "attempt": "number of the attempt, from 1",
        "broker": "id of the broker",
        "channel": "the channel",
        "class": "what the answer means: success, throttled, refused, .. ([responses.md](responses.md))",
        "code": "why, for machines: the code in the caller's answer, or that of a record that was set aside",
        "delivery_id": "id of the request, the same in every attempt",
        "destination": "the destination",
        "error": "why there was no usable answer; of an exception, its type and place, never its message",
        "event_id": "id of the event (`ce_id`): in the receipt of its caller, and in all that came of it",
        "far_side": "how the far side is reached: http, kafka or self",
        "kind": "the call of the contract, or what else happened; of a record that was set aside its `ce_type`",
        "lasted_s": "how long it lasted, in seconds",
        "logger": "module that wrote the text",
        "message": "a text for people",
        "method": "HTTP method",
        "not_before_ms": "end of the far side's `Retry-After`, in epoch milliseconds",
        "position": "record in Kafka, as topic/partition/offset; of several the first",
        "reason": "why, for people, in Sluice's own words; those of a far side are in the history of the order alone",
        "records": "records that the call left in Kafka",
        "requests": "requests that the line stands for",
        "server": "address of the broker, or of the collector of traces",
        "spans": "spans that were dropped meanwhile",
        "status": "HTTP status of the answer",
        "subject": "code of the order, return or manifest, or the location of stock",
        "target": "path of a request that no route takes, without the parts that stand in no known path; or that "
        "of an action, with what its route knows of the query",
        "took_ms": "time from the request to its answer, in milliseconds",
        "touchpoint": "the call of the contract, or of `/api`",
        "trace_id": "trace of the caller (W3C `traceparent`), if there is one",
        "verdict": "verdict of the orders role",
    }
)
"""Fields that an event may have, each with its meaning."""


class LogEvent(Value, frozen=True):
    """A kind of line. `writers`: roles that write it. `fields`: those of FIELDS that it has."""

    name: str
    level: str
    writers: tuple[str, ...]
    meaning: str
    fields: tuple[str, ...]


STREAMS = ("orders", "inventory", "delivery")
ALL = ("gateway", *STREAMS, "journal")

REQUEST = LogEvent(
    "request",
    INFO,
    ("gateway",),
    "A call was answered. Every answer with 4xx or 5xx has `code` and `reason`.",
    (
        "touchpoint",
        "channel",
        "subject",
        "address",
        "status",
        "verdict",
        "took_ms",
        "event_id",
        "trace_id",
        "position",
        "records",
        "code",
        "reason",
        "method",
        "target",
    ),
)
ACTION = LogEvent(
    "action",
    INFO,
    ("gateway",),
    "A call of `/api` that is to change something was answered; written at every log level.",
    (
        "actor",
        "address",
        "action",
        "method",
        "target",
        "channel",
        "subject",
        "status",
        "event_id",
        "position",
    ),
)
OVERLOADED = LogEvent(
    "refused",
    INFO,
    ("gateway",),
    "Requests of a channel were refused because there was too much to do; one line a second.",
    ("channel", "reason", "requests"),
)
DECISION = LogEvent(
    "decision",
    INFO,
    ("orders",),
    "A command or an outcome was decided with another verdict than APPLIED or ANSWERED.",
    ("channel", "subject", "kind", "event_id", "trace_id", "position", "verdict", "reason"),
)
SET_ASIDE = LogEvent(
    "set-aside",
    WARNING,
    STREAMS,
    "A record cannot be decided, and is on `commands.rejected`, where the whole reason is.",
    ("channel", "subject", "kind", "event_id", "trace_id", "position", "code"),
)
ATTEMPT = LogEvent(
    "attempt",
    INFO,
    ("delivery",),
    "A request was sent, and its answer judged.",
    (
        "destination",
        "far_side",
        "channel",
        "touchpoint",
        "subject",
        "delivery_id",
        "event_id",
        "trace_id",
        "attempt",
        "class",
        "status",
        "took_ms",
        "not_before_ms",
        "error",
    ),
)
KAFKA_AWAY = LogEvent(
    "kafka-away",
    WARNING,
    ALL,
    "A broker does not answer: what needs it waits. One line when it begins, whatever fails meanwhile.",
    ("broker", "server", "error"),
)
KAFKA_BACK = LogEvent(
    "kafka-back", INFO, ALL, "That broker answers again. One line when it ends.", ("broker", "server", "lasted_s")
)
TRACES_AWAY = LogEvent(
    "traces-away",
    WARNING,
    (*STREAMS, "gateway"),
    "The collector of traces takes no spans: they are dropped, and all else goes on. One line when it begins.",
    ("server", "error", "spans"),
)
TRACES_BACK = LogEvent(
    "traces-back",
    INFO,
    (*STREAMS, "gateway"),
    "The collector takes spans again. One line when it ends.",
    ("server", "lasted_s", "spans"),
)
TRACES_LOST = LogEvent(
    "traces-lost",
    WARNING,
    (*STREAMS, "gateway"),
    "There were more spans than could be sent, and the oldest were dropped: lower `SLUICE_TRACES_RATIO`. At most one "
    "line a minute.",
    ("server", "spans"),
)
MESSAGE = LogEvent(
    "message", INFO, ALL, "Anything else, as a text, at the level that `level` says.", ("logger", "message", "error")
)

EVENTS: Final = (
    REQUEST,
    ACTION,
    OVERLOADED,
    DECISION,
    SET_ASIDE,
    ATTEMPT,
    KAFKA_AWAY,
    KAFKA_BACK,
    TRACES_AWAY,
    TRACES_BACK,
    TRACES_LOST,
    MESSAGE,
)
ALLOWED: Final = MappingProxyType({event.name: frozenset(event.fields) for event in EVENTS})
"""The fields of each event, by its name."""
