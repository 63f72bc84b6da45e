"""The misbehaving receiver: decides the answer to each request, and logs both."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import orjson

from sluice.dev.torture.answers import TAKEN, RawAnswer, answer_to, prepare, taken
from sluice.dev.torture.connection import Connection
from sluice.dev.torture.faults import Fault, Plan
from sluice.dev.torture.fields import Fields
from sluice.dev.torture.log import LoggedRequest, LogWriter, Signed
from sluice.dev.torture.request import Request
from sluice.dev.torture.signatures import Check, judge

IDS_MAX = 1_000_000
"""Deliveries whose attempts are counted; the oldest are forgotten and count from 1 again."""
FLUSH_S = 0.2
ANCHOR_READINGS = 5
CHALLENGE = "challenge"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverOptions:
    plan: Plan = field(default_factory=Plan)
    fields: Fields = field(default_factory=Fields)
    checks: Sequence[Check] = ()
    latency_s: float = 0.0
    """Pause before each answer without a fault."""
    quiet_s: int = 2
    """Seconds that a Retry-After asks for."""


class Receiver:
    """Receiver on a port: `start` listens; `stop` resets open connections and logs requests without an answer."""

    def __init__(self, options: ReceiverOptions, log: LogWriter) -> None:
        self._options = options
        self._log = log
        self._server: asyncio.Server | None = None
        self._connections: set[Connection] = set()
        self._alone = asyncio.Event()
        """Set when no connection is open; `stop` waits for it."""
        self._attempts: OrderedDict[str, int] = OrderedDict()
        self._count = 0
        self._flushing: asyncio.Task[None] | None = None
        # Wall-clock time at the start, the steady clock from then on: an NTP step must not look like a fault. The
        # tightest of some readings counts, because the process may lose the processor between its two clocks.
        self._epoch_ms = min(_anchor() for _ in range(ANCHOR_READINGS))[1]

    @property
    def requests(self) -> int:
        """How many requests have arrived."""
        return self._count

    @property
    def port(self) -> int:
        if self._server is None:
            raise RuntimeError("the receiver does not listen yet")
        return int(self._server.sockets[0].getsockname()[1])

    def now_ms(self) -> float:
        return self._epoch_ms + time.monotonic() * 1000

    async def start(self, host: str, port: int) -> None:
        """Raises OSError when the address is taken."""
        prepare()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), host, port)
        self._flushing = loop.create_task(self._flush())

    async def stop(self) -> None:
        if self._server is None or self._flushing is None:
            return
        self._server.close()
        if self._connections:
            self._alone.clear()
        else:
            self._alone.set()
        for connection in tuple(self._connections):
            connection.reset()
        await self._alone.wait()
        self._flushing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._flushing
        self._log.flush()

    # Listener of the connections

    def on_opened(self, connection: Connection) -> None:
        self._connections.add(connection)

    def on_closed(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._alone.set()

    def on_begin(self) -> Request:
        self._count += 1
        return Request(number=self._count, arrived_ms=self.now_ms())

    def on_headers(self, connection: Connection, request: Request) -> None:
        """Reset the connection before the body arrives, if the plan says so: it needs no more than the id."""
        delivery = self._options.fields.id.text(request.headers, None)
        if delivery and self._options.plan.fault(delivery, self._attempts.get(delivery, 0) + 1) is Fault.RESET_BEFORE:
            self._count_attempt(delivery)
            self._write(request, None, Fault.RESET_BEFORE, RawAnswer(None), Signed.UNCHECKED, whole=False)
            connection.reset()

    def on_request(self, connection: Connection, request: Request) -> None:
        fields, headers = self._options.fields, request.headers
        body = _json(request.body) if fields.reads_body or CHALLENGE.encode() in request.body else None
        signed = judge(self._options.checks, headers, request.body, self.now_ms() / 1000)
        if isinstance(body, dict) and (challenge := _challenge(body)) is not None:
            # A challenge, which an endpoint answers to prove that it wants deliveries. It is none itself.
            connection.answer(taken(orjson.dumps({CHALLENGE: challenge})), lambda _whole: None)
            return
        delivery = fields.id.text(headers, body)
        fault = self._options.plan.fault(delivery, self._count_attempt(delivery))
        answer = TAKEN if fault is None else answer_to(fault, self.now_ms(), self._options.quiet_s)
        ended = partial(self._ended, request, body, fault, answer, signed)
        if fault is None and self._options.latency_s:
            asyncio.get_running_loop().call_later(self._options.latency_s, connection.answer, answer, ended)
        else:
            connection.answer(answer, ended)

    # Log

    def _count_attempt(self, delivery: str) -> int:
        number = self._attempts.pop(delivery, 0) + 1
        self._attempts[delivery] = number
        if len(self._attempts) > IDS_MAX:
            self._attempts.popitem(last=False)
        return number

    def _ended(
        self, request: Request, body: Any, fault: Fault | None, answer: RawAnswer, signed: Signed, whole: bool
    ) -> None:
        self._write(request, body, fault, answer, signed, whole=whole)

    def _write(
        self, request: Request, body: Any, fault: Fault | None, answer: RawAnswer, signed: Signed, *, whole: bool
    ) -> None:
        fields, headers = self._options.fields, request.headers
        self._log.write(
            LoggedRequest(
                number=request.number,
                arrived_ms=request.arrived_ms,
                ended_ms=self.now_ms(),
                endpoint=request.target.partition("?")[0],
                id=fields.id.text(headers, body),
                lane=fields.lane.text(headers, body),
                sequence=fields.sequence.number(headers, body),
                previous=fields.previous.number(headers, body),
                watermark=fields.watermark.number(headers, body),
                redriven=bool(fields.redrive.text(headers, body)),
                body=hashlib.sha256(request.body).hexdigest()[:16],
                signed=signed,
                fault=fault or "",
                status=answer.status,
                whole=whole,
                not_before_ms=answer.not_before_ms,
            )
        )

    async def _flush(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            self._log.flush()


def _anchor() -> tuple[float, float]:
    """Return how long the reading took, and what to add to the steady clock (ms)."""
    before = time.monotonic()
    wall = time.time()
    after = time.monotonic()
    return after - before, wall * 1000 - (before + after) * 500


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _challenge(body: dict[str, Any]) -> str | None:
    data = body.get("data")
    for place in (body, data if isinstance(data, dict) else {}):
        challenge = place.get(CHALLENGE)
        if isinstance(challenge, str):
            return challenge
    return None
