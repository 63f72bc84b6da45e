"""The id of a trace in a `traceparent` (W3C Trace Context), for lines of the log."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

TRACEPARENT: Final = "traceparent"
"""The HTTP header; also that of a record."""
_FORM: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
_NONE: Final = "0" * 32


def trace_id_of(traceparent: str) -> str:
    """Empty for a text that names no trace: whoever calls may write anything there."""
    found = _FORM.fullmatch(traceparent)
    return "" if found is None or found[1] == _NONE else found[1]


def trace_id_in(headers: Iterable[tuple[str, bytes | None]]) -> str:
    """That of a record."""
    parent = next((content for name, content in headers if name == TRACEPARENT and content), b"")
    return trace_id_of(parent.decode(errors="replace"))
