"""The upload of a snapshot: its stream becomes records on `inventory.updates`, a bounded number of them at a time.

The records of an upload are written in order: begin, parts, end. While some parts are in flight the lines of the next
ones are read, and no more, so a slow Kafka slows the sender down. An upload that ends early writes an abort marker; if
even that fails, the snapshot is given up after SNAPSHOT_OPEN_MAX_S. Without an end marker nothing becomes 0.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import orjson
from aiohttp import web

from gateway.api.snapshots.formats import Entry, Format, Lines, Parsed
from gateway.http.answers import STOOD_STILL_RETRY_AFTER_S, Refused, bad_data
from gateway.ports import Clock, Outgoing, Overloaded, Position, Producer, RecordTooLarge, StoodStill, Unavailable
from topics.api.snapshots import RefusedLine
from topics.records.envelope import GATEWAY_SOURCE, role_headers
from topics.schema_base import SKUS_MAX
from topics.stock.snapshots import (
    SNAPSHOT_ABORT,
    SNAPSHOT_BEGIN,
    SNAPSHOT_END,
    SNAPSHOT_HEADER,
    SNAPSHOT_PART,
    location_members,
)

log = logging.getLogger(__name__)

PARTS_AT_ONCE = 50
"""Parts in flight at a time: 10,000 lines, half a megabyte. A busy broker acknowledges in a tenth of a second, and a
million lines wait for a hundred acknowledgements."""
PART_AGE_S = 30.0
"""Lines wait no longer than this for others, so that the snapshot of a slow sender does not count as silent."""
ERRORS_MAX = 100
"""Refused lines that the answer names: enough to mend a file."""
HOPELESS = 1_000
"""With more refused lines than this, and more of them than of others, the upload is no list of stock and ends."""
ABORT_TIMEOUT_S = 5.0
"""How long the abort marker may take, also while the gateway stops. Without it the snapshot is given up by its age."""
PATIENCE_S = 60.0
"""How long Kafka may accept nothing, for example while it elects leaders: less than SNAPSHOT_OPEN_MAX_S, and than the
time-outs of senders. To wait is cheaper than to send a whole snapshot again."""
AGAIN_S = 0.1
"""Between two tries while Kafka is away or overloaded."""


class Content(Protocol):
    """A body as it comes (aiohttp.StreamReader)."""

    async def readany(self) -> bytes:
        """Empty at the end."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where the records of an upload go, and which stock they are about."""

    snapshot: str
    channel: str
    location: str
    key: bytes
    partition: int


@dataclass(slots=True)
class Counts:
    """Lines of an upload. `unreadable`: refused ones whose SKU is not known either; `errors`: of the first ones."""

    lines: int = 0
    refused: int = 0
    unreadable: int = 0
    errors: list[RefusedLine] = field(default_factory=list)


