"""The values of deliveries.outbox: a header for each lane, an entry for each request that waits in it. Pure.

Keys: a header's is the lane itself, an entry's is `lane||request` (no part of a lane is empty, so the two never meet).
The entry is put before the header: Kafka's redelivery is recognised by the header, so a header that became durable
alone would lose its request.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import orjson

from streams.delivery.clock import NEVER
from topics.records.deliveries import Attempt, DeliveryRequest, Redrive
from topics.records.keys import join, split
from topics.subscriptions.model import FACT

OUTBOX = "deliveries.outbox"
SEPARATOR = b"||"
RELAY_MARGIN_MS = 1_000
"""The answer still has to be recorded by the order and to reach the caller: the way back is part of the deadline."""
SEND_TIMEOUT_MIN_S = 0.25
"""Shortest time-out of a request, when a relay's deadline is near; it eats into RELAY_MARGIN_MS, not past it."""
HEADER_KEPT_MS = 24 * 3_600_000
"""How long a lane is remembered after its last request. A repeat by Kafka or by the orders role follows a crash within
the time of its restart; a day leaves room for a restart that somebody has to make by hand."""
HEADER_WITH_GAP_KEPT_MS = 30 * HEADER_KEPT_MS
"""The same for one that knows of a gap: later, its subscriber would be told that it got everything. Orders come to
their end within weeks; whoever has not filled a gap by then asks for the whole order."""
REDRIVEN_MAX = 256
"""Redriven requests a header remembers: more than all redrives together may have on their way in one lane."""
STORIES_WITH_GAP_MAX = 8
"""Earlier stories whose gaps a header remembers: an order is forgotten after weeks, and its facts wait for days."""
_NO_WATERMARK = b'"watermark":null'
_NO_EARLIER = b'"earlier":{}'
RECENT_IDS_MAX = 32
"""Request ids a header remembers. A crash of the orders role repeats its last group, a few requests of a lane."""


@dataclass(slots=True, kw_only=True)
class LaneHeader:
    """What outlives a lane's requests, so that an old request cannot come back after a newer one.

    `next_position` numbers the entries; `sequence` is the highest of the orders role's own; `last_ms` is the time of
    the last request, from which the header's keeping is counted. `epoch` is the newest under which a request was made:
    one lane is one entity's, decided in one partition of orders.commands, so its epochs grow. `watermark`: up to which
    sequence a subscriber acknowledged everything, since something was abandoned; None: nothing was, so that it is
    whatever was acknowledged last, and costs no write. `story`: the latest; in a later one sequences begin again.
    `earlier`: the watermarks of stories before it that have a gap, because facts of theirs may still wait.
    `redriven`: requests that were given up and taken again, each with the attempts that it had then.
    """

    next_position: int = 0
    sequence: int = 0
    recent: list[str] = field(default_factory=list)
    last_ms: int = 0
    epoch: int = 0
    watermark: int | None = None
    story: int = 0
    earlier: dict[str, int] = field(default_factory=dict)
    redriven: dict[str, int] = field(default_factory=dict)

    def is_stale(self, epoch: int) -> bool:
        """Whether a former owner of the entity's partition made the request, behind its successor; 0: no role did."""
        return 0 < epoch < self.epoch

    def is_old(self, now_ms: int) -> bool:
        """Whether it may be forgotten, if nothing waits."""
        has_gap = self.watermark is not None or bool(self.earlier)
        kept_ms = HEADER_WITH_GAP_KEPT_MS if has_gap else HEADER_KEPT_MS
        return self.last_ms + kept_ms < now_ms

    def knows(self, request: DeliveryRequest) -> bool:
        """Whether the request was taken before: the orders role decided again after a crash."""
        if request.id in self.recent:
            return True
        return 0 < request.sequence <= self.sequence and not self._begins_again(request)

    def _begins_again(self, request: DeliveryRequest) -> bool:
        """Whether its order was forgotten, and is another one under the same code."""
        if not self.story:  # what is known was made before stories were told
            return request.story > 0 and request.sequence <= self.sequence
        return request.story > self.story

    def append(self, request: DeliveryRequest, now_ms: int) -> OutboxEntry:
        """Note the request; returns its entry, the last of the lane."""
        if self._begins_again(request):
            if self.watermark is not None:
                self._note_earlier(self.story, self.watermark)
            self.sequence, self.watermark = 0, None
        self.story = max(self.story, request.story)
        entry = OutboxEntry(request=request, position=self.next_position, queued_ms=now_ms, previous=self.sequence)
        self.next_position += 1
        self.sequence = max(self.sequence, request.sequence)
        self.recent = [*self.recent, request.id][-RECENT_IDS_MAX:]
        self.last_ms = now_ms
        return entry

    def knows_redrive(self, redrive: Redrive) -> bool:
        """Whether this end of the request was taken up before: by a record that came twice, or by another redrive."""
        return self.redriven.get(redrive.request.id, 0) >= redrive.attempts

    def append_redriven(self, redrive: Redrive, now_ms: int) -> OutboxEntry:
        """Note a request that was given up and has left; returns its entry, the last of the lane. Its sequence is an
        old one, so nothing that counts sequences changes."""
        self.note_redriven(redrive)
        entry = OutboxEntry(
            request=replace(redrive.request, redriven=True),
            position=self.next_position,
            queued_ms=now_ms,
            attempts=redrive.attempts,
            previous=redrive.previous,
            watermark=redrive.watermark,
            dead_at=redrive.attempts,
            redrive=redrive.id,
        )
        self.next_position += 1
        self.last_ms = now_ms
        return entry

    def note_redriven(self, redrive: Redrive) -> None:
        self.redriven.pop(redrive.request.id, None)
        self.redriven[redrive.request.id] = redrive.attempts
        if len(self.redriven) > REDRIVEN_MAX:
            del self.redriven[next(iter(self.redriven))]

    def abandon(self, request: DeliveryRequest, previous: int) -> None:
        """A subscriber will not get this fact, and has to be able to tell. `previous`: the sequence before it."""
        if request.touchpoint != FACT.name:
            return
        if self._is_earlier(request):
            self._note_earlier(request.story, previous)
        else:
            self.watermark = previous if self.watermark is None else min(self.watermark, previous)

    def watermark_before(self, request: DeliveryRequest, previous: int) -> int:
        """What stands in the delivery of a request that follows `previous` in its story. Once it is the first of its
        lane this never changes: what may still be abandoned comes after it."""
        known = self.earlier.get(str(request.story)) if self._is_earlier(request) else self.watermark
        return previous if known is None else min(known, previous)

    def _is_earlier(self, request: DeliveryRequest) -> bool:
        return 0 < request.story < self.story

    def _note_earlier(self, story: int, watermark: int) -> None:
        self.earlier[str(story)] = min(watermark, self.earlier.get(str(story), watermark))
        if len(self.earlier) > STORIES_WITH_GAP_MAX:
            del self.earlier[min(self.earlier, key=int)]

    def encode(self) -> bytes:
        return orjson.dumps(self)


