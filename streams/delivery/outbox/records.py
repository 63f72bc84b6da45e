"""Records of deliveries.outbox: a header for each lane, and an entry for each request that waits in it. Pure.

A header's key is the lane itself, an entry's is `lane||request`; no part of a lane is empty, so the two never collide.
The entry is put before the header: a redelivery by Kafka is recognised by the header, so a header that became durable
alone would lose its request.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec
import orjson
from msgspec.structs import replace

from streams.delivery.clock import NEVER
from streams.runtime.invariants import violated
from streams.runtime.role import Change, Table
from topics.records.deliveries import Attempt, DeliveryRequest, Redrive
from topics.records.json_record import decode_by, encode_record
from topics.records.keys import escape, header_key, names_of_entry_key
from topics.records.unreadable import UnreadableError, reason_of
from topics.subscriptions.model import FACT, KINDS

OUTBOX = "deliveries.outbox"
RELAY_MARGIN_MS = 1_000
"""Part of a relay's deadline: the order has to record the answer, and the answer has to reach the caller."""
SEND_TIMEOUT_MIN_S = 0.25
"""Shortest time-out of a request when a relay's deadline is near; it fits into RELAY_MARGIN_MS."""
HEADER_KEPT_MS = 24 * 3_600_000
"""How long a header is kept after its lane's last request. A repeat by Kafka or by the orders role follows a crash
within the time of a restart; a day leaves time for a restart by hand."""
HEADER_WITH_GAP_KEPT_MS = 30 * HEADER_KEPT_MS
"""The same for a header with a gap: without it, the subscriber would learn that it got everything. Orders end within
weeks; a subscriber that has not filled a gap by then asks for the whole order."""
REDRIVEN_MAX = 256
"""Redriven requests that a header remembers: more than all redrives together may have in flight in one lane."""
STORIES_WITH_GAP_MAX = 8
"""Earlier incarnations of an order whose gaps a header remembers: an order is forgotten after weeks, and its facts wait
for days."""
STORIES_ENDED_MAX = 2
"""Earlier incarnations of an order whose last sequences a header remembers. An order is forgotten after weeks, and a
crash of the orders role repeats what it did within seconds."""
_NO_WATERMARK = b'"watermark":null'
_NO_EARLIER = b'"earlier":{}'
RECENT_IDS_MAX = 32
"""Ids of requests without a sequence that a header remembers. A crash of the orders role repeats its last group, a few
requests of a lane."""


