"""What `sluice doctor` finds on a real Kafka: topics, replicas, workers, clocks; its exit code and its document."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from sluice.cli.doctor import cluster
from sluice.cli.doctor.findings import Examination, Level, Observation
from sluice.dev.local.ports import free_ports
from tests.support.eventually import eventually
from tests.support.kafka import Kafka
from topics.configuration.settings import Settings, load_settings
from topics.kafka import admin, clients
from topics.kafka.catalogue import BY_NAME

ROOT = Path(__file__).resolve().parents[3]
SCHEMA = ROOT / "schemas" / "commands" / "doctor.json"
PARTITIONS = 1


@pytest.fixture
def settings(kafka: Kafka, prefix: str, tmp_path: Path) -> Settings:
    return load_settings(kafka=kafka.bootstrap, topic_prefix=prefix, partitions=PARTITIONS, state_dir=tmp_path)


async def found(settings: Settings, check: str, **more: Any) -> list[Observation]:
    return [one for one in await cluster.look(settings, None, **more) if one.check == check]


@asynccontextmanager
async def workers(settings: Settings, *names: str) -> AsyncIterator[None]:
    """Members of the group of the orders role, under these names."""
    topic = BY_NAME["orders.commands"].full_name(settings.topic_prefix)
    started: list[Any] = []
    try:
        for name in names:
            one: Any = clients.consumer(settings, name, group_id=f"{settings.topic_prefix}.orders")
            started.append(one)
            one.subscribe(topics=[topic])
            await one.start()
        yield
    finally:
        for one in started:
            await clients.close(one)


async def test_topics_that_are_missing_and_then_are_there(settings: Settings) -> None:
    missing = await found(settings, "topics")
    assert {one.level for one in missing} == {Level.PROBLEM}
    assert all("sluice topics create" in one.do for one in missing)
    await admin.create(settings)
    (well,) = await found(settings, "topics")
    assert well.level is Level.OK


async def test_topics_that_have_drifted(settings: Settings) -> None:
    name = BY_NAME["orders.state"].full_name(settings.topic_prefix)
    client: Any = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await client.start()
    await client.create_topics([NewTopic(name, PARTITIONS, 1, topic_configs={"cleanup.policy": "delete"})])
    await client.close()
    await admin.create(settings)
    drifted = await found(settings, "topics")
    assert {(one.about, one.level) for one in drifted} == {(name, Level.PROBLEM)}
    assert any("cleanup.policy is delete" in one.what and "kafka-configs.sh" in one.do for one in drifted)
    other = await found(settings.model_copy(update={"partitions": 3}), "topics")
    assert any("1 partitions, expected 3" in one.what and "SLUICE_PARTITIONS" in one.do for one in other)


async def test_replicas_and_min_insync_that_are_too_few(settings: Settings) -> None:
    await admin.create(settings)
    (single,) = await found(settings, "replication")
    assert (single.level, "one replica" in single.what) == (Level.WARNING, True)
    wanted = settings.model_copy(update={"replication_factor": 3, "min_insync_replicas": 1})
    too_few = await found(wanted, "replication")
    said = " ".join(one.what for one in too_few)
    assert "1 replicas, expected at least 3" in said
    assert "3, and there are 1 brokers" in said
    assert [one.what for one in too_few if one.level is Level.WARNING] == [
        "A write is acknowledged by one replica alone: with its broker, it is lost"
    ]
    none_in_sync = settings.model_copy(update={"min_insync_replicas": 2})
    assert any("nothing can be written" in one.what for one in await found(none_in_sync, "replication"))


async def test_a_role_without_workers_then_more_than_partitions_and_two_of_one_name(settings: Settings) -> None:
    await admin.create(settings)
    none = [one for one in await found(settings, "workers") if one.about == "orders"]
    assert [(one.level, "sluice run orders" in one.do) for one in none] == [(Level.PROBLEM, True)]
    async with workers(settings, "orders-a", "orders-a"):

        async def are_two() -> bool:
            return any(one.level is Level.WARNING for one in await found(settings, "workers"))

        await eventually(are_two, what="both are members")
        (more,) = [one for one in await found(settings, "workers") if one.about == "orders"]
        (twice,) = [one for one in await found(settings, "instances") if one.about == "orders"]
    assert "2 workers share 1 partitions" in more.what
    assert (twice.level, "orders-a" in twice.what, "--instance" in twice.do) == (Level.PROBLEM, True, True)


async def test_a_record_from_the_future(settings: Settings) -> None:
    await admin.create(settings)
    producer = clients.producer(settings, "test")
    await producer.start()
    topic = BY_NAME["orders.events"].full_name(settings.topic_prefix)
    ahead_ms = time.time_ns() // 1_000_000 + 600_000
    await producer.send_and_wait(topic, b"{}", partition=0, timestamp_ms=ahead_ms)
    await producer.stop()
    (wrong,) = await found(settings, "clock")
    assert (wrong.level, wrong.about, "orders role" in wrong.what) == (Level.PROBLEM, "orders.events", True)
    (well,) = await found(settings, "clock", now_ms=lambda: ahead_ms)
    assert well.level is Level.OK


async def test_a_kafka_that_is_not_there_leaves_nothing_else_to_be_said(settings: Settings) -> None:
    (port,) = free_ports(1)
    away = settings.model_copy(update={"kafka": f"127.0.0.1:{port}"})
    assert {one.level for one in await cluster.look(away, None)} == {Level.UNKNOWN}


def run(*options: str, **environment: str) -> tuple[int, str]:
    (port,) = free_ports(1)
    done = subprocess.run(
        [sys.executable, "-m", "sluice", "doctor", f"--url=http://127.0.0.1:{port}", *options],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout


async def test_the_command_prints_its_document_and_says_by_its_exit_code_that_something_is_wrong(
    settings: Settings,
) -> None:
    status, text = run("--json", f"--kafka={settings.kafka}", f"--topic-prefix={settings.topic_prefix}")
    document = json.loads(text)
    assert (status, document["healthy"]) == (1, False)
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.validate(document, schema)
    assert schema == {"$schema": schema["$schema"], **Examination.model_json_schema()}
    levels = {(one["check"], one["level"]) for one in document["findings"]}
    assert levels >= {("broker", "ok"), ("protocol", "ok"), ("topics", "problem"), ("gateway", "problem")}
    status, text = run(f"--kafka={settings.kafka}", f"--topic-prefix={settings.topic_prefix}")
    assert status == 1
    assert "-> Make it with `sluice topics create`" in text
