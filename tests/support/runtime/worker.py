"""A role to try the streams runtime with, as a process of its own or inside a test.

Records are JSON `{"id": ..., "seq": n}`; per key `seq` counts up from 1. The state per key is `{"n": records decided,
"last": last seq, "missing": gaps seen, "repeated": seqs seen again}`, and every record causes one effect `{"id", "seq",
"n"}` on runtime.out. So state that is exact has n == last and nothing missing or repeated.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from pathlib import Path

import orjson

from streams.runtime.durability.group import Group
from streams.runtime.durability.group_commit import GroupCommit, Step
from streams.runtime.durability.late_writes import LateWrites
from streams.runtime.durability.offset_ledger import OffsetLedger
from streams.runtime.durability.publisher import Publisher
from streams.runtime.limits import Tuning
from streams.runtime.metrics import Metrics
from streams.runtime.role import Effect, Poison, Record, Role, Tables
from streams.runtime.run import run_role
from tests.support.runtime.proxy import go_through
from topics.configuration.settings import Settings
from topics.records.skips import SKIPS

SOURCE, STATE, OUT, REJECTED = "runtime.in", "runtime.state", "runtime.out", "commands.rejected"
TOPICS = (SOURCE, STATE, OUT, REJECTED, SKIPS)
FAST = Tuning(session_timeout_s=6.0, heartbeat_s=0.5, rebalance_timeout_s=15.0, lock_wait_s=1.0, session_grace_s=2.0)
"""Kafka's shortest session, so that a takeover need not be waited for long."""


class CountingRole(Role):
    name = "counting"
    source = SOURCE
    tables = (STATE,)
    has_standby = True

    def decide(self, record: Record, tables: Tables) -> Iterable[Effect]:
        try:
            members = orjson.loads(record.value)
        except orjson.JSONDecodeError as error:
            raise Poison("bad_json", str(error)) from error
        old = tables[STATE].get(record.key)
        state = orjson.loads(old) if old else {"n": 0, "last": 0, "missing": 0, "repeated": 0}
        seq = members["seq"]
        if seq <= state["last"]:
            state["repeated"] += 1
        else:
            state["missing"] += seq - state["last"] - 1
            state["last"] = seq
        state["n"] += 1
        tables[STATE].put(record.key, orjson.dumps(state))
        mended = os.environ.get("RAISE_UNLESS")
        if mended and record.key.startswith(b"raise") and not Path(mended).exists():
            raise RuntimeError("not mended yet")
        if members.get("raise"):
            raise RuntimeError("told to raise after its puts")
        effect = {"id": members["id"], "seq": seq, "n": state["n"], "fill": "x" * members.get("effect_bytes", 0)}
        return [Effect(os.environ.get("OUT_TOPIC", OUT), record.key, orjson.dumps(effect), partition=record.partition)]


CRASH_POINTS = (
    "before_effects",
    "between_effects_and_state",
    "behind_effects_of_the_next",
    "between_state_and_offsets",
    "after",
)


class CrashingCommit(GroupCommit):
    """Kills its own process at the point and group that CRASH_AT (`point:group`) names; only tests use it."""

    _passed = 0
    _held: Group | None = None
    """Its state does not leave before the next group's effects have."""

    def _is_at(self, point: str, group: Group) -> bool:
        wanted, _, number = os.environ["CRASH_AT"].partition(":")
        if not group.chunks or wanted != point:
            return False
        self._passed += 1
        return self._passed >= int(number)

    def _kill_at(self, point: str, group: Group) -> None:
        if self._is_at(point, group):
            os.kill(os.getpid(), signal.SIGKILL)

    async def before_effects(self, group: Group) -> None:
        if self._finishing is not None and not os.environ["CRASH_AT"].startswith("behind_effects_of_the_next:"):
            await self._finishing  # one group at a time: what had become of the others is known
        self._kill_at("before_effects", group)

    async def between_effects_and_state(self, group: Group) -> None:
        self._kill_at("between_effects_and_state", group)
        if self._is_at("behind_effects_of_the_next", group):
            self._held = group
            await asyncio.Event().wait()

    async def _send(self, step: Step) -> int:
        sent = await super()._send(step)
        if self._held is not None and step is self._in_flight[-1].effects:
            os.kill(os.getpid(), signal.SIGKILL)
        return sent

    async def between_state_and_offsets(self, group: Group) -> None:
        self._kill_at("between_state_and_offsets", group)

    async def _finish(self, group: Group, started: float, effects: int) -> None:
        await super()._finish(group, started, effects)
        self._kill_at("after", group)


