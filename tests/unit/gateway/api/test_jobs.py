"""Jobs of a gateway beside others."""

from __future__ import annotations

import asyncio
from typing import Any, cast
from unittest.mock import MagicMock

from gateway.api.jobs import Jobs
from gateway.http.answers import Refused
from gateway.siblings import Heard, Question


class Siblings:
    """Siblings that take their time to say that they have no job."""

    def answer(self, kind: str, answerer: Any) -> None:
        pass

    async def ask(self, _kind: str, _question: Question) -> Heard:
        await asyncio.sleep(0)
        return Heard([], [])


async def test_of_two_calls_at_once_one_begins_a_job() -> None:
    jobs: Jobs[Any] = Jobs("redrive", "rdv", cast("Any", Siblings()))
    begun: list[str] = []

    async def work() -> None:
        await asyncio.sleep(0)

    async def begin(name: str) -> None:
        await jobs.check_idle()
        job = MagicMock(id=name, is_over=False)
        with jobs.begun(job):
            await asyncio.sleep(0)  # the fact that it begins is written
            begun.append(name)
        jobs.start(job, work())

    refused = await asyncio.gather(begin("a"), begin("b"), return_exceptions=True)
    assert begun == ["a"]
    assert [type(one) for one in refused] == [type(None), Refused]
