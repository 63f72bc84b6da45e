"""What happened to an order after a sequence: its facts again, in their order, from `orders.events`.

The order itself says how many facts it has and when the last of them were decided; the log is searched from there on,
in the partition of the order's own number, by the rules of docs/reading.md: what an older epoch wrote behind a newer
one does not count, and a fact's place in its order is its sequence. As sequences have no gaps, a page that was put
together is known to be whole, and what is missing at the beginning was taken by retention.

A call is bounded in facts, bytes, records that are looked at, and time. What one call does not reach the next one does,
from where the first one stopped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from gateway.http.answers import VERDICT_RETRY_AFTER_S, Refused
from gateway.ports import Clock, LogReading, LogRecord
from topics.records.envelope import FACT, time_of
from topics.records.reading import Epochs, made_by
from topics.subscriptions.model import delivered_body

PAGE_BYTES_MAX = 4 << 20
"""A fact of an order with many lines takes some 30 KB."""
RECORDS_MAX = 50_000
"""Records looked at for one call, some half a second of the gateway's time."""
SEARCH_MS = 5_000
"""How long one call may search."""
NEWS_MS = 2_000
"""How long a fact may take from the order's answer, which leaves together with it, to the log."""
SKEW_MS = 10_000
"""How far the clocks of gateways and the orders role may be apart before a search has to begin anew, further back. What
a former owner still writes comes within it, too."""
HOUR_MS = 3_600_000
JUMP_MS = 60_000
"""Between two facts that are further apart than this the log is not read but passed over."""
PARKED_MS = 25 * 3_600_000
"""An order counts from its Create; what came early was kept for a day before it."""


@dataclass(frozen=True, slots=True)
class Incarnation:
    """One order of its code (there may have been others before it), and what it says about its facts. `times`:
    sequence -> epoch milliseconds, of the last ones; `last`: the highest sequence, 0 without any."""

    channel: str
    code: str
    key: bytes
    created_ms: int
    times: Mapping[int, int]

    @property
    def last(self) -> int:
        return max(self.times, default=0)

    def since_ms(self, sequence: int) -> int:
        """The fact with this sequence is not older."""
        return self.times.get(sequence, self.created_ms) - SKEW_MS

    def has(self, fact: Mapping[str, Any]) -> bool:
        """Whether a fact is of this order, and not of one that had its code before."""
        at_ms = self.times.get(fact["sequence"])
        if at_ms is not None:
            return at_ms == int(fact["atMs"])
        return 0 <= self.created_ms - int(fact["atMs"] - fact["sinceCreatedMs"]) <= PARKED_MS


def incarnation_of(document: Mapping[str, Any], code: str, key: bytes) -> Incarnation:
    """From the answer to a query (streams/order/records/document.py)."""
    times = {fact["sequence"]: fact["atMs"] for fact in document.get("facts", ())}
    return Incarnation(document["channel"], code, key, document["createdAtMs"], times)


@dataclass(slots=True)
class Page:
    """`events` follow each other without a gap. `at`: where the search goes on in the log; None: all are there."""

    events: list[dict[str, Any]] = field(default_factory=list)
    at: int | None = None


async def page_of(
    reading: LogReading, incarnation: Incarnation, after: int, limit: int, now_ms: Clock, at: int | None = None
) -> Page:
    """The facts that follow `after`, at most `limit`; `at`: where a call before this one stopped. Raises Refused."""
    search = _Search(reading, incarnation, after, min(after + limit, incarnation.last), now_ms)
    while search.wanted <= search.goal:
        await search.begin(at)
        if await search.run():
            break
        at = None  # further back
    return search.page


