"""Stories of orders, returns and manifests: of one for its page, of many for a list."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.api.journal.frame import reading
from gateway.api.journal.rates import rates_of
from gateway.http.answers import Refused
from gateway.ports import Clock, Lags, RoleLag
from journal.queries.reader import JournalReader
from journal.queries.stories import Surroundings, lives_of, positions_of, rows_of
from journal.story.rows import UNKNOWN, Lag
from journal.story.story import Story, story
from journal.tables.base import without_nul
from topics.api.journal.story import StoryDocument
from topics.configuration.channels import Channels

_WORD: Final = re.compile(r"_(\w)")


@dataclass(frozen=True, slots=True)
class Now:
    """The surroundings of stories, and how far roles are behind."""

    around: Surroundings
    lag: RoleLag | None

    @property
    def journal_behind_ms(self) -> int | None:
        """How far the journal is behind; None: not known."""
        if self.lag is None:
            return None
        since_ms = self.lag.journal_since_ms
        return 0 if since_ms is None else max(0, self.around.now_ms - since_ms)

    def orders_behind(self, partition: int) -> int | None:
        """Commands of a partition that are not decided; None: not known."""
        behind = None if self.lag is None else self.lag.orders.get(partition)
        return None if behind is None else behind.records


class Stories:
    """Tells stories from the journal, and from what Kafka says of the orders role."""

    def __init__(self, channels: Channels, journal: JournalReader, lags: Lags, now_ms: Clock, partitions: int) -> None:
        self._journal = journal
        self._lags = lags
        self._now_ms = now_ms
        self._partitions = partitions
        self._rates = rates_of(channels)

    async def now(self, connection: AsyncConnection) -> Now:
        """The surroundings of stories that are told now."""
        lag = await self._lags.look(await positions_of(connection))
        lags = {} if lag is None else {one.partition: _lag_of(one) for one in lag.orders.values() if one.records}
        around = Surroundings(now_ms=self._now_ms(), partitions=self._partitions, rates=self._rates, lags=lags)
        return Now(around, lag)

    async def of(self, connection: AsyncConnection, keys: Sequence[str], now: Now) -> dict[str, Story]:
        """The stories of these orders, returns and manifests."""
        lives = await lives_of(connection, keys, now.around)
        rows = await rows_of(connection, lives, now.around)
        return {key: story(found, now.around.now_ms) for key, found in rows.items()}

    async def document(self, key: bytes) -> StoryDocument:
        """The story of one. Raises Refused while the journal cannot be read."""
        async with reading(self._journal) as connection:
            now = await self.now(connection)
            (told,) = (await self.of(connection, [without_nul(key.decode())], now)).values()
        return document_of(told, now)

    async def document_if_any(self, key: bytes) -> dict[str, Any] | None:
        """The story of one, to stand beside what Kafka says of it; None: the journal cannot be read now."""
        try:
            return (await self.document(key)).model_dump()
        except Refused:
            return None


def is_unknown(told: StoryDocument) -> bool:
    """Whether nothing is there of which there is anything to say but refused calls."""
    return told.state == UNKNOWN and told.wait is None


def document_of(told: Story, now: Now) -> StoryDocument:
    """The document of a story: its members in the API's spelling."""
    members = _spelled(told)
    partition = now.around.partition_of(told.key)
    return StoryDocument(
        **members,
        toldAtMs=now.around.now_ms,
        journalBehindMs=now.journal_behind_ms,
        ordersBehind=now.orders_behind(partition),
    )


def _lag_of(behind: Any) -> Lag:
    return Lag(
        partition=behind.partition,
        next_offset=behind.first,
        end_offset=behind.end,
        oldest_ms=behind.since_ms or 0,
    )


def _spelled(value: Any) -> Any:
    """Structs as objects whose members are spelled as the API does: `since_ms` is `sinceMs`."""
    names = getattr(value, "__struct_fields__", None)
    if names is not None:
        return {_WORD.sub(lambda part: part[1].upper(), name): _spelled(getattr(value, name)) for name in names}
    if isinstance(value, tuple | list):
        return [_spelled(one) for one in value]
    if isinstance(value, Mapping):
        return {name: _spelled(one) for name, one in value.items()}
    return value
