"""Values of tables, garbled: seeded, from what a role has written itself."""

from __future__ import annotations

import os
from random import Random
from typing import Any

import orjson

SEEDS = range(int(os.environ.get("SLUICE_GARBLE_SEEDS", "6")))
"""A share; `make poison` has many more."""
WRONG: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63 - 1, 2**63, 1.5, "", "x", "\u0000", [], {}, [1, "a"], {"a": 1}, [[]],
)  # fmt: skip


def garbled(raw: bytes, random: Random) -> bytes:
    """Bytes of no meaning, JSON of wrong types, or with members missing and added at any depth."""
    kind = random.randrange(6)
    if kind == 0:
        return random.randbytes(random.randrange(60))
    if kind == 1:
        cut = random.randrange(len(raw) + 1)
        return raw[:cut] + random.randbytes(random.randrange(3)) + raw[cut + random.randrange(3) :]
    if kind == 2:
        return orjson.dumps(random.choice(WRONG))
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return raw
    return orjson.dumps(_changed(value, random))


def garbled_key(key: bytes, random: Random) -> bytes:
    kind = random.randrange(4)
    if kind == 0:
        return random.randbytes(1 + random.randrange(12))
    cut = random.randrange(len(key) + 1)
    if kind == 1:
        return key[:cut] + random.choice([b"|", b"||", b"%7C", b"\xff", b"~"]) + key[cut:]
    return (key[:cut] + key[cut + 1 :]) or b"x"


def _changed(value: Any, random: Random) -> Any:
    if isinstance(value, dict) and value and random.random() < 0.8:
        name = random.choice([*value])
        how = random.randrange(4)
        if how == 0:
            return {key: one for key, one in value.items() if key != name}
        if how == 1:
            return {**value, "ofANewerVersion": random.choice(WRONG)}
        return {**value, name: _changed(value[name], random)}
    if isinstance(value, list) and value and random.random() < 0.8:
        place = random.randrange(len(value))
        return [*value[:place], _changed(value[place], random), *value[place + 1 :]]
    return random.choice(WRONG)