@dataclass(slots=True, kw_only=True)
class OutboxEntry:
    """One request that waits. All times are epoch milliseconds.

    `previous` is the sequence of the request before it in the lane, 0: none is known.
    `failures` counts what makes its pauses grow (being throttled does not); `first_ms` is its first attempt, from which
    giving up is counted, so that waiting behind others costs nothing. `held`: dead, and the lane waits for an operator.
    `next_ms` 0: not tried yet, due at once, whatever the clock says of whoever wrote the request. `watermark`: what its
    first attempt said, None before it. `dead_at`: how many attempts it had when it was last given up, 0: it never was;
    `redrive`: the redrive that sends it again.
    """

    request: DeliveryRequest
    position: int
    queued_ms: int
    next_ms: int = 0
    attempts: int = 0
    failures: int = 0
    first_ms: int = 0
    last: Attempt | None = None
    message: str = ""
    held: bool = False
    previous: int = 0
    watermark: int | None = None
    dead_at: int = 0
    redrive: str = ""

    def encode(self) -> bytes:
        return orjson.dumps(self)

    def encode_new(self, request: bytes) -> bytes:
        """Of one that was just taken: its request as it is on deliveries.requests is not encoded once more."""
        new = {"request": orjson.Fragment(request), "position": self.position, "queued_ms": self.queued_ms}
        return orjson.dumps({**new, "last": None, "previous": self.previous})

    def reset_schedule(self, redrive: str = "") -> None:
        """A fresh schedule; the attempts go on being numbered, so that each keeps an id of its own."""
        self.dead_at = self.attempts
        self.redrive = redrive
        self.held = False
        self.failures = 0
        self.first_ms = 0
        self.next_ms = 0


def expires_ms(request: DeliveryRequest) -> int:
    """When a request is withdrawn because its caller no longer waits; NEVER for those that go on."""
    if not (request.relay and request.withdraw) or request.deadline_ms is None:
        return NEVER
    return request.deadline_ms - RELAY_MARGIN_MS


def timeout_s(request: DeliveryRequest, configured_s: float, now_ms: int) -> float:
    """The time-out of an attempt sent now: a caller that will be gone is not waited for."""
    left_s = (expires_ms(request) - now_ms) / 1000
    return min(configured_s, max(SEND_TIMEOUT_MIN_S, left_s))


def header_key(lane: str) -> bytes:
    return lane.encode()


def entry_key(lane: str, request_id: str) -> bytes:
    return lane.encode() + SEPARATOR + join(request_id)


def is_entry_key(key: bytes) -> bool:
    return SEPARATOR in key


def names_of_entry_key(key: bytes) -> tuple[str, str]:
    """Lane and request id of an entry's key."""
    lane, _, request = key.partition(SEPARATOR)
    return lane.decode(), split(request)[0]


def has_no_gap(raw: bytes | None) -> bool:
    """Whether a header knows of no gap, without decoding it: each delivery asks, and few headers have one.

    Inside a string of the header the quotes of this would be escaped.
    """
    return raw is None or (_NO_WATERMARK in raw and _NO_EARLIER in raw)


def decode_header(raw: bytes | None) -> LaneHeader:
    return LaneHeader() if raw is None else LaneHeader(**orjson.loads(raw))


def decode_entry(raw: bytes) -> OutboxEntry:
    data = orjson.loads(raw)
    last = data.pop("last")
    return OutboxEntry(
        request=DeliveryRequest(**data.pop("request")),
        last=Attempt(**last) if last else None,
        **data,
    )
