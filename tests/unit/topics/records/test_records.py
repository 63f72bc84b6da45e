"""What one role writes, another reads as the same."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from topics.records.deliveries import (
    Attempt,
    DeliveryRequest,
    LaneAction,
    LaneDecision,
    Outcome,
    OutcomeKind,
    body_of,
    decode_lane_decision,
    decode_outcome,
    decode_request,
)
from topics.records.json_text import read, write
from topics.records.keys import position_key
from topics.records.verdicts import Reply, Verdict, decode_reply
from topics.stock.positions import (
    consolidated_location,
    decode_position,
    decode_positions,
    encode_position,
    is_consolidated,
    is_position,
)

texts = st.text(max_size=20)
numbers = st.integers(-(10**40), 10**40)
times = st.integers(-(2**63), 2**63 - 1)
counts = st.integers(0, 2**63 - 1)
scalars = st.none() | st.booleans() | numbers | texts
bodies = st.none() | st.dictionaries(texts, scalars | st.lists(scalars, max_size=3), max_size=4)


@given(
    st.builds(Reply, event=texts, verdict=st.sampled_from(Verdict), message=texts, status=numbers, body=bodies | texts)
)
def test_a_reply(reply: Reply) -> None:
    assert decode_reply(reply.encode()) == reply


@given(
    st.builds(
        DeliveryRequest,
        id=st.text(min_size=1, max_size=20), destination=texts, shard=counts, channel=texts, touchpoint=texts,
        lane=texts, entity=texts, subject=texts, body=bodies.map(body_of), relay=st.booleans(),
        deadline_ms=st.none() | times, withdraw=st.booleans(), reply=st.none() | counts,
    )
)  # fmt: skip
def test_a_request(request: DeliveryRequest) -> None:
    assert decode_request(request.encode()) == request


attempts = st.builds(
    Attempt, number=numbers, at_ms=numbers, took_ms=st.floats(0, 1e6), status=st.none() | numbers, error=texts
)


@given(
    st.builds(
        Outcome, request=texts, touchpoint=texts, kind=st.sampled_from(OutcomeKind), status=st.none() | numbers,
        body=bodies, message=texts, attempt=st.none() | attempts, next_at_ms=st.none() | numbers,
    )
)  # fmt: skip
def test_an_outcome(outcome: Outcome) -> None:
    assert decode_outcome(outcome.encode()) == outcome


class LibraryText(str):
    """As a header's name of an HTTP library."""

    __slots__ = ()


def test_a_text_of_a_librarys_own_class_is_a_text() -> None:
    outcome = Outcome(
        request="r", touchpoint="t", kind=OutcomeKind.DEAD, message=LibraryText("no"), body={"a": LibraryText("b")}
    )
    assert decode_outcome(outcome.encode()) == outcome
    with pytest.raises(TypeError):
        Outcome(request="r", touchpoint="t", kind=OutcomeKind.DEAD, body=object()).encode()


@given(st.builds(LaneDecision, lane=texts, request=texts, action=st.sampled_from(LaneAction)))
def test_a_lane_decision(decision: LaneDecision) -> None:
    assert decode_lane_decision(decision.encode()) == decision


@given(st.dictionaries(texts, scalars, max_size=5), st.randoms(use_true_random=False))
def test_equal_positions_have_equal_bytes(item: dict[str, object], random: Random) -> None:
    members = list(item.items())
    random.shuffle(members)
    encoded = encode_position(item)
    assert encode_position({**dict(members), "aNewMember": None}) == encoded
    assert decode_position(encoded) == {name: value for name, value in item.items() if value is not None}


ODD = b'{"a":499.0000,"b":9400111899223197428490,"c":[0.10,{"d":-18446744073709551617}],"e":10.0}'
"""Numbers that no double holds, or writes in other digits."""


def test_records_keep_the_digits_of_the_bodies_in_them() -> None:
    body = read(ODD)
    assert write(decode_reply(Reply(event="e", verdict=Verdict.APPLIED, body=body).encode()).body) == ODD
    outcome = Outcome(request="r", touchpoint="t", kind=OutcomeKind.DELIVERED, body=body)
    assert write(decode_outcome(outcome.encode()).body) == ODD
    request = DeliveryRequest(
        id="i",
        destination="d",
        shard=0,
        channel="c",
        touchpoint="t",
        lane="l",
        entity="e",
        subject="s",
        body=body_of(body),
    )
    assert write(decode_request(request.encode()).members) == ODD
    assert write(decode_position(encode_position(body))) == ODD
    assert write(decode_positions([encode_position(body), encode_position(body)])) == b"[%b,%b]" % (ODD, ODD)
    assert (
        encode_position(
            read(b'{"e":10.0,"c":[0.10,{"d":-18446744073709551617}],"a":499.0000,"b":9400111899223197428490}')
        )
        == ODD
    )


def test_consolidated_positions_and_bookkeeping_are_told_from_positions() -> None:
    assert is_consolidated(consolidated_location("ALL"))
    assert not is_consolidated("DXB-WH-01")
    assert is_position(position_key("demo", consolidated_location("ALL"), "~sku"))
    assert not is_position(b"~origin|3|demo|DXB")
