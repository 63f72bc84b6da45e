"""What the hot path of delivery takes a short cut for means the same as the long way: a new entry is written without
encoding its request again, and a header is asked for a gap without being decoded."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.delivery.outbox.records import (
    RECENT_IDS_MAX,
    LaneHeader,
    check_lane,
    decode_entry,
    decode_header,
    has_no_gap,
)
from streams.runtime.invariants import InvariantError
from topics.records.deliveries import NO_BODY, DeliveryRequest, body_of, decode_request

TEXT = st.text(max_size=20) | st.just('"watermark":null') | st.just('\\"watermark":null')


def request(**more: object) -> DeliveryRequest:
    known = {"id": "r-1", "destination": "channel:demo", "shard": 0, "channel": "demo", "touchpoint": "fact"}
    return DeliveryRequest(**{**known, "lane": "l", "entity": "demo|O-1", "subject": "O-1", "body": NO_BODY, **more})  # type: ignore[arg-type]


@given(TEXT, st.dictionaries(TEXT, TEXT | st.integers(0, 9), max_size=3), st.integers(0, 1 << 40))
def test_a_new_entry_reads_as_it_was_taken(subject: str, body: dict[str, object], now_ms: int) -> None:
    asked = request(subject=subject, body=body_of(body), sequence=3)
    for raw in (asked.encode(), orjson.dumps(orjson.loads(asked.encode()), option=orjson.OPT_INDENT_2)):
        header = LaneHeader(sequence=2)
        entry = header.append(decode_request(raw), now_ms)
        assert decode_entry(entry.encode_new(raw)) == entry == decode_entry(entry.encode())


def test_a_new_entry_of_a_request_without_members_that_may_be_left_out_reads_as_it_was_taken() -> None:
    members = {name: value for name, value in orjson.loads(request().encode()).items() if name != "sequence"}
    raw = orjson.dumps(members)
    entry = LaneHeader().append(decode_request(raw), 1)
    assert decode_entry(entry.encode_new(raw)) == entry


@given(st.none() | st.integers(0, 9), st.dictionaries(st.just("7"), st.integers(0, 9)), st.lists(TEXT, max_size=3))
def test_a_header_with_a_gap_is_told_from_one_without(
    watermark: int | None, earlier: dict[str, int], recent: list[str]
) -> None:
    header = LaneHeader(watermark=watermark, earlier=earlier, recent=recent)
    assert has_no_gap(header.encode()) is (watermark is None and not earlier)
    assert decode_header(header.encode()) == header


@pytest.mark.parametrize("raw", [None, LaneHeader().encode()])
def test_a_lane_that_is_new_has_no_gap(raw: bytes | None) -> None:
    assert has_no_gap(raw)


def test_sequences_of_an_incarnation_grow_with_the_places_in_a_lane() -> None:
    header = LaneHeader()
    entries = [header.append(request(id=f"r-{n}", sequence=n, story=1), n) for n in (1, 2, 5)]
    entries += [header.append(request(id=f"again-{n}", sequence=n, story=2), n) for n in (1, 2)]
    check_lane(entries)
    with pytest.raises(InvariantError, match="r-2 of lane l has sequence 2"):
        check_lane([entries[0], entries[2], entries[1]])


def test_a_repeat_is_known_by_its_sequence_and_the_header_keeps_no_ids_for_that() -> None:
    header = LaneHeader()
    asked = [request(id=f"r-{n}", sequence=n, story=1) for n in range(1, 50)]
    for one in asked:
        assert not header.knows(one)
        header.append(one, 1)
    read = decode_header(header.encode())
    assert read.recent == []
    assert all(read.knows(one) for one in asked)
    assert not read.knows(request(id="r-50", sequence=50, story=1))


def test_a_repeat_without_a_sequence_is_known_by_its_id() -> None:
    header = LaneHeader(sequence=3)
    asked = [request(id=f"r-{n}") for n in range(RECENT_IDS_MAX + 1)]
    for one in asked:
        header.append(one, 1)
    read = decode_header(header.encode())
    assert not read.knows(asked[0])
    assert all(read.knows(one) for one in asked[1:])


def test_a_repeat_from_before_the_order_came_again_is_known() -> None:
    """The crash of the orders role may lie after both."""
    header = LaneHeader()
    of_story = {story: [request(id=f"{story}-{n}", sequence=n, story=story) for n in (1, 2, 3)] for story in (1, 2, 3)}
    for asked in of_story.values():
        for one in asked if asked[0].story == 1 else asked[:1]:
            header.append(one, 1)
    read = decode_header(header.encode())
    assert all(read.knows(one) for one in of_story[1])
    assert [read.knows(one) for one in of_story[3]] == [True, False, False]


def test_last_sequences_of_few_earlier_incarnations_are_kept() -> None:
    header = LaneHeader()
    for story in range(1, 10):
        header.append(request(id=f"r-{story}", sequence=1, story=story), 1)
    assert header.ended == {"7": 1, "8": 1}


def test_a_header_of_a_version_before_is_read_with_the_same_meaning() -> None:
    """It kept the ids of all requests, and no ends of earlier incarnations."""
    former = (
        b'{"next_position":4,"sequence":1,"recent":["1-1","1-2","2-1"],"last_ms":7,"epoch":5,"watermark":null,"story":2,'
        b'"earlier":{},"redriven":{}}'
    )
    header = decode_header(former)
    assert header.knows(request(id="1-2", sequence=2, story=1))
    assert header.knows(request(id="2-1", sequence=1, story=2))
    assert not header.knows(request(id="2-2", sequence=2, story=2))
    header.append(request(id="2-2", sequence=2, story=2), 8)
    assert decode_header(header.encode()).knows(request(id="1-2", sequence=2, story=1))
