"""Workers of `tests.support.runtime.worker` as processes, what they are fed, and what must hold for what they wrote."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from sluice.dev.local.ports import free_ports
from tests.support.eventually import eventually
from tests.support.runtime.worker import OUT, REJECTED, SOURCE, STATE, TOPICS
from topics.kafka.catalogue import RECORD_BYTES_MAX
from topics.kafka.time_outs import bound_requests

PARTITIONS = 4
ROOT = Path(__file__).parents[3]


class WorkerProcess:
    """One worker of the counting role."""

    def __init__(self, lab: Lab, instance: str, **environment: str) -> None:
        self.port = free_ports(1)[0]
        self.log = lab.directory / f"worker-{instance}-{time.monotonic_ns()}.log"
        settings = {
            "SLUICE_KAFKA": lab.bootstrap,
            "SLUICE_TOPIC_PREFIX": lab.prefix,
            "SLUICE_PARTITIONS": str(PARTITIONS),
            "SLUICE_ADMIN_PORT": str(self.port),
            "SLUICE_INSTANCE": instance,
            "PYTHONPATH": str(ROOT),
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.runtime.worker"],
                env={**os.environ, **settings, **environment},
                cwd=lab.directory,
                stderr=log,
            )

    def ask(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metric(self, name: str) -> float:
        for line in self.ask("/metrics")[1].splitlines():
            if line.startswith(f"sluice_runtime_{name} "):
                return float(line.split()[-1])
        return 0.0

    async def ready(self) -> WorkerProcess:
        def is_ready() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            return self.ask("/ready")[0] == 200

        await eventually(lambda: asyncio.to_thread(is_ready), what=lambda: self.ask("/ready")[1])
        return self

    async def decides(self, records: int) -> None:
        """Returns when it has decided so many records more."""
        seen = self.metric("records_decided_total")
        await eventually(lambda: self.metric("records_decided_total") >= seen + records, what=f"{records} decisions")

    async def ended(self) -> int:
        await eventually(lambda: self.process.poll() is not None, what="the worker's end")
        assert self.process.returncode is not None
        return self.process.returncode

    async def stopped(self) -> None:
        """Returns when the process stands still (SIGSTOP)."""
        status = Path(f"/proc/{self.process.pid}/stat")

        def is_stopped() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            return status.read_text().rpartition(")")[2].split()[0] == "T"

        await eventually(is_stopped, what="the worker stops itself")

    def wake(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    async def kill(self) -> None:
        self.process.kill()
        await self.ended()

    async def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return await self.ended()


class Lab:
    """Topics of one test, and everything it starts."""

    def __init__(self, bootstrap: str, prefix: str, directory: Path) -> None:
        self.bootstrap = bootstrap
        self.prefix = prefix
        self.directory = directory
        self.workers: list[WorkerProcess] = []
        self.producer: Any = None

    def name(self, topic: str) -> str:
        return f"{self.prefix}.{topic}.v1"

    async def open(self, replicas: int = 1, state_config: Mapping[str, str] | None = None) -> Lab:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        config = {"max.message.bytes": str(RECORD_BYTES_MAX), "min.insync.replicas": "2" if replicas > 1 else "1"}
        await admin.create_topics(
            [
                NewTopic(
                    self.name(topic),
                    PARTITIONS,
                    replicas,
                    topic_configs={**config, **(state_config or {})} if topic == STATE else config,
                )
                for topic in TOPICS
            ]
        )
        await admin.close()
        self.producer = AIOKafkaProducer(
            bootstrap_servers=self.bootstrap,
            acks="all",
            enable_idempotence=True,
            request_timeout_ms=60_000,
            max_request_size=RECORD_BYTES_MAX,
            max_batch_size=RECORD_BYTES_MAX,
        )
        bound_requests(self.producer.client)
        await self.producer.start()
        return self

    async def close(self) -> None:
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.process.kill()
                worker.process.wait()
        if self.producer is not None:
            await self.producer.stop()

    def start(self, instance: str = "0", **environment: str) -> WorkerProcess:
        worker = WorkerProcess(self, instance, **environment)
        self.workers.append(worker)
        return worker

    async def feed(self, keys: int, first: int, last: int, pause_s: float = 0.0, name: str = "k") -> None:
        """Per key the seqs `first` to `last`; with a pause after each seq, so that it takes many groups."""
        for seq in range(first, last + 1):
            for key in range(keys):
                value = orjson.dumps({"id": f"{key}-{seq}", "seq": seq})
                await self.producer.send(self.name(SOURCE), value, key=f"{name}{key}".encode())
            if pause_s:
                await self.producer.flush()
                await asyncio.sleep(pause_s)
        await self.producer.flush()

    async def read(self, topic: str) -> list[Any]:
        """All records of a topic, in order per partition."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            max_partition_fetch_bytes=RECORD_BYTES_MAX,
        )
        bound_requests(consumer._client)
        await consumer.start()
        try:
            partitions = [TopicPartition(self.name(topic), partition) for partition in range(PARTITIONS)]
            ends = await consumer.end_offsets(partitions)
            consumer.assign(partitions)
            found: list[Any] = []
            left = {tp for tp in partitions if ends[tp]}
            while left:  # by position: compaction leaves holes
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    found.extend(records)
                left = {tp for tp in left if await consumer.position(tp) < ends[tp]}
            return found
        finally:
            await consumer.stop()

    async def states(self) -> dict[bytes, dict[str, int]]:
        """What the table's changelog says in the end, read as recovery reads it."""
        found: dict[bytes, bytes] = {}
        newest: dict[int, int] = defaultdict(int)
        for record in await self.read(STATE):
            epoch = int(dict(record.headers)["sluice-made-by"].split(b"/")[0])
            if epoch >= newest[record.partition]:
                newest[record.partition] = epoch
                found[record.key] = record.value
        found.pop(b"~owner", None)
        return {key: orjson.loads(value) for key, value in found.items()}

    async def decided(self, keys: int, last: int) -> None:
        """Returns when the state of every key is at `last`."""

        async def complete() -> bool:
            states = await self.states()
            return len(states) == keys and all(state["last"] >= last for state in states.values())

        await eventually(complete, 60, every_s=0.2, what=f"{keys} keys at {last}")

    async def check(self, keys: int, last: int) -> int:
        """State exact, every effect there, in order per key, repeats identical. Returns the number of repeats."""
        exact = {"n": last, "last": last, "missing": 0, "repeated": 0}
        wrong = {key: state for key, state in (await self.states()).items() if state != exact}
        assert not wrong, f"{len(wrong)} of {keys}: {dict(list(wrong.items())[:4])}"
        effects: dict[bytes, list[bytes]] = defaultdict(list)
        repeats = 0
        for record in await self.read(OUT):
            if record.value in effects[record.key]:
                repeats += 1  # decided again after a crash: the same bytes, by which a reader can tell
            else:
                effects[record.key].append(record.value)
        for key, values in effects.items():
            seqs = [orjson.loads(value)["seq"] for value in values]
            assert seqs == list(range(1, last + 1)), (key, seqs)
        assert len(effects) == keys
        return repeats

    async def rejected(self, count: int) -> list[Any]:
        async def there() -> list[Any]:
            found = await self.read(REJECTED)
            return found if len(found) >= count else []

        records: list[Any] = await eventually(there, every_s=0.1, what=f"{count} rejected records")
        return records


def headers(record: Any) -> dict[str, str]:
    return {name: value.decode() for name, value in record.headers}
