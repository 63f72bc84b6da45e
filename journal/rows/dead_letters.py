"""Requests that were given up or refused, and their ends, from deliveries.dead."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from journal.rows.batch import Batch, Row
from journal.rows.reader import EpochReader, KafkaRecord, NotForTheJournalError, small, text_of
from journal.rows.requests import bodies_of, columns_of, order_of_lane
from journal.tables.deliveries import BODIES
from topics.records.deliveries import Attempt, DeliveryRequest, TimeMs, decode_concluded
from topics.records.envelope import DELIVERY_CONCLUDED, DELIVERY_DEAD, DELIVERY_REFUSED


class _Letter(msgspec.Struct):
    """As topics.records.models.DeadRecord describes it."""

    request: DeliveryRequest
    attempts: int
    first_ms: TimeMs
    last: Attempt | None
    message: str
    holds_lane: bool


_LETTERS = msgspec.json.Decoder(_Letter)


class DeadLetterRows(EpochReader):
    """Reads one partition of deliveries.dead. Of one request the last record counts."""

    TOPIC: ClassVar[str] = "deliveries.dead"

    def take_counted(self, record: KafkaRecord, key: bytes, batch: Batch) -> None:
        headers = dict(record.headers)
        kind, value = text_of(headers.get("ce_type")), record.value or b""
        if kind in (DELIVERY_DEAD, DELIVERY_REFUSED):
            self._take_letter(record, _LETTERS.decode(value), kind.rpartition(".")[2], batch)
        elif kind == DELIVERY_CONCLUDED:
            concluded, lane = decode_concluded(value), key.decode()
            batch.ends[concluded.request] = {
                **_only_an_end(concluded.request, lane),
                "channel": text_of(headers.get("sluice-channel")),
                "subject": text_of(headers.get("ce_subject")),
                "concluded": concluded.how,
                "concluded_ms": record.timestamp,
                "concluded_message": self._keeper.words(concluded.message),
                "redrive": concluded.redrive,
                "partition": self.partition,
                "record_offset": record.offset,
            }
        else:
            raise NotForTheJournalError(f"neither a dead letter nor its end: its ce_type is {kind!r}")

    def _take_letter(self, record: KafkaRecord, letter: _Letter, kind: str, batch: Batch) -> None:
        request, last = letter.request, letter.last
        row = {
            **columns_of(request),
            "request_id": request.id,
            "lane": request.lane,
            "kind": kind,
            "died_ms": record.timestamp,
            "attempts": small(letter.attempts),
            "first_ms": letter.first_ms,
            "last_ms": None if last is None else last.at_ms,
            "status": None if last is None or last.status is None else small(last.status),
            "error": "" if last is None else last.error,
            "message": self._keeper.words(letter.message),
            "holds_lane": letter.holds_lane,
            "concluded": None,
            "concluded_ms": None,
            "concluded_message": "",
            "redrive": "",
            "partition": self.partition,
            "record_offset": record.offset,
        }
        bodies = bodies_of(request, self._keeper)
        batch.ends.pop(request.id, None)
        batch.letters[request.id] = row
        for body in bodies:
            batch.add(BODIES, body)


def _only_an_end(request_id: str, lane: str) -> Row:
    """A row for the case that only the end of a request is known."""
    return {
        "request_id": request_id,
        "received_ms": 0,
        "order_key": order_of_lane(lane),
        "destination": "",
        "shard": 0,
        "touchpoint": "",
        "lane": lane,
        "kind": "",
        "died_ms": 0,
        "attempts": 0,
        "first_ms": 0,
        "last_ms": None,
        "status": None,
        "error": "",
        "message": "",
        "holds_lane": False,
    }
