"""The lanes of one runner: which are ready, which wait for a time, and which wait on local disk.

In memory are at most LANES_IN_MEMORY_MAX of each class that are ready, and as many that wait for a time; each has its
own room, so a backlog keeps neither another class nor a first attempt waiting. What has no room is parked on disk, and
comes back in the order of the times when it is due; what is due later than the first of its class there is parked
behind it, so that nobody passes it as long as more comes. Lanes with relays are never parked: somebody waits for them.
"""

from __future__ import annotations

from collections.abc import Callable

from streams.delivery.admission.admission import Admission
from streams.delivery.clock import NEVER
from streams.delivery.lanes.lane import DECODED_MAX, Expire, Lane, OutboxReader, Send, mark_of
from streams.delivery.lanes.ready_queue import CallTurn, Choice, LaneTurn, Waiting
from streams.delivery.lanes.spilled import SpilledLanes
from streams.delivery.outbox.records import OutboxEntry
from streams.runtime.role import Table
from topics.contract.definition import Priority
from topics.subscriptions.model import KINDS

RELAY_WEIGHT = 1.0
"""Within its class a relay goes before notifications: somebody waits for it."""
LANES_IN_MEMORY_MAX = 10_000
"""Of each class, some 5 MB: more than are ready while a far side keeps up, so that these never touch the disk."""
UNPARKED_BELOW = 20
"""Lanes of a class are brought back when fewer than 1/20 of those that have room are ready, half as many at once: some
5 ms of the event loop, and nothing waits for it."""
_WAITING = -1
"""The place of a lane that waits for a time."""


