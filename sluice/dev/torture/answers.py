"""The bytes of each answer of the receiver. Pure; the time for a Retry-After is an argument."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache

from sluice.dev.torture.faults import Fault

FOLLOWED = "/_followed"
"""Target of the redirects: a request to it shows that the sender followed one."""
MIB = 1 << 20
UNPACKED_BYTES = 64 * MIB
OVERSIZED_BYTES = 32 * MIB
INTERIM_COUNT = 100
HUGE_S = 1_000_000
DATE_STEP_MS = 1_000
"""An HTTP date has whole seconds."""


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """An answer as bytes, so that it may break HTTP.

    `chunks` are written one after another, byte by byte with `drip`. `status` is None when there is no answer. After
    them the connection is `kept`, `close`d, `reset`, or left open until the sender gives up (`hang`), as `then` says.
    `not_before_ms` is the end of a Retry-After, 0 without one.
    """

    status: int | None
    chunks: tuple[bytes, ...] = ()
    then: str = "kept"
    whole: bool = True
    not_before_ms: float = 0.0
    drip: bool = False


def plain(status: int, headers: str = "", body: bytes = b"") -> bytes:
    return f"HTTP/1.1 {status} x\r\ncontent-length: {len(body)}\r\n{headers}\r\n".encode() + body


TAKEN = RawAnswer(200, (plain(200),))


def taken(body: bytes) -> RawAnswer:
    return RawAnswer(200, (plain(200, "content-type: application/json\r\n", body),))


def answer_to(fault: Fault, now_ms: float, quiet_s: int) -> RawAnswer:
    """Return the answer of a fault. `quiet_s` is the pause that a Retry-After asks for."""
    return _ANSWERS[fault](now_ms, quiet_s)


def prepare() -> None:
    """Make the answer that takes long to make, so that no request has to wait for it."""
    _bomb()


def _status(status: int) -> Callable[[float, int], RawAnswer]:
    answer = RawAnswer(status, (plain(status),))
    return lambda _now_ms, _quiet_s: answer


def _throttle_seconds(now_ms: float, quiet_s: int) -> RawAnswer:
    return RawAnswer(429, (plain(429, f"retry-after: {quiet_s}\r\n"),), not_before_ms=now_ms + quiet_s * 1000)


def _throttle_date(now_ms: float, quiet_s: int) -> RawAnswer:
    until_s = int(now_ms // DATE_STEP_MS) + quiet_s
    text = formatdate(until_s, usegmt=True)
    return RawAnswer(503, (plain(503, f"retry-after: {text}\r\n"),), not_before_ms=until_s * 1000)


def _throttle_past(now_ms: float, _quiet_s: int) -> RawAnswer:
    text = formatdate(now_ms / 1000 - 3600, usegmt=True)
    return RawAnswer(429, (plain(429, f"retry-after: {text}\r\n"),))


def _throttle_huge(now_ms: float, _quiet_s: int) -> RawAnswer:
    return RawAnswer(429, (plain(429, f"retry-after: {HUGE_S}\r\n"),), not_before_ms=now_ms + HUGE_S * 1000)


def _of(answer: RawAnswer) -> Callable[[float, int], RawAnswer]:
    return lambda _now_ms, _quiet_s: answer


@lru_cache(maxsize=1)
def _bomb() -> RawAnswer:
    packed = gzip.compress(bytes(UNPACKED_BYTES), compresslevel=9)
    return RawAnswer(200, (plain(200, "content-encoding: gzip\r\n", packed),))


def _oversized(_now_ms: float, _quiet_s: int) -> RawAnswer:
    head = f"HTTP/1.1 200 x\r\ncontent-length: {OVERSIZED_BYTES}\r\n\r\n".encode()
    return RawAnswer(200, (head, *(_MEBIBYTE,) * (OVERSIZED_BYTES // MIB)), whole=False)


_MEBIBYTE = bytes(MIB)
_ANSWERS: dict[Fault, Callable[[float, int], RawAnswer]] = {
    Fault.STATUS_500: _status(500),
    Fault.STATUS_503: _status(503),
    Fault.REQUEST_TIMEOUT: _status(408),
    Fault.BAD_GATEWAY: _status(502),
    Fault.GATEWAY_TIMEOUT: _status(504),
    Fault.GONE: _status(410),
    Fault.REFUSED: _status(400),
    Fault.THROTTLE_SECONDS: _throttle_seconds,
    Fault.THROTTLE_DATE: _throttle_date,
    Fault.THROTTLE_PAST: _throttle_past,
    Fault.THROTTLE_GARBAGE: _of(RawAnswer(429, (plain(429, "retry-after: in a while\r\n"),))),
    Fault.THROTTLE_HUGE: _throttle_huge,
    Fault.HANG: _of(RawAnswer(None, then="hang")),
    Fault.SLOW_HEADERS: _of(RawAnswer(None, (b"HTTP/1.1 200 fine, but not before long",), then="hang", drip=True)),
    Fault.RESET_BEFORE: _of(RawAnswer(None, then="reset")),
    Fault.RESET_AFTER: _of(RawAnswer(None, then="reset")),
    Fault.CLOSE: _of(RawAnswer(None, then="close")),
    Fault.NOT_HTTP: _of(RawAnswer(None, (b"\x16\x03\x01 this is no HTTP\r\n\r\n",), then="close")),
    Fault.GIANT_HEADERS: _of(
        RawAnswer(None, (b"HTTP/1.1 200 x\r\nx-giant: ", _MEBIBYTE.replace(b"\0", b"a")), then="close")
    ),
    Fault.REDIRECT: _of(RawAnswer(307, (plain(307, f"location: {FOLLOWED}\r\n"),))),
    Fault.TRUNCATED: _of(
        RawAnswer(200, (b'HTTP/1.1 200 x\r\ncontent-length: 4096\r\n\r\n{"half": ',), then="close", whole=False)
    ),
    Fault.OVERSIZED: _oversized,
    Fault.GZIP_BOMB: lambda _now_ms, _quiet_s: _bomb(),
    Fault.INTERIM_STORM: _of(RawAnswer(200, (b"HTTP/1.1 103 hints\r\nlink: <x>\r\n\r\n" * INTERIM_COUNT, plain(200)))),
}