class _Search:
    """`wanted` is the next fact that is looked for, `goal` the last one of this page."""

    def __init__(self, reading: LogReading, incarnation: Incarnation, after: int, goal: int, now_ms: Clock) -> None:
        self._reading = reading
        (self._partition,) = reading.ends
        self._order = incarnation
        self._now_ms = now_ms
        self._ends_ms = now_ms() + SEARCH_MS
        self._epochs = Epochs()
        self._looked_at = 0
        self._bytes = 0
        self._back_ms = 0
        self._offset = 0
        self._began = 0
        self._waits = True
        """Whether what is not in the log may still be on its way; it is waited for once."""
        self.goal = goal
        self.wanted = after + 1
        self.page = Page()

    async def begin(self, at: int | None) -> None:
        """Go to where the wanted fact should come; at each call after the first further back."""
        if at is None:
            at = await self._offset_at(self._order.since_ms(self.wanted) - self._back_ms)
            self._back_ms = max(HOUR_MS, self._back_ms * 24)
        self._began = max(at, self._begins)
        self._seek(self._began)
        self._epochs = Epochs()

    async def run(self) -> bool:
        """Read on until the page is whole or the call's share is used up. False: the search began too late."""
        silent_ms: int | None = None
        while self.wanted <= self.goal:
            now_ms = self._now_ms()
            if self._looked_at >= RECORDS_MAX or self._bytes >= PAGE_BYTES_MAX or now_ms >= self._ends_ms:
                self.page.at = self._offset
                return True
            records = await self._reading.next()
            for _partition, record in records:
                ahead = self._on_record(record)
                if ahead is not None:
                    return self._look_further_back(ahead)
                if self.wanted > self.goal:
                    break
            if records:
                silent_ms = None
                if self._is_past(records[-1][1]):
                    return self._look_further_back(None)
                await self._jump(records[-1][1])
            elif self._offset >= self._reading.ends[self._partition]:
                silent_ms = silent_ms or now_ms
                if not self._waits or now_ms - silent_ms >= NEWS_MS:
                    self._waits = False
                    return self._look_further_back(None)
        if self.wanted <= self._order.last:
            self.page.at = self._offset
        return True

    def _on_record(self, record: LogRecord) -> int | None:
        """Adds the wanted fact to the page; returns the sequence of a fact that should have come after another."""
        self._offset = record.offset + 1
        self._looked_at += 1
        epoch = made_by(record.headers).epoch
        if self._epochs.is_stale(self._partition, epoch) or record.key != self._order.key:
            return None
        fact = orjson.loads(record.value)
        if fact["sequence"] < self.wanted or not self._order.has(fact):
            return None
        if fact["sequence"] > self.wanted:
            return int(fact["sequence"])
        self.page.events.append(delivered_body(_header(record, "ce_type").removeprefix(FACT), fact))
        self._bytes += len(record.value)
        self.wanted += 1
        return None

    def _is_past(self, record: LogRecord) -> bool:
        """Whether the log is beyond the wanted fact: facts leave in the order of the commands they were made from."""
        at_ms = self._order.times.get(self.wanted)
        return at_ms is not None and time_of(_header(record, "ce_time")) > at_ms + HOUR_MS

    async def _jump(self, last: LogRecord) -> None:
        """Pass over what lies before the wanted fact, where the order says when that was."""
        since_ms = self._order.since_ms(self.wanted)
        if self.wanted <= self.goal and since_ms - last.time_ms > JUMP_MS:
            offset = await self._offset_at(since_ms)
            if offset > self._offset:
                self._began = offset
                self._seek(offset)

    @property
    def _begins(self) -> int:
        return self._reading.begins[self._partition]

    async def _offset_at(self, time_ms: int) -> int:
        return (await self._reading.offsets_at(time_ms))[self._partition]

    def _seek(self, offset: int) -> None:
        self._offset = offset
        self._reading.seek({self._partition: offset})

    def _look_further_back(self, ahead: int | None) -> bool:
        """False: look further back. Raises Refused where there is nothing further back. `ahead`: a later fact is."""
        if self._began > self._begins:
            return False
        code, wanted = self._order.code, self.wanted
        if ahead is not None:
            which, kept = f"{wanted} to {ahead - 1}", f"those from {ahead} on are: after={ahead - 1}"
            raise Refused(410, "FACTS_GONE", f"Facts {which} of {code} are not kept any more", kept)
        at_ms = self._order.times.get(wanted)
        if at_ms is not None and self._now_ms() - at_ms < HOUR_MS:
            message = f"Fact {wanted} of {code} is not in the log yet"
            raise Refused(503, "LATE", message, retry_after_s=VERDICT_RETRY_AFTER_S)
        which = f"{wanted} to {self._order.last}"
        raise Refused(410, "FACTS_GONE", f"Facts {which} of {code} are not kept any more")


def _header(record: LogRecord, name: str) -> str:
    return next((value for key, value in record.headers if key == name), b"").decode()
