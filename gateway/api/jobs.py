"""Jobs that run in the background, one of a kind at a time: this gateway's own last ones."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Iterable
from typing import Any, Generic, Protocol, TypeVar

from aiohttp import web

from gateway.api.waiting import until_found
from gateway.http.answers import Refused

KEPT_MAX = 50
"""Jobs of a kind that a gateway knows, those that ended included."""
ID_BYTES = 6


class AnyJob(Protocol):
    """A job: its id, and whether it is over."""

    id: str

    @property
    def is_over(self) -> bool: ...


JobT = TypeVar("JobT", bound=AnyJob)


class Jobs(Generic[JobT]):
    def __init__(self, kind: str, prefix: str) -> None:
        """`kind`: its name in errors; `prefix`: of ids."""
        self._kind = kind
        self._prefix = prefix
        self._jobs: dict[str, JobT] = {}
        self._task: asyncio.Task[None] | None = None

    def new_id(self) -> str:
        return f"{self._prefix}_{os.urandom(ID_BYTES).hex()}"

    def check_idle(self) -> None:
        """Raises Refused while one goes on."""
        running = next((job for job in self._jobs.values() if not job.is_over), None)
        if running is not None:
            message = f"{self._kind.capitalize()} {running.id} is going on"
            raise Refused(409, "BUSY", message, "wait for its end, or stop it")

    def start(self, job: JobT, work: Coroutine[Any, Any, None]) -> None:
        self._jobs[job.id] = job
        while len(self._jobs) > KEPT_MAX:
            del self._jobs[next(iter(self._jobs))]
        self._task = asyncio.create_task(work, name=f"{self._kind} {job.id}")

    async def wait(self, job: JobT, wait_s: float) -> None:
        """Returns when the job is over, or the time is."""
        if wait_s:

            async def look() -> bool | None:
                return True if job.is_over else None

            await until_found(wait_s, look)

    def all(self) -> Iterable[JobT]:
        """The newest first."""
        return reversed(self._jobs.values())

    def known(self, name: str) -> JobT:
        """Raises Refused."""
        job = self._jobs.get(name)
        if job is None:
            raise Refused(404, "UNKNOWN", f"This gateway knows no {self._kind} {name[:40]}")
        return job

    async def close(self, _app: web.Application) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
