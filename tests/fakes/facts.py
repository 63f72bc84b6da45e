"""orders.events without Kafka."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from tests.fakes.log import FakeLog
from topics.records.envelope import FACT, iso_time

START_MS = 1_750_000_000_000


@dataclass
class FakeFacts(FakeLog):
    chunk: int = 3

    def write(
        self, key: bytes, sequence: int, at_ms: int, *, created_ms: int = START_MS, sent_ms: int = 0, epoch: int = 1
    ) -> None:
        """A fact; `sent_ms`: when its writer sent it, if not at once."""
        value = {"sequence": sequence, "atMs": at_ms, "sinceCreatedMs": at_ms - created_ms}
        headers = (("ce_type", FACT.encode() + b"order-updated"), ("ce_time", iso_time(at_ms).encode()))
        self.append(key, orjson.dumps(value), headers, sent_ms or at_ms, epoch)
