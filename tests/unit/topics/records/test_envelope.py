"""What a record says about itself survives the way through Kafka, and what is no envelope is named."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from topics.records.envelope import HEADER_BYTES_MAX, Envelope, EnvelopeError, iso_time, parse

texts = st.text(min_size=1, max_size=40)
times = st.integers(min_value=1, max_value=4_102_444_800_000)

envelopes = st.builds(
    Envelope,
    id=texts,
    type=texts,
    source=st.text(max_size=40),
    channel=texts,
    subject=st.text(max_size=40),
    time_ms=times,
    reply_partition=st.none() | st.integers(0, 511),
    deadline_ms=st.none() | times,
    batch_id=st.text(max_size=40),
)


@given(envelopes)
def test_an_envelope_survives_its_headers(envelope: Envelope) -> None:
    assert parse(envelope.headers()) == envelope


@given(envelopes)
def test_header_names_may_come_in_any_case(envelope: Envelope) -> None:
    assert parse([(name.upper(), value) for name, value in envelope.headers()]) == envelope


@given(times)
def test_a_time_in_utc_means_the_same_as_with_an_offset(time_ms: int) -> None:
    headers = dict(Envelope(id="1", type="t", source="s", channel="c", time_ms=time_ms).headers())
    assert iso_time(time_ms).endswith("Z")
    with_offset = iso_time(time_ms).replace("Z", "+00:00").encode()
    assert parse({**headers, "ce_time": with_offset}.items()).time_ms == time_ms


GOOD = dict(Envelope(id="1", type="t", source="s", channel="c").headers())

BAD: list[tuple[str, bytes | None, str]] = [
    ("ce_id", None, "header ce_id is missing"),
    ("ce_id", b"", "header ce_id is missing"),
    ("ce_type", None, "header ce_type is missing"),
    ("sluice-channel", None, "header sluice-channel is missing"),
    ("ce_id", b"\xff", "header ce_id is not UTF-8"),
    ("ce_time", b"yesterday", "header ce_time is not an RFC 3339 time"),
    ("sluice-deadline-ms", b"soon", "header sluice-deadline-ms is not a whole number"),
    ("sluice-reply-partition", b"1.5", "header sluice-reply-partition is not a whole number"),
]


@pytest.mark.parametrize(("name", "value", "message"), BAD)
def test_what_is_no_envelope_is_named(name: str, value: bytes | None, message: str) -> None:
    headers = {**GOOD, name: value}
    with pytest.raises(EnvelopeError, match=message):
        parse([(header, raw) for header, raw in headers.items() if raw is not None])


NULL: list[tuple[str, str]] = [(name, f"header {name} is missing") for name in ("ce_id", "ce_type", "sluice-channel")]


@pytest.mark.parametrize(("name", "message"), NULL)
def test_null_is_missing_where_a_value_is_needed(name: str, message: str) -> None:
    with pytest.raises(EnvelopeError, match=message):
        parse([*GOOD.items(), (name, None)])


def test_null_is_absent_where_none_is_needed_and_of_repeated_headers_the_last_counts() -> None:
    optional = ("ce_source", "ce_subject", "ce_time", "sluice-reply-partition", "sluice-reply-topic", "sluice-batch-id")
    found = parse([("ce_id", None), *GOOD.items(), *((name, None) for name in optional), ("ce_id", b"2")])
    assert found == Envelope(id="2", type="t", source="", channel="c")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("ce_subject", b"x" * (HEADER_BYTES_MAX + 1), "header ce_subject has 4097 bytes; at most 4096 are taken"),
        ("sluice-deadline-ms", b"9" * 30, "header sluice-deadline-ms is larger than"),
        ("sluice-deadline-ms", b"9" * 5_000, "header sluice-deadline-ms is not a whole number"),
    ],
)
def test_a_header_is_bounded(name: str, value: bytes, message: str) -> None:
    with pytest.raises(EnvelopeError, match=message):
        parse([*GOOD.items(), (name, value)])


def test_unknown_headers_are_left_alone() -> None:
    assert parse([*GOOD.items(), ("traceparent", b"\xff\xfe")]).id == "1"


@given(st.integers(0, 250_000_000_000_000))
def test_a_time_is_written_with_its_milliseconds(time_ms: int) -> None:
    written = datetime.fromtimestamp(time_ms // 1000, UTC).replace(microsecond=time_ms % 1000 * 1000)
    assert iso_time(time_ms) == written.isoformat(timespec="milliseconds").replace("+00:00", "Z")
