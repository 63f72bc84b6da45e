"""The clock of admission: begins the windows of the limit, says what was refused, and gives memory back afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from prometheus_client.core import Metric

from gateway.admission.calls import Calls
from gateway.admission.limiter import WINDOW_S
from gateway.admission.loop_lag import PERIOD_S, LoopLag
from gateway.admission.memory import Memory
from gateway.http.access_log import AccessLog
from gateway.http.metrics import Metrics
from topics.logs.catalogue import OVERLOADED
from topics.metrics import made

REPORT_S = 1.0
"""Refusals of a channel are logged as one line in this time: a line for each would cost as much as an answer."""

BUSY_SHARE = 0.25
"""With so much of the limit in use, a pause to give memory back would be felt."""


class Overload:
    """Start it in the event loop. `lag`: the lateness of that loop."""

    def __init__(self, calls: Calls, metrics: Metrics, access_log: AccessLog) -> None:
        self._calls = calls
        self._access_log = access_log
        self._window_began = 0.0
        self._report_at = 0.0
        self._told: dict[tuple[str, str], int] = {}
        self._memory = Memory()
        self.lag = LoopLag(self._turn)
        metrics.more = self._metrics

    def start(self) -> None:
        self._window_began = asyncio.get_running_loop().time()
        self.lag.start()

    def stop(self) -> None:
        self.lag.stop()

    def _turn(self, now: float) -> None:
        self._calls.standstill.beat()
        if now - self._window_began >= WINDOW_S - PERIOD_S / 2:
            self._calls.adjust(now, now - self._window_began)
            self._window_began = now
        if now >= self._report_at:
            self._report_at = now + REPORT_S
            self._report()
            shares = self._calls.shares
            self._memory.look(now, busy=shares.contended or shares.held > BUSY_SHARE * shares.limit)

    def _report(self) -> None:
        for (channel, reason), count in self._calls.refusals.items():
            key = channel, reason.name.lower()
            new = count - self._told.get(key, 0)
            if new:
                self._told[key] = count
                self._access_log.line(OVERLOADED, {"channel": channel, "reason": key[1], "requests": new})

    def _metrics(self) -> Iterator[Metric]:
        calls = self._calls
        held = made.gauge_family("sluice_gateway_calls_in_hand")
        for party in {*calls.shares.active, calls.others}:
            held.add_metric([party.name], party.held + party.claims)
        yield held
        yield made.gauge_family("sluice_gateway_calls_limit", calls.shares.limit)
        yield made.gauge_family("sluice_gateway_relays_waiting", calls.relays.held)
        refused = made.counter_family("sluice_gateway_refused_total")
        for (channel, reason), count in calls.refusals.items():
            refused.add_metric([channel, reason.name.lower()], count)
        yield refused
        yield made.counter_family("sluice_gateway_standstills_total", calls.standstill.count)
        yield made.counter_family("sluice_gateway_stood_still_refused_total", calls.standstill.refused)
        yield made.counter_family("sluice_gateway_loop_late_seconds_total", self.lag.total_s)
        yield made.counter_family("sluice_gateway_memory_trims_total", self._memory.trims)
