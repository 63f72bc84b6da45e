"""JSON text from outside keeps its numbers' digits, and is judged as orjson judges it."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from topics.records.json_text import JsonTextError, WrittenFloat, float_of, raw_of, read, without_mark, write

NUMBERS = (
    "0",
    "-1",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775808",
    "-9223372036854775809",
    "9400111899223197428490",
    "1" * 309,
    "89.25",
    "10.0",
    "0.0",
    "-0.0",
    "499.0000",
    "10.50",
    "0.00",
    "0.10",
    "1234567890.12345678901",
    "123456789012345678.5",
    "9007199254740993.1",
    "0.00001",
    "0.000001",
    "0.0000001",
    "1.0e2",
    "1.5E+2",
    "2.5e-7",
    "1.5e+20",
    "8.0152e+33",
    "1.5e-7",
    "0.000123",
    "123456789012345.5",
    "9400111899223197428490.00",
)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_leaves_with_the_digits_that_it_came_with(number: str) -> None:
    for text in (f'{{"a":{number}}}', f'{{"a":[{number},1]}}', f'[[{number}],"x"]', f"[{number},{2**64}]"):
        assert write(read(text.encode())) == text.encode()


@given(
    st.one_of(
        st.integers().map(str),
        st.decimals(allow_nan=False, allow_infinity=False, places=5).map(lambda number: f"{number:f}"),
        st.from_regex(r"-?(0|[1-9][0-9]{0,20})\.[0-9]{1,20}", fullmatch=True),
    ),
    st.sampled_from([" ", "\n", "\r\n", "\t", ""]),
)
def test_any_number_keeps_its_digits_between_any_spaces(number: str, space: str) -> None:
    if float(number) in (float("inf"), float("-inf")):
        return
    text = f'[{space}{number}{space},{space}{{{space}"a"{space}:{space}{number}{space}}}{space}]'
    if number == "-0":
        return
    assert write(read(text.encode())).decode() == "".join(text.split())


def test_an_exponent_without_a_point_leaves_as_an_equal_number() -> None:
    for number in ("1e5", "1E+2", "5e-3"):
        assert float(write(read(b"[%b]" % number.encode()))[1:-1]) == float(number)


def test_a_usual_number_is_a_plain_one() -> None:
    for number in read(b'{"a":1,"b":10.0,"c":9400111899223197428490,"d":"499.0000,"}').values():
        assert type(number) in (int, float, str)


def test_a_written_float_calculates_as_its_number_and_prints_as_its_text() -> None:
    (number,) = read(b"[499.0000]")
    assert number == 499.0
    assert hash(number) == hash(499.0)
    assert number.is_integer()
    assert (str(number), f"{number}") == ("499.0000", "499.0000")
    assert [str(one) for one in (copy.deepcopy(number), pickle.loads(pickle.dumps(number)))] == ["499.0000"] * 2  # noqa: S301
    assert isinstance(msgspec.convert({"a": number}, dict[str, Any])["a"], WrittenFloat)


REFUSED = (
    b"",
    b" ",
    b"{",
    b'{"a":1,}',
    b"{'a':1}",
    b"[1 2]",
    b"01",
    b"+1",
    b".5",
    b"1.",
    b"NaN",
    b"[Infinity]",
    b"-Infinity",
    b"1e999",
    b"[1.0e400]",
    b'{"a":-1.50E+999,"b":1.50}',
    b"[" + b"9" * 400 + b".50]",
    b"1" * 310,
    b'{"a":[' + b"9" * 309 + b"]}",
    b'{"a":[-' + b"1" * 5_000 + b"]}",
    b'"\x01"',
    b'"\xff"',
    b'"\xed\xa0\x80"',
    rb'"\ud800"',
    rb'"\udc00"',
    rb'{"\ud800":1}',
    b"[1] []",
    b"[1]\x00",
    b"/* */ 1",
    b"[1.50, NaN]",
    b'{"a":10.50,}',
    b"\xef\xbb\xbf",
    b"\xef\xbb\xbf\xef\xbb\xbf{}",
    "{}".encode("utf-16"),
    "{}".encode("utf-16-be"),
)


@pytest.mark.parametrize("raw", REFUSED)
def test_what_is_no_json_is_refused_with_the_place(raw: bytes) -> None:
    with pytest.raises(JsonTextError) as caught:
        read(raw)
    assert caught.value.msg
    assert caught.value.lineno >= 1


@given(st.binary(max_size=30).map(lambda noise: b'{"a":[1,2.50,"' + noise + b'"]}') | st.binary(max_size=12))
def test_bytes_are_judged_as_by_orjson(raw: bytes) -> None:
    try:
        expected: Any = orjson.loads(raw)
    except orjson.JSONDecodeError:
        with pytest.raises(JsonTextError):
            read(raw)
    else:
        assert read(raw) == expected


def test_a_mark_before_the_text_is_passed_over() -> None:
    marked = b'\xef\xbb\xbf{"a":9400111899223197428490,"b":1.50}'
    assert read(marked) == {"a": 9400111899223197428490, "b": 1.5}
    assert without_mark(marked) == marked[3:]
    assert without_mark(b"{}") == b"{}"


def test_utf16_is_named() -> None:
    with pytest.raises(JsonTextError, match="UTF-16"):
        read('{"a":1}'.encode("utf-16"))


def test_a_long_run_of_digits_in_a_text_is_a_text() -> None:
    text = b'{"a":"' + b"1" * 1_000 + b'","b":2.50}'
    assert write(read(b"\xef\xbb\xbf" + text)) == text


def test_of_two_members_of_one_name_the_last_counts() -> None:
    assert read(b'{"a":1,"b":2,"a":9400111899223197428490}') == {"a": 9400111899223197428490, "b": 2}


@pytest.mark.parametrize("levels", [63, 200, 990, 1_010])
def test_deep_texts_are_read_as_deep_as_orjson_reads(levels: int) -> None:
    for leaf in (b"1", b"1.50"):
        value = read(b"[" * levels + leaf + b"]" * levels)
        for _ in range(levels):
            (value,) = value
        assert float(value) == float(leaf)


def test_what_json_cannot_carry_is_an_error() -> None:
    deep: Any = 2**70
    for _ in range(300):
        deep = [deep]
    for value in (object(), {"a": object()}, [2**70, object()]):
        with pytest.raises(TypeError):
            write(value)


def test_records_and_states_carry_the_same_numbers() -> None:
    encode = msgspec.json.Encoder(enc_hook=raw_of).encode
    decode = msgspec.json.Decoder(dict[str, Any], float_hook=float_of).decode
    for number in NUMBERS:
        text = b'{"a":%b,"b":9400111899223197428490,"c":10.0,"d":1.50}' % number.encode()
        assert encode(decode(text)) == text
        assert encode(read(text)) == text
