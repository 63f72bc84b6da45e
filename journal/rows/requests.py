"""Records of deliveries.requests: requests with their bodies, and what operators ask there."""

from __future__ import annotations

from typing import Any, ClassVar

from journal.rows.batch import Batch, Row, Suspect, body_row
from journal.rows.facts import event_of
from journal.rows.keeper import Keeper
from journal.rows.operators import action_of_before
from journal.rows.reader import KafkaRecord, NotForTheJournalError, PartitionReader, small, text_of
from journal.tables.deliveries import BODIES, REQUESTS
from journal.tables.operators import ACTIONS, REDRIVEN
from topics.records.deliveries import (
    NO_BODY,
    TAKES_PLACE_OF,
    DeliveryRequest,
    decode_lane_decision,
    decode_redrive,
    decode_request,
)
from topics.records.envelope import DELIVERY_REDRIVE, DELIVERY_REQUEST, LANE_DECISION
from topics.records.keys import partition_of, split
from topics.records.reading import made_by
from topics.subscriptions.model import FACT


class RequestRows(PartitionReader):
    """Reads one partition of deliveries.requests.

    Its records come from owners of several partitions of orders.commands, each with epochs of its own, and the rule is
    by lane: a request of an older epoch than one before it in its lane does not count. All requests of a lane are made
    in one partition. So only a request that is older than the newest of its maker's partition may be late; the database
    knows the lane.
    """

    TOPIC: ClassVar[str] = "deliveries.requests"

    def __init__(self, partition: int, memory: dict[str, Any], keeper: Keeper, partitions: int) -> None:
        super().__init__(partition, memory, keeper, partitions)
        self._newest: dict[int, int] = {int(maker): epoch for maker, epoch in memory.get("epochs", {}).items()}

    def remembered(self) -> dict[str, Any]:
        return {"epochs": {str(maker): epoch for maker, epoch in sorted(self._newest.items())}}

    def take(self, record: KafkaRecord, batch: Batch) -> None:
        headers = dict(record.headers)
        kind, value = text_of(headers.get("ce_type")), record.value or b""
        if kind == DELIVERY_REQUEST:
            self._take_request(record, decode_request(value), headers, batch)
        elif kind == LANE_DECISION:
            decision = decode_lane_decision(value)
            if not decision.action_id:
                id_ = text_of(headers.get("ce_id"))
                row = action_of_before(
                    record, self.TOPIC, self.partition, id_, f"{decision.action}-delivery", decision.request
                )
                of = {"actor": decision.by, "reason": decision.reason, "order_key": order_of_lane(decision.lane)}
                batch.add(ACTIONS, {**row, **of})
        elif kind == DELIVERY_REDRIVE:
            redrive = decode_redrive(value)
            batch.add(
                REDRIVEN,
                {
                    "redrive": redrive.id,
                    "request_id": redrive.request.id,
                    "attempts": small(redrive.attempts),
                    "at_ms": record.timestamp,
                    "order_key": order_of_lane(redrive.request.lane),
                    "lane": redrive.request.lane,
                    "partition": self.partition,
                    "record_offset": record.offset,
                },
            )
        else:
            raise NotForTheJournalError(f"neither a request nor an operator's: its ce_type is {kind!r}")

    def _take_request(
        self, record: KafkaRecord, request: DeliveryRequest, headers: dict[str, bytes | None], batch: Batch
    ) -> None:
        made = made_by(record.headers)
        maker = partition_of(request.entity.encode(), self._partitions)
        newest = self._newest.get(maker, 0)
        row = _request_row(record, request, headers, self.partition) | {
            "epoch": made.epoch,
            "command_offset": made.offset,
        }
        received_ms = row["received_ms"]
        id_ = (request.id, "delivery") if request.touchpoint == FACT.name else (event_of(request.id), "event")
        bodies = bodies_of(request, self._keeper)
        if 0 < made.epoch < newest:
            ids = [{"id": id_[0], "kind": id_[1], "order_key": request.entity, "received_ms": received_ms}]
            batch.suspects.append(Suspect(row, bodies, ids))
            batch.note_day(received_ms)
            return
        self._newest[maker] = max(newest, made.epoch)
        batch.add(REQUESTS, row)
        for one in bodies:
            batch.add(BODIES, one)
        batch.add_id(*id_, request.entity, received_ms)


def _request_row(
    record: KafkaRecord, request: DeliveryRequest, headers: dict[str, bytes | None], partition: int
) -> Row:
    return {
        **columns_of(request),
        "request_id": request.id,
        "lane": request.lane,
        "sequence": request.sequence,
        "created_ms": request.created_ms,
        "written_ms": record.timestamp,
        "is_relay": request.relay,
        "deadline_ms": request.deadline_ms,
        "is_hold": request.hold,
        "is_again": request.again,
        "takes_place_of": text_of(headers.get(TAKES_PLACE_OF)),
        "body_bytes": request.size,
        "partition": partition,
        "record_offset": record.offset,
    }


def columns_of(request: DeliveryRequest) -> Row:
    """The columns that every table with a row for a request has."""
    return {
        "order_key": request.entity,
        "received_ms": request.story or request.created_ms,
        "channel": request.channel,
        "subject": request.subject,
        "destination": request.destination,
        "shard": small(request.shard),
        "touchpoint": request.touchpoint,
    }


def bodies_of(request: DeliveryRequest, keeper: Keeper) -> list[Row]:
    """The row of a request's body, the same from each topic that has it. A fact's body is the fact, which is in
    `facts`."""
    if request.touchpoint == FACT.name or request.body == NO_BODY:
        return []
    body = bytes(request.body)
    kept = keeper.body(request.touchpoint, body, request.id)
    received_ms = request.story or request.created_ms
    return [body_row(request.entity, received_ms, "request", request.id, kept, len(body))]


def order_of_lane(lane: str) -> str:
    """The order, return or manifest of a lane; empty: it has none."""
    parts = split(lane.encode())
    return parts[1] if len(parts) > 1 else ""
