"""docs/logs.md: the lines that roles write, made from their catalogue."""

from __future__ import annotations

from topics.documents.markdown import GENERATED, document, table
from topics.logs.catalogue import EVENTS, FIELDS, SHARED

_ABOUT = """\
Every role writes its log to standard error, one line for each record, in one shape: a JSON object on a line.
On a terminal the same lines are written for people; `SLUICE_LOG_FORMAT` (`json`, `console`) chooses one of both.
`SLUICE_LOG_LEVEL` leaves out what is below it. `sluice up` keeps the logs in `logs/` of its data directory."""
_ORDER = """\
## The way of an order

A line has the code of its order as `subject`, and as `event_id` the id that the caller got in `Sluice-Event-Id`. What
came of that event has the same id in all roles, and a request to a far side has it as the beginning of its
`delivery_id`. Where the caller sent a `traceparent`, or the call is traced ([traces.md](traces.md)), each of these
lines has the id of the trace as `trace_id`. So

```console
$ grep -h FIRST-1 .sluice/by-hand/logs/*.log | sort
```

gives the way of order FIRST-1 through all roles, in the sequence of time: each line begins with `at`. Commands that
were decided as asked (APPLIED) have no line of the orders role: their facts are in Kafka, and `sluice order CODE` shows
them. A line is written when something is decided or sent. A process that dies before that is durable decides it again,
so a line may come twice."""
_PERSONAL = """\
## What no line has

Only the fields below are written; a field that is not listed is left out, and fails a test. None holds a body, a
name, a postal address or a phone number. Of an exception a line has the type and the places in the code, never the
message, which may quote what it failed of. What a far side answered in its own words may quote the order, and is in the
history of the order alone."""
_KAFKA = """\
## When Kafka is away

An outage of a broker is one line when it begins (`kafka-away`) and one when it ends (`kafka-back`), in each role. What
the Kafka client says of each try is left out; if such a message comes again and again for half a minute although no
broker is away, it is written once a minute as a `message`. A clean start has no line at level `error`."""


def text() -> str:
    events = (
        (f"`{event.name}`", event.level, ", ".join(event.writers), event.meaning, _listed(event.fields))
        for event in EVENTS
    )
    return document(
        [
            GENERATED,
            "# What is in the log?",
            _ABOUT,
            _ORDER,
            _PERSONAL,
            _KAFKA,
            "## Fields of every line",
            table(("field", "meaning"), ((f"`{name}`", meaning) for name, meaning in SHARED.items())),
            "## Events",
            table(("event", "level", "written by", "meaning", "fields"), events),
            "## Fields of events",
            table(("field", "meaning"), ((f"`{name}`", meaning) for name, meaning in FIELDS.items())),
        ]
    )


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)
