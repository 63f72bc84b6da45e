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

from sluice.dev.local.broker import CLUSTER_ID, HOST, private_broker
from sluice.dev.local.jars import KAFKA_VERSION
from sluice.dev.local.kafka_wire import brokers_alive
from sluice.dev.local.ports import free_ports
from tests.support.eventually import eventually_sync
from topics.kafka.catalogue import RECORD_BYTES_MAX

VARIABLE = "SLUICE_TEST_KAFKA"
CONTAINER_TIMEOUT_S = 120.0
"""For a machine that is busy; pulling the image comes before."""


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
def _container() -> Iterator[str]:
    """A container whose port is the same inside and outside: what the broker advertises is then true for both.

    The package's own KafkaContainer is made for another image, which it starts by a script that this one has not.
    """
    # Imported here: only this source needs the package and an engine.
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415 - as said above

    (port,) = free_ports(1)
    container = DockerContainer(f"apache/kafka:{KAFKA_VERSION}").with_bind_ports(port, port)
    host = container.get_docker_client().host().replace("localhost", HOST)  # a name may lead to IPv6 first
    for name, value in _environment(host, port).items():
        container.with_env(name, value)
    with container:
        eventually_sync(lambda: brokers_alive(host, port), CONTAINER_TIMEOUT_S, what="Kafka in the container serves")
        yield f"{host}:{port}"


def _environment(host: str, port: int) -> dict[str, str]:
    """The image takes properties as variables; given one, it needs them all."""
    return {
        "CLUSTER_ID": CLUSTER_ID,
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "KAFKA_LISTENERS": f"PLAINTEXT://0.0.0.0:{port},CONTROLLER://localhost:9093",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://{host}:{port}",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_INTER_BROKER_LISTENER_NAME": "PLAINTEXT",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "KAFKA_LOG_DIRS": "/tmp/kafka-data",  # noqa: S108 - inside the container, gone with it
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
        "KAFKA_MESSAGE_MAX_BYTES": str(RECORD_BYTES_MAX),
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
    }
