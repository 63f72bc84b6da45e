"""Tells what of that which the Kafka client and Faust log of themselves is worth a line.

They log each try while a broker is away or a partition has no leader yet, several times a second for each reader.
"""

from __future__ import annotations

import logging
import threading
from typing import Final

from topics.logs.brokers import BROKERS, Brokers

PASSING: Final = (
    # aiokafka.client
    'Unable connect to "%s:%s": %s',
    'Unable to request metadata from "%s:%s": %s',
    "Unable to request metadata from node with id %s: %r",
    "Unable to update metadata from %s",
    "Unable connect to node with id %s: %s",
    # aiokafka.cluster
    "No broker metadata found in MetadataResponse -- ignoring.",
    "Topic %s is not available during auto-create initialization",
    "Topic %s not found in cluster metadata",
    "Error fetching metadata for topic %s: %s",
    # aiokafka.consumer.fetcher
    "Failed fetch messages from %s: %s",
    "Failed fetch offsets from %s: %s",
    "Unexpected error while fetching data: %s",
    # aiokafka.consumer.group_coordinator
    "Error sending %s to node %s [%s] -- marking coordinator dead",
    "Marking the coordinator dead (node %s)for group %s.",
    "Group Coordinator Request failed: %s",
    "Heartbeat session expired - marking coordinator dead",
    "Heartbeat send request failed: %s. Will retry.",
    "Heartbeat failed for group %s: coordinator (node %s) is either not started or not valid",
    "Heartbeat failed for group %s because it is rebalancing",
    "LeaveGroup request failed: %s",
    "OffsetCommit failed before join, ignoring: %s",
    "Failed to commit on finallization: %s",
    # aiokafka.producer.sender
    "Cannot send %r to %s: %r",
    "Could not send %r: %r",
    "Got error produce response: %s",
    "Got error produce response on topic-partition %s, retrying. Error: %s",
    # mode.timers
    "Timer %s is overlapping (interval=%r runtime=%r)",
)
"""Messages, before their arguments are put in, that say that something is tried again. Whoever waits for it says so."""
_PASSING: Final = frozenset(PASSING)
LASTS_S: Final = 30.0
"""One of them that comes again and again for so long although no broker is away is worth a line: the start of a cluster
and the election of a leader are over by then."""
QUIET_S: Final = 60.0
"""And then a line in so long."""
GAP_S: Final = 10.0
"""After so long without it, it begins anew."""


class ClientChatter(logging.Filter):
    """Passes what is not PASSING, and what of that lasts. It stands at the handler: a logger's filter does not see what
    loggers below it log."""

    def __init__(self, brokers: Brokers = BROKERS) -> None:
        super().__init__()
        self._brokers = brokers
        self._begun: dict[str, float] = {}
        self._last: dict[str, float] = {}
        self._told: dict[str, float] = {}
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.msg
        if not isinstance(text, str) or text not in _PASSING or not record.name.startswith(("aiokafka", "mode")):
            return True
        with self._lock:
            now, last = record.created, self._last.get(text, float("-inf"))
            self._last[text] = now
            if self._brokers.away or now - last > GAP_S:
                self._begun[text] = now
                return False
            if now - self._begun[text] < LASTS_S or now - self._told.get(text, float("-inf")) < QUIET_S:
                return False
            self._told[text] = now
        return True
