"""Attempts of requests, from deliveries.attempts."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from journal.rows.batch import Batch
from journal.rows.reader import EpochReader, KafkaRecord, small, text_of
from journal.rows.requests import order_of_lane
from journal.tables.deliveries import ATTEMPTS
from topics.records.deliveries import TimeMs

_Took = Annotated[float, msgspec.Meta(ge=0, le=1e12)]


class _Attempt(msgspec.Struct, rename={"result": "class"}):
    """As topics.records.models.AttemptRecord describes it. `story` 0: a version before did not write it."""

    request: str
    touchpoint: str
    destination: str
    channel: str
    lane: str
    result: str
    far_side: str
    number: int
    at_ms: TimeMs
    took_ms: _Took
    status: int | None
    error: str
    sequence: TimeMs = 0
    previous_sequence: TimeMs = 0
    story: TimeMs = 0


_ATTEMPTS = msgspec.json.Decoder(_Attempt)


class AttemptRows(EpochReader):
    """Reads one partition of deliveries.attempts."""

    TOPIC: ClassVar[str] = "deliveries.attempts"

    def take_counted(self, record: KafkaRecord, key: bytes, batch: Batch) -> None:  # noqa: ARG002 - as its base
        attempt = _ATTEMPTS.decode(record.value or b"")
        event_id = text_of(dict(record.headers).get("ce_id"))
        if not event_id:
            raise ValueError("an attempt without ce_id")
        batch.add(
            ATTEMPTS,
            {
                "order_key": order_of_lane(attempt.lane),
                "received_ms": attempt.story or attempt.at_ms,
                "event_id": event_id,
                "request_id": attempt.request,
                "number": small(attempt.number),
                "channel": attempt.channel,
                "destination": attempt.destination,
                "touchpoint": attempt.touchpoint,
                "lane": attempt.lane,
                "sequence": attempt.sequence,
                "previous_sequence": attempt.previous_sequence,
                "result": attempt.result,
                "far_side": attempt.far_side,
                "at_ms": attempt.at_ms,
                "took_us": int(attempt.took_ms * 1000),
                "status": None if attempt.status is None else small(attempt.status),
                "error": attempt.error,
                "partition": self.partition,
                "record_offset": record.offset,
            },
        )
