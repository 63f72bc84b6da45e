"""Operators' actions from operators.events, their pauses from destinations.controls, and what versions before wrote of
actions elsewhere."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from journal.rows.batch import Batch, Row
from journal.rows.keeper import Keeper
from journal.rows.reader import KafkaRecord, NotForTheJournalError, PartitionReader, small, text_of
from journal.tables.operators import ACTIONS
from topics.destinations.pauses import CONTROLS, decode_control
from topics.records.deliveries import TimeMs
from topics.records.envelope import FACT
from topics.records.json_record import decode_by
from topics.records.json_text import write
from topics.records.skips import SKIPS, decode_skip, place_of

BEGUN, ENDED = FACT + "action-begun", FACT + "action-ended"


class _Begun(msgspec.Struct):
    """As topics.records.facts.operators.ActionBegun describes it."""

    id: str
    action: str
    by: str
    atMs: TimeMs  # noqa: N815 - members of facts
    reason: str
    target: str
    channel: str
    orderKey: str  # noqa: N815
    shown: TimeMs
    before: msgspec.Raw
    after: msgspec.Raw


class _Ended(msgspec.Struct):
    id: str
    atMs: TimeMs  # noqa: N815
    outcome: str
    message: str
    after: msgspec.Raw


_BEGUN, _ENDED = msgspec.json.Decoder(_Begun), msgspec.json.Decoder(_Ended)
NOT_ENDED: Row = {"outcome": "", "ended_ms": None, "message": "", "result": ""}
"""Columns of an action whose end is not known."""


class OperatorRows(PartitionReader):
    """Reads operators.events. Of one id the first beginning counts: a second use of one preview does nothing."""

    TOPIC: ClassVar[str] = "operators.events"

    def take(self, record: KafkaRecord, batch: Batch) -> None:
        kind, value = text_of(dict(record.headers).get("ce_type")), record.value or b""
        if kind == BEGUN:
            self._begin(decode_by(_BEGUN, value), record, batch)
        elif kind == ENDED:
            ended = decode_by(_ENDED, value)
            batch.act_ends[ended.id] = {
                "of_event_id": ended.id,
                "of_topic": self.TOPIC,
                "to_outcome": ended.outcome,
                "to_ended_ms": ended.atMs,
                "to_message": ended.message,
                "to_result": bytes(ended.after).decode(),
            }
        else:
            raise NotForTheJournalError(f"no fact of an operator's action: its ce_type is {kind!r}")

    def _begin(self, begun: _Begun, record: KafkaRecord, batch: Batch) -> None:
        batch.acted.setdefault(
            begun.id,
            {
                "event_id": begun.id,
                "topic": self.TOPIC,
                "at_ms": begun.atMs,
                "action": begun.action,
                "actor": begun.by,
                "reason": begun.reason,
                "channel": begun.channel,
                "order_key": begun.orderKey,
                "target": begun.target,
                "shown": small(begun.shown),
                "before": bytes(begun.before).decode(),
                "after": bytes(begun.after).decode(),
                **NOT_ENDED,
                "partition": self.partition,
                "record_offset": record.offset,
            },
        )


class PauseRows(PartitionReader):
    """Reads destinations.controls: each word about a destination ends the pause before it. It remembers the pauses that
    no word has ended."""

    TOPIC: ClassVar[str] = CONTROLS

    def __init__(self, partition: int, memory: dict[str, Any], keeper: Keeper, partitions: int) -> None:
        super().__init__(partition, memory, keeper, partitions)
        self._open: dict[str, Row] = dict(memory.get("open", {}))

    def remembered(self) -> dict[str, Any]:
        return {"open": {name: self._open[name] for name in sorted(self._open)}}

    def take(self, record: KafkaRecord, batch: Batch) -> None:
        if record.key is None:
            self.not_ours(record)
            return
        destination = record.key.decode()
        control = None if record.value is None else decode_control(record.value)
        before = self._open.pop(destination, None)
        at_ms = record.timestamp if control is None else control.at_ms
        if before is not None:
            ended_ms = min(at_ms, at_ms if before["until_ms"] is None else before["until_ms"])
            by = "" if control is None or ended_ms < at_ms else control.by
            batch.pauses[destination, before["since_ms"]] = {**before, "ended_ms": ended_ms, "ended_by": by}
        if control is None or control.pause is None:
            return
        pause = control.pause
        row = {
            "destination": destination,
            "since_ms": pause.since_ms,
            "until_ms": pause.until_ms,
            "ended_ms": None,
            "actor": pause.by,
            "reason": pause.reason,
            "action_id": control.action,
            "ended_by": "",
            "partition": self.partition,
            "record_offset": record.offset,
        }
        self._open[destination] = row
        batch.pauses[destination, pause.since_ms] = row


class SkipRows(PartitionReader):
    """Reads the skips of versions before, which wrote no fact: the last of each record's key counts."""

    TOPIC: ClassVar[str] = SKIPS

    def take(self, record: KafkaRecord, batch: Batch) -> None:
        if record.key is None or record.value is None:
            return
        place, skip = place_of(record.key), decode_skip(record.value)
        if skip.action_id:
            return
        id_ = record.key.decode()
        at = write({"topic": place[0], "partition": place[1], "offset": place[2]}).decode()
        row = action_of_before(record, self.TOPIC, self.partition, id_, "skip-record", id_)
        batch.add(ACTIONS, {**row, "at_ms": skip.atMs, "actor": skip.by, "reason": skip.reason, "after": at})


def action_of_before(record: KafkaRecord, topic: str, partition: int, event_id: str, action: str, target: str) -> Row:
    """The row of an action of which a version before wrote no fact."""
    return {
        "event_id": event_id,
        "topic": topic,
        "at_ms": record.timestamp,
        "action": action,
        "actor": "",
        "reason": "",
        "channel": "",
        "order_key": "",
        "target": target,
        "shown": 0,
        "before": "{}",
        "after": "{}",
        **NOT_ENDED,
        "partition": partition,
        "record_offset": record.offset,
    }
