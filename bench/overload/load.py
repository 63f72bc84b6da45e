"""HTTP load on thousands of connections, in a process of its own: plain sockets, whole requests made beforehand.

With `per_s` the loop is open: each connection in turn gets a request when it is due, whatever came of the ones before.
A connection that still waits for an answer gets none: that request counts as unsent. Nothing else holds the load back,
`Retry-After` included. With `per_s` None the loop is closed: each connection sends as soon as it is answered.
With `wait` it connects, says so on standard error, and begins when it reads a line. Prints one JSON object.
"""

from __future__ import annotations

import json
import resource
import select
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count, cycle

from bench.ingress.load import CODE, Load, content_length, quantile

DRAIN_S = 40.0
"""Longest wait at the end for answers that are still due."""
LATE_S = 0.05
"""A load that sends a request so much later than it was due did not get the processor in time."""
CONNECT_S = 10.0
RECEIVED_BYTES = 16 << 10
_CODE_MEMBER = b'"code":"'
_RETRY_AFTER = b"\r\nRetry-After: "


@dataclass(slots=True)
class Connection:
    """One keep-alive connection. `since`: when its request was sent; None: it waits for none."""

    socket: socket.socket
    since: float | None = None
    received: bytes = b""
    unsent: bytes = b""
    """The rest of a request for which the socket had no room."""


@dataclass(slots=True)
class Answers:
    """Answers so far. `lost`: connections that the server closed, by whether a request was on its way."""

    accepted_s: list[float] = field(default_factory=list)
    refused_s: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    retry_after_s: Counter[int] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    last_at: float = 0.0

    def add(self, answer: bytes, seconds: float) -> None:
        status = answer[9:12]
        if status == b"200":
            self.accepted_s.append(seconds)
            return
        self.refused_s.append(seconds)
        self.statuses[status.decode("latin-1")] += 1
        self.codes[_between(answer, _CODE_MEMBER, b'"')] += 1
        self.retry_after_s[int(_between(answer, _RETRY_AFTER, b"\r") or 0)] += 1


