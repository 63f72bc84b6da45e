"""The receiver's log: one JSON object a line for each request, in the order in which the requests ended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import IO

import orjson


class LogError(ValueError):
    """A line of the log cannot be read; the message says which and why."""


class Signed(StrEnum):
    RIGHT = "right"
    WRONG = "wrong"
    MISSING = "missing"
    UNCHECKED = "unchecked"
    """The receiver was given no secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedRequest:
    """One request and its answer. Times are epoch milliseconds of the receiver's clock, which never goes back.

    `number` counts arrivals from 1. `endpoint` is the path without its query. `body` is the start of the body's
    SHA-256. `status` is None without an answer; `whole` says that the answer left whole, as far as the receiver can
    tell. `not_before_ms` is the end of the answer's Retry-After, 0 without one. `redriven`: the request says that an
    operator sent it again.
    """

    number: int
    arrived_ms: float
    ended_ms: float
    endpoint: str
    id: str
    lane: str
    sequence: int | None
    previous: int | None
    watermark: int | None
    body: str
    signed: Signed
    fault: str
    status: int | None
    whole: bool
    not_before_ms: float = 0.0
    redriven: bool = False

    @property
    def acknowledged(self) -> bool:
        """Whether the sender may regard the delivery as done."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def clear(self) -> bool:
        """Whether the answer leaves no doubt that the delivery was taken."""
        return self.acknowledged and self.whole and not self.fault


def encode(entry: LoggedRequest) -> bytes:
    return orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE)


def read(lines: Iterable[bytes | str]) -> Iterator[LoggedRequest]:
    """Yield the requests of a log. Raises LogError. A last line that is not whole (after a kill) is left out."""
    for number, line in enumerate(lines, 1):
        if line[-1:] not in {b"\n", "\n"}:
            return
        try:
            data = orjson.loads(line)
            yield LoggedRequest(**data | {"signed": Signed(data["signed"])})
        except (orjson.JSONDecodeError, TypeError, KeyError, ValueError) as error:
            raise LogError(f"line {number} is not of a log of `sluice torture receive`: {error}") from error


class LogWriter:
    """Writer of the log with a small buffer: a killed receiver loses its last requests."""

    FLUSH_EVERY = 256

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._buffer: list[bytes] = []

    def write(self, entry: LoggedRequest) -> None:
        self._buffer.append(encode(entry))
        if len(self._buffer) >= self.FLUSH_EVERY:
            self.flush()

    def flush(self) -> None:
        self._file.write(b"".join(self._buffer))
        self._file.flush()
        self._buffer.clear()
