"""One run: poison on all topics of a `sluice up`, and between it orders and stock, which must come through.

A role that ends shows by its process, a partition that stands still by its lag and by what does not come through.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from aiokafka import AIOKafkaProducer

from tests.e2e.stack import PARTITIONS, Stack, create_order
from tests.e2e.test_bad_input import read_all
from tests.support.poison import wire
from tests.support.poison.generator import poisons
from tests.support.poison.wire import Raw
from tests.support.subscriptions import subscription
from topics.kafka.catalogue import TOPICS, Cleanup, Topic

ROLES = ("gateway", "orders", "inventory", "delivery")
COMES_THROUGH_S = 90.0
"""For an order that is sent behind some hundred others; the sandboxes take 200 calls a minute."""
INVALID_RECORD = 87
"""Kafka's answer to a record without a key for a compacted topic, and to a time in the future."""


def consumed() -> tuple[Topic, ...]:
    """Every topic of the catalogue that a part of Sluice reads: a new one is poisoned, too."""
    return tuple(topic for topic in TOPICS if set(topic.readers) & set(ROLES))


@dataclass
class Report:
    sent: Counter[str] = field(default_factory=Counter)
    """By topic."""
    kinds: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    """Not taken by Kafka."""
    orders: int = 0
    """Came through."""
    ended: list[str] = field(default_factory=list)
    """Roles that ended by themselves."""
    memory_mb: dict[str, list[int]] = field(default_factory=dict)


