"""Put on PYTHONPATH, this makes a journal process die by SIGKILL at a named step of its loop.

The file that SLUICE_TEST_CRASH names says when: `<step> <n>`, the n-th time that the process passes the step. It takes
the file away before it dies, so it dies once.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

from journal.store.writing import Writer
from streams.journal.follower import Follower

ARMED = Path(os.environ["SLUICE_TEST_CRASH"])
STEPS: tuple[tuple[type, str], ...] = (
    (Writer, "before_transaction"),
    (Writer, "between_rows_and_offsets"),
    (Writer, "before_commit"),
    (Writer, "after_commit"),
    (Follower, "before_hint"),
)


def dying(step: str) -> Callable[[object], Awaitable[None]]:
    passed = 0

    async def die_when_armed(_self: object) -> None:
        nonlocal passed
        try:
            armed_step, count = ARMED.read_text().split()
        except (OSError, ValueError):
            return  # there is none, or it is being written
        if armed_step != step:
            return
        passed += 1
        if passed >= int(count):
            ARMED.unlink()
            os.kill(os.getpid(), signal.SIGKILL)

    return die_when_armed


for owner, name in STEPS:
    setattr(owner, name, dying(name))
