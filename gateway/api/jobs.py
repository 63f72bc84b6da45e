"""Jobs that run in the background, one of a kind at a time: this gateway's own last ones."""

from __future__ import annotations

import asyncio
import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from aiohttp import web
from pydantic import BaseModel

from gateway.api.handler import Act
from gateway.api.waiting import until_found
from gateway.http.answers import Answer, Refused, json_answer
from gateway.http.call import Call
from gateway.ports import Overloaded, Unavailable

KEPT_MAX = 50
"""Jobs of a kind that a gateway knows, those that ended included."""
ID_BYTES = 6


log = logging.getLogger(__name__)

State = Literal["searching", "sending", "stopping", "done", "stopped", "failed"]


@dataclass(slots=True)
class AnyJob(ABC):
    """`message`: what went wrong, or what it waits for."""

    id: str
    state: State = field(default="searching", kw_only=True)
    stop: asyncio.Event = field(default_factory=asyncio.Event, kw_only=True)
    message: str = field(default="", kw_only=True)

    @property
    def is_over(self) -> bool:
        return self.state in ("done", "stopped", "failed")

    @abstractmethod
    def document(self) -> BaseModel:
        """The document that /api shows."""

    async def run_to_end(self, work: Awaitable[None], kind: str, again: str) -> None:
        """Does the work. The job says what went wrong, and what to do then: `again`."""
        try:
            await work
            self.state = "stopped" if self.stop.is_set() else "done"
        except (Unavailable, Overloaded) as error:
            self._failed(str(error), again)
        except Exception as error:
            log.exception("%s.failed id=%s", kind, self.id)
            self._failed(type(error).__name__, again)

    def _failed(self, why: str, again: str) -> None:
        self.state = "failed"
        self.message = f"{why}; {again}: nothing is sent twice"


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

    def acts(self) -> dict[str, Act]:
        """The handlers that show and stop jobs, by the names of their routes."""
        kind = self._kind
        return {f"list-{kind}s": self._list, f"get-{kind}": self._show, f"stop-{kind}": self._stop}

    async def _list(self, _call: Call, _request: web.Request) -> Answer:
        """The newest first."""
        documents = [job.document().model_dump(mode="json") for job in reversed(self._jobs.values())]
        return json_answer({f"{self._kind}s": documents})

    async def _show(self, _call: Call, request: web.Request) -> Answer:
        return document_of(self._known(request))

    async def _stop(self, _call: Call, request: web.Request) -> Answer:
        """Ends a job. Requests that it has sent go on, and it no longer counts what becomes of them."""
        job = self._known(request)
        job.stop.set()
        if job.state == "sending":
            job.state = "stopping"
        return document_of(job, 202)

    def _known(self, request: web.Request) -> JobT:
        """The job that the path names. Raises Refused."""
        name = request.match_info["id"]
        job = self._jobs.get(name)
        if job is None:
            raise Refused(404, "UNKNOWN", f"This gateway knows no {self._kind} {name[:40]}")
        return job

    async def close(self, _app: web.Application) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])


def document_of(job: AnyJob, status: int = 200) -> Answer:
    return json_answer(job.document().model_dump(mode="json"), status)