class Upload:
    def __init__(
        self,
        target: Target,
        lines: Format,
        *,
        complete: bool,
        producer: Producer,
        now_ms: Clock,
        idle_s: float,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """`check`: raises StoodStill if this process stood still since the upload began."""
        self.target = target
        self.counts = Counts()
        self.not_complete: str | None = None
        """Why SKUs that are not named keep their stock although the caller asked for 0."""
        self.begun: Position | None = None
        self._format = lines
        self._complete = complete
        self._producer = producer
        self._now_ms = now_ms
        self._idle_s = idle_s
        self._check = check
        self._location_members = orjson.dumps(location_members(target.location))[:-1]
        self._lines = Lines()
        self._waiting: list[Entry] = []
        self._parts: list[Outgoing] = []
        self._part = 0
        self._may_be_open = False
        self._sending: asyncio.Task[None] | None = None
        self._passed_on = time.monotonic()

    async def run(self, content: Content) -> None:
        """Returns when the end marker is on all in-sync replicas. Raises Refused, and as the producer does."""
        try:
            await self._read(content)
        except BaseException as error:
            # Shielded, because the task is cancelled when the gateway stops. The producer stops later.
            await asyncio.shield(self._give_up(error))
            raise

    async def _read(self, content: Content) -> None:
        while chunk := await self._next(content):
            await self._take(self._format.entries(self._lines.feed(chunk)))
        await self._take(self._format.entries(self._lines.end()))
        await self._gather(all_of_it=True)
        cut_off = self._format.end()
        if cut_off.errors:
            self._add(cut_off, 0)
        if not self.counts.lines:
            raise bad_data("body: has no position; to empty a location, name its SKUs with quantity 0")
        await self._send_gathered()
        await self._sent()
        if self._complete and self.counts.unreadable:
            self.not_complete = f"of {self.counts.unreadable} refused lines not even the SKU is known"
        end = {
            **location_members(self.target.location),
            "parts": self._part,
            "complete": self._complete and not self.not_complete,
        }
        await self._produce([self._record(SNAPSHOT_END, orjson.dumps(end), "end")])

    async def _next(self, content: Content) -> bytes:
        try:
            async with asyncio.timeout(self._idle_s):
                read = await content.readany()
        except TimeoutError:
            fault = f"[body: nothing came for {self._idle_s:g} s]"
            raise Refused(408, "TIMEOUT", "The upload stood still, so it was given up", fault) from None
        except (web.RequestPayloadError, ConnectionError) as error:
            raise bad_data("body: ended early, or is not encoded as its headers say") from error
        try:
            self._check()
        except StoodStill:
            if self.begun is None:
                raise
            said = "[what had come of it counts as updates; nothing was set to 0: send a whole snapshot again]"
            message = "Sluice stood still during the upload, so it was given up"
            raise Refused(503, "UNAVAILABLE", message, said, STOOD_STILL_RETRY_AFTER_S) from None
        return read

    async def _take(self, entries: list[Entry]) -> None:
        has_head, entries = self._format.head(entries)
        if self.begun is None and (has_head or entries):
            begin = orjson.dumps({**location_members(self.target.location), "complete": self._complete})
            self._may_be_open = True
            (self.begun,) = await self._produce([self._record(SNAPSHOT_BEGIN, begin, "begin")])
        self._waiting += entries
        await self._gather(all_of_it=time.monotonic() - self._passed_on > PART_AGE_S)
        if self._parts and time.monotonic() - self._passed_on > PART_AGE_S:
            await self._send_gathered()

    async def _gather(self, *, all_of_it: bool) -> None:
        """Makes parts of waiting lines, and sends them when there are enough."""
        while len(self._waiting) >= SKUS_MAX or (all_of_it and self._waiting):
            self._add(self._format.parse(self._waiting[:SKUS_MAX]), len(self._waiting[:SKUS_MAX]))
            del self._waiting[:SKUS_MAX]
            await asyncio.sleep(0)  # a chunk may have a hundred parts, and each takes milliseconds to judge
            if len(self._parts) >= PARTS_AT_ONCE:
                await self._send_gathered()

    def _add(self, parsed: Parsed, lines: int) -> None:
        counts = self.counts
        counts.lines += lines
        counts.refused += len(parsed.errors)
        counts.unreadable += parsed.unreadable
        counts.errors += parsed.errors[: ERRORS_MAX - len(counts.errors)]
        if counts.refused > HOPELESS and counts.refused * 2 > counts.lines:
            first = "; ".join(f"line {one.line}: {one.error}" for one in counts.errors[:3])
            raise bad_data(f"body: {counts.refused} of {counts.lines} lines were refused: {first}")
        refused = b',"refused":%b' % orjson.dumps(parsed.refused) if parsed.refused else b""
        value = b'%b,"part":%d,"inventories":[%b]%b}' % (self._location_members, self._part, parsed.items, refused)
        self._parts.append(self._record(SNAPSHOT_PART, value, str(self._part)))
        self._part += 1

    async def _send_gathered(self) -> None:
        """Sends the gathered parts, once those before them are acknowledged."""
        await self._sent()
        records, self._parts = self._parts, []
        self._passed_on = time.monotonic()
        self._sending = asyncio.create_task(self._send(records), name=f"snapshot {self.target.snapshot}")

    async def _send(self, records: Sequence[Outgoing]) -> None:
        if records:
            await self._produce(records)

    async def _sent(self) -> None:
        if self._sending is not None:
            await self._sending
            self._sending = None

    async def _produce(self, records: Sequence[Outgoing], patience_s: float | None = None) -> list[Position]:
        """The positions of records, which are written in order. What is not acknowledged is written again: a part that
        comes twice counts once. Raises Unavailable or Overloaded if Kafka accepts nothing for too long.
        """
        deadline = time.monotonic() + (PATIENCE_S if patience_s is None else patience_s)
        taken: list[Position] = []
        while True:
            trouble: Unavailable | Overloaded = Unavailable("part of a snapshot was not acknowledged")
            try:
                found = await self._producer.produce_all(records[len(taken) :])
                taken += _before_a_gap(found)
            except (Unavailable, Overloaded) as error:
                trouble = error
            if len(taken) == len(records):
                return taken
            if time.monotonic() > deadline:
                raise trouble
            await asyncio.sleep(AGAIN_S)

    async def _give_up(self, error: BaseException) -> None:
        """Writes the abort marker, after all that was written before."""
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.wait([self._sending])
        if not self._may_be_open:
            return
        abort = orjson.dumps({**location_members(self.target.location), "reason": _reason(error)})
        try:
            async with asyncio.timeout(ABORT_TIMEOUT_S):
                await self._produce([self._record(SNAPSHOT_ABORT, abort, "abort")], 0.0)
        except (TimeoutError, Unavailable, Overloaded) as trouble:
            log.warning(
                "snapshot %s has no abort marker and will be given up by its age: %r", self.target.snapshot, trouble
            )

    def _record(self, kind: str, value: bytes, name: str) -> Outgoing:
        target = self.target
        id_ = f"{target.snapshot}.{name}"
        headers = role_headers(id_, kind, GATEWAY_SOURCE, target.channel, target.location, self._now_ms())
        marked = (*headers, (SNAPSHOT_HEADER, target.snapshot.encode()))
        return Outgoing("inventory.updates", target.key, value, marked, target.partition)


def _before_a_gap(positions: Sequence[Position | None]) -> Iterator[Position]:
    """The positions before the first record that is not acknowledged."""
    for position in positions:
        if position is None:
            return
        yield position


def _reason(error: BaseException) -> str:
    if isinstance(error, Refused):
        return f"{error.message} {error.description}"[:200]
    if isinstance(error, (Unavailable, Overloaded, RecordTooLarge)):
        return "Kafka did not take all of it"
    return "the gateway stopped" if isinstance(error, asyncio.CancelledError) else "the gateway failed"
