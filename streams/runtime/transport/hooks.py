"""Calls of the transport to the worker that it belongs to."""

from __future__ import annotations

from typing import Protocol

from streams.runtime.durability.offset_ledger import OffsetLedger
from streams.runtime.stuck.held_up import HeldUp
from topics.configuration.settings import Settings


class Hooks(Protocol):
    """The worker's methods that the transport calls, in the main thread's event loop unless they say otherwise."""

    settings: Settings
    ledger: OffsetLedger
    assignments: int
    """Counts revocations: records fetched under another count are not handed out."""
    failed: bool
    held_up: HeldUp

    def may_read(self) -> bool:
        """False from the beginning of a rebalance until reading is resumed, and once the worker is draining."""

    def ending(self) -> bool:
        """The worker drains, or has failed."""

    def resumed(self, assignments: int) -> None:
        """The partitions are read from their committed offsets. Ignored when another rebalance came meanwhile."""

    def revoking(self) -> None:
        """A rebalance begins: nothing new is decided from here on."""

    async def drained(self) -> None:
        """Returns when everything decided so far is durable."""

    def joined(self, member: str) -> None:
        """This worker is in the group, as the member with this id."""

    def assigned(self, partitions: set[int], generation: int) -> None:
        """The new assignment of source partitions."""

    async def recover(self) -> None:
        """Makes the tables of newly assigned partitions ready."""

    def committed(self, offsets: dict[int, int]) -> None:
        """These offsets are committed: nothing below them is read again."""

    def heartbeat(self, sent_at: float) -> None:
        """The group's coordinator has confirmed this worker's membership (called in the consumer's thread).

        `sent_at` (monotonic) is when it was asked: a worker that stood still before it heard the answer must not take
        that for news.
        """
