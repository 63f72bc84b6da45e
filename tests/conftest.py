"""Fixtures every test may use; what they are made of is in tests/support."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import pytest

from sluice.dev.local.broker import Broker, private_broker
from streams.runtime.invariants import MODE_VARIABLE
from tests.support.kafka import Kafka, shared_kafka
from topics.records.unreadable import UNREADABLE

os.environ[MODE_VARIABLE] = "raise"
"""A violated invariant fails a test; processes that tests start inherit this."""


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A real Kafka, shared by the whole run; never end it. See tests/support/kafka.py for its sources."""
    with shared_kafka(tmp_path_factory.mktemp("shared-kafka")) as shared:
        yield shared


@pytest.fixture(autouse=True)
def _forget_unreadable() -> Iterator[None]:
    """Unreadable records are remembered by the process: those of one test are no news to the next."""
    yield
    UNREADABLE.clear()


@pytest.fixture
def prefix() -> str:
    """A topic prefix nobody else uses."""
    return f"t-{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="module")
def own_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """An embedded broker of this module's own, which its tests may kill and start again (and leave running)."""
    with private_broker(tmp_path_factory.mktemp("own-kafka")) as broker:
        yield broker
