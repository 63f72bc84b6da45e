"""The Kafka that tests use: embedded (default), an address, or a container. SLUICE_TEST_KAFKA chooses.

unset            the embedded broker in a directory of its own, on free ports
host:port        a cluster that runs already; tests use topics with a prefix of their own
testcontainers   apache/kafka in a container (needs a container engine)
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sluice.local.broker import Broker
from sluice.local.jars import KAFKA_VERSION
from sluice.local.ports import free_ports

VARIABLE = "SLUICE_TEST_KAFKA"


@dataclass(frozen=True)
class Kafka:
    """A Kafka that a test shares with others: it must not end it, and uses a topic prefix of its own."""

    bootstrap: str


@contextmanager
def shared_kafka(directory: Path) -> Iterator[Kafka]:
    source = os.environ.get(VARIABLE, "")
    if source == "testcontainers":
        with _container() as bootstrap:
            yield Kafka(bootstrap)
    elif source:
        yield Kafka(source)
    else:
        with private_broker(directory) as broker:
            yield Kafka(broker.bootstrap)


@contextmanager
def private_broker(directory: Path) -> Iterator[Broker]:
    """An embedded broker that the test may kill, stop and start again."""
    port, controller_port = free_ports(2)
    broker = Broker(directory / "kafka", port, controller_port)
    broker.start()
    try:
        broker.wait_ready()
        yield broker
    finally:
        broker.kill()


@contextmanager
def _container() -> Iterator[str]:
    # Imported here: only this source needs the package and an engine.
    from testcontainers.kafka import KafkaContainer  # noqa: PLC0415 - as said above

    with KafkaContainer(f"apache/kafka:{KAFKA_VERSION}").with_kraft() as container:
        yield str(container.get_bootstrap_server())