class Generator:
    """Sends requests and reads answers until its time is over."""

    def __init__(self, spec: dict[str, object]) -> None:
        (template,) = Load.of(spec).templates
        self._before, self._after = template.split(CODE, 1)
        self._prefix = str(spec["prefix"]).encode()
        self._digits = len(CODE) - len(self._prefix)
        self._address = ("127.0.0.1", int(str(spec["port"])))
        self._numbers = count(1)
        self._epoll = select.epoll()
        self._connections: dict[int, Connection] = {}
        self.answers = Answers()
        self.sent = self.unsent = self.late = self.reconnects = 0
        self.late_most_s = 0.0

    def connect(self, connections: int) -> float:
        """Open all connections at once, as far as one process can; return how long that took."""
        started = time.perf_counter()
        for _ in range(connections):
            self._open()
        return time.perf_counter() - started

    def _open(self) -> Connection:
        connection = socket.create_connection(self._address, timeout=CONNECT_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setblocking(False)
        self._epoll.register(connection.fileno(), select.EPOLLIN)
        opened = self._connections[connection.fileno()] = Connection(connection)
        return opened

    def run_open(self, seconds: float, per_s: float) -> int:
        """Send at this rate; return how many requests were due."""
        turns = self._turns()
        started = now = time.perf_counter()
        due = 0
        while now - started < seconds:
            target = int((now - started) * per_s)
            for number in range(due, target):
                late_s = now - started - number / per_s
                self.late += late_s > LATE_S
                self.late_most_s = max(self.late_most_s, late_s)
                connection = next(turns)
                if connection.since is None:
                    self._send(connection)
                else:
                    self.unsent += 1
            due = target
            self._read(max(0.0, started + (due + 1) / per_s - time.perf_counter()))
            now = time.perf_counter()
        return due

    def run_closed(self, seconds: float) -> None:
        """Send on each connection as soon as it is free."""
        started = time.perf_counter()
        for connection in list(self._connections.values()):
            self._send(connection)
        while time.perf_counter() - started < seconds:
            for connection in self._read(1.0):
                self._send(connection)

    def drain(self) -> bool:
        """Wait for the answers that are due; return whether all came."""
        deadline = time.perf_counter() + DRAIN_S
        while any(one.since is not None for one in self._connections.values()):
            if time.perf_counter() > deadline:
                return False
            self._read(1.0)
        return True

    def close(self) -> None:
        for connection in self._connections.values():
            connection.socket.close()

    def _turns(self) -> Iterator[Connection]:
        """The connections in turn; one that was lost is opened again at its turn."""
        for descriptor in cycle(list(self._connections)):
            connection = self._connections.get(descriptor)
            if connection is None:
                self.reconnects += 1
                connection = self._open()
            yield connection

    def _send(self, connection: Connection) -> None:
        code = b"%b%0*d" % (self._prefix, self._digits, next(self._numbers))
        request = self._before + code + self._after
        connection.since = time.perf_counter()
        self.sent += 1
        try:
            gone = connection.socket.send(request)
        except BlockingIOError:
            gone = 0
        except OSError:
            self._lose(connection)
            return
        if gone < len(request):
            connection.unsent = request[gone:]
            self._epoll.modify(connection.socket.fileno(), select.EPOLLIN | select.EPOLLOUT)

    def _read(self, timeout_s: float) -> list[Connection]:
        """Read what came; return the connections that were answered."""
        answered = []
        for descriptor, event in self._epoll.poll(timeout_s, 1024):
            connection = self._connections[descriptor]
            if event & select.EPOLLOUT:
                self._send_rest(connection)
            if event & ~select.EPOLLOUT:
                try:
                    data = connection.socket.recv(RECEIVED_BYTES)
                except BlockingIOError:
                    continue
                except OSError:
                    data = b""
                if not data:
                    self._lose(connection)
                elif self._has_answer(connection, data):
                    answered.append(connection)
        return answered

    def _has_answer(self, connection: Connection, data: bytes) -> bool:
        received = connection.received + data if connection.received else data
        end = received.find(b"\r\n\r\n")
        if end < 0 or len(received) < end + 4 + content_length(received, end):
            connection.received = received
            return False
        connection.received = b""
        now = self.answers.last_at = time.perf_counter()
        self.answers.add(received, now - (connection.since or now))
        connection.since = None
        return True

    def _send_rest(self, connection: Connection) -> None:
        try:
            gone = connection.socket.send(connection.unsent)
        except OSError:
            return  # its reading side tells
        connection.unsent = connection.unsent[gone:]
        if not connection.unsent:
            self._epoll.modify(connection.socket.fileno(), select.EPOLLIN)

    def _lose(self, connection: Connection) -> None:
        self.answers.lost["idle" if connection.since is None else "waiting"] += 1
        descriptor = connection.socket.fileno()
        self._epoll.unregister(descriptor)
        del self._connections[descriptor]
        connection.socket.close()


def _between(text: bytes, before: bytes, after: bytes) -> str:
    start = text.find(before)
    if start < 0:
        return ""
    start += len(before)
    return text[start : text.find(after, start)].decode("latin-1")


def raise_file_limit() -> None:
    """Let this process have as many sockets as the system allows it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def run(spec: dict[str, object]) -> dict[str, object]:
    raise_file_limit()
    generator = Generator(spec)
    connected_s = generator.connect(int(str(spec["connections"])))
    if spec.get("wait"):
        sys.stderr.write("connected\n")
        sys.stderr.flush()
        sys.stdin.readline()
    cpu, started = time.process_time(), time.perf_counter()
    seconds = float(str(spec["seconds"]))
    due = None
    if spec["per_s"] is None:
        generator.run_closed(seconds)
    else:
        due = generator.run_open(seconds, float(str(spec["per_s"])))
    ended = time.perf_counter()
    cpu = time.process_time() - cpu
    answers = generator.answers
    in_time = len(answers.accepted_s)
    drained = generator.drain()
    generator.close()
    accepted, refused = sorted(answers.accepted_s), sorted(answers.refused_s)
    return {
        "seconds": ended - started,
        "connected_s": round(connected_s, 2),
        "offered": due,
        "sent": generator.sent,
        "unsent": generator.unsent,
        "late": generator.late,
        "late_most_ms": round(generator.late_most_s * 1_000),
        "reconnects": generator.reconnects,
        "lost": dict(answers.lost),
        "accepted": in_time,
        "accepted_in_all": len(accepted),
        "refused": len(refused),
        "statuses": dict(answers.statuses),
        "codes": dict(answers.codes),
        "retry_after_s": {str(key): value for key, value in sorted(answers.retry_after_s.items())},
        "accepted_ms": _quantiles(accepted),
        "refused_ms": _quantiles(refused),
        "drained": drained,
        "drained_s": round(max(0.0, answers.last_at - ended), 3),
        "cpu_share": round(cpu / (ended - started), 3),
    }


def _quantiles(took: list[float]) -> dict[str, float]:
    return {"p50": quantile(took, 0.5), "p99": quantile(took, 0.99), "max": round(took[-1] * 1_000, 3) if took else 0.0}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run(json.loads(sys.argv[1]))))
