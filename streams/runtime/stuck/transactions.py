"""Open transactions on a source topic: what is behind one waits until its producer ends it, or Kafka does.

That is right for a moment, and an outage of the partition when the transaction hangs; so one that lasts is named.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

log = logging.getLogger(__name__)

OPEN_TRANSACTION_S = 15.0
"""An open transaction that has held a partition up for so long is reported. Producers end theirs within seconds; Kafka
ends one that was left after its producer's `transaction.timeout.ms`, a minute by default."""


class OpenTransactions:
    """Those that hold partitions of one topic up."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._since: dict[int, tuple[int, float]] = {}
        """By partition, the offset at which reading ends and when that was first seen."""
        self._reported: set[tuple[int, int]] = set()

    def observe(self, held_at: Mapping[int, int], now_s: float) -> None:
        """`held_at`: by partition, the offset behind which a transaction hides records."""
        for partition in self._since.keys() - held_at.keys():
            del self._since[partition]
        for partition, offset in held_at.items():
            if self._since.get(partition, (None, 0.0))[0] != offset:
                self._since[partition] = offset, now_s
        lasting = {
            (partition, offset)
            for partition, (offset, since_s) in self._since.items()
            if now_s - since_s >= OPEN_TRANSACTION_S
        }
        for partition, offset in sorted(lasting - self._reported):
            log.error("%s", self._sentence(partition, offset))
        self._reported = lasting

    def warnings(self) -> list[str]:
        return [self._sentence(partition, offset) for partition, offset in sorted(self._reported)]

    def _sentence(self, partition: int, offset: int) -> str:
        return (
            f"{self._source}/{partition}: a transaction is open at offset {offset}, and what is behind it waits; find"
            " its producer with kafka-transactions.sh find-hanging, and end it with abort"
        )
