"""Records of every topic that the journal follows, as roles write them, with repeats and late writes among them.

Orders are played by a seed; nothing of the product decides them, so the tests of the journal need no other role.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from topics.records.deliveries import Attempt, Concluded, Conclusion, DeliveryRequest, Redrive, body_of
from topics.records.envelope import (
    DELIVERY_ATTEMPTED,
    DELIVERY_CONCLUDED,
    DELIVERY_DEAD,
    DELIVERY_REDRIVE,
    DELIVERY_REQUEST,
    DELIVERY_SOURCE,
    FACT,
    LANE_DECISION,
    ORDERS_SOURCE,
    Headers,
    event_headers,
)
from topics.records.json_record import encode_record
from topics.records.keys import destination_partition, join, lane_key, order_key, partition_of
from topics.records.reading import MADE_BY, OWNER_KEY

PARTITIONS = 2
CHANNEL = "demo"
BEGIN_MS = 1_793_000_000_000
DAY_MS = 86_400_000
STATES = ("RECEIVED", "SUBMITTED", "ACKNOWLEDGED", "PACKED", "HANDED_OVER")
FACTS = ("order-created", "order-submitted", "order-acknowledged", "shipment-packed", "order-handed-over")


@dataclass(slots=True)
class Made:
    """A record to produce, or as one that was read."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp: int
    offset: int = 0


