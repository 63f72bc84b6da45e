"""Apache Kafka on this machine, without Docker: one KRaft node for `sluice up`, three for tests that need replicas."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sluice.dev.local.jars import LOG_CONFIGURATION, class_archive, ensure_jars, find_java
from sluice.dev.local.kafka_wire import brokers_alive
from sluice.dev.local.ports import free_ports
from sluice.dev.local.processes import exit_reason, spawn
from sluice.errors import StartError
from topics.kafka.catalogue import RECORD_BYTES_MAX

HOST = "127.0.0.1"
CLUSTER_ID = "c2x1aWNlLWxvY2FsLWthZg"
"""Fixed, so that data kept from an earlier run belongs to the same cluster."""
HEAP = "512m"
"""A development load needs some 200 MB; the rest is room for 4 MiB records in flight."""
READY_TIMEOUT_S = 60.0
"""A start takes two to three seconds, recovery after a kill some more; the rest is for a busy machine."""
STOP_TIMEOUT_S = 8.0
"""A single node ends within a second; after this it is killed, which loses nothing that it acknowledged."""
_FORMAT_TIMEOUT_S = 60.0
_POLL_S = 0.05
_OFFSETS_PARTITIONS = 8
"""Kafka's default of 50 costs seconds at the first start and serves thousands of groups; Sluice has a handful."""
_YEAR_MINUTES = 525_600
"""How long offsets of groups are kept, so that an old data directory goes on where it was; by default, a week."""
_SESSION_MS = 3_000
"""A killed broker is admitted again when its old session has ended. Kafka's default is 9 s, most of a restart."""
_JVM_FLAGS = (
    f"-Xmx{HEAP}",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",  # starts fast; a development broker is not short of throughput
    "-Djava.awt.headless=true",
)


@dataclass(frozen=True, slots=True)
class Node:
    """The address of one node: its id, the port for clients and the port of its controller."""

    node_id: int
    port: int
    controller_port: int


