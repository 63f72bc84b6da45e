"""docs/traces.md: the spans that roles record, made from their catalogue."""

from __future__ import annotations

from topics.documents.markdown import GENERATED, document, table
from topics.traces.catalogue import ATTRIBUTES, SPANS

_ABOUT = """\
Sluice records spans for OpenTelemetry and sends them to a collector by OTLP over HTTP. It is off until you say where:

```console
$ pip install 'sluice-gateway[traces]'        # in Sluice's image and in `make setup` it is there already
$ export SLUICE_TRACES_URL=http://127.0.0.1:4318   # for each role
$ export SLUICE_TRACES_RATIO=0.01                  # one call in a hundred; this is the default
```

Certificates and headers for the collector are those of OpenTelemetry's own variables (`OTEL_EXPORTER_OTLP_CERTIFICATE`,
`OTEL_EXPORTER_OTLP_HEADERS`)."""
_WAY = """\
## The way of a trace

A caller's `traceparent` (W3C Trace Context) goes with the call: into the header `traceparent` of each record that the
call causes on `orders.commands`, `orders.events`, `deliveries.requests` and `inventory.updates`, and from there into
the request to the far side, over HTTP or Kafka, and to each subscriber. That holds without a collector, too: then it
goes on as it came. A record without the header has no trace. `tracestate` is not handed on.

| the call | what is recorded |
| --- | --- |
| has a `traceparent` whose flag says "sampled" | its trace goes on, with spans of Sluice |
| has one whose flag says otherwise | nothing; the `traceparent` is handed on as it came |
| has none | a trace begins for one in `1 / SLUICE_TRACES_RATIO`; for the others nothing is handed on |
| is a record of a direct producer | as the record's `traceparent` says; without one nothing |

Request, decision and first attempt are in one trace. What was decided because of an attempt's answer is in the trace of
that attempt."""
_LINKS = """\
## Links

A link stands where what follows is not part of the same work:

- A **group** of decisions becomes durable at once. The span of its commit has a trace of its own, and links to the
  recorded decisions in it.
- A **retry** and a **redrive** may come hours later. Such an attempt has a trace of its own, with a link to the
  decision that wanted the request. In the log its `trace_id` is that of this decision, so one search finds them all.
- A call with **stock** carries the newest quantity of each SKU, whatever updates there were. It begins a trace of its
  own, for one in `1 / SLUICE_TRACES_RATIO`, and has no link."""
_AWAY = """\
## When the collector is away

Nothing waits for it. At most 2,048 spans of a process wait in memory; the oldest are dropped. The log has one line when
it begins (`traces-away`) and one when it ends (`traces-back`), which says how many were dropped. The end of a process
waits two seconds for its last spans."""
_COST = """\
## What it costs

An event of `sluice bench orders` takes some 190 us of CPU in the orders worker. Without a collector 0.1 us of it at
most is for traces. With one, 0.4 us is for a look at the headers of each event, and 60 us for each span, 52 of them in
the thread that sends: 0.6 % where one event in a hundred is recorded. The packages take 12 MB on disk; where a
collector is set, a process starts 0.1 s later and has 15 MB more memory. Where none is set, they are not imported."""
_PERSONAL = """\
## What no span has

Only the attributes below are recorded; one that is not listed is left out, and fails a test. None holds a body, a path
with codes in it, a query, a header, or words of a far side."""


def text() -> str:
    spans = ((one.name, one.kind, ", ".join(one.writers), one.meaning, _listed(one.attributes)) for one in SPANS)
    return document(
        [
            GENERATED,
            "# Where did the time of a call go, in my own tracing?",
            _ABOUT,
            _WAY,
            _LINKS,
            _AWAY,
            _COST,
            _PERSONAL,
            "## Spans",
            table(("name", "kind", "recorded by", "meaning", "attributes"), spans),
            "## Attributes",
            table(("attribute", "meaning"), ((f"`{name}`", meaning) for name, meaning in ATTRIBUTES.items())),
        ]
    )


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)
