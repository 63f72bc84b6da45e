"""JSON texts of every type, and many that are nearly what the contract wants."""

from __future__ import annotations

import os

import orjson
from hypothesis import strategies as st

TRIED = int(os.environ.get("SLUICE_VALUES_TRIED", "250"))

TEXTS = (
    *("true", "False", " true ", "maybe", "yes", "1", "0", "2", " 2 ", "2.0", "2.5", "-1", "12,50", "two", "499.0000"),
    *("", " ", "null", "COD", "PASS", "ALL", "DELIVERED", "4711", "ORDER-1", "S-1", "~", "|", "/", "..", "a b", "{x}"),
    *("2026-11-30T10:00:00+05:30[Asia/Kolkata]", "2026-11-30T10:00:00Z[UTC]", "2026-11-30", "\u0000", "é", "x" * 300),
)
NUMBERS = (
    *("0", "1", "2", "-1", "4711", "2.0", "1.0000", "1e0", "2.5", "1e3", "-0", "-0.0", "0.1", "1e300"),
    *("2147483647", "2147483648", "9223372036854775808", "9400111899223197428490", "1234567890.12345678901"),
)
SCALARS = st.one_of(
    st.sampled_from(["true", "false", "null"]),
    st.sampled_from(NUMBERS),
    st.sampled_from(TEXTS).map(lambda text: orjson.dumps(text).decode()),
    st.integers(-(2**70), 2**70).map(str),
    st.text(max_size=8).filter(lambda text: text.isprintable()).map(lambda text: orjson.dumps(text).decode()),
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]"),
        st.lists(st.tuples(st.sampled_from(["orderCode", "quantity", "a", ""]), inner), max_size=3).map(
            lambda pairs: "{" + ",".join(f'"{name}":{value}' for name, value in dict(pairs).items()) + "}"
        ),
    ),
    max_leaves=6,
)
