"""The lanes of one dispatcher: which are ready, which wait for a time, and which are spilled to local disk.

In memory are at most LANES_IN_MEMORY_MAX ready lanes of each class, and as many that wait for a time. Each has room of
its own, so a backlog delays neither another class nor a first attempt. Lanes without room are spilled, and return in
the order of the times when they are due. A lane that is due later than the first spilled lane of its class is spilled
behind it, so that none is passed as long as more come. Lanes with relays are never spilled: callers wait for them.
"""

from __future__ import annotations

from collections.abc import Callable

from streams.delivery.clock import NEVER
from streams.delivery.lanes.lane import DECODED_BYTES_MAX, DECODED_MAX, Lane, OutboxReader, mark_of
from streams.delivery.lanes.ready_queue import CallTurn, LaneTurn, ReadyQueue
from streams.delivery.lanes.spilled import SpilledLanes
from streams.delivery.lanes.steps import Expire, Send, Wait
from streams.delivery.outbox.records import OutboxEntry
from streams.runtime.invariants import violated
from streams.runtime.role import Table
from topics.contract.definition import Priority
from topics.subscriptions.model import KINDS

RELAY_WEIGHT = 1.0
"""Within its class a relay goes before notifications: a caller waits for it."""
LANES_IN_MEMORY_MAX = 10_000
"""Lanes of each class, some 5 MB: more than are ready while a far side keeps up, so that these never touch the disk."""
RELOADED_BELOW = 20
"""Spilled lanes of a class return when fewer than 1/20 of its room is ready, half as many at once: some 5 ms of the
event loop, and nothing waits for it."""
_TIMED = -1
"""The room of lanes that wait for a time."""


