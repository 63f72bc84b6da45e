"""deliveries.dead without Kafka."""

from __future__ import annotations

from tests.fakes.log import FakeLog


class FakeDead(FakeLog):
    def write(self, value: bytes, kind: str, time_ms: int = 0, epoch: int = 1) -> None:
        self.append(b"", value, (("ce_type", kind.encode()),), time_ms, epoch)
