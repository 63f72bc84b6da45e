"""Put on PYTHONPATH, this makes the roles of `sluice up` die by SIGKILL at a named step of a group commit.

The file that SLUICE_TEST_CRASH names says when: `<role> <step> <n>`, the n-th group of that role that passes the step;
with a topic behind it, only groups count that publish to that topic; with `@<offset>`, only those that finish the
record at that source offset.
The process takes the file away before it dies, so it dies once.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

from streams.runtime.durability.group import Group
from streams.runtime.durability.group_commit import GroupCommit

ARMED = Path(os.environ["SLUICE_TEST_CRASH"])
Step = Callable[[GroupCommit, Group], Awaitable[None]]


def dying(step: str) -> Step:
    passed = 0

    async def die_when_armed(commit: GroupCommit, group: Group) -> None:
        nonlocal passed
        if not ARMED.exists() or group.is_empty():
            return
        words = ARMED.read_text().split()
        if len(words) < 3:
            return  # it is being written at this moment
        role, armed_step, count, *only = words
        if armed_step != step or not commit._publisher._client_id.startswith(role):
            return
        offsets = [int(word[1:]) for word in only if word.startswith("@")]
        if offsets and not any(last >= offset for _, last in group.chunks for offset in offsets):
            return
        topics = [word for word in only if not word.startswith("@")]
        if topics and not any(topic in topics for topic, _ in group.effects):
            return
        passed += 1
        if passed >= int(count):
            ARMED.unlink()
            os.kill(os.getpid(), signal.SIGKILL)

    return die_when_armed


for name in ("before_effects", "between_effects_and_state", "between_state_and_offsets"):
    setattr(GroupCommit, name, dying(name))
