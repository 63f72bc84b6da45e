"""A view that a role decides by: it is caught up before the first record, and the process ends when it does."""

from __future__ import annotations

import asyncio

from streams.runtime.role import Committer
from topics.subscription_view import SubscriptionIndex, SubscriptionView


class Following:
    """Follows the subscriptions for a role; an index that follows nothing is left as it is."""

    def __init__(self, index: SubscriptionIndex) -> None:
        self._view = index if isinstance(index, SubscriptionView) else None
        self._watch: asyncio.Task[None] | None = None

    async def start(self, committer: Committer) -> None:
        """Returns when all that was there counts: a role that began earlier would miss subscribers."""
        if self._view is not None:
            await self._view.start()
            await self._view.until_ready()
            self._watch = asyncio.create_task(self._end(self._view, committer), name="subscriptions")

    async def stop(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
        if self._view is not None:
            await self._view.stop()

    def ready(self) -> str | None:
        return self._view.unready() if self._view is not None else None

    @staticmethod
    async def _end(view: SubscriptionView, committer: Committer) -> None:
        try:
            await view.wait()
        except Exception as error:  # noqa: BLE001 - whatever ended it, what this process knows grows old
            committer.fail(error)
