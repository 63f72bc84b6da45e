"""What waits at a destination: for its turn, or for a time; and whose turn it is."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import count

from streams.delivery.admission.admission import NEVER, Admission
from streams.delivery.lanes.priority import PriorityQueue
from streams.delivery.lanes.turns import CallTurn, LaneTurn, Turn
from topics.contract.touchpoints import Priority
from topics.values import value


@value
class Choice:
    """Whose turn it is; None: nobody's before `until_ms`, as far as is known."""

    turn: Turn | None
    until_ms: float = NEVER


class Waiting:
    """Whatever is ready waits in a priority queue, whatever has a time in a heap, so a hundred thousand lanes that wait
    cost nothing until their time comes."""

    __slots__ = ("_ready", "_serial", "_timed")

    def __init__(self) -> None:
        self._ready: PriorityQueue[Turn] = PriorityQueue()
        self._timed: list[tuple[int, int, LaneTurn]] = []
        self._serial = count()

    def put(self, turn: Turn, priority: Priority, due_ms: int, weight: float) -> None:
        """It is ready since `due_ms`."""
        self._ready.push(turn, priority, due_ms, weight)

    def put_timed(self, turn: LaneTurn, until_ms: int | None) -> None:
        """It has a time, if it has any."""
        if until_ms is not None:
            heapq.heappush(self._timed, (until_ms, next(self._serial), turn))

    def take_due(self, now_ms: int) -> Iterator[LaneTurn]:
        """Those whose time has come."""
        while self._timed and self._timed[0][0] <= now_ms:
            turn = heapq.heappop(self._timed)[2]
            if turn.is_current:
                yield turn

    def next_ms(self) -> float:
        """When the next time comes."""
        while self._timed and not self._timed[0][2].is_current:
            heapq.heappop(self._timed)
        return self._timed[0][0] if self._timed else NEVER

    def choose(self, admission: Admission, now_ms: int) -> Choice:
        """Whose turn it is; it stays until it is taken."""
        turn = self._ready.peek(now_ms, _is_alive)
        if turn is None or not turn.redriven:
            return Choice(turn)
        free_ms = admission.redrive_free_ms(turn.kind, now_ms)
        if free_ms is not None and free_ms <= now_ms:
            return Choice(turn)
        other = self._ready.peek(now_ms, _is_alive, redrive=False)
        return Choice(other, NEVER if free_ms is None else free_ms)

    def take(self) -> None:
        """Take whose turn it was a moment ago; nothing happened in between."""
        self._ready.take()


def _is_alive(turn: Turn) -> bool:
    if isinstance(turn, CallTurn):
        return not turn.answer.done()
    return turn.is_current and not turn.lane.busy
