"""Pages of an order's facts after a sequence, read again from `orders.events`.

The state of the order says how many facts it has and when the last ones were decided. The search begins in the log at
that time, in the order's partition. It follows docs/reading.md: records that an older epoch wrote behind a newer one do
not count, and the sequence says which fact of its order a fact is. Sequences have no gaps, so a page is known to be
whole; facts missing at the beginning were deleted by retention.

A call is bounded in facts, bytes, records read, and time. The next call goes on from where it stopped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.http.answers import VERDICT_RETRY_AFTER_S, Refused
from gateway.ports import Clock, LogReading, LogRecord
from topics.records.envelope import FACT, time_of
from topics.records.json_text import read
from topics.records.reading import Epochs, made_by
from topics.records.unreadable import UNREADABLE
from topics.subscriptions.model import delivered_body

PAGE_BYTES_MAX = 4 << 20
"""Most bytes of facts in one page. A fact of an order with many lines takes some 30 KB."""
RECORDS_MAX = 50_000
"""Records read for one call, in some half a second of processor time."""
SEARCH_MS = 5_000
"""How long one call may search."""
NEWS_MS = 2_000
"""How long a fact that the order's state lists already may take to be in the log."""
SKEW_MS = 10_000
"""How far the clocks of gateway and orders role may differ before a search begins again, further back. A former owner
writes its last records within this time, too."""
HOUR_MS = 3_600_000
JUMP_MS = 60_000
"""The log between two facts further apart than this is not read."""
EARLY_MS = 25 * 3_600_000
"""How long before an order's Create its first fact may be: early events are kept for a day."""


@dataclass(frozen=True, slots=True)
class Incarnation:
    """An order, which may not be the first one with its code, and what its state says about its facts. `times`:
    sequence -> epoch milliseconds, of the last facts; `last`: the highest sequence, 0 without facts."""

    channel: str
    code: str
    key: bytes
    created_ms: int
    times: Mapping[int, int]

    @property
    def last(self) -> int:
        return max(self.times, default=0)

    def since_ms(self, sequence: int) -> int:
        """A time at or before that of the fact with this sequence."""
        return self.times.get(sequence, self.created_ms) - SKEW_MS

    def has(self, fact: Mapping[str, Any]) -> bool:
        """Whether a fact is of this order, not of an earlier one with its code."""
        at_ms = self.times.get(fact["sequence"])
        if at_ms is not None:
            return at_ms == int(fact["atMs"])
        return 0 <= self.created_ms - int(fact["atMs"] - fact["sinceCreatedMs"]) <= EARLY_MS


def incarnation_of(document: Mapping[str, Any], code: str, key: bytes) -> Incarnation:
    """Made from the answer to a query (streams/order/records/document.py)."""
    times = {fact["sequence"]: fact["atMs"] for fact in document.get("facts", ())}
    return Incarnation(document["channel"], code, key, document["createdAtMs"], times)


@dataclass(slots=True)
class Page:
    """Facts without a gap. `at`: the offset at which the search for the next page begins; None: this is the last."""

    events: list[dict[str, Any]] = field(default_factory=list)
    at: int | None = None


async def page_of(
    reading: LogReading, incarnation: Incarnation, after: int, limit: int, now_ms: Clock, at: int | None = None
) -> Page:
    """At most `limit` facts after the sequence `after`. `at`: the `at` of the page before. Raises Refused."""
    search = _Search(reading, incarnation, after, min(after + limit, incarnation.last), now_ms)
    while search.wanted <= search.goal:
        await search.begin(at)
        if await search.run():
            break
        at = None
    return search.page


class _Search:
    """A search in one partition. `wanted`: the sequence that is looked for; `goal`: the last one of the page."""

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
        """Whether a fact that is not in the log may still come; a search waits for one fact."""
        self.goal = goal
        self.wanted = after + 1
        self.page = Page()

    async def begin(self, at: int | None) -> None:
        """Goes to where the wanted fact should be; with each call after the first, further back."""
        if at is None:
            at = await self._offset_at(self._order.since_ms(self.wanted) - self._back_ms)
            self._back_ms = max(HOUR_MS, self._back_ms * 24)
        self._began = max(at, self._begins)
        self._seek(self._began)
        self._epochs = Epochs()

    async def run(self) -> bool:
        """Reads until the page is complete or a bound of the call is reached. False: the wanted fact must be further
        back. Raises Refused if there is nothing further back."""
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
                    self._check_further_back(ahead)
                    return False
                if self.wanted > self.goal:
                    break
            if records:
                silent_ms = None
                if self._is_past(records[-1][1]):
                    self._check_further_back(None)
                    return False
                await self._jump(records[-1][1])
            elif self._offset >= self._reading.ends[self._partition]:
                silent_ms = silent_ms or now_ms
                if not self._waits or now_ms - silent_ms >= NEWS_MS:
                    self._waits = False
                    self._check_further_back(None)
                    return False
        if self.wanted <= self._order.last:
            self.page.at = self._offset
        return True

    def _on_record(self, record: LogRecord) -> int | None:
        """Adds the wanted fact to the page. If the record is a later fact of the order, returns its sequence."""
        self._offset = record.offset + 1
        self._looked_at += 1
        epoch = made_by(record.headers).epoch
        if self._epochs.is_stale(self._partition, epoch) or record.key != self._order.key:
            return None
        try:
            fact = read(record.value)
            sequence = int(fact["sequence"])
            if sequence < self.wanted or not self._order.has(fact):
                return None
            if sequence > self.wanted:
                return sequence
            body = delivered_body(_header(record, "ce_type").removeprefix(FACT), fact)
        except Exception as error:  # noqa: BLE001 - it is no fact of Sluice, whatever it holds
            UNREADABLE.note("orders.events", record.key, error, partition=self._partition, offset=record.offset)
            return None
        self.page.events.append(body)
        self._bytes += len(record.value)
        self.wanted += 1
        return None

    def _is_past(self, record: LogRecord) -> bool:
        """Whether the wanted fact cannot come after this record: facts are written in the order of their commands."""
        at_ms = self._order.times.get(self.wanted)
        if at_ms is None:
            return False
        try:
            return time_of(_header(record, "ce_time")) > at_ms + HOUR_MS
        except ValueError:
            return False

    async def _jump(self, last: LogRecord) -> None:
        """Leaves out the log up to the wanted fact, if that is much later."""
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

    def _check_further_back(self, ahead: int | None) -> None:
        """Raises Refused if the wanted fact cannot be further back. `ahead`: a later fact that was found."""
        if self._began > self._begins:
            return
        code, wanted = self._order.code, self.wanted
        if ahead is not None:
            which, kept = f"{wanted} to {ahead - 1}", f"those from {ahead} on are: ask with after={ahead - 1}"
            raise Refused(410, "FACTS_GONE", f"Facts {which} of {code} are not kept any more", kept)
        at_ms = self._order.times.get(wanted)
        if at_ms is not None and self._now_ms() - at_ms < HOUR_MS:
            message = f"Fact {wanted} of {code} is not in the log yet; a repeat is safe"
            raise Refused(503, "LATE", message, retry_after_s=VERDICT_RETRY_AFTER_S)
        which = f"{wanted} to {self._order.last}"
        raise Refused(410, "FACTS_GONE", f"Facts {which} of {code} are not kept any more")


def _header(record: LogRecord, name: str) -> str:
    return (next((value for key, value in record.headers if key == name), b"") or b"").decode()
