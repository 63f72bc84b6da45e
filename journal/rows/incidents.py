"""Rejected records, refused calls, and facts about stock."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from journal.rows.batch import Batch, body_row
from journal.rows.reader import EpochReader, KafkaRecord, PartitionReader, small, text_of
from journal.tables.deliveries import BODIES
from journal.tables.incidents import REJECTED, STOCK_EVENTS
from topics.records.deliveries import TimeMs
from topics.records.envelope import COMMAND, FACT
from topics.records.keys import join


class RejectedRows(PartitionReader):
    """Reads one partition of commands.rejected. A record is known by the place of the original."""

    TOPIC: ClassVar[str] = "commands.rejected"

    def take(self, record: KafkaRecord, batch: Batch) -> None:
        headers = {name: text_of(content) for name, content in record.headers}
        if "sluice-rejected-offset" not in headers:
            self.not_ours(record)
            return
        topic, value = headers["sluice-rejected-topic"], record.value or b""
        partition, offset = int(headers["sluice-rejected-partition"]), int(headers["sluice-rejected-offset"])
        at_ms, kind = int(headers.get("sluice-rejected-at-ms", record.timestamp)), headers.get("ce_type", "")
        id_ = join(topic, str(partition), str(offset)).decode()
        kept = self._keeper.body(kind.removeprefix(COMMAND), value, id_)
        batch.has_nul = batch.has_nul or any("\0" in text for text in headers.values())
        batch.add(
            REJECTED,
            {
                "source_topic": topic,
                "source_partition": small(partition),
                "source_offset": offset,
                "at_ms": at_ms,
                "role": headers.get("sluice-rejected-role", ""),
                "code": headers.get("sluice-rejected-code", ""),
                "reason": self._keeper.words(headers.get("sluice-rejected-reason", "")),
                "record_key": text_of(record.key),
                "channel": headers.get("sluice-channel", ""),
                "event_id": headers.get("ce_id", ""),
                "event_type": kind,
                "subject": headers.get("ce_subject", ""),
                "bytes": small(int(headers.get("sluice-rejected-value-bytes", len(value)))),
                "partition": self.partition,
                "record_offset": record.offset,
            },
        )
        batch.add(BODIES, body_row("", at_ms, "rejected", id_, kept, len(value)))


_Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class _RefusedCall(msgspec.Struct, rename={"first_ms": "first", "last_ms": "last"}):
    """As the orders role keeps it (streams/order/records/refused_calls.py)."""

    touchpoint: str
    code: str
    reason: str = ""
    status: int | None = None
    count: _Count = 1
    first_ms: TimeMs = 0
    last_ms: TimeMs = 0
    event: str = ""
    source: str = ""
    address: str = ""


class _RefusedCalls(msgspec.Struct):
    calls: list[_RefusedCall]


_REFUSED = msgspec.json.Decoder(_RefusedCalls)


class RefusedCallRows(EpochReader):
    """Reads one partition of orders.refused: the last value of each key is what is known of it."""

    TOPIC: ClassVar[str] = "orders.refused"

    def take_counted(self, record: KafkaRecord, key: bytes, batch: Batch) -> None:
        order_key = key.decode()
        calls = [] if record.value is None else _REFUSED.decode(record.value).calls
        batch.refused[order_key] = [
            {
                "order_key": order_key,
                "number": number,
                "touchpoint": call.touchpoint,
                "code": call.code,
                "reason": call.reason,
                "status": None if call.status is None else small(call.status),
                "calls": call.count,
                "first_ms": call.first_ms,
                "last_ms": call.last_ms,
                "event_id": call.event,
                "source": call.source,
                "address": self._keeper.words(call.address),
                "partition": self.partition,
                "record_offset": record.offset,
            }
            for number, call in enumerate(calls)
        ]


class _StockFact(msgspec.Struct):
    channel: str
    location: str
    atMs: TimeMs  # noqa: N815 - members of facts
    channelSkuCode: str = ""  # noqa: N815


_STOCK_FACTS = msgspec.json.Decoder(_StockFact)


class StockEventRows(PartitionReader):
    """Reads one partition of inventory.events. A record is known by its `ce_id`: two roles write there."""

    TOPIC: ClassVar[str] = "inventory.events"

    def take(self, record: KafkaRecord, batch: Batch) -> None:
        headers = dict(record.headers)
        event_id, value = text_of(headers.get("ce_id")), record.value or b""
        if not event_id:
            self.not_ours(record)
            return
        fact = _STOCK_FACTS.decode(value)
        batch.add(
            STOCK_EVENTS,
            {
                "event_id": event_id,
                "at_ms": fact.atMs,
                "name": text_of(headers.get("ce_type")).removeprefix(FACT),
                "channel": fact.channel,
                "location": fact.location,
                "sku": fact.channelSkuCode,
                "data": value.decode(),
                "partition": self.partition,
                "record_offset": record.offset,
            },
        )
