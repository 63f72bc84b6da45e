"""Records that nobody should send, made from such as Sluice writes and reads: a table of kinds, drawn by a seed.

What is drawn comes from small sets, so any number of records makes a bounded number of keys and of new entities.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from random import Random
from typing import Any

import orjson

from tests.support.poison.wire import Raw
from topics.records.reading import MADE_BY

WRONG: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 7, 1.5, 2**31, 2**53 + 1, 2**63, 2**64, 10**40, -(2**63), 1e308, float("inf"),
    float("nan"), "", " ", "x", "7", "A" * 300, "\0", "\ud800", "ü", "|", "||", "~", "~owner", "2026-13-45T99:99:99Z",
    "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z", [], {}, [[]], [None], {"": None}, {"a": {"b": [1]}}, [1] * 300,
)  # fmt: skip
"""Values of a wrong type, or at the edge of a type."""
KEYS: tuple[bytes | None, ...] = (
    None, b"", b"\xff\xfe", b"\0", b"|", b"||", b"|||", b"~", b"~owner", b"~tick", b"~x|y", b"demo", b"demo|",
    b"x" * 5_000, "ü".encode("utf-16"), b"demo|return|", b"demo|manifest|", b"increff||", b"%7C|%",
)  # fmt: skip
NAMES: tuple[bytes, ...] = (b"", b"\xff\xfe", b"ce_id", b"CE_ID", b"ce_type", b"h" * 300, "ü".encode(), b"\0")
CONTENTS: tuple[bytes | None, ...] = (
    None, b"", b"\xff\xfe", b"\0", b"x", b"-1", b"7", b"99999999999999999999999", b"1e9", b"x" * 2_000, b"9" * 5_000,
    "ü".encode("utf-16"), b"0001-01-01T00:00:00Z", b"9999-12-31T23:59:59-14:00", b"1/", b"/", b"0/0", b"|", b"demo",
)  # fmt: skip
VALUES: tuple[bytes | None, ...] = (
    None, b"", b" ", b"1", b"null", b"true", b'"x"', b"[]", b"{}", b"[{}]", b"\xff\xfe", b"\0", b"{", b'{"a":',
    b"NaN", b'{"a":1}x', b"[" * 50_000, b'{"a":' * 5_000 + b"1" + b"}" * 5_000, b'{"a":1,"a":"2"}', b'{"\\ud800":1}',
    b"9" * 5_000, gzip.compress(b"{}"), b'{"a":"' + b"x" * 200_000 + b'"}',
)  # fmt: skip
TIMES = (-1, 0, 1, 1_000, 1_700_000_000_000)
"""Kafka refuses times in the future."""

Kind = Callable[[Random, Raw, Sequence[Raw]], Raw]


def _as_it_is(_: Random, raw: Raw, __: Sequence[Raw]) -> Raw:
    """A repeat."""
    return raw


def _value(random: Random, raw: Raw, _: Sequence[Raw]) -> Raw:
    return replace(raw, value=random.choice(VALUES))


def _encoding(random: Random, raw: Raw, _: Sequence[Raw]) -> Raw:
    value = raw.value or b"{}"
    text = value.decode(errors="replace")
    made: list[bytes] = [
        b"\xef\xbb\xbf" + value,
        text.encode("utf-16"),
        text.encode("utf-32"),
        text.encode("latin-1", errors="replace") + b"\xe9",
        value[: random.randrange(len(value) + 1)],
        value + b"\0",
        value + value,
        value[::-1],
        b"".join(bytes([byte ^ (0x80 if number == 5 else 0)]) for number, byte in enumerate(value)),
        gzip.compress(value),
    ]
    return replace(raw, value=random.choice(made))


def _members(random: Random, raw: Raw, others: Sequence[Raw]) -> Raw:
    """Valid JSON with members of wrong types, at any depth."""
    try:
        value = orjson.loads(raw.value or b"")
    except orjson.JSONDecodeError:
        return _value(random, raw, others)
    for _ in range(random.choice((1, 1, 1, 2, 5))):
        value = _changed(random, value)
    return replace(raw, value=json.dumps(value).encode())


def _changed(random: Random, value: Any) -> Any:
    if not isinstance(value, dict | list) or not value or random.random() < 0.15:
        return random.choice((*WRONG, [value], {"value": value}))
    if isinstance(value, dict):
        name = random.choice(list(value))
        how = random.random()
        if how < 0.15:
            return {key: member for key, member in value.items() if key != name}
        if how < 0.25:
            return {**value, random.choice(("", "x", name.upper(), "\0")): value[name]}
        return {**value, name: _changed(random, value[name])}
    place = random.randrange(len(value))
    return [*value[:place], _changed(random, value[place]), *value[place + 1 :]]


def _headers(random: Random, raw: Raw, __: Sequence[Raw]) -> Raw:
    headers = list(raw.headers)
    for _ in range(random.choice((1, 1, 2))):
        how = random.randrange(6)
        place = random.randrange(len(headers)) if headers else None
        if how == 0 or place is None:
            headers.append((random.choice(NAMES), random.choice(CONTENTS)))
        elif how == 1:
            del headers[place]
        elif how == 2:
            headers[place] = (random.choice(NAMES), headers[place][1])
        elif how == 3:
            headers.append((headers[place][0], random.choice(CONTENTS)))
        else:
            headers[place] = (headers[place][0], random.choice(CONTENTS))
    return replace(raw, headers=[header for header in headers if not _claims_to_be_newer(header)])


def _claims_to_be_newer(header: tuple[bytes, bytes | None]) -> bool:
    """An epoch above the owner's is an owner's word: whoever can write one to a role's state is one."""
    return header[0] == MADE_BY.encode() and header[1] is not None and header[1][:1] in b"79"