class LaneSet:
    """`expire` ends a relay whose caller is gone, as its lane's next step; `withdraw` one behind a request in the air;
    `wake` tells that something may be ready."""

    def __init__(
        self,
        outbox: Table,
        parked: SpilledLanes,
        now_ms: Callable[[], int],
        *,
        expire: Callable[[Lane, OutboxEntry], None],
        withdraw: Callable[[OutboxEntry], None],
        wake: Callable[[], None],
    ) -> None:
        self._requests = OutboxReader(outbox)
        self._parked = parked
        self._now_ms = now_ms
        self._expire = expire
        self._withdraw = withdraw
        self._wake = wake
        self._lanes: dict[str, Lane] = {}
        self._waiting = Waiting()
        self._counts = dict.fromkeys((*map(int, Priority), _WAITING), 0)
        self._over = False
        self.blocked_changes = 0
        """Grows whenever a lane is blocked, or no longer is."""

    def __len__(self) -> int:
        return len(self._lanes) + self._parked.count

    @property
    def oldest_ms(self) -> int | None:
        """Since when the oldest first request waits, None without any."""
        known = min((lane.since_ms for lane in self._lanes.values()), default=NEVER)
        parked = self._parked.oldest_ms()
        oldest = known if parked is None else min(known, parked)
        return None if oldest == NEVER else oldest

    def blocked(self, at_most: int) -> tuple[int, list[OutboxEntry]]:
        """How many lanes wait for an operator, and some of the requests that hold them."""
        here = [(lane.name, lane.blocked_by) for lane in self._lanes.values() if lane.blocked_by]
        number, parked = self._parked.undue(at_most)
        found = (self._requests.read(*one) for one in [*here, *parked][:at_most])
        return len(here) + number, [entry for entry in found if entry is not None]

    def is_empty(self, name: str) -> bool:
        return name not in self._lanes and not self._parked.has(name)

    def close(self) -> None:
        """Nothing is scheduled any more."""
        self._over = True
        self._parked.drop()

    # What comes and goes

    def put(self, entry: OutboxEntry) -> None:
        """A request came, or an operator gave one a fresh schedule."""
        if self._over:
            return
        name, relay = entry.request.lane, entry.request.relay
        lane = self._lanes.get(name)
        is_here = lane is not None
        if lane is None:
            # Behind others nothing changes for a lane; a request that was tried is no new one.
            if self._parked.count and not relay and not entry.attempts and self._append(entry):
                return
            lane = self._take_in(name)
        is_first = lane.put(entry)
        if lane.busy and relay:
            self._waiting.put_timed(LaneTurn(lane, lane.ticket), lane.next_expiry_ms())
            self._wake()
        elif not lane.busy and (is_first or relay or not is_here or lane.holds_up(entry)):
            self.schedule(lane)

    def remove(self, name: str, request_id: str) -> None:
        """A request left by another way than being sent."""
        if self._over:
            return
        lane = self._lanes.get(name)
        if lane is None and self._parked.has(name):
            lane = self._take_in(name)
        if lane is not None:
            lane.remove(request_id)
            if not lane.busy:
                self.schedule(lane)

    def put_call(self, turn: CallTurn) -> None:
        self._waiting.put(turn, turn.priority, turn.due_ms, turn.weight)
        self._wake()

    def _append(self, entry: OutboxEntry) -> bool:
        """What comes behind others on disk stays there, unless they are redriven and it is not."""
        request = entry.request
        unless = None if request.redriven else Priority.REDRIVE
        return self._parked.append(request.lane, request.id, mark_of(entry), unless=unless)

    def _take_in(self, name: str) -> Lane:
        lane = self._lanes[name] = Lane(name, self._requests, self._parked.take(name))
        return lane

    # What is next

    def begin(self, lane: Lane, entry: OutboxEntry) -> None:
        """A request of the lane is in the air from here on."""
        self._leave(lane)
        lane.busy = True
        lane.in_air = entry.request.id

    def schedule(self, lane: Lane, *, comes_back: bool = False) -> None:
        """Ask the lane for its step, and queue it where it belongs. `comes_back`: from disk, where it was the first."""
        lane.ticket += 1
        lane.busy = False
        self._leave(lane)
        first = lane.first
        if first is None:
            self._lanes.pop(lane.name, None)
        if self._over or first is None:
            return
        lane.since_ms = first.queued_ms
        blocked_by = first.request.id if first.held else ""
        if blocked_by != lane.blocked_by:
            lane.blocked_by = blocked_by
            self.blocked_changes += 1
        step = lane.next_step(self._now_ms())
        if isinstance(step, Expire):
            self._expire(lane, step.entry)
        elif isinstance(step, Send):
            self._make_ready(lane, step.entry, comes_back=comes_back)
        elif self._has_room(lane, _WAITING):
            self._enter(lane, _WAITING)
            self._waiting.put_timed(LaneTurn(lane, lane.ticket), step.until_ms)
            lane.rest()
        else:
            self._park(lane, _class_of(lane, first), NEVER if step.until_ms is None else step.until_ms)
        self._wake()

    def choose(self, admission: Admission, now_ms: int) -> Choice:
        """Whose turn it is; it stays until it is taken."""
        return self._waiting.choose(admission, now_ms)

    def take(self) -> None:
        """Take whose turn it was a moment ago; nothing happened in between."""
        self._waiting.take()

    def take_due(self, now_ms: int) -> None:
        """What waited for a time that has come is ready, or withdrawn; what is parked comes back as there is room."""
        for turn in self._waiting.take_due(now_ms):
            if turn.lane.busy:
                self._withdraw_overdue(turn, now_ms)
            else:
                self.schedule(turn.lane)
        if self._parked.count:
            self._unpark(now_ms)

    def next_ms(self) -> float:
        """When the next time comes."""
        known = self._waiting.next_ms()
        if self._parked.count:
            known = min([known, *map(self._parked.next_due_ms, self._running_low())])
        return known

    def _make_ready(self, lane: Lane, entry: OutboxEntry, *, comes_back: bool) -> None:
        request = entry.request
        priority, due_ms = _class_of(lane, entry), max(entry.next_ms, entry.queued_ms)
        since_ms = min(due_ms, self._now_ms())  # it is due, whatever the clock says of whoever wrote it
        if not self._has_room(lane, priority) or not (comes_back or self._is_first(lane, priority, since_ms)):
            self._park(lane, priority, since_ms)
            return
        turn = LaneTurn(lane, lane.ticket, request.touchpoint, redriven=priority is Priority.REDRIVE)
        self._enter(lane, priority)
        self._waiting.put(turn, priority, due_ms, RELAY_WEIGHT if request.relay else 0.0)
        # It may wait long for a permit or the gate; its relays are still withdrawn in time.
        self._waiting.put_timed(turn, lane.next_expiry_ms())
        if self._requests.decoded > DECODED_MAX:
            lane.rest()

    def _withdraw_overdue(self, turn: LaneTurn, now_ms: int) -> None:
        """Callers do not wait for a slow request before theirs. After a crash the lane withdraws them again."""
        for entry in turn.lane.overdue(now_ms):
            turn.lane.remove(entry.request.id)
            self._withdraw(entry)
        self._waiting.put_timed(turn, turn.lane.next_expiry_ms())

    # What is where

    def _has_room(self, lane: Lane, place: int) -> bool:
        return bool(lane.relays) or self._counts[place] < LANES_IN_MEMORY_MAX

    def _is_first(self, lane: Lane, priority: Priority, due_ms: int) -> bool:
        """Whether nothing of its class on disk is due before it."""
        return not self._parked.count or bool(lane.relays) or self._parked.next_due_ms(priority) >= due_ms

    def _enter(self, lane: Lane, place: int) -> None:
        lane.place = place
        self._counts[place] += 1

    def _leave(self, lane: Lane) -> None:
        if lane.place is not None:
            self._counts[lane.place] -= 1
            lane.place = None

    def _park(self, lane: Lane, priority: Priority, due_ms: int) -> None:
        del self._lanes[lane.name]
        lane.rest()
        self._parked.park(lane.name, lane.requests, priority, due_ms, lane.since_ms)

    def _unpark(self, now_ms: int) -> None:
        at_once = max(1, LANES_IN_MEMORY_MAX // UNPARKED_BELOW // 2)
        for priority in self._running_low():
            for name, requests in self._parked.take_due(priority, now_ms, at_once):
                lane = self._lanes[name] = Lane(name, self._requests, requests)
                self.schedule(lane, comes_back=True)

    def _running_low(self) -> list[Priority]:
        """The classes of which few lanes are ready."""
        low = max(1, LANES_IN_MEMORY_MAX // UNPARKED_BELOW)
        return [priority for priority in Priority if self._counts[priority] < low]


def _class_of(lane: Lane, entry: OutboxEntry) -> Priority:
    return Priority.REDRIVE if lane.is_redriven else KINDS[entry.request.touchpoint].priority
