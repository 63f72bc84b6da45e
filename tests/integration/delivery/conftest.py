"""The world of the far sides, one for each module of tests."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.kafka import Kafka
from tests.support.marketplaces.world import PARTITIONS, World
from topics.configuration.settings import Settings


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(kafka: Kafka, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    prefix = f"t-{uuid.uuid4().hex[:12]}"
    made = World(
        Settings(kafka=kafka.bootstrap, topic_prefix=prefix, partitions=PARTITIONS), tmp_path_factory.mktemp("far")
    )
    try:
        await made.start()
        yield made
    finally:
        await made.stop()
