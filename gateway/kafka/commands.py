"""Commands: the records that the gateway writes for an HTTP call, and the replies that the call waits for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from gateway.http.call import Call, new_event_id
from gateway.ports import Clock, Outgoing, Producer, Replies, Unavailable
from topics.records.envelope import GATEWAY_SOURCE, Headers, role_headers
from topics.records.signing import SIGNATURE, Signer
from topics.records.verdicts import Reply

RELAY_GRACE_S = 1.0
"""Waited beyond the relay deadline: the orders role says at the deadline why there is no answer. Callers wait 45 s."""


class Command(NamedTuple):
    """The record of a call, or of one order of a batch. `subject` is the order's code.

    `is_plain`: its body is valid as it stands. Another is valid as it is read (topics/contract/leniency.py): it is not
    signed, so the orders role reads it, too. `topic` and `partition`: where it goes, None: by its key.
    """

    subject: str
    key: bytes
    value: bytes
    is_plain: bool = True
    topic: str = "orders.commands"
    partition: int | None = None

    def outgoing(self, headers: Headers) -> Outgoing:
        return Outgoing(self.topic, self.key, self.value, headers, self.partition)


class Commands:
    """Writes the records of calls. Sets a call's event id, positions and verdict, for its receipts and log line."""

    def __init__(
        self,
        producer: Producer,
        replies: Replies,
        now_ms: Clock,
        relay_deadline_s: float,
        signer: Signer,
        check_standstills: Callable[[int | None], None],
    ) -> None:
        """`signer` signs the commands: their bodies are validated by then. `check_standstills`: see `check`."""
        self._check_standstills = check_standstills
        self._producer = producer
        self._replies = replies
        self._now_ms = now_ms
        self._relay_deadline_s = relay_deadline_s
        self._signer = signer

    async def execute(self, call: Call, kind: str, command: Command, wait_s: float) -> Reply | None:
        """The reply to one command; None when none came in time. Raises as the producer does."""
        started = time.perf_counter()
        call.event = event = new_event_id()
        self._check_replies()
        now_ms = self._now_ms()
        channel = call.channel.name if call.channel else ""
        deadline_ms = now_ms + int(wait_s * 1_000)
        self.check(call)
        headers = (
            *role_headers(event, kind, GATEWAY_SOURCE, channel, call.subject, now_ms),
            ("sluice-reply-partition", b"%d" % self._replies.partition),
            ("sluice-deadline-ms", b"%d" % deadline_ms),
            *self._signature(kind, command),
            *call.trace_headers(),
        )
        is_relay = wait_s >= self._relay_deadline_s
        waiting = self._replies.expect(event, wait_s + RELAY_GRACE_S if is_relay else wait_s)
        try:
            call.positions.append(await self._producer.produce(command.outgoing(headers)))
        except BaseException:
            self._replies.forget(event)
            raise
        if is_relay and call.place is not None:
            call.place.acknowledged(time.perf_counter() - started)
        reply = await waiting
        if not is_relay:
            call.decided_s = seconds = time.perf_counter() - started
            if call.place is not None:
                call.place.decided(seconds)
        call.verdict = reply.verdict.value if reply is not None else "late"
        return reply

    async def execute_batch(self, call: Call, kind: str, parts: Sequence[Command], wait_s: float) -> list[Reply | None]:
        """The replies to one command for each part, in their order. Raises when not all parts were stored; a repeat
        of the whole batch is harmless."""
        started = time.perf_counter()
        call.event = new_event_id()
        self._check_replies()
        now_ms = self._now_ms()
        channel = call.channel.name if call.channel else ""
        shared: Headers = (
            ("sluice-reply-partition", b"%d" % self._replies.partition),
            ("sluice-deadline-ms", b"%d" % (now_ms + int(wait_s * 1_000))),
            ("sluice-batch-id", call.event.encode()),
            *call.trace_headers(),
        )
        ids = [f"{call.event}-{index}" for index in range(len(parts))]
        records = []
        for id_, part in zip(ids, parts, strict=True):
            headers = (
                *role_headers(id_, kind, GATEWAY_SOURCE, channel, part.subject, now_ms),
                *shared,
                *self._signature(kind, part),
            )
            records.append(part.outgoing(headers))
        self.check(call)
        waiting: list[asyncio.Future[Reply | None]] = []
        try:
            waiting.extend(self._replies.expect(id_, wait_s) for id_ in ids)
            stored = await self._producer.produce_all(records)
            call.positions.extend(position for position in stored if position is not None)
            if None in stored:
                raise Unavailable("part of a batch was not acknowledged")
        except BaseException:
            for id_ in ids:
                self._replies.forget(id_)
            raise
        replies = await asyncio.gather(*waiting)
        call.decided_s = time.perf_counter() - started
        call.verdict = ",".join(sorted({reply.verdict.value if reply else "late" for reply in replies}))
        return replies

    async def store(self, call: Call, kind: str, topic: str, key: bytes, value: bytes, partition: int) -> None:
        """Returns when the record is on all in-sync replicas; no reply to it is expected. Raises as the producer."""
        started = time.perf_counter()
        call.event = event = new_event_id()
        channel = call.channel.name if call.channel else ""
        headers = (
            *role_headers(event, kind, GATEWAY_SOURCE, channel, call.subject, self._now_ms()),
            *call.trace_headers(),
        )
        self.check(call)
        call.positions.append(await self._producer.produce(Outgoing(topic, key, value, headers, partition)))
        if call.place is not None:
            call.place.acknowledged(time.perf_counter() - started)

    def check(self, call: Call) -> None:
        """Raises StoodStill if this process stood still since the call came. It is asked when the time of a record is
        known, so one that is sent after a standstill all the same says by its time that it is old."""
        self._check_standstills(call.standstills)

    def _signature(self, kind: str, command: Command) -> Headers:
        signature = self._signer.sign(kind, command.key, command.value) if command.is_plain else None
        return () if signature is None else ((SIGNATURE, signature),)

    def _check_replies(self) -> None:
        """A command is refused while its verdict could not be read."""
        reason = self._replies.unready()
        if reason is not None:
            raise Unavailable(reason)
