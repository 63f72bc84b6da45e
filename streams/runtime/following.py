"""Views that a role reads while it decides: they catch up before the first record, and their end ends the process."""

from __future__ import annotations

import asyncio
from typing import Protocol, runtime_checkable

from streams.runtime.role import Committer


@runtime_checkable
class Followed(Protocol):
    """A thing that is kept current by following topics."""

    async def start(self) -> None:
        """Returns at once; `until_ready` waits until all that was there is read."""

    async def until_ready(self) -> None: ...

    async def wait(self) -> None:
        """Returns when it was stopped. Raises the error that ended it before."""

    async def stop(self) -> None: ...

    def unready(self) -> str | None: ...


class Following:
    """Starts, watches and stops the views of a role. Views that follow nothing (an index in a test) are left alone."""

    def __init__(self, *views: object) -> None:
        self._views = tuple(view for view in views if isinstance(view, Followed))
        self._watches: list[asyncio.Task[None]] = []

    async def start(self, committer: Committer) -> None:
        """Returns when all views have caught up: a role that began earlier would decide without their records."""
        for view in self._views:
            await view.start()
        for view in self._views:
            await view.until_ready()
            self._watches.append(asyncio.create_task(self._end(view, committer), name=type(view).__name__))

    async def stop(self) -> None:
        for watch in self._watches:
            watch.cancel()
        # A view that had ended raises why; its watch has reported that already.
        await asyncio.gather(*(view.stop() for view in self._views), return_exceptions=True)

    def ready(self) -> str | None:
        return next((said for view in self._views if (said := view.unready()) is not None), None)

    @staticmethod
    async def _end(view: Followed, committer: Committer) -> None:
        try:
            await view.wait()
        except Exception as error:  # noqa: BLE001 - whatever ended it, this process no longer learns of changes
            committer.fail(error)
