"""Jobs that run in the background, one of a kind at a time: this gateway's own last ones, and those of the gateways
that share its port."""

from __future__ import annotations

import asyncio
import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from aiohttp import web
from pydantic import BaseModel

from gateway.api.handler import Act
from gateway.api.waiting import until_found
from gateway.http.answers import Answer, Refused, json_answer
from gateway.http.call import Call
from gateway.ports import Overloaded, Unavailable
from gateway.siblings import Question, Siblings

RUNNING, LIST, SHOW, STOP = "running", "list", "show", "stop"
"""Acts on jobs that a gateway asks of the others of its port."""
ELSEWHERE = "a gateway elsewhere, or one that was restarted since, may have begun it; another one sends nothing twice"
KEPT_MAX = 50
"""Jobs of a kind that a gateway knows, those that ended included."""
ID_BYTES = 6

log = logging.getLogger(__name__)

State = Literal["searching", "sending", "stopping", "done", "stopped", "failed", "refused"]
"""`refused`: nothing was done, because it is not as the preview showed."""


@dataclass(slots=True)
class AnyJob(ABC):
    """`message`: what went wrong, or what it waits for."""

    id: str
    state: State = field(default="searching", kw_only=True)
    stop: asyncio.Event = field(default_factory=asyncio.Event, kw_only=True)
    message: str = field(default="", kw_only=True)

    @property
    def is_over(self) -> bool:
        return self.state in ("done", "stopped", "failed", "refused")

    @abstractmethod
    def document(self) -> BaseModel:
        """The document that /api shows."""

    def as_json(self) -> Any:
        """The document as JSON."""
        return self.document().model_dump(mode="json")

    async def run_to_end(self, work: Awaitable[None], kind: str, again: str) -> None:
        """Does the work. The job says what went wrong, and what to do then: `again`."""
        try:
            await work
            if not self.is_over:
                self.state = "stopped" if self.stop.is_set() else "done"
        except (Unavailable, Overloaded) as error:
            self._failed(str(error), again)
        except Exception as error:
            log.exception("%s.failed id=%s", kind, self.id)
            self._failed(type(error).__name__, again)

    def refuse(self, differs: str) -> None:
        """Ends it before anything was done. `differs`: from what the preview showed."""
        self.state = "refused"
        self.message = f"{differs}; nothing was done: preview again"

    def _failed(self, why: str, again: str) -> None:
        self.state = "failed"
        self.message = f"{why}; {again}: nothing is sent twice"


JobT = TypeVar("JobT", bound=AnyJob)


class Jobs(Generic[JobT]):
    def __init__(self, kind: str, prefix: str, siblings: Siblings) -> None:
        """`kind`: its name in errors; `prefix`: of ids."""
        self._kind = kind
        self._prefix = prefix
        self._siblings = siblings
        siblings.answer(kind, self._answer_sibling)
        self._jobs: dict[str, JobT] = {}
        self._task: asyncio.Task[None] | None = None

    def new_id(self) -> str:
        return f"{self._prefix}_{os.urandom(ID_BYTES).hex()}"

    async def check_idle(self) -> None:
        """Raises Refused while one goes on. A sibling that does not answer has none: two at once send nothing twice."""
        heard = await self._siblings.ask(self._kind, {"act": RUNNING})
        running = self._running() or next(iter(heard.answers), None)  # one may have begun here meanwhile
        if running is not None:
            message = f"{self._kind.capitalize()} {running} is going on"
            raise Refused(409, "BUSY", message, "wait for its end, or stop it")

    def _running(self) -> str | None:
        return next((job.id for job in self._jobs.values() if not job.is_over), None)

    @contextmanager
    def begun(self, job: JobT) -> Iterator[None]:
        """Holds the place of a job while the fact that it begins is written, right after `check_idle`: another that
        asked meanwhile would go on beside it."""
        if job.id in self._jobs:
            raise Refused(409, "USED", "This preview was acted on already", f"see {self._kind} {job.id}")
        self._jobs[job.id] = job
        try:
            yield
        except BaseException:
            del self._jobs[job.id]
            raise

    def start(self, job: JobT, work: Coroutine[Any, Any, None]) -> None:
        """Runs a job that has its place."""
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
        heard = await self._siblings.ask(self._kind, {"act": LIST})
        found = [*self._documents(), *(document for documents in heard.answers for document in documents)]
        found.sort(key=lambda document: document["createdMs"], reverse=True)
        return json_answer({f"{self._kind}s": found})

    async def _show(self, _call: Call, request: web.Request) -> Answer:
        return json_answer(await self._known(request.match_info["id"], SHOW))

    async def _stop(self, _call: Call, request: web.Request) -> Answer:
        """Ends a job. Requests that it has sent go on, and it no longer counts what becomes of them."""
        return json_answer(await self._known(request.match_info["id"], STOP), 202)

    async def _known(self, name: str, act: str) -> Any:
        """The document of a job after the act, wherever it runs. Raises Refused."""
        document = self._after(name, act)
        if document is not None:
            return document
        heard = await self._siblings.ask(self._kind, {"act": act, "id": name})
        if heard.answers:
            return heard.answers[0]
        if heard.silent:
            message = f"Another gateway of this port does not answer now; it may know {self._kind} {name[:40]}"
            raise Refused(503, "UNAVAILABLE", message, "ask again", retry_after_s=1)
        raise Refused(404, "UNKNOWN", f"This gateway knows no {self._kind} {name[:40]}", ELSEWHERE)

    def _after(self, name: str, act: str) -> Any:
        """The document of a job of this process after the act; None: there is no such job here."""
        job = self._jobs.get(name)
        if job is None:
            return None
        if act == STOP:
            job.stop.set()
            if job.state == "sending":
                job.state = "stopping"
        return job.as_json()

    def _documents(self) -> list[Any]:
        return [job.as_json() for job in reversed(self._jobs.values())]

    def _answer_sibling(self, question: Question) -> Any:
        """Answers another process of this port, which has let the caller in."""
        act = question["act"]
        if act == RUNNING:
            return self._running()
        return self._documents() if act == LIST else self._after(question["id"], act)

    async def close(self, _app: web.Application) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
