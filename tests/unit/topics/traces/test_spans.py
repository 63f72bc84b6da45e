"""Which spans are recorded, under which trace, with which attributes."""

from __future__ import annotations

from typing import Any

import pytest

from topics.traces.catalogue import ATTRIBUTES, COMMIT, DECISION, REQUEST, SPANS
from topics.traces.context import TraceContext
from topics.traces.setup import collector_url
from topics.traces.spans import LINKS_MAX, Span, Spans

PARENT = TraceContext("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", sampled=True)
UNSAMPLED = TraceContext(PARENT.trace_id, PARENT.span_id, sampled=False)


def recording(found: list[Span], ratio: float = 0.0, drawn: float = 0.5) -> Spans:
    return Spans(found.append, ratio, now_ns=lambda: 7_000_000_000, random=lambda: drawn)


def test_without_a_collector_nothing_is_recorded() -> None:
    spans = Spans(None, 1.0)
    assert not spans.is_on
    assert spans.begin(REQUEST, PARENT) is None
    assert spans.begin(REQUEST, None) is None
    assert spans.begin_child(DECISION, PARENT, "x") is None
    assert spans.begin_linked(COMMIT, [PARENT]) is None


def test_the_callers_flag_says_whether_his_trace_is_recorded() -> None:
    found: list[Span] = []
    spans = recording(found)
    assert spans.begin(REQUEST, UNSAMPLED) is None
    span = spans.begin(REQUEST, PARENT)
    assert span is not None
    spans.end(span, "POST /x", {"sluice.channel": "demo", "sluice.subject": ""}, lasted_s=1.5)
    (ended,) = found
    assert (ended.context.trace_id, ended.parent, ended.error) == (PARENT.trace_id, PARENT, "")
    assert ended.context.span_id != PARENT.span_id
    assert (ended.started_ns, ended.ended_ns) == (5_500_000_000, 7_000_000_000)
    assert ended.attributes == {"sluice.channel": "demo"}


@pytest.mark.parametrize(("ratio", "drawn", "begins"), [(0, 0, False), (0.01, 0.5, False), (0.01, 0.001, True)])
def test_a_share_of_the_others_begins_a_trace(ratio: float, drawn: float, begins: bool) -> None:
    span = recording([], ratio, drawn).begin(REQUEST, None)
    assert (span is not None) == begins
    if span is not None:
        assert (len(span.context.trace_id), len(span.context.span_id), span.parent) == (32, 16, None)


def test_a_decision_has_the_same_span_when_it_is_made_again() -> None:
    spans = recording([])
    once, again = spans.begin_child(DECISION, PARENT, "t/0/1"), spans.begin_child(DECISION, PARENT, "t/0/1")
    assert once is not None
    assert again is not None
    assert once.context == again.context
    assert once.parent == PARENT


def test_a_linked_span_has_a_trace_of_its_own() -> None:
    spans = recording([])
    span = spans.begin_linked(COMMIT, [UNSAMPLED, *[PARENT] * (LINKS_MAX + 1)])
    assert span is not None
    assert (span.parent, span.links) == (None, (PARENT,) * LINKS_MAX)
    assert span.context.trace_id != PARENT.trace_id
    assert spans.begin_linked(COMMIT, [UNSAMPLED]) is None


def test_what_is_not_listed_is_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Span] = []
    spans = recording(found)
    span = spans.begin(REQUEST, PARENT)
    assert span is not None
    more: dict[str, Any] = {"sluice.channel": "demo", "url.path": "/orders/Erika"}
    with pytest.raises(LookupError, match=r"url\.path"):
        spans.end(span, "POST", more)
    monkeypatch.setenv("SLUICE_INVARIANTS", "count")
    spans.end(span, "POST", more)
    assert found[0].attributes == {"sluice.channel": "demo"}


def test_the_catalogue_describes_each_attribute_once() -> None:
    named = {name for one in SPANS for name in one.attributes}
    assert named == set(ATTRIBUTES)


@pytest.mark.parametrize(
    ("setting", "url"),
    [
        ("http://c:4318", "http://c:4318/v1/traces"),
        ("http://c:4318/", "http://c:4318/v1/traces"),
        ("https://c/otlp/v1/traces", "https://c/otlp/v1/traces"),
    ],
)
def test_a_collector_is_found_at_otlps_own_path(setting: str, url: str) -> None:
    assert collector_url(setting) == url
