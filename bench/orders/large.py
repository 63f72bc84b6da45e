"""Orders of many lines and shipments, for `sluice bench orders`: what one of their events costs, without Kafka.

An order is created and acknowledged; then each shipment is packed, and its invoice and label are asked for. The role
decides the events one after the other, with nothing between them. Measured are the CPU of an event, the longest stretch
in which nothing else of the process could have run, and the bytes that the changelogs take.
"""

from __future__ import annotations

import copy
import gc
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from msgspec.structs import replace

from bench.orders import job
from bench.processes import SECRET_KEY, demo
from streams.order.role import OrdersRole
from streams.runtime.limits import GC_THRESHOLDS, PREPARED_BYTES_MIN
from streams.runtime.role import Effect, Record
from streams.runtime.tables.partition_table import PartitionState, of_kinds
from topics.configuration.settings import load_settings
from topics.contract.sample_files import sample
from topics.records.deliveries import decode_request
from topics.records.keys import order_key, partition_of

SIZES = ((2, 1), (250, 1), (2_500, 1), (2_500, 50), (2_500, 500))
"""Lines and shipments: a usual order, and orders up to the bounds of the contract and of a state."""
_CODE = "LARGE"
_FIRST_SHIPMENT = 5_000_000


@dataclass(frozen=True, slots=True)
class Cost:
    """Costs of the events of one order. `holds`: the longest stretch of an event of each kind, milliseconds."""

    lines: int
    shipments: int
    events: int
    mean_ms: float
    holds: dict[str, float]
    changelog_mb: float

    @property
    def worst_ms(self) -> float:
        return max(self.holds.values())

    def as_json(self) -> dict[str, Any]:
        worst = max(self.holds, key=lambda kind: self.holds[kind])
        return {
            "lines": self.lines,
            "shipments": self.shipments,
            "events": self.events,
            "cpu_ms_per_event": round(self.mean_ms, 3),
            "worst_hold_ms": round(self.worst_ms, 2),
            "worst_event": worst,
            "changelog_mb": round(self.changelog_mb, 2),
        }


class CountingLog:
    """A changelog that counts what it takes."""

    def __init__(self) -> None:
        self.bytes = 0

    def append(self, key: bytes, value: bytes | None, headers: list[tuple[str, bytes]]) -> None:
        self.bytes += len(key) + len(value or b"") + sum(len(name) + len(each) for name, each in headers)

    def extend(self, keys: Sequence[bytes], values: Sequence[bytes], headers: Sequence[list[tuple[str, bytes]]]) -> int:
        for key, value, each in zip(keys, values, headers, strict=True):
            self.append(key, value, each)
        return sum(map(len, values))


class LargeOrder:
    """One order and the role that decides its events."""

    def __init__(self, lines: int, shipments: int) -> None:
        settings = load_settings(secret_key=SECRET_KEY)
        self._role = OrdersRole(settings, demo())
        self._lines, self._shipments = lines, shipments
        partition = partition_of(order_key(job.CHANNEL, _CODE), settings.partitions)
        self._state = PartitionState(partition, self._role.tables, of_kinds(self._role.table_kinds))
        self._role.on_assigned(self._state.partition, self._state.tables)
        self._offset = 0
        self._log = CountingLog()
        self._spent = 0.0
        self._holds: dict[str, float] = {}

    def travel(self) -> Cost:
        """Decide all events of the order."""
        self._call("create-outward-order", self._create())
        self._call("acknowledgement", job.members_of("acknowledgement", _CODE))
        each = max(1, self._lines // self._shipments)
        for number in range(self._shipments):
            names = {"shipmentId": _FIRST_SHIPMENT + number, "shipmentCode": f"SHP-{number}"}
            first = number * each % self._lines
            self._call("pack-order", self._pack(first, each, names), {"shipmentCode": names["shipmentCode"]})
            for document in ("get-invoice", "get-shipping-label"):
                members = job.members_of(document, _CODE)
                self._call(document, members | {name: names[name] for name in names if name in members})
        mean_ms = 1_000 * self._spent / self._offset
        return Cost(self._lines, self._shipments, self._offset, mean_ms, self._holds, self._log.bytes / 1e6)

    def _create(self) -> dict[str, Any]:
        members = job.members_of("create-outward-order", _CODE)
        (item, *_) = members["orderItems"]
        members["orderItems"] = [
            {**copy.deepcopy(item), "orderItemCode": f"IT-{n}", "channelSkuCode": f"SKU-{n:06d}", "quantity": 1}
            for n in range(self._lines)
        ]
        return members

    def _pack(self, first: int, count: int, names: dict[str, Any]) -> dict[str, Any]:
        members = job.members_of("pack-order", _CODE)
        (item, *_) = members["shipmentItems"]
        members["shipmentItems"] = [
            {**item, "channelSkuCode": f"SKU-{n:06d}", "quantityToPack": 1} for n in range(first, first + count)
        ]
        return members | {"shipmentId": names["shipmentId"], "fulfillmentType": "SPLIT"}

    def _call(self, touchpoint: str, members: dict[str, Any], answer: Any = None) -> None:
        """A call and the outcome of what it asked for."""
        event = f"{self._offset:032x}"
        call = job.command_input(event, touchpoint, _CODE, orjson.dumps(members), job.NOW_MS)
        (request,) = (
            decode_request(effect.value).id
            for effect in self._decide(touchpoint, call)
            if effect.topic == "deliveries.requests"
        )
        value = job.delivered(request, touchpoint, sample(touchpoint).answer if answer is None else answer)
        self._decide(f"outcome of {touchpoint}", job.outcome_input(request, _CODE, value, job.NOW_MS))

    def _decide(self, kind: str, one: job.Input) -> list[Effect]:
        """Decide a record as the runtime does. Returns its effects."""
        state, offset = self._state, self._offset
        record = Record(state.partition, offset, job.NOW_MS + offset, one.key, one.value, one.headers)
        state.offset = offset
        steps = self._role.prepare(record) if len(one.value) >= PREPARED_BYTES_MIN else None
        while steps is not None:
            with self._measured(kind):
                try:
                    next(steps)
                except StopIteration as end:
                    record = replace(record, prepared=end.value)
                    steps = None
        with self._measured(kind):
            effects = list(self._role.decide(record, state.tables))
            for table in state.all:
                table.merge()
                if table.is_dirty():
                    table.write_changes(self._log)
        self._offset += 1
        return effects

    @contextmanager
    def _measured(self, kind: str) -> Iterator[None]:
        """Measure a stretch in which nothing else of a process could run."""
        started = time.thread_time()
        yield
        took = time.thread_time() - started
        self._spent += took
        self._holds[kind] = max(self._holds.get(kind, 0.0), 1_000 * took)


def costs() -> list[Cost]:
    """Costs of each size. An order before them pays for what a role does once; garbage is collected as in a role."""
    LargeOrder(*SIZES[0]).travel()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    return [LargeOrder(lines, shipments).travel() for lines, shipments in SIZES]