class Broker:
    """One Kafka process, broker and controller in one, with its data in `data_dir`.

    `start` may be called again after `kill` or `stop`: ports and data stay.
    """

    def __init__(
        self,
        data_dir: Path,
        port: int,
        controller_port: int | None = None,
        *,
        log: Path | None = None,
        node_id: int = 1,
        cluster: tuple[Node, ...] = (),
    ) -> None:
        self.data_dir = data_dir
        self.port = port
        self.node = Node(node_id, port, controller_port or free_ports(1)[0])
        self.cluster = cluster or (self.node,)
        self.log = log or data_dir / "kafka.log"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def pid(self) -> int | None:
        return None if self.process is None else self.process.pid

    def start(self) -> None:
        """Start the process, and format its storage the first time; `wait_ready` returns when it serves."""
        self.spawn(ensure_jars())

    def spawn(self, jars: Path, keep_classes: Path | None = None) -> subprocess.Popen[bytes]:
        """Start with jars that are there already; block for a second, the first time only.

        With `keep_classes`, the process writes its loaded classes to this path when it ends cleanly.
        """
        if self.process is not None and self.process.poll() is None:
            raise RuntimeError(f"Kafka already runs with pid {self.process.pid}")
        java = find_java()
        properties = self._write_properties()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._format(java, jars, properties)
        with self.log.open("ab") as log:
            command = _java(java, jars, "kafka.Kafka", str(properties), keep_classes=keep_classes)
            self.process = spawn(command, log=log, cwd=self.data_dir)
        return self.process

    def serves(self) -> bool:
        """Whether it answers clients and knows every broker of its cluster."""
        return brokers_alive(HOST, self.port) >= len(self.cluster)

    def wait_ready(self, timeout_s: float = READY_TIMEOUT_S) -> None:
        deadline = time.monotonic() + timeout_s
        while not self.serves():
            code = None if self.process is None else self.process.poll()
            if code is not None:
                raise StartError(
                    f"Kafka ended while it started ({exit_reason(code)}); its log is {self.log}:\n{self._tail()}"
                )
            if time.monotonic() > deadline:
                raise StartError(
                    f"Kafka did not serve within {timeout_s:.0f} s; its log is {self.log}:\n{self._tail()}"
                )
            time.sleep(_POLL_S)

    def kill(self) -> None:
        """Kill the process, as a crash would."""
        self._end(signal.SIGKILL, STOP_TIMEOUT_S)

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """End the process cleanly; kill it when it does not end in time."""
        self._end(signal.SIGTERM, timeout_s)

    def pause(self) -> None:
        """Stop the process with SIGSTOP: connections stay open and nothing answers, as on a machine that hangs."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def _end(self, number: signal.Signals, timeout_s: float) -> None:
        if self.process is None:
            return
        self._signal(number)
        try:
            self.process.wait(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _format(self, java: str, jars: Path, properties: Path) -> None:
        if (self.data_dir / "data" / "meta.properties").exists():
            return
        command = _java(java, jars, "kafka.tools.StorageTool", "format", "--ignore-formatted")
        command += ["-t", CLUSTER_ID, "-c", str(properties)]
        done = subprocess.run(  # noqa: S603 - the command is ours
            command, cwd=self.data_dir, capture_output=True, text=True, timeout=_FORMAT_TIMEOUT_S, check=False
        )
        if done.returncode != 0:
            raise StartError(f"Kafka could not format {self.data_dir}:\n{done.stdout}{done.stderr}")

    def _write_properties(self) -> Path:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        path = self.data_dir / "server.properties"
        path.write_text("".join(f"{name}={value}\n" for name, value in self._properties().items()), encoding="utf-8")
        return path

    def _properties(self) -> dict[str, object]:
        nodes = len(self.cluster)
        in_sync = 2 if nodes > 1 else 1
        replicas = min(nodes, 3)
        return {
            "process.roles": "broker,controller",
            "node.id": self.node.node_id,
            "controller.quorum.voters": ",".join(f"{n.node_id}@{HOST}:{n.controller_port}" for n in self.cluster),
            "listeners": f"PLAINTEXT://{HOST}:{self.port},CONTROLLER://{HOST}:{self.node.controller_port}",
            "advertised.listeners": f"PLAINTEXT://{HOST}:{self.port}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": _escaped(self.data_dir.absolute() / "data"),
            "auto.create.topics.enable": "false",
            "message.max.bytes": RECORD_BYTES_MAX,
            "replica.fetch.max.bytes": RECORD_BYTES_MAX,
            "default.replication.factor": replicas,
            "min.insync.replicas": in_sync,
            "offsets.topic.replication.factor": replicas,
            "offsets.topic.num.partitions": _OFFSETS_PARTITIONS,
            "transaction.state.log.replication.factor": replicas,
            "transaction.state.log.min.isr": in_sync,
            "transaction.state.log.num.partitions": _OFFSETS_PARTITIONS,
            "group.initial.rebalance.delay.ms": 0,  # one worker per role: nobody to wait for
            "offsets.retention.minutes": _YEAR_MINUTES,
            "controlled.shutdown.max.retries": 1,
            "broker.session.timeout.ms": _SESSION_MS,
            "broker.heartbeat.interval.ms": _SESSION_MS // 6,
        }

    def _tail(self) -> str:
        try:
            return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-10:])
        except OSError as error:
            return f"(no log: {error})"


class Cluster:
    """Three nodes with all topics on each, of which two must be in sync: for tests that lose a broker."""

    def __init__(self, data_dir: Path, nodes: int = 3) -> None:
        ports = free_ports(2 * nodes)
        addresses = tuple(Node(i + 1, ports[2 * i], ports[2 * i + 1]) for i in range(nodes))
        self.brokers = [
            Broker(data_dir / f"node-{n.node_id}", n.port, n.controller_port, node_id=n.node_id, cluster=addresses)
            for n in addresses
        ]

    @property
    def bootstrap(self) -> str:
        return ",".join(broker.bootstrap for broker in self.brokers)

    def start(self) -> None:
        for broker in self.brokers:
            broker.start()

    def wait_ready(self, timeout_s: float = 2 * READY_TIMEOUT_S) -> None:
        for broker in self.brokers:
            broker.wait_ready(timeout_s)

    def kill(self) -> None:
        for broker in self.brokers:
            broker.kill()

    def stop(self) -> None:
        """Kill all nodes at once: the last one cannot hand over, so a clean end would wait for its time-out."""
        self.kill()


@contextmanager
def private_broker(directory: Path) -> Iterator[Broker]:
    """Run a broker on free ports for a test or benchmark, which may kill it and start it again; kill it at the end."""
    port, controller_port = free_ports(2)
    broker = Broker(directory / "kafka", port, controller_port)
    broker.start()
    try:
        broker.wait_ready()
        yield broker
    finally:
        broker.kill()


def _java(java: str, jars: Path, main: str, *arguments: str, keep_classes: Path | None = None) -> list[str]:
    flags = [*_JVM_FLAGS, f"-Dlog4j2.configurationFile={LOG_CONFIGURATION.as_uri()}"]
    archive = class_archive(java, jars)
    if keep_classes is not None:  # the JVM cannot write one archive and use another
        flags.append(f"-XX:ArchiveClassesAtExit={keep_classes}")
    elif archive.exists():
        flags.append(f"-XX:SharedArchiveFile={archive}")
    return [java, *flags, "-cp", f"{jars}{os.sep}*", main, *arguments]


def _escaped(path: Path) -> str:
    """Return a path as a Java properties file needs it. log.dirs is a list, so a path with a comma is impossible."""
    if "," in str(path):
        raise StartError(f"Kafka cannot keep data under a path with a comma: {path}")
    return re.sub(r"([\\])", r"\\\1", str(path))
