"""Fetches and produce requests are written and read as by aiokafka itself."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from aiokafka.protocol.struct import Struct
from aiokafka.protocol.types import Array, Bytes, Int8, Int16, Int32, Int64, Schema, String
from hypothesis import given, settings
from hypothesis import strategies as st

from topics.kafka.batches import wire

wire.install()
BITS = {Int8: 7, Int16: 15, Int32: 31, Int64: 63}


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a type of aiokafka's protocol, as it reads them."""
    if isinstance(kind, Schema):
        return st.tuples(*map(values_of, kind.fields))
    if isinstance(kind, Array):
        return st.none() | st.lists(values_of(kind.array_of), max_size=3)
    if isinstance(kind, String):
        return st.none() | st.text(max_size=5)
    if kind is Bytes:
        return st.none() | st.binary(max_size=5)
    return st.integers(-(1 << BITS[kind]), (1 << BITS[kind]) - 1)


@pytest.mark.parametrize("message", wire.MESSAGES, ids=lambda message: message.__name__)
@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_a_message_is_written_and_read_as_by_aiokafka(message: type[Struct], data: st.DataObject) -> None:
    values = data.draw(values_of(message.SCHEMA))
    raw = message(*values).encode()
    assert raw == message.SCHEMA.encode(values)
    stream = BytesIO(b"header" + raw + b"rest")
    stream.seek(6)
    read = message.decode(stream)
    assert [getattr(read, name) for name in message.SCHEMA.names] == list(message.SCHEMA.decode(BytesIO(raw)))
    assert stream.read() == b"rest"
    assert message.decode(raw) == read
    cut = data.draw(st.integers(0, len(raw) - 1))
    with pytest.raises(ValueError, match=r".+"):
        message.decode(raw[:cut])


def test_all_versions_are_there() -> None:
    names = {message.__name__ for message in wire.MESSAGES}
    assert {f"{kind}_v{version}" for kind in ("FetchRequest", "FetchResponse") for version in range(12)} <= names
    assert {f"{kind}_v{version}" for kind in ("ProduceRequest", "ProduceResponse") for version in range(9)} <= names


def test_a_value_that_does_not_fit_is_a_value_error_as_in_aiokafka() -> None:
    request = next(message for message in wire.MESSAGES if message.__name__ == "FetchRequest_v4")
    with pytest.raises(ValueError, match="FetchRequest_v4"):
        request(1 << 40, 1, 1, 1, 1, []).encode()