class LaneSet:
    """`expire` ends a relay whose caller is gone, as its lane's next step; `withdraw` one behind a request in flight;
    `wake` signals that something may be ready."""

    def __init__(
        self,
        outbox: Table,
        spilled: SpilledLanes,
        now_ms: Callable[[], int],
        *,
        expire: Callable[[Lane, OutboxEntry], None],
        withdraw: Callable[[OutboxEntry], object],
        wake: Callable[[], None],
    ) -> None:
        self._reader = OutboxReader(outbox)
        self._spilled = spilled
        self._now_ms = now_ms
        self._expire = expire
        self._withdraw = withdraw
        self._wake = wake
        self._lanes: dict[str, Lane] = {}
        self.queue = ReadyQueue()
        self._counts = dict.fromkeys((*map(int, Priority), _TIMED), 0)
        self._closed = False
        self.blocked_changes = 0
        """Grows whenever a lane becomes blocked, or is no longer blocked."""

    def __len__(self) -> int:
        return len(self._lanes) + self._spilled.count

    @property
    def oldest_ms(self) -> int | None:
        """The time since which the oldest first request waits, None without any."""
        in_memory = min((lane.since_ms for lane in self._lanes.values()), default=NEVER)
        spilled = self._spilled.oldest_ms()
        oldest = in_memory if spilled is None else min(in_memory, spilled)
        return None if oldest == NEVER else oldest

    def blocked(self, at_most: int) -> tuple[int, list[OutboxEntry]]:
        """How many lanes wait for an operator, and some of the requests that hold them."""
        in_memory = [(lane.name, lane.blocked_by) for lane in self._lanes.values() if lane.blocked_by]
        number, spilled = self._spilled.undue(at_most)
        found = (self._reader.read(*one) for one in [*in_memory, *spilled][:at_most])
        return len(in_memory) + number, [entry for entry in found if entry is not None]

    def is_empty(self, name: str) -> bool:
        return name not in self._lanes and not self._spilled.has(name)

    def close(self) -> None:
        """Schedule nothing any more."""
        self._closed = True
        self._spilled.clear()

    # Requests that come and go

    def add(self, entry: OutboxEntry) -> None:
        """A request came, or an operator gave one a fresh schedule."""
        if self._closed:
            return
        name, relay = entry.request.lane, entry.request.relay
        lane = self._lanes.get(name)
        is_new = lane is None
        if lane is None:
            # A request behind others changes nothing for its lane, unless it is a relay, a hold or was tried before.
            plain = not (relay or entry.request.hold or entry.attempts)
            if self._spilled.count and plain and self._append_spilled(entry):
                return
            lane = self._load(name)
        is_first = lane.add(entry)
        if lane.busy and relay:
            self.queue.push_timed(LaneTurn(lane, lane.ticket), lane.next_expiry_ms())
            self._wake()
        elif not lane.busy and (is_first or relay or is_new or lane.delays(entry)):
            self.schedule(lane)

    def remove(self, name: str, request_id: str) -> None:
        """A request left by another way than being sent."""
        if self._closed:
            return
        lane = self._lanes.get(name)
        if lane is None and self._spilled.has(name):
            lane = self._load(name)
        if lane is not None:
            lane.remove(request_id)
            if not lane.busy:
                self.schedule(lane)

    def add_call(self, turn: CallTurn) -> None:
        self.queue.push_ready(turn, turn.priority, turn.due_ms, turn.weight)
        self._wake()

    def _append_spilled(self, entry: OutboxEntry) -> bool:
        """Append a request to its spilled lane, which stays on disk; False when there is none, or when the lane's
        requests are all redriven and this one is not."""
        request = entry.request
        unless = None if request.redriven else Priority.BACKGROUND
        return self._spilled.append(request.lane, request.id, mark_of(entry), unless=unless)

    def _load(self, name: str) -> Lane:
        lane = self._lanes[name] = Lane(name, self._reader, self._spilled.pop_lane(name))
        return lane

    # Order of sending

    def begin(self, lane: Lane, entry: OutboxEntry) -> None:
        """A request of the lane is in flight from here on."""
        self._free_room(lane)
        lane.busy = True
        lane.in_flight = entry.request.id

    def schedule(self, lane: Lane, *, reloaded: bool = False, not_before_ms: int = 0) -> None:
        """Queue the lane for its next step. `reloaded`: from disk, where it was the first of its class.
        `not_before_ms`: no request of it is sent before, unless the lane is scheduled again."""
        lane.ticket += 1
        lane.busy = False
        self._free_room(lane)
        first = lane.first
        if first is None:
            self._lanes.pop(lane.name, None)
        if self._closed or first is None:
            return
        lane.since_ms = first.queued_ms
        blocked_by = first.request.id if first.held else ""
        if blocked_by != lane.blocked_by:
            lane.blocked_by = blocked_by
            self.blocked_changes += 1
        step = lane.next_step(self._now_ms())
        if not_before_ms and isinstance(step, Send):
            step = Wait(min(not_before_ms, lane.next_expiry_ms() or NEVER))
        if isinstance(step, Expire):
            self._expire(lane, step.entry)
        elif isinstance(step, Send):
            self._make_ready(lane, step.entry, reloaded=reloaded)
        elif self._has_room(lane, _TIMED):
            self._occupy_room(lane, _TIMED)
            self.queue.push_timed(LaneTurn(lane, lane.ticket), step.until_ms)
            lane.release_decoded()
        else:
            self._spill(lane, _class_of(lane, first), NEVER if step.until_ms is None else step.until_ms)
        self._wake()

    def is_in_memory(self, lane: Lane) -> bool:
        return self._lanes.get(lane.name) is lane

    def wake_due(self, now_ms: int) -> None:
        """Make lanes ready whose time has come, or withdraw their relays; reload spilled lanes as there is room."""
        for turn in self.queue.pop_due(now_ms):
            if turn.lane.busy:
                self._withdraw_overdue(turn, now_ms)
            else:
                self.schedule(turn.lane)
        if self._spilled.count:
            self._reload(now_ms)

    def next_ms(self) -> float:
        """When the next time comes."""
        known = self.queue.next_ms()
        if self._spilled.count:
            known = min([known, *map(self._spilled.next_due_ms, self._running_low())])
        return known

    def _make_ready(self, lane: Lane, entry: OutboxEntry, *, reloaded: bool) -> None:
        request = entry.request
        priority, due_ms = _class_of(lane, entry), max(entry.next_ms, entry.queued_ms)
        since_ms = min(due_ms, self._now_ms())  # it is due, whatever the clock of its writer says
        if not self._has_room(lane, priority) or not (reloaded or self._is_first(lane, priority, since_ms)):
            self._spill(lane, priority, since_ms)
            return
        turn = LaneTurn(lane, lane.ticket, request.touchpoint, background=priority is Priority.BACKGROUND)
        self._occupy_room(lane, priority)
        self.queue.push_ready(turn, priority, due_ms, RELAY_WEIGHT if request.relay else 0.0)
        # It may wait long for a permit or the gate; its relays are withdrawn in time all the same.
        self.queue.push_timed(turn, lane.next_expiry_ms())
        if self._reader.decoded > DECODED_MAX or self._reader.decoded_bytes > DECODED_BYTES_MAX:
            lane.release_decoded()

    def _withdraw_overdue(self, turn: LaneTurn, now_ms: int) -> None:
        """Withdraw relays whose callers gave up behind a slow request. After a crash the lane withdraws them again."""
        for entry in turn.lane.overdue(now_ms):
            turn.lane.remove(entry.request.id)
            self._withdraw(entry)
        self.queue.push_timed(turn, turn.lane.next_expiry_ms())

    # Room in memory, and lanes on disk

    def _has_room(self, lane: Lane, room: int) -> bool:
        return bool(lane.relays) or self._counts[room] < LANES_IN_MEMORY_MAX

    def _is_first(self, lane: Lane, priority: Priority, due_ms: int) -> bool:
        """Whether no spilled lane of its class is due before it."""
        return not self._spilled.count or bool(lane.relays) or self._spilled.next_due_ms(priority) >= due_ms

    def _occupy_room(self, lane: Lane, room: int) -> None:
        lane.room = room
        self._counts[room] += 1

    def _free_room(self, lane: Lane) -> None:
        if lane.room is not None:
            self._counts[lane.room] -= 1
            lane.room = None

    def _spill(self, lane: Lane, priority: Priority, due_ms: int) -> None:
        del self._lanes[lane.name]
        lane.release_decoded()
        self._spilled.spill(lane.name, lane.requests, priority, due_ms, lane.since_ms)

    def _reload(self, now_ms: int) -> None:
        at_once = max(1, LANES_IN_MEMORY_MAX // RELOADED_BELOW // 2)
        for priority in self._running_low():
            for name, requests in self._spilled.pop_due(priority, now_ms, at_once):
                known = self._lanes.get(name)
                if known is not None:
                    # The lane in memory may have a request in flight: sent by two it would lose its order.
                    violated("spilled_lane_returns_once", f"lane {name} is in memory and on disk")
                    known.merge(requests)
                    if not known.busy:
                        self.schedule(known)
                    continue
                lane = self._lanes[name] = Lane(name, self._reader, requests)
                self.schedule(lane, reloaded=True)

    def _running_low(self) -> list[Priority]:
        """The classes with few ready lanes."""
        low = max(1, LANES_IN_MEMORY_MAX // RELOADED_BELOW)
        return [priority for priority in Priority if self._counts[priority] < low]


def _class_of(lane: Lane, entry: OutboxEntry) -> Priority:
    """The class of a lane's next request. A plain update has that of a release or cancellation which waits behind it.

    A create has not: its order would pass the orders of others by an update.
    """
    if lane.is_redriven:
        return Priority.BACKGROUND
    priority = Priority.HOLD if entry.request.hold else KINDS[entry.request.touchpoint].priority
    return min(priority, lane.urgency()) if priority is Priority.UPDATE and len(lane.requests) > 1 else priority
