"""Requests that wait, from deliveries.outbox; and the gates of destinations, from deliveries.permits."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from journal.rows.batch import Batch
from journal.rows.reader import EpochReader, KafkaRecord, small
from journal.rows.requests import columns_of
from topics.records.deliveries import Attempt, DeliveryRequest, TimeMs
from topics.records.keys import is_entry_key, names_of_entry_key, split


class _Entry(msgspec.Struct):
    """A waiting request, as delivery keeps it (streams/delivery/outbox/records.py)."""

    request: DeliveryRequest
    position: TimeMs
    queued_ms: TimeMs
    next_ms: TimeMs = 0
    attempts: int = 0
    failures: int = 0
    first_ms: TimeMs = 0
    failed_ms: TimeMs = 0
    last: Attempt | None = None
    message: str = ""
    held: bool = False
    redrive: str = ""
    in_doubt: bool = False


class _Permits(msgspec.Struct):
    gate_ms: TimeMs


_ENTRIES = msgspec.json.Decoder(_Entry)
_PERMITS = msgspec.json.Decoder(_Permits)


class WaitingRows(EpochReader):
    """Reads one partition of deliveries.outbox."""

    TOPIC: ClassVar[str] = "deliveries.outbox"

    def take_counted(self, record: KafkaRecord, key: bytes, batch: Batch) -> None:
        if not is_entry_key(key):
            return  # the header of a lane
        lane, request_id = names_of_entry_key(key)
        if record.value is None:
            batch.waiting[lane, request_id] = None
            return
        entry = _ENTRIES.decode(record.value)
        request, last = entry.request, entry.last
        batch.waiting[lane, request_id] = {
            **columns_of(request),
            "lane": lane,
            "request_id": request_id,
            "sequence": request.sequence,
            "position": entry.position,
            "created_ms": request.created_ms,
            "queued_ms": entry.queued_ms,
            "next_ms": entry.next_ms,
            "attempts": small(entry.attempts),
            "failures": small(entry.failures),
            "first_ms": entry.first_ms,
            "failed_ms": entry.failed_ms,
            "last_ms": None if last is None else last.at_ms,
            "last_status": None if last is None or last.status is None else small(last.status),
            "last_error": "" if last is None else last.error,
            "message": self._keeper.words(entry.message),
            "is_held": entry.held,
            "is_redriven": request.redriven,
            "is_in_doubt": entry.in_doubt,
            "is_relay": request.relay,
            "is_hold": request.hold,
            "deadline_ms": request.deadline_ms,
            "redrive": entry.redrive,
            "partition": self.partition,
            "record_offset": record.offset,
        }


class GateRows(EpochReader):
    """Reads one partition of deliveries.permits."""

    TOPIC: ClassVar[str] = "deliveries.permits"

    def take_counted(self, record: KafkaRecord, key: bytes, batch: Batch) -> None:
        destination, *scope = split(key)
        opens_ms = 0 if record.value is None else _PERMITS.decode(record.value).gate_ms
        batch.gates[destination, "|".join(scope)] = {
            "destination": destination,
            "scope": "|".join(scope),
            "opens_ms": opens_ms,
            "partition": self.partition,
            "record_offset": record.offset,
        }