def _no_headers(_: Random, raw: Raw, __: Sequence[Raw]) -> Raw:
    return replace(raw, headers=())


def _many_headers(random: Random, raw: Raw, _: Sequence[Raw]) -> Raw:
    more = [(b"h%d" % number, b"x" * 100) for number in range(random.choice((50, 500)))]
    return replace(raw, headers=[*raw.headers, *more])


def _key(random: Random, raw: Raw, _: Sequence[Raw]) -> Raw:
    return replace(raw, key=random.choice(KEYS))


def _key_of_another(random: Random, raw: Raw, others: Sequence[Raw]) -> Raw:
    return replace(raw, key=random.choice(others).key)


def _headers_of_another(random: Random, raw: Raw, others: Sequence[Raw]) -> Raw:
    return replace(raw, headers=random.choice(others).headers)


def _value_of_another(random: Random, raw: Raw, others: Sequence[Raw]) -> Raw:
    return replace(raw, value=random.choice(others).value)


def _time(random: Random, raw: Raw, _: Sequence[Raw]) -> Raw:
    return replace(raw, time_ms=random.choice(TIMES))


KINDS: dict[str, tuple[int, Kind]] = {
    "a repeat": (1, _as_it_is),
    "any value": (3, _value),
    "another encoding": (3, _encoding),
    "wrong members": (12, _members),
    "wrong headers": (6, _headers),
    "no headers": (1, _no_headers),
    "many headers": (1, _many_headers),
    "any key": (2, _key),
    "another's key": (1, _key_of_another),
    "another's headers": (2, _headers_of_another),
    "another's value": (2, _value_of_another),
    "another time": (1, _time),
}
"""The table of poisons, each with how often it is drawn."""

PLAIN = Raw(b"demo|x", b'{"a":1}', ((b"ce_id", b"1"),))
"""For a topic on which nothing is known to lie."""


def poisons(random: Random, valid: Sequence[Raw]) -> Iterator[tuple[str, Raw]]:
    """Kinds and records without end, made from `valid` ones of the same topic."""
    known = list(valid) or [PLAIN]
    names, weights = list(KINDS), [weight for weight, _ in KINDS.values()]
    while True:
        name = random.choices(names, weights)[0]
        made = KINDS[name][1](random, random.choice(known), known)
        if random.random() < 0.1:  # two faults at once
            made = KINDS[random.choices(names, weights)[0]][1](random, made, known)
        yield name, made