@dataclass(slots=True)
class Play:
    """The records of some orders, in an order that each partition could have."""

    seed: int
    orders: int
    begin: int = 0
    """Number of the first order."""
    records: list[Made] = field(default_factory=list)
    _random: Random = field(init=False)
    _offset: int = 0
    _epoch: int = 3

    def __post_init__(self) -> None:
        self._random = Random(self.seed)
        for topic in ("deliveries.outbox", "deliveries.permits"):
            for partition in range(PARTITIONS):
                self._put(topic, partition, OWNER_KEY, b"{}", ())
        for number in range(self.begin, self.begin + self.orders):
            self._order(number)

    def numbered(self) -> list[Made]:
        """The records with the offsets that they get in empty topics."""
        ends: dict[tuple[str, int], int] = {}
        for record in self.records:
            place = record.topic, record.partition
            record.offset = ends.get(place, 0)
            ends[place] = record.offset + 1
        return self.records

    def _order(self, number: int) -> None:
        code = f"O-{number}"
        key = order_key(CHANNEL, code)
        home = partition_of(key, PARTITIONS)
        began = BEGIN_MS + number * 1_000 + (number % 3) * 20 * DAY_MS
        last = self._random.randint(1, len(STATES))
        for step in range(last):
            self._offset += 1
            at = began + step * 60_000
            data = self._fact_data(code, step, at, began, number)
            fact = (
                key,
                json.dumps(data).encode(),
                self._headers(f"e{number}.{step}.f{step + 1}", FACT + FACTS[step], code, at),
            )
            self._made("orders.events", home, *fact, at=at)
            if self._random.random() < 0.1:
                self._made("orders.events", home, *fact, at=at)  # after a crash, the same again
            if self._random.random() < 0.1:
                self._made("orders.events", home, *fact, at=at, epoch=self._epoch - 1)  # by a former owner, too late
        if self._random.random() < 0.05:
            self._put("orders.events", home, key, b"not JSON", ())
        self._deliver(number, code, key, began)
        if self._random.random() < 0.2:
            self._incidents(number, code, key, began)

    def _fact_data(self, code: str, step: int, at: int, began: int, number: int) -> dict[str, Any]:
        line = {"orderItemCode": "i", "channelSkuCode": "s", "ordered": 2, "open": 2, "packed": 0, "cancelled": 0}
        data: dict[str, Any] = {
            "sequence": step + 1,
            "channel": CHANNEL,
            "atMs": at,
            "sinceCreatedMs": at - began,
            "orderCode": code,
            "state": STATES[step],
            "locationCode": f"L{number % 3}",
            "lines": [line],
            "lineCount": 1,
        }
        if step == 0:
            data |= {"dispatchByTime": "2026-11-30T10:00:00+05:30", "orderType": "STANDARD", "paymentMethod": "COD"}
        if step == 3:
            data |= {"shipmentId": number, "shipmentCode": f"S-{number}"}
        return data

    def _deliver(self, number: int, code: str, key: bytes, began: int) -> None:
        lane = lane_key("increff", key)
        home = destination_partition("increff", 0, PARTITIONS)
        request = DeliveryRequest(
            id=f"e{number}.0.0",
            destination="increff",
            shard=0,
            channel=CHANNEL,
            touchpoint="create-outward-order",
            lane=lane.decode(),
            entity=key.decode(),
            subject=code,
            body=body_of({"orderCode": code, "onHold": False, "shippingAddress": {"name": "CANARY"}}),
            sequence=1,
            created_ms=began,
            story=began,
        )
        headers = self._headers(request.id, DELIVERY_REQUEST, code, began)
        self._made("deliveries.requests", home, lane, request.encode(), headers, at=began)
        if self._random.random() < 0.1:
            self._made("deliveries.requests", home, lane, request.encode(), headers, at=began)
        if self._random.random() < 0.1:
            late = self._headers(f"e{number}.9.0", DELIVERY_REQUEST, code, began)
            value = request.encode().replace(request.id.encode(), f"e{number}.9.0".encode())
            self._made("deliveries.requests", home, lane, value, late, at=began, epoch=self._epoch - 1)
        entry_key = lane + b"||" + request.id.encode()
        ends = self._random.choice(["delivered", "dead", "waits"])
        for attempt in range(1, self._random.randint(2, 4)):
            at = began + attempt * 1_000
            self._attempt(request, home, attempt, at, "retry" if ends != "delivered" else "delivered")
            entry = {"request": request, "position": 0, "queued_ms": began, "attempts": attempt, "next_ms": at + 5}
            self._made("deliveries.outbox", home, entry_key, encode_record(entry), (), at=at)
        if ends == "waits":
            return
        self._made("deliveries.outbox", home, entry_key, None, (), at=began)
        if ends == "dead":
            self._dead(request, home, began)

    def _attempt(self, request: DeliveryRequest, home: int, number: int, at: int, result: str) -> None:
        value = {
            **{name: getattr(request, name) for name in ("touchpoint", "destination", "channel", "subject", "lane")},
            "request": request.id,
            "story": request.story,
            "class": result,
            "far_side": "http",
            "sequence": 1,
            "previous_sequence": 0,
            "number": number,
            "at_ms": at,
            "took_ms": 1.5,
            "status": 500,
            "error": "",
        }
        headers = self._headers(f"{request.id}:{number}", DELIVERY_ATTEMPTED, request.subject, at, DELIVERY_SOURCE)
        self._made("deliveries.attempts", home, request.lane.encode(), json.dumps(value).encode(), headers, at=at)

    def _dead(self, request: DeliveryRequest, home: int, at: int) -> None:
        letter = {
            "request": request,
            "attempts": 3,
            "first_ms": at,
            "message": "CANARY words",
            "holds_lane": True,
            "last": Attempt(number=3, at_ms=at, took_ms=1.0, status=500),
        }
        lane = request.lane.encode()
        headers = self._headers(f"{request.id}:dead:3", DELIVERY_DEAD, request.subject, at, DELIVERY_SOURCE)
        self._made("deliveries.dead", home, lane, encode_record(letter), headers, at=at)
        if self._random.random() < 0.5:
            decision = {"lane": request.lane, "request": request.id, "action": "skip", "by": "alice", "reason": "why"}
            asked = event_headers(f"d-{request.id}", LANE_DECISION, "/gateway", CHANNEL, request.subject, at)
            self._put("deliveries.requests", home, lane, json.dumps(decision).encode(), asked, at)
            again = Redrive(id=f"rdv_{len(self.records) % 3}", request=request, attempts=3).encode()
            self._put("deliveries.requests", home, lane, again, self._headers("x", DELIVERY_REDRIVE, "", at), at)
            ended = Concluded(request=request.id, how=Conclusion.SKIPPED, attempts=3, message="by alice: why")
            told = self._headers(f"{request.id}:skipped", DELIVERY_CONCLUDED, request.subject, at, DELIVERY_SOURCE)
            self._made("deliveries.dead", home, lane, ended.encode(), told, at=at)

    def _incidents(self, number: int, code: str, key: bytes, at: int) -> None:
        call = {
            "touchpoint": "create-outward-order",
            "code": "BAD",
            "status": 400,
            "first": at,
            "last": at,
            "event": f"r{number}",
        }
        home = partition_of(key, PARTITIONS)
        self._made(
            "orders.refused", home, key, json.dumps({"calls": [call, call | {"code": "WORSE"}]}).encode(), (), at=at
        )
        if number % 2:
            self._made("orders.refused", home, key, json.dumps({"calls": [call]}).encode(), (), at=at)
        origin = {"topic": "t.orders.commands.v1", "partition": home, "offset": number, "code": "no_envelope"}
        rejected = tuple((f"sluice-rejected-{name}", str(value).encode()) for name, value in origin.items())
        self._put(
            "commands.rejected", home, key, b'{"name":"CANARY"}', (("sluice-rejected-reason", b"CANARY"), *rejected), at
        )
        fact = {"channel": CHANNEL, "location": "L1", "atMs": at, "channelSkuCode": "s\x00u"}
        stock = event_headers(f"s{number}", FACT + "stock-refused", "/inventory", CHANNEL, "", at)
        self._put("inventory.events", home, join(CHANNEL, "L1"), json.dumps(fact).encode(), stock, at)
        permits = {"limits": {}, "gate_ms": at if number % 2 else 0}
        where = destination_partition("increff", 0, PARTITIONS)
        self._made("deliveries.permits", where, join("increff", "0"), json.dumps(permits).encode(), (), at=at)
        skip = {"by": "bob", "reason": "no use", "atMs": at}
        self._put("skips", 0, join("orders.commands", "0", str(number)), json.dumps(skip).encode(), (), at)
        self._operate(number, code, key, at)

    def _operate(self, number: int, code: str, key: bytes, at: int) -> None:
        """An action with its end, the second use of its preview, and a pause or its end."""
        id_ = f"dst_{number}"
        begun = {
            "id": id_,
            "action": "pause-destination",
            "by": "alice",
            "atMs": at,
            "reason": "n\x00ight",
            "target": "increff",
            "channel": CHANNEL,
            "orderKey": key.decode(),
            "shown": 1,
            "before": {},
            "after": {"paused": True},
        }
        ended = {"id": id_, "action": "pause-destination", "by": "alice", "atMs": at + 1}
        ended |= {"outcome": "done", "message": "", "after": {"paused": True}}
        for name, fact in (("begun", begun), ("begun", {**begun, "by": "bob"}), ("ended", ended)):
            told = event_headers(f"{id_}.{name}", FACT + f"action-{name}", "/gateway", CHANNEL, id_, at)
            self._put("operators.events", 0, id_.encode(), json.dumps(fact).encode(), told, at)
        pause = {"since_ms": at, "until_ms": None if number % 2 else at + 500, "by": "alice", "reason": "night"}
        said = {"pause": None if number % 3 else pause, "action": id_, "by": "alice", "reason": "night", "at_ms": at}
        self._put("destinations.controls", 0, b"increff", json.dumps(said).encode(), (), at)

    def _headers(self, id_: str, kind: str, code: str, at: int, source: str = ORDERS_SOURCE) -> Headers:
        return event_headers(id_, kind, source, CHANNEL, code, at)

    def _made(
        self,
        topic: str,
        partition: int,
        key: bytes,
        value: bytes | None,
        headers: Headers,
        *,
        at: int,
        epoch: int | None = None,
    ) -> None:
        made = (MADE_BY, b"%d/%d" % (epoch or self._epoch, self._offset))
        self._put(topic, partition, key, value, (*headers, made), at)

    def _put(
        self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Headers, at: int = BEGIN_MS
    ) -> None:
        if key == OWNER_KEY:
            headers = (*headers, (MADE_BY, b"%d/0" % self._epoch))
        self.records.append(Made(topic, partition, key, value, headers, at))


def in_batches(records: list[Made], size: int) -> Iterator[list[Made]]:
    for at in range(0, len(records), size):
        yield records[at : at + size]