def _parts(group: Group) -> tuple[tuple[Step, str], ...]:
    return (group.effects, "in_effects"), (group.marks, "in_state")


STOP_POINTS = (
    "before_effects",
    "in_effects",
    "between_effects_and_state",
    "in_state",
    "in_both",
    "between_state_and_offsets",
)
"""`in_` means past the check of the lease: what the step writes is written when the process goes on. `in_both`: in the
state of a group and in the effects of the next."""


class StoppingCommit(GroupCommit):
    """Stops its own process (SIGSTOP) at the point and group that STOP_AT (`point:group`) names; only tests use it."""

    def __init__(
        self,
        publisher: Publisher,
        ledger: OffsetLedger,
        metrics: Metrics,
        fail: Callable[[BaseException], None],
        lease: Callable[[], Awaitable[None]],
        late: LateWrites,
    ) -> None:
        self._point, _, number = os.environ["STOP_AT"].partition(":")
        self._groups_left = int(number)
        self._sending = ""
        self._beside = asyncio.Event()

        async def stopping_lease() -> None:
            await lease()
            if self._sending == "in_effects" and len(self._in_flight) > 1:
                self._beside.set()
            self._stop("in_both" if self._beside.is_set() and self._sending == "in_state" else self._sending)

        super().__init__(publisher, ledger, metrics, fail, stopping_lease, late)

    def _stop(self, point: str) -> None:
        if point == self._point and self._groups_left == 0:
            self._groups_left = -1
            os.kill(os.getpid(), signal.SIGSTOP)

    def _both(self) -> bool:
        return self._point == "in_both" and self._groups_left == 0

    async def _send(self, step: Step) -> int:
        # The counting role has one table, which is sent in the last step.
        sending = {id(part): name for one in self._in_flight for part, name in _parts(one)}.get(id(step), "")
        if self._both() and sending == "in_state":
            await self._beside.wait()
        self._sending = sending
        return await super()._send(step)

    async def before_effects(self, group: Group) -> None:
        if self._finishing is not None and not self._both():
            await self._finishing  # one group at a time: only the step that is meant is under way
        if group.chunks and self._groups_left > 0:
            self._groups_left -= 1
        self._stop("before_effects")

    async def between_effects_and_state(self, group: Group) -> None:
        self._stop("between_effects_and_state")

    async def between_state_and_offsets(self, group: Group) -> None:
        self._stop("between_state_and_offsets")


def main() -> int:
    committer: type[GroupCommit] = GroupCommit
    if "CRASH_AT" in os.environ:
        committer = CrashingCommit
    if "STOP_AT" in os.environ:
        committer = StoppingCommit
    if "PROXY_PORT" in os.environ:
        go_through(int(os.environ["PROXY_PORT"]))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    tuning = replace(
        FAST,
        session_timeout_s=float(os.environ.get("SESSION_S", FAST.session_timeout_s)),
        failed_in_a_row_max=int(os.environ.get("FAILED_MAX", FAST.failed_in_a_row_max)),
        pause_retry_s=float(os.environ.get("PAUSE_RETRY_S", FAST.pause_retry_s)),
        audit_s=float(os.environ.get("AUDIT_S", FAST.audit_s)),
    )
    return run_role(CountingRole(), Settings(), tuning=tuning, committer=committer)


if __name__ == "__main__":
    sys.exit(main())
