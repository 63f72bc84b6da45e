"""JSON records: encoded as their members, and decoded with the types of their members checked."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from topics.records.json_text import raw_of, read
from topics.records.unreadable import UnreadableError
from topics.values import Value

RecordT = TypeVar("RecordT")


def _plain(value: Any) -> str | msgspec.Raw:
    """A text of a library's own class, such as a header's name, or a number as it was written: msgspec does not encode
    them by itself."""
    if isinstance(value, str):
        return str(value)
    return raw_of(value)


_ENCODER = msgspec.json.Encoder(enc_hook=_plain)


class JsonRecord(Value, frozen=True):
    """A record whose value is its members."""

    def encode(self) -> bytes:
        return _ENCODER.encode(self)


def encode_record(record: Any) -> bytes:
    """A record's value: its members, or those of a mapping. A `msgspec.Raw` is JSON already, and is copied."""
    return _ENCODER.encode(record)


def decode_by(decoder: msgspec.json.Decoder[RecordT], raw: bytes) -> RecordT:
    """Raises ValueError naming the member that is missing or of another type."""
    try:
        return decoder.decode(raw)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(str(error)) from error


def decode_record(raw: bytes, kind: type[RecordT]) -> RecordT:
    """Raises ValueError naming the member that is missing or of another type."""
    try:
        # Not in one step: msgspec gives up at a depth that orjson still reads, and a body may be that deep.
        return msgspec.convert(read(raw), kind)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error


def decode_stored(raw: bytes, kind: type[RecordT], *, has: str = "") -> RecordT:
    """Decodes a value of a table, which a role wrote, perhaps one of another version: members that are not known are
    passed over. `has`: a member that each version writes; where all have defaults, any JSON object would do without it.

    Raises UnreadableError, which quotes nothing of the value."""
    try:
        value = read(raw)
        if has and not (isinstance(value, dict) and has in value):
            raise UnreadableError(f"not a {kind.__name__}: it has no member `{has}`")
        return msgspec.convert(value, kind)
    except UnreadableError:
        raise
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"not a {kind.__name__}: {type(error).__name__} {error}") from error
