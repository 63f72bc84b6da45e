"""The lease: a worker that was stopped or cut off past its session must not write any more.

The group's coordinator confirms a worker with each heartbeat. When it has not done so for a whole session, another
worker may own the partitions.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

LEASE_POLL_S = 0.1
"""How often an overdue confirmation is looked for; heartbeats have a thread of their own, which wakes nobody here."""


class LeaseLostError(RuntimeError):
    """The group's coordinator no longer confirms this worker: another may own its partitions by now."""


class Lease:
    def __init__(self, session_timeout_s: float, owns: Callable[[], bool]) -> None:
        """`owns`: no rebalance is under way."""
        self._session_timeout_s = session_timeout_s
        self._owns = owns
        self._confirmed_at = 0.0

    def confirmed(self, asked_at: float) -> None:
        """The coordinator confirmed what it was asked at this monotonic time. Called in the consumer's thread, too."""
        self._confirmed_at = max(self._confirmed_at, asked_at)

    def silent_s(self) -> float:
        """How long ago the coordinator was asked for what it last confirmed."""
        return time.monotonic() - self._confirmed_at

    def is_over(self) -> bool:
        return self.silent_s() > self._session_timeout_s

    async def for_a_step(self) -> None:
        """Before each step of a group: waits for a confirmation, as publishing would wait for a broker.

        Raises LeaseLostError when a rebalance comes instead: only a restart is safe then.
        """
        while self.is_over():
            if not self._owns():
                raise LeaseLostError(
                    f"no heartbeat was confirmed for {self.silent_s():.0f} s, so the partitions may be another's"
                )
            await asyncio.sleep(LEASE_POLL_S)

    async def for_a_claim(self) -> None:
        """Before a claim: the same wait. A rebalance that comes instead cancels it together with the recovery."""
        while self.is_over():  # noqa: ASYNC110 - see LEASE_POLL_S
            await asyncio.sleep(LEASE_POLL_S)