class Run:
    def __init__(self, stack: Stack, seed: int, batch: int, say: Callable[[str], None] = lambda _: None) -> None:
        self._stack = stack
        self._random = Random(seed)
        self._batch = batch
        """Poisons of a topic between two looks at whether all is well."""
        self._say = say
        self._producer: Any = None
        self._drawn: dict[str, Iterator[tuple[str, Raw]]] = {}
        self._pids: dict[str, int] = {}
        self._numbers = itertools.count(1)
        self._run = f"P{time.time_ns() % 10**8}"
        self.report = Report()

    async def poison(self, records: int) -> Report:
        """Sends so many poisons, a few of each topic at a time."""
        self._producer = AIOKafkaProducer(bootstrap_servers=self._kafka, acks="all")
        await self._producer.start()
        try:
            self._note_processes()
            await self._comes_through()
            await self._learn()
            topics = consumed()
            while self.report.sent.total() < records:
                for topic in topics:
                    await self._send(topic)
                await self._comes_through()
                self._look_at_processes()
            await self._is_at_rest()
            return self.report
        finally:
            await self._producer.stop()

    async def restart(self) -> None:
        """Ends all roles by force: they must start over what lies there now."""
        for role in ROLES:
            await self._stack.restarted(role, self._stack.kill(role), 180.0)
        self._note_processes()
        memory = {role: list(found) for role, found in self.report.memory_mb.items()}
        await self._comes_through()
        self.report.memory_mb = memory  # that of new processes, which just read everything, says nothing about the run
        self._look_at_processes()

    @property
    def _kafka(self) -> str:
        return f"127.0.0.1:{self._stack.kafka_port}"

    async def _learn(self) -> None:
        """Reads what lies on the topics, from which poisons are made."""
        for topic in consumed():
            read = await read_all(self._kafka, topic.full_name("sluice"))
            found = [
                Raw(each.key, each.value, [(name.encode(), content) for name, content in each.headers]) for each in read
            ]
            if topic.name == "subscriptions":
                for name in ("sub_" + "a" * 16, "sub_" + "b" * 16):
                    # Nobody listens there; a subscription that gets no fact is enough.
                    one = subscription(name, url="http://127.0.0.1:9/hook", types=["manifest-created"])
                    found.append(Raw(name.encode(), one.encode()))
            self._drawn[topic.name] = poisons(self._random, found[:200])

    async def _send(self, topic: Topic) -> None:
        drawn = itertools.islice(self._drawn[topic.name], self._batch)
        made = [(kind, raw) for kind, raw in drawn if _can_lie_there(topic, raw)]
        partition = self._random.randrange(topic.partitions or PARTITIONS)
        compression = self._random.choice((0, 0, wire.GZIP))
        try:
            name = topic.full_name("sluice")
            await wire.produce(self._producer, name, partition, [raw for _, raw in made], compression)
        except wire.RefusedError as error:
            if error.code != INVALID_RECORD:
                raise
            self.report.refused += len(made)
            return
        self.report.sent[topic.name] += len(made)
        self.report.kinds.update(kind for kind, _ in made)

    async def _comes_through(self) -> None:
        """An order and some stock of an own location, from one end to the other."""
        stack, number = self._stack, next(self._numbers)
        order, location = f"{self._run}-{number}", f"L{self._run}{number}"
        items = [{"channelSkuCode": f"S{number}", "quantity": number}]
        given = await stack.as_increff("PUT", "/inventory", {"locationCode": location, "inventories": items})
        assert given.status == 200, given
        created = await stack.as_marketplace("POST", "/orders/outward", create_order(order))
        assert created.status == 200, created
        await stack.reaches(order, "SUBMITTED", COMES_THROUGH_S)
        await stack.eventually(lambda: self._has(location, number), f"stock of {location}", COMES_THROUGH_S)
        self.report.orders += 1
        if number % 5 == 0:
            self._note_memory()
            self._say(f"{self.report.sent.total():>7} poisons, {self.report.orders} orders, MB {self._newest_memory()}")

    async def _has(self, location: str, quantity: int) -> bool:
        answer = await self._stack.call("GET", f"{self._stack.marketplace}/_sandbox/stock")
        held: Mapping[str, Any] = answer.body["locations"].get(location, {})
        return [item["quantity"] for item in held.values()] == [quantity]

    def _note_processes(self) -> None:
        roles = self._stack.status()["roles"]
        self._pids = {role: int(roles[role]["pid"]) for role in ROLES}

    def _look_at_processes(self) -> None:
        roles = self._stack.status()["roles"]
        for role, pid in self._pids.items():
            if roles[role].get("pid") != pid:
                self.report.ended.append(role)
        if self.report.ended:
            raise AssertionError(f"{self.report.ended} ended:\n{self._stack.tail()}")

    def _note_memory(self) -> None:
        for role, pid in self._pids.items():
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            (kilobytes,) = [int(line.split()[1]) for line in lines if line.startswith("VmRSS:")]
            self.report.memory_mb.setdefault(role, []).append(kilobytes // 1024)

    def _newest_memory(self) -> dict[str, int]:
        return {role: found[-1] for role, found in self.report.memory_mb.items()}

    async def _is_at_rest(self) -> None:
        """Nothing waits: no partition is paused, and all lag is worked off."""
        for role in ROLES[1:]:
            port = admin_port(int(self._stack.status()["roles"][role]["pid"]))

            async def at_rest(port: int = port) -> bool:
                text = (await self._stack.call("GET", f"http://127.0.0.1:{port}/metrics")).body
                lags = [line for line in text.splitlines() if line.startswith("sluice_runtime_lag_records{")]
                assert "partition_paused{" not in text, text
                return bool(lags) and all(float(line.split()[-1]) == 0 for line in lags)

            await self._stack.eventually(at_rest, f"{role} is at rest", COMES_THROUGH_S)


def _can_lie_there(topic: Topic, raw: Raw) -> bool:
    if topic.name == "inventory.controls" and raw.key == b"demo":
        return False  # an operator's word about the whole channel: one that cannot be read stops its stock
    return raw.key is not None or topic.cleanup is Cleanup.DELETE  # Kafka refuses the others


def admin_port(pid: int) -> int:
    words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return int(words[words.index(b"--admin-port") + 1])


def grew(memory_mb: Sequence[int]) -> float:
    """How much larger the memory of the last quarter of a run is than that of the second, by their means."""
    quarter = max(1, len(memory_mb) // 4)
    second, last = memory_mb[quarter : 2 * quarter] or memory_mb, memory_mb[-quarter:]
    return (sum(last) / len(last)) / (sum(second) / len(second))
