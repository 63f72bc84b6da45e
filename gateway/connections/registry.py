"""Everything that the connections of one server share, and the clock that looks after their deadlines."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import Protocol

from gateway.connections.limits import Limits
from gateway.connections.peers import Counted, Peers
from gateway.connections.refusal import Admission
from gateway.connections.slow_lane import SlowLane
from topics.http_faults import FaultLog, in_words

log = logging.getLogger(__name__)

SWEEPS_TO_FLUSH = 10
"""A connection that was closed and is still there after so many sweeps has an answer that nobody reads: it is cut."""


class Timed(Counted, Protocol):
    """A connection with deadlines."""

    def check(self, now: float) -> None:
        """Ends what has passed its deadline."""

    def stop(self) -> bool:
        """Takes no more requests. Returns whether one is in hand."""

    def stop_waiting(self) -> None:
        """Refuses a request that does not come to its end."""

    def cut_if_closed(self) -> None:
        """Ends a connection that was to close after its answer had left, and whose client does not read."""


class Registry:
    """`watched`: connections that wait for something with a deadline; `ended`: those that the server ended, by reason;
    `surplus`: those beyond the limit that are heard all the same."""

    def __init__(self, limits: Limits, faults: FaultLog, admission: Admission | None = None) -> None:
        self.limits = limits
        self.faults = faults
        self.admission = admission
        self.peers = Peers(limits)
        self.open: dict[Timed, None] = {}
        self.watched: dict[Timed, None] = {}
        self.surplus: dict[Timed, None] = {}
        self.ended: Counter[str] = Counter()
        self.held_bytes = 0
        self.slow_lane = SlowLane()
        self.stopping = False
        self._sweeps = 0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Looks after deadlines until `stop`."""
        self._timer = asyncio.get_running_loop().call_later(self.limits.sweep_s, self._sweep)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.slow_lane.close()

    def _sweep(self) -> None:
        now = asyncio.get_running_loop().time()
        for connection in list(self.watched):
            try:
                connection.check(now)
            except Exception as error:  # noqa: BLE001 - the deadlines of all others must go on
                log.error("a deadline of a connection could not be looked at: %s", in_words(error))  # noqa: TRY400
                self.watched.pop(connection, None)
        self._sweeps += 1
        if self._sweeps % SWEEPS_TO_FLUSH == 0:
            for connection in list(self.open):
                connection.cut_if_closed()
        self.start()
