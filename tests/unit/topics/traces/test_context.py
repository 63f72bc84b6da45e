"""What a caller may write as `traceparent`, and what is handed on."""

from __future__ import annotations

import pytest

from topics.records.envelope import Envelope, parse
from topics.traces.context import (
    TRACEPARENT,
    TraceContext,
    context_in,
    handed_on,
    read_traceparent,
    trace_id_in,
    with_context,
)

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    ("text", "sampled"),
    [
        (GOOD, True),
        (f"00-{TRACE}-{SPAN}-00", False),
        (f"00-{TRACE}-{SPAN}-03", True),
        (f"cc-{TRACE}-{SPAN}-01-x", True),
    ],
)
def test_a_traceparent_is_read(text: str, sampled: bool) -> None:
    assert read_traceparent(text) == TraceContext(TRACE, SPAN, sampled)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Erika Mustermann",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"{GOOD}-more",
        f"cc-{TRACE}-{SPAN}-01-{'x' * 200}",
        GOOD + "\n",
    ],
)
def test_what_is_none_is_not_handed_on(text: str) -> None:
    assert read_traceparent(text) is None
    assert trace_id_in(((TRACEPARENT, text.encode()),)) == ""


def test_a_later_version_is_handed_on_as_ours() -> None:
    context = read_traceparent(f"cc-{TRACE}-{SPAN}-01-x")
    assert context is not None
    assert context.traceparent == GOOD


def test_a_child_is_known_by_what_it_is_about() -> None:
    parent = TraceContext(TRACE, SPAN, sampled=True)
    assert parent.child("t/0/1") == parent.child("t/0/1") != parent.child("t/0/2")
    assert parent.child("t/0/1").trace_id == TRACE
    assert read_traceparent(parent.child("t/0/1").traceparent) is not None


def test_headers_name_one_cause() -> None:
    parent = TraceContext(TRACE, SPAN, sampled=True)
    headers = with_context((("a", b"1"), (TRACEPARENT, b"other"), ("b", None)), parent)
    assert headers == (("a", b"1"), ("b", None), *handed_on(GOOD))
    assert context_in(headers) == parent
    assert context_in((("a", b"1"), (TRACEPARENT, None))) is None


def test_an_envelope_has_the_trace_of_its_record() -> None:
    envelope = Envelope(id="e", type="t", source="s", channel="c", traceparent=GOOD)
    assert parse(envelope.headers()).traceparent == GOOD
    assert parse((*Envelope(id="e", type="t", source="s", channel="c").headers(), ("Traceparent", GOOD.encode()))) == (
        parse(envelope.headers())
    )
    assert (
        parse((*Envelope(id="e", type="t", source="s", channel="c").headers(), (TRACEPARENT, b"x"))).traceparent == ""
    )
