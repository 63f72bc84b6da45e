"""Answers that leave before a request is parsed: their bytes, and the hook that decides who gets one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol

from gateway.http.answers import Answer, Refused, shape_of
from topics.api.routes import ADMIN_PROBES
from topics.http_faults import FAULTS

NO_ROOM = Refused(503, "OVERLOADED", "There are too many connections; a repeat is safe", retry_after_s=1)
STOPS = Refused(503, "UNAVAILABLE", "This gateway stops; a repeat is safe", retry_after_s=1)
_PROBES = tuple(f"GET {probe.path} ".encode() for probe in ADMIN_PROBES)
_BEFORE_PATH = re.compile(rb"[^ ]* (?:/+(?=/))?")
_STREAM = re.compile(rb"PUT /+api/+inventory/snapshots/")


class Caller(Protocol):
    """A connection as the Admission sees it. `peer`: the address of the other side, of IPv6 its /64; `made`: when it
    was accepted, by perf_counter; `ticket`: the Admission's own, for what it notes about the present request."""

    peer: str
    made: float
    ticket: object


@dataclass(frozen=True, slots=True)
class Refusal:
    """A whole HTTP response, ready to be written. `answer` keeps the connection, `last` says that it is closed.
    `closes`: always the latter."""

    answer: bytes
    last: bytes
    closes: bool = False

    @classmethod
    def of(cls, answer: Answer, *, closes: bool = False) -> Refusal:
        """The bytes of an answer: make them once and use them for many requests."""
        lines = [
            f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}",
            f"Content-Type: {answer.content_type}",
            f"Content-Length: {len(answer.body)}",
            *(f"{name}: {value}" for name, value in answer.headers),
        ]
        if answer.retry_after_s is not None:
            lines.append(f"Retry-After: {answer.retry_after_s}")
        head = "\r\n".join(lines).encode()
        last = head + b"\r\nConnection: close\r\n\r\n" + answer.body
        return cls(head + b"\r\n\r\n" + answer.body, last, closes)


class Admission(Protocol):
    """The hook at the beginning of each request."""

    def admit(self, head: bytes, lowered: bytes, connection: Caller) -> Refusal | None:
        """Called when the complete head of a request has come, before anything parses it and before its body is read.

        None: the request takes its way, and `ended` is called once for it. A Refusal: it is the answer, the body is
        thrown away, and `ended` is not called. `head`: from the request line to the empty line; `lowered`: the same in
        lower case. What it puts into `connection.ticket`, `ended` finds there.
        """

    def again(self, data: bytes, connection: Caller) -> Refusal | None:
        """Called before `admit`, while there are connections whose last request was refused, for each that has nothing
        under way.

        A Refusal if `data` is one whole request with a known head that is refused now, too, and that leaves the
        connection as it is: then the answer is written, and nothing else is looked at. None: as for any request.
        """

    def ended(self, connection: Caller) -> None:
        """Called when an admitted request is answered, or its connection is over and no handler works for it."""


def malformed(fault: str) -> Refused:
    """The answer to what is no HTTP; `fault`: its class."""
    return Refused(400, "MALFORMED", "This is not a well-formed HTTP request", FAULTS[fault])


def too_late(why: str) -> Refused:
    """The answer to a request that does not come to its end; `why` names the part that is missing."""
    return Refused(408, "TIMEOUT", "The request did not come in time", f"[{why}]")


def refusal_for(head: bytes, refused: Refused) -> bytes:
    """The last answer on a connection, in the shape that the caller of this head knows."""
    return Refusal.of(shape_for(head, refused)).last


def is_probe(head: bytes) -> bool:
    """Whether a request asks about the gateway itself."""
    return head.startswith(_PROBES)


def is_stream(head: bytes) -> bool:
    """Whether the body of a request may have any size, so that its sender may take any time."""
    return _STREAM.match(head) is not None


def path_at(head: bytes) -> int:
    """Where the path begins in a head: behind the slashes that a base URL with one at its end leads to."""
    before = _BEFORE_PATH.match(head)
    return len(head) if before is None else before.end()


def shape_for(head: bytes, refused: Refused) -> Answer:
    """A refusal in the shape that the caller of this head knows. Of a head that cannot be read: the marketplaces'."""
    path = head[path_at(head) :].partition(b" ")[0]
    return shape_of(path.decode("latin-1"))(refused)


NO_ROOM_ANSWER = refusal_for(b"", NO_ROOM)
"""For a connection whose request is not read."""