class LaneHeader(msgspec.Struct, kw_only=True):
    """The memory of a lane, kept longer than its requests, so that an old request cannot follow a newer one.

    `next_position` numbers the entries; `sequence` is the highest sequence of the orders role; `last_ms` is the time of
    the last request, from which HEADER_KEPT_MS counts. `epoch` is the newest under which a request was made: one lane
    is one entity's, decided in one partition of orders.commands, so its epochs grow. `watermark`: the sequence up to
    which a subscriber acknowledged everything, once a fact was abandoned; None: none was, so the watermark is the last
    acknowledged sequence, and costs no write. `story`: the latest incarnation of the order; a later one counts
    sequences from 1. `earlier`: the watermarks of incarnations before it that have a gap, because their facts may still
    wait. `redriven`: requests that were given up and redriven, each with its attempts at that time. `recent`: ids of
    requests without a sequence, which tells a repeat of the others; a version before kept the ids of all. `ended`: the
    highest sequences of incarnations before this one.
    """

    next_position: int = 0
    sequence: int = 0
    recent: list[str] = []
    last_ms: int = 0
    epoch: int = 0
    watermark: int | None = None
    story: int = 0
    earlier: dict[str, int] = {}
    redriven: dict[str, int] = {}
    ended: dict[str, int] = {}

    def is_stale(self, epoch: int) -> bool:
        """Whether a former owner of the entity's partition made the request, after its successor; 0: no role did."""
        return 0 < epoch < self.epoch

    def is_old(self, now_ms: int) -> bool:
        """Whether the header may be deleted, if no request waits."""
        has_gap = self.watermark is not None or bool(self.earlier)
        kept_ms = HEADER_WITH_GAP_KEPT_MS if has_gap else HEADER_KEPT_MS
        return self.last_ms + kept_ms < now_ms

    def knows(self, request: DeliveryRequest) -> bool:
        """Whether the request was accepted before: the orders role decided again after a crash."""
        if request.id in self.recent:
            return True
        if self._begins_again(request):
            return False
        ended = self.ended.get(str(request.story), 0) if self.ended else 0
        return 0 < request.sequence <= max(self.sequence, ended)

    def _begins_again(self, request: DeliveryRequest) -> bool:
        """Whether the request is of a later incarnation: its order was forgotten, and its code used again."""
        return request.story > self.story

    def append(self, request: DeliveryRequest, now_ms: int) -> OutboxEntry:
        """Append a request; returns its entry, the last of the lane."""
        if self._begins_again(request):
            if self.watermark is not None:
                self._note_earlier(self.story, self.watermark)
            self._note_ended()
            self.sequence, self.watermark = 0, None
        self.story = max(self.story, request.story)
        entry = OutboxEntry(request=request, position=self.next_position, queued_ms=now_ms, previous=self.sequence)
        self.next_position += 1
        self.sequence = max(self.sequence, request.sequence)
        if not request.sequence:
            self.recent = [*self.recent, request.id][-RECENT_IDS_MAX:]
        self.last_ms = now_ms
        return entry

    def knows_redrive(self, redrive: Redrive) -> bool:
        """Whether this end of the request was redriven before: by a repeated record, or by another redrive."""
        return self.redriven.get(redrive.request.id, 0) >= redrive.attempts

    def append_redriven(self, redrive: Redrive, now_ms: int) -> OutboxEntry:
        """Append a request that was given up and has left; returns its entry, the last of the lane. Its sequence is an
        old one, so the lane's `sequence` does not change."""
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
        """Note that a subscriber will not get this fact. `previous`: the sequence before it."""
        if request.touchpoint != FACT.name:
            return
        if self._is_earlier(request):
            self._note_earlier(request.story, previous)
        else:
            self.watermark = previous if self.watermark is None else min(self.watermark, previous)

    def watermark_before(self, request: DeliveryRequest, previous: int) -> int:
        """The watermark in the delivery of a request that follows `previous`. It never changes once the request is the
        first of its lane: only later facts can still be abandoned."""
        known = self.earlier.get(str(request.story)) if self._is_earlier(request) else self.watermark
        return previous if known is None else min(known, previous)

    def _note_ended(self) -> None:
        if self.story and self.sequence:
            self.ended[str(self.story)] = self.sequence
            if len(self.ended) > STORIES_ENDED_MAX:
                del self.ended[min(self.ended, key=int)]

    def _is_earlier(self, request: DeliveryRequest) -> bool:
        return 0 < request.story < self.story

    def _note_earlier(self, story: int, watermark: int) -> None:
        self.earlier[str(story)] = min(watermark, self.earlier.get(str(story), watermark))
        if len(self.earlier) > STORIES_WITH_GAP_MAX:
            del self.earlier[min(self.earlier, key=int)]

    def encode(self) -> bytes:
        return _HEADER_ENCODER.encode(self)


_HEADER_ENCODER = msgspec.json.Encoder()


@dataclass(slots=True, kw_only=True)
class OutboxEntry:
    """One waiting request. All times are epoch milliseconds.

    `previous`: the sequence of the request before it in the lane, 0: none is known. `failures` counts the attempts that
    make its pauses grow (a throttled one does not). `first_ms`: its first attempt, from which giving up is counted, so
    that waiting behind others costs nothing; `failed_ms`: when it first failed. `held`: dead, and the lane waits for an
    operator. `next_ms` 0: not tried yet, due at once, whatever the clock of its writer says. `watermark`: as its first
    attempt said, None before it. `dead_at`: its attempts when it was last given up, 0: it never was. `redrive`: the
    redrive that sends it again. `passed`: of a relay, the failing notifications that it was sent before, each of which
    was reported. `in_doubt`: an attempt may have been carried out (streams/delivery/attempts/doubt.py).
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
    failed_ms: int = 0
    passed: list[str] = field(default_factory=list)
    in_doubt: bool = False

    def encode(self) -> bytes:
        return encode_record(self)

    def encode_new(self, request: bytes) -> bytes:
        """Encode a new entry, with its request as it is on deliveries.requests: so that is not encoded again."""
        new = {"request": orjson.Fragment(request), "position": self.position, "queued_ms": self.queued_ms}
        return orjson.dumps({**new, "last": None, "previous": self.previous})

    def reset_schedule(self, redrive: str = "") -> None:
        """Give it a fresh schedule on an operator's word. Attempts are numbered on: each has an id of its own."""
        self.dead_at = self.attempts
        self.redrive = redrive
        self.held = False
        self.failures = 0
        self.first_ms = 0
        self.failed_ms = 0
        self.next_ms = 0


