"""`run_role(role, settings)`: one streams role in this process, unless a worker of its instance name runs already.

Kafka gives the membership of a name to whoever joins last, and ends the one that had it. So a worker looks before it
joins. Two things may be in its way:

- A living process with the same directory for local state: it holds the lock on a file there.
- A member of the group with this name. It is a living worker, or one that died without leaving and whose session runs.
  If the file says that the member was this directory's former worker, that one is dead, because its lock is free: the
  restart joins at once. Else the session has to tell: Kafka drops a dead member when it is over.

Two workers that join in the same instant are not told apart here: the first of them ends, as before.
"""

from __future__ import annotations

import asyncio
import fcntl
import gc
import logging
import os
from contextlib import suppress
from typing import Final

import uvloop
from aiokafka.errors import KafkaError, for_code

from streams.runtime.durability.group_commit import GroupCommit
from streams.runtime.durability.memory import keep_freed_memory
from streams.runtime.limits import GC_THRESHOLDS, Tuning
from streams.runtime.role import Role
from streams.runtime.worker import InstanceTakenError, Worker
from topics.configuration.hang_ups import HangUps
from topics.configuration.private_files import make_private
from topics.configuration.settings import Settings
from topics.kafka import clients
from topics.kafka.start_waits import is_over_before_end

log = logging.getLogger(__name__)

_POLL_S: Final = 0.2
_REQUEST_S: Final = 5.0
_MEMBER_BYTES_MAX: Final = 1_000


class Instance:
    """The instance name of this process. `worker`: the name of its member in the group of the role."""

    def __init__(self, settings: Settings, role: str, tuning: Tuning) -> None:
        self._settings = settings
        self._role = role
        self._worker = f"{role}-{settings.instance}"
        self._group = f"{settings.topic_prefix}.{role}"
        self._tuning = tuning
        self._file: int | None = None

    async def take(self) -> None:
        """Returns when no living worker has the name. Raises InstanceTakenError when one has."""
        cluster = await self._cluster()
        await self._lock(cluster)
        await self._wait_for_the_group(self._former_member())

    def joined(self, member: str) -> None:
        """Notes this worker's member, by which its restart knows it. It is no loss if that cannot be written."""
        if self._file is not None:
            with suppress(OSError):
                os.ftruncate(self._file, 0)
                os.pwrite(self._file, member.encode(), 0)

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    async def _lock(self, cluster: str) -> None:
        """Holds the lock of this name until the process ends. Raises InstanceTakenError."""
        path = self._settings.state_dir / f"{self._group}-{self._settings.instance}.{cluster}.member"
        try:
            make_private(path.parent)
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            log.warning(
                "%s: cannot be written (%s): after a crash this worker waits for its former session to end; "
                "SLUICE_STATE_DIR names the directory",
                path,
                error.strerror,
            )
            return
        deadline = asyncio.get_running_loop().time() + self._tuning.lock_wait_s
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if asyncio.get_running_loop().time() > deadline:
                    os.close(file)
                    raise self._taken(f"on this machine, in {self._settings.state_dir}") from None
            except OSError as error:
                log.warning("%s: cannot be locked (%s)", path, error.strerror)
                os.close(file)
                return
            else:
                self._file = file
                return
            await asyncio.sleep(_POLL_S)

    def _former_member(self) -> str:
        """The member that a former process of this directory was. It is dead: its lock is free."""
        if self._file is None:
            return ""
        with suppress(OSError):
            return os.pread(self._file, _MEMBER_BYTES_MAX, 0).decode(errors="replace")
        return ""

    async def _wait_for_the_group(self, former: str) -> None:
        loop = asyncio.get_running_loop()
        seen_at: float | None = None
        while True:
            try:
                found = await self._members()
            except (KafkaError, OSError, TimeoutError) as error:
                log.info("%s: Kafka does not say who is in the group: %r", self._worker, error)
                seen_at = None  # a coordinator that was away has begun all sessions anew
                await asyncio.sleep(_POLL_S)
                continue
            others = [host for member, host in found if member != former]
            if not others:
                return
            if seen_at is None:
                seen_at = loop.time()
                log.warning(
                    "%s: a worker of this name is in the group, from %s: if it is dead, its session is over in %.0f s",
                    self._worker,
                    others[0],
                    self._tuning.session_timeout_s,
                )
            elif loop.time() > seen_at + self._tuning.session_timeout_s + self._tuning.session_grace_s:
                raise self._taken(f"at {others[0].lstrip('/')}")
            await asyncio.sleep(_POLL_S)

    async def _members(self) -> list[tuple[str, str]]:
        """Id and host of each member of the group that has this worker's name."""
        admin = clients.admin(self._settings, request_timeout_s=_REQUEST_S)
        try:
            await admin.start()
            answer, *_ = await admin.describe_consumer_groups([self._group])
            code, _group, _state, _kind, _protocol, members, *_ = answer.groups[0]
            if code:
                raise for_code(code)
            return [(member, host) for member, client, host, *_ in members if client == self._worker]
        finally:
            await admin.close()

    async def _cluster(self) -> str:
        """The id of the Kafka cluster. Waits until Kafka answers."""
        while True:
            admin = clients.admin(self._settings, request_timeout_s=_REQUEST_S)
            try:
                await admin.start()
                return str((await admin.describe_cluster()).get("cluster_id") or "")
            except (KafkaError, OSError, TimeoutError) as error:
                log.info("%s: Kafka does not answer: %r", self._worker, error)
                await asyncio.sleep(_POLL_S)
            finally:
                await admin.close()

    def _taken(self, where: str) -> InstanceTakenError:
        return InstanceTakenError(
            f"a worker of the {self._role} role with the instance name {self._settings.instance!r} runs {where}: "
            "it goes on, and this one ends. Give each worker a name of its own (--instance or SLUICE_INSTANCE), or end "
            "the other one first"
        )


def run_role(
    role: Role,
    settings: Settings,
    *,
    tuning: Tuning | None = None,
    committer: type[GroupCommit] = GroupCommit,
    hang_ups: HangUps | None = None,
) -> int:
    """Runs the role until SIGTERM or SIGINT. Returns 0 after the drain, EXIT_NOT_DRAINED when that is not complete, and
    EXIT_FAILED when it cannot go on safely. Where something of it does not end, ends the process with that status.

    Raises InstanceTakenError when another worker has its name.
    """
    for noisy in ("faust", "mode"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    keep_freed_memory()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    chosen = tuning or Tuning()

    async def main() -> int:
        (hang_ups or HangUps()).listen(asyncio.get_running_loop().add_signal_handler, role.reload)
        instance = Instance(settings, role.name, chosen)
        try:
            if not await is_over_before_end(instance.take()):
                return 0
            worker = Worker(role, settings, chosen, committer, instance.joined)
            status = await worker.run()
            if worker.has_leftovers:
                os._exit(status)  # else their end would be waited for, which may depend on Kafka
            return status
        finally:
            instance.close()

    return uvloop.run(main())
