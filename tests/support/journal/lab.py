"""Topics with the records of a play, journal processes that follow them, and what the journal should then have."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from aiokafka import TopicPartition
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from journal.rows.keeper import Keeper, Personal
from journal.rows.sources import SOURCES
from journal.store.database import journal_url, open_database
from journal.tables.offsets import OFFSETS
from tests.support.eventually import eventually
from tests.support.journal import crash_points
from tests.support.journal.records import PARTITIONS, Made, Play
from tests.support.journal.store import Content, StoredJournal, content_of
from tests.support.roles import RoleProcess, crash_environment
from topics.configuration.settings import Settings
from topics.kafka import admin, clients
from topics.kafka.catalogue import BY_NAME

CHANNELS = """
[increff]
url = "http://127.0.0.1:9"

[channels.demo]
credentials = { username = "demo", password = "secret" }
increff_credentials = { username = "sluice", password = "secret" }
increff_headers = { X-Api-Key = "key" }
marketplace = { url = "http://127.0.0.1:9" }
"""
READ_S = 60.0


class JournalLab:
    """`url`: the database that the processes share."""

    def __init__(self, kafka: str, prefix: str, directory: Path, url: str) -> None:
        self.settings = Settings(kafka=kafka, topic_prefix=prefix, partitions=PARTITIONS)
        self.armed = directory / "crash"
        self._directory = directory
        self._url = url
        self._engine = open_database(journal_url(url, directory), read_only=True)
        self._made = 0
        self.processes: list[RoleProcess] = []

    async def open(self) -> JournalLab:
        (self._directory / "channels.toml").write_text(CHANNELS)
        await admin.create(self.settings)
        return self

    async def close(self) -> None:
        for process in self.processes:
            await process.end(signal.SIGKILL)
        await self._engine.dispose()

    def process(self, instance: str) -> RoleProcess:
        environment = {
            **crash_environment(self.armed, crash_points),
            "SLUICE_JOURNAL_URL": self._url,
            "SLUICE_JOURNAL_PERSONAL": "plain",
        }
        made = RoleProcess("journal", self.settings, self._directory, instance=instance, environment=environment)
        self.processes.append(made)
        return made

    async def play(self, orders: int) -> None:
        """Produce the records of some more orders."""
        records = Play(seed=self._made, orders=orders, begin=self._made).records
        self._made += orders
        producer = clients.producer(self.settings, "test")
        await producer.start()
        try:
            sent = [await self._send(producer, record) for record in records]
            await asyncio.gather(*sent)
        finally:
            await clients.close(producer)

    async def _send(self, producer: Any, record: Made) -> Any:
        name = BY_NAME[record.topic].full_name(self.settings.topic_prefix)
        return await producer.send(
            name,
            record.value,
            key=record.key,
            partition=record.partition,
            headers=list(record.headers),
        )

    async def until_read(self) -> None:
        """Return when the journal has read all topics to their ends."""
        await eventually(self.is_read, READ_S, what=self._logs)

    async def is_read(self) -> bool:
        return await self._has_read({place: end for place, end in (await self._ends()).items() if end})

    async def found(self) -> Content:
        return await content_of(self._engine)

    async def wanted(self) -> Content:
        """What a journal has that reads the topics once, without a fault."""
        engine = open_database(journal_url(f"sqlite:///{self._directory}/wanted.db", self._directory))
        journal = StoredJournal(engine, Keeper(Personal.PLAIN))
        await journal.begin()
        await journal.write(await self._records())
        try:
            return await content_of(engine)
        finally:
            await engine.dispose()

    async def _has_read(self, ends: dict[tuple[str, int], int]) -> bool:
        try:
            async with self._engine.connect() as connection:
                rows = list(await connection.execute(select(OFFSETS)))
        except SQLAlchemyError:
            return False  # the tables are not made yet
        return {(row.topic, row.partition): row.next_offset for row in rows if row.next_offset} == ends

    async def _ends(self) -> dict[tuple[str, int], int]:
        consumer = clients.consumer(self.settings, "test")
        await consumer.start()
        try:
            ends = await consumer.end_offsets(self._partitions())
        finally:
            await clients.close(consumer)
        return {(self._name(tp), tp.partition): end for tp, end in ends.items()}

    async def _records(self) -> list[Made]:
        consumer = clients.consumer(self.settings, "test")
        await consumer.start()
        try:
            ends = await consumer.end_offsets(self._partitions())
            places = [tp for tp, end in ends.items() if end]
            consumer.assign(places)
            await consumer.seek_to_beginning()
            found: list[Made] = []
            while sum(ends.values()) > len(found):
                for tp, records in (await consumer.getmany(timeout_ms=200)).items():
                    found.extend(self._read(tp, records))
            return found
        finally:
            await clients.close(consumer)

    def _read(self, tp: TopicPartition, records: Sequence[Any]) -> Iterable[Made]:
        name = self._name(tp)
        return [Made(name, tp.partition, one.key, one.value, one.headers, one.timestamp, one.offset) for one in records]

    def _name(self, tp: TopicPartition) -> str:
        return str(tp.topic).removeprefix(f"{self.settings.topic_prefix}.").removesuffix(".v1")

    def _partitions(self) -> list[TopicPartition]:
        return [
            TopicPartition(BY_NAME[topic].full_name(self.settings.topic_prefix), partition)
            for topic in SOURCES
            for partition in range(BY_NAME[topic].partitions or PARTITIONS)
        ]

    def _logs(self) -> str:
        return "\n".join(process.log()[-4_000:] for process in self.processes)