def expires_ms(request: DeliveryRequest) -> int:
    """When a request is withdrawn because its caller no longer waits; NEVER for one that goes on."""
    if not (request.relay and request.withdraw) or request.deadline_ms is None:
        return NEVER
    return request.deadline_ms - RELAY_MARGIN_MS


def timeout_s(request: DeliveryRequest, configured_s: float, now_ms: int) -> float:
    """The time-out of an attempt sent now: it does not outlast the caller."""
    left_s = (expires_ms(request) - now_ms) / 1000
    return min(configured_s, max(SEND_TIMEOUT_MIN_S, left_s))


class LateHeader(Change):
    """A header whose new value is made when the runtime applies the change, in the same turn of the event loop.

    A commit may wait for room or for the end of a rebalance. Meanwhile the lane may accept requests, which the header
    must go on knowing.
    """

    __slots__ = ("_make", "_outbox")
    _make: Callable[[bytes | None], bytes | None]
    _outbox: Table

    def __init__(self, lane: str, make: Callable[[bytes | None], bytes | None], outbox: Table) -> None:
        """`make`: from the header's value at that moment to its new one."""
        self.table, self.key = OUTBOX, header_key(lane)
        self._make, self._outbox = make, outbox

    @property
    def value(self) -> bytes | None:  # type: ignore[override]  # it is asked when the change is applied
        return self._make(self._outbox.get(self.key))


def check_lane(entries: Sequence[OutboxEntry]) -> None:
    """Check what `append` ensures: in the order of positions, the sequences of one incarnation grow."""
    last: dict[int, int] = {}
    for entry in entries:
        request = entry.request
        if request.redriven or not request.sequence:
            continue
        if request.sequence <= last.get(request.story, 0):
            violated("sequences_grow", f"request {request.id} of lane {request.lane} has sequence {request.sequence}")
        last[request.story] = request.sequence


def has_no_gap(raw: bytes | None) -> bool:
    """Whether a header has no gap, without decoding it: each delivery asks, and few headers have one.

    Inside a string of the header the quotes of the two markers would be escaped.
    """
    return raw is None or (_NO_WATERMARK in raw and _NO_EARLIER in raw)


_HEADER_BEGIN = b'{"next_position":'
"""First bytes of each header, as `LaneHeader.encode` writes it."""
_HEADERS = msgspec.json.Decoder(LaneHeader)


def decode_header(raw: bytes | None) -> LaneHeader:
    """Raises UnreadableError."""
    if raw is None:
        return LaneHeader()
    if not raw.startswith(_HEADER_BEGIN):  # all members have defaults, so any other JSON object would do
        raise UnreadableError("not the header of a lane: it does not begin as one")
    try:
        return _HEADERS.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableError(f"not the header of a lane: {error}") from error


_ENTRIES = msgspec.json.Decoder(OutboxEntry)


def decode_entry(raw: bytes) -> OutboxEntry:
    """Raises ValueError. The request's body is not decoded."""
    return decode_by(_ENTRIES, raw)


def read_entry(key: bytes, raw: bytes) -> OutboxEntry:
    """A waiting request as the last owner of its partition left it. Raises UnreadableError, also for one that this
    version could not send."""
    try:
        entry = decode_entry(raw)
        lane, request = names_of_entry_key(key)
    except ValueError as error:
        raise UnreadableError(f"not a waiting request: {reason_of(error)}") from error
    if (entry.request.lane, entry.request.id) != (lane, request):
        raise UnreadableError("not a waiting request: its lane or id is not the one in its key")
    if not lane.startswith(escape(entry.request.destination) + "|"):
        raise UnreadableError("not a waiting request: its destination is not the one in its key")
    if entry.request.touchpoint not in KINDS:
        raise UnreadableError("a waiting request of a kind that this version does not know")
    return entry
