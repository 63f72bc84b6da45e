"""Requests on Kafka that wait for their answers, and the fate of other answers. No I/O.

A late answer is not lost: a success is kept for the next attempt of the same delivery, which uses it instead of sending
the request again. Any other late answer is dropped, because the next attempt may have a better one.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

from streams.delivery.ports import Answer

OVERDUE_MAX = 10_000
"""Deliveries whose late answers are kept: far more than one worker has waiting for a repeat after a channel's outage,
at some 200 bytes each. One beyond is sent again, which is always right."""
LATE_BYTES_MAX = 32 << 20
"""Bytes of late answers until their next attempts: several of the largest."""

Name = tuple[str, str]
"""(channel, delivery id): with the channel in it, a channel cannot answer another's request."""


class Fate(StrEnum):
    """Fate of an answer (label of sluice_delivery_kafka_answers_total)."""

    TAKEN = "taken"
    LATE = "late"
    UNEXPECTED = "unexpected"
    NAMELESS = "nameless"


class AlreadyPendingError(RuntimeError):
    """Two deliveries of one channel have the same id."""


class PendingReplies:
    """The requests of this worker, by channel and delivery id."""

    def __init__(self) -> None:
        self._futures: dict[Name, asyncio.Future[Answer]] = {}
        self._overdue: OrderedDict[Name, Answer | None] = OrderedDict()
        self._late_bytes = 0

    @contextmanager
    def expect(self, name: Name) -> Iterator[asyncio.Future[Answer]]:
        """Wait for the answer of a request. Raises AlreadyPendingError."""
        if name in self._futures:
            raise AlreadyPendingError(f"a request with the id {name[1]} is already out")
        self._forget(name)
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._futures[name] = future
        try:
            yield future
        finally:
            del self._futures[name]

    def give_up(self, name: Name) -> None:
        """End the attempt without an answer; a late one may still come."""
        self._forget(name)
        self._overdue[name] = None
        if len(self._overdue) > OVERDUE_MAX:
            self._forget(next(iter(self._overdue)))

    def pop_late(self, name: Name) -> Answer | None:
        """The late answer to an earlier attempt; it is returned once."""
        found = self._overdue.get(name)
        if found is not None:
            self._forget(name)
        return found

    def is_expected(self, name: Name) -> bool:
        """Whether a request waits for this answer, or could use it late."""
        return name in self._futures or self._overdue.get(name, ...) is None

    def accept_reply(self, name: Name, answer: Answer) -> Fate:
        """Give an answer to its request, or keep it as late."""
        future = self._futures.get(name)
        if future is not None and not future.done():
            future.set_result(answer)
            return Fate.TAKEN
        if self._overdue.get(name, ...) is not None:  # not expected, or there already
            return Fate.UNEXPECTED
        if answer.status is None or not 200 <= answer.status < 300 or answer.error:
            return Fate.UNEXPECTED
        self._overdue[name] = answer
        self._late_bytes += len(answer.body)
        for kept in [one for one, late in self._overdue.items() if late is not None]:
            if self._late_bytes <= LATE_BYTES_MAX:
                break
            self._forget(kept)
        return Fate.LATE

    def _forget(self, name: Name) -> None:
        answer = self._overdue.pop(name, None)
        if answer is not None:
            self._late_bytes -= len(answer.body)
