"""JSON text from outside: read and written so that every number keeps its digits.

`read` is the reader of whatever a caller, a producer or a far side sent; `write` writes what it read. Both are as fast
as orjson for usual values. What each number becomes:

| number | as Python | written again |
|---|---|---|
| whole | `int`, exact | the same digits |
| decimal that a double writes as it came (`89.25`, `10.0`) | `float` | the same digits |
| any other decimal (`499.0000`, `1234567890.12345678901`) | `WrittenFloat` | the same digits |
| with an exponent and no point (`1e5`) | `float` | an equal number, such as `100000.0` |

What is taken is what RFC 8259 has: UTF-8, of two members of one name the last, surrogates in pairs. A byte order mark
of UTF-8 before the text is passed over, because clients write one. Refused are NaN and Infinity, numbers beyond a
double's range (1.8e308), control characters inside of texts, lone surrogates, bytes that are not UTF-8, comments, and
UTF-16. How deep a text nests, and how many values it has, is bounded by topics/records/shape.py.
"""

from __future__ import annotations

import re
from math import isinf
from typing import Any, Final, Self

import msgspec
import orjson
from mypy_extensions import mypyc_attr

JsonTextError = orjson.JSONDecodeError
"""A text is no JSON: `msg`, `lineno` and `colno` say what is wrong, and where."""

_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_UTF16 = "encoded as UTF-16, must be UTF-8"

_REWRITTEN = re.compile(
    rb"\.(?!0[,}\]\s](?<![0-9]{15}\.0.))"  # no `10.0`, by far the most usual, unless it is very long
    rb"[0-9]++[,}\]\seE](?:(?<=0.)|(?<=[0-9]{6}.)|(?<=[eE])|(?<=[0-9.]{17}.))",
    re.DOTALL,
)
"""Finds a decimal that a double may write in another way: it ends in zeros, has six digits behind its point or sixteen
in all, or an exponent. What it finds inside of a text costs a second reading, and changes nothing."""
_STRIDE = 100
_LONGEST_DIGITS: Final = 308
"""A text of no more bytes holds no number beyond that range. Most outcomes are as short."""
_LONG_RUN = re.compile(rb"[0-9]{3}")
"""In every hundredth byte: a whole number beyond a double's range has 309 digits, so this meets three of them."""
_TOO_LARGE = "64-bit range"
"""In the message of orjson for a whole number that it does not write."""


@mypyc_attr(native_class=False)
class WrittenFloat(float):
    """A decimal number and the text that it was written in, where a float would be written in another.

    It is a float to whoever calculates or compares; `str` gives the text, and `write` writes it. So `499.0000` is equal
    to 499.0, and leaves as `499.0000`.
    """

    __slots__ = ("text",)

    text: str

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text

    def __reduce__(self) -> tuple[type[Self], tuple[str]]:
        return type(self), (self.text,)


def may_have_long_number(raw: bytes) -> bool:
    """Whether a text may have a whole number beyond a double's range, which is refused."""
    return len(raw) > _LONGEST_DIGITS and _LONG_RUN.search(raw[::_STRIDE]) is not None


def read(raw: bytes) -> Any:
    """The value of a JSON text. Raises JsonTextError, a ValueError."""
    if may_have_long_number(raw):
        orjson.loads(without_mark(raw))  # refuses what is beyond a double's range; msgspec would not
    try:
        return _decode_written(raw) if _REWRITTEN.search(raw) is not None else _decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _read_again(raw)


def write(value: Any) -> bytes:
    """The JSON text of what was read, or made of it. Raises TypeError for what JSON cannot carry."""
    try:
        return orjson.dumps(value, fragment_of)
    except orjson.JSONEncodeError as error:
        if _TOO_LARGE not in str(error):
            raise
        return _encode(value)


def write_sorted(value: Any) -> bytes:
    """The one text of a value: equal values have equal bytes, in whatever order their members came."""
    try:
        return orjson.dumps(value, fragment_of, orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError as error:
        if _TOO_LARGE not in str(error):
            raise
        return _encode_sorted(value)


def without_mark(raw: bytes) -> bytes:
    """The text without a byte order mark before it."""
    return raw.removeprefix(_UTF8_MARK)


def fragment_of(number: Any) -> orjson.Fragment:
    """A `default` of orjson.dumps."""
    if isinstance(number, WrittenFloat):
        return orjson.Fragment(number.text)
    raise TypeError(f"JSON cannot carry {type(number).__name__}")


def raw_of(number: Any) -> msgspec.Raw:
    """An `enc_hook` of msgspec's encoders."""
    if isinstance(number, WrittenFloat):
        return msgspec.Raw(number.text.encode())
    raise TypeError(f"JSON cannot carry {type(number).__name__}")


def float_of(text: str) -> Any:
    """A `float_hook` of msgspec's decoders. Raises DecodeError of msgspec for a number beyond a double's range."""
    number = float(text)
    if isinf(number):
        raise msgspec.DecodeError("number is beyond the range of a double")
    # orjson writes e+20 where msgspec writes e20, and each of them writes some texts.
    if "e+" not in text and orjson.dumps(number) == text.encode():
        return number
    return WrittenFloat(text)


_decode = msgspec.json.Decoder().decode
_decode_written = msgspec.json.Decoder(float_hook=float_of).decode
_encode = msgspec.json.Encoder(enc_hook=raw_of).encode
_encode_sorted = msgspec.json.Encoder(enc_hook=raw_of, order="sorted").encode


def _read_again(raw: bytes) -> Any:
    """Reads what msgspec refused: orjson says where the fault is, and reads what nests deeper."""
    marked = without_mark(raw)
    if marked is not raw:
        return read(marked) if not marked.startswith(_UTF8_MARK) else orjson.loads(marked)
    if raw.startswith(_UTF16_MARKS) or b"\0" in raw[:2]:
        raise JsonTextError(_UTF16, "", 0)
    return orjson.loads(raw)
