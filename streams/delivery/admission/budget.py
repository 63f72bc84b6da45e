"""What is durable about a shard's budget and gate: the value on deliveries.permits. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

import orjson

from streams.delivery.admission.limiters.pool import Held


@dataclass(slots=True)
class PermitRecord:
    """`limits`: what each limit holds, by its name. `gate_ms` ends an imposed quiet."""

    limits: dict[str, Held] = field(default_factory=dict)
    gate_ms: int = 0

    def encode(self) -> bytes:
        return orjson.dumps(self)


def decode_permits(raw: bytes | None) -> PermitRecord:
    if raw is None:
        return PermitRecord()
    data = orjson.loads(raw)
    if "limits" not in data:
        # As it was written when a destination had one limit, which had no name.
        ended = [(end_ms, 1) for end_ms in data["ended_ms"]]
        return PermitRecord({"": Held(ended, data["open"])}, data["gate_ms"])
    limits = {
        name: Held([(end_ms, units) for end_ms, units in held["ended"]], held["open"])
        for name, held in data["limits"].items()
    }
    return PermitRecord(limits, data["gate_ms"])
